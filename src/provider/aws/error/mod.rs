//! From the SDKs' errors to those that the engine acts on.

mod not_yet;

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::fields::has_all;
use crate::{
    provider::{ErrorKind, Kind, ProviderError, Tags, Target},
    resource::Fields,
};

/// It is not there. Everything else with status 404 counts so too.
const NOT_FOUND: &[&str] = &[
    "AWS.SimpleQueueService.NonExistentQueue",
    "DashboardNotFoundError",
    "EntityNotFoundException",
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchEntity",
    "NoSuchKey",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchTagSet",
    "NoSuchUpload",
    "NoSuchVersion",
    "NotFound",
    "QueueDoesNotExist",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "ServerSideEncryptionConfigurationNotFoundError",
];

/// Something of that name is there. Lambda calls nearly every conflict ResourceConflictException; those that pass
/// are told by their message, below.
const ALREADY_EXISTS: &[&str] = &[
    "AlreadyExistsException",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    // CloudWatch, PutDashboard and TagResource.
    "ConflictException",
    "EntityAlreadyExists",
    "QueueAlreadyExists",
    "QueueNameExists",
    "ResourceAlreadyExistsException",
    "ResourceConflictException",
];

/// The same, told by code and words of the message, in lower case.
const ALREADY_EXISTS_BY_WORDS: &[(Option<&str>, &str)] = &[
    // SNS, CreateTopic of a topic that is there with other tags or attributes.
    (Some("InvalidParameter"), "topic already exists"),
];

/// Too many calls, or a fault of the service's own that passes. Status 429 and 5xx count so too.
/// LimitExceeded is not among them: that is a quota, which waiting does not raise.
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServiceError",
    "InternalServiceException",
    "OperationTimeoutException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The credentials may not do this, or are wrong. Status 401 and 403 count so too.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// Codes whose message quotes what was signed, session token and all. Their message is replaced.
const QUOTES_THE_REQUEST: &[&str] = &["InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"];

/// The engine's error for what a call of `operation` (`s3:CreateBucket`) met. Its message bears the service's code,
/// message and request id, and never what was signed.
pub fn classify<E>(operation: &str, error: SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, message) = match &error {
        SdkError::TimeoutError(_) => (ErrorKind::Unreachable, chain(&error)),
        SdkError::DispatchFailure(_) if is_about_credentials(&error) => (ErrorKind::Denied, chain(&error)),
        SdkError::DispatchFailure(_) => (ErrorKind::Unreachable, chain(&error)),
        SdkError::ResponseError(_) => (ErrorKind::Unreachable, format!("unreadable answer: {}", chain(&error))),
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            answer(context.err().meta(), error.request_id(), status)
        }
        _ => (ErrorKind::Invalid, chain(&error)),
    };
    ProviderError::new(kind, operation, message)
}

/// [`classify`] for `map_err`.
pub(super) fn failed<E>(operation: &'static str) -> impl FnOnce(SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    move |error| classify(operation, error)
}

/// One of the failures in an answer of a batch operation, which is 200 all the same, so that the SDK tries nothing again.
pub(super) fn entry_failed(operation: &str, code: Option<&str>, message: Option<&str>, entry: &str) -> ProviderError {
    const OK: u16 = 200;
    let (code, message) = (code.unwrap_or("failed"), message.unwrap_or("no reason is given"));
    ProviderError::new(kind(code, message, OK), operation, format!("{entry}: {code}: {message}"))
}

/// An answer of the SDK without a field that the service's API always gives.
pub(super) fn incomplete(operation: &str, field: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, operation, format!("the answer lacks {field}; is this endpoint an AWS API?"))
}

/// A request that the SDK refuses to build.
pub(super) fn unbuildable(operation: &str, error: impl Error) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, operation, error.to_string())
}

/// A part is made right after its parent, which may not be visible everywhere yet.
pub(super) fn parent_not_yet(error: ProviderError) -> ProviderError {
    match error.kind {
        ErrorKind::NotFound => ProviderError { kind: ErrorKind::NotYet, ..error },
        _ => error,
    }
}

/// NotFound as a normal answer.
pub(super) trait OrNone<T> {
    /// `None` for what is not there.
    fn or_none(self) -> Result<Option<T>, ProviderError>;
}

impl<T> OrNone<T> for Result<T, ProviderError> {
    fn or_none(self) -> Result<Option<T>, ProviderError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The end of a creation. When the thing is there already and bears exactly our tags (lineage, address and
/// generation are among them), an earlier try of this call made it: its answer was lost, or a later call of the same
/// creation failed. It is then brought to what it should be.
pub(super) async fn taken_up(
    kind: &impl Kind,
    target: Target<'_>,
    tags: &Tags,
    made: Result<Fields, ProviderError>,
) -> Result<Fields, ProviderError> {
    let error = match made {
        Err(error) if error.kind == ErrorKind::AlreadyExists => error,
        made => return made,
    };
    match kind.observe(target).await? {
        Some(there) if has_all(&there.tags, tags) => kind.update(target, &there.inputs, tags).await,
        _ => Err(error),
    }
}

fn answer(meta: &aws_smithy_types::error::ErrorMetadata, request_id: Option<&str>, status: u16) -> (ErrorKind, String) {
    // HEAD has no body, hence no code.
    let code = meta.code().unwrap_or_default();
    let said = meta.message().unwrap_or_default();
    let mut message = match (code, said) {
        ("", "") => format!("HTTP status {status}"),
        (code, _) if QUOTES_THE_REQUEST.contains(&code) => {
            format!("{code}: the secret key does not fit the access key, or the clock is wrong")
        }
        (code, "") => code.to_owned(),
        (code, said) => format!("{code}: {said}"),
    };
    if let Some(request_id) = request_id.or_else(|| meta.request_id()) {
        message = format!("{message} (request id {request_id})");
    }
    (kind(code, said, status), message)
}

fn kind(code: &str, message: &str, status: u16) -> ErrorKind {
    let message = message.to_lowercase();
    let told = |(of, words): &(Option<&str>, &str)| of.is_none_or(|of| of == code) && message.contains(words);
    if not_yet::is_not_yet(code, &message) {
        ErrorKind::NotYet
    } else if NOT_FOUND.contains(&code) {
        ErrorKind::NotFound
    } else if ALREADY_EXISTS.contains(&code) || ALREADY_EXISTS_BY_WORDS.iter().any(told) {
        ErrorKind::AlreadyExists
    } else if THROTTLED.contains(&code) || status == 429 || status >= 500 {
        ErrorKind::Throttled
    } else if DENIED.contains(&code) || status == 401 || status == 403 {
        ErrorKind::Denied
    } else if status == 404 {
        ErrorKind::NotFound
    } else {
        ErrorKind::Invalid
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn is_about_credentials<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    error.source().is_some_and(|error| {
        causes(error).any(|cause| cause.is::<CredentialsError>() || cause.to_string().contains("credentials"))
    })
}

/// The error with its causes, each said once.
fn chain<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in
        std::iter::once(error.to_string()).chain(error.source().into_iter().flat_map(causes).map(ToString::to_string))
    {
        if !told.iter().any(|earlier| earlier.contains(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn told(code: &str, message: &str, status: u16) -> (ErrorKind, String) {
        answer(&ErrorMetadata::builder().code(code).message(message).build(), Some("R1"), status)
    }

    #[test]
    fn codes_decide_and_the_status_decides_where_there_is_no_code() {
        let cases = [
            ("ResourceConflictException", "Function already exist: f", 409, ErrorKind::AlreadyExists),
            ("InvalidArgument", "A specified event is not supported", 400, ErrorKind::Invalid),
            ("BucketAlreadyExists", "", 409, ErrorKind::AlreadyExists),
            ("EntityNotFoundException", "Database d not found.", 400, ErrorKind::NotFound),
            (
                "AWS.SimpleQueueService.NonExistentQueue",
                "The specified queue does not exist.",
                400,
                ErrorKind::NotFound,
            ),
            ("QueueDoesNotExist", "The specified queue does not exist.", 400, ErrorKind::NotFound),
            ("QueueAlreadyExists", "A queue already exists with the same name …", 400, ErrorKind::AlreadyExists),
            ("QueueNameExists", "A queue already exists with the same name …", 400, ErrorKind::AlreadyExists),
            ("NotFound", "Topic does not exist", 404, ErrorKind::NotFound),
            ("ResourceNotFound", "Resource does not exist", 404, ErrorKind::NotFound),
            (
                "InvalidParameter",
                "Invalid parameter: Tags Reason: Topic already exists with different tags",
                400,
                ErrorKind::AlreadyExists,
            ),
            (
                "InvalidParameter",
                "Invalid parameter: Attributes Reason: Topic already exists with different attributes",
                400,
                ErrorKind::AlreadyExists,
            ),
            ("InvalidParameter", "Invalid parameter: Email address", 400, ErrorKind::Invalid),
            ("AuthorizationError", "User: … is not authorized to perform: SNS:Subscribe", 403, ErrorKind::Denied),
            ("Throttled", "Rate exceeded", 429, ErrorKind::Throttled),
            ("ResourceNotFoundException", "Rule r does not exist on EventBus default.", 400, ErrorKind::NotFound),
            ("InvalidEventPatternException", "Event pattern is not valid. Reason: …", 400, ErrorKind::Invalid),
            ("ManagedRuleException", "This rule was created by an AWS service …", 400, ErrorKind::Invalid),
            ("InternalException", "", 500, ErrorKind::Throttled),
            ("ResourceNotFound", "Dashboard d does not exist", 404, ErrorKind::NotFound),
            ("DashboardNotFoundError", "Dashboard d does not exist", 404, ErrorKind::NotFound),
            ("InternalServiceError", "", 500, ErrorKind::Throttled),
            ("NoSuchBucketPolicy", "The bucket policy does not exist", 404, ErrorKind::NotFound),
            ("NoSuchLifecycleConfiguration", "The lifecycle configuration …", 404, ErrorKind::NotFound),
            ("MalformedPolicy", "Policy has invalid resource", 400, ErrorKind::Invalid),
            ("InvalidInputException", "The S3 path is not valid", 400, ErrorKind::Invalid),
            ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", 409, ErrorKind::Invalid),
            ("SlowDown", "Please reduce your request rate.", 503, ErrorKind::Throttled),
            ("TooManyRequestsException", "Rate Exceeded.", 429, ErrorKind::Throttled),
            ("InvalidClientTokenId", "The security token included in the request is invalid.", 403, ErrorKind::Denied),
            ("", "", 404, ErrorKind::NotFound),
            ("", "", 403, ErrorKind::Denied),
            ("", "", 502, ErrorKind::Throttled),
        ];
        for (code, message, status, kind) in cases {
            assert_eq!(told(code, message, status).0, kind, "{code} {message} {status}");
        }
    }

    #[test]
    fn a_message_tells_what_the_service_said_but_never_what_was_signed() {
        let (_, message) = told("NoSuchBucket", "The specified bucket does not exist", 404);
        assert_eq!(message, "NoSuchBucket: The specified bucket does not exist (request id R1)");
        let quoted =
            "… The Canonical String for this request should have been 'POST\n/\nx-amz-security-token:TOPSECRET'";
        let (kind, message) = told("SignatureDoesNotMatch", quoted, 403);
        assert_eq!(kind, ErrorKind::Denied);
        assert!(!message.contains("TOPSECRET"), "{message}");
    }

    #[tokio::test]
    async fn no_answer_is_unreachable_and_no_credentials_are_denied() {
        use crate::provider::aws::{Clients, replay::Replay};
        let config = Replay::new([]).config();
        let error = Clients::new(&config).iam.get_user().send().await.unwrap_err();
        let error = classify("iam:GetUser", error);
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.message.contains("no answer is left"), "the cause is told: {error}");

        let mut without = config.into_builder();
        without.set_credentials_provider(None);
        let error = Clients::new(&without.build()).iam.get_user().send().await.unwrap_err();
        let error = classify("iam:GetUser", error);
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    }
}
