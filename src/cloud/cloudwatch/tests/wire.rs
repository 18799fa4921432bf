use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

#[tokio::test]
async fn the_query_protocol_says_the_same() {
    let cloud = Cloud::new();
    let form = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
    let ask = |body: &'static str| cloud.service.call(call(form.clone(), "/", body));
    let put = "Action=PutMetricData&Version=2010-08-01&Namespace=lake&MetricData.member.1.MetricName=Rows\
               &MetricData.member.1.Value=2.5&MetricData.member.1.Unit=Count\
               &MetricData.member.1.Dimensions.member.1.Name=stack&MetricData.member.1.Dimensions.member.1.Value=p\
               &MetricData.member.1.Timestamp=2026-01-31T12%3A00%3A00Z";
    let answer = text(&ask(put).await.unwrap());
    assert!(
        answer.contains("<PutMetricDataResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">"),
        "{answer}"
    );
    assert!(!answer.contains("PutMetricDataResult"), "{answer}");
    let get = "Action=GetMetricStatistics&Namespace=lake&MetricName=Rows&Dimensions.member.1.Name=stack\
               &Dimensions.member.1.Value=p&StartTime=2026-01-31T11:00:00Z&EndTime=2026-01-31T13:00:00Z&Period=60\
               &Statistics.member.1=Sum";
    let answer = text(&ask(get).await.unwrap());
    let expected = "<GetMetricStatisticsResult><Label>Rows</Label><Datapoints><member>\
                    <Timestamp>2026-01-31T12:00:00.000Z</Timestamp><Unit>Count</Unit><Sum>2.5</Sum></member></Datapoints>\
                    </GetMetricStatisticsResult>";
    assert!(answer.contains(expected), "{answer}");
    let error = ask("Action=GetDashboard&DashboardName=none").await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (StatusCode::NOT_FOUND, "ResourceNotFound"));
    assert_eq!(ask("Action=Dance&Version=2010-08-01").await.unwrap_err().code, "InvalidAction");
}

#[tokio::test]
async fn errors_tell_the_shape_in_the_body_and_the_code_in_a_header() {
    let cloud = Cloud::new();
    let json = headers(&[("x-amz-target", "GraniteServiceVersion20100801.GetDashboard")]);
    let response = cloud.service.call(call(json, "/", r#"{"DashboardName":"none"}"#)).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-amzn-query-error"], "ResourceNotFound;Sender");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["__type"], "com.amazonaws.cloudwatch#DashboardNotFoundError");
    assert_eq!(body["message"], "Dashboard none does not exist");

    let cbor = headers(&[("smithy-protocol", "rpc-v2-cbor")]);
    let path = "/service/GraniteServiceVersion20100801/operation/GetDashboard";
    // {"DashboardName": "none"}
    let body = b"\xa1\x6dDashboardName\x64none";
    let response = cloud.service.call(call(cbor.clone(), path, &body[..])).await.unwrap();
    assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");
    let told = cbor::decode(response.body()).unwrap();
    assert_eq!(told["__type"], "com.amazonaws.cloudwatch#DashboardNotFoundError");
    let elsewhere = cloud.service.call(call(cbor, "/service/Other/operation/GetDashboard", &b""[..])).await.unwrap();
    assert_eq!(elsewhere.headers()["x-amzn-query-error"], "UnknownOperationException;Sender");
}

#[tokio::test]
async fn bodies_that_the_client_packed_are_unpacked_within_bounds() {
    let cloud = Cloud::new();
    let pairs = [("x-amz-target", "GraniteServiceVersion20100801.PutMetricData"), ("content-encoding", "gzip")];
    let ask = async |body: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(body).unwrap();
        let response = cloud.service.call(call(headers(&pairs), "/", packed.finish().unwrap())).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(ask(br#"{"Namespace":"lake","MetricData":[{"MetricName":"m","Value":1}]}"#).await, 200);
    assert_eq!(ask(&vec![b' '; 2 << 20]).await, 413);
    let broken = cloud.service.call(call(headers(&pairs), "/", &b"not gzip"[..])).await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
}
