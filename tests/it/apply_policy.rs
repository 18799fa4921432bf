//! The policy of `docs/policy-apply.json`: with it, and nothing else, a lake is made, changed, found again when its state
//! is lost, and destroyed; and there is no action in it that this does not take.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    abroad::{Abroad, REGION, STACK, Ways},
    world::Project,
};

/// The policy as it stands in the documentation, for the lake `flights` and its stack `prod`.
const DOCUMENTED: &str = include_str!("../../docs/policy-apply.json");

/// Largest managed policy, characters without white space
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
const MANAGED_POLICY_MAX: usize = 6_144;

/// The account of the embedded cloud.
const EMBEDDED: &str = "000000000000";

/// Actions that the tests below do not come to, and why a lake needs them all the same.
const NOT_MET: &[(&str, &str)] = &[
    ("glue:StopCrawler", "a crawl is under way when its crawler is changed or deleted"),
    ("s3:DeleteObject", "DeleteObjects asks for it always, says its page; it is not asked here about a version"),
    ("s3:PutBucketTagging", "an S3 that does not take tags with CreateBucket"),
    ("sns:Unsubscribe", "an address whose link somebody has followed is taken out of `alerts`"),
];

/// The documented policy for the lake and the stack of these tests, in this account.
pub fn document(account: &str) -> String {
    DOCUMENTED
        .replace("123456789012", account)
        .replace("eu-west-1", REGION)
        .replace("flights-prod", &format!("shop-{STACK}"))
        .replace("flights_prod", &format!("shop_{STACK}"))
}

/// Statement and action, of each that the policy has.
fn rights() -> BTreeSet<(String, String)> {
    let policy: Value = serde_json::from_str(DOCUMENTED).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let of = |statement: &Value| {
        let sid = statement["Sid"].as_str().unwrap().to_owned();
        let actions = match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            one => vec![one.clone()],
        };
        actions.into_iter().map(move |action| (sid.clone(), action.as_str().unwrap().to_owned()))
    };
    statements.iter().flat_map(of).collect()
}

/// One decision of the embedded cloud, as its log tells it.
struct Decision(BTreeMap<String, String>);

impl Decision {
    fn get(&self, member: &str) -> &str {
        self.0.get(member).map_or("", String::as_str)
    }
}

/// What the cloud has decided since its log had this length.
fn decisions(project: &Project, since: usize) -> Vec<Decision> {
    let log = std::fs::read_to_string(project.path().join("state/cloud/server.log")).unwrap();
    let decided = log[since..].lines().filter_map(|line| line.split_once("lake::authorised: "));
    let members = |(_, members): (&str, &str)| {
        let members = members.split("\" ").filter_map(|member| member.split_once("=\""));
        Decision(members.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect())
    };
    decided.map(members).collect()
}

fn log_length(project: &Project) -> usize {
    std::fs::metadata(project.path().join("state/cloud/server.log")).unwrap().len() as usize
}

/// A lake on an embedded cloud that tells of each of its decisions, as if it were somebody else's.
fn abroad() -> Abroad {
    let project = Project::new(crate::world::ORDERS);
    let told = [("LAKE_LOG".to_owned(), "lake::authorised=debug".to_owned())];
    project.lake_with(&told, &["cloud", "start"]).ok();
    let env = project.lake(&["cloud", "env", "--shell", "json"]).document();
    let text = |name: &str| env[name].as_str().unwrap().to_owned();
    let key = [text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY")];
    Abroad::new(project, &text("AWS_ENDPOINT_URL"), [&key[0], &key[1]])
}

/// A dataset that says how its files are written, which its crawler is told by a classifier.
fn described(delimiter: &str) -> String {
    format!("\n[dataset.tides]\nsource = \"tides/\"\n\n[dataset.tides.csv]\ndelimiter = \"{delimiter}\"\n")
}

#[test]
fn the_documented_policy_is_enough_and_has_nothing_that_is_not_needed() {
    let mut abroad = abroad();
    abroad.as_user(&document(EMBEDDED));
    abroad.whole_life(&Ways { tend: |_| (), always: &[], puts: true });
    // Buckets that have stayed are taken up again.
    abroad.declare(&[], "", "retain");
    abroad.lake(&["apply", "--yes"]).ok();
    abroad.lake(&["destroy", "--yes"]).ok();
    abroad.declare(&[], &described(";"), "delete");
    abroad.lake(&["apply", "--yes"]).ok();
    abroad.declare(&[], &described("|"), "delete");
    abroad.lake(&["apply", "--yes"]).ok();
    std::fs::remove_dir_all(abroad.project.path().join("state").join(STACK)).unwrap();
    abroad.lake(&["state", "recover", "--yes"]).ok();
    assert_eq!(abroad.planned(), BTreeSet::new(), "all of a lost state was found");
    abroad.lake(&["destroy", "--yes"]).ok();
    abroad.assert_nothing_is_left();

    let mut used = BTreeSet::new();
    for decision in decisions(&abroad.project, 0) {
        if decision.get("who").ends_with(":user/deployer") {
            assert_eq!(decision.get("decision"), "allow", "{} on {}", decision.get("action"), decision.get("resource"));
            used.insert((decision.get("statement").to_owned(), decision.get("action").to_owned()));
        }
    }
    // An endpoint without TLS has no policies of buckets; the stack of the project's own cloud has.
    let since = log_length(&abroad.project);
    abroad.project.lake(&["apply", "--yes"]).ok();
    abroad.project.lake(&["destroy", "--yes"]).ok();
    let rights = rights();
    for decision in decisions(&abroad.project, since) {
        let action = decision.get("action");
        if decision.get("who").ends_with(":root") && action.ends_with("BucketPolicy") {
            used.extend(rights.iter().filter(|(_, right)| right == action).cloned());
        }
    }
    let not_met: BTreeSet<&str> = NOT_MET.iter().map(|(action, _)| *action).collect();
    let unused: Vec<_> = rights.difference(&used).filter(|(_, action)| !not_met.contains(action.as_str())).collect();
    assert!(unused.is_empty(), "no call has needed {unused:?}");
    let met: Vec<_> = used.iter().filter(|(_, action)| not_met.contains(action.as_str())).collect();
    assert!(met.is_empty(), "{met:?} are needed after all");
}

#[test]
fn the_documented_policy_fits_into_a_managed_one() {
    let characters = DOCUMENTED.chars().filter(|letter| !letter.is_whitespace()).count();
    assert!(characters <= MANAGED_POLICY_MAX, "{characters} characters");
}
