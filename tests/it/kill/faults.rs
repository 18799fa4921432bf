//! What goes wrong on the way: dropped and doubled calls, late answers, throttling, each with a chance, from a seed.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde_json::json;

use super::{
    call::{Call, STATE},
    proxy::Answer,
};
use crate::faults::Dice;

/// One call in so many goes wrong, at most.
const ONE_IN_MIN: u64 = 4;
/// And at least.
const ONE_IN_MAX: u64 = 30;
/// And of the few to the bucket of the state.
const STATE_ONE_IN_MAX: u64 = 8;
/// Longest delay of an answer, in milliseconds.
const DELAY_MAX: u64 = 400;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The cloud never gets it.
    DroppedBefore,
    /// The cloud does it, and its answer is lost.
    DroppedAfter,
    /// The answer is late, by so many milliseconds.
    Delayed(u64),
    /// The cloud gets it twice; which answer arrives.
    Twice { first_counts: bool },
    /// The cloud has no time for it.
    Throttled,
}

/// Which calls go wrong.
pub struct Weather {
    dice: Dice,
    one_in: u64,
}

impl Weather {
    pub fn new(seed: u64) -> Weather {
        let mut dice = Dice::new(seed);
        let one_in = dice.within(ONE_IN_MIN..ONE_IN_MAX + 1);
        Weather { dice, one_in }
    }

    /// What becomes of a call.
    pub fn next(&mut self, call: &Call) -> Option<Fault> {
        let one_in = if call.service == STATE { self.one_in.min(STATE_ONE_IN_MAX) } else { self.one_in };
        if !self.dice.one_in(one_in) {
            return None;
        }
        Some(match self.dice.within(0..5) {
            0 => Fault::DroppedBefore,
            1 => Fault::DroppedAfter,
            2 => Fault::Delayed(self.dice.within(1..DELAY_MAX)),
            3 => Fault::Twice { first_counts: self.dice.one_in(2) },
            _ => Fault::Throttled,
        })
    }
}

/// A service's own way of saying that there are too many requests.
pub fn throttled(call: &Call, parts: &Parts) -> Answer {
    let (status, kind, body) = match call.service.as_str() {
        // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "s3" | STATE => {
            let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            // The answer to a HEAD has no body.
            let text = if parts.method == Method::HEAD { "" } else { text };
            (StatusCode::SERVICE_UNAVAILABLE, "application/xml", text.as_bytes().to_vec())
        }
        // https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
        "lambda" => {
            let body = json!({ "Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate Exceeded." });
            (StatusCode::TOO_MANY_REQUESTS, "application/json", body.to_string().into_bytes())
        }
        "iam" | "sns" | "sts" => {
            let text = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
                        <Message>Rate exceeded</Message></Error><RequestId>0</RequestId></ErrorResponse>";
            (StatusCode::BAD_REQUEST, "text/xml", text.as_bytes().to_vec())
        }
        // https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
        "monitoring" => {
            let mut body = Vec::new();
            let error = json!({ "__type": "com.amazonaws.cloudwatch#Throttling", "message": "Rate exceeded" });
            ciborium::into_writer(&error, &mut body).unwrap();
            (StatusCode::BAD_REQUEST, "application/cbor", body)
        }
        _ => {
            let body = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" });
            (StatusCode::BAD_REQUEST, "application/x-amz-json-1.1", body.to_string().into_bytes())
        }
    };
    let mut answer = Response::builder().status(status).header("content-type", kind);
    answer = match call.service.as_str() {
        "lambda" => answer.header("x-amzn-errortype", "TooManyRequestsException"),
        "monitoring" => {
            answer.header("smithy-protocol", "rpc-v2-cbor").header("x-amzn-query-error", "Throttling;Sender")
        }
        _ => answer,
    };
    answer.body(Full::new(Bytes::from(body))).unwrap()
}
