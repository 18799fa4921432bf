//! Throughput and peak memory of one conversion on one thread: `cargo bench --bench convert [-- MEGABYTES]`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::{
    fmt::Write as _,
    io::{self, Cursor, Read},
    time::Instant,
};

use lake::{
    dataset::{CsvOptions, Dataset},
    executor::{Conversion, Origin, Progress, Sink, Source, convert, infer},
};

/// The allocator of the lake binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Size of the input when none is given, megabytes.
const MEGABYTES: usize = 100;
/// Rows that are made once and repeated.
const BLOCK_ROWS: usize = 50_000;

/// Rows like those of the flights example, the same block again and again.
struct Synthetic {
    header: &'static [u8],
    block: Vec<u8>,
    repeats: usize,
}

impl Synthetic {
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
        let repeats = (megabytes * 1_000_000).div_ceil(block.len());
        Synthetic {
            header: b"id,departure,delay,fare,carrier,tail,route,on_time\n",
            block: block.into_bytes(),
            repeats,
        }
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
        let mut reader: Box<dyn Read + Send> = Box::new(Cursor::new(self.header));
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

    fn data(&mut self) -> io::Result<io::Sink> {
        Ok(io::sink())
    }

    fn rejects(&mut self) -> io::Result<io::Sink> {
        Ok(io::sink())
    }
}

/// Peak resident memory of this process, from the kernel.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn main() {
    let megabytes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MEGABYTES);
    let source = Synthetic::new(megabytes);
    let size = source.len().unwrap_or_default() as f64 / 1e6;
    let begun = Instant::now();
    let found = infer(&source, &CsvOptions::default(), false, &Progress::new()).expect("the input is fine");
    let infer_s = begun.elapsed().as_secs_f64();
    let dataset = Dataset::new("synthetic", "synthetic/");
    let conversion = Conversion {
        dataset: &dataset,
        columns: &found.columns,
        transform: None,
        origin: Origin::default(),
        dialect: Some(found.dialect.clone()),
    };
    let begun = Instant::now();
    let converted = convert(&source, &conversion, &mut Nowhere, &Progress::new()).expect("the input is fine");
    let convert_s = begun.elapsed().as_secs_f64();
    let report = converted.report;
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
    println!("peak       {}", peak_memory());
}
