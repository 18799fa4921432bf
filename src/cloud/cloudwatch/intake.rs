//! The way in for what services measure: data points are gathered and written together, so that many cost one fsync.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Core, Touched, data, history};
use crate::cloud::{meter::Datum, store::StoreError};

/// Most data points written together.
const BATCH_DATA: usize = 16_384;
/// How long a batch waits for more after its first data point.
const LINGER: Duration = Duration::from_millis(200);
/// How often what has outlived its retention is deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Takes data in until all meters are gone or `stop` is cancelled; what is waiting then is written still.
pub(super) async fn run(core: Arc<Core>, mut data: mpsc::Receiver<Datum>, stop: CancellationToken) {
    let mut batch = Vec::new();
    while let Some(1..) = stop.run_until_cancelled(data.recv_many(&mut batch, BATCH_DATA)).await {
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while batch.len() < BATCH_DATA {
            let room = BATCH_DATA - batch.len();
            tokio::select! {
                received = data.recv_many(&mut batch, room) => if received == 0 { break },
                () = &mut linger => break,
                () = stop.cancelled() => break,
            }
        }
        take_in(&core, std::mem::take(&mut batch)).await;
    }
    batch.extend(std::iter::from_fn(|| data.try_recv().ok()));
    if !batch.is_empty() {
        take_in(&core, batch).await;
    }
}

pub(super) async fn take_in(core: &Arc<Core>, batch: Vec<Datum>) {
    let (now, many) = (core.now(), batch.len());
    let mut regions: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (region, point) in batch.into_iter().filter_map(|datum| data::measured(datum, now)) {
        regions.entry(region).or_default().push(point);
    }
    let written = core.store.commit(move |tx| {
        let mut touched = Vec::new();
        for (region, points) in regions {
            touched.extend(data::record(tx, &region, points)?);
        }
        Ok::<_, StoreError>(touched)
    });
    match written.await {
        Ok(touched) => core.touch(touched.into_iter().map(Touched::Metric)),
        Err(error) => tracing::error!(%error, many, "data points are lost: they could not be written"),
    }
}

/// Deletes what has outlived its retention, now and then at intervals.
pub(super) async fn keep_sweeping(core: Arc<Core>) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tick.tick().await;
        let now = core.now();
        let swept = core.store.commit(move |tx| Ok::<_, StoreError>(data::sweep(tx, now)? + history::sweep(tx, now)?));
        match swept.await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "data points and history outlived their retention"),
            Err(error) => tracing::error!(%error, "retention could not be applied; it is tried again later"),
        }
    }
}
