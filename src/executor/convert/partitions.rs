//! Rows of a partitioned table, kept apart by their partitions until each has enough of them for a row group.
//!
//! What is held is bounded, whatever the order of the input: when it is too much, the partition that has most of it gets
//! its row group early. All that decides is the rows and their order, so that the same files come out of the same input.

use std::{collections::HashMap, mem::take};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType, Date32Type, Int32Type, Int64Type, SchemaRef},
    row::{RowConverter, SortField},
    temporal_conversions::date32_to_datetime,
};

use crate::{
    dataset::{Dataset, Partition},
    executor::Error,
};

/// Partitions that one run writes to at most, ten years of days: each is a file at least, and a record names them all.
pub const PARTITIONS_MAX: usize = 4000;
/// Bytes of a partition's folders at most: with the dataset's name and the file's own it stays below the 1,024 of an
/// object's key (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub const PARTITION_PATH_BYTES_MAX: usize = 768;
/// Bytes of one folder at most: file systems take no more.
pub const PARTITION_FOLDER_BYTES_MAX: usize = 255;
/// Memory of rows that wait for a row group, all partitions together.
const HELD_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Pieces of a partition that are put together to one: of many partitions, a batch has few rows of each.
const PIECES_MAX: usize = 32;
/// What an array takes besides its values, about.
const ARRAY_BYTES: usize = 256;

/// Which partition a row is of, and the rows that wait.
pub(super) struct Partitions {
    schema: SchemaRef,
    /// The columns that make a partition, outermost first.
    names: Vec<String>,
    /// Their places, and those of the columns that are in the files.
    keys: Vec<usize>,
    rest: Vec<usize>,
    converter: RowConverter,
    by_row: HashMap<Box<[u8]>, usize>,
    /// Null and the empty text are one partition.
    by_value: HashMap<Partition, usize>,
    all: Vec<Waiting>,
    held_bytes: usize,
    held_bytes_max: usize,
    group_bytes: usize,
}

/// A partition, and its rows that wait.
struct Waiting {
    partition: Partition,
    batches: Vec<RecordBatch>,
    /// Small ones, to be put together.
    pieces: Vec<RecordBatch>,
    bytes: usize,
}

/// Rows for a row group of a partition.
pub(super) struct Due {
    /// Which of the run's partitions.
    pub place: usize,
    pub batches: Vec<RecordBatch>,
}

impl Partitions {
    /// For a table of these columns; `None` where the dataset has no partitions.
    ///
    /// # Errors
    /// [`Error::Partition`]: a column that is not there, or that files cannot be told apart by.
    pub fn new(schema: &SchemaRef, dataset: &Dataset) -> Result<Option<Self>, Error> {
        if dataset.partition_by.is_empty() {
            return Ok(None);
        }
        let keys = dataset.partition_by.iter().map(|name| key(schema, name)).collect::<Result<Vec<_>, _>>()?;
        let rest: Vec<usize> = (0..schema.fields().len()).filter(|place| !keys.contains(place)).collect();
        if rest.is_empty() {
            let message = "no column would be left in the files; take one out of partition_by".to_owned();
            return Err(Error::Partition { message });
        }
        let fields = keys.iter().map(|&place| SortField::new(schema.field(place).data_type().clone()));
        Ok(Some(Partitions {
            schema: SchemaRef::new(schema.project(&rest)?),
            names: dataset.partition_by.clone(),
            converter: RowConverter::new(fields.collect())?,
            keys,
            rest,
            by_row: HashMap::new(),
            by_value: HashMap::new(),
            all: Vec::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX,
            group_bytes: usize::try_from(dataset.parquet.row_group_bytes).unwrap_or(usize::MAX),
        }))
    }

    /// The columns that are in the files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A partition of this run.
    pub fn partition(&self, place: usize) -> &Partition {
        &self.all[place].partition
    }

    /// Takes rows of the input `name` in.
    ///
    /// # Errors
    /// [`Error::Partition`]: more partitions than [`PARTITIONS_MAX`], or a value too long for a folder.
    pub fn push(&mut self, name: &str, batch: &RecordBatch) -> Result<(), Error> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|&key| ArrayRef::clone(batch.column(key))).collect();
        let places = self.places(name, &keys)?;
        let rows = batch.project(&self.rest)?;
        let Some(&first) = places.first() else { return Ok(()) };
        if places.iter().all(|place| *place == first) {
            return self.hold(first, rows);
        }
        let mut by_place: HashMap<usize, Vec<u32>> = HashMap::new();
        let mut in_order = Vec::new();
        for (row, place) in (0..).zip(places) {
            let rows = by_place.entry(place).or_default();
            if rows.is_empty() {
                in_order.push(place);
            }
            rows.push(row);
        }
        for place in in_order {
            let indices = UInt32Array::from(by_place.remove(&place).unwrap_or_default());
            self.hold(place, take_record_batch(&rows, &indices)?)?;
        }
        Ok(())
    }

    /// The partition of each row.
    fn places(&mut self, name: &str, keys: &[ArrayRef]) -> Result<Vec<usize>, Error> {
        let rows = self.converter.convert_columns(keys)?;
        let mut places: Vec<usize> = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let bytes = rows.row(row);
            let place = match places.last() {
                Some(&last) if rows.row(row - 1) == bytes => last,
                _ => match self.by_row.get(bytes.as_ref()) {
                    Some(&place) => place,
                    None => self.first_seen(name, keys, row, bytes.as_ref().into())?,
                },
            };
            places.push(place);
        }
        Ok(places)
    }

    fn first_seen(&mut self, name: &str, keys: &[ArrayRef], row: usize, bytes: Box<[u8]>) -> Result<usize, Error> {
        let values = keys.iter().map(|key| value(key, row));
        let partition = Partition::new(self.names.iter().cloned().zip(values));
        let place = match self.by_value.get(&partition) {
            Some(&place) => place,
            None => {
                fits(name, &partition)?;
                if self.all.len() == PARTITIONS_MAX {
                    let by = self.names.join(", ");
                    let message = format!(
                        "{name}: there are more than {PARTITIONS_MAX} partitions by {by} in it, each with files of its \
                         own; name columns with fewer values in partition_by"
                    );
                    return Err(Error::Partition { message });
                }
                let place = self.all.len();
                self.by_value.insert(partition.clone(), place);
                self.all.push(Waiting { partition, batches: Vec::new(), pieces: Vec::new(), bytes: 0 });
                place
            }
        };
        self.by_row.insert(bytes, place);
        Ok(place)
    }

    fn hold(&mut self, place: usize, rows: RecordBatch) -> Result<(), Error> {
        let bytes = held_bytes(&rows);
        self.held_bytes += bytes;
        let waiting = &mut self.all[place];
        waiting.bytes += bytes;
        waiting.pieces.push(rows);
        if waiting.pieces.len() == PIECES_MAX {
            waiting.batches.push(concat_batches(&self.schema, &take(&mut waiting.pieces))?);
        }
        Ok(())
    }

    /// Rows that have waited enough: those of a partition that has a row group's worth, or, where too much is held, those
    /// of the partition that has most.
    pub fn due(&mut self) -> Option<Due> {
        let (place, most) = self.all.iter().enumerate().max_by_key(|(place, it)| (it.bytes, usize::MAX - place))?;
        if most.bytes < self.group_bytes && self.held_bytes <= self.held_bytes_max {
            return None;
        }
        Some(self.end(place))
    }

    /// All rows that wait, partition by partition.
    pub fn rest(&mut self) -> Option<Due> {
        let place = self.all.iter().position(|waiting| waiting.bytes > 0)?;
        Some(self.end(place))
    }

    fn end(&mut self, place: usize) -> Due {
        let waiting = &mut self.all[place];
        self.held_bytes -= take(&mut waiting.bytes);
        let mut batches = take(&mut waiting.batches);
        batches.append(&mut waiting.pieces);
        Due { place, batches }
    }
}

/// The place of a column that files can be told apart by.
fn key(schema: &SchemaRef, name: &str) -> Result<usize, Error> {
    let Ok(place) = schema.index_of(name) else {
        let there: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("there is no column `{name}`; there are {}", there.join(", "));
        return Err(Error::Partition { message });
    };
    match schema.field(place).data_type() {
        DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Boolean => Ok(place),
        other => {
            let message = format!(
                "column `{name}` is {other}, and a table is partitioned by text, whole numbers, dates or booleans;                  partition by another column, or give this one another type in the dataset's schema"
            );
            Err(Error::Partition { message })
        }
    }
}

/// The value as text, as it stands in a folder before it is escaped.
fn value(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Int32 => Some(column.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Boolean => Some(column.as_boolean().value(row).to_string()),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            date32_to_datetime(days).map(|day| day.date().to_string())
        }
        _ => Some(column.as_string::<i32>().value(row).to_owned()),
    }
}

/// Refuses a partition that cannot be a key.
fn fits(name: &str, partition: &Partition) -> Result<(), Error> {
    let too_long = partition.folders().find(|folder| folder.len() > PARTITION_FOLDER_BYTES_MAX);
    let folder = match too_long {
        Some(folder) => folder,
        None if partition.path().len() <= PARTITION_PATH_BYTES_MAX => return Ok(()),
        None => partition.path(),
    };
    let shown: String = folder.chars().take(60).collect();
    let message = format!(
        "{name}: the value in {shown}… is too long for a folder ({} bytes; {PARTITION_FOLDER_BYTES_MAX} a folder and \
         {PARTITION_PATH_BYTES_MAX} all together at most); partition by a column with short values",
        folder.len()
    );
    Err(Error::Partition { message })
}

/// Memory that rows keep, about. Rows may be a slice of others: only they count.
fn held_bytes(rows: &RecordBatch) -> usize {
    let of = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default() + ARRAY_BYTES;
    rows.columns().iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringArray},
        datatypes::{Field, Schema},
    };

    use super::*;

    fn partitions(group_bytes: u64) -> Partitions {
        let mut dataset = Dataset { partition_by: vec!["key".into()], ..Dataset::new("t", "t/") };
        dataset.parquet.row_group_bytes = group_bytes;
        let fields = vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Int64, true)];
        Partitions::new(&Arc::new(Schema::new(fields)), &dataset).unwrap().unwrap()
    }

    fn batch(rows: &[(&str, i64)]) -> RecordBatch {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        RecordBatch::try_from_iter([("key", keys), ("value", values)]).unwrap()
    }

    fn values(due: &Due) -> Vec<i64> {
        let of = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        due.batches.iter().flat_map(of).collect()
    }

    #[test]
    fn a_partition_is_due_when_it_has_a_row_groups_worth() {
        let mut partitions = partitions(4096);
        let mut rounds = 0;
        let due = loop {
            let many: Vec<(&str, i64)> = (0..100).map(|row| (if row % 10 == 0 { "b" } else { "a" }, row)).collect();
            partitions.push("x.csv", &batch(&many)).unwrap();
            rounds += 1;
            if let Some(due) = partitions.due() {
                break due;
            }
        };
        assert_eq!((partitions.partition(due.place).path(), values(&due).len()), ("key=a/".to_owned(), rounds * 90));
        assert!(partitions.due().is_none());
        let rest = partitions.rest().unwrap();
        assert_eq!((partitions.partition(rest.place).path(), values(&rest).len()), ("key=b/".to_owned(), rounds * 10));
        assert!(partitions.rest().is_none());
    }

    #[test]
    fn what_is_held_stays_bounded_and_goes_from_the_partition_that_has_most_of_it() {
        let mut partitions = partitions(1 << 20);
        partitions.held_bytes_max = 64 * 1024;
        let mut groups = 0;
        for round in 0..200_i64 {
            let rows: Vec<(String, i64)> =
                (0..500).map(|row| (format!("k{}", (row * row + round) % 40), row)).collect();
            let rows: Vec<(&str, i64)> = rows.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            partitions.push("x.csv", &batch(&rows)).unwrap();
            while let Some(due) = partitions.due() {
                let most = partitions.all.iter().map(|waiting| waiting.bytes).max().unwrap();
                assert!(due.batches.iter().map(held_bytes).sum::<usize>() + 64 * ARRAY_BYTES >= most);
                groups += 1;
            }
            assert!(partitions.held_bytes <= 64 * 1024, "{}", partitions.held_bytes);
        }
        assert!(groups > 10, "{groups}");
    }

    #[test]
    fn rows_of_a_partition_stay_in_their_order() {
        let mut partitions = partitions(1 << 20);
        for round in 0..100 {
            let row = |place: i64| (["a", "b", "a", "c"][place as usize % 4], round * 4 + place);
            partitions.push("x.csv", &batch(&(0..4).map(row).collect::<Vec<_>>())).unwrap();
        }
        let due = partitions.rest().unwrap();
        let expected: Vec<i64> = (0..400).filter(|value| value % 2 == 0 && value % 4 != 3).collect();
        assert_eq!(values(&due), expected);
        assert!(due.batches.len() <= 200 / PIECES_MAX + PIECES_MAX, "pieces are put together");
    }
}
