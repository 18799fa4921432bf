//! Multipart uploads over the wire.

use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectAttributes,
};

use super::*;

const PART: usize = 5 << 20;

impl Cloud {
    async fn begin(&self) -> String {
        let created = self.client.create_multipart_upload().bucket("lake-raw").key("k").content_type("text/csv");
        created.send().await.unwrap().upload_id.unwrap()
    }

    async fn part(&self, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
        let part = self.client.upload_part().bucket("lake-raw").key("k").upload_id(id).part_number(number);
        let part = part.body(body.into()).send().await.unwrap();
        CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build()
    }

    fn finish(
        &self,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder {
        let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.client.complete_multipart_upload().bucket("lake-raw").key("k").upload_id(id).multipart_upload(upload)
    }
}

#[tokio::test]
async fn twenty_megabytes_in_parts_come_back_whole() {
    let cloud = Cloud::with_bucket().await;
    let body = noise(20 << 20);
    let id = cloud.begin().await;
    let mut parts = Vec::new();
    for (index, chunk) in body.chunks(6 << 20).enumerate() {
        parts.push(cloud.part(&id, index as i32 + 1, chunk.to_vec()).await);
    }
    let listed =
        cloud.client.list_parts().bucket("lake-raw").key("k").upload_id(&id).max_parts(3).send().await.unwrap();
    assert_eq!((listed.parts().len(), listed.next_part_number_marker()), (3, Some("3")));
    let uploads = cloud.client.list_multipart_uploads().bucket("lake-raw").send().await.unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    assert!(cloud.keys().await.is_empty(), "nothing is seen before the completion");

    let done = cloud.finish(&id, parts).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-4\""));
    let got = cloud.get("k").await;
    assert_eq!((got.content_type(), got.e_tag()), (Some("text/csv"), done.e_tag()));
    assert!(bytes(got).await == body);
    let across =
        cloud.client.get_object().bucket("lake-raw").key("k").range("bytes=6291450-6291470").send().await.unwrap();
    assert_eq!(bytes(across).await, body[6_291_450..=6_291_470]);
    let second = cloud.client.get_object().bucket("lake-raw").key("k").part_number(2).send().await.unwrap();
    assert_eq!((second.parts_count(), second.content_length()), (Some(4), Some(6 << 20)));
    let again = cloud.client.list_parts().bucket("lake-raw").key("k").upload_id(&id).send().await;
    assert_eq!(code(again), error("NoSuchUpload", 404));
    let attributes = cloud.client.get_object_attributes().bucket("lake-raw").key("k");
    let attributes = attributes.object_attributes(ObjectAttributes::ObjectSize).send().await.unwrap();
    assert_eq!(attributes.object_size(), Some(20 << 20));
    let copied =
        cloud.client.copy_object().bucket("lake-raw").key("copy").copy_source("lake-raw/k").send().await.unwrap();
    assert!(!copied.copy_object_result().unwrap().e_tag().unwrap().contains('-'), "a copy is one piece");
}

#[tokio::test]
async fn a_completion_checks_order_size_and_etags() {
    let cloud = Cloud::with_bucket().await;
    let id = cloud.begin().await;
    let first = cloud.part(&id, 1, vec![1; 100]).await;
    let second = cloud.part(&id, 2, vec![2; 100]).await;
    let finish = async |parts| code(cloud.finish(&id, parts).send().await);
    assert_eq!(finish(vec![first.clone(), second.clone()]).await, error("EntityTooSmall", 400));
    assert_eq!(finish(vec![second.clone(), first.clone()]).await, error("InvalidPartOrder", 400));
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"00000000000000000000000000000000\"").build();
    assert_eq!(finish(vec![wrong]).await, error("InvalidPart", 400));
    let missing = CompletedPart::builder().part_number(3).e_tag(first.e_tag().unwrap()).build();
    assert_eq!(finish(vec![missing]).await, error("InvalidPart", 400));
    assert_eq!(finish(Vec::new()).await, error("MalformedXML", 400));
    cloud.put("k", "there").send().await.unwrap();
    let refused = cloud.finish(&id, vec![first.clone()]).if_none_match("*").send().await;
    assert_eq!(code(refused), error("PreconditionFailed", 412));
    cloud.finish(&id, vec![first]).send().await.unwrap();
    assert_eq!(bytes(cloud.get("k").await).await, vec![1; 100]);
}

#[tokio::test]
async fn an_aborted_or_replaced_part_leaves_no_bytes() {
    let cloud = Cloud::with_bucket().await;
    let id = cloud.begin().await;
    cloud.part(&id, 1, noise(PART)).await;
    cloud.part(&id, 1, noise(PART + 1)).await;
    assert_eq!(cloud.blob_files(), 1);
    cloud.client.abort_multipart_upload().bucket("lake-raw").key("k").upload_id(&id).send().await.unwrap();
    assert_eq!(cloud.blob_files(), 0);
    let again = cloud.client.abort_multipart_upload().bucket("lake-raw").key("k").upload_id(&id).send().await;
    assert_eq!(code(again), error("NoSuchUpload", 404));
    let unused = cloud.begin().await;
    let used = cloud.part(&unused, 1, noise(PART)).await;
    cloud.part(&unused, 2, noise(PART)).await;
    cloud.finish(&unused, vec![used]).send().await.unwrap();
    assert_eq!(cloud.blob_files(), 1, "the part that the completion left out is gone");
}

#[tokio::test]
async fn checksums_of_parts_join() {
    let cloud = Cloud::with_bucket().await;
    let body = noise(PART + 1000);
    for (algorithm, kind) in [
        (ChecksumAlgorithm::Crc32, ChecksumType::Composite),
        (ChecksumAlgorithm::Crc32, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    ] {
        let create = cloud.client.create_multipart_upload().bucket("lake-raw").key("k");
        let create = create.checksum_algorithm(algorithm.clone()).checksum_type(kind.clone());
        let id = create.send().await.unwrap().upload_id.unwrap();
        let mut parts = Vec::new();
        for (number, chunk) in [(1, &body[..PART]), (2, &body[PART..])] {
            let part = cloud.client.upload_part().bucket("lake-raw").key("k").upload_id(&id).part_number(number);
            let part = part.checksum_algorithm(algorithm.clone()).body(chunk.to_vec().into()).send().await.unwrap();
            let named = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
            let named = named.set_checksum_crc32(part.checksum_crc32).set_checksum_sha256(part.checksum_sha256);
            parts.push(named.set_checksum_crc64_nvme(part.checksum_crc64_nvme).build());
        }
        let done = cloud.finish(&id, parts).send().await.unwrap();
        assert_eq!(done.checksum_type(), Some(&kind));
        let got = cloud.client.get_object().bucket("lake-raw").key("k").checksum_mode(ChecksumMode::Enabled);
        let got = got.send().await.unwrap();
        assert_eq!(got.checksum_crc32(), done.checksum_crc32());
        assert_eq!(got.checksum_crc64_nvme(), done.checksum_crc64_nvme());
        assert!(bytes(got).await == body, "the SDK checks full-object checksums itself");
    }
}

#[tokio::test]
async fn a_part_is_copied_from_an_object() {
    let cloud = Cloud::with_bucket().await;
    cloud.put("source", noise(PART + 500)).send().await.unwrap();
    let id = cloud.begin().await;
    let copy = cloud.client.upload_part_copy().bucket("lake-raw").key("k").upload_id(&id).part_number(1);
    let copy = copy.copy_source("lake-raw/source").copy_source_range("bytes=100-299").send().await.unwrap();
    let etag = copy.copy_part_result().unwrap().e_tag().unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    cloud.finish(&id, vec![part]).send().await.unwrap();
    assert_eq!(bytes(cloud.get("k").await).await, noise(PART + 500)[100..300]);
}
