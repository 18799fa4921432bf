//! Getting bytes of one version of an object: a range or the rest of it, taken up where it breaks.

use std::{ops::Range, time::Duration};

use aws_sdk_s3::{Client, error::ProvideErrorMetadata, operation::get_object::GetObjectOutput};
use bytes::Bytes;

use super::ObjectError;

/// Times that a broken body is taken up again where it broke, without a byte in between.
pub const RESUMES_MAX: u32 = 4;
/// Pause before the first of them; it doubles each time.
const RESUME_PAUSE: Duration = Duration::from_millis(100);

/// One version of an object, and who fetches it.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub client: Client,
    pub bucket: String,
    pub key: String,
    pub etag: String,
    /// `s3://bucket/key`
    pub name: String,
    pub size: Option<u64>,
}

/// What is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes.
    Range(Range<u64>),
    /// Everything from here on.
    From(u64),
}

/// Takes chunks; `false`: nobody wants more.
pub(super) trait Taker: Send {
    fn take(&mut self, chunk: Bytes) -> impl Future<Output = bool> + Send;
}

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// Everything was handed over, or nobody wants more.
    All,
    /// The server answers with the whole object when a range is asked for. Nothing was handed over.
    NoRanges,
}

impl Fetch {
    /// Hands a part over, chunk by chunk.
    pub async fn run(&self, part: Part, taker: &mut impl Taker) -> Result<Fetched, ObjectError> {
        let (mut position, mut end) = match &part {
            Part::Range(range) => (range.start, Some(range.end)),
            Part::From(start) => (*start, None),
        };
        let mut resumes = 0;
        loop {
            let Some(mut output) = self.ask(&part, position).await? else { return Ok(Fetched::NoRanges) };
            // A server that does not know ranges begins at the beginning.
            let mut skip = if output.content_range().is_none() { position } else { 0 };
            if end.is_none() {
                end = end_of(&output, position).or(self.size);
            }
            let broken = loop {
                match output.body.next().await {
                    Some(Ok(mut chunk)) => {
                        let skipped = skip.min(chunk.len() as u64);
                        skip -= skipped;
                        let mut chunk = chunk.split_off(skipped as usize);
                        if let Part::Range(range) = &part {
                            chunk.truncate(usize::try_from(range.end - position).unwrap_or(usize::MAX));
                        }
                        if chunk.is_empty() {
                            continue;
                        }
                        position += chunk.len() as u64;
                        resumes = 0;
                        if !taker.take(chunk).await {
                            return Ok(Fetched::All);
                        }
                    }
                    Some(Err(error)) => break error.to_string(),
                    None if end.is_none_or(|end| position == end) => return Ok(Fetched::All),
                    None => break "the body ended early".to_owned(),
                }
            };
            // All bytes were there and something is wrong nonetheless: their checksum. Asking again cannot help.
            if resumes == RESUMES_MAX || end.is_some_and(|end| position >= end) {
                return Err(self.wrong(format!("{broken}, at byte {position}")));
            }
            tokio::time::sleep(RESUME_PAUSE * 2u32.pow(resumes)).await;
            resumes += 1;
            tracing::debug!(object = self.name, position, resumes, broken, "taking a broken body up again");
        }
    }

    /// Asks for a part from `position` on, and looks whether the answer is that; `None`: it is the whole object, and a
    /// range was asked for.
    async fn ask(&self, part: &Part, position: u64) -> Result<Option<GetObjectOutput>, ObjectError> {
        let range = match part {
            Part::Range(range) => Some(format!("bytes={position}-{}", range.end - 1)),
            Part::From(_) => (position > 0).then(|| format!("bytes={position}-")),
        };
        let request = self.client.get_object().bucket(&self.bucket).key(&self.key).if_match(&self.etag);
        let output = request.set_range(range).send().await.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let name = self.name.clone();
            match (error.as_service_error(), status) {
                (Some(service), _) if service.is_no_such_key() => ObjectError::Gone { name },
                (Some(service), _) if service.code() == Some("PreconditionFailed") => ObjectError::Changed { name },
                (_, Some(412)) => ObjectError::Changed { name },
                (_, Some(404)) => ObjectError::Gone { name },
                _ => ObjectError::service("GetObject", &self.name, &error),
            }
        })?;
        // A server that ignores If-Match may answer with another version.
        let bare = |etag: &str| etag.trim_matches('"').to_owned();
        if output.e_tag().is_some_and(|etag| bare(etag) != bare(&self.etag)) {
            return Err(ObjectError::Changed { name: self.name.clone() });
        }
        match (part, output.content_range()) {
            (Part::Range(_), None) => Ok(None),
            (_, None) => Ok(Some(output)),
            (_, Some(range)) => match parse(range) {
                Some((_, Some(size))) if self.size.is_some_and(|known| known != size) => {
                    Err(ObjectError::Changed { name: self.name.clone() })
                }
                Some((begin, _)) if begin == position => Ok(Some(output)),
                _ => Err(self.wrong(format!("byte {position} on was asked for, and `{range}` was the answer"))),
            },
        }
    }

    fn wrong(&self, message: String) -> ObjectError {
        ObjectError::Service { operation: "GetObject", name: self.name.clone(), code: None, message }
    }
}

/// Where an object ends, by what the server says of the rest of it.
fn end_of(output: &GetObjectOutput, position: u64) -> Option<u64> {
    let length = output.content_length().and_then(|length| u64::try_from(length).ok())?;
    Some(if output.content_range().is_some() { position + length } else { length })
}

/// The first byte of a Content-Range, and the size of the object (<https://www.rfc-editor.org/rfc/rfc9110#section-14.4>).
fn parse(content_range: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = content_range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let begin = range.split_once('-')?.0.trim().parse().ok()?;
    Some((begin, size.trim().parse().ok()))
}
