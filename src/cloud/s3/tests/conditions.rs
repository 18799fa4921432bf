//! Conditional requests over the wire.

use super::*;

#[tokio::test]
async fn of_many_puts_if_none_match_exactly_one_wins() {
    let cloud = Cloud::with_bucket().await;
    for body in [10, 200_000] {
        let key = format!("lock-{body}");
        let puts = (0..16).map(|index: u8| cloud.put(&key, vec![index; body]).if_none_match("*").send());
        let results = futures::future::join_all(puts).await;
        let winners: Vec<_> = (0..16).filter(|index| results[*index].is_ok()).collect();
        assert_eq!(winners.len(), 1);
        for lost in results.into_iter().filter(Result::is_err) {
            assert_eq!(code(lost), error("PreconditionFailed", 412));
        }
        assert_eq!(bytes(cloud.get(&key).await).await, vec![winners[0] as u8; body]);
    }
    assert_eq!(cloud.blob_files(), 1, "the losers' bytes are gone");
}

#[tokio::test]
async fn a_put_if_match_replaces_only_what_it_has_seen() {
    let cloud = Cloud::with_bucket().await;
    assert_eq!(code(cloud.put("k", "1").if_match("\"abc\"").send().await), error("NoSuchKey", 404));
    let first = cloud.put("k", "1").send().await.unwrap().e_tag.unwrap();
    let second = cloud.put("k", "2").if_match(&first).send().await.unwrap().e_tag.unwrap();
    assert_eq!(code(cloud.put("k", "3").if_match(&first).send().await), error("PreconditionFailed", 412));
    assert_eq!(cloud.text("k").await, "2");
    let unquoted = second.trim_matches('"');
    cloud.put("k", "4").if_match(unquoted).send().await.unwrap();
}

#[tokio::test]
async fn a_delete_if_match_deletes_only_what_it_has_seen() {
    let cloud = Cloud::with_bucket().await;
    let delete = |etag: &str| cloud.client.delete_object().bucket("lake-raw").key("k").if_match(etag).send();
    let first = cloud.put("k", "1").send().await.unwrap().e_tag.unwrap();
    cloud.put("k", "2").send().await.unwrap();
    assert_eq!(code(delete(&first).await), error("PreconditionFailed", 412));
    delete("*").await.unwrap();
    assert_eq!(code(delete(&first).await), error("NoSuchKey", 404));
}

#[tokio::test]
async fn reads_answer_304_and_412() {
    let cloud = Cloud::with_bucket().await;
    let etag = cloud.put("k", "1").send().await.unwrap().e_tag.unwrap();
    let get = || cloud.client.get_object().bucket("lake-raw").key("k");
    assert_eq!(code(get().if_none_match(&etag).send().await).1, 304);
    assert_eq!(code(get().if_match("\"other\"").send().await), error("PreconditionFailed", 412));
    get().if_match(&etag).send().await.unwrap();
    let head = || cloud.client.head_object().bucket("lake-raw").key("k");
    assert_eq!(code(head().if_none_match(&etag).send().await).1, 304);
    assert_eq!(code(head().if_match("\"other\"").send().await).1, 412);
    let now = aws_sdk_s3::primitives::DateTime::from(std::time::SystemTime::now() + std::time::Duration::from_secs(2));
    assert_eq!(code(get().if_modified_since(now).send().await).1, 304);
    get().if_unmodified_since(now).send().await.unwrap();
}
