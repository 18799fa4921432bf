//! Throughput and peak memory of one conversion with one worker, and what a transform costs it:
//! `cargo bench --bench convert [-- MEGABYTES]`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Cursor, Read},
    path::Path,
    time::Instant,
};

use lake::{
    dataset::{CsvOptions, DEFAULT_TRANSFORM_CALL_SECONDS, DEFAULT_TRANSFORM_MEMORY_MB, Dataset, Partition, Transform},
    executor::{
        Conversion, Inference, Input, Origin, Progress, Report, Resources, Sink, Source, Through, convert, infer,
        transform::{Deadline, Host, Meter, Plugin},
    },
};
use sha2::{Digest, Sha256};

/// The allocator of the lake binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Size of the input when none is given, megabytes.
const MEGABYTES: usize = 100;
/// Rows that are made once and repeated.
const BLOCK_ROWS: usize = 50_000;
/// Runs of a conversion of which the quickest counts: others use the machine, too.
const RUNS: usize = 5;

/// The same block of rows again and again.
struct Synthetic {
    header: Vec<u8>,
    block: Vec<u8>,
    repeats: usize,
}

impl Synthetic {
    /// Rows of all types.
    fn new(megabytes: usize) -> Self {
        let mut block = String::new();
        let mut state = 1u64;
        for row in 0..BLOCK_ROWS {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = state >> 33;
            let delay = if noise.is_multiple_of(50) { "NA".to_owned() } else { format!("{}", noise as i64 % 300 - 40) };
            let _ = writeln!(
                block,
                "{},{}-{:02}-{:02}T{:02}:{:02}:00Z,{delay},{}.{:02},{},N{:05},\"{} to {}, daily\",{}",
                row,
                2013 + noise % 3,
                1 + noise % 12,
                1 + noise % 28,
                noise % 24,
                noise % 60,
                noise % 5000,
                noise % 100,
                ["UA", "AA", "B6", "DL", "EV"][noise as usize % 5],
                noise % 4000,
                ["JFK", "LGA", "EWR"][noise as usize % 3],
                ["IAH", "MIA", "BQN", "ATL", "ORD", "FLL"][noise as usize % 6],
                noise.is_multiple_of(2),
            );
        }
        let header = b"id,departure,delay,fare,carrier,tail,route,on_time\n";
        Self::of(header.to_vec(), block.into_bytes(), megabytes)
    }

    /// The months of the flights example.
    fn flights(megabytes: usize) -> io::Result<Self> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/data");
        let (mut header, mut block) = (Vec::new(), Vec::new());
        for month in ["flights-2013-01.csv", "flights-2013-02.csv"] {
            let bytes = fs::read(data.join(month))?;
            let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
            header = bytes[..end].to_vec();
            block.extend_from_slice(&bytes[end..]);
        }
        Ok(Self::of(header, block, megabytes))
    }

    fn of(header: Vec<u8>, block: Vec<u8>, megabytes: usize) -> Self {
        let repeats = (megabytes * 1_000_000).div_ceil(block.len());
        Synthetic { header, block, repeats }
    }

    fn megabytes(&self) -> f64 {
        self.len().unwrap_or_default() as f64 / 1e6
    }
}

impl Source for Synthetic {
    fn name(&self) -> &str {
        "synthetic.csv"
    }

    fn len(&self) -> Option<u64> {
        Some((self.header.len() + self.block.len() * self.repeats) as u64)
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut reader: Box<dyn Read + Send> = Box::new(Cursor::new(self.header.clone()));
        let repeat = Repeat { block: self.block.clone(), at: 0, left: self.repeats };
        reader = Box::new(reader.chain(repeat));
        Ok(reader)
    }
}

struct Repeat {
    block: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Repeat {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let length = into.len().min(self.block.len() - self.at);
        into[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at += length;
        if self.at == self.block.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(length)
    }
}

/// Outputs that are counted and forgotten.
struct Nowhere;

impl Sink for Nowhere {
    type Write = io::Sink;
    type Done = ();

    fn data(&mut self, _: &Partition, _: u32) -> io::Result<io::Sink> {
        Ok(io::sink())
    }

    fn rejects(&mut self) -> io::Result<io::Sink> {
        Ok(io::sink())
    }

    fn done(&mut self, _: io::Sink) -> io::Result<()> {
        Ok(())
    }
}

/// Peak resident memory of this process, from the kernel.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// What the benchmark measures itself against over time: a conversion on one thread.
const ONE_WORKER: Resources = Resources { workers: 1, text_bytes: 64 * 1024 * 1024 };

fn conversion<'a>(dataset: &'a Dataset, found: &'a Inference, transform: Option<Through<'a>>) -> Conversion<'a> {
    Conversion { resources: ONE_WORKER, ..Conversion::of(dataset, &found.columns, transform) }
}

/// The quickest of some runs: its seconds, and its report.
fn quickest(source: &Synthetic, conversion: &Conversion<'_>, runs: usize) -> (f64, Report) {
    let run = |_| {
        let begun = Instant::now();
        let input = Input { source, origin: Origin::default(), dialect: None };
        let converted = convert(&[input], conversion, &mut Nowhere, &Progress::new()).expect("the input is fine");
        (begun.elapsed().as_secs_f64(), converted.report)
    };
    (0..runs).map(run).min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a run")
}

fn main() {
    let megabytes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MEGABYTES);
    of_all_types(megabytes);
    println!("peak       {}", peak_memory());
    through_a_transform(megabytes);
    println!("peak       {}", peak_memory());
}

fn of_all_types(megabytes: usize) {
    let source = Synthetic::new(megabytes);
    let size = source.megabytes();
    let begun = Instant::now();
    let found = infer(&source, &CsvOptions::default(), false, &Progress::new()).expect("the input is fine");
    let infer_s = begun.elapsed().as_secs_f64();
    let dataset = Dataset::new("synthetic", "synthetic/");
    let (convert_s, report) = quickest(&source, &conversion(&dataset, &found, None), 1);
    println!("input      {size:.1} MB, {} rows, {} columns", report.read, found.columns.len());
    for column in &found.columns {
        println!("           {} {}", column.name, column.ty);
    }
    println!(
        "output     {:.1} MB, {} row groups, {} rejected",
        report.bytes_written as f64 / 1e6,
        report.row_groups,
        report.rejected
    );
    println!("infer      {infer_s:.2} s, {:.0} MB/s", size / infer_s);
    println!("convert    {convert_s:.2} s, {:.0} MB/s, {:?}", size / convert_s, report.stages);
}

/// The flights as they are, and through the project's own transform.
fn through_a_transform(megabytes: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/clean-flights/clean-flights.wasm");
    let Ok(component) = fs::read(&path) else {
        println!("transform  not measured: there is no {}", path.display());
        return;
    };
    let source = Synthetic::flights(megabytes).expect("the example is in the repository");
    let size = source.megabytes();
    let found = infer(&source, &CsvOptions::default(), false, &Progress::new()).expect("the input is fine");
    let plain = Dataset::new("flights", "flights/");
    let (plain_s, report) = quickest(&source, &conversion(&plain, &found, None), RUNS);
    println!("\nflights    {size:.1} MB, {} rows, {} columns", report.read, found.columns.len());
    println!("convert    {plain_s:.2} s, {:.0} MB/s, {:?}", size / plain_s, report.stages);

    let begun = Instant::now();
    let host = Host::new(Meter::Off).expect("the host starts");
    let plugin = Plugin::compile(&host, "clean-flights", &component).expect("the plugin is one");
    println!("compile    {:.3} s", begun.elapsed().as_secs_f64());
    let transform = Transform {
        name: plugin.name().to_owned(),
        component: hex::encode(Sha256::digest(&component)),
        precompiled: None,
        config: BTreeMap::new(),
        memory_mb: DEFAULT_TRANSFORM_MEMORY_MB,
        call_seconds: DEFAULT_TRANSFORM_CALL_SECONDS,
    };
    let dataset = Dataset { transform: Some(transform), ..plain };
    let through = Through { plugin: &plugin, deadline: Deadline::NEVER };
    let (through_s, report) = quickest(&source, &conversion(&dataset, &found, Some(through)), RUNS);
    let Report { kept, filtered, rejected, stages, .. } = report;
    println!("through    {through_s:.2} s, {:.0} MB/s, {stages:?}", size / through_s);
    println!("rows       {kept} kept, {filtered} filtered, {rejected} rejected");
    println!("ratio      {:.2}", through_s / plain_s);
}
