//! `lake put`

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use serde_json::json;

use crate::dataset::Dataset;

use super::{
    console::Style,
    context::Context,
    counts,
    deployed::Deployed,
    error::CliError,
    follow::{Followed, Hop, follow},
    transfer::{Display, Shown, upload},
};

/// Files that are uploaded, and followed, at the same time.
const FILES_AT_ONCE: usize = 4;
/// How long `--wait` waits unless told otherwise, seconds.
const WAIT_SECONDS_DEFAULT: u64 = 300;

/// Uploads CSV files into a dataset; the lake converts them to Parquet by itself.
///
/// A file of the same name supersedes the one that was put before: its rows replace the older ones. With --wait, the
/// command follows every file until its rows are in the table, and fails when one of them is given up. "told" says that
/// the event was sent which alerts follow from.
///
/// Example: lake put flights data/*.csv --wait
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A `[dataset.NAME]` of lake.toml.
    #[arg(value_name = "DATASET")]
    pub dataset: String,
    /// Files to upload.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Waits until the Parquet is there.
    #[arg(long)]
    pub wait: bool,
    /// Longest wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT_SECONDS_DEFAULT, requires = "wait")]
    pub timeout: u64,
}

impl Args {
    /// What `lake put DATASET FILE… --wait` means.
    pub fn waiting(dataset: &str, files: Vec<PathBuf>) -> Self {
        Args { dataset: dataset.to_owned(), files, wait: true, timeout: WAIT_SECONDS_DEFAULT }
    }
}

/// A file and what became of it.
#[derive(Debug, Serialize)]
pub struct Placed {
    /// The file as it was named.
    pub file: PathBuf,
    /// Its key in the raw bucket.
    pub key: String,
    /// Size, bytes.
    pub bytes: u64,
    /// Entity tag in S3; `None` when the upload failed.
    pub etag: Option<String>,
    /// What the lake made of it, when that was waited for.
    pub result: Option<Followed>,
    /// The stages that were seen on the way there.
    pub hops: Vec<Hop>,
    /// Why it did not get that far.
    pub error: Option<String>,
    /// From the upload's begin to its end, or to the end of waiting, milliseconds.
    pub milliseconds: u64,
}

impl Placed {
    /// Why the command as a whole fails for this file; `None` when all went well.
    pub fn failure(&self) -> Option<String> {
        let failure = match (&self.error, &self.result) {
            (Some(error), _) => error.clone(),
            (None, Some(result)) => result.failure()?,
            (None, None) => return None,
        };
        Some(format!("{}: {failure}", self.file.display()))
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let placed = put(&args, context).await?;
    context.console.json(&json!({ "dataset": args.dataset, "files": placed }))?;
    let failures: Vec<String> = placed.iter().filter_map(Placed::failure).collect();
    if failures.is_empty() {
        if !args.wait {
            context.console.note("converting goes on in the background; `lake status` shows it");
        }
        return Ok(());
    }
    let mut error = CliError::failed(failures.join("\n"));
    if placed.iter().any(|placed| matches!(placed.result, Some(Followed::Parked { .. }))) {
        error = error.hint("put a mended file under the same name, or `lake retry` once the reason is gone");
    }
    if placed.iter().any(|placed| matches!(placed.result, Some(Followed::TimedOut { .. }))) {
        error = error.hint("it goes on without this command: `lake status` shows where it is, `lake logs convert` why");
    }
    Err(error)
}

/// Uploads, and follows when asked to; tells of each file what became of it.
pub async fn put(args: &Args, context: &Context) -> Result<Vec<Placed>, CliError> {
    let deployed = Deployed::open(context).await?;
    let dataset = deployed.dataset(&args.dataset)?;
    let files = named(dataset, &args.files)?;
    if !deployed.is_current().await? {
        context.console.warn("lake.toml has changed since it was applied: files are converted as it was; `lake apply`");
    }
    let display = Display::new(&context.console, files.keys());
    let putting = stream::iter(files)
        .map(|(key, (file, bytes))| put_one(args, &deployed, dataset, &display, (key, file, bytes)))
        .buffered(FILES_AT_ONCE)
        .collect::<Vec<_>>();
    let placed = tokio::select! {
        placed = putting => placed,
        () = display.watch_interrupts() => Vec::new(), // it watches for ever
    };
    display.finish();
    Ok(placed)
}

/// The files by the key that each gets.
fn named(dataset: &Dataset, files: &[PathBuf]) -> Result<BTreeMap<String, (PathBuf, u64)>, CliError> {
    let mut named = BTreeMap::<String, (PathBuf, u64)>::new();
    for file in files {
        let refused = |why: &dyn std::fmt::Display| CliError::usage(format!("{}: {why}", file.display()));
        let metadata = std::fs::metadata(file).map_err(|error| refused(&error))?;
        if !metadata.is_file() {
            return Err(refused(&"is not a file").hint("name the files in it, such as DIR/*.csv"));
        }
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| refused(&"a key in S3 is UTF-8, and this name is not"))?;
        let key = format!("{}{name}", dataset.source);
        if let Some((other, _)) = named.get(&key) {
            return Err(refused(&format!("has the same name as {}", other.display()))
                .hint("files of one name supersede each other: rename one of them"));
        }
        named.insert(key, (file.clone(), metadata.len()));
    }
    Ok(named)
}

async fn put_one(
    args: &Args,
    deployed: &Deployed,
    dataset: &Dataset,
    display: &Display<'_>,
    (key, file, bytes): (String, PathBuf, u64),
) -> Placed {
    let begun = Instant::now();
    let shown = display.file(&key, bytes);
    let mut placed =
        Placed { file, key, bytes, etag: None, result: None, hops: Vec::new(), error: None, milliseconds: 0 };
    let result = upload_and_follow(args, deployed, dataset, &shown, &mut placed, begun).await;
    placed.error = result.err().map(|error| error.to_string());
    placed.milliseconds = milliseconds(begun.elapsed());
    if let Some(error) = &placed.error {
        shown.end(Style::Bad, "failed", error);
    }
    placed
}

async fn upload_and_follow(
    args: &Args,
    deployed: &Deployed,
    dataset: &Dataset,
    shown: &Shown<'_>,
    placed: &mut Placed,
    begun: Instant,
) -> Result<(), CliError> {
    let client = deployed.connection.s3();
    let etag = upload(&client, &deployed.raw_bucket, placed, shown).await?;
    placed.etag = Some(etag.clone());
    let uploaded = format!("{}, {} ms", HumanBytes(placed.bytes), milliseconds(begun.elapsed()));
    if !args.wait {
        shown.end(Style::Good, "uploaded", &uploaded);
        return Ok(());
    }
    shown.hop("uploaded", &uploaded);
    let limit = Duration::from_secs(args.timeout);
    let following = follow(deployed, dataset, &placed.key, &etag, limit, |stage, detail| shown.hop(stage, detail));
    let (result, hops) = shown.unless_interrupted(following).await?;
    let (style, word, detail) = told(&result, hops.last(), milliseconds(begun.elapsed()));
    shown.end(style, word, &detail);
    (placed.result, placed.hops) = (Some(result), hops);
    Ok(())
}

/// How a result is told, after the last stage before it.
fn told(result: &Followed, last: Option<&Hop>, milliseconds: u64) -> (Style, &'static str, String) {
    let took = last.map_or_else(String::new, |hop| format!("{}, ", hop.told()));
    let took = format!("{took}{milliseconds} ms in all");
    let word_of = |told: &bool| if *told { "told" } else { "nobody is told yet" };
    match result {
        Followed::Committed { run: Some(run), told, .. } => {
            let report = &run.report;
            let detail = format!(
                "{}; {} → {}; {took}; {}",
                counts::words(report),
                HumanBytes(report.bytes_read),
                HumanBytes(report.bytes_written),
                word_of(told),
            );
            let style = if report.rejected > 0 { Style::Changed } else { Style::Good };
            (style, "committed", detail)
        }
        Followed::Committed { run: None, rows, filtered, rejected, told } => {
            let (rows, rejected) = (HumanCount(*rows), HumanCount(*rejected));
            let filtered = counts::filtered(*filtered);
            let detail = format!("{rows} rows in the table{filtered}, {rejected} rejected; {took}; {}", word_of(told));
            (Style::Good, "committed", detail)
        }
        Followed::Parked { code, told, .. } => (Style::Bad, "parked", format!("{code}; {took}; {}", word_of(told))),
        other => (Style::Bad, other.word(), other.failure().unwrap_or_default()),
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_under_its_own_name_and_two_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.csv"), folder.path().join("deep/a.csv"));
        std::fs::create_dir_all(b.parent().unwrap()).unwrap();
        std::fs::write(&a, b"x\n1\n").unwrap();
        std::fs::write(&b, b"").unwrap();
        let dataset = Dataset::new("flights", "in/flights/");
        let files = named(&dataset, std::slice::from_ref(&a)).unwrap();
        assert_eq!(files, BTreeMap::from([("in/flights/a.csv".to_owned(), (a.clone(), 4))]));
        let error = named(&dataset, &[a, b]).unwrap_err();
        assert!(error.to_string().contains("same name"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused_before_anything_is_uploaded() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = Dataset::new("flights", "flights/");
        for path in [folder.path().to_owned(), folder.path().join("missing.csv")] {
            assert_eq!(named(&dataset, &[path]).unwrap_err().exit_code(), super::super::EXIT_USAGE);
        }
    }
}
