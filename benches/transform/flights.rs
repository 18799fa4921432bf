//! The plugin of the example against the same rules in native Rust, on the batches of two months.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringBuilder, TimestampMicrosecondArray, UInt32Array},
    compute::{concat_batches, take},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use lake::{
    dataset::{Column, ColumnType, CsvOptions, Dataset, Partition},
    executor::{
        Conversion, Input, Origin, Progress, Sink, convert, infer,
        local::FileSource,
        parquet::rows,
        transform::{Deadline, Host, Limits, Meter, Plugin, Transformed},
    },
    package::plugin::Component,
};

use super::{
    rules::{Departure, Flight, Thresholds, delay_class, departed_at, scheduled_at},
    seconds,
};

/// The plugin's own defaults.
const THRESHOLDS: Thresholds = Thresholds { late: 15, very_late: 60 };
/// Rows of a batch: as many as the decoder makes.
const BATCH_ROWS: usize = 8192;
/// Columns that the plugin takes out of the table, or gives back.
const TAKEN: &[&str] = &["year", "month", "day", "dep_time", "sched_dep_time", "hour", "minute", "time_hour"];

/// The columns of the files.
pub fn columns() -> Vec<Column> {
    let number = |name: &str| (name.to_owned(), ColumnType::Int64);
    let text = |name: &str| (name.to_owned(), ColumnType::String);
    let columns = [
        number("year"),
        number("month"),
        number("day"),
        number("dep_time"),
        number("sched_dep_time"),
        number("dep_delay"),
        number("arr_time"),
        number("sched_arr_time"),
        number("arr_delay"),
        text("carrier"),
        number("flight"),
        text("tailnum"),
        text("origin"),
        text("dest"),
        number("air_time"),
        number("distance"),
        number("hour"),
        number("minute"),
        ("time_hour".to_owned(), ColumnType::Timestamp),
    ];
    columns.map(|(name, ty)| Column { name, ty }).into()
}

/// An output in memory.
#[derive(Default)]
struct Memory;

impl Sink for Memory {
    type Write = Vec<u8>;
    type Done = Vec<u8>;

    fn data(&mut self, _: &Partition, _: u32) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn rejects(&mut self) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn done(&mut self, write: Vec<u8>) -> std::io::Result<Vec<u8>> {
        Ok(write)
    }
}

/// The rows of both months, as the decoder has them.
fn batches() -> Vec<RecordBatch> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/data");
    let files = ["flights-2013-01.csv", "flights-2013-02.csv"];
    let months = files.map(|file| {
        let source = FileSource::new(data.join(file));
        let dataset = Dataset::new("flights", "flights/");
        let found = infer(&source, &CsvOptions::default(), false, &Progress::new()).expect("a month of flights");
        assert_eq!(found.columns, columns());
        let (columns, origin, dialect) = (&found.columns[..], Origin::default(), Some(found.dialect));
        let input = Input { source: &source, origin, dialect };
        let conversion = Conversion::of(&dataset, columns, None);
        let converted = convert(&[input], &conversion, &mut Memory, &Progress::new()).expect("a month of flights");
        let months = rows(converted.data.into_iter().next().expect("rows").output.into(), usize::MAX).expect("Parquet");
        concat_batches(&months[0].schema(), &months).expect("batches of one table")
    });
    let mut batches = Vec::new();
    for month in months {
        for first in (0..month.num_rows()).step_by(BATCH_ROWS) {
            let rows = BATCH_ROWS.min(month.num_rows() - first);
            // As the decoder makes them: each with buffers of its own.
            let places = UInt32Array::from_iter_values((first..first + rows).map(|row| row as u32));
            let arrays = month.columns().iter().map(|column| take(column, &places, None).expect("rows of the month"));
            batches.push(RecordBatch::try_new(month.schema(), arrays.collect()).expect("the same columns"));
        }
    }
    batches
}

/// What the plugin does, in native Rust: kept rows with the columns of the table, filtered rows, rejected rows.
fn native(batch: &RecordBatch) -> (Vec<ArrayRef>, u64, u64) {
    let numbers = |name: &str| batch[name].as_primitive::<Int64Type>();
    let (year, month, day) = (numbers("year"), numbers("month"), numbers("day"));
    let (dep_time, sched_dep_time) = (numbers("dep_time"), numbers("sched_dep_time"));
    let (dep_delay, distance) = (numbers("dep_delay"), numbers("distance"));
    let time_hour = batch["time_hour"].as_primitive::<TimestampMicrosecondType>();
    let rows = batch.num_rows();
    let (mut kept, mut filtered, mut rejected) = (Vec::with_capacity(rows), 0, 0);
    let (mut scheduled, mut departed) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut classes = StringBuilder::with_capacity(rows, rows * 8);
    for row in 0..rows {
        if is_null(dep_time, row) {
            filtered += 1;
            continue;
        }
        let flight = Flight {
            year: year.value(row),
            month: month.value(row),
            day: day.value(row),
            sched_dep_time: sched_dep_time.value(row),
            time_hour: time_hour.value(row),
            distance: (!is_null(distance, row)).then(|| distance.value(row)),
        };
        let departure = Departure { dep_time: dep_time.value(row), dep_delay: dep_delay.value(row) };
        let times =
            scheduled_at(&flight).and_then(|scheduled| Ok((scheduled, departed_at(&flight, scheduled, &departure)?)));
        let Ok((scheduled_at, departed_at)) = times else {
            rejected += 1;
            continue;
        };
        kept.push(row as u32);
        scheduled.push(scheduled_at);
        departed.push(departed_at);
        classes.append_value(delay_class(departure.dep_delay, THRESHOLDS));
    }
    let kept = UInt32Array::from(kept);
    let schema = batch.schema();
    let stay = schema.fields().iter().filter(|field| !TAKEN.contains(&field.name().as_str()));
    let mut columns: Vec<ArrayRef> =
        stay.map(|field| take(&batch[field.name().as_str()], &kept, None).expect("rows of the batch")).collect();
    columns.push(Arc::new(TimestampMicrosecondArray::from(scheduled).with_timezone("+00:00")));
    columns.push(Arc::new(TimestampMicrosecondArray::from(departed).with_timezone("+00:00")));
    columns.push(Arc::new(classes.finish()));
    (columns, filtered, rejected)
}

fn is_null(column: &Int64Array, row: usize) -> bool {
    column.is_null(row)
}

/// Nanoseconds a row of both, and what they make is the same.
pub fn against_native(component: &Component) {
    let host = Host::new(Meter::Off).expect("an engine");
    let plugin = Plugin::compile(&host, &component.name, &component.bytes).expect("a transform");
    let open = || plugin.open(&Default::default(), &columns(), &Limits::default(), Deadline::NEVER).expect("it opens");
    let mut instance = open();
    let batches = batches();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    for batch in &batches {
        let Transformed { batch: made, filtered, errors, .. } = instance.transform(batch).expect("it works");
        let (columns, filtered_natively, rejected) = native(batch);
        assert_eq!((filtered, errors.len() as u64), (filtered_natively, rejected));
        assert_eq!(made.map(|made| made.columns().to_vec()), Some(columns), "both make the same rows");
    }
    let wasm = seconds(|| {
        for batch in &batches {
            drop(instance.transform(batch).expect("it works"));
        }
    });
    let native = seconds(|| {
        for batch in &batches {
            drop(native(batch));
        }
    });
    let each = |seconds: f64| seconds * 1e9 / rows as f64;
    println!("\nclean-flights: {rows} rows in {} batches", batches.len());
    println!("plugin {:.1} ns a row, native {:.1} ns a row, ratio {:.2}", each(wasm), each(native), wasm / native);
}
