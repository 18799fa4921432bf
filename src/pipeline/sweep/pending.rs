//! Markers that nobody works on.

use futures::{StreamExt, TryStreamExt, stream};

use super::{CONCURRENT_OBJECTS_MAX, Stop, Surroundings, Sweeper};
use crate::{
    dataset::{CatalogMode, Dataset},
    pipeline::{
        crawl,
        ledger::{self, Found, Marker},
        ports::{CloudError, Condition, Put},
    },
};

impl<C: Surroundings> Sweeper<'_, C> {
    /// Counts the dataset's markers, and drives on those that are neither claimed nor recent.
    pub(super) async fn pending(&mut self, dataset: &Dataset) -> Result<(), Stop> {
        let mut page = None;
        loop {
            self.check_time()?;
            let (markers, next) = crawl::pending(self.cloud, &dataset.name, page, crawl::MARKERS_MAX).await?;
            let stale = self.counted(markers);
            let stale = match dataset.catalog {
                CatalogMode::Direct => self.touched(stale).await?,
                // What is done about its crawl is written into the marker anyway.
                CatalogMode::Crawler => stale,
            };
            self.swept.redriven += self.drive(dataset, stale).await?;
            page = next;
            if page.is_none() {
                return Ok(());
            }
        }
    }

    /// Counts markers; those that nobody works on.
    fn counted(&mut self, markers: Vec<Found>) -> Vec<Found> {
        let now = self.cloud.now();
        self.swept.pending += markers.len() as u64;
        let ages = markers.iter().map(|found| now.duration_since(found.marker.noted_at).as_secs());
        let oldest = ages.max().and_then(|age| u64::try_from(age).ok()).unwrap_or_default();
        self.swept.oldest_pending_seconds = self.swept.oldest_pending_seconds.max(oldest);
        let is_left =
            |found: &Found| found.marker.live_claim(now).is_none() && !self.is_recent(found.marker.last_written_at());
        markers.into_iter().filter(is_left).collect()
    }

    /// Writes into each marker that it is driven now, so that the next sweep leaves it alone for a while. One that
    /// has changed in the meantime has somebody.
    async fn touched(&self, markers: Vec<Found>) -> Result<Vec<Found>, CloudError> {
        let (cloud, now) = (self.cloud, self.cloud.now());
        let touched: Vec<Option<Found>> = stream::iter(markers)
            .map(|found| async move {
                let marker = Marker { changed_at: Some(now), ..found.marker };
                let condition = Condition::Matches(&found.etag);
                match cloud.put(&found.key, ledger::body(&marker), condition).await? {
                    Put::Written(etag) => Ok::<_, CloudError>(Some(Found { key: found.key, marker, etag })),
                    Put::Refused => Ok(None),
                }
            })
            .buffer_unordered(CONCURRENT_OBJECTS_MAX)
            .try_collect()
            .await?;
        Ok(touched.into_iter().flatten().collect())
    }
}
