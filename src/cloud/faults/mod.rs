//! Faults on request: a plan of what is to go wrong, and how often. What AWS only promises "at least once", "best
//! effort" or "retry on 5xx" can be seen to happen here, with a seed that repeats the dice (not the order in which
//! concurrent requests come to throw them).
//!
//! - **Events** between services: [`delivery`](Faults::delivery). Only those are lost that AWS may lose: S3's event
//!   notifications and the events of services (`aws.glue`), which are best effort. All may come twice, late, and so in
//!   another order.
//! - **Requests**: [`request`](Faults::request). Throttled, failed with 5xx before their effect, or answered with a
//!   broken connection after it.
//! - **Functions** are killed before or after one of their requests took effect.
//! - **The cloud** kills itself at a request, as a crash would.

mod admin;
mod delayed;
mod dice;
mod plan;
mod victims;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use serde::Serialize;

pub use admin::{Admin, AdminError, Current, SCOPE, clear, read, set};
pub use delayed::Delayed;
pub use plan::{CloudFaults, EventFaults, FunctionFaults, Plan, RequestFaults};
pub use victims::{Victim, Victims};

use self::dice::Dice;
use super::{
    delivery::Sender,
    error::ApiError,
    service::Caller,
    store::{Store, StoreError, Table},
};

/// The plan, under its only key.
const PLAN: Table<Plan> = Table::new("faults.plan");
const KEY: &str = "plan";

/// What becomes of a message from one service to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It arrives.
    Once,
    /// It arrives twice.
    Twice,
    /// It never arrives.
    Lost,
    /// It arrives this many milliseconds later.
    Late(u64),
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is refused with this error and has no effect.
    Refused(ApiError),
    /// It takes effect, and the connection breaks before the answer.
    AnswerLost,
}

/// How often each fault has happened since the plan was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Counts {
    /// Events that never arrived.
    pub events_lost: u64,
    /// Events that arrived twice.
    pub events_twice: u64,
    /// Events that arrived late.
    pub events_late: u64,
    /// Requests that were throttled.
    pub throttled: u64,
    /// Requests that failed before their effect.
    pub failed: u64,
    /// Requests whose answer was lost.
    pub answers_lost: u64,
    /// Functions that were killed.
    pub functions_killed: u64,
}

/// The plan in force. Without one every question is answered at once, and nothing goes wrong.
#[derive(Default)]
pub struct Faults {
    active: Mutex<Option<Active>>,
    /// Processes of functions, by the access key that they work with.
    victims: Arc<Victims>,
}

struct Active {
    plan: Plan,
    dice: Dice,
    counts: Counts,
    requests: AtomicU64,
}

impl Active {
    fn new(plan: Plan) -> Active {
        Active { dice: Dice::new(plan.seed), plan, counts: Counts::default(), requests: AtomicU64::new(0) }
    }
}

impl Faults {
    /// The faults that an earlier cloud on this store was told to make, or none.
    pub fn open(store: &Store) -> Result<Arc<Faults>, StoreError> {
        let plan = store.read(|tx| PLAN.get(tx, KEY))?;
        Ok(Arc::new(Faults { active: Mutex::new(plan.map(Active::new)), victims: Arc::default() }))
    }

    /// Where functions' processes are entered.
    pub fn victims(&self) -> &Arc<Victims> {
        &self.victims
    }

    /// Puts `plan` into force; `None` ends all faults. Written down before, so that it outlives the cloud.
    async fn set(&self, store: &Arc<Store>, plan: Option<Plan>) -> Result<(), StoreError> {
        let stored = plan.clone();
        let written = store.commit(move |tx| match &stored {
            Some(plan) => PLAN.put(tx, KEY, plan),
            None => PLAN.delete(tx, KEY).map(drop),
        });
        written.await?;
        *self.lock() = plan.map(Active::new);
        Ok(())
    }

    /// The plan in force and what it has done.
    fn current(&self) -> Option<(Plan, Counts)> {
        self.lock().as_ref().map(|active| (active.plan.clone(), active.counts))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a message that `sender` sends to `target`.
    pub fn delivery(&self, sender: &Sender, target: &str) -> Delivery {
        let mut active = self.lock();
        let Some(Active { plan: Plan { events, .. }, dice, counts, .. }) = active.as_mut() else {
            return Delivery::Once;
        };
        if may_be_lost(sender, target) && dice.falls(events.drop) {
            counts.events_lost += 1;
            Delivery::Lost
        } else if dice.falls(events.duplicate) {
            counts.events_twice += 1;
            Delivery::Twice
        } else if dice.falls(events.delay) {
            counts.events_late += 1;
            Delivery::Late(dice.up_to(events.delay_ms_max))
        } else {
            Delivery::Once
        }
    }

    /// What becomes of a request of `caller` to `service`. A function may lose its life over it.
    pub fn request(&self, store: &Store, caller: &Caller, access_key_id: &str, service: &str) -> Fate {
        let mut active = self.lock();
        let Some(Active { plan, dice, counts, requests }) = active.as_mut() else { return Fate::Answered };
        if service == SCOPE {
            return Fate::Answered;
        }
        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        if plan.cloud.kill_at_request == Some(number) {
            let spared = Plan { cloud: CloudFaults::default(), ..plan.clone() };
            end_of_the_cloud(store, &spared);
        }
        let concerned = plan.requests.everyone || caller.arn.contains(":assumed-role/");
        if !concerned || !plan.requests.concerns(service) {
            return Fate::Answered;
        }
        let victim = dice.falls(plan.functions.kill) && self.victims.has(access_key_id);
        let fate = if dice.falls(plan.requests.throttle) {
            counts.throttled += 1;
            Fate::Refused(throttled(service))
        } else if dice.falls(plan.requests.fail) {
            counts.failed += 1;
            Fate::Refused(failed())
        } else if dice.falls(plan.requests.lose_answer) || (victim && dice.falls(0.5)) {
            counts.answers_lost += 1;
            Fate::AnswerLost
        } else {
            Fate::Answered
        };
        if victim {
            counts.functions_killed += 1;
            self.victims.kill(access_key_id);
        }
        fate
    }
}

/// S3's notifications and services' own events are best effort; the rest is delivered at least once.
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/event-delivery-level.html>
fn may_be_lost(sender: &Sender, target: &str) -> bool {
    let of_s3 = matches!(sender, Sender::Service(source) if source.principal == "s3.amazonaws.com");
    let onto_bus = target.contains(":event-bus/") && matches!(sender, Sender::Service(_));
    of_s3 || onto_bus
}

/// As the services word it.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn throttled(service: &str) -> ApiError {
    match service {
        "s3" => ApiError::with_status(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."),
        "lambda" => ApiError::with_status(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded."),
        "iam" | "sts" | "sns" => ApiError::client("Throttling", "Rate exceeded"),
        _ => ApiError::client("ThrottlingException", "Rate exceeded"),
    }
}

fn failed() -> ApiError {
    ApiError::with_status(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "We encountered an internal error. Please try again.",
    )
}

/// Ends this process as a crash would, once what is to go wrong next time no longer says so.
fn end_of_the_cloud(store: &Store, plan: &Plan) {
    if let Err(error) = store.write(|tx| PLAN.put(tx, KEY, plan)) {
        tracing::error!(%error, "the cloud was to kill itself, but could not write down that it has");
        return;
    }
    tracing::warn!("the plan of faults kills the cloud");
    // A process can always signal itself.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(plan: Plan) -> (tempfile::TempDir, Arc<Store>, Faults) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store, Faults { active: Mutex::new(Some(Active::new(plan))), victims: Arc::default() })
    }

    fn caller(arn: &str) -> Caller {
        Caller { arn: arn.into(), user_id: "u".into() }
    }

    const SESSION: &str = "arn:aws:sts::000000000000:assumed-role/convert/convert";
    const BUS: &str = "arn:aws:events:eu-west-1:000000000000:event-bus/default";

    #[test]
    fn without_a_plan_nothing_goes_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let faults = Faults::default();
        let s3 = Sender::service("s3.amazonaws.com", "arn:aws:s3:::raw");
        assert_eq!(faults.delivery(&s3, "arn:aws:lambda:eu-west-1:000000000000:function:f"), Delivery::Once);
        assert_eq!(faults.request(&store, &caller(SESSION), "AKIA", "s3"), Fate::Answered);
    }

    #[test]
    fn only_what_is_best_effort_is_lost() {
        let events = EventFaults { drop: 1.0, ..EventFaults::default() };
        let (_folder, _store, faults) = faults(Plan { events, ..Plan::default() });
        let function = "arn:aws:lambda:eu-west-1:000000000000:function:f";
        let of = |principal: &str| Sender::service(principal, "arn:aws:x:::y");
        assert_eq!(faults.delivery(&of("s3.amazonaws.com"), function), Delivery::Lost);
        assert_eq!(faults.delivery(&of("glue.amazonaws.com"), BUS), Delivery::Lost);
        assert_eq!(faults.delivery(&of("events.amazonaws.com"), function), Delivery::Once);
        assert_eq!(faults.delivery(&of("sns.amazonaws.com"), function), Delivery::Once);
    }

    #[test]
    fn requests_of_people_are_left_alone_unless_the_plan_says_everyone() {
        let requests = RequestFaults { throttle: 1.0, ..RequestFaults::default() };
        let (_folder, store, faults_) = faults(Plan { requests: requests.clone(), ..Plan::default() });
        let root = caller("arn:aws:iam::000000000000:root");
        assert_eq!(faults_.request(&store, &root, "AKIA", "s3"), Fate::Answered);
        let Fate::Refused(error) = faults_.request(&store, &caller(SESSION), "AKIA", "s3") else { panic!("throttled") };
        assert_eq!(error.code, "SlowDown");
        let everyone = RequestFaults { everyone: true, services: vec!["glue".into()], ..requests };
        let (_folder, store, faults) = faults(Plan { requests: everyone, ..Plan::default() });
        assert_eq!(faults.request(&store, &root, "AKIA", "s3"), Fate::Answered);
        assert!(matches!(faults.request(&store, &root, "AKIA", "glue"), Fate::Refused(_)));
    }

    #[tokio::test]
    async fn a_plan_outlives_the_cloud_and_ends_when_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let faults = Faults::open(&store).unwrap();
        let plan = Plan { seed: 7, ..Plan::default() };
        faults.set(&store, Some(plan.clone())).await.unwrap();
        assert_eq!(Faults::open(&store).unwrap().current().unwrap().0, plan);
        faults.set(&store, None).await.unwrap();
        assert!(Faults::open(&store).unwrap().current().is_none());
    }
}
