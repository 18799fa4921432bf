//! `lake convert`

pub(super) mod transform;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use self::transform::{Loaded, Wanted};
use crate::{
    config::{self, Config},
    dataset::Dataset,
    executor::{
        self, Columns, Conversion, Converted, Error, Input, MEMORY_BYTES, Origin, Progress, Report, Resources, Source,
        Through,
        local::{FileSink, FileSource, FinishedFile, Staging},
        transform::{Deadline, Plugin},
    },
};

use super::{console::Style, context::Context, counts, deployed::no_dataset, dialect, error::CliError, rows};

/// Rejected rows that are shown.
const REJECTS_SHOWN_MAX: usize = 10;
/// How often the bar is brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// Converts CSV files on this machine into one Parquet file, with no cloud and no project.
///
/// Columns and types are found out over all files, unless a dataset's contract fixes them. Rows that do not fit are set
/// aside in PATH.rejects.parquet, each with its file, line, byte offset, column and reason; a transform may filter
/// others: read = kept + filtered + rejected. -v tells how the CSV was read, and how sure that is.
///
/// With partition columns, or a size of files, PATH becomes a folder: PATH/year=2013/month=1/part-0.parquet. It appears as
/// a whole.
///
/// Example: lake convert data/*.csv --out flights.parquet
/// Example: lake convert data/*.csv --out flights --partition-by year,month
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CSV files.
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// The Parquet file, or the folder of them; what lake has written there before is replaced.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Reads and writes as this `[dataset.NAME]` of lake.toml says.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Columns of the table that the files lie in folders by, outermost first. They take the place of the dataset's.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    partition_by: Vec<String>,
    /// A transform that rows go through: a .wasm file or a plugin's folder. It takes the place of the dataset's.
    #[arg(long, value_name = "PATH")]
    plugin: Option<PathBuf>,
    /// Configures the transform, on top of what lake.toml says where it is the dataset's. May be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = transform::setting)]
    settings: Vec<(String, String)>,
    /// Leaves every column a string.
    #[arg(long)]
    text: bool,
}

/// One conversion, ready to go.
struct Job {
    dataset: Dataset,
    /// What the dataset's transform is, if it has one.
    plugin: Option<Plugin>,
    sources: Vec<FileSource>,
    out: PathBuf,
    rejects: PathBuf,
    text: bool,
    resources: Resources,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let job = Arc::new(job(args, context).await?);
    let begun = Instant::now();
    let progress = Arc::new(Progress::new());
    let bar = bar(context, &job, &progress);
    let working = {
        let (job, progress) = (Arc::clone(&job), Arc::clone(&progress));
        tokio::task::spawn_blocking(move || convert(&job, &progress))
    };
    let converted = tokio::select! {
        converted = finish_or_cancel(working, &progress) => converted,
        () = keep_up(bar.as_ref(), &progress) => Err(CliError::failed("interrupted")), // it never ends
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let report = converted?;
    tell(context, &job, &report, begun.elapsed())?;
    context.console.json(&json!({
        "out": (report.kept > 0).then_some(&job.out),
        "rejects": (report.rejected > 0).then_some(&job.rejects),
        "report": report,
    }))?;
    if report.kept == 0 && report.rejected > 0 {
        let hint = match job.plugin {
            Some(_) => "the rejects file has the reason for each row",
            None => "the rejects file has the reason for each row; --text keeps every column as it is",
        };
        let message = format!("no row could be kept; {} was not written", job.out.display());
        return Err(CliError::failed(message).hint(hint));
    }
    Ok(())
}

async fn job(args: Args, context: &Context) -> Result<Job, CliError> {
    let config = args.dataset.as_ref().map(|_| context.config()).transpose()?;
    let mut dataset = match (&args.dataset, &config) {
        (Some(name), Some(config)) => {
            let found = config.datasets.iter().find(|dataset| dataset.name == *name);
            found.cloned().ok_or_else(|| no_dataset(config, name))?
        }
        _ => Dataset::new("data", "data/"),
    };
    if args.text && dataset.schema.is_some() {
        return Err(CliError::usage(format!("--text contradicts the contract of dataset `{}`", dataset.name)));
    }
    if !args.partition_by.is_empty() {
        dataset.partition_by.clone_from(&args.partition_by);
    }
    if args.out.is_dir() && !dataset.makes_several_files() {
        return Err(
            CliError::usage(format!("{} is a folder", args.out.display())).hint("--out names the file to write")
        );
    }
    let rejects = rejects_path(&args.out);
    check_inputs(&args.inputs, [&args.out, &rejects])?;
    let wanted = wanted(&args, config.as_ref())?;
    dataset.transform = None;
    let mut plugin = None;
    if let Some(wanted) = wanted {
        let loaded = load(wanted, context).await?;
        (dataset.transform, plugin) = (Some(loaded.transform), Some(loaded.plugin));
    }
    let sources = args.inputs.into_iter().map(FileSource::new).collect();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let resources = Resources::of(processors.min(context.parallel), MEMORY_BYTES);
    Ok(Job { dataset, plugin, sources, out: args.out, rejects, text: args.text, resources })
}

/// Inputs are files that can be read twice, and stay what they are meanwhile.
fn check_inputs(inputs: &[PathBuf], outputs: [&PathBuf; 2]) -> Result<(), CliError> {
    let outputs = outputs.map(|path| path.canonicalize().ok());
    for input in inputs {
        let real = input.canonicalize().map_err(|error| CliError::usage(format!("{}: {error}", input.display())))?;
        if real.is_dir() {
            return Err(CliError::usage(format!("{} is a folder", input.display()))
                .hint("name the files in it, such as DIR/*.csv"));
        }
        if !real.is_file() {
            return Err(
                CliError::usage(format!("{} cannot be read twice", input.display())).hint("write it to a file first")
            );
        }
        if outputs.iter().flatten().any(|output| *output == real) {
            return Err(CliError::usage(format!("{} would be overwritten while it is read", input.display())));
        }
    }
    Ok(())
}

/// The transform that rows go through: `--plugin`, else the dataset's.
fn wanted(args: &Args, config: Option<&Config>) -> Result<Option<Wanted>, CliError> {
    let of_dataset = || Some(Wanted::of(config?.transforms.get(args.dataset.as_ref()?)?));
    let wanted = args.plugin.clone().map(Wanted::at).or_else(of_dataset);
    let settings = transform::settings(&args.settings)?;
    match wanted {
        Some(mut wanted) => {
            wanted.config.extend(settings);
            Ok(Some(wanted))
        }
        None if settings.is_empty() => Ok(None),
        None => Err(CliError::usage("--config is for a transform, and there is none")
            .hint("name one with --plugin, or a dataset that has one with --dataset")),
    }
}

/// Builds and compiles, away from the runtime. A project keeps what is made on the way.
async fn load(wanted: Wanted, context: &Context) -> Result<Loaded, CliError> {
    let in_project = context.folder().join(config::FILE_NAME).is_file();
    let kept = in_project.then(|| context.state_folder().join("packages").join("transforms"));
    let loading = tokio::task::spawn_blocking(move || match kept {
        Some(cache) => wanted.load(&cache),
        None => wanted.load(tempfile::tempdir()?.path()),
    });
    loading.await.map_err(CliError::failed)?
}

/// `flights.parquet` → `flights.parquet.rejects.parquet`.
fn rejects_path(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".rejects.parquet");
    path.into()
}

/// The whole conversion. Blocks.
fn convert(job: &Job, progress: &Progress) -> Result<Report, Error> {
    let origin = |source: &dyn Source| Origin { uri: source.name().to_owned(), etag: None };
    let inputs: Vec<Input<'_>> =
        job.sources.iter().map(|source| Input { source, origin: origin(source), dialect: None }).collect();
    let opening = |source| Error::Open { output: "data", source };
    let staging = match job.dataset.makes_several_files() {
        true => Some(Staging::new(&job.out).map_err(opening)?),
        false => None,
    };
    let mut sink = match &staging {
        Some(staging) => FileSink::in_folder(staging.folder(), &job.rejects),
        None => FileSink::new(&job.out, &job.rejects),
    };
    let conversion = Conversion {
        dataset: &job.dataset,
        columns: match &job.dataset.schema {
            Some(columns) => Columns::Known(columns),
            None => Columns::FoundOut { text: job.text },
        },
        transform: job.plugin.as_ref().map(|plugin| Through { plugin, deadline: Deadline::NEVER }),
        resources: job.resources,
    };
    commit(job, executor::convert(&inputs, &conversion, &mut sink, progress)?, staging)
}

/// Puts the files in their places; rejects of an earlier conversion go.
fn commit(job: &Job, converted: Converted<FinishedFile>, staging: Option<Staging>) -> Result<Report, Error> {
    let failed = |output| move |source| Error::Finish { output, source };
    // Rejects first: a data file is never there without what belongs to it.
    match converted.rejects {
        Some(rejects) => drop(rejects.commit().map_err(failed("rejects"))?),
        None => match std::fs::remove_file(&job.rejects) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("rejects")(error)),
            _ => {}
        },
    }
    let any = !converted.data.is_empty();
    for file in converted.data {
        file.output.commit().map_err(failed("data"))?;
    }
    if let Some(staging) = staging.filter(|_| any) {
        staging.publish().map_err(failed("data"))?;
    }
    Ok(converted.report)
}

/// Waits for the work. Ctrl-C stops it at its next batch, and nothing half-written stays.
async fn finish_or_cancel(
    mut working: tokio::task::JoinHandle<Result<Report, Error>>,
    progress: &Progress,
) -> Result<Report, CliError> {
    let ended = tokio::select! {
        ended = &mut working => ended,
        _ = tokio::signal::ctrl_c() => {
            progress.cancel();
            working.await
        }
    };
    match ended.map_err(CliError::failed)? {
        Err(Error::Cancelled) => Err(CliError::failed("interrupted; nothing was written")),
        ended => Ok(ended?),
    }
}

fn bar(context: &Context, job: &Job, progress: &Progress) -> Option<ProgressBar> {
    if !context.console.is_interactive() {
        return None;
    }
    let bytes: Option<u64> = job.sources.iter().map(Source::len).sum();
    let template = "{spinner} {bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg}";
    let bar = match bytes {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::new_spinner(),
    };
    bar.set_style(ProgressStyle::with_template(template).expect("BUG: the template is well formed"));
    bar.set_position(progress.bytes_read());
    Some(bar)
}

/// Keeps the bar up to date, for ever.
async fn keep_up(bar: Option<&ProgressBar>, progress: &Progress) {
    let Some(bar) = bar else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        bar.set_position(progress.bytes_read());
        bar.set_message(format!("{} rows", HumanCount(progress.rows_read())));
    }
}

fn tell(context: &Context, job: &Job, report: &Report, time: Duration) -> Result<(), CliError> {
    let console = &context.console;
    let seconds = time.as_secs_f64().max(0.001);
    console.say(counts::words(report));
    if report.kept > 0 {
        let rate = HumanBytes((report.bytes_read as f64 / seconds) as u64);
        let files = match (report.files, report.partitions) {
            (..=1, 0) => String::new(),
            (files, 0) => format!(" in {} files", HumanCount(files)),
            (files, partitions) => format!(" in {} files of {} partitions", HumanCount(files), HumanCount(partitions)),
        };
        console.say(format!(
            "{}: {} of CSV → {}{files} in {seconds:.2} s ({rate}/s)",
            console.paint(job.out.display(), Style::Strong),
            HumanBytes(report.bytes_read),
            HumanBytes(report.bytes_written),
        ));
    } else if report.rejected == 0 {
        let why = if report.read == 0 { "there is no row in the input" } else { "every row was filtered" };
        console.warn(format!("{why}; {} was not written", job.out.display()));
    }
    if !report.missing_columns.is_empty() {
        console.warn(format!("null for want of a column in some file: {}", report.missing_columns.join(", ")));
    }
    if let Some(found) = &report.dialect {
        for warning in dialect::warnings(found) {
            console.warn(warning);
        }
        if context.is_verbose() && !found.decided.is_empty() {
            console.say(format!("how the CSV was read ({} % sure)", found.confidence));
            dialect::lines(found).into_iter().for_each(|line| console.say(line));
        }
    }
    if report.rejected > 0 {
        rejected_rows(context, job, report)?;
    }
    Ok(())
}

/// What was set aside: how often for which reason, and the first of them.
fn rejected_rows(context: &Context, job: &Job, report: &Report) -> Result<(), CliError> {
    let console = &context.console;
    let reasons: Vec<String> = report.rejects_by_code.iter().map(|(code, count)| format!("{count} {code}")).collect();
    console.warn(format!(
        "{} rows were rejected ({}) and are in {}",
        HumanCount(report.rejected),
        reasons.join(", "),
        job.rejects.display()
    ));
    let (batches, _) = rows::first_rows(File::open(&job.rejects)?, REJECTS_SHOWN_MAX)?;
    for batch in &batches {
        for reject in rows::objects(batch)? {
            let text = |name: &str| reject.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            let line = reject.get("line").map(ToString::to_string).unwrap_or_default();
            let place = format!("{}:{line}", text("file"));
            console.say(format!("  {place}: {}", super::table::printable(text("message"))));
        }
    }
    if report.rejected > REJECTS_SHOWN_MAX as u64 {
        console.say(format!("  and {} more", HumanCount(report.rejected - REJECTS_SHOWN_MAX as u64)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(folder: &Path, inputs: &[(&str, &str)]) -> Job {
        let source = |(name, text): &(&str, &str)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            FileSource::new(path)
        };
        let out = folder.join("out.parquet");
        let rejects = rejects_path(&out);
        let sources = inputs.iter().map(source).collect();
        let (dataset, resources) = (Dataset::new("data", "data/"), Resources::default());
        Job { dataset, plugin: None, sources, out, rejects, text: false, resources }
    }

    #[test]
    fn several_files_become_one_and_a_reject_knows_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let job = job(folder.path(), &[("a.csv", "id,name\n1,x\n2,y\n"), ("b.csv", "name,id\nz,3\nlost\n")]);
        let report = convert(&job, &Progress::new()).unwrap();
        assert_eq!((report.read, report.kept, report.rejected), (4, 3, 1));
        let (batches, total) = rows::first_rows(File::open(&job.out).unwrap(), 10).unwrap();
        assert_eq!(total, 3);
        let ids: Vec<i64> = batches
            .iter()
            .flat_map(|batch| rows::objects(batch).unwrap())
            .map(|row| row["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, [1, 2, 3]);
        let (rejects, _) = rows::first_rows(File::open(&job.rejects).unwrap(), 10).unwrap();
        let reject = &rows::objects(&rejects[0]).unwrap()[0];
        assert!(reject["file"].as_str().unwrap().ends_with("b.csv"));
        assert_eq!(reject["line"], 3);
    }

    #[test]
    fn rejects_of_an_earlier_conversion_do_not_outlive_a_clean_one() {
        let folder = tempfile::tempdir().unwrap();
        convert(&job(folder.path(), &[("a.csv", "id,name\n1,x\n2,y,z\n")]), &Progress::new()).unwrap();
        assert!(folder.path().join("out.parquet.rejects.parquet").exists());
        let clean = job(folder.path(), &[("a.csv", "id,name\n1,x\n2,y\n")]);
        convert(&clean, &Progress::new()).unwrap();
        assert!(!clean.rejects.exists());
    }
}
