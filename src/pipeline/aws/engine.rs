//! The executor on S3: it blocks, so it runs on threads of its own.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{runtime::Handle, task::spawn_blocking};

use super::Aws;
use crate::{
    dataset::{Column, Dataset, Partition},
    executor::{
        self, Conversion, Dialect, Input, MEMORY_BYTES, Origin, Progress, Resources, Source, Through,
        object::{self, ObjectError, ObjectSink, ObjectSource, OutputKeys},
        transform::{Deadline, Limits, PluginError},
    },
    pipeline::{
        ledger,
        ports::{Clock, Engine, EngineError, Inferred, Job, Product, SourceObject},
        schema::SCHEMA_MISMATCH,
    },
};

/// Metadata of an output: hash of the configuration that it was made with.
const CONFIG_METADATA: &str = "lake-config";

/// Metadata of an output: hash of the plugin that its rows went through.
const PLUGIN_METADATA: &str = "lake-plugin";

impl Engine for Aws {
    type Dialect = Dialect;

    async fn infer(
        &self,
        dataset: &Dataset,
        source: &SourceObject,
        known: &[Column],
    ) -> Result<Inferred<Dialect>, EngineError> {
        let (reader, mut options) = (self.reader(source), dataset.csv.clone());
        // Where nothing but text is in the file, its header is known by the names of the table's columns only.
        options.header = options.header.or((!known.is_empty()).then_some(true));
        let inference = blocking(move || executor::infer(&reader, &options, false, &Progress::new())).await?;
        match inference {
            Ok(found) => Ok(Inferred { columns: found.columns, rows: found.rows, dialect: Some(found.dialect) }),
            Err(executor::Error::Empty { .. }) => Ok(Inferred { columns: Vec::new(), rows: 0, dialect: None }),
            Err(error) => Err(classify(&error)),
        }
    }

    async fn open(
        &self,
        dataset: &Dataset,
        input: &[Column],
        work_ends_at: Timestamp,
    ) -> Result<Vec<Column>, EngineError> {
        let Some(transform) = &dataset.transform else { return Ok(input.to_vec()) };
        let plugin = self.plugin(transform).await?;
        let (config, limits, input) = (transform.config.clone(), Limits::of(transform), input.to_vec());
        let deadline = deadline(self.now(), work_ends_at);
        let opened = blocking(move || {
            plugin.open(&config, &input, &limits, deadline).map(|instance| instance.contract().columns.clone())
        });
        opened.await?.map_err(|error| classify_plugin(&error))
    }

    async fn convert(&self, job: Job<'_, Dialect>) -> Result<Product, EngineError> {
        let reader = self.reader(job.source);
        let (dataset, columns) = (job.dataset.clone(), job.columns.to_vec());
        let mut metadata = HashMap::from([(CONFIG_METADATA.to_owned(), dataset.config_hash())]);
        metadata.extend(dataset.plugin_hash().map(|hash| (PLUGIN_METADATA.to_owned(), hash.to_owned())));
        let plugin = match &dataset.transform {
            Some(transform) => Some(self.plugin(transform).await?),
            None => None,
        };
        let plugin_mb = dataset.transform.as_ref().map_or(0, |transform| transform.memory_mb);
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let resources = resources(processors, self.memory_mb, plugin_mb);
        let deadline = deadline(self.now(), job.work_ends_at);
        let bucket = &self.names.processed_bucket;
        let (s3, handle) = (self.s3.clone(), Handle::current());
        let mut sink = ObjectSink::new(s3, handle, bucket, Keys::of(&job), metadata);
        let origin = Origin { uri: reader.name().to_owned(), etag: Some(job.source.head.etag.clone()) };
        let dialect = job.dialect;
        let product = blocking(move || {
            let transform = plugin.as_ref().map(|plugin| Through { plugin, deadline });
            let input = Input { source: &reader, origin, dialect };
            let conversion = Conversion { resources, ..Conversion::of(&dataset, &columns, transform) };
            executor::convert(&[input], &conversion, &mut sink, &Progress::new()).map_err(|error| classify(&error))
        });
        let executor::Converted { report, data, rejects, .. } = product.await??;
        // From here on nothing fails that would have to abort them.
        let data = data.into_iter().map(|file| file.output.into_pending()).collect();
        Ok(Product { report, data, rejects: rejects.map(object::Uploaded::into_pending) })
    }
}

/// Names of one generation's files.
struct Keys {
    dataset: String,
    source: String,
    generation: u64,
}

impl Keys {
    fn of<D>(job: &Job<'_, D>) -> Self {
        Keys { dataset: job.dataset.name.clone(), source: job.source.key.clone(), generation: job.generation }
    }
}

impl OutputKeys for Keys {
    fn data(&self, partition: &Partition, part: u32) -> String {
        ledger::data_key(&self.dataset, &self.source, self.generation, partition, part)
    }

    fn rejects(&self) -> String {
        ledger::rejects_key(&self.dataset, &self.source, self.generation)
    }
}

impl Aws {
    fn reader(&self, source: &SourceObject) -> ObjectSource {
        let (bucket, bytes) = (&self.names.raw_bucket, Some(source.head.bytes));
        ObjectSource::new(self.s3.clone(), Handle::current(), bucket, &source.key, &source.head.etag, bytes)
    }
}

/// Megabytes of a function that are not the conversion's: the process itself, and parts on their way.
const REST_OF_FUNCTION_MB: u32 = 512;

/// What a conversion may use in a function of this size, beside a plugin of that: [`MEMORY_BYTES`] at least, and all
/// processors that the rest has room for.
fn resources(processors: usize, function_mb: u32, plugin_mb: u32) -> Resources {
    let spare = function_mb.saturating_sub(REST_OF_FUNCTION_MB).saturating_sub(plugin_mb) as usize * 1024 * 1024;
    Resources::of(processors, spare.max(MEMORY_BYTES))
}

/// When a transform must be done, by the clock that does not jump.
fn deadline(now: Timestamp, work_ends_at: Timestamp) -> Deadline {
    let left = Duration::try_from(now.duration_until(work_ends_at)).unwrap_or_default();
    Deadline(Instant::now().checked_add(left))
}

/// Runs `work` on a thread that may block. That it panics is a bug of ours; the attempt has failed, no more.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
    let span = tracing::Span::current();
    let done = spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(|error| EngineError::Retriable(format!("the executor stopped: {error}; this is a bug in lake")))
}

/// Whose fault it is.
fn classify(error: &(dyn StdError + 'static)) -> EngineError {
    let message = chain(error);
    match ObjectError::of(error) {
        Some(ObjectError::Gone { .. } | ObjectError::Changed { .. }) => return EngineError::Changed,
        Some(ObjectError::TooLarge { .. }) => return EngineError::Input { code: "too_large".into(), message },
        _ => {}
    }
    match error.downcast_ref::<executor::Error>() {
        Some(executor::Error::Schema { unknown, .. }) if !unknown.is_empty() => {
            EngineError::UnknownColumns { names: unknown.clone(), message }
        }
        Some(known) if known.is_permanent() => EngineError::Input { code: code(known).into(), message },
        _ => EngineError::Retriable(message),
    }
}

/// Whether the plugin would fail again.
pub(super) fn classify_plugin(error: &PluginError) -> EngineError {
    match error.is_permanent() {
        true => EngineError::Input { code: error.code().into(), message: error.to_string() },
        false => EngineError::Retriable(error.to_string()),
    }
}

/// Stable code of what the input did wrong.
fn code(error: &executor::Error) -> &'static str {
    use executor::Error;
    match error {
        Error::Empty { .. } => "empty",
        Error::NotCsv { .. } => "not_csv",
        Error::Damaged { .. } => "damaged",
        Error::Schema { .. } => SCHEMA_MISMATCH,
        Error::TooManyRejects { .. } => "too_many_rejects",
        Error::Ragged { .. } => "ragged",
        Error::Header { .. } => "header",
        Error::Option { .. } => "csv_option",
        Error::Quotes { .. } => "unbalanced_quotes",
        Error::Partition { .. } => "partition",
        Error::Batch(_) | Error::Conservation { .. } | Error::Transform { .. } => "bug",
        Error::Plugin { source, .. } => source.code(),
        Error::Read { .. } => "read",
        Error::Open { .. } | Error::Write { .. } | Error::Finish { .. } => "write",
        Error::Cancelled => "cancelled",
    }
}

/// An error with all its causes; those that it repeats itself are said once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_object_that_changed_while_it_was_read_is_told_from_a_broken_connection() {
        let name = || "s3://raw/in/a.csv".to_owned();
        let read = |source: io::Error| executor::Error::Read { name: name(), source };
        assert_eq!(classify(&read(ObjectError::Changed { name: name() }.into())), EngineError::Changed);
        assert_eq!(classify(&read(ObjectError::Gone { name: name() }.into())), EngineError::Changed);
        let EngineError::Retriable(message) = classify(&read(io::Error::other("reset"))) else { panic!("permanent") };
        assert!(message.contains("reset"), "{message}");
    }

    #[test]
    fn what_is_wrong_with_the_input_is_permanent_and_has_a_code() {
        let error = executor::Error::NotCsv { name: "a".into(), looks_like: "gzip".into() };
        let EngineError::Input { code, message } = classify(&error) else { panic!("retriable") };
        assert_eq!(code, "not_csv");
        assert!(message.contains("gzip"));
    }

    #[test]
    fn columns_that_are_not_the_tables_are_told_by_name_and_rows_that_do_not_fit_by_a_code_of_their_own() {
        let name = || "s3://raw/in/a.csv".to_owned();
        let schema = |unknown: &[&str]| executor::Error::Schema {
            name: name(),
            message: "no".into(),
            unknown: unknown.iter().map(|&name| name.to_owned()).collect(),
        };
        let EngineError::UnknownColumns { names, message } = classify(&schema(&["b", "c"])) else { panic!("other") };
        assert_eq!((names.join(" "), message.as_str()), ("b c".to_owned(), "s3://raw/in/a.csv: no"));
        let code_of = |error| match classify(&error) {
            EngineError::Input { code, message } => (code, message),
            other => panic!("{other:?}"),
        };
        assert_eq!(code_of(schema(&[])).0, SCHEMA_MISMATCH);
        let allowed = "0.5%".parse().unwrap();
        let first = "line 3: type_mismatch".to_owned();
        let (code, message) =
            code_of(executor::Error::TooManyRejects { name: name(), rejected: 7, read: 1000, allowed, first });
        assert!(code == "too_many_rejects" && message.contains("7 of 1000 rows"), "{message}");
        assert!(message.contains("max_rejects = 0.5%") && message.contains("line 3: type_mismatch"), "{message}");
        let (code, message) = code_of(executor::Error::Ragged { name: name(), line: 3, message: "4 fields".into() });
        assert!(code == "ragged" && message.contains("line 3: 4 fields"), "{message}");
    }

    #[test]
    fn a_plugin_that_would_fail_again_is_permanent_and_names_object_and_lines_once() {
        let trapped =
            PluginError::Trapped { plugin: "clean".into(), rows: None, message: "panicked".into() }.in_lines(2, 900);
        let error = executor::Error::Plugin { name: "s3://raw/in/a.csv".into(), source: trapped };
        let EngineError::Input { code, message } = classify(&error) else { panic!("retriable") };
        assert_eq!(code, "plugin_trapped");
        assert!(message.starts_with("s3://raw/in/a.csv: "), "{message}");
        assert_eq!(message.matches("plugin clean stopped in lines 2 to 900: panicked").count(), 1, "{message}");
        let late = PluginError::TimedOut { plugin: "clean".into(), rows: None, seconds: 3, of_one_call: false };
        assert!(matches!(classify_plugin(&late), EngineError::Retriable(_)));
        let error = executor::Error::Plugin { name: "s3://raw/in/a.csv".into(), source: late };
        assert!(matches!(classify(&error), EngineError::Retriable(_)));
    }

    #[test]
    fn a_larger_function_has_room_for_more_workers_and_a_small_one_for_the_usual() {
        let usual = Resources::of(6, MEMORY_BYTES);
        assert_eq!([resources(6, 0, 0), resources(6, 600, 0), resources(6, 1024, 512)], [usual; 3]);
        assert!(usual.workers < 6);
        assert_eq!([resources(6, 2048, 256).workers, resources(6, 10_240, 256).workers], [6, 6]);
        assert_eq!(resources(1, 10_240, 256).workers, 1);
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_no_time() {
        let now: Timestamp = "2025-01-02T03:04:05Z".parse().unwrap();
        let Deadline(Some(ends)) = deadline(now, Timestamp::UNIX_EPOCH) else { panic!("never") };
        assert!(ends <= Instant::now());
    }
}
