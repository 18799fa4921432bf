//! Objects: contents, descriptions, ranges, checksums, copies, tags, listings.

use aws_sdk_s3::{
    presigning::PresigningConfig,
    types::{ChecksumAlgorithm, ChecksumMode, EncodingType, MetadataDirective, ServerSideEncryption, Tag, Tagging},
};

use super::*;

#[tokio::test]
async fn an_object_comes_back_with_all_that_was_said_of_it() {
    let cloud = Cloud::with_bucket().await;
    for body in [Vec::new(), b"small".to_vec(), noise(1_000_000)] {
        let put = cloud.put("dir/k é+", body.clone()).content_type("text/csv").cache_control("no-cache");
        let put = put.content_encoding("identity").metadata("Who", "me").tagging("a=1&b=2").send().await.unwrap();
        assert_eq!(put.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
        assert_eq!(put.version_id(), None);
        let got = cloud.get("dir/k é+").await;
        assert_eq!(got.e_tag(), put.e_tag());
        assert_eq!(got.e_tag().unwrap(), format!("\"{}\"", hex::encode(<md5::Md5 as md5::Digest>::digest(&body))));
        assert_eq!(got.content_length(), Some(body.len() as i64));
        assert_eq!((got.content_type(), got.cache_control()), (Some("text/csv"), Some("no-cache")));
        assert_eq!(got.content_encoding(), Some("identity"));
        assert_eq!(got.metadata().unwrap()["who"], "me");
        assert_eq!(got.tag_count(), Some(2));
        assert_eq!(got.server_side_encryption(), Some(&ServerSideEncryption::Aes256));
        let head = cloud.client.head_object().bucket("lake-raw").key("dir/k é+").send().await.unwrap();
        assert_eq!((head.content_length(), head.last_modified()), (Some(body.len() as i64), got.last_modified()));
        assert!(bytes(got).await == body);
    }
    let missing = cloud.client.get_object().bucket("lake-raw").key("missing").send().await;
    assert!(missing.unwrap_err().into_service_error().is_no_such_key());
    let missing = cloud.client.head_object().bucket("lake-raw").key("missing").send().await;
    assert!(missing.unwrap_err().into_service_error().is_not_found());
}

#[tokio::test]
async fn ranges_are_served_and_checked() {
    let cloud = Cloud::with_bucket().await;
    for size in [1000, 2_000_000] {
        let body = noise(size);
        cloud.put("k", body.clone()).send().await.unwrap();
        let get = |range: &str| cloud.client.get_object().bucket("lake-raw").key("k").range(range).send();
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=500-", 500..size),
            ("bytes=-10", size - 10..size),
            ("bytes=5-99999999", 5..size),
        ] {
            let got = get(range).await.unwrap();
            let told = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(got.content_range(), Some(told.as_str()));
            assert!(bytes(got).await == body[expected]);
        }
        assert_eq!(code(get(&format!("bytes={size}-")).await), error("InvalidRange", 416));
    }
}

#[tokio::test]
async fn every_checksum_is_kept_and_a_wrong_one_refused() {
    let cloud = Cloud::with_bucket().await;
    for body in [b"123456789".to_vec(), noise(200_000)] {
        for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"].map(ChecksumAlgorithm::from) {
            let put = cloud.put("k", body.clone()).checksum_algorithm(algorithm.clone()).send().await.unwrap();
            let got = cloud.client.get_object().bucket("lake-raw").key("k").checksum_mode(ChecksumMode::Enabled);
            let got = got.send().await.unwrap();
            let told = match algorithm.as_str() {
                "CRC32" => (put.checksum_crc32(), got.checksum_crc32()),
                "CRC32C" => (put.checksum_crc32_c(), got.checksum_crc32_c()),
                "CRC64NVME" => (put.checksum_crc64_nvme(), got.checksum_crc64_nvme()),
                "SHA1" => (put.checksum_sha1(), got.checksum_sha1()),
                _ => (put.checksum_sha256(), got.checksum_sha256()),
            };
            assert!(told.0.is_some() && told.0 == told.1, "{algorithm:?} {told:?}");
            assert!(bytes(got).await == body, "the SDK checks it again");
        }
        let wrong = cloud.put("wrong", body.clone()).checksum_crc32("AAAAAA==").send().await;
        assert_eq!(code(wrong), error("BadDigest", 400));
        let wrong = cloud.put("wrong", body).content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await;
        assert_eq!(code(wrong), error("BadDigest", 400));
    }
    assert_eq!(cloud.keys().await, ["k"]);
}

#[tokio::test]
async fn a_streamed_body_with_a_trailing_checksum_is_taken() {
    let cloud = Cloud::with_bucket().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), noise(3_000_000)).unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    let put = cloud.client.put_object().bucket("lake-raw").key("k").body(body).send().await.unwrap();
    assert!(put.checksum_crc32().is_some(), "the SDK's default");
    let got = cloud.get("k").await;
    assert_eq!(got.content_encoding(), None, "aws-chunked is not the object's");
    assert!(bytes(got).await == noise(3_000_000));
}

#[tokio::test]
async fn presigned_requests_work_without_an_sdk() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cloud = Cloud::with_bucket().await;
    cloud.put("k", "presigned").send().await.unwrap();
    let expiry = PresigningConfig::expires_in(std::time::Duration::from_secs(60)).unwrap();
    let presigned = cloud.client.get_object().bucket("lake-raw").key("k").presigned(expiry).await.unwrap();
    let uri: http::Uri = presigned.uri().parse().unwrap();
    let ask = async |target: String| {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", cloud.server.port())).await.unwrap();
        let host = uri.authority().unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let target = uri.path_and_query().unwrap().to_string();
    assert!(ask(target.clone()).await.ends_with("presigned"));
    let tampered = target.replace("/k?", "/other?");
    assert!(ask(tampered).await.contains("SignatureDoesNotMatch"));
}

#[tokio::test]
async fn copies_share_their_bytes_and_keep_or_replace_the_description() {
    let cloud = Cloud::with_bucket().await;
    let body = noise(150_000);
    cloud.put("from", body.clone()).content_type("text/csv").metadata("a", "1").send().await.unwrap();
    let copy = |to: &str| cloud.client.copy_object().bucket("lake-raw").key(to).copy_source("lake-raw/from");
    let copied = copy("to").send().await.unwrap();
    assert_eq!(copied.copy_object_result().unwrap().e_tag(), cloud.get("from").await.e_tag());
    assert_eq!(cloud.blob_files(), 1);
    cloud.client.delete_object().bucket("lake-raw").key("from").send().await.unwrap();
    let got = cloud.get("to").await;
    assert_eq!((got.content_type(), got.metadata().unwrap()["a"].as_str()), (Some("text/csv"), "1"));
    assert!(bytes(got).await == body);

    cloud.put("from", "x").content_type("text/csv").send().await.unwrap();
    assert_eq!(code(copy("from").send().await), error("InvalidRequest", 400));
    copy("from").metadata_directive(MetadataDirective::Replace).content_type("text/plain").send().await.unwrap();
    assert_eq!(cloud.get("from").await.content_type(), Some("text/plain"));
    assert_eq!(code(copy("to").if_none_match("*").send().await), error("PreconditionFailed", 412));
    assert_eq!(code(copy("to").copy_source_if_match("\"x\"").send().await), error("PreconditionFailed", 412));
}

#[tokio::test]
async fn tags_of_an_object_are_put_read_and_deleted() {
    let cloud = Cloud::with_bucket().await;
    cloud.put("k", "v").send().await.unwrap();
    let tag = Tag::builder().key("a").value("b c").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    cloud.client.put_object_tagging().bucket("lake-raw").key("k").tagging(tagging).send().await.unwrap();
    let read = async || {
        let tags = cloud.client.get_object_tagging().bucket("lake-raw").key("k").send().await.unwrap();
        tags.tag_set().iter().map(|tag| format!("{}={}", tag.key(), tag.value())).collect::<Vec<_>>()
    };
    assert_eq!(read().await, ["a=b c"]);
    cloud.client.delete_object_tagging().bucket("lake-raw").key("k").send().await.unwrap();
    assert!(read().await.is_empty());
}

#[tokio::test]
async fn listings_page_roll_up_and_encode() {
    let cloud = Cloud::with_bucket().await;
    for key in ["a", "b/1", "b/2", "c d", "e\u{1}"] {
        cloud.put(key, "x").send().await.unwrap();
    }
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let page = cloud.client.list_objects_v2().bucket("lake-raw").delimiter("/").max_keys(1);
        let page = page.encoding_type(EncodingType::Url).set_continuation_token(token).send().await.unwrap();
        assert_eq!(page.key_count(), Some(1));
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        keys.extend(page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["a", "b/", "c%20d", "e%01"]);
    let page = cloud.client.list_objects().bucket("lake-raw").delimiter("/").max_keys(2).send().await.unwrap();
    assert_eq!((page.is_truncated(), page.next_marker()), (Some(true), Some("b/")));
    let page =
        cloud.client.list_objects().bucket("lake-raw").delimiter("/").marker("b/").encoding_type(EncodingType::Url);
    assert_eq!(page.send().await.unwrap().contents().len(), 2);
    let wrong = cloud.client.list_objects_v2().bucket("lake-raw").continuation_token("%").send().await;
    assert_eq!(code(wrong), error("InvalidArgument", 400));
}
