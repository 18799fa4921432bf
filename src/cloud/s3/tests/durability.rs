//! What is acknowledged is there after a crash.

use super::*;

/// Runs `work` against a server on a runtime that is torn down without a shutdown, as a crash would.
fn crash<F: Future<Output = ()>>(folder: &std::path::Path, work: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = start(folder, &Arc::default()).await;
        work(client_of(&server)).await;
        drop(server);
    });
    drop(runtime);
}

#[test]
fn acknowledged_objects_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let large = noise(300_000);
    let expected = large.clone();
    crash(folder.path(), |client| async move {
        let constraint = BucketLocationConstraint::from(REGION);
        let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
        client.create_bucket().bucket("b-1").create_bucket_configuration(configuration).send().await.unwrap();
        for (key, body) in [("small", b"abc".to_vec()), ("large", large)] {
            client.put_object().bucket("b-1").key(key).body(body.into()).send().await.unwrap();
        }
    });
    std::fs::write(folder.path().join("blobs/half-an-upload"), b"x").unwrap();
    crash(folder.path(), |client| async move {
        let get = async |key| bytes(client.get_object().bucket("b-1").key(key).send().await.unwrap()).await;
        assert_eq!(get("small").await, b"abc");
        assert_eq!(get("large").await, expected);
    });
    let files = std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
    assert_eq!(files, 1, "what the crash left behind is swept");
}

#[tokio::test]
async fn deleted_and_overwritten_objects_leave_no_files() {
    let cloud = Cloud::with_bucket().await;
    for _ in 0..3 {
        cloud.put("k", noise(100_000)).send().await.unwrap();
    }
    assert_eq!(cloud.blob_files(), 1);
    cloud.client.delete_object().bucket("lake-raw").key("k").send().await.unwrap();
    assert_eq!(cloud.blob_files(), 0);
}

#[tokio::test]
async fn an_object_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let cloud = Cloud::with_bucket().await;
    cloud.put("k", noise(8 << 20)).send().await.unwrap();
    let mut reading = cloud.get("k").await;
    let mut read = reading.body.next().await.unwrap().unwrap().to_vec();
    cloud.client.delete_object().bucket("lake-raw").key("k").send().await.unwrap();
    while let Some(chunk) = reading.body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == noise(8 << 20));
}
