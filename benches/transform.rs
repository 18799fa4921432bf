//! What a transform costs: the border, the plugin of the example against the same rules in native Rust, and getting
//! ready. `cargo bench --bench transform`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "transform/flights.rs"]
mod flights;
#[path = "../plugins/clean-flights/src/rules.rs"]
mod rules;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use lake::{
    dataset::{Architecture, Column, ColumnType},
    executor::{
        parquet::schema,
        transform::{Deadline, Host, Limits, Meter, Plugin, Precompiled},
    },
    package::plugin::{Component, component},
};

/// The allocator of the lake binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a batch; the decoder makes them of 8,192.
const BATCH_ROWS: &[usize] = &[64, 1024, 8192];
/// Time that one measurement takes, at least.
const MEASURE_FOR: Duration = Duration::from_millis(500);
/// Times that each measurement is made; the median counts.
const ROUNDS: usize = 5;

/// The plugin of the example.
const CLEAN_FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/clean-flights");

fn main() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    boundary(cache.path());
    let clean_flights = component(Path::new(CLEAN_FLIGHTS), cache.path()).expect("the example's plugin");
    flights::against_native(&clean_flights);
    readiness(&clean_flights);
}

/// Seconds of one run of `work`: the median of several measurements.
pub fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let mut measured: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (begun, mut runs) = (Instant::now(), 0u32);
            while begun.elapsed() < MEASURE_FOR {
                work();
                runs += 1;
            }
            begun.elapsed().as_secs_f64() / f64::from(runs)
        })
        .collect();
    measured.sort_by(f64::total_cmp);
    measured[ROUNDS / 2]
}

/// A batch of 8 int64, 8 float64 and 4 text columns, and the bytes in its buffers.
fn wide(rows: usize) -> (Vec<Column>, RecordBatch, usize) {
    let mut columns = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for at in 0..20 {
        let (ty, array): (ColumnType, ArrayRef) = match at {
            0..8 => (ColumnType::Int64, Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|n| n * 7)))),
            8..16 => (ColumnType::Double, Arc::new(Float64Array::from_iter_values((0..rows).map(|n| n as f64 / 3.0)))),
            _ => {
                let texts = (0..rows).map(|row| format!("text {:05}", row % 1000));
                (ColumnType::String, Arc::new(StringArray::from_iter_values(texts)))
            }
        };
        columns.push(Column { name: format!("c{at}"), ty });
        arrays.push(array);
    }
    let batch = RecordBatch::try_new(schema(&columns), arrays).expect("columns of one length");
    let bytes = rows * (16 * 8 + 4 * 4) + 4 * 4 + rows * 4 * "text 00000".len();
    (columns, batch, bytes)
}

/// Microseconds and gigabytes a second of the border, in one direction and in both.
fn boundary(cache: &Path) {
    println!("border: 20 columns (8 int64, 8 float64, 4 string)");
    println!(
        "{:>8} {:>10} {:>12} {:>9} {:>12} {:>9} {:>9}",
        "rows", "bytes", "in µs", "GB/s", "in+out µs", "GB/s", "out GB/s"
    );
    let host = Host::new(Meter::Off).expect("an engine");
    let echo = plugin(&host, cache, "echo", include_str!("guests/echo.wat").to_owned());
    let sink = include_str!("guests/echo.wat").replace("$keep i32 (i32.const 1)", "$keep i32 (i32.const 0)");
    let sink = plugin(&host, cache, "sink", sink);
    for &rows in BATCH_ROWS {
        let (columns, batch, bytes) = wide(rows);
        let time = |plugin: &Plugin| {
            let mut instance =
                plugin.open(&BTreeMap::new(), &columns, &Limits::default(), Deadline::NEVER).expect("it opens");
            seconds(|| drop(instance.transform(&batch).expect("it works")))
        };
        let (inward, both) = (time(&sink), time(&echo));
        let rate = |bytes: usize, seconds: f64| bytes as f64 / seconds / 1e9;
        println!(
            "{rows:>8} {bytes:>10} {:>12.1} {:>9.2} {:>12.1} {:>9.2} {:>9.2}",
            inward * 1e6,
            rate(bytes, inward),
            both * 1e6,
            rate(2 * bytes, both),
            rate(bytes, (both - inward).max(f64::EPSILON)),
        );
    }
}

fn plugin(host: &Host, cache: &Path, name: &str, text: String) -> Plugin {
    let path = cache.join(format!("{name}.wasm"));
    std::fs::write(&path, wat::parse_str(text).expect("the guest is WAT")).expect("the folder can be written");
    let made = component(&path, cache).expect("the guest becomes a component");
    Plugin::compile(host, name, &made.bytes).expect("the guest is a transform")
}

/// How long it takes until the first row.
fn readiness(component: &Component) {
    let host = Host::new(Meter::Off).expect("an engine");
    let architecture = if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 };
    let precompiled = Precompiled::of("clean-flights", &component.bytes, architecture).expect("it compiles");
    let name = &component.name;
    let compile = seconds(|| drop(Plugin::compile(&host, name, &component.bytes).expect("it compiles")));
    let load = seconds(|| drop(Plugin::load(&host, name, &component.sha256, &precompiled.bytes).expect("it loads")));
    let loaded = Plugin::load(&host, name, &component.sha256, &precompiled.bytes).expect("it loads");
    let columns = flights::columns();
    let open = seconds(|| {
        drop(loaded.open(&BTreeMap::new(), &columns, &Limits::default(), Deadline::NEVER).expect("it opens"));
    });
    println!("\nready: {} bytes of component, {} precompiled", component.bytes.len(), precompiled.bytes.len());
    println!("compile {:.2} ms, load {:.3} ms, instantiate and open {:.1} µs", compile * 1e3, load * 1e3, open * 1e6);
}
