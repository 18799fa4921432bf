//! The types of the contract, as wasmtime carries them over the border: `plugins/wit/transform.wit` says what they
//! mean. What goes in is borrowed, so that columns are copied once, into the plugin's memory. What comes out is owned:
//! a plugin's memory may change once its call has returned.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `data-type`
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug)]
#[component(variant)]
pub(super) enum DataType {
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "int32")]
    Int32,
    #[component(name = "int64")]
    Int64,
    #[component(name = "float64")]
    Float64,
    #[component(name = "decimal")]
    Decimal(DecimalType),
    #[component(name = "date")]
    Date,
    #[component(name = "timestamp")]
    Timestamp,
    #[component(name = "utf8")]
    Utf8,
}

/// `decimal-type`
#[derive(ComponentType, Lift, Lower, Clone, Copy, Debug)]
#[component(record)]
pub(super) struct DecimalType {
    pub precision: u8,
    pub scale: u8,
}

/// `field`, going in.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct FieldIn<'a> {
    pub name: &'a str,
    #[component(name = "data-type")]
    pub data_type: DataType,
}

/// `field`, coming out.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct FieldOut {
    pub name: String,
    #[component(name = "data-type")]
    pub data_type: DataType,
}

/// `values`, going in.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(variant)]
pub(super) enum ValuesIn<'a> {
    #[component(name = "boolean")]
    Boolean(&'a [u8]),
    #[component(name = "int32")]
    Int32(&'a [i32]),
    #[component(name = "int64")]
    Int64(&'a [i64]),
    #[component(name = "float64")]
    Float64(&'a [f64]),
    #[component(name = "decimal128")]
    Decimal128(&'a [u64]),
    #[component(name = "date32")]
    Date32(&'a [i32]),
    #[component(name = "timestamp")]
    Timestamp(&'a [i64]),
    #[component(name = "utf8")]
    Utf8(TextIn<'a>),
}

/// `text`, going in.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct TextIn<'a> {
    pub offsets: &'a [i32],
    pub bytes: &'a [u8],
}

/// `column`, going in.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct ColumnIn<'a> {
    pub validity: Option<&'a [u8]>,
    pub values: ValuesIn<'a>,
}

/// `batch`, going in.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct BatchIn<'a> {
    pub rows: u32,
    pub columns: Vec<ColumnIn<'a>>,
}

/// `values`, coming out.
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(super) enum ValuesOut {
    #[component(name = "boolean")]
    Boolean(Vec<u8>),
    #[component(name = "int32")]
    Int32(Vec<i32>),
    #[component(name = "int64")]
    Int64(Vec<i64>),
    #[component(name = "float64")]
    Float64(Vec<f64>),
    #[component(name = "decimal128")]
    Decimal128(Vec<u64>),
    #[component(name = "date32")]
    Date32(Vec<i32>),
    #[component(name = "timestamp")]
    Timestamp(Vec<i64>),
    #[component(name = "utf8")]
    Utf8(TextOut),
}

/// `text`, coming out.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct TextOut {
    pub offsets: Vec<i32>,
    pub bytes: Vec<u8>,
}

/// `column`, coming out.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct ColumnOut {
    pub validity: Option<Vec<u8>>,
    pub values: ValuesOut,
}

/// `batch`, coming out.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct BatchOut {
    pub rows: u32,
    pub columns: Vec<ColumnOut>,
}

/// `description`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Description {
    pub name: String,
    pub version: String,
}

/// `contract`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Contract {
    pub reads: Vec<String>,
    pub drops: Vec<String>,
    pub output: Vec<FieldOut>,
}

/// `row-error`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct RowError {
    pub row: u32,
    pub code: String,
    pub column: Option<String>,
    pub message: String,
}

/// `output`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(super) struct Output {
    pub batch: BatchOut,
    #[component(name = "source-rows")]
    pub source_rows: Option<Vec<u32>>,
    pub errors: Vec<RowError>,
}

/// `log.level`
#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
#[cfg_attr(not(test), expect(dead_code, reason = "plugins make them"))]
pub(super) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// What `describe` takes.
pub(super) type DescribeIn = ();
/// What `describe` gives.
pub(super) type DescribeOut = (Description,);
/// What `open` takes: the configuration, and the columns that come.
pub(super) type OpenIn<'a> = (Vec<(&'a str, &'a str)>, Vec<FieldIn<'a>>);
/// What `open` gives.
pub(super) type OpenOut = (Result<Contract, String>,);
/// What `transform` takes.
pub(super) type TransformIn<'a> = (BatchIn<'a>,);
/// What `transform` gives.
pub(super) type TransformOut = (Result<Output, String>,);
