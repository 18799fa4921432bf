//! CloudWatch's errors. Each has two names: the code of the query protocol, which clients match on, and the shape
//! of its model, which the newer protocols carry in `__type`; those tell the code in a header besides.
//! <https://smithy.io/2.0/aws/protocols/aws-query-compatible-trait.html>

use http::StatusCode;
use serde_json::{Map, Value};

use crate::cloud::{error::ApiError, store::StoreError};

/// An error of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    /// Its code is that of the query protocol.
    pub error: ApiError,
    /// The shape's name in the model.
    pub shape: &'static str,
    /// Members besides the message. Seldom there, hence boxed.
    pub members: Option<Box<Map<String, Value>>>,
}

impl Fault {
    fn new(status: StatusCode, code: &str, shape: &'static str, message: impl Into<String>) -> Fault {
        Fault { error: ApiError::with_status(status, code, message), shape, members: None }
    }

    fn client(code: &str, shape: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, code, shape, message)
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Fault {
        let shape = match error.code.as_str() {
            "InternalFailure" => "InternalServiceFault",
            "UnknownOperationException" => "UnknownOperationException",
            "SerializationException" => "SerializationException",
            _ => "ValidationError",
        };
        let code = if shape == "InternalServiceFault" { "InternalServiceError".to_owned() } else { error.code };
        Fault { error: ApiError { code, ..error }, shape, members: None }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        ApiError::from(error).into()
    }
}

/// What has no error of its own in the model.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CommonErrors.html>
pub(super) fn validation(message: impl Into<String>) -> Fault {
    Fault::client("ValidationError", "ValidationError", message)
}

pub(super) fn invalid_value(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValue", "InvalidParameterValueException", message)
}

pub(super) fn invalid_combination(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterCombination", "InvalidParameterCombinationException", message)
}

pub(super) fn missing(parameter: &str) -> Fault {
    let message = format!("The parameter {parameter} is required.");
    Fault::client("MissingParameter", "MissingRequiredParameterException", message)
}

pub(super) fn invalid_token() -> Fault {
    Fault::client("InvalidNextToken", "InvalidNextToken", "The next token specified is invalid.")
}

pub(super) fn invalid_format(message: impl Into<String>) -> Fault {
    Fault::client("InvalidFormat", "InvalidFormatFault", message)
}

pub(super) fn limit_exceeded(message: impl Into<String>) -> Fault {
    Fault::client("LimitExceeded", "LimitExceededFault", message)
}

/// There is no such alarm.
pub(super) fn no_such_alarm(message: impl Into<String>) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "ResourceNotFound", "ResourceNotFound", message)
}

/// There is no such dashboard.
pub(super) fn no_such_dashboard(name: &str) -> Fault {
    let message = format!("Dashboard {name} does not exist");
    Fault::new(StatusCode::NOT_FOUND, "ResourceNotFound", "DashboardNotFoundError", message)
}

/// A resource that was to be tagged is not there.
pub(super) fn nothing_to_tag(arn: &str) -> Fault {
    let name = "ResourceNotFoundException";
    let mut fault = Fault::new(StatusCode::NOT_FOUND, name, name, format!("The resource {arn} does not exist."));
    let kind = arn.splitn(6, ':').nth(5).map(|resource| resource.split([':', '/']).next().unwrap_or_default());
    let (kind, arn) = (Value::from(kind.unwrap_or_default()), Value::from(arn));
    fault.members = Some(Box::new(Map::from_iter([("ResourceType".into(), kind), ("ResourceId".into(), arn)])));
    fault
}

/// A dashboard's body is not one.
pub(super) fn invalid_dashboard(message: String, problems: Value) -> Fault {
    let mut fault = Fault::client("InvalidParameterInput", "DashboardInvalidInputError", message);
    fault.members = Some(Box::new(Map::from_iter([("dashboardValidationMessages".into(), problems)])));
    fault
}
