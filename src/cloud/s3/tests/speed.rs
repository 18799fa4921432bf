//! Figures, on demand: `cargo test --release --lib cloud::s3::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

fn median(mut times: Vec<std::time::Duration>) -> std::time::Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, does not check"]
#[expect(clippy::print_stdout, reason = "figures are for a person")]
async fn latencies_and_throughput() {
    let cloud = Cloud::with_bucket().await;
    let mut small = Vec::new();
    let mut etag = cloud.put("small", "{}").send().await.unwrap().e_tag.unwrap();
    for index in 0..100 {
        let put = cloud.put("small", format!("{{\"n\":{index}}}")).if_match(&etag);
        let start = Instant::now();
        etag = put.send().await.unwrap().e_tag.unwrap();
        small.push(start.elapsed());
    }
    println!("conditional PUT of a small object: {:?}", median(small));
    let megabyte = noise(1 << 20);
    let mut large = Vec::new();
    for index in 0..30 {
        let put = cloud.put(&format!("large-{index}"), megabyte.clone());
        let start = Instant::now();
        put.send().await.unwrap();
        large.push(start.elapsed());
    }
    println!("PUT of 1 MiB: {:?}", median(large));
    cloud.put("big", noise(128 << 20)).send().await.unwrap();
    let start = Instant::now();
    let mut got = cloud.get("big").await;
    let mut length = 0;
    while let Some(chunk) = got.body.next().await {
        length += chunk.unwrap().len();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("GET of {} MiB: {:.0} MiB/s", length >> 20, (length >> 20) as f64 / seconds);
    let mut reads = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        cloud.text("small").await;
        reads.push(start.elapsed());
    }
    println!("GET of a small object: {:?}", median(reads));
}
