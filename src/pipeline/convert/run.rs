//! The conversion itself and its decision.

use std::time::Duration;

use futures::future::join_all;

use super::{Converter, Outcome, Step, round::Situation};
use crate::{
    dataset::Dataset,
    executor::Report,
    pipeline::{
        Failure, cost,
        finish::{self, Finished},
        ledger::{
            self, Attempt, Claimed, Commit, Decision, Kind, LEDGER_FORMAT, Parked, Role, Run, RunOutcome, Versioned,
            put_decisively, run_id,
        },
        ports::{Cloud, Condition, EngineError, Head, Job, Product, Shape, SourceObject, Table, Upload},
        schema::{self, Refused, Target, Terms, Unsettled},
    },
};

const CHANGED: Step = Step::Again("the object changed while it was read");

impl<C: Cloud> Converter<'_, C> {
    /// Converts `source` into the next generation, decides, finishes, clears.
    pub(super) async fn run(&mut self, situation: &Situation<'_>, source: &SourceObject) -> Result<Step, Failure> {
        let claimed = situation.claimed;
        self.tried = Some(source.head.etag.clone());
        let terms = Terms {
            may_replace: claimed.marker.may_replace_columns(situation.dataset),
            work_ends_at: self.invocation.work_ends_at(),
        };
        let target = match schema::settle(self.cloud, situation.dataset, source, terms).await {
            Ok(target) => target,
            Err(Unsettled::Changed) => return Ok(CHANGED),
            Err(Unsettled::Failed(failure)) => return Err(failure),
        };
        let base = match &situation.commit {
            Some(commit) => commit.value.clone(),
            None => Commit::new(&claimed.marker.dataset, &claimed.marker.key),
        };
        let converted = self.converted(situation.dataset, source, terms, target, base.generation + 1).await;
        let (Target { shape, replaces, added, .. }, product) = match converted {
            Ok(converted) => converted,
            Err(Unsettled::Changed) => return Ok(CHANGED),
            Err(Unsettled::Failed(failure)) => return Err(failure),
        };
        // Not before the transform has shown on a whole object that it can do it.
        if let Some(table) = &replaces
            && !self.replace_columns(situation.dataset, table, &shape, &product).await?
        {
            return Ok(Step::Again("the table changed while the object was converted"));
        }
        let mut attempt = self.attempt(situation, &source.head, &base, shape, product);
        attempt.run.new_columns = added;
        let Some(commit) = self.decide(situation.commit.as_ref(), &base, attempt).await? else {
            return Ok(Step::Again("somebody else decided first"));
        };
        let finished = finish::finish(self.cloud, situation.dataset, &commit).await;
        match finished.map_err(Failure::unfinished)? {
            Finished::Done(run) => self.runs.push(*run),
            Finished::Moved => return Ok(Step::Again("somebody else finished our attempt")),
            Finished::RolledBack => return Ok(Step::Again("our uploads are gone")),
        }
        self.unpark(situation.parked.as_ref(), Some(&source.head.etag)).await?;
        let run = self.runs.last().map(|run| run.id.clone()).unwrap_or_default();
        self.clear(claimed, Outcome::Committed { run }).await
    }

    /// The uploads of this source, and what they were made for: where it brings columns that the table does not have,
    /// the table may get them, once.
    async fn converted(
        &self,
        dataset: &Dataset,
        source: &SourceObject,
        terms: Terms,
        target: Target<C::Dialect>,
        generation: u64,
    ) -> Result<(Target<C::Dialect>, Product), Unsettled> {
        let (unknown, message) = match self.product(dataset, source, &target, generation).await {
            Ok(product) => return Ok((target, product)),
            Err(EngineError::UnknownColumns { names, message }) => (names, message),
            Err(error) => return Err(Unsettled::of(error)),
        };
        let refused = Refused { target, unknown, message };
        let target = schema::evolve(self.cloud, dataset, source, terms, refused).await?;
        let product = self.product(dataset, source, &target, generation).await.map_err(Unsettled::of)?;
        Ok((target, product))
    }

    /// The uploads of this source, or none of them when there is no row to write.
    async fn product(
        &self,
        dataset: &Dataset,
        source: &SourceObject,
        target: &Target<C::Dialect>,
        generation: u64,
    ) -> Result<Product, EngineError> {
        if target.input.is_empty() {
            let mut report = nothing(dataset);
            report.bytes_read = source.head.bytes;
            report.stages.infer_ms = target.infer_ms;
            return Ok(Product { report, data: Vec::new(), rejects: None });
        }
        let job = Job {
            dataset,
            source,
            columns: &target.input,
            work_ends_at: self.invocation.work_ends_at(),
            dialect: target.dialect.clone(),
            generation,
        };
        let mut product = self.cloud.convert(job).await?;
        product.report.stages.infer_ms = target.infer_ms;
        Ok(product)
    }

    /// Gives the table the columns of what was converted. Unless it has them then, the uploads are aborted.
    async fn replace_columns(
        &self,
        dataset: &Dataset,
        table: &Table,
        shape: &Shape,
        product: &Product,
    ) -> Result<bool, Failure> {
        let replaced = schema::replace_columns(self.cloud, dataset, table, shape).await;
        if replaced != Ok(true) {
            self.abort_all(product.data.iter().chain(&product.rejects)).await;
        }
        Ok(replaced?)
    }

    /// PUTs the commit record: the decision. `None` when somebody else decided first; our uploads are aborted then.
    /// After an error nothing is known, so the uploads stay: the record may refer to them.
    async fn decide(
        &self,
        before: Option<&Versioned<Commit>>,
        base: &Commit,
        attempt: Attempt,
    ) -> Result<Option<Versioned<Commit>>, Failure> {
        let key = Kind::Commits.key(&base.dataset, &base.key);
        let condition = before.map_or(Condition::Absent, |before| Condition::Matches(&before.etag));
        let decided = base.decide(attempt.clone());
        let bytes = ledger::body(&decided);
        match put_decisively(self.cloud, &key, bytes.clone(), condition, |there| there == bytes).await? {
            Decision::Won(etag) => Ok(Some(Versioned { value: decided, etag })),
            Decision::Lost => {
                // Should another have finished ours in the meantime, they are completed, and this does nothing.
                self.abort_all(attempt.uploads.iter().map(|(_, upload)| upload)).await;
                Ok(None)
            }
        }
    }

    async fn abort_all(&self, uploads: impl Iterator<Item = &Upload>) {
        for result in join_all(uploads.map(|upload| self.cloud.abort(upload))).await {
            if let Err(error) = result {
                tracing::warn!(%error, "an upload of ours was not aborted; the bucket's lifecycle rule removes it");
            }
        }
    }

    fn attempt(
        &self,
        situation: &Situation<'_>,
        head: &Head,
        base: &Commit,
        shape: Shape,
        product: Product,
    ) -> Attempt {
        let generation = base.generation + 1;
        let config_hash = situation.dataset.config_hash();
        let mut run = self.report(situation.claimed, head, RunOutcome::Committed, product.report);
        run.generation = Some(generation);
        let data = product.data.into_iter().map(|upload| (Role::Data, upload));
        let rejects = product.rejects.map(|upload| (Role::Rejects, upload));
        Attempt {
            id: uuid::Uuid::new_v4().simple().to_string(),
            generation,
            etag: head.etag.clone(),
            config_hash,
            plugin_hash: situation.dataset.plugin_hash().map(str::to_owned),
            uploads: data.chain(rejects).collect(),
            columns: shape.columns,
            source_columns: shape.source_columns,
            decided_at: run.decided_at,
            run,
        }
    }

    /// The record by which `head` is given up for `failure`.
    pub(super) fn parked(&self, claimed: &Claimed, head: &Head, failure: &Failure) -> Parked {
        let report = self.manifest.dataset(&claimed.marker.dataset).map(nothing).unwrap_or_default();
        let mut run = self.report(claimed, head, RunOutcome::Parked, report);
        run.error = Some((failure.code.clone(), failure.message.clone()));
        Parked {
            format: LEDGER_FORMAT,
            dataset: run.dataset.clone(),
            key: run.key.clone(),
            etag: head.etag.clone(),
            code: failure.code.clone(),
            message: failure.message.clone(),
            parked_at: run.decided_at,
            confirmed_at: run.decided_at,
            attempts: claimed.marker.attempts,
            told: false,
            run,
        }
    }

    fn report(&self, claimed: &Claimed, head: &Head, outcome: RunOutcome, report: Report) -> Run {
        let (invocation, now) = (self.invocation, self.cloud.now());
        let took = Duration::try_from(now.duration_since(invocation.started_at)).unwrap_or_default();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Run {
            format: LEDGER_FORMAT,
            id: run_id(now),
            dataset: claimed.marker.dataset.clone(),
            key: claimed.marker.key.clone(),
            etag: head.etag.clone(),
            outcome,
            generation: None,
            error: None,
            new_columns: Vec::new(),
            report,
            request_id: invocation.request_id.clone(),
            attempt: claimed.marker.attempts,
            noted_at: claimed.marker.noted_at,
            started_at: invocation.started_at,
            decided_at: now,
            duration_ms,
            cost_usd: cost::estimate_usd(invocation.memory_mb, duration_ms),
        }
    }
}

/// The report of a conversion that has not begun.
fn nothing(dataset: &Dataset) -> Report {
    let plugin_hash = dataset.plugin_hash().map(str::to_owned);
    Report { config_hash: dataset.config_hash(), plugin_hash, ..Report::default() }
}
