//! What must be true after a command that was cut off has been run once more.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    bucket,
    inventory::{self, without_hashes},
    scenario::{Action, Place, Scenario},
    stand::Stand,
};
use crate::world::Ran;

/// How the world looks after the command when nobody has disturbed it.
pub struct Expected {
    inventory: Vec<String>,
    /// How often each address with its identity is recorded: once.
    recorded: BTreeMap<String, usize>,
}

impl Expected {
    /// Whether there is a resource of that kind.
    pub fn has(&self, kind: &str) -> bool {
        self.recorded.keys().any(|recorded| recorded.starts_with(&format!("{kind}/")))
    }
}

/// What is not as it must be.
pub type Complaint = String;

/// Looks at a world in which the command has succeeded.
pub async fn expected(scenario: Scenario, stand: &Stand) -> Result<Expected, Complaint> {
    let expected = Expected {
        inventory: inventory::of(&stand.sdk().await).await,
        recorded: recorded(&stand.lake(&["state", "list", "--json"]).await)?,
    };
    if let Some((twice, count)) = expected.recorded.iter().find(|(_, count)| **count != 1) {
        return Err(format!("{twice} is recorded {count} times"));
    }
    match (scenario.action, expected.inventory.as_slice(), expected.recorded.is_empty()) {
        (Action::Destroy, [], true) => Ok(expected),
        (Action::Destroy, left, _) => Err(format!("destroyed, and yet there is\n{}", left.join("\n"))),
        (Action::Keep, [], _) => Err("the data are gone".to_owned()),
        (Action::Keep, _, true) => Ok(expected),
        (Action::Keep, ..) => Err("destroyed, and yet something is recorded".to_owned()),
        (_, _, true) => Err("applied, and yet nothing is recorded".to_owned()),
        _ => Ok(expected),
    }
}

/// Runs the command once more and compares the world with what it should be; then destroys to an empty cloud.
pub async fn converges(scenario: Scenario, stand: &Stand, expected: &Expected) -> Result<(), Complaint> {
    let is_held = scenario.place == Place::Bucket && bucket::is_held(&stand.sdk().await).await;
    let ran = stand.lake(scenario.command()).await;
    succeeded("the command, run once more,", &ran)?;
    took_over(stand, is_held, &ran).await?;
    is_sound(stand).await?;
    is_unlocked(scenario, stand).await?;
    let recorded = recorded(&stand.lake(&["state", "list", "--json"]).await)?;
    same("recorded", expected.recorded.iter().map(line).collect(), recorded.iter().map(line).collect())?;
    same("in the cloud", expected.inventory.clone(), inventory::of(&stand.sdk().await).await)?;
    match scenario.action {
        Action::Destroy => return Ok(()),
        Action::Keep => {}
        _ => succeeded("a plan that finds nothing to do", &stand.lake(&["plan", "--detailed-exitcode"]).await)?,
    }
    ends(scenario, stand).await
}

/// Destroys to an empty cloud.
pub async fn ends(scenario: Scenario, stand: &Stand) -> Result<(), Complaint> {
    if let Some(applied) = scenario.let_go(stand).await {
        succeeded("the apply of a lake that keeps its data no longer", &applied)?;
    }
    succeeded("the destroy at the end", &stand.lake(&["destroy", "--yes"]).await)?;
    is_sound(stand).await?;
    is_unlocked(scenario, stand).await?;
    let recorded = recorded(&stand.lake(&["state", "list", "--json"]).await)?;
    same("recorded after the destroy", Vec::new(), recorded.iter().map(line).collect())?;
    same("in the cloud after the destroy", Vec::new(), inventory::of(&stand.sdk().await).await)
}

fn line((recorded, count): (&String, &usize)) -> String {
    format!("{recorded} ({count})")
}

fn succeeded(what: &str, ran: &Ran) -> Result<(), Complaint> {
    if ran.code == 0 {
        return Ok(());
    }
    Err(format!("{what} ended with {}\nstdout:\n{}\nstderr:\n{}", ran.code, ran.stdout, ran.stderr))
}

async fn is_sound(stand: &Stand) -> Result<(), Complaint> {
    let verified = stand.lake(&["state", "verify", "--json"]).await;
    succeeded("state verify", &verified)?;
    let verified: Value = serde_json::from_str(&verified.stdout).map_err(|error| error.to_string())?;
    match verified["pending"].as_u64() {
        Some(0) => Ok(()),
        _ => Err(format!("calls without a record are left: {verified}")),
    }
}

/// The lock of whoever was killed was taken over, which is told.
async fn took_over(stand: &Stand, was_held: bool, ran: &Ran) -> Result<(), Complaint> {
    match (was_held, ran.stderr.contains("took over the lock of")) {
        (true, true) | (false, false) => Ok(()),
        // It needed none, and has left it as it was.
        (true, false) if ran.stdout.contains("nothing to destroy") => {
            succeeded("state unlock", &stand.lake(&["state", "unlock", "--yes"]).await)
        }
        (true, false) => Err(format!("whose lock was taken over is not told:\n{}", ran.stderr)),
        (false, true) => Err(format!("a lock was taken over that nobody had:\n{}", ran.stderr)),
    }
}

/// A lock in a folder ends with its process.
async fn is_unlocked(scenario: Scenario, stand: &Stand) -> Result<(), Complaint> {
    match scenario.place == Place::Bucket && bucket::is_held(&stand.sdk().await).await {
        true => Err("the command has ended, and its lock is still held".to_owned()),
        false => Ok(()),
    }
}

/// Addresses and identities in the state, with how often each is there.
fn recorded(listed: &Ran) -> Result<BTreeMap<String, usize>, Complaint> {
    succeeded("state list", listed)?;
    let state: Value = serde_json::from_str(&listed.stdout).map_err(|error| error.to_string())?;
    if state["deposed"].as_array().is_some_and(|deposed| !deposed.is_empty()) {
        return Err(format!("something is still to be deleted: {}", state["deposed"]));
    }
    let mut recorded = BTreeMap::new();
    for resource in state["resources"].as_object().into_iter().flat_map(serde_json::Map::values) {
        let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
        *recorded.entry(without_hashes(&format!("{} {}", text("address"), text("identity")))).or_default() += 1;
    }
    Ok(recorded)
}

fn same(where_: &str, expected: Vec<String>, found: Vec<String>) -> Result<(), Complaint> {
    if expected == found {
        return Ok(());
    }
    let without = |these: &[String], others: &[String], sign: &str| -> Vec<String> {
        let mut others = others.to_vec();
        let is_extra = |line: &&String| match others.iter().position(|other| other == *line) {
            Some(place) => {
                others.swap_remove(place);
                false
            }
            None => true,
        };
        these.iter().filter(is_extra).map(|line| format!("{sign} {line}")).collect()
    };
    let (missing, extra) = (without(&expected, &found, "-"), without(&found, &expected, "+"));
    Err(format!("{where_}, it is not as it should be:\n{}", [missing, extra].concat().join("\n")))
}
