//! `lake status`

use std::collections::BTreeMap;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use serde_json::json;

use crate::{
    dataset::Dataset,
    pipeline::{
        ports::CloudError,
        view::{self, Page},
    },
};

use super::{
    console::Style,
    context::Context,
    deployed::Deployed,
    error::CliError,
    table::{Align, Cell, Table},
};

/// Objects of each dataset that are shown unless told otherwise.
const LIMIT_DEFAULT: usize = 50;

/// Shows how far every file has come: waiting, being converted, committed, parked, and why.
///
/// Example: lake status flights
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One dataset only.
    #[arg(value_name = "DATASET")]
    dataset: Option<String>,
    /// Files to show of each dataset, those that need a look first; the totals count all.
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    limit: usize,
}

/// How far an object has come. In the order of how much it needs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Given up, with a reason.
    Parked,
    /// In the raw bucket, and no function has heard of it.
    Unheard,
    /// Waits.
    Pending,
    /// Being converted.
    Converting,
    /// Decided, and being finished.
    Finishing,
    /// Its rows are in the table.
    Committed,
    /// Its rows are in the table, and it is no longer in the raw bucket.
    SourceGone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Parked => "parked",
            State::Unheard => "unheard of",
            State::Pending => "pending",
            State::Converting => "converting",
            State::Finishing => "finishing",
            State::Committed => "committed",
            State::SourceGone => "source gone",
        }
    }

    fn style(self) -> Style {
        match self {
            State::Parked => Style::Bad,
            State::Unheard | State::SourceGone => Style::Faint,
            State::Pending | State::Converting | State::Finishing => Style::Changed,
            State::Committed => Style::Good,
        }
    }
}

/// One object of the raw bucket, or one that was there.
#[derive(Debug, Clone, Serialize)]
struct Object {
    key: String,
    state: State,
    /// Size in the raw bucket; `None` when it is gone from there.
    bytes: Option<u64>,
    /// Rows that readers see.
    rows: u64,
    /// Rows that were set aside.
    rejected: u64,
    /// When it came into this state.
    since: Option<jiff::Timestamp>,
    /// What stands in its way.
    error: Option<String>,
}

/// A dataset's objects and their sums.
#[derive(Debug, Default, Serialize)]
struct Totals {
    objects: u64,
    by_state: BTreeMap<&'static str, u64>,
    rows: u64,
    rejected: u64,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let deployed = Deployed::open(context).await?;
    let mut documents = Vec::new();
    for dataset in deployed.datasets(args.dataset.as_deref())? {
        let (mut objects, damaged) = objects(&deployed, dataset).await?;
        for damaged in &damaged {
            context.console.warn(damaged);
        }
        objects.sort_by(|a, b| (a.state, b.since, &a.key).cmp(&(b.state, a.since, &b.key)));
        let totals = totals(&objects);
        show(context, dataset, &objects, &totals, args.limit);
        documents.push(json!({ "dataset": dataset.name, "totals": totals, "objects": objects, "damaged": damaged }));
    }
    context.console.json(&json!({ "datasets": documents }))
}

fn totals(objects: &[Object]) -> Totals {
    let mut totals = Totals { objects: objects.len() as u64, ..Totals::default() };
    for object in objects {
        *totals.by_state.entry(object.state.word()).or_default() += 1;
        totals.rows += object.rows;
        totals.rejected += object.rejected;
    }
    totals
}

fn show(context: &Context, dataset: &Dataset, objects: &[Object], totals: &Totals, limit: usize) {
    let console = &context.console;
    let states: Vec<String> = totals.by_state.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let files = match states.is_empty() {
        true => "no files yet".to_owned(),
        false => states.join(", "),
    };
    let name = console.paint(&dataset.name, Style::Strong);
    let (rows, rejected) = (HumanCount(totals.rows), HumanCount(totals.rejected));
    console.say(format!("{name}: {files}; {rows} rows in the table, {rejected} rejected"));
    let mut table = Table::new([
        ("file", Align::Left),
        ("state", Align::Left),
        ("size", Align::Right),
        ("rows", Align::Right),
        ("rejected", Align::Right),
        ("since", Align::Left),
        ("", Align::Left),
    ]);
    for object in objects.iter().take(limit) {
        table.row(vec![
            Cell::plain(&object.key),
            Cell::styled(object.state.word(), object.state.style()),
            object.bytes.map_or_else(|| "-".into(), |bytes| HumanBytes(bytes).into()),
            HumanCount(object.rows).into(),
            HumanCount(object.rejected).into(),
            object.since.map_or_else(|| "-".into(), |since| format!("{since:.0}").into()),
            object.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    if !table.is_empty() {
        table.say(console);
    }
    if objects.len() > limit {
        console.say(format!("and {} more (--limit shows them)", objects.len() - limit));
    }
}

/// Every object of a dataset: what the ledger knows, and what lies in the raw bucket.
async fn objects(deployed: &Deployed, dataset: &Dataset) -> Result<(Vec<Object>, Vec<String>), CliError> {
    let ledger = deployed.pipeline()?;
    let mut raw = raw_objects(deployed, dataset).await?;
    let (mut objects, mut damaged) = (BTreeMap::<String, Object>::new(), Vec::new());
    let (name, now) = (dataset.name.as_str(), jiff::Timestamp::now());
    // Later ones overrule earlier ones: a marker tells of what is newer than the record.
    for commit in all(&mut damaged, async |page| view::commits(&ledger, name, page).await).await? {
        let Some(current) = &commit.current else { continue };
        let here = raw.get(&commit.key);
        let state = match here {
            _ if commit.attempt.is_some() => State::Finishing,
            None => State::SourceGone,
            Some(here) if here.etag != current.etag => State::Unheard,
            Some(_) => State::Committed,
        };
        let (rows, rejected, since) = (current.rows, current.rejected, Some(current.finished_at));
        let bytes = here.map(|here| here.bytes);
        objects
            .insert(commit.key.clone(), Object { key: commit.key, state, bytes, rows, rejected, since, error: None });
    }
    for parked in all(&mut damaged, async |page| view::parked(&ledger, name, page).await).await? {
        let object = entry(&mut objects, &raw, &parked.key);
        // A newer version than the one given up is on its way, or gone.
        if raw.get(&parked.key).is_none_or(|here| here.etag == parked.etag) {
            object.state = State::Parked;
            object.since = Some(parked.parked_at);
            object.error = Some(format!("{}: {}", parked.code, parked.message));
        }
    }
    for marker in all(&mut damaged, async |page| view::pending(&ledger, name, page).await).await? {
        let object = entry(&mut objects, &raw, &marker.key);
        let claim = marker.live_claim(now);
        object.state = if claim.is_some() { State::Converting } else { State::Pending };
        object.since = Some(claim.map_or(marker.noted_at, |claim| claim.since));
        object.error.clone_from(&marker.last_error);
    }
    raw.retain(|key, _| !objects.contains_key(key));
    for key in raw.keys() {
        entry(&mut objects, &raw, key);
    }
    Ok((objects.into_values().collect(), damaged))
}

fn entry<'a>(objects: &'a mut BTreeMap<String, Object>, raw: &BTreeMap<String, Raw>, key: &str) -> &'a mut Object {
    objects.entry(key.to_owned()).or_insert_with(|| Object {
        key: key.to_owned(),
        state: State::Unheard,
        bytes: raw.get(key).map(|raw| raw.bytes),
        rows: 0,
        rejected: 0,
        since: None,
        error: None,
    })
}

/// All records of a kind, page by page.
async fn all<T>(
    damaged: &mut Vec<String>,
    read: impl AsyncFn(Option<&str>) -> Result<Page<T>, CloudError>,
) -> Result<Vec<T>, CliError> {
    let (mut records, mut page) = (Vec::new(), None::<String>);
    loop {
        let read = read(page.as_deref()).await?;
        records.extend(read.records);
        damaged.extend(read.damaged);
        page = read.next;
        if page.is_none() {
            return Ok(records);
        }
    }
}

/// An object as the raw bucket lists it.
struct Raw {
    etag: String,
    bytes: u64,
}

async fn raw_objects(deployed: &Deployed, dataset: &Dataset) -> Result<BTreeMap<String, Raw>, CliError> {
    let list = deployed.connection.s3().list_objects_v2().bucket(&deployed.raw_bucket).prefix(&dataset.source);
    let mut pages = list.into_paginator().send();
    let mut objects = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| super::service_error("s3:ListObjectsV2", &deployed.raw_bucket, error))?;
        for object in page.contents() {
            let (Some(key), Some(etag)) = (object.key(), object.e_tag()) else { continue };
            let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            // A key that ends in a slash is a console's idea of a folder.
            if !key.ends_with('/') {
                objects.insert(key.to_owned(), Raw { etag: etag.to_owned(), bytes });
            }
        }
    }
    Ok(objects)
}
