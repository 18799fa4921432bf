//! What a function gets and what becomes of its process.

use super::*;

fn tail(response: &Response<Bytes>) -> String {
    String::from_utf8(STANDARD.decode(&response.headers()["x-amz-log-result"]).unwrap()).unwrap()
}

#[tokio::test]
async fn a_function_answers_is_kept_warm_and_its_log_tells_both_invocations() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let first = f.answer("f", json!({ "n": 1 })).await;
    let second = f.answer("f", json!({ "n": 2 })).await;
    assert_eq!(first["event"], json!({ "n": 1 }));
    assert_eq!(first["pid"], second["pid"], "the environment is reused");
    let headers = &second["headers"];
    assert_eq!(headers["Lambda-Runtime-Invoked-Function-Arn"], "arn:aws:lambda:eu-west-1:000000000000:function:f");
    assert!(headers["Lambda-Runtime-Trace-Id"].as_str().unwrap().starts_with("Root=1-"));
    let deadline: i64 = headers["Lambda-Runtime-Deadline-Ms"].as_str().unwrap().parse().unwrap();
    assert!((0..=10_000).contains(&(deadline - jiff::Timestamp::now().as_millisecond())));

    let lines = f.lines("/aws/lambda/f").await;
    let starts: Vec<&str> = lines.iter().map(|line| line.split([' ', '\t']).next().unwrap()).collect();
    assert_eq!(starts, ["INIT_START", "START", "END", "REPORT", "START", "END", "REPORT"]);
    assert!(lines[3].contains("Memory Size: 128 MB") && lines[3].contains("Init Duration: "), "{}", lines[3]);
    assert!(!lines[6].contains("Init Duration"), "only the first one initialised");
    let memory = lines[6].split("Max Memory Used: ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(memory.parse::<u32>().unwrap() > 1);
}

#[tokio::test]
async fn the_environment_is_exactly_the_documented_one() {
    let f = Fixture::new().await;
    let own = json!({ "Environment": { "Variables": { "OWN": "value", "LANG": "C" } }, "MemorySize": 256 });
    f.create("f", own).await;
    let answer = f.answer("f", json!({})).await;
    let mut env = answer["env"].as_object().unwrap().clone();
    let api = env.remove("AWS_LAMBDA_RUNTIME_API").unwrap();
    assert!(api.as_str().unwrap().starts_with("127.0.0.1:"));
    let stream = env.remove("AWS_LAMBDA_LOG_STREAM_NAME").unwrap();
    let date = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    assert!(stream.as_str().unwrap().starts_with(&format!("{date}/[$LATEST]")));
    env.remove("LC_CTYPE"); // Python's own, for the C locale
    let root = answer["cwd"].as_str().unwrap();
    let expected = json!({
        "_HANDLER": "bootstrap",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_ACCESS_KEY_ID": "ASIA1",
        "AWS_SECRET_ACCESS_KEY": format!("secret of {ROLE}"),
        "AWS_SESSION_TOKEN": "token of f",
        "LAMBDA_TASK_ROOT": root,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LANG": "C",
        "LD_LIBRARY_PATH": format!("/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:{root}:{root}/lib:/opt/lib"),
        "TZ": ":UTC",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "OWN": "value",
    });
    let sorted =
        |map: &serde_json::Map<String, Value>| map.clone().into_iter().collect::<std::collections::BTreeMap<_, _>>();
    assert_eq!(sorted(&env), sorted(expected.as_object().unwrap()));
}

#[tokio::test]
async fn output_of_both_kinds_comes_in_order_between_start_and_end_and_in_the_tail() {
    let f = Fixture::new().await;
    f.create("f", json!({ "LoggingConfig": { "LogGroup": "/own", "LogFormat": "Text" } })).await;
    let response = f.invoke("f", json!({ "do": "print", "lines": ["one", "err two", "", "three"] })).await.unwrap();
    let lines = f.lines("/own").await;
    assert_eq!(lines[2..5], ["one", "err two", "three"]);
    assert!(lines[5].starts_with("END RequestId: "));
    let end = tail(&response);
    assert!(end.contains("\none\nerr two\nthree\nEND") && end.contains("REPORT"), "{end}");

    let long: Vec<String> = (0..200).map(|number| format!("line {number} {}", "x".repeat(50))).collect();
    let response = f.invoke("f", json!({ "do": "print", "lines": long })).await.unwrap();
    let end = tail(&response);
    assert_eq!(end.len(), 4096);
    assert!(end.contains("line 199") && !end.contains("line 9 "));
}

#[tokio::test]
async fn a_log_in_json_has_platform_events() {
    let f = Fixture::new().await;
    f.create("f", json!({ "LoggingConfig": { "LogFormat": "JSON" } })).await;
    f.answer("f", json!({})).await;
    let lines = f.lines("/aws/lambda/f").await;
    let types: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone()).collect();
    assert_eq!(types, ["platform.initStart", "platform.start", "platform.runtimeDone", "platform.report"]);
}

#[tokio::test]
async fn an_error_of_the_function_is_its_answer_and_the_environment_lives_on() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let before = f.answer("f", json!({})).await;
    let error = f.failure("f", json!({ "do": "fail" })).await;
    assert_eq!(error, json!({ "errorType": "ValueError", "errorMessage": "no good" }));
    assert_eq!(f.answer("f", json!({})).await["pid"], before["pid"]);
}

#[tokio::test]
async fn a_process_that_ends_is_an_error_and_the_next_event_gets_a_new_one() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let error = f.failure("f", json!({ "do": "exit", "code": 3 })).await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    assert!(error["errorMessage"].as_str().unwrap().ends_with("Error: Runtime exited with error: exit status 3"));
    let lines = f.lines("/aws/lambda/f").await;
    assert!(lines.last().unwrap().contains("Status: error\tError Type: Runtime.ExitError"), "{lines:?}");
    f.answer("f", json!({})).await;
}

#[tokio::test]
async fn a_function_out_of_time_is_killed_with_its_children() {
    let f = Fixture::new().await;
    f.create("f", json!({ "Timeout": 1 })).await;
    let file = f.path("pids");
    let begin = Instant::now();
    let error = f.failure("f", json!({ "do": "hang", "file": file })).await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    assert!(error["errorMessage"].as_str().unwrap().ends_with("Error: Task timed out after 1.00 seconds"));
    let pids = std::fs::read_to_string(file).unwrap();
    until(|| !pids.split(' ').any(lives)).await;
    let lines = f.lines("/aws/lambda/f").await;
    assert!(lines.iter().any(|line| line.ends_with("Task timed out after 1.00 seconds")), "{lines:?}");
    assert!(
        lines.last().unwrap().contains("Duration: 1000.00 ms\t") && lines.last().unwrap().ends_with("Status: timeout")
    );
}

#[tokio::test]
async fn a_bootstrap_that_cannot_begin_tells_why() {
    let f = Fixture::new().await;
    f.create("exits", json!({ "Code": { "ZipFile": STANDARD.encode(package("fail-init")) } })).await;
    let error = f.failure("exits", json!({})).await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    assert!(f.lines("/aws/lambda/exits").await.contains(&"cannot begin".to_owned()));

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("readme", SimpleFileOptions::default()).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    f.create("empty", json!({ "Code": { "ZipFile": STANDARD.encode(zip) } })).await;
    assert_eq!(f.failure("empty", json!({})).await["errorType"], "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn an_initialisation_out_of_time_is_tried_once_more_within_the_functions_time() {
    let f = Fixture::with(|options| options.init_timeout = Duration::from_millis(1)).await;
    f.create("f", json!({})).await;
    f.answer("f", json!({})).await;
    let lines = f.lines("/aws/lambda/f").await;
    assert!(lines.iter().any(|line| line.starts_with("INIT_REPORT") && line.ends_with("Status: timeout")), "{lines:?}");
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_an_error() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let error = f.failure("f", json!({ "do": "big", "bytes": 6_291_557 })).await;
    assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(f.answer("f", json!({ "do": "big", "bytes": 6_000_000 })).await.as_str().unwrap().len(), 6_000_000);
}

#[tokio::test]
async fn concurrent_events_get_environments_of_their_own_up_to_the_limit() {
    let f = Fixture::with(|options| options.concurrency = 2).await;
    f.create("f", json!({})).await;
    let folder = f.path("meeting");
    std::fs::create_dir(&folder).unwrap();
    let meet = |name: &str| json!({ "do": "meet", "folder": folder, "name": name, "count": 3 });
    let (a, b) = (f.answer("f", meet("a")), f.answer("f", meet("b")));
    let third = async {
        until(|| std::fs::read_dir(&folder).unwrap().count() == 2).await;
        let refusal = f.invoke("f", json!({})).await.unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.code.as_str()), (429, "TooManyRequestsException"));
        std::fs::write(folder.join("c"), "").unwrap();
    };
    let (a, b, ()) = tokio::join!(a, b, third);
    assert_ne!(a, b);
    f.answer("f", json!({})).await;
}

#[tokio::test]
async fn a_change_of_the_function_ends_its_environments_and_takes_old_packages_along() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let before = f.answer("f", json!({})).await;
    let variables = json!({ "Environment": { "Variables": { "NEW": "1" } } });
    f.json(Method::PUT, &function("f", "/configuration"), variables).await.unwrap();
    let after = f.answer("f", json!({})).await;
    assert_ne!(before["pid"], after["pid"]);
    assert_eq!(after["env"]["NEW"], "1");
    assert!(!lives(&before["pid"].to_string()));

    let zip = json!({ "ZipFile": STANDARD.encode(package("mark")) });
    f.json(Method::PUT, &function("f", "/code"), zip).await.unwrap();
    let packages = || std::fs::read_dir(f.path("functions")).unwrap().count();
    assert_eq!(packages(), 1, "the old package is gone");
    let newest = f.answer("f", json!({})).await;
    assert!(Path::new(newest["cwd"].as_str().unwrap()).join("mark").exists());

    f.json(Method::DELETE, &function("f", ""), Value::Null).await.unwrap();
    assert!(!lives(&newest["pid"].to_string()));
    assert_eq!(packages(), 0);
}

#[tokio::test]
async fn an_idle_environment_ends_after_a_while() {
    let f = Fixture::with(|options| options.idle_timeout = Duration::from_millis(40)).await;
    f.create("f", json!({})).await;
    let pid = f.answer("f", json!({})).await["pid"].to_string();
    until(|| !lives(&pid)).await;
    f.answer("f", json!({})).await;
}

#[tokio::test]
async fn an_environment_with_old_credentials_takes_no_more_events() {
    let f = Fixture::with(|options| options.credentials_ttl = Duration::ZERO).await;
    f.create("f", json!({})).await;
    let key = |answer: &Value| answer["env"]["AWS_ACCESS_KEY_ID"].clone();
    assert_eq!(key(&f.answer("f", json!({})).await), "ASIA1");
    assert_eq!(key(&f.answer("f", json!({})).await), "ASIA2");
}

#[tokio::test]
async fn a_log_group_deleted_during_an_invocation_stays_deleted() {
    let f = Fixture::new().await;
    f.create("f", json!({})).await;
    let folder = f.path("meeting");
    std::fs::create_dir(&folder).unwrap();
    let running = f.answer("f", json!({ "do": "meet", "folder": folder, "name": "a", "count": 2 }));
    let delete = async {
        until(|| folder.join("a").exists()).await;
        f.json(Method::DELETE, &function("f", ""), Value::Null).await.unwrap();
        f.logs("DeleteLogGroup", json!({ "logGroupName": "/aws/lambda/f" })).await;
        std::fs::write(folder.join("b"), "").unwrap();
    };
    tokio::join!(running, delete);
    until(|| std::fs::read_dir(f.path("functions")).unwrap().count() == 0).await;
    assert_eq!(f.logs("DescribeLogGroups", json!({})).await["logGroups"], json!([]));
}

#[tokio::test]
async fn stopping_kills_what_runs() {
    let f = Fixture::new().await;
    f.create("f", json!({ "Timeout": 900 })).await;
    let file = f.path("pids");
    let running = f.invoke("f", json!({ "do": "hang", "file": file }));
    let stop = async {
        until(|| file.exists() && lines_of(&file).len() == 1).await;
        f.lambda.stop().await;
    };
    let (response, ()) = tokio::join!(running, stop);
    assert!(response.unwrap().headers().contains_key("x-amz-function-error"));
    let pids = std::fs::read_to_string(file).unwrap();
    until(|| !pids.split(' ').any(lives)).await;
}

#[tokio::test]
async fn what_a_killed_cloud_has_left_running_ends_at_the_next_start_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (records, packages, elsewhere) = (root.join("running"), root.join("functions"), root.join("elsewhere"));
    let mut children = Vec::new();
    for (home, recorded) in [(&packages, true), (&packages, false), (&elsewhere, true)] {
        std::fs::create_dir_all(home).unwrap();
        std::fs::create_dir_all(&records).unwrap();
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("1000").current_dir(home).process_group(0).kill_on_drop(true).spawn().unwrap();
        if recorded {
            std::fs::write(records.join(child.id().unwrap().to_string()), "").unwrap();
        }
        children.push(child);
    }
    assert_eq!(process::end_leftovers(&records, &packages).unwrap(), 1);
    children[0].wait().await.unwrap();
    assert!(children[1].try_wait().unwrap().is_none(), "not recorded");
    assert!(children[2].try_wait().unwrap().is_none(), "its id belongs to something else now");
    assert_eq!(std::fs::read_dir(&records).unwrap().count(), 0);
}
