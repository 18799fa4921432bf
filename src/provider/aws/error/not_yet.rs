//! The one table of what passes by itself: errors that say, in so many words, that something made a moment ago is not
//! visible everywhere yet, or that another change of the same thing is still under way.
//!
//! AWS gives most of them no code of their own, so they are told by code and words. It has changed such wordings before
//! (<https://github.com/hashicorp/terraform-provider-aws/issues/30371>), hence a whole sentence as AWS writes it for
//! each row in the tests below, with the page or the thread that quotes it.
//!
//! Throttling is not among them: that has codes of its own, says nothing about what is visible, and is answered by
//! calling less, with jitter, not by calling again at once (`super::THROTTLED`).

/// An error that is worth another try soon.
pub(super) struct Wording {
    /// The code that it comes with; `None`: any.
    code: Option<&'static str>,
    /// Words of its message, in lower case; none: the code says enough.
    words: &'static str,
}

const fn words(code: &'static str, words: &'static str) -> Wording {
    Wording { code: Some(code), words }
}

const fn code(code: &'static str) -> Wording {
    words(code, "")
}

impl Wording {
    /// Whether an error with this code and this message, in lower case, is meant.
    fn says(&self, code: &str, message: &str) -> bool {
        self.code.is_none_or(|of| of == code) && message.contains(self.words)
    }
}

/// Whether the same call may succeed in a moment. `message` is in lower case.
pub(super) fn is_not_yet(code: &str, message: &str) -> bool {
    NOT_YET.iter().any(|wording| wording.says(code, message))
}

const NOT_YET: &[Wording] = &[
    // Lambda: the role, for some seconds after CreateRole.
    words("InvalidParameterValueException", "cannot be assumed by lambda"),
    // Lambda: the role's rights, for some seconds after PutRolePolicy.
    words("InvalidParameterValueException", "execution role does not have permissions"),
    // Lambda encrypts the environment with a grant to a role that KMS does not see yet.
    Wording { code: None, words: "kms key is invalid for creategrant" },
    // Lambda: the destination of failed events, or the role's right to send there, was made a moment ago.
    words("InvalidParameterValueException", "the destination arn"),
    // Lambda: the function is being made or changed, its permissions and destinations included.
    words("ResourceConflictException", "cannot be performed at this time"),
    words("ResourceConflictException", "update is in progress"),
    words("ResourceConflictException", "concurrent update operation"),
    // Glue: the role, in each of the wordings that it has had.
    words("InvalidInputException", "unable to assume"),
    words("InvalidInputException", "please verify the role's trustpolicy"),
    words("InvalidInputException", "please verify role's trustpolicy"),
    words("InvalidInputException", "should be given assume role permissions for glue service"),
    // Glue: the role's rights, for some seconds after PutRolePolicy.
    words("InvalidInputException", "is not authorized to perform"),
    // Glue: a crawler's schedule changes, two calls change one crawler, or somebody starts it again and again.
    code("SchedulerTransitioningException"),
    code("VersionMismatchException"),
    code("CrawlerRunningException"),
    code("CrawlerStoppingException"),
    // SQS keeps the name of a deleted queue for 60 seconds.
    code("AWS.SimpleQueueService.QueueDeletedRecently"),
    code("QueueDeletedRecently"),
    // SQS: a principal or the queue itself was made a moment ago.
    words("InvalidAttributeValue", "invalid value for the parameter policy"),
    // SNS: a role, a principal, a function or a queue was made a moment ago.
    words("InvalidParameter", "is not a valid role to allow sns"),
    words("InvalidParameter", "principalnotfound"),
    words("InvalidParameter", "endpoint arn"),
    // SNS: two changes of one topic's tags.
    code("ConcurrentAccess"),
    code("StaleTag"),
    // EventBridge: a target's or a rule's role was made a moment ago.
    words("ValidationException", "cannot be assumed by principal"),
    // EventBridge: RemoveTargets has not arrived everywhere.
    words("ValidationException", "rule can't be deleted since it has targets"),
    // S3: a principal was made a moment ago.
    words("MalformedPolicy", "invalid principal in policy"),
    // S3 asks Lambda whether it may invoke; the permission is not visible everywhere yet.
    words("InvalidArgument", "unable to validate the following destination configurations"),
    // S3: two changes of one bucket, or CreateBucket soon after DeleteBucket of the same name.
    code("OperationAborted"),
    // CloudWatch Logs: two calls on one group.
    code("OperationAbortedException"),
    // IAM, Glue, EventBridge and CloudWatch: two changes of one thing.
    code("ConcurrentModification"),
    code("ConcurrentModificationException"),
    // IAM: a principal was made a moment ago.
    words("MalformedPolicyDocument", "invalid principal in policy"),
    // IAM: the role's policies were taken away a moment ago.
    words("DeleteConflict", "must delete policies first"),
    words("DeleteConflict", "must detach all policies first"),
];

#[cfg(test)]
mod tests;
