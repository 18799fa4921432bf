//! Takes in what is left of a request's body when its answer is ready early. A connection closed over unread data is
//! reset by the system, and the client would see that instead of the answer that tells it what was wrong.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use s3s::{Body, StdError};

/// Most bytes that are read only to be thrown away.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
/// Longest time that a client may take to send them.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// A request's body that is read to its end (within limits) also when nobody wants it any more.
pub(super) struct Draining {
    body: Option<Body>,
}

impl Draining {
    /// Wraps `body`. With `wanted` false (the client waits for a `100 Continue`) it is left alone.
    pub(super) fn wrap(body: Body, wanted: bool) -> Body {
        if !wanted || body.is_end_stream() {
            return body;
        }
        Body::http_body_unsync(Draining { body: Some(body) })
    }
}

impl http_body::Body for Draining {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint())
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let drained = tokio::time::timeout(DRAIN_WAIT, async {
                let mut length = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    length += frame.data_ref().map_or(0, Bytes::len);
                    if length > DRAIN_BYTES {
                        break;
                    }
                }
            });
            if drained.await.is_err() {
                tracing::debug!("a client took too long to send a body that was refused");
            }
        });
    }
}
