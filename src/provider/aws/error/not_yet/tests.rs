//! Sentences as AWS writes them, each with its status and where it is quoted. A page of AWS's API reference describes
//! the code in these words; a thread or another program quotes what was answered.

use aws_smithy_types::error::ErrorMetadata;

use super::{super::answer, *};
use crate::provider::ErrorKind;

/// Code, status, the whole message, and the page or thread that has it.
type Sentence = (&'static str, u16, &'static str, &'static str);

const SENTENCES: &[Sentence] = &[
    (
        "InvalidParameterValueException",
        400,
        "The role defined for the function cannot be assumed by Lambda.",
        "https://github.com/pulumi/pulumi-aws-native/issues/148",
    ),
    (
        "InvalidParameterValueException",
        400,
        "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
        "https://github.com/terraform-aws-modules/terraform-aws-lambda/issues/326",
    ),
    (
        "InvalidParameterValueException",
        400,
        "The provided execution role does not have permissions to call SendMessage on SQS",
        "https://github.com/elastic/beats/issues/13963",
    ),
    (
        "InvalidParameterValueException",
        400,
        "The function's execution role does not have permissions to call SendMessage on \
         arn:aws:sqs:eu-west-1:123456789012:failed",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function_event_invoke_config.go",
    ),
    (
        "InvalidParameterValueException",
        400,
        "Lambda was unable to configure access to your environment variables because the KMS key is invalid for \
         CreateGrant. Please check your KMS key settings. KMS Exception: InvalidArnException KMS Message: ARN does not \
         refer to a valid principal: arn:aws:iam::123456789012:role/convert",
        "https://github.com/aws/chalice/blob/master/tests/functional/test_awsclient.py",
    ),
    (
        "InvalidParameterValueException",
        400,
        "The destination ARN arn:aws:sqs:eu-west-1:123456789012:failed is invalid.",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function_event_invoke_config.go",
    ),
    (
        "ResourceConflictException",
        409,
        "The operation cannot be performed at this time. An update is in progress for resource: \
         arn:aws:lambda:eu-west-1:123456789012:function:convert",
        "https://github.com/claudiajs/claudia/issues/226",
    ),
    (
        "ResourceConflictException",
        409,
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
        "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html",
    ),
    (
        "ResourceConflictException",
        409,
        "An update is in progress for resource: arn:aws:lambda:eu-west-1:123456789012:function:convert",
        "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html",
    ),
    (
        "ResourceConflictException",
        409,
        "The function could not be updated due to a concurrent update operation. Please try again later.",
        "https://github.com/go-to-k/cdkd/blob/main/src/deployment/retryable-errors.ts",
    ),
    (
        "InvalidInputException",
        400,
        "Service is unable to assume provided role. Please verify role's TrustPolicy",
        "https://github.com/hashicorp/terraform-provider-aws/issues/30371",
    ),
    (
        "InvalidInputException",
        400,
        "Service is unable to assume role arn:aws:iam::123456789012:role/crawler. Please verify role's TrustPolicy",
        "https://github.com/ansible-collections/community.aws/pull/546",
    ),
    (
        "InvalidInputException",
        400,
        "com.amazonaws.services.glue.model.AccessDeniedException: You need to enable AWS Security Token Service for \
         this region. . Please verify the role's TrustPolicy.",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/glue/crawler.go",
    ),
    (
        "InvalidInputException",
        400,
        "Role arn:aws:iam::123456789012:role/crawler should be given assume role permissions for Glue Service.",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/glue/dev_endpoint.go",
    ),
    (
        "InvalidInputException",
        400,
        "Unable to retrieve connection c: User: arn:aws:sts::123456789012:assumed-role/crawler/AWS-Crawler is not \
         authorized to perform: glue:GetConnection on resource: * (Service: AmazonDataCatalog; Status Code: 400; \
         Error Code: AccessDeniedException; Request ID: 4d72b66f-9c75-11e8-9faf-5b526c7be968)",
        "https://github.com/hashicorp/terraform-provider-aws/pull/5502",
    ),
    (
        "SchedulerTransitioningException",
        400,
        "The specified scheduler is transitioning.",
        "https://docs.aws.amazon.com/glue/latest/webapi/API_DeleteCrawler.html",
    ),
    (
        "VersionMismatchException",
        400,
        "There was a version conflict.",
        "https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateCrawler.html",
    ),
    (
        "CrawlerRunningException",
        400,
        "Crawler with name c is already running",
        "https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateCrawler.html",
    ),
    (
        "CrawlerStoppingException",
        400,
        "Crawler with name c is stopping",
        "https://docs.aws.amazon.com/glue/latest/webapi/API_StopCrawler.html",
    ),
    (
        "AWS.SimpleQueueService.QueueDeletedRecently",
        400,
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html",
    ),
    (
        "QueueDeletedRecently",
        400,
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html",
    ),
    (
        "InvalidAttributeValue",
        400,
        "Invalid value for the parameter Policy.",
        "https://github.com/hashicorp/terraform-provider-aws/issues/31494",
    ),
    (
        "InvalidParameter",
        400,
        "Invalid parameter: LambdaSuccessFeedbackRoleArn: arn:aws:iam::123456789012:role/r is not a valid role to \
         allow SNS to write to Cloudwatch Logs",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/sns/platform_application.go",
    ),
    (
        "InvalidParameter",
        400,
        "Invalid parameter: Policy Error: PrincipalNotFound",
        "https://github.com/hashicorp/terraform-provider-aws/issues/26041",
    ),
    (
        "InvalidParameter",
        400,
        "Invalid parameter: Lambda endpoint ARN",
        "https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html",
    ),
    (
        "InvalidParameter",
        400,
        "Invalid parameter: SQS endpoint ARN",
        "https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html",
    ),
    (
        "ConcurrentAccess",
        400,
        "Can't perform multiple operations on a tag simultaneously. Perform the operations sequentially.",
        "https://docs.aws.amazon.com/sns/latest/api/API_TagResource.html",
    ),
    (
        "StaleTag",
        400,
        "A tag has been added to a resource with the same ARN as a deleted resource. Wait a short while and then \
         retry the operation.",
        "https://docs.aws.amazon.com/sns/latest/api/API_TagResource.html",
    ),
    (
        "ValidationException",
        400,
        "Provided role 'arn:aws:iam::123456789012:role/r' cannot be assumed by principal 'events.amazonaws.com'.",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/events/rule.go",
    ),
    (
        "ValidationException",
        400,
        "Rule can't be deleted since it has targets.",
        "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/events/rule.go",
    ),
    (
        "ConcurrentModificationException",
        400,
        "There is concurrent modification on a rule, target, archive, or replay.",
        "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html",
    ),
    (
        "ConcurrentModificationException",
        400,
        "Two processes are trying to modify a resource simultaneously.",
        "https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateDatabase.html",
    ),
    (
        "ConcurrentModificationException",
        429,
        "More than one process tried to modify a resource at the same time.",
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_TagResource.html",
    ),
    ("MalformedPolicy", 400, "Invalid principal in policy", "https://github.com/aws/aws-sdk-java-v2/issues/1946"),
    (
        "InvalidArgument",
        400,
        "Unable to validate the following destination configurations",
        "https://github.com/hashicorp/terraform/issues/19756",
    ),
    (
        "OperationAborted",
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
        "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
    ),
    (
        "OperationAbortedException",
        400,
        "A conflicting operation is currently in progress against this resource. Please try again.",
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html",
    ),
    (
        "ConcurrentModification",
        409,
        "The request was rejected because multiple requests to change this object were submitted simultaneously. Wait \
         a few minutes and submit your request again.",
        "https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html",
    ),
    (
        "MalformedPolicyDocument",
        400,
        "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/new\"",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_policies.html",
    ),
    (
        "DeleteConflict",
        409,
        "Cannot delete entity, must delete policies first.",
        "https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html",
    ),
    (
        "DeleteConflict",
        409,
        "Cannot delete entity, must detach all policies first.",
        "https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html",
    ),
];

/// What sounds alike, but does not pass by itself.
const WILL_NOT_PASS: &[(&str, u16, &str, ErrorKind)] = &[
    (
        "ConflictException",
        409,
        "This operation attempted to create a resource that already exists.",
        ErrorKind::AlreadyExists,
    ),
    (
        "AccessDeniedException",
        400,
        "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:PassRole on resource: \
         arn:aws:iam::123456789012:role/crawler because no identity-based policy allows the iam:PassRole action",
        ErrorKind::Denied,
    ),
    (
        "InvalidInputException",
        400,
        "Insufficient Lake Formation permission(s): Required Create Table on flights",
        ErrorKind::Invalid,
    ),
    (
        "InvalidArgument",
        400,
        "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
        ErrorKind::Invalid,
    ),
    (
        "ResourceConflictException",
        409,
        "The statement id (lake-rules) provided already exists. Please provide a new statement id, or remove the \
         existing statement.",
        ErrorKind::AlreadyExists,
    ),
    ("ValidationException", 400, "Parameter ScheduleExpression is not valid.", ErrorKind::Invalid),
    ("DeleteConflict", 409, "Cannot delete entity, must remove roles from instance profile first.", ErrorKind::Invalid),
    ("InvalidParameterValueException", 400, "Uploaded file must be a non-empty zip", ErrorKind::Invalid),
    ("ThrottlingException", 400, "Rate exceeded", ErrorKind::Throttled),
    (
        "TooManyRequestsException",
        429,
        "Rate Exceeded. An update is in progress for another function.",
        ErrorKind::Throttled,
    ),
];

fn kind(code: &str, message: &str, status: u16) -> ErrorKind {
    answer(&ErrorMetadata::builder().code(code).message(message).build(), None, status).0
}

#[test]
fn each_known_wording_of_eventual_consistency_is_not_yet() {
    for (code, status, message, source) in SENTENCES {
        assert_eq!(kind(code, message, *status), ErrorKind::NotYet, "{code}: {message} ({source})");
    }
}

#[test]
fn no_row_of_the_table_is_without_a_sentence() {
    for row in NOT_YET {
        let told = |(code, _, message, _): &&Sentence| row.says(code, &message.to_lowercase());
        assert!(SENTENCES.iter().any(|sentence| told(&sentence)), "{:?} {:?} is without one", row.code, row.words);
        assert_eq!(row.words, row.words.to_lowercase(), "messages are compared in lower case");
    }
}

#[test]
fn each_sentence_says_where_it_is_quoted() {
    for (code, _, _, source) in SENTENCES {
        assert!(source.starts_with("https://"), "{code}: {source}");
    }
}

#[test]
fn what_sounds_alike_but_needs_somebody_to_act_or_fewer_calls_is_not_tried_again_soon() {
    for (code, status, message, expected) in WILL_NOT_PASS {
        assert_eq!(kind(code, message, *status), *expected, "{code}: {message}");
    }
}
