//! One round: look, decide, act.

use super::{ATTEMPTS_MAX, Converter, Outcome, Step};
use crate::{
    dataset::{CatalogMode, Dataset},
    pipeline::{
        Failure,
        finish::{self, Finished},
        ledger::{
            self, Claimed, Cleared, Commit, Committed, Decision, Kind, Marker, Parked, Versioned, put_decisively, read,
        },
        park,
        ports::{Cloud, Condition, Head, SourceObject},
        telling::CRAWL_FAILED,
    },
};

/// Everything there is to know about one source key.
pub(super) struct Situation<'a> {
    pub claimed: &'a Claimed,
    pub dataset: &'a Dataset,
    pub head: Option<Head>,
    pub commit: Option<Versioned<Commit>>,
    pub parked: Option<Versioned<Parked>>,
}

impl<'a, C: Cloud> Converter<'a, C> {
    pub(super) async fn round(&mut self, claimed: &Claimed) -> Result<Step, Failure> {
        let situation = self.look(claimed).await?;
        if let Some(commit) = situation.commit.as_ref().filter(|commit| commit.value.attempt.is_some()) {
            return self.finish_left_over(situation.dataset, commit).await;
        }
        if let Some(commit) = &situation.commit {
            finish::discard(self.cloud, &commit.value.discarded).await?;
        }
        let Some(head) = situation.head.clone() else {
            tracing::warn!(key = %claimed.marker.key, "the object was deleted before it was converted");
            self.unpark(situation.parked.as_ref(), None).await?;
            return self.clear(claimed, Outcome::Deleted).await;
        };
        if situation.is_committed(&head) {
            self.unpark(situation.parked.as_ref(), Some(&head.etag)).await?;
            return self.clear(claimed, Outcome::AlreadyCommitted).await;
        }
        if let Some(parked) = situation.parked_as(&head) {
            return self.confirm_parked(claimed, parked).await;
        }
        if situation.must_be_crawled(&head) {
            return self.await_crawl(claimed).await;
        }
        if let Some(failure) = situation.crawl_failed() {
            return Err(failure);
        }
        if claimed.marker.attempts > ATTEMPTS_MAX {
            return Err(exhausted(claimed));
        }
        let source = SourceObject { key: claimed.marker.key.clone(), head };
        self.run(&situation, &source).await
    }

    async fn look<'s>(&self, claimed: &'s Claimed) -> Result<Situation<'s>, Failure>
    where
        'a: 's,
    {
        let marker = &claimed.marker;
        let Some(dataset) = self.manifest.dataset(&marker.dataset) else {
            let message = format!(
                "the manifest has no dataset {}; run `lake apply` with it, or delete the marker {}",
                marker.dataset, claimed.key
            );
            return Err(Failure::retriable("unknown_dataset", message));
        };
        let commit_key = Kind::Commits.key(&marker.dataset, &marker.key);
        let parked_key = Kind::Parked.key(&marker.dataset, &marker.key);
        let (head, commit, parked) = futures::try_join!(
            self.cloud.source(&marker.key),
            read::<Commit>(self.cloud, &commit_key),
            read::<Parked>(self.cloud, &parked_key),
        )?;
        Ok(Situation { claimed, dataset, head, commit, parked })
    }

    /// Gives the marker of a backfill back as one that waits for a crawl.
    async fn await_crawl(&self, claimed: &Claimed) -> Result<Step, Failure> {
        let marker =
            Marker { claim: None, attempts: 0, changed_at: Some(self.cloud.now()), ..claimed.marker.clone().crawled() };
        let bytes = ledger::body(&marker);
        let condition = Condition::Matches(&claimed.etag);
        put_decisively(self.cloud, &claimed.key, bytes.clone(), condition, |there| there == bytes).await?;
        Ok(Step::Again("a version that no crawl has seen has taken the place of the one to backfill"))
    }

    /// Carries out what somebody decided and did not live to finish.
    async fn finish_left_over(&mut self, dataset: &Dataset, commit: &Versioned<Commit>) -> Result<Step, Failure> {
        let finished = finish::finish(self.cloud, dataset, commit).await.map_err(Failure::unfinished)?;
        Ok(Step::Again(match finished {
            Finished::Done(run) => {
                self.runs.push(*run);
                "an attempt left unfinished is finished"
            }
            Finished::Moved => "an attempt left unfinished was finished by another",
            Finished::RolledBack => "an attempt left unfinished is rolled back",
        }))
    }

    /// The same version was given up before. Its record is written anew, so that nobody who saw another version in
    /// the meantime removes it; and its report and its event, which whoever parked it may not have lived to see to.
    async fn confirm_parked(&self, claimed: &Claimed, parked: &Versioned<Parked>) -> Result<Step, Failure> {
        let confirmed = Parked { confirmed_at: self.cloud.now(), ..parked.value.clone() };
        let Decision::Won(etag) = park::park(self.cloud, &confirmed, Some(parked)).await? else {
            return Ok(Step::Again("the parked record changed"));
        };
        finish::file_report(self.cloud, &parked.value.run).await?;
        park::tell(self.cloud, &Versioned { value: confirmed, etag }).await?;
        self.clear(claimed, Outcome::AlreadyParked).await
    }

    /// Removes a parked record that is overtaken. It was read at about the time of the object, not after it, and may
    /// be of a newer version than the one `committed`: then it stays.
    pub(super) async fn unpark(
        &self,
        parked: Option<&Versioned<Parked>>,
        committed: Option<&str>,
    ) -> Result<(), Failure> {
        let Some(parked) = parked else { return Ok(()) };
        let etag = &parked.value.etag;
        if committed != Some(etag) {
            let head = self.cloud.source(&parked.value.key).await?;
            if head.is_some_and(|head| head.etag == *etag) {
                return Ok(());
            }
        }
        Ok(park::unpark(self.cloud, parked).await?)
    }

    /// There is no marker. An invocation that lost its own to a newer event may have decided or parked even so, and
    /// died; its retry comes here.
    pub(super) async fn tidy(&mut self, marker_key: &str) -> Result<Step, Failure> {
        let nothing = Ok(Step::Done(Outcome::NothingPending));
        let keys = Kind::Commits.key_beside(marker_key).zip(Kind::Parked.key_beside(marker_key));
        let Some((commit_key, parked_key)) = keys else { return nothing };
        let (commit, parked) =
            futures::try_join!(read::<Commit>(self.cloud, &commit_key), read::<Parked>(self.cloud, &parked_key))?;
        if let Some(parked) = parked
            && self.is_overtaken(&parked.value).await?
        {
            park::unpark(self.cloud, &parked).await?;
        }
        let Some(commit) = commit.filter(|commit| commit.value.attempt.is_some()) else { return nothing };
        match self.manifest.dataset(&commit.value.dataset) {
            Some(dataset) => self.finish_left_over(dataset, &commit).await,
            None => nothing,
        }
    }

    /// Clears the marker last; a newer event in its place is looked at.
    pub(super) async fn clear(&self, claimed: &Claimed, outcome: Outcome) -> Result<Step, Failure> {
        match ledger::clear(self.cloud, claimed).await? {
            Cleared::Gone => Ok(Step::Done(outcome)),
            Cleared::Newer => Ok(Step::Again("a newer event came")),
        }
    }

    /// Sets the object aside, unless it is another one by now.
    pub(super) async fn park(&mut self, claimed: &Claimed, failure: &Failure) -> Result<Step, Failure> {
        let marker = &claimed.marker;
        let key = Kind::Parked.key(&marker.dataset, &marker.key);
        // The record first, the object second: a record of a version newer than the one seen here then differs
        // from what was read, and is not overwritten.
        let before = read::<Parked>(self.cloud, &key).await?;
        let Some(head) = self.cloud.source(&marker.key).await? else {
            return self.clear(claimed, Outcome::Deleted).await;
        };
        if self.tried.as_ref().is_some_and(|tried| *tried != head.etag) {
            return Ok(Step::Again("the version that failed is superseded"));
        }
        let parked = self.parked(claimed, &head, failure);
        let Decision::Won(etag) = park::park(self.cloud, &parked, before.as_ref()).await? else {
            return Ok(Step::Again("somebody else parked it"));
        };
        if self.is_overtaken(&parked).await? {
            park::unpark(self.cloud, &Versioned { value: parked, etag }).await?;
            return Ok(Step::Again("while it was parked it was converted or replaced"));
        }
        finish::file_report(self.cloud, &parked.run).await?;
        self.runs.push(parked.run.clone());
        park::tell(self.cloud, &Versioned { value: parked, etag }).await?;
        self.clear(claimed, Outcome::Parked { code: failure.code.clone() }).await
    }

    /// Looks once more after the record is written: an invocation that lost its claim may be slow to give up.
    async fn is_overtaken(&self, parked: &Parked) -> Result<bool, Failure> {
        let key = Kind::Commits.key(&parked.dataset, &parked.key);
        let head = self.cloud.source(&parked.key).await?;
        // A damaged commit record may be the very reason for parking.
        let commit = read::<Commit>(self.cloud, &key).await.unwrap_or_default();
        let current = commit.and_then(|commit| commit.value.current);
        Ok(head.is_none_or(|head| head.etag != parked.etag) || parked.is_void(current.as_ref()))
    }
}

impl Situation<'_> {
    /// What readers see, if it is of this version.
    fn current(&self, head: &Head) -> Option<&Committed> {
        let current = self.commit.as_ref()?.value.current.as_ref();
        current.filter(|current| current.etag == head.etag)
    }

    /// The rows of this version are in the table. That the configuration or the plugin has changed since matters only
    /// where a person asks.
    fn is_committed(&self, head: &Head) -> bool {
        let is_asked_for = self.claimed.marker.is_asked_for();
        self.current(head).is_some_and(|current| !is_asked_for || current.stale_for(self.dataset).is_none())
    }

    /// A backfill found a version that no crawl has seen: neither was it converted before, nor given up for anything
    /// that comes after a crawl.
    fn must_be_crawled(&self, head: &Head) -> bool {
        let is_known = self.current(head).is_some()
            || self.parked.as_ref().is_some_and(|it| it.value.etag == head.etag && it.value.code != CRAWL_FAILED);
        self.dataset.catalog == CatalogMode::Crawler && self.claimed.marker.needs_no_crawl() && !is_known
    }

    /// Every crawl that the object waited for has failed.
    fn crawl_failed(&self) -> Option<Failure> {
        let crawl = self.claimed.marker.crawl.as_ref().filter(|_| self.dataset.catalog == CatalogMode::Crawler)?;
        let handed_over = crawl.handed_over.as_ref()?;
        if handed_over.crawl.is_some() {
            return None;
        }
        let reason = self.claimed.marker.last_error.as_deref().unwrap_or("the crawler gives no reason");
        let message = format!("{reason}; mend what the crawler meets, then `lake retry {}`", self.dataset.name);
        Some(Failure::permanent(CRAWL_FAILED, message))
    }

    /// The record by which this version was given up, unless a person asks for another try.
    fn parked_as(&self, head: &Head) -> Option<&Versioned<Parked>> {
        let parked = self.parked.as_ref()?;
        (parked.value.etag == head.etag && !self.claimed.marker.is_asked_for()).then_some(parked)
    }
}

/// Earlier tries ended without a word: killed, out of memory, out of time.
fn exhausted(claimed: &Claimed) -> Failure {
    let last = claimed.marker.last_error.as_deref().unwrap_or(
        "none of them came to an end; see the function's log for time-outs and memory, and consider more of both",
    );
    Failure::permanent("attempts_exhausted", format!("given up after {ATTEMPTS_MAX} attempts: {last}"))
}
