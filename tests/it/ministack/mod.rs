//! The same binary against a cloud that others wrote: [ministack](https://pypi.org/project/ministack/), an emulator of
//! AWS in Python. What it does otherwise than AWS's documentation says is left out by name, in [`LACKS`].

mod server;

use serde_json::{Value, json};
use server::Server;

use crate::{
    abroad::{Abroad, STACK, Ways},
    apply_policy,
    world::Project,
};

/// The account that its root's key names.
const ACCOUNT: &str = "123456789012";

/// What every plan changes there.
const ALWAYS: &[&str] = &["aws:cloudwatch:Dashboard/lake"];

/// What ministack 1.5.33 lacks: of what, what, and what the tests do instead.
const LACKS: &[(&str, &str, &str)] = &[
    (
        "glue:CreateCrawler",
        "forgets the tags that it is given, so that a crawler seems to be somebody else's",
        "the tests tag crawlers after each apply (glue:TagResource works)",
    ),
    (
        "cloudwatch:ListTagsForResource, TagResource, PutDashboard",
        "know tags of alarms only: whose a dashboard is cannot be told, and lake does not touch it",
        "the tests delete the dashboard after each apply; every plan makes it again",
    ),
    ("glue:StartCrawler", "makes no tables, and no event tells of its end", "only files of direct datasets are put"),
    ("iam:PassRole", "is not asked for", "that it suffices is seen on the embedded cloud"),
    ("lambda:AddPermission", "is not heeded: every service may invoke every function", "the same"),
    (
        "policies, with AUTH",
        "are asked about other resources than AWS's: `rule/default/NAME`, `table/NAME` for a crawler, `*`",
        "some statements of the documented policy hold for `*` in the tests; their actions stay",
    ),
    (
        "events:source, with AUTH",
        "is a condition key that it does not know: convert may not put the event that tells of a run",
        "with AUTH nothing is put; a function's rights are seen on the embedded cloud",
    ),
    (
        "functions' log groups",
        "come back with the next line that a function writes, whether or not its role may make them",
        "no file is put that a function would look at while the lake is destroyed",
    ),
    (
        "https",
        "is not spoken here, and lake writes no policies of buckets that refuse everything else",
        "the embedded cloud, whose loopback counts as secure, has them",
    ),
];

#[expect(clippy::print_stderr, reason = "what a test leaves out is told with --nocapture and when it fails")]
fn tell_what_is_left_out() {
    for (what, lacks, instead) in LACKS {
        eprintln!("ministack: {what}: {lacks}; {instead}");
    }
}

/// A lake on a cloud at `endpoint`. Its root's key is the account's number, with any secret.
fn lake_at(endpoint: &str) -> Abroad {
    tell_what_is_left_out();
    Abroad::new(Project::new(""), endpoint, [ACCOUNT, "x"])
}

/// Does what ministack has not done in an apply.
fn tend(abroad: &Abroad) {
    abroad.other(&["tag", STACK]);
    abroad.other(&["untaggable", STACK]);
}

#[test]
fn a_lake_is_made_changed_put_right_and_destroyed_on_a_cloud_that_others_wrote() {
    let server = Server::ministack(false);
    lake_at(&server.endpoint()).whole_life(&Ways { tend, always: ALWAYS, puts: true });
}

/// Statements of the documented policy whose resources are not those that ministack asks about.
const ASKED_ABOUT_OTHERS: &[&str] = &["Functions", "Crawlers", "Topics", "Rules", "Alarms", "Dashboards"];

/// The policy with the statements of these names about every resource.
fn without_resources(policy: &str, names: &[&str]) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        if names.iter().any(|name| statement["Sid"] == *name) {
            statement["Resource"] = "*".into();
        }
    }
    policy.to_string()
}

#[test]
fn the_documented_policy_is_enough_for_a_caller_on_a_cloud_that_others_wrote() {
    let server = Server::ministack(true);
    let mut abroad = lake_at(&server.endpoint());
    abroad.as_user(&without_resources(&apply_policy::document(ACCOUNT), ASKED_ABOUT_OTHERS));
    abroad.whole_life(&Ways { tend, always: ALWAYS, puts: false });
}

/// A rule of microburst's: what befalls the next `times` calls of a service.
fn befalls(service: &str, times: u32, what: &Value) -> Value {
    let mut rule = json!({ "service": service, "times": times });
    rule.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    rule
}

fn fails(service: &str, code: &str, status: u16, times: u32) -> Value {
    befalls(service, times, &json!({ "error": { "code": code, "status": status } }))
}

fn resets(service: &str, times: u32) -> Value {
    befalls(service, times, &json!({ "reset": true }))
}

/// The call takes effect, and its caller never hears of it.
fn loses(service: &str, operation: &str) -> Value {
    befalls(service, 1, &json!({ "operation": operation, "response": { "abort_bytes": 1 } }))
}

/// Codes and statuses in which AWS throttles and fails, connections that break, and answers that are lost.
fn storm() -> Value {
    json!([
        loses("lambda", "CreateFunction"),
        loses("iam", "CreateRole"),
        loses("sqs", "CreateQueue"),
        loses("glue", "DeleteDatabase"),
        fails("iam", "Throttling", 400, 6),
        fails("lambda", "TooManyRequestsException", 429, 6),
        fails("glue", "ThrottlingException", 400, 3),
        fails("s3", "SlowDown", 503, 6),
        fails("logs", "ServiceUnavailableException", 503, 3),
        fails("sns", "InternalError", 500, 3),
        fails("events", "ThrottlingException", 400, 3),
        resets("events", 4),
        resets("sqs", 2),
        resets("s3", 3),
    ])
}

/// Runs the command until it works. One that does not says why, and leaves what the next one goes on with.
fn until_it_works(abroad: &Abroad, args: &[&str]) {
    const RUNS_MAX: usize = 4;
    for _ in 1..RUNS_MAX {
        let ran = abroad.lake(args);
        if ran.code == 0 {
            return;
        }
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("error: ") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
        abroad.other(&["tag", STACK]);
    }
    abroad.lake(args).ok();
}

#[test]
fn an_apply_and_a_destroy_get_through_throttling_resets_and_lost_answers() {
    let cloud = Server::ministack(false);
    let weather = Server::microburst(&cloud);
    let abroad = lake_at(&weather.endpoint());
    weather.rules(&storm());
    until_it_works(&abroad, &["apply", "--yes"]);
    let met = weather.fired();
    for service in ["iam", "lambda", "glue", "s3", "events", "sqs"] {
        assert!(met.iter().any(|fault| fault.starts_with(service)), "{service}: {met:?}");
    }
    weather.rules(&json!([]));
    tend(&abroad);
    let planned = abroad.planned();
    assert_eq!(planned, ALWAYS.iter().map(|address| (*address).to_owned()).collect());
    weather.rules(&storm());
    until_it_works(&abroad, &["destroy", "--yes"]);
    weather.rules(&json!([]));
    abroad.assert_nothing_is_left();
}
