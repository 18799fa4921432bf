//! Decisions that nobody carried out, and parked objects that nobody was told of.

use futures::{StreamExt, TryStreamExt, stream};

use super::{CONCURRENT_OBJECTS_MAX, RECORDS_MAX, Stop, Surroundings, Sweeper, sources::readable};
use crate::{
    dataset::Dataset,
    pipeline::{
        ledger::{Commit, Found, Kind, Parked, Versioned, read},
        park,
        ports::CloudError,
    },
};

/// What a parked record turned out to be.
enum Untold {
    /// It was told of, or may be any moment.
    No,
    /// It is told of now.
    Told,
    /// It says nothing. The marker of its object, unless there was one already.
    Void(Option<Box<Found>>),
}

impl<C: Surroundings> Sweeper<'_, C> {
    /// Makes markers for attempts that nobody finishes. Those of objects that are still there are found when sources
    /// are compared; here it is by chance of the record's name, for those of objects that are gone.
    pub(super) async fn unfinished(&mut self, dataset: &Dataset) -> Result<(), Stop> {
        self.check_time()?;
        let records = self.sample(&Kind::Commits.prefix(&dataset.name)).await?;
        let looked: Vec<Option<Found>> = stream::iter(&records)
            .map(async |record| match readable(read::<Commit>(self.cloud, record).await)? {
                Some(commit) => self.left_over(dataset, &commit.value).await,
                None => Ok::<_, CloudError>(None),
            })
            .buffer_unordered(CONCURRENT_OBJECTS_MAX)
            .try_collect()
            .await?;
        let markers: Vec<Found> = looked.into_iter().flatten().collect();
        self.swept.redriven += markers.len() as u64;
        self.drive(dataset, markers).await?;
        Ok(())
    }

    async fn left_over(&self, dataset: &Dataset, commit: &Commit) -> Result<Option<Found>, CloudError> {
        let Some(attempt) = commit.attempt.as_ref().filter(|attempt| !self.is_under_way(attempt)) else {
            return Ok(None);
        };
        let parked = readable(read::<Parked>(self.cloud, &Kind::Parked.key(&dataset.name, &commit.key)).await)?;
        // It cannot be finished as things are; it waits for a person.
        if parked.is_some_and(|parked| parked.value.etag == attempt.etag) {
            return Ok(None);
        }
        self.note(dataset, &commit.key).await
    }

    /// Tells of parked objects whose records say that nobody was told. Where the version that was parked is committed,
    /// convert is to look: it removes such a record, and tells of its run if that has ended.
    pub(super) async fn untold(&mut self, dataset: &Dataset) -> Result<(), Stop> {
        self.check_time()?;
        let records = self.sample(&Kind::Parked.prefix(&dataset.name)).await?;
        let seen: Vec<Untold> = stream::iter(&records)
            .map(async |record| match readable(read::<Parked>(self.cloud, record).await)? {
                Some(parked) => self.tell(dataset, &parked).await,
                None => Ok::<_, CloudError>(Untold::No),
            })
            .buffer_unordered(CONCURRENT_OBJECTS_MAX)
            .try_collect()
            .await?;
        let mut markers = Vec::new();
        for untold in seen {
            match untold {
                Untold::No => {}
                Untold::Told => self.swept.told += 1,
                Untold::Void(marker) => markers.extend(marker.map(|found| *found)),
            }
        }
        self.swept.redriven += markers.len() as u64;
        self.drive(dataset, markers).await?;
        Ok(())
    }

    async fn tell(&self, dataset: &Dataset, parked: &Versioned<Parked>) -> Result<Untold, CloudError> {
        let Parked { told, parked_at, .. } = parked.value;
        if told || self.is_recent(parked_at) {
            return Ok(Untold::No);
        }
        if self.is_void(dataset, parked).await? {
            return Ok(Untold::Void(self.note(dataset, &parked.value.key).await?.map(Box::new)));
        }
        park::tell(self.cloud, parked).await.map(|()| Untold::Told)
    }

    async fn is_void(&self, dataset: &Dataset, parked: &Versioned<Parked>) -> Result<bool, CloudError> {
        let commit = readable(read::<Commit>(self.cloud, &Kind::Commits.key(&dataset.name, &parked.value.key)).await)?;
        let current = commit.and_then(|commit| commit.value.current);
        Ok(parked.value.is_void(current.as_ref()))
    }

    /// Keys below `prefix`, from a place chosen by chance on and around; all of them where they are few.
    async fn sample(&self, prefix: &str) -> Result<Vec<String>, CloudError> {
        let place = format!("{prefix}{}", self.chance());
        let mut keys = self.cloud.list_after(prefix, &place, RECORDS_MAX).await?;
        let rest = RECORDS_MAX.saturating_sub(u16::try_from(keys.len()).unwrap_or(RECORDS_MAX));
        if rest > 0 {
            let from_the_beginning = self.cloud.list_after(prefix, "", rest).await?;
            keys.extend(from_the_beginning.into_iter().filter(|key| *key <= place));
        }
        Ok(keys)
    }
}
