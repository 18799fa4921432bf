//! Versioned buckets.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::*;

#[tokio::test]
async fn old_versions_stay_readable_and_a_delete_hides_the_key() {
    let cloud = Cloud::with_bucket().await;
    cloud.put("k", "null version").send().await.unwrap();
    cloud.version(BucketVersioningStatus::Enabled).await;
    let first = cloud.put("k", "1").send().await.unwrap().version_id.unwrap();
    let second = cloud.put("k", "2").send().await.unwrap().version_id.unwrap();
    assert!(first < second, "ids sort by time");
    assert_eq!(cloud.text("k").await, "2");
    let read = async |id: &str| {
        let got = cloud.client.get_object().bucket("lake-raw").key("k").version_id(id).send().await;
        got.map(|got| got.version_id().map(str::to_owned))
    };
    assert_eq!(read(&first).await.unwrap(), Some(first.clone()));
    assert_eq!(read("null").await.unwrap().as_deref(), Some("null"));

    let deleted = cloud.client.delete_object().bucket("lake-raw").key("k").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id.unwrap();
    let get = cloud.client.get_object().bucket("lake-raw").key("k").send().await;
    let headers = get.as_ref().unwrap_err().raw_response().unwrap().headers();
    assert_eq!(headers.get("x-amz-delete-marker"), Some("true"));
    assert_eq!(code(get), error("NoSuchKey", 404));
    assert_eq!(code(read(&marker).await), error("MethodNotAllowed", 405));
    assert!(cloud.keys().await.is_empty());
    cloud.put("k", "created again").if_none_match("*").send().await.unwrap();

    let gone = cloud.client.delete_object().bucket("lake-raw").key("k").version_id(&marker).send().await.unwrap();
    assert_eq!(gone.delete_marker(), Some(true));
    assert_eq!(code(read(&marker).await), error("NoSuchVersion", 404));
    assert_eq!(code(read("nonsense").await), error("InvalidArgument", 400));
}

#[tokio::test]
async fn a_versioned_bucket_is_emptied_by_its_listing() {
    let cloud = Cloud::with_bucket().await;
    cloud.version(BucketVersioningStatus::Enabled).await;
    for key in ["a", "b/1", "b/2"] {
        for body in ["1", "2"] {
            cloud.put(key, body).send().await.unwrap();
        }
        cloud.put(key, noise(100_000)).send().await.unwrap();
        cloud.client.delete_object().bucket("lake-raw").key(key).send().await.unwrap();
    }
    let (mut found, mut latest, mut pages) = (Vec::new(), 0, 0);
    let mut listing = cloud.client.list_object_versions().bucket("lake-raw").max_keys(5);
    loop {
        let page = listing.clone().send().await.unwrap();
        pages += 1;
        for version in page.versions() {
            found.push((version.key().unwrap().to_owned(), version.version_id().unwrap().to_owned()));
            assert_eq!(version.is_latest(), Some(false));
        }
        for marker in page.delete_markers() {
            found.push((marker.key().unwrap().to_owned(), marker.version_id().unwrap().to_owned()));
            latest += usize::from(marker.is_latest() == Some(true));
        }
        if page.is_truncated() != Some(true) {
            break;
        }
        listing = listing.set_key_marker(page.next_key_marker).set_version_id_marker(page.next_version_id_marker);
    }
    assert_eq!((found.len(), latest, pages), (12, 3, 3));
    let refused = cloud.client.delete_bucket().bucket("lake-raw").send().await;
    assert_eq!(code(refused), error("BucketNotEmpty", 409));

    let ids = found.iter().map(|(key, id)| ObjectIdentifier::builder().key(key).version_id(id).build().unwrap());
    let delete = Delete::builder().set_objects(Some(ids.collect())).build().unwrap();
    let deleted = cloud.client.delete_objects().bucket("lake-raw").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (12, 0));
    assert_eq!(cloud.blob_files(), 0);
    cloud.client.delete_bucket().bucket("lake-raw").send().await.unwrap();
}

#[tokio::test]
async fn a_suspended_bucket_keeps_versions_and_replaces_the_null_one() {
    let cloud = Cloud::with_bucket().await;
    cloud.version(BucketVersioningStatus::Enabled).await;
    let kept = cloud.put("k", "kept").send().await.unwrap().version_id.unwrap();
    cloud.version(BucketVersioningStatus::Suspended).await;
    for body in ["1", "2"] {
        assert_eq!(cloud.put("k", body).send().await.unwrap().version_id().unwrap(), "null");
    }
    let listed = cloud.client.list_object_versions().bucket("lake-raw").send().await.unwrap();
    let ids: Vec<_> = listed.versions().iter().map(|version| version.version_id().unwrap()).collect();
    assert_eq!(ids, ["null", kept.as_str()]);
    let deleted = cloud.client.delete_object().bucket("lake-raw").key("k").send().await.unwrap();
    assert_eq!((deleted.version_id(), deleted.delete_marker()), (Some("null"), Some(true)));
    let listed = cloud.client.list_object_versions().bucket("lake-raw").send().await.unwrap();
    assert_eq!((listed.versions().len(), listed.delete_markers().len()), (1, 1), "the marker replaced the object");
}

#[tokio::test]
async fn deleting_many_tells_each_result() {
    let cloud = Cloud::with_bucket().await;
    cloud.put("a", "1").send().await.unwrap();
    cloud.put("b", "1").send().await.unwrap();
    let object = |key: &str| ObjectIdentifier::builder().key(key);
    let delete = Delete::builder()
        .objects(object("a").build().unwrap())
        .objects(object("b").e_tag("\"other\"").build().unwrap())
        .objects(object("missing").build().unwrap());
    let delete = cloud.client.delete_objects().bucket("lake-raw").delete(delete.build().unwrap());
    let done = delete.send().await.unwrap();
    let deleted: Vec<_> = done.deleted().iter().map(|one| one.key().unwrap()).collect();
    assert_eq!(deleted, ["a", "missing"]);
    assert_eq!(done.errors()[0].code(), Some("PreconditionFailed"));
    assert_eq!(cloud.keys().await, ["b"]);
}
