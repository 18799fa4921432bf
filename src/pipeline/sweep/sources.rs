//! Objects of which nobody has told.

use futures::{StreamExt, TryStreamExt, stream};

use super::{CONCURRENT_OBJECTS_MAX, SOURCES_MAX, Stop, Surroundings, Sweeper};
use crate::{
    dataset::Dataset,
    pipeline::{
        intake::is_folder,
        ledger::{Attempt, Commit, Kind, Parked, Versioned, read},
        ports::{CloudError, CloudErrorKind, Head},
    },
};

/// Keys of the raw bucket that are listed at once.
const LIST_KEYS_MAX: u16 = 1000;

/// What is known of one version of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A record says what became of it, or is about to.
    Known,
    /// It was decided, and nobody has carried it out for long.
    Unfinished,
    /// No record knows this version.
    Unheard,
}

impl<C: Surroundings> Sweeper<'_, C> {
    /// Compares the dataset's objects with the records.
    pub(super) async fn sources(&mut self, dataset: &Dataset) -> Result<(), Stop> {
        let first = self.somewhere(dataset).await?;
        let (mut after, mut is_second_half, mut compared) = (first.clone(), first.is_empty(), 0);
        while compared < SOURCES_MAX {
            self.check_time()?;
            let page = self.cloud.sources(&dataset.source, &after, LIST_KEYS_MAX).await?;
            let last = page.objects.last().map(|(key, _)| key.clone());
            let is_ours = |(key, head): &(String, Head)| {
                let owner = self.manifest.dataset_of_key(key);
                let is_new = !is_second_half || first.is_empty() || *key <= first;
                is_new && owner.is_some_and(|owner| owner.name == dataset.name) && !is_folder(key, head.bytes)
            };
            let sources: Vec<_> = page.objects.into_iter().filter(is_ours).collect();
            compared += sources.len();
            self.compare(dataset, sources).await?;
            let is_around = is_second_half && !first.is_empty() && last.as_ref().is_some_and(|last| *last >= first);
            match last.filter(|_| page.more) {
                _ if is_around => break,
                Some(last) => after = last,
                None if is_second_half => break,
                None => (after, is_second_half) = (String::new(), true),
            }
        }
        Ok(())
    }

    /// A key of the dataset that was committed once, chosen by chance: commit records are named by hashes, which are
    /// spread evenly.
    async fn somewhere(&self, dataset: &Dataset) -> Result<String, CloudError> {
        let prefix = Kind::Commits.prefix(&dataset.name);
        let records = self.cloud.list_after(&prefix, &format!("{prefix}{}", self.chance()), 1).await?;
        let Some(record) = records.first() else { return Ok(String::new()) };
        match read::<Commit>(self.cloud, record).await {
            Ok(commit) => Ok(commit.map(|commit| commit.value.key).unwrap_or_default()),
            Err(error) if error.kind == CloudErrorKind::Damaged => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    async fn compare(&mut self, dataset: &Dataset, sources: Vec<(String, Head)>) -> Result<(), CloudError> {
        let looked: Vec<_> = stream::iter(&sources)
            .map(|(key, head)| async {
                let standing = self.standing(dataset, key, head).await?;
                let marker = match standing {
                    Standing::Known => None,
                    Standing::Unfinished | Standing::Unheard => self.note(dataset, key).await?,
                };
                Ok::<_, CloudError>((standing, marker))
            })
            .buffer_unordered(CONCURRENT_OBJECTS_MAX)
            .try_collect()
            .await?;
        let mut markers = Vec::new();
        for (standing, marker) in looked {
            let Some(marker) = marker else { continue };
            match standing {
                Standing::Unheard => self.swept.found += 1,
                Standing::Unfinished | Standing::Known => self.swept.redriven += 1,
            }
            tracing::warn!(key = %marker.marker.key, ?standing, "found by the sweep");
            markers.push(marker);
        }
        self.drive(dataset, markers).await?;
        Ok(())
    }

    async fn standing(&self, dataset: &Dataset, key: &str, head: &Head) -> Result<Standing, CloudError> {
        // A record that cannot be read is convert's to report; it parks the object.
        let commit = readable(read::<Commit>(self.cloud, &Kind::Commits.key(&dataset.name, key)).await)?;
        let commit = commit.map(|commit| commit.value);
        let attempt = commit.as_ref().and_then(|commit| commit.attempt.as_ref());
        if commit.as_ref().and_then(|commit| commit.current.as_ref()).is_some_and(|it| it.etag == head.etag)
            && attempt.is_none()
        {
            return Ok(Standing::Known);
        }
        let parked = readable(read::<Parked>(self.cloud, &Kind::Parked.key(&dataset.name, key)).await)?;
        if parked.is_some_and(|parked| parked.value.etag == head.etag) {
            return Ok(Standing::Known);
        }
        Ok(match attempt {
            Some(attempt) if self.is_under_way(attempt) => Standing::Known,
            Some(_) => Standing::Unfinished,
            None => Standing::Unheard,
        })
    }

    /// Whoever decided it may be finishing it.
    pub(super) fn is_under_way(&self, attempt: &Attempt) -> bool {
        self.is_recent(attempt.decided_at)
    }
}

/// A record, or none where it is damaged.
pub(super) fn readable<T>(
    record: Result<Option<Versioned<T>>, CloudError>,
) -> Result<Option<Versioned<T>>, CloudError> {
    match record {
        Err(error) if error.kind == CloudErrorKind::Damaged => {
            tracing::error!(%error, "a record cannot be read");
            Ok(None)
        }
        record => record,
    }
}
