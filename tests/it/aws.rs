//! A small lake on real AWS, for those who have an account and ask for it (`docs/aws.md`, "Trying it on your account"):
//! it is made, fed, read and destroyed. The same steps run against the embedded cloud as another endpoint.

use crate::{
    abroad::variables,
    world::{ORDERS, Project},
};

/// Says that resources may be made, and cost money, in the account of the tester's credentials.
const CONSENT: &str = "LAKE_AWS_SMOKE";

/// A build of lake that Lambda can run, where the tested one needs a newer glibc.
const EXECUTOR: &str = "LAKE_AWS_SMOKE_EXECUTOR";

/// A lake with a crawled dataset and a direct one, in a stack `smoke`.
fn toml(name: &str, region: &str, rest: &str) -> String {
    format!(
        "[lake]\nname = \"{name}\"\nregion = \"{region}\"\n\n[stack.smoke]\ncloud = \"aws\"\non_destroy = \"delete\"\n\
         {rest}\n[dataset.orders]\nsource = \"orders/\"\n\n[dataset.orders.schema]\nid = \"int64\"\n\
         price = \"decimal(10,2)\"\n\n[dataset.days]\nsource = \"days/\"\ncatalog = \"direct\"\n\n\
         [dataset.days.schema]\nid = \"int64\"\nday = \"date\"\n"
    )
}

/// The lake, destroyed whatever happens.
struct Smoke {
    project: Project,
    env: Vec<(String, String)>,
    destroyed: bool,
}

impl Smoke {
    #[track_caller]
    fn lake(&self, args: &[&str]) -> String {
        self.project.lake_with(&self.env, &[args, &["--stack", "smoke"]].concat()).ok()
    }
}

impl Drop for Smoke {
    #[expect(clippy::print_stderr, reason = "what is left in an account has to be told")]
    fn drop(&mut self) {
        if self.destroyed {
            return;
        }
        let ran = self.project.lake_with(&self.env, &["destroy", "--yes", "--stack", "smoke"]);
        let state = self.project.path();
        eprintln!("destroyed after a failure, exit code {}:\n{}\n{}", ran.code, ran.stdout, ran.stderr);
        if ran.code != 0 {
            let toml = std::fs::read_to_string(state.join("lake.toml")).unwrap_or_default();
            eprintln!("something may be left in the account; all of it is tagged `lake:name`:\n{toml}");
        }
    }
}

/// Apply, no changes, a file of each dataset, both tables, destroy.
fn smoke(project: Project, env: Vec<(String, String)>) {
    let mut smoke = Smoke { project, env, destroyed: false };
    smoke.lake(&["apply", "--yes"]);
    let plan = smoke.project.lake_with(&smoke.env, &["plan", "--detailed-exitcode", "--stack", "smoke"]);
    assert_eq!(plan.code, 0, "after an apply nothing changes: {}", plan.stdout);
    let orders = smoke.project.write("orders.csv", "id,price\n1,12.50\n2,0.99\n");
    let days = smoke.project.write("days.csv", "id,day\n1,2026-01-01\n");
    smoke.lake(&["put", "days", &days, "--wait"]);
    smoke.lake(&["put", "orders", &orders, "--wait"]);
    assert!(smoke.lake(&["show", "orders"]).contains("12.50"));
    assert!(smoke.lake(&["show", "days"]).contains("2026-01-01"));
    smoke.lake(&["destroy", "--yes"]);
    smoke.destroyed = true;
}

/// A name that no other lake of the account has.
fn fresh_name() -> String {
    format!("smoke{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

#[test]
#[expect(clippy::print_stderr, reason = "the tester wants to know what to look for in the account")]
fn a_lake_is_made_fed_read_and_destroyed_on_aws_for_whoever_asks_for_it() {
    let given = |name: &str| std::env::var(name).ok();
    if given(CONSENT).as_deref() != Some("1") {
        eprintln!("not asked for: {CONSENT}=1 lets this make resources in the account of your credentials");
        return;
    }
    let region = given("AWS_REGION").or_else(|| given("AWS_DEFAULT_REGION"));
    let region = region.expect("set AWS_REGION to the region in which the lake is made");
    let executor = given(EXECUTOR).map(|path| format!("executor = {path:?}\n")).unwrap_or_default();
    let profile = given("AWS_PROFILE").map(|profile| format!("profile = {profile:?}\n")).unwrap_or_default();
    let name = fresh_name();
    eprintln!("the lake is {name}, in {region}");
    let own = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    smoke(Project::new(&toml(&name, &region, &format!("{executor}{profile}"))), own.collect());
}

#[test]
fn the_smoke_test_of_aws_passes_on_the_embedded_cloud_as_another_endpoint() {
    let project = Project::new(ORDERS);
    project.lake(&["cloud", "start"]).ok();
    let env = project.lake(&["cloud", "env", "--shell", "json"]).document();
    let text = |name: &str| env[name].as_str().unwrap().to_owned();
    let endpoint = text("AWS_ENDPOINT_URL");
    let rest = format!("endpoint_url = \"{endpoint}\"\n");
    project.write("lake.toml", toml(&fresh_name(), "eu-west-1", &rest));
    smoke(project, variables(&endpoint, [&text("AWS_ACCESS_KEY_ID"), &text("AWS_SECRET_ACCESS_KEY")]));
}
