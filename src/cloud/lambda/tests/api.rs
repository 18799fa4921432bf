//! The control plane, as clients see it.

use super::*;

#[tokio::test]
async fn a_function_is_created_described_listed_in_pages_and_deleted() {
    let f = Fixture::new().await;
    let zip = package("");
    for name in ["a", "b", "c"] {
        f.create(name, json!({ "Tags": { "lake": name } })).await;
    }
    let described = f.get(&function("b", "")).await.unwrap();
    let config = &described["Configuration"];
    assert_eq!(config["State"], "Active");
    assert_eq!(config["LastUpdateStatus"], "Successful");
    assert_eq!(config["Version"], "$LATEST");
    assert_eq!(config["CodeSize"], zip.len());
    let hash = <sha2::Sha256 as sha2::Digest>::digest(&zip);
    assert_eq!(config["CodeSha256"], STANDARD.encode(hash));
    assert_eq!(described["Tags"], json!({ "lake": "b" }));
    assert_eq!(*config, f.get(&function("b", "/configuration")).await.unwrap());
    let by_arn = "arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Ab";
    assert_eq!(described, f.get(&function(by_arn, "?Qualifier=%24LATEST")).await.unwrap());

    let page = f.get("/2015-03-31/functions?MaxItems=2").await.unwrap();
    let marker = page["NextMarker"].as_str().unwrap();
    let rest = f.get(&format!("/2015-03-31/functions/?Marker={marker}")).await.unwrap();
    assert_eq!(page["Functions"].as_array().unwrap().len(), 2);
    assert_eq!(rest["Functions"][0]["FunctionName"], "c");
    assert!(rest.get("NextMarker").is_none());
    assert_eq!(f.get("/2016-08-19/account-settings").await.unwrap()["AccountUsage"]["FunctionCount"], 3);

    f.json(Method::DELETE, &function("b", ""), Value::Null).await.unwrap();
    let refusal = f.get(&function("b", "")).await.unwrap_err();
    assert_eq!(refusal.status, StatusCode::NOT_FOUND);
    assert_eq!(
        refusal.to_string(),
        "ResourceNotFoundException: Function not found: arn:aws:lambda:eu-west-1:000000000000:function:b"
    );
}

#[tokio::test]
async fn names_taken_roles_unknown_and_revisions_outdated_are_refused_in_awss_words() {
    let f = Fixture::new().await;
    let created = f.create("f", json!({})).await;
    let code = json!({ "ZipFile": STANDARD.encode(package("")) });
    let again =
        json!({ "FunctionName": "f", "Role": ROLE, "Runtime": "provided.al2023", "Handler": "h", "Code": code });
    let refusal = f.json(Method::POST, "/2015-03-31/functions", again.clone()).await.unwrap_err();
    assert_eq!(refusal.to_string(), "ResourceConflictException: Function already exist: f");
    assert_eq!(refusal.status, StatusCode::CONFLICT);

    let mut other = again;
    other["FunctionName"] = "g".into();
    other["Role"] = "arn:aws:iam::000000000000:role/none".into();
    let refusal = f.json(Method::POST, "/2015-03-31/functions", other).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda."
    );

    let change = |revision: &Value| json!({ "Timeout": 7, "RevisionId": revision });
    let path = function("f", "/configuration");
    let changed = f.json(Method::PUT, &path, change(&created["RevisionId"])).await.unwrap();
    assert_eq!(changed["Timeout"], 7);
    assert_ne!(changed["RevisionId"], created["RevisionId"]);
    let refusal = f.json(Method::PUT, &path, change(&created["RevisionId"])).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.code.as_str()), (412, "PreconditionFailedException"));
    let refusal = f.json(Method::POST, "/2020-06-30/functions/f/code-signing-config", json!({})).await.unwrap_err();
    assert_eq!(refusal.code, "UnknownOperationException");
}

#[tokio::test]
async fn a_package_comes_from_s3_as_well() {
    let f = Fixture::new().await;
    f.objects.0.lock().unwrap().insert("artefacts/f.zip".into(), package("from-s3"));
    let created = f.create("f", json!({ "Code": { "S3Bucket": "artefacts", "S3Key": "f.zip" } })).await;
    let hash = <sha2::Sha256 as sha2::Digest>::digest(package("from-s3"));
    assert_eq!(created["CodeSha256"], STANDARD.encode(hash));
    f.answer("f", json!({})).await;
    let missing = json!({ "S3Bucket": "artefacts", "S3Key": "none" });
    let refusal = f.json(Method::PUT, &function("f", "/code"), missing).await.unwrap_err();
    assert!(refusal.message.starts_with("Error occurred while GetObject. S3 Error Code: "), "{refusal}");
    let dry = json!({ "ZipFile": STANDARD.encode(package("dry")), "DryRun": true });
    let answer = f.json(Method::PUT, &function("f", "/code"), dry).await.unwrap();
    assert_ne!(answer["CodeSha256"], created["CodeSha256"]);
    assert_eq!(f.get(&function("f", "/configuration")).await.unwrap()["CodeSha256"], created["CodeSha256"]);
}

#[tokio::test]
async fn permissions_are_added_once_listed_and_removed() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let path = function("f", "/policy");
    assert_eq!(
        f.get(&path).await.unwrap_err().to_string(),
        "ResourceNotFoundException: The resource you requested does not exist."
    );
    let statement = json!({ "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::raw" });
    f.json(Method::POST, &path, statement.clone()).await.unwrap();
    let refusal = f.json(Method::POST, &path, statement).await.unwrap_err();
    assert!(refusal.message.starts_with("The statement id (s3) provided already exists."), "{refusal}");
    let policy: Value = serde_json::from_str(f.get(&path).await.unwrap()["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"], "arn:aws:s3:::raw");
    f.json(Method::DELETE, &function("f", "/policy/s3"), Value::Null).await.unwrap();
    let refusal = f.json(Method::DELETE, &function("f", "/policy/s3"), Value::Null).await.unwrap_err();
    assert_eq!(refusal.message, "Statement s3 is not found in resource policy.");
    assert_eq!(f.get(&path).await.unwrap_err().code, "ResourceNotFoundException");
}

#[tokio::test]
async fn event_configurations_are_replaced_changed_and_deleted() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let path = "/2019-09-25/functions/f/event-invoke-config";
    let missing =
        "The function arn:aws:lambda:eu-west-1:000000000000:function:f:$LATEST doesn't have an EventInvokeConfig";
    assert_eq!(f.get(path).await.unwrap_err().message, missing);
    assert_eq!(f.json(Method::POST, path, json!({})).await.unwrap_err().message, missing);
    f.json(Method::PUT, path, json!({ "MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60 })).await.unwrap();
    f.json(Method::POST, path, json!({ "MaximumRetryAttempts": 0 })).await.unwrap();
    let config = f.get(path).await.unwrap();
    assert_eq!((&config["MaximumRetryAttempts"], &config["MaximumEventAgeInSeconds"]), (&json!(0), &json!(60)));
    f.json(Method::PUT, path, json!({ "MaximumRetryAttempts": 2 })).await.unwrap();
    assert!(f.get(path).await.unwrap().get("MaximumEventAgeInSeconds").is_none(), "put replaces");
    let destination = json!({ "OnFailure": { "Destination": "arn:aws:sqs:eu-west-1:0:q" } });
    for (refused, code) in [
        (json!({ "MaximumRetryAttempts": 3 }), "ValidationException"),
        (json!({ "MaximumEventAgeInSeconds": 59 }), "ValidationException"),
        (json!({ "DestinationConfig": destination }), "InvalidParameterValueException"),
    ] {
        assert_eq!(f.json(Method::PUT, path, refused).await.unwrap_err().code, code);
    }
    f.json(Method::DELETE, path, Value::Null).await.unwrap();
    assert_eq!(f.get(&format!("{path}/list")).await.unwrap()["FunctionEventInvokeConfigs"], json!([]));
}

#[tokio::test]
async fn tags_are_added_removed_and_bounded() {
    let f = Fixture::new().await;
    f.create("f", json!({ "Tags": { "a": "1" } })).await;
    let path = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af";
    f.json(Method::POST, path, json!({ "Tags": { "b": "2", "c": "3" } })).await.unwrap();
    f.json(Method::DELETE, &format!("{path}?tagKeys=a&tagKeys=c"), Value::Null).await.unwrap();
    assert_eq!(f.get(path).await.unwrap(), json!({ "Tags": { "b": "2" } }));
    let many: HashMap<String, &str> = (0..50).map(|number| (format!("t{number}"), "x")).collect();
    assert!(f.json(Method::POST, path, json!({ "Tags": many })).await.is_err());
}

#[tokio::test]
async fn an_invocation_is_refused_before_anything_runs_when_it_cannot_be_right() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let path = function("f", "/invocations");
    let kind = |kind: &'static str| [("x-amz-invocation-type", kind)];
    let invoke = |kind_header: [(&'static str, &'static str); 1], body: Bytes| {
        let (f, path) = (&f, path.clone());
        async move { f.send(Method::POST, &path, &kind_header, body).await }
    };
    assert_eq!(invoke(kind("DryRun"), Bytes::new()).await.unwrap().status(), StatusCode::NO_CONTENT);
    let refusal = invoke(kind("RequestResponse"), "not json".into()).await.unwrap_err();
    assert_eq!(refusal.code, "InvalidRequestContentException");
    let large = |bytes: usize| Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
    assert_eq!(invoke(kind("Event"), large(1024 * 1024)).await.unwrap_err().status.as_u16(), 413);
    assert_eq!(
        invoke(kind("RequestResponse"), large(6 * 1024 * 1024)).await.unwrap_err().code,
        "RequestTooLargeException"
    );
    assert_eq!(invoke(kind("Later"), Bytes::new()).await.unwrap_err().code, "InvalidParameterValueException");
    let refusal = f.invoke("none", json!({})).await.unwrap_err();
    assert_eq!(refusal.code, "ResourceNotFoundException");
}
