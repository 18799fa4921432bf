//! What is encoded reads back as it was, whatever it was cut into; and says of itself what the reference writer says.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit},
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
        },
        arrow_writer::ArrowWriterOptions,
    },
    basic::{Encoding as PageEncoding, Type},
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData},
        properties::{EnabledStatistics, WriterProperties},
        reader::FileReader,
        serialized_reader::SerializedFileReader,
    },
};
use proptest::prelude::*;

use super::{Encoding, FileWriter, GroupEncoder};
use crate::dataset::{Compression, ParquetOptions};

fn options(compression: Compression) -> ParquetOptions {
    ParquetOptions { compression, ..ParquetOptions::default() }
}

/// Encodes the batches as one row group with pages of at most so many rows and bytes of text.
fn encode_with(batches: &[RecordBatch], options: &ParquetOptions, rows: usize, bytes: usize) -> Bytes {
    let encoding = Encoding::new(&batches[0].schema(), options).unwrap().with_pages(rows, bytes);
    let mut group = GroupEncoder::new(&encoding).unwrap();
    batches.iter().for_each(|batch| group.push(batch).unwrap());
    let mut file = FileWriter::new(Vec::new(), &encoding).unwrap();
    file.append(group.finish().unwrap()).unwrap();
    let written = file.finish(&[("fact", "value".to_owned())]).unwrap();
    assert_eq!(written.bytes, written.write.len() as u64);
    Bytes::from(written.write)
}

fn encode(batches: &[RecordBatch]) -> Bytes {
    encode_with(batches, &options(Compression::Zstd), 32 * 1024, 1024 * 1024)
}

fn metadata(file: &Bytes) -> ArrowReaderMetadata {
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required).with_encoding_stats_as_mask(false);
    ArrowReaderMetadata::load(file, options).unwrap()
}

fn decode(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata(file));
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn column(name: &str, values: impl Array + 'static) -> RecordBatch {
    let field = Field::new(name, values.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(values)]).unwrap()
}

fn text(values: impl IntoIterator<Item = impl Into<Option<String>>>) -> RecordBatch {
    column("text", StringArray::from(values.into_iter().map(Into::into).collect::<Vec<Option<String>>>()))
}

/// What data pages of the first row group's column are encoded as, in order.
fn encodings(file: &Bytes, at: usize) -> Vec<PageEncoding> {
    let metadata = metadata(file);
    let stats = metadata.metadata().row_group(0).column(at).page_encoding_stats().unwrap().clone();
    stats.iter().map(|stats| stats.encoding).collect()
}

/// Numbers without a pattern, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

/// How a column's values come about.
#[derive(Debug, Clone, Copy)]
enum Style {
    Few,
    Many,
    Rising,
    Runs,
    Extreme,
    AllNull,
    Turning,
}

fn integer(style: Style, row: usize, random: &mut Random) -> Option<i64> {
    let any = random.next();
    Some(match style {
        Style::Few => (any % 7) as i64 - 3,
        Style::Many => any as i64 >> (row % 40),
        Style::Rising => row as i64 * 3 + (any % 3) as i64,
        Style::Runs => (row / 37) as i64 % 5,
        Style::Extreme => [i64::MIN, i64::MAX, 0, -1, i64::MIN + 1][(any % 5) as usize],
        Style::AllNull => return None,
        Style::Turning if row < 500 => (any % 4) as i64,
        Style::Turning => any as i64,
    })
}

fn double(style: Style, integer: i64, random: &mut Random) -> f64 {
    match style {
        Style::Extreme => match random.next() % 8 {
            0 => f64::NAN,
            1 => -0.0,
            2 => 0.0,
            3 => f64::INFINITY,
            4 => f64::NEG_INFINITY,
            5 => -f64::NAN,
            6 => f64::MIN_POSITIVE / 8.0,
            _ => f64::MAX,
        },
        Style::Many => f64::from_bits(integer as u64),
        _ => integer as f64 / 100.0,
    }
}

fn string(style: Style, integer: i64) -> String {
    match style {
        Style::Extreme => ["", "\0", "é", "\u{10FFFF}\u{10FFFF}", "z"][(integer as u64 % 5) as usize]
            .repeat((integer as u64 % 70) as usize),
        Style::Many => format!("value {integer:x} of many"),
        _ => format!("{integer}"),
    }
}

/// A table with a column of every type.
fn table(rows: usize, nulls: u64, styles: &[Style], seed: u64) -> RecordBatch {
    let zone = Some(Arc::<str>::from("+00:00"));
    let types = [
        DataType::Boolean,
        DataType::Int32,
        DataType::Int64,
        DataType::Float64,
        DataType::Decimal128(7, 2),
        DataType::Decimal128(18, 4),
        DataType::Decimal128(38, 10),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Utf8,
    ];
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for (at, data_type) in types.into_iter().enumerate() {
        let style = styles[at % styles.len()];
        let random = &mut Random(seed + at as u64);
        let values: Vec<Option<i64>> =
            (0..rows).map(|row| integer(style, row, random).filter(|_| random.next() % 16 >= nulls)).collect();
        let map32 = |value: &Option<i64>| value.map(|value| value as i32);
        let digits = |value: i64, digits: u32| i128::from(value) % 10_i128.pow(digits);
        let decimal = |p: u8, s: i8| {
            let wide =
                |value: i64| if p > 18 { i128::from(value) * i128::from(value) } else { digits(value, p.into()) };
            let values: Decimal128Array = values.iter().map(|value| value.map(wide)).collect();
            values.with_precision_and_scale(p, s).unwrap()
        };
        columns.push(match data_type {
            DataType::Boolean => Arc::new(values.iter().map(|v| v.map(|v| v & 1 == 1)).collect::<BooleanArray>()),
            DataType::Int32 => Arc::new(values.iter().map(map32).collect::<Int32Array>()),
            DataType::Date32 => Arc::new(values.iter().map(map32).collect::<Date32Array>()),
            DataType::Int64 => Arc::new(Int64Array::from(values)),
            DataType::Float64 => Arc::new(
                values.iter().map(|value| value.map(|value| double(style, value, random))).collect::<Float64Array>(),
            ),
            DataType::Decimal128(p, s) => Arc::new(decimal(p, s)),
            DataType::Timestamp(..) => {
                Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone.clone()))
            }
            _ => Arc::new(values.iter().map(|value| value.map(|value| string(style, value))).collect::<StringArray>()),
        });
        fields.push(Field::new(format!("column_{at}"), data_type, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The table in pieces, each of which begins in the middle of its buffers.
fn cut(table: &RecordBatch, borders: &[usize]) -> Vec<RecordBatch> {
    let mut borders: Vec<usize> = borders.iter().map(|border| border % (table.num_rows() + 1)).collect();
    borders.extend([0, table.num_rows()]);
    borders.sort_unstable();
    borders.windows(2).map(|ends| table.slice(ends[0], ends[1] - ends[0])).collect()
}

/// Doubles by their bits, so that NaN equals itself.
fn assert_same(a: &RecordBatch, b: &RecordBatch) {
    assert_eq!(a.num_rows(), b.num_rows());
    for (a, b) in a.columns().iter().zip(b.columns()) {
        match a.as_primitive_opt::<Float64Type>().zip(b.as_primitive_opt::<Float64Type>()) {
            Some((a, b)) => assert!(a.iter().map(|v| v.map(f64::to_bits)).eq(b.iter().map(|v| v.map(f64::to_bits)))),
            // The reader spells the zone in its own way.
            None => assert_eq!(arrow::compute::cast(a, b.data_type()).unwrap().as_ref(), b.as_ref()),
        }
    }
}

fn styles() -> impl Strategy<Value = Vec<Style>> {
    use Style::{AllNull, Extreme, Few, Many, Rising, Runs, Turning};
    let style = prop::sample::select(vec![Few, Many, Rising, Runs, Extreme, AllNull, Turning]);
    prop::collection::vec(style, 1..8)
}

/// The reference: arrow's own writer, its pages cut at the same rows.
fn reference(table: &RecordBatch, page_rows: usize) -> Bytes {
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(page_rows)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), table.schema(), options).unwrap();
    writer.write(table).unwrap();
    Bytes::from(writer.into_inner().unwrap())
}

/// All that the footer and the page index say of a column's values.
fn said(metadata: &ParquetMetaData, at: usize) -> String {
    let column = metadata.row_group(0).column(at);
    let statistics = column.statistics().unwrap();
    let index = metadata.page_index().unwrap().column_index(0, at);
    let offsets = metadata.page_index().unwrap().offset_index(0, at).unwrap();
    let rows: Vec<i64> = offsets.page_locations.iter().map(|page| page.first_row_index).collect();
    format!(
        "{:?} {:?} {:?} {} {} {:?} {:?} {:?}\n{index:?}\n{rows:?} {:?}",
        statistics.min_bytes_opt(),
        statistics.max_bytes_opt(),
        statistics.null_count_opt(),
        statistics.min_is_exact(),
        statistics.max_is_exact(),
        column.unencoded_byte_array_data_bytes(),
        column.definition_level_histogram(),
        column.num_values(),
        offsets.unencoded_byte_array_data_bytes,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_table_reads_back_as_it_was_and_its_bytes_do_not_depend_on_its_batches(
        rows in 1_usize..6000,
        nulls in prop::sample::select(vec![0_u64, 1, 8, 15]),
        styles in styles(),
        seed in any::<u64>(),
        borders in prop::collection::vec(any::<usize>(), 0..6),
        page_rows in prop::sample::select(vec![64_usize, 1000, 32 * 1024]),
        page_bytes in prop::sample::select(vec![100_usize, 5000, 1024 * 1024]),
        compression in prop::sample::select(vec![Compression::Zstd, Compression::Snappy, Compression::None]),
    ) {
        let table = table(rows, nulls, &styles, seed >> 8);
        let file = encode_with(&cut(&table, &borders), &options(compression), page_rows, page_bytes);
        assert_same(&decode(&file), &table);
        prop_assert_eq!(file, encode_with(&[table], &options(compression), page_rows, page_bytes));
    }

    #[test]
    fn statistics_and_page_index_are_those_of_the_reference_writer(
        rows in 1_usize..900,
        nulls in prop::sample::select(vec![0_u64, 1, 8, 15]),
        styles in styles(),
        seed in any::<u64>(),
    ) {
        let table = table(rows, nulls, &styles, seed >> 8);
        let (ours, theirs) = (encode_with(std::slice::from_ref(&table), &options(Compression::None), 128, 1 << 20), reference(&table, 128));
        let (ours, theirs) = (metadata(&ours), metadata(&theirs));
        for at in 0..table.num_columns() {
            prop_assert_eq!(said(ours.metadata(), at), said(theirs.metadata(), at), "column {}", at);
        }
        prop_assert_eq!(
            ours.metadata().file_metadata().schema().get_fields(),
            theirs.metadata().file_metadata().schema().get_fields()
        );
    }

    #[test]
    fn pages_are_found_one_by_one_through_the_offset_index(
        styles in styles(),
        seed in any::<u64>(),
        from in 0_usize..2900,
        rows in 1_usize..100,
    ) {
        let table = table(3000, 3, &styles, seed >> 8);
        let file = encode_with(std::slice::from_ref(&table), &options(Compression::Zstd), 100, 2000);
        let selection = RowSelection::from(vec![RowSelector::skip(from), RowSelector::select(rows)]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata(&file));
        let schema = reader.schema().clone();
        let batches: Vec<_> = reader.with_row_selection(selection).build().unwrap().map(Result::unwrap).collect();
        assert_same(&concat_batches(&schema, &batches).unwrap(), &table.slice(from, rows));
    }
}

#[test]
fn few_distinct_values_become_a_dictionary_and_sorted_keys_differences() {
    let few = column("few", Int64Array::from_iter_values((0..50_000).map(|row| row * 7919 % 50)));
    assert_eq!(encodings(&encode(&[few]), 0), [PageEncoding::PLAIN, PageEncoding::RLE_DICTIONARY]);
    let keys = column("key", Int64Array::from_iter_values((0..50_000).map(|row| row / 4)));
    let file = encode(&[keys]);
    assert_eq!(encodings(&file, 0), [PageEncoding::DELTA_BINARY_PACKED]);
    assert!(file.len() < 10_000, "{}", file.len());
}

#[test]
fn a_dictionary_that_fills_up_is_followed_by_pages_without_it() {
    let mut random = Random(7);
    let value = |row: usize, any: u64| if row < 70_000 { any % 1000 } else { any };
    let values: Vec<f64> = (0..300_000).map(|row| value(row, random.next()) as f64).collect();
    let table = column("value", Float64Array::from(values));
    let file = encode(std::slice::from_ref(&table));
    assert_eq!(encodings(&file, 0), [PageEncoding::PLAIN, PageEncoding::RLE_DICTIONARY, PageEncoding::PLAIN]);
    assert_same(&decode(&file), &table);
    let texts = (0..300_000).map(|row| Some(format!("a text, number {}", value(row, random.next()))));
    let table = text(texts);
    let file = encode(std::slice::from_ref(&table));
    let (dictionary, plain) = (PageEncoding::RLE_DICTIONARY, PageEncoding::DELTA_LENGTH_BYTE_ARRAY);
    assert_eq!(encodings(&file, 0), [PageEncoding::PLAIN, dictionary, plain]);
    assert_same(&decode(&file), &table);
}

#[test]
fn distinct_values_are_counted_where_all_are_in_the_dictionary() {
    let file = encode(&[text((0..5000).map(|row| Some(format!("{}", row % 12))))]);
    let statistics = metadata(&file).metadata().row_group(0).column(0).statistics().unwrap().clone();
    assert_eq!(statistics.distinct_count_opt(), Some(12));
}

#[test]
fn a_text_of_sixteen_mebibytes_is_a_page_of_its_own_kind() {
    let huge = "x".repeat(16 * 1024 * 1024);
    let table = text([Some("a".to_owned()), Some(huge.clone()), None, Some(huge), Some("b".to_owned())]);
    let file = encode(std::slice::from_ref(&table));
    assert_same(&decode(&file), &table);
    let metadata = metadata(&file);
    let statistics = metadata.metadata().row_group(0).column(0).statistics().unwrap().clone();
    assert_eq!(statistics.max_bytes_opt().map(<[u8]>::len), Some(64));
    assert!(!statistics.max_is_exact() && statistics.min_is_exact());
}

#[test]
fn what_does_not_shrink_is_stored_and_still_reads_back() {
    let mut random = Random(3);
    let table = column("noise", Int64Array::from_iter_values((0..400_000).map(|_| random.next() as i64)));
    let file = encode(std::slice::from_ref(&table));
    assert_same(&decode(&file), &table);
    assert!(file.len() < 400_000 * 8 + 10_000);
}

#[test]
fn a_table_of_five_thousand_columns_takes_little_memory_for_each() {
    let fields: Vec<Field> = (0..5000).map(|at| Field::new(format!("c{at}"), DataType::Int64, true)).collect();
    let values: ArrayRef = Arc::new(Int64Array::from_iter((0..300).map(|row| (row % 3 > 0).then_some(row))));
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![values; 5000]).unwrap();
    let encoding = Encoding::new(&table.schema(), &options(Compression::Zstd)).unwrap();
    let mut group = GroupEncoder::new(&encoding).unwrap();
    assert!(group.memory_bytes() < 1024 * 1024, "{}", group.memory_bytes());
    group.push(&table).unwrap();
    assert!(group.memory_bytes() < 64 * 1024 * 1024, "{}", group.memory_bytes());
    assert!(group.encoded_bytes() > 0);
    let mut file = FileWriter::new(Vec::new(), &encoding).unwrap();
    file.append(group.finish().unwrap()).unwrap();
    assert_same(&decode(&Bytes::from(file.finish(&[]).unwrap().write)), &table);
}

#[test]
fn a_file_has_its_row_groups_in_order_and_leaves_empty_ones_out() {
    let table = table(1000, 2, &[Style::Few, Style::Many], 5);
    let encoding = Encoding::new(&table.schema(), &options(Compression::Snappy)).unwrap();
    let mut file = FileWriter::new(Vec::new(), &encoding).unwrap();
    for (from, rows) in [(0, 400), (400, 0), (400, 600)] {
        let mut group = GroupEncoder::new(&encoding).unwrap();
        group.push(&table.slice(from, rows)).unwrap();
        assert_eq!(group.rows(), rows as u64);
        file.append(group.finish().unwrap()).unwrap();
    }
    let written = file.finish(&[("source", "here".to_owned())]).unwrap();
    assert_eq!((written.rows, written.row_groups), (1000, 2));
    let file = Bytes::from(written.write);
    assert_same(&decode(&file), &table);
    let metadata = metadata(&file);
    let facts = metadata.metadata().file_metadata().key_value_metadata().unwrap();
    assert_eq!(facts[0].value.as_deref(), Some("here"));
}

#[test]
fn a_file_without_row_groups_is_an_empty_table() {
    let encoding = Encoding::new(&table(1, 0, &[Style::Few], 1).schema(), &options(Compression::Zstd)).unwrap();
    let written = FileWriter::new(Vec::new(), &encoding).unwrap().finish(&[]).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(written.write)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
}

#[test]
fn a_bloom_filter_knows_the_values_of_dictionaries_and_of_plain_pages() {
    let mut random = Random(9);
    let table = table(20_000, 1, &[Style::Turning, Style::Many, Style::Few], 11);
    let names: Vec<String> = (1..10).map(|at| format!("column_{at}")).collect();
    let options = ParquetOptions { bloom_filters: names, ..options(Compression::Zstd) };
    let file = encode_with(std::slice::from_ref(&table), &options, 4096, 1 << 20);
    assert_same(&decode(&file), &table);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let filter = reader.get_row_group_column_bloom_filter(0, 2).unwrap().unwrap();
    let keys = table.column(2).as_primitive::<arrow::datatypes::Int64Type>();
    assert!(keys.iter().flatten().all(|key| filter.check(&key)));
    let strangers = (0..10_000).filter(|_| filter.check(&(random.next() as i64))).count();
    assert!(strangers < 500, "{strangers}");
    let filter = reader.get_row_group_column_bloom_filter(0, 9).unwrap().unwrap();
    assert!(table.column(9).as_string::<i32>().iter().flatten().all(|text| filter.check(text)));
    assert!(reader.get_row_group_column_bloom_filter(0, 0).unwrap().is_none());
}

#[test]
fn rows_are_sorted_on_request_and_equal_keys_stay_as_they_came() {
    let key = Int32Array::from_iter((0..20_000).map(|row: i32| (row % 11 > 0).then_some(row * 7 % 13)));
    let came = Int64Array::from_iter_values(0..20_000);
    let fields = vec![Field::new("came", DataType::Int64, true), Field::new("key", DataType::Int32, true)];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let table = RecordBatch::try_new(schema, vec![Arc::new(came), Arc::new(key)]).unwrap();
    let options = ParquetOptions { sort_by: vec!["key".to_owned()], ..options(Compression::Zstd) };
    let file = encode_with(&cut(&table, &[1, 777, 9999]), &options, 1024, 1 << 20);
    let sorted = decode(&file);
    let rows: Vec<(Option<i32>, i64)> = sorted
        .column(1)
        .as_primitive::<arrow::datatypes::Int32Type>()
        .iter()
        .zip(sorted.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().iter().copied())
        .collect();
    assert!(rows.is_sorted());
    assert_eq!(rows.len(), 20_000);
    let metadata = metadata(&file);
    let order = &metadata.metadata().row_group(0).sorting_columns().unwrap()[0];
    assert!(order.column_idx == 1 && !order.descending && order.nulls_first);
}

#[test]
fn options_that_name_no_column_and_types_that_tables_do_not_have_are_refused() {
    let schema = table(1, 0, &[Style::Few], 1).schema();
    let unknown = ParquetOptions { sort_by: vec!["nowhere".to_owned()], ..options(Compression::Zstd) };
    assert!(Encoding::new(&schema, &unknown).unwrap_err().to_string().contains("`nowhere`"));
    let unsigned: SchemaRef = Arc::new(Schema::new(vec![Field::new("u", DataType::UInt32, true)]));
    assert!(Encoding::new(&unsigned, &options(Compression::Zstd)).is_err());
    let level = ParquetOptions { compression_level: Some(99), ..options(Compression::Zstd) };
    assert!(Encoding::new(&schema, &level).is_err());
}

#[test]
fn every_page_is_optional_and_of_the_first_version() {
    let file = encode(&[table(100, 4, &[Style::Few], 2)]);
    let reader = SerializedFileReader::new(file).unwrap();
    for column in reader.metadata().file_metadata().schema_descr().columns() {
        assert_eq!((column.max_def_level(), column.max_rep_level()), (1, 0));
        assert_ne!(column.physical_type(), Type::INT96);
    }
    let group = reader.get_row_group(0).unwrap();
    let pages = group.get_column_page_reader(1).unwrap();
    let version_two =
        |page: &parquet::column::page::Page| matches!(page, parquet::column::page::Page::DataPageV2 { .. });
    assert!(!pages.map(Result::unwrap).any(|page| version_two(&page)));
}

#[test]
fn a_row_group_has_the_same_bytes_whatever_was_encoded_before_it() {
    let groups = |encoding: &Arc<Encoding>, tables: &[&RecordBatch]| -> Vec<u8> {
        let mut last = None;
        for table in tables {
            let mut group = GroupEncoder::new(encoding).unwrap();
            let empty = group.memory_bytes();
            table_in_pieces(table).iter().for_each(|batch| group.push(batch).unwrap());
            last = Some((empty, group.memory_bytes(), group.finish().unwrap()));
        }
        let (empty, memory, group) = last.unwrap();
        let mut bytes = format!("{empty} {memory} ").into_bytes();
        for chunk in &group.chunks {
            bytes.extend_from_slice(
                format!("{:?}{:?}{:?}", chunk.metadata, chunk.column_index, chunk.offset_index).as_bytes(),
            );
            chunk.pages.iter().for_each(|page| group.store.write(page, &mut bytes).unwrap());
        }
        bytes
    };
    let styles = [Style::Few, Style::Many, Style::Rising, Style::Runs, Style::Extreme, Style::AllNull, Style::Turning];
    for (seed, style) in styles.into_iter().enumerate() {
        let now = table(3000, 3, &[style], seed as u64);
        let before = styles.map(|style| table(5000, 1, &[style], 77));
        let options = ParquetOptions { bloom_filters: vec!["column_9".into()], ..options(Compression::Zstd) };
        let encoding = || Encoding::new(&now.schema(), &options).unwrap().with_pages(1000, 4000);
        let alone = groups(&encoding(), &[&now]);
        let tables: Vec<&RecordBatch> = before.iter().chain([&now]).collect();
        assert!(groups(&encoding(), &tables) == alone, "{style:?}");
    }
}

fn table_in_pieces(table: &RecordBatch) -> Vec<RecordBatch> {
    cut(table, &[700, 1900])
}
