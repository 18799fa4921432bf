//! `[stack.*]`: where a lake is deployed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    DEFAULT_REGION, DEFAULT_STACK,
    error::Problems,
    rules,
    section::{Field, Section},
};

/// A named deployment of a lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// `local`, `prod`, …
    pub name: String,
    /// The cloud it is deployed to.
    pub target: Target,
    /// What `lake destroy` does with buckets that hold data.
    pub on_destroy: OnDestroy,
    /// The Linux build of `lake` to deploy; `None`: the running one. An existing file.
    pub executor: Option<PathBuf>,
    /// Where state is kept; `None`: in the project's own folder.
    pub state: Option<StatePlace>,
    /// AWS region.
    pub region: String,
}

/// A place for the state of stacks: `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatePlace {
    /// The bucket.
    pub bucket: String,
    /// What the keys of all stacks begin with, without slashes at its ends; empty for none.
    pub prefix: String,
}

impl StatePlace {
    /// Where the keys of one stack begin, without a slash at the end. Each has its own, so that several share a place.
    pub fn folder(&self, stack: &str) -> String {
        if self.prefix.is_empty() { stack.to_owned() } else { format!("{}/{stack}", self.prefix) }
    }
}

/// A cloud that a stack is deployed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The AWS inside this binary, on this machine.
    Embedded,
    /// AWS, or a server that speaks its protocols.
    Aws {
        /// Profile in the AWS configuration files.
        profile: Option<String>,
        /// Another server than AWS's own.
        endpoint_url: Option<String>,
    },
}

/// What `lake destroy` does with buckets that hold data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDestroy {
    /// Leaves them: the default on AWS. A later apply takes them up again.
    Retain,
    /// Empties and deletes them: the default on the embedded cloud.
    Delete,
}

impl Stack {
    /// A stack on the embedded cloud with every option at its default.
    pub fn embedded(name: &str, region: &str) -> Self {
        Stack {
            name: name.to_owned(),
            target: Target::Embedded,
            on_destroy: OnDestroy::Delete,
            executor: None,
            state: None,
            region: region.to_owned(),
        }
    }

    /// The same with paths as they are written, so that a project's hash survives its being moved.
    pub(super) fn relative_to(&self, root: &Path) -> Self {
        let relative = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).to_owned();
        Stack { executor: self.executor.as_ref().map(relative), ..self.clone() }
    }
}

const KEYS: &[&str] = &["cloud", "region", "profile", "endpoint_url", "executor", "on_destroy", "state"];

#[derive(Clone, Copy, PartialEq)]
enum Cloud {
    Embedded,
    Aws,
}

/// The stacks that are written. `lake_region` is the one of `[lake]`, if any.
pub(super) fn stacks(
    section: &Section<'_>,
    root: &Path,
    lake_region: Option<&str>,
    problems: &mut Problems,
) -> BTreeMap<String, Stack> {
    let mut stacks = BTreeMap::new();
    for (name, section) in section.sections(problems) {
        let verdict = rules::stack_name(name.value);
        if let Some(name) = section.accept_name("stack", name, verdict, problems) {
            let stack = stack(name.clone(), &section, root, lake_region, problems);
            stacks.insert(name, stack);
        }
    }
    stacks
}

fn stack(
    name: String,
    section: &Section<'_>,
    root: &Path,
    lake_region: Option<&str>,
    problems: &mut Problems,
) -> Stack {
    section.refuse_unknown_keys(KEYS, &[], problems);
    let clouds = [("embedded", Cloud::Embedded), ("aws", Cloud::Aws)];
    let cloud = section.choice("cloud", &clouds, problems).map_or(Cloud::Embedded, |cloud| cloud.value);
    let endings = [("retain", OnDestroy::Retain), ("delete", OnDestroy::Delete)];
    let on_destroy = section.choice("on_destroy", &endings, problems).map(|ending| ending.value);
    let state = section.string("state", problems).and_then(|url| state_place(section, url, problems));
    let executor = section.string("executor", problems).and_then(|path| executor(section, path, root, problems));
    let region = region(section, cloud, lake_region, problems);
    let profile = section.string("profile", problems);
    let endpoint_url = section.string("endpoint_url", problems);

    let (target, default_ending) = match cloud {
        Cloud::Embedded => {
            for (key, field) in [("profile", &profile), ("endpoint_url", &endpoint_url)] {
                if let Some(field) = field {
                    refuse_on_embedded(section, key, field, problems);
                }
            }
            (Target::Embedded, OnDestroy::Delete)
        }
        Cloud::Aws => {
            let endpoint_url = endpoint_url.and_then(|url| checked_endpoint(section, url, problems));
            (Target::Aws { profile: profile.map(|profile| profile.value.to_owned()), endpoint_url }, OnDestroy::Retain)
        }
    };
    Stack { name, target, on_destroy: on_destroy.unwrap_or(default_ending), executor, state, region }
}

fn state_place(section: &Section<'_>, url: Field<&str>, problems: &mut Problems) -> Option<StatePlace> {
    match rules::state_url(url.value) {
        Ok((bucket, prefix)) => Some(StatePlace { bucket: bucket.to_owned(), prefix: prefix.to_owned() }),
        Err(reason) => {
            let stack = section.path.rsplit('.').next().unwrap_or(DEFAULT_STACK);
            problems
                .at(url.span, format!("`{}.state` cannot be used: {reason}", section.path), "not a place for state")
                .help(format!(
                    "it looks like `s3://bucket/prefix`; without it, state is kept in the project's folder, under \
                     state/{stack}/"
                ));
            None
        }
    }
}

fn region(section: &Section<'_>, cloud: Cloud, lake_region: Option<&str>, problems: &mut Problems) -> String {
    if let Some(region) = section.string("region", problems) {
        let verdict = rules::region(region.value);
        return section.accept("region", region, verdict, problems).unwrap_or_default();
    }
    if lake_region.is_none() && cloud == Cloud::Aws && !section.has("region") {
        problems
            .at(section.span.clone(), format!("[{}] has no region", section.path), "this stack is on AWS")
            .help("write `region = \"eu-west-1\"` here or in [lake]");
    }
    lake_region.unwrap_or(DEFAULT_REGION).to_owned()
}

fn executor(section: &Section<'_>, path: Field<&str>, root: &Path, problems: &mut Problems) -> Option<PathBuf> {
    let full = root.join(path.value);
    let verdict = match std::fs::metadata(&full) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err("it is not a file".to_owned()),
        Err(error) => Err(format!("{}: {error}", full.display())),
    };
    section.accept("executor", path, verdict, problems).map(|_| full)
}

fn checked_endpoint(section: &Section<'_>, url: Field<&str>, problems: &mut Problems) -> Option<String> {
    match rules::endpoint_url(url.value) {
        Ok(()) => Some(url.value.to_owned()),
        Err(reason) => {
            problems
                .at(url.span, format!("`{}.endpoint_url` cannot be used: {reason}", section.path), "not an endpoint")
                .help("it looks like `https://aws.example.com:4566`");
            None
        }
    }
}

fn refuse_on_embedded(section: &Section<'_>, key: &str, field: &Field<&str>, problems: &mut Problems) {
    problems
        .at(
            field.span.clone(),
            format!("`{}.{key}` has no meaning on the embedded cloud", section.path),
            "only with `cloud = \"aws\"`",
        )
        .help(format!("add `cloud = \"aws\"` to [{}], or take `{key}` out", section.path));
}
