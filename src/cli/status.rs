//! `lake status`

mod crawler;
mod objects;
mod trouble;

use std::{collections::BTreeMap, time::Duration};

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::dataset::Dataset;

use self::{
    crawler::Crawler,
    objects::{Object, Objects, State},
    trouble::Trouble,
};
use super::{
    console::Style,
    context::Context,
    counts,
    deployed::Deployed,
    error::CliError,
    table::{Align, Cell, Table},
};

/// Objects of each dataset that are shown unless told otherwise.
const LIMIT_DEFAULT: usize = 50;

/// Shows how far every file has come, and what somebody should look at.
///
/// A file waits for a crawl that begins after it came (with catalog = "crawler"), is converted and committed, or
/// parked with the reason. "told" says that the event was sent which alerts follow from.
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

/// A dataset's objects and their sums.
#[derive(Debug, Default, Serialize)]
struct Totals {
    objects: u64,
    by_state: BTreeMap<&'static str, u64>,
    rows: u64,
    filtered: u64,
    rejected: u64,
}

impl Totals {
    fn of(objects: &[Object]) -> Self {
        let mut totals = Totals { objects: objects.len() as u64, ..Totals::default() };
        for object in objects {
            *totals.by_state.entry(object.state.name()).or_default() += 1;
            totals.rows += object.rows;
            totals.filtered += object.filtered;
            totals.rejected += object.rejected;
        }
        totals
    }

    /// The counts in words, what needs a look first.
    fn words(&self) -> String {
        let counted = State::ALL.iter().filter_map(|state| Some((self.by_state.get(state.name())?, state.word())));
        let words: Vec<String> = counted.map(|(count, word)| format!("{} {word}", HumanCount(*count))).collect();
        match words.is_empty() {
            true => "no files yet".to_owned(),
            false => words.join(", "),
        }
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let deployed = Deployed::open(context).await?;
    let mut documents = Vec::new();
    for dataset in deployed.datasets(args.dataset.as_deref())? {
        let (found, crawler) = futures::join!(Objects::of(&deployed, dataset), Crawler::of(&deployed, &dataset.name));
        let Objects { objects, damaged } = found?;
        // What is known of the files is shown without it.
        let crawler = crawler.inspect_err(|error| context.console.warn(error)).ok().flatten();
        for damaged in &damaged {
            context.console.warn(damaged);
        }
        let totals = Totals::of(&objects);
        show(context, dataset, &objects, &totals, crawler.as_ref(), args.limit);
        documents.push(json!({
            "dataset": dataset.name,
            "totals": totals,
            "crawler": crawler,
            "objects": objects,
            "damaged": damaged,
        }));
    }
    let trouble = Trouble::of(&deployed, context).await;
    trouble.show(context, Timestamp::now());
    context.console.json(&json!({ "datasets": documents, "trouble": trouble }))
}

fn show(
    context: &Context,
    dataset: &Dataset,
    objects: &[Object],
    totals: &Totals,
    crawler: Option<&Crawler>,
    limit: usize,
) {
    let (console, now) = (&context.console, Timestamp::now());
    let name = console.paint(&dataset.name, Style::Strong);
    let (rows, rejected) = (HumanCount(totals.rows), HumanCount(totals.rejected));
    let filtered = counts::filtered(totals.filtered);
    console.say(format!("{name}: {}; {rows} rows in the table{filtered}, {rejected} rejected", totals.words()));
    if let Some(crawler) = crawler {
        crawler.show(context, now);
    }
    let table = table(&objects[..objects.len().min(limit)], totals.filtered > 0, now);
    if !table.is_empty() {
        table.say(console);
    }
    if objects.len() > limit {
        console.say(format!("and {} more (--limit shows them)", objects.len() - limit));
    }
}

fn table(objects: &[Object], filtered: bool, now: Timestamp) -> Table {
    let mut headers = vec![
        ("file", Align::Left),
        ("state", Align::Left),
        ("since", Align::Left),
        ("size", Align::Right),
        ("rows", Align::Right),
        ("rejected", Align::Right),
        ("", Align::Left),
    ];
    let at_filtered = headers.len() - 2;
    if filtered {
        headers.insert(at_filtered, ("filtered", Align::Right));
    }
    let mut table = Table::new(headers);
    for object in objects {
        let mut cells: Vec<Cell> = vec![
            Cell::plain(&object.key),
            Cell::styled(object.word(), object.state.style()),
            object.since.map_or_else(|| "-".to_owned(), |since| ago(since, now)).into(),
            object.bytes.map_or_else(|| "-".into(), |bytes| HumanBytes(bytes).into()),
            HumanCount(object.rows).into(),
            HumanCount(object.rejected).into(),
            object.error.as_deref().unwrap_or_default().into(),
        ];
        if filtered {
            cells.insert(at_filtered, HumanCount(object.filtered).into());
        }
        table.row(cells);
    }
    table
}

/// How long ago something was, in words. The cloud's clock may be ahead of ours.
fn ago(then: Timestamp, now: Timestamp) -> String {
    match u64::try_from(now.duration_since(then).as_secs()) {
        Ok(seconds @ 1..) => format!("{} ago", HumanDuration(Duration::from_secs(seconds))),
        _ => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_has_passed_is_told_in_words() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(ago(at(100), at(112)), "12 seconds ago");
        assert_eq!(ago(at(0), at(7_200)), "2 hours ago");
        for now in [100, 99, 0] {
            assert_eq!(ago(at(100), at(now)), "now");
        }
    }

    #[test]
    fn counts_are_told_in_the_order_of_how_much_they_need_a_look() {
        let by_state = [("committed", 1_200), ("awaiting_crawl", 3), ("parked", 1)].into();
        let totals = Totals { by_state, ..Totals::default() };
        assert_eq!(totals.words(), "1 parked, 3 waiting for a crawl, 1,200 committed");
        assert_eq!(Totals::default().words(), "no files yet");
    }
}
