//! An SDK's error in words.

use std::error::Error;

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// Longest message of a service that is repeated, characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// Codes whose message quotes what was signed, session token and all. Their message is replaced.
const QUOTES_THE_REQUEST: &[&str] = &["InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"];

/// What a service answered (code, message, request id), or why there was no answer. Never what was signed.
pub fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(context) = error else { return chain(error) };
    let meta = context.err().meta();
    // HEAD has no body, hence no code.
    let status = context.raw().status().as_u16();
    let mut said = match (meta.code().unwrap_or_default(), meta.message().unwrap_or_default()) {
        ("", "") => format!("HTTP status {status}"),
        (code, _) if QUOTES_THE_REQUEST.contains(&code) => {
            format!("{code}: the secret key does not fit the access key, or the clock is wrong")
        }
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {}", shortened(message)),
    };
    if let Some(request_id) = error.request_id().or_else(|| meta.request_id()) {
        said = format!("{said} (request id {request_id})");
    }
    said
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// An error with its causes, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string) {
        if !told.iter().any(|earlier| earlier.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    use super::*;

    fn answered(status: u16, meta: ErrorMetadata) -> String {
        let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        response.headers_mut().insert("x-amz-request-id", "R1");
        describe(&SdkError::service_error(PutObjectError::generic(meta), response))
    }

    #[test]
    fn an_answer_is_told_by_code_message_and_request_id_and_nothing_else() {
        let meta = ErrorMetadata::builder().code("AccessDenied").message("not yours").build();
        assert_eq!(answered(403, meta), "AccessDenied: not yours (request id R1)");
        assert_eq!(answered(403, ErrorMetadata::builder().build()), "HTTP status 403 (request id R1)");
    }

    #[test]
    fn what_was_signed_is_never_repeated() {
        for code in QUOTES_THE_REQUEST {
            let meta = ErrorMetadata::builder().code(*code).message("x-amz-security-token:SECRET").build();
            let said = answered(403, meta);
            assert!(said.starts_with(code) && !said.contains("SECRET"), "{said}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let meta = ErrorMetadata::builder().code("X").message("é".repeat(10_000)).build();
        assert!(answered(400, meta).chars().count() < MESSAGE_CHARS_MAX + 50);
    }

    #[test]
    fn without_an_answer_the_causes_are_told_once_each() {
        let error: SdkError<PutObjectError, HttpResponse> = SdkError::timeout_error("too slow");
        assert!(describe(&error).ends_with("too slow"), "{}", describe(&error));
    }
}
