//! Files on their way into S3, and how they are shown: bars on a terminal, plain lines elsewhere.

use std::{path::Path, time::Duration};

use aws_sdk_s3::{
    Client,
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::state::store::Locks;

use super::{
    console::{Console, Style},
    error::CliError,
    interrupts::Signals,
    put::Placed,
    service_error,
    table::printable,
};

/// Files above this size go up in parts, bytes.
const MULTIPART_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Size of a part unless the file would have too many of them, bytes.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// Parts that S3 takes (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PARTS_MAX: u64 = 10_000;
/// Parts of one file under way at once.
const PARTS_AT_ONCE: usize = 4;
/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Uploads a file and returns its entity tag, in its quotes. Memory is bounded: bytes are read as they are sent.
pub async fn upload(client: &Client, bucket: &str, placed: &Placed, shown: &Shown<'_>) -> Result<String, CliError> {
    let target = Target { client, bucket, key: &placed.key };
    if placed.bytes <= MULTIPART_BYTES_MIN {
        let etag = shown.unless_interrupted(target.put(&placed.file)).await?;
        shown.sent(placed.bytes);
        return Ok(etag);
    }
    target.put_in_parts(&placed.file, placed.bytes, shown).await
}

/// Where an object goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    client: &'a Client,
    bucket: &'a str,
    key: &'a str,
}

impl Target<'_> {
    fn failed<E>(&self, operation: &str, error: SdkError<E, HttpResponse>) -> CliError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        service_error(operation, &format!("s3://{}/{}", self.bucket, self.key), error)
    }

    async fn put(&self, file: &Path) -> Result<String, CliError> {
        let body = ByteStream::from_path(file).await.map_err(|error| unreadable(file, error))?;
        let put = self.client.put_object().bucket(self.bucket).key(self.key).content_type("text/csv").body(body);
        let put = put.send().await.map_err(|error| self.failed("s3:PutObject", error))?;
        self.etag(put.e_tag)
    }

    fn etag(&self, etag: Option<String>) -> Result<String, CliError> {
        etag.ok_or_else(|| CliError::failed(format!("s3://{}/{} was taken without an ETag", self.bucket, self.key)))
    }

    async fn put_in_parts(&self, file: &Path, bytes: u64, shown: &Shown<'_>) -> Result<String, CliError> {
        let create = self.client.create_multipart_upload().bucket(self.bucket).key(self.key).content_type("text/csv");
        let created = create.send().await.map_err(|error| self.failed("s3:CreateMultipartUpload", error))?;
        let upload_id = created.upload_id().unwrap_or_default();
        let sent = shown.unless_interrupted(self.send_parts(file, bytes, upload_id, shown)).await;
        if sent.is_err() {
            // Parts of an upload that is left lying cost money; if this fails too, the first error is what matters.
            let abort = self.client.abort_multipart_upload().bucket(self.bucket).key(self.key).upload_id(upload_id);
            if let Err(error) = abort.send().await {
                let error = self.failed("s3:AbortMultipartUpload", error);
                tracing::warn!(upload_id, %error, "an upload could not be aborted");
            }
        }
        sent
    }

    async fn send_parts(
        &self,
        file: &Path,
        bytes: u64,
        upload_id: &str,
        shown: &Shown<'_>,
    ) -> Result<String, CliError> {
        let parts: Vec<CompletedPart> = stream::iter(parts(bytes))
            .map(async |(number, offset, length)| {
                let range = ByteStream::read_from().path(file).offset(offset).length(Length::Exact(length));
                let body = range.build().await.map_err(|error| unreadable(file, error))?;
                let part = self.client.upload_part().bucket(self.bucket).key(self.key).upload_id(upload_id);
                let part = part.part_number(number).body(body).send().await;
                let part = part.map_err(|error| self.failed("s3:UploadPart", error))?;
                shown.sent(length);
                Ok::<_, CliError>(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build())
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(self.bucket).key(self.key).upload_id(upload_id);
        let completed = complete.multipart_upload(parts).send().await;
        self.etag(completed.map_err(|error| self.failed("s3:CompleteMultipartUpload", error))?.e_tag)
    }
}

fn unreadable(file: &Path, error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::failed(format!("{} cannot be read: {:#}", file.display(), anyhow::Error::new(error)))
}

/// Number, offset and length of each part.
fn parts(bytes: u64) -> impl Iterator<Item = (i32, u64, u64)> {
    let size = PART_BYTES.max(bytes.div_ceil(PARTS_MAX));
    let offsets = (0..bytes).step_by(usize::try_from(size).unwrap_or(usize::MAX));
    offsets.zip(1..).map(move |(offset, number)| (number, offset, size.min(bytes - offset)))
}

/// Shows files while they are put and followed.
pub struct Display<'a> {
    console: &'a Console,
    bars: Option<MultiProgress>,
    width: usize,
    interrupted: CancellationToken,
}

impl<'a> Display<'a> {
    /// Shows the files of these keys on `console`.
    pub fn new<'k>(console: &'a Console, keys: impl Iterator<Item = &'k String>) -> Self {
        let width = keys.map(|key| printable(key).chars().count()).max().unwrap_or(0);
        let bars = console.is_interactive().then(MultiProgress::new);
        Display { console, bars, width, interrupted: CancellationToken::new() }
    }

    /// Waits for Ctrl-C and lets what is under way end in good order; the second time, the process ends.
    pub async fn watch_interrupts(&self) {
        match Signals::listen() {
            Ok(signals) => signals.watch(&self.interrupted, &Locks::default(), |_| {}).await,
            // Without a handler the first Ctrl-C ends the process, and S3 is none the worse.
            Err(_) => std::future::pending().await,
        }
    }

    /// Begins to show one file.
    pub fn file(&'a self, key: &str, bytes: u64) -> Shown<'a> {
        let name = printable(key);
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(bytes));
            bar.set_style(style("{spinner} {prefix}  {bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec}"));
            bar.set_prefix(format!("{name:width$}", width = self.width));
            bar.enable_steady_tick(TICK);
            bar
        });
        Shown { display: self, name, bar }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that has gone away is no reason to fail.
            let _ = bars.clear();
        }
    }

    fn line(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.console.note(line)),
            None => self.console.note(line),
        }
    }
}

/// One file while it is shown.
pub struct Shown<'a> {
    display: &'a Display<'a>,
    name: String,
    bar: Option<ProgressBar>,
}

impl Shown<'_> {
    /// The outcome of `work`, or an error as soon as the user has had enough.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        tokio::select! {
            result = work => result,
            () = self.display.interrupted.cancelled() => Err(CliError::failed("interrupted")),
        }
    }

    fn sent(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// It has come a step further.
    pub fn hop(&self, word: &str, detail: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{spinner} {prefix}  {msg} {elapsed}"));
                bar.set_message(word.to_owned());
            }
            None => self.say(Style::Faint, word, detail),
        }
    }

    /// It has come to its end.
    pub fn end(&self, style: Style, word: &str, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.say(style, word, detail);
    }

    fn say(&self, style: Style, word: &str, detail: &str) {
        let word = self.display.console.paint(format!("{word:<13}"), style);
        let line = format!("{:width$}  {word}  {}", self.name, printable(detail), width = self.display.width);
        self.display.line(line.trim_end());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("BUG: the templates of this file are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_file_once_and_in_order_whatever_its_size() {
        for bytes in [MULTIPART_BYTES_MIN + 1, 3 * PART_BYTES, PARTS_MAX * PART_BYTES + 5, 5 << 40] {
            let parts: Vec<_> = parts(bytes).collect();
            assert!(parts.len() as u64 <= PARTS_MAX, "{bytes}");
            let mut end = 0;
            for (index, (number, offset, length)) in parts.iter().enumerate() {
                assert_eq!((*number, *offset), (index as i32 + 1, end));
                end += length;
            }
            assert_eq!(end, bytes);
        }
    }
}
