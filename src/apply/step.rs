//! One step: begin → call → record. Nothing else talks to the cloud's mutating side.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Event, Observer, Recorder, StepError};
use crate::{
    plan::{Desired, Operation, Step},
    provider::{Kind, Observed, Patience, Provider, ProviderError, Target},
    refresh::{is_ours, ownership_tags},
    resource::{Fields, Naming, Ownership, Packed, Schema, is_unknown, resolve},
    state::{Intent, Recorded, Snapshot},
};

/// Runs one step to its record.
pub(super) async fn run(
    step: &Step,
    provider: &Provider,
    recorder: &Recorder,
    cancel: &CancellationToken,
    observer: Observer<'_>,
) -> Result<(), StepError> {
    let (kind, patience) = (provider.kind(step.address.kind())?, provider.patience());
    let run = Run { step, kind, patience, recorder, cancel, observer };
    match &step.operation {
        Operation::Create(desired) => run.create(desired).await,
        Operation::Update(desired) => run.update(desired).await,
        Operation::Note(desired) => {
            let current = Recorded::clone(&run.current());
            let recorded = Recorded { dependencies: desired.dependencies.clone(), retain: desired.retain, ..current };
            Ok(recorder.record(recorded).await?)
        }
        Operation::Delete => run.delete(&run.current(), false).await,
        Operation::DeleteDeposed(identity) => match run.deposed(identity) {
            Some(old) => run.delete(&old, true).await,
            None => Ok(()),
        },
        Operation::Forget => Ok(recorder.remove(&run.current(), false, true).await?),
        Operation::ForgetDeposed(identity) => match run.deposed(identity) {
            Some(old) => Ok(recorder.remove(&old, true, true).await?),
            None => Ok(()),
        },
    }
}

struct Run<'a> {
    step: &'a Step,
    kind: &'a dyn Kind,
    patience: &'a Patience,
    recorder: &'a Recorder,
    cancel: &'a CancellationToken,
    observer: Observer<'a>,
}

impl Run<'_> {
    /// Observe → ensure: what is there and ours is brought to what it should be, what is not there is made, what is
    /// not ours is refused.
    async fn create(&self, desired: &Desired) -> Result<(), StepError> {
        let (planned, inputs) = self.planned(desired)?;
        self.check_held(desired, &planned)?;
        let target = Target { identity: &planned.identity, inputs: &inputs };
        let observed = self.patiently(|| self.kind.observe(target)).await?;
        if let Some(observed) = &observed {
            self.check_owner(&planned, observed)?;
        }
        self.begin(&planned, "create", observed.is_none()).await?;
        let tags = self.tags(&planned);
        let outputs = match &observed {
            Some(observed) => self.patiently(|| self.kind.update(target, &observed.inputs, &tags)).await?,
            None => self.patiently(|| self.kind.create(target, &tags)).await?,
        };
        Ok(self.recorder.record(Recorded { outputs: outputs.into(), ..planned }).await?)
    }

    async fn update(&self, desired: &Desired) -> Result<(), StepError> {
        let current = self.current();
        let (planned, inputs) = self.planned(desired)?;
        let planned = Recorded { identity: current.identity.clone(), ..planned };
        let (target, prior) = (Target { identity: &planned.identity, inputs: &inputs }, current.inputs.unpack());
        self.begin(&planned, "update", false).await?;
        let tags = self.tags(&planned);
        let outputs = self.patiently(|| self.kind.update(target, &prior, &tags)).await?;
        Ok(self.recorder.record(Recorded { outputs: outputs.into(), ..planned }).await?)
    }

    async fn delete(&self, gone: &Recorded, deposed: bool) -> Result<(), StepError> {
        let inputs = gone.inputs.unpack();
        let target = Target { identity: &gone.identity, inputs: &inputs };
        self.begin(gone, "delete", false).await?;
        self.patiently(|| self.kind.delete(target)).await?;
        Ok(self.recorder.remove(gone, deposed, false).await?)
    }

    async fn begin(&self, planned: &Recorded, operation: &str, observed_absent: bool) -> Result<(), StepError> {
        let intent = Intent { planned: planned.clone(), operation: operation.to_owned(), observed_absent };
        Ok(self.recorder.intend(intent).await?)
    }

    /// What the resource is to be, and its inputs, with every reference resolved from what is recorded.
    fn planned(&self, desired: &Desired) -> Result<(Recorded, Fields), StepError> {
        let inputs: Fields = self.recorder.read(|snapshot| {
            let resolved = |value| resolve(value, &|reference| snapshot.output(reference));
            desired.inputs.iter().map(|(name, value)| (name.clone(), resolved(value))).collect()
        });
        if let Some((name, value)) = inputs.iter().find(|(_, value)| is_unknown(value)) {
            return Err(StepError::Unresolved(format!("{value} for its field {name}")));
        }
        let identity = self.kind.schema().naming.identity(desired.name.as_deref(), &inputs);
        let identity = identity.ok_or_else(|| StepError::Unresolved("its name".to_owned()))?;
        let recorded = Recorded {
            address: self.step.address.clone(),
            generation: desired.generation,
            identity,
            inputs: Packed::from(&inputs),
            outputs: Packed::default(),
            dependencies: desired.dependencies.clone(),
            retain: desired.retain,
        };
        Ok((recorded, inputs))
    }

    fn tags(&self, planned: &Recorded) -> crate::provider::Tags {
        self.recorder.read(|snapshot| ownership_tags(snapshot, &planned.address, planned.generation))
    }

    /// A name that was not known to the plan may be that of another resource, which goes only later.
    fn check_held(&self, desired: &Desired, planned: &Recorded) -> Result<(), StepError> {
        let Naming::Fields(fields) = self.kind.schema().naming else { return Ok(()) };
        if !fields.iter().any(|field| desired.inputs.get(*field).is_some_and(is_unknown)) {
            return Ok(());
        }
        let (kind, identity) = (planned.address.kind(), &planned.identity);
        let has_it = |other: &&Arc<Recorded>| {
            other.identity == *identity && other.address.kind() == kind && other.address != planned.address
        };
        let holder = self.recorder.read(|snapshot| snapshot.resources.values().find(has_it).cloned());
        match holder {
            Some(holder) => Err(StepError::Held { identity: identity.clone(), by: holder.address.clone() }),
            None => Ok(()),
        }
    }

    fn check_owner(&self, planned: &Recorded, observed: &Observed) -> Result<(), StepError> {
        let foreign = || StepError::Foreign { identity: planned.identity.clone() };
        let Schema { ownership, naming, .. } = *self.kind.schema();
        match ownership {
            Ownership::Tags if !self.recorder.read(|snapshot| is_ours(snapshot, &planned.address, observed)) => {
                Err(foreign())
            }
            // Had a call of ours made it, refreshing would have found that call's intent; or it was left here.
            Ownership::Intent if !self.recorder.read(|snapshot| was_ours(snapshot, planned, naming)) => Err(foreign()),
            // Its parent is ours, hence so is the part; a kind that shares its parent with others (a notification
            // document) refuses their entries itself.
            Ownership::Tags | Ownership::Intent | Ownership::Parent(_) => Ok(()),
        }
    }

    fn current(&self) -> Arc<Recorded> {
        let current = self.recorder.read(|snapshot| snapshot.resources.get(&self.step.address).cloned());
        current.expect("BUG: the plan changes a resource that the state does not have")
    }

    /// What is still to be deleted; `None` when a step has made it current again, whose name was not known before.
    fn deposed(&self, identity: &str) -> Option<Arc<Recorded>> {
        let matches = |old: &&Arc<Recorded>| old.address == self.step.address && old.identity == identity;
        self.recorder.read(|snapshot| snapshot.deposed.iter().find(matches).cloned())
    }

    /// Calls with the provider's patience, and tells why it waits.
    async fn patiently<R, F: Future<Output = Result<R, ProviderError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<R, ProviderError> {
        self.patience.call(call, self.cancel, |error| (self.observer)(Event::Waiting(self.step, error))).await
    }
}

/// Whether the state knows that what bears the name is this stack's: it is still to be deleted, or was left in the cloud
/// under a name that nobody else has. Of what is named by its inputs, a tombstone does not say which name it had.
fn was_ours(snapshot: &Snapshot, planned: &Recorded, naming: Naming) -> bool {
    let is_it = |old: &Arc<Recorded>| old.address == planned.address && old.identity == planned.identity;
    let left = snapshot.tombstones.get(&planned.address).is_some_and(|tombstone| tombstone.retained);
    snapshot.deposed.iter().any(is_it) || left && matches!(naming, Naming::Physical { .. })
}
