//! Buckets and what is set on them.

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging,
};

use super::*;

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test]
async fn buckets_are_created_once_listed_and_deleted() {
    let cloud = Cloud::with_bucket().await;
    let constraint = BucketLocationConstraint::from(REGION);
    let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
    let create = |name| cloud.client.create_bucket().bucket(name).create_bucket_configuration(configuration.clone());
    assert_eq!(code(create("lake-raw").send().await), error("BucketAlreadyOwnedByYou", 409));
    assert_eq!(code(create("Bad_Name").send().await), error("InvalidBucketName", 400));
    let unconstrained = cloud.client.create_bucket().bucket("lake-other").send().await;
    assert_eq!(code(unconstrained), error("IllegalLocationConstraintException", 400));

    let listed = cloud.client.list_buckets().send().await.unwrap();
    assert_eq!(listed.buckets()[0].name(), Some("lake-raw"));
    assert!(listed.buckets()[0].creation_date().is_some());
    let head = cloud.client.head_bucket().bucket("lake-raw").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some(REGION));
    let location = cloud.client.get_bucket_location().bucket("lake-raw").send().await.unwrap();
    assert_eq!(location.location_constraint().map(BucketLocationConstraint::as_str), Some(REGION));

    cloud.put("k", "v").send().await.unwrap();
    let delete = || cloud.client.delete_bucket().bucket("lake-raw").send();
    assert_eq!(code(delete().await), error("BucketNotEmpty", 409));
    cloud.client.delete_object().bucket("lake-raw").key("k").send().await.unwrap();
    delete().await.unwrap();
    assert_eq!(code(delete().await), error("NoSuchBucket", 404));
    let head = cloud.client.head_bucket().bucket("lake-raw").send().await;
    assert!(head.unwrap_err().into_service_error().is_not_found());
    assert_eq!(code(cloud.put("k", "v").send().await), error("NoSuchBucket", 404));
}

#[tokio::test]
async fn tags_come_with_the_bucket_or_later() {
    let cloud = Cloud::start().await;
    let configuration = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::from(REGION))
        .tags(tag("lake:stack", "local & more"))
        .tags(tag("b", ""))
        .build();
    let create = cloud.client.create_bucket().bucket("tagged").create_bucket_configuration(configuration);
    create.send().await.unwrap();
    let tags = async || {
        let tags = cloud.client.get_bucket_tagging().bucket("tagged").send().await;
        tags.map(|tags| tags.tag_set().iter().map(|tag| format!("{}={}", tag.key(), tag.value())).collect::<Vec<_>>())
    };
    assert_eq!(tags().await.unwrap(), ["lake:stack=local & more", "b="]);
    let tagging = Tagging::builder().tag_set(tag("a", "1")).build().unwrap();
    cloud.client.put_bucket_tagging().bucket("tagged").tagging(tagging).send().await.unwrap();
    assert_eq!(tags().await.unwrap(), ["a=1"]);
    cloud.client.delete_bucket_tagging().bucket("tagged").send().await.unwrap();
    assert_eq!(code(tags().await), error("NoSuchTagSet", 404));
}

#[tokio::test]
async fn a_new_bucket_has_aws_s_defaults() {
    let cloud = Cloud::with_bucket().await;
    let encryption = cloud.client.get_bucket_encryption().bucket("lake-raw").send().await.unwrap();
    let rule = &encryption.server_side_encryption_configuration().unwrap().rules()[0];
    let algorithm = rule.apply_server_side_encryption_by_default().unwrap().sse_algorithm();
    assert_eq!(algorithm, &ServerSideEncryption::Aes256);
    let block = cloud.client.get_public_access_block().bucket("lake-raw").send().await.unwrap();
    assert_eq!(block.public_access_block_configuration().unwrap().block_public_policy(), Some(true));
    let versioning = cloud.client.get_bucket_versioning().bucket("lake-raw").send().await.unwrap();
    assert_eq!(versioning.status(), None);
    let ownership = cloud.client.get_bucket_ownership_controls().bucket("lake-raw").send().await.unwrap();
    assert_eq!(ownership.ownership_controls().unwrap().rules()[0].object_ownership().as_str(), "BucketOwnerEnforced");
    let policy = cloud.client.get_bucket_policy().bucket("lake-raw").send().await;
    assert_eq!(code(policy), error("NoSuchBucketPolicy", 404));
    let lifecycle = cloud.client.get_bucket_lifecycle_configuration().bucket("lake-raw").send().await;
    assert_eq!(code(lifecycle), error("NoSuchLifecycleConfiguration", 404));
    let cors = cloud.client.get_bucket_cors().bucket("lake-raw").send().await;
    assert_eq!(code(cors), error("NotImplemented", 501));
}

#[tokio::test]
async fn configurations_read_back_as_they_were_put() {
    let cloud = Cloud::with_bucket().await;
    let client = &cloud.client;
    let block = PublicAccessBlockConfiguration::builder().block_public_acls(true).build();
    let put = client.put_public_access_block().bucket("lake-raw").public_access_block_configuration(block);
    put.send().await.unwrap();
    let block = client.get_public_access_block().bucket("lake-raw").send().await.unwrap();
    let block = block.public_access_block_configuration().unwrap().clone();
    assert_eq!((block.block_public_acls(), block.block_public_policy()), (Some(true), Some(false)));
    client.delete_public_access_block().bucket("lake-raw").send().await.unwrap();
    let block = client.get_public_access_block().bucket("lake-raw").send().await;
    assert_eq!(code(block), error("NoSuchPublicAccessBlockConfiguration", 404));

    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default.build().unwrap());
    let encryption = ServerSideEncryptionConfiguration::builder().rules(rule.build()).build().unwrap();
    let put = client.put_bucket_encryption().bucket("lake-raw").server_side_encryption_configuration(encryption);
    put.send().await.unwrap();

    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::lake-raw","arn:aws:s3:::lake-raw/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
    client.put_bucket_policy().bucket("lake-raw").policy(policy).send().await.unwrap();
    let got = client.get_bucket_policy().bucket("lake-raw").send().await.unwrap();
    assert_eq!(got.policy(), Some(policy));
    let malformed = client.put_bucket_policy().bucket("lake-raw").policy("{").send().await;
    assert_eq!(code(malformed), error("MalformedPolicy", 400));

    let rule = LifecycleRule::builder()
        .id("old")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("_lake/").build())
        .expiration(LifecycleExpiration::builder().days(3).build());
    let lifecycle = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap()).build().unwrap();
    let put = client.put_bucket_lifecycle_configuration().bucket("lake-raw").lifecycle_configuration(lifecycle);
    put.send().await.unwrap();
    let got = client.get_bucket_lifecycle_configuration().bucket("lake-raw").send().await.unwrap();
    assert_eq!(got.rules()[0].filter().unwrap().prefix(), Some("_lake/"));
    assert_eq!(got.rules()[0].expiration().unwrap().days(), Some(3));
}
