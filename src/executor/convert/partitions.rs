//! Rows of a partitioned table, kept apart by their partitions until each has enough of them for a row group.
//!
//! What is held is bounded, whatever the order of the input: when it is too much, the partition that has most of it gets
//! its row group early. All that decides is the rows and their order, so that the same files come out of the same input.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    mem::take,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::interleave_record_batch,
    datatypes::{DataType, Date32Type, Int32Type, Int64Type, SchemaRef},
    row::{RowConverter, SortField},
    temporal_conversions::date32_to_datetime,
};

use crate::{
    dataset::{ColumnType, Dataset, Partition},
    executor::{Error, parquet::data_type},
};

/// Partitions that one run writes to at most, ten years of days: each is a file at least, and a record names them all.
pub const PARTITIONS_MAX: usize = 4000;
/// Bytes of a partition's folders at most: with the dataset's name and the file's own it stays below the 1,024 of an
/// object's key (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub const PARTITION_PATH_BYTES_MAX: usize = 768;
/// Bytes of one folder at most: file systems take no more.
pub const PARTITION_FOLDER_BYTES_MAX: usize = 255;
/// Memory of rows that wait for a row group, all partitions together.
const HELD_BYTES_MAX: usize = 40 * 1024 * 1024;
/// Rows that are copied at a time.
const COPIED_ROWS: usize = 8 * 1024;
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
    all: Vec<Known>,
    waiting: Vec<Waiting>,
    /// Rows that are to go, by partition; what waits on once they have gone; and the batches that both are in.
    leaving: VecDeque<(usize, Vec<(usize, usize)>)>,
    staying: Vec<Staying>,
    left: Vec<RecordBatch>,
    held_bytes: usize,
    held_bytes_max: usize,
    group_bytes: usize,
}

/// A partition, and the bytes of its rows that wait.
struct Known {
    partition: Partition,
    bytes: usize,
}

/// What waits on when others have gone.
enum Staying {
    /// Batches of which none has gone.
    Whole(Waiting),
    /// Rows, and the partition of each.
    Rows(Vec<(usize, usize)>, Vec<usize>),
}

/// Rows that wait, as they came, and the partition of each.
struct Waiting {
    rows: RecordBatch,
    places: Vec<usize>,
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
            waiting: Vec::new(),
            leaving: VecDeque::new(),
            staying: Vec::new(),
            left: Vec::new(),
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
        self.hold(rows, places);
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
                self.all.push(Known { partition, bytes: 0 });
                place
            }
        };
        self.by_row.insert(bytes, place);
        Ok(place)
    }

    fn hold(&mut self, rows: RecordBatch, places: Vec<usize>) {
        let Some(each) = held_bytes(&rows).checked_div(places.len()) else { return };
        let each = each.max(1);
        for &place in &places {
            self.all[place].bytes += each;
        }
        let bytes = each * places.len();
        self.held_bytes += bytes;
        self.waiting.push(Waiting { rows, places, bytes });
    }

    /// Rows that have waited enough: those of a partition that has a row group's worth, or, where too much is held, those
    /// of the partitions that have most, until half of it is left. What stays is copied, so that it is not kept by the
    /// few rows of a batch that wait still; halves make that once for each row, about.
    ///
    /// # Errors
    /// Rows that do not fit together.
    pub fn due(&mut self) -> Result<Option<Due>, Error> {
        if self.leaving.is_empty() && self.staying.is_empty() {
            if self.held_bytes > self.held_bytes_max {
                let mut by_bytes: Vec<usize> = (0..self.all.len()).filter(|&place| self.all[place].bytes > 0).collect();
                by_bytes.sort_by_key(|&place| (Reverse(self.all[place].bytes), place));
                let mut left = self.held_bytes;
                by_bytes.retain(|&place| {
                    let goes = left > self.held_bytes / 2;
                    left -= if goes { self.all[place].bytes } else { 0 };
                    goes
                });
                self.part(&by_bytes);
            } else if let Some(full) = self.all.iter().position(|known| known.bytes >= self.group_bytes) {
                self.part(&[full]);
            }
        }
        self.next()
    }

    /// All rows that wait, partition by partition.
    ///
    /// # Errors
    /// Rows that do not fit together.
    pub fn rest(&mut self) -> Result<Option<Due>, Error> {
        if self.leaving.is_empty() && self.staying.is_empty() {
            let waiting: Vec<usize> = (0..self.all.len()).filter(|&place| self.all[place].bytes > 0).collect();
            self.part(&waiting);
        }
        self.next()
    }

    /// Parts the rows of these partitions from those that wait on. The order of a partition's rows stays.
    fn part(&mut self, places: &[usize]) {
        let mut leaving: HashMap<usize, Vec<(usize, usize)>> = places.iter().map(|&it| (it, Vec::new())).collect();
        let before = take(&mut self.waiting);
        let (mut kept, mut kept_places): (Vec<(usize, usize)>, Vec<usize>) = (Vec::new(), Vec::new());
        self.left = before.iter().map(|waiting| waiting.rows.clone()).collect();
        for (batch, waiting) in before.into_iter().enumerate() {
            if !waiting.places.iter().any(|place| leaving.contains_key(place)) {
                self.staying.push(Staying::Rows(take(&mut kept), take(&mut kept_places)));
                self.staying.push(Staying::Whole(waiting));
                continue;
            }
            let mut bytes = waiting.bytes;
            let each = waiting.bytes / waiting.places.len();
            for (row, place) in waiting.places.into_iter().enumerate() {
                match leaving.get_mut(&place) {
                    Some(rows) => {
                        rows.push((batch, row));
                        bytes -= each;
                        self.held_bytes -= each;
                        self.all[place].bytes -= each;
                    }
                    None => {
                        kept.push((batch, row));
                        kept_places.push(place);
                    }
                }
            }
            // They are counted anew when they have been copied.
            self.held_bytes -= bytes;
            for place in &kept_places[kept_places.len() - bytes / each..] {
                self.all[*place].bytes -= each;
            }
        }
        self.staying.push(Staying::Rows(kept, kept_places));
        self.leaving = places.iter().filter_map(|place| Some((*place, leaving.remove(place)?))).collect();
    }

    /// Copies rows that wait on.
    fn keep(&mut self, rows: &[(usize, usize)], places: &[usize]) -> Result<(), Error> {
        for (rows, places) in rows.chunks(COPIED_ROWS).zip(places.chunks(COPIED_ROWS)) {
            let copied = copied(&self.left, rows)?;
            self.hold(copied, places.to_vec());
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Due>, Error> {
        let Some((place, rows)) = self.leaving.pop_front() else {
            // Not before the others are encoded: there is room for one of both.
            for staying in take(&mut self.staying) {
                match staying {
                    Staying::Whole(waiting) => self.waiting.push(waiting),
                    Staying::Rows(rows, places) => self.keep(&rows, &places)?,
                }
            }
            self.left.clear();
            return Ok(None);
        };
        let batches = rows.chunks(COPIED_ROWS).map(|rows| copied(&self.left, rows)).collect::<Result<_, _>>()?;
        Ok(Some(Due { place, batches }))
    }
}

/// These rows of the batches, in a batch of their own; a batch that is wanted as it is, is not copied.
fn copied(batches: &[RecordBatch], rows: &[(usize, usize)]) -> Result<RecordBatch, Error> {
    if let [(batch, 0), .., (last, end)] = rows
        && batch == last
        && end + 1 == rows.len()
        && rows.len() == batches[*batch].num_rows()
    {
        return Ok(batches[*batch].clone());
    }
    let first = rows.first().map_or(0, |row| row.0);
    let last = rows.last().map_or(0, |row| row.0);
    let batches: Vec<&RecordBatch> = batches[first..=last].iter().collect();
    let rows: Vec<(usize, usize)> = rows.iter().map(|(batch, row)| (batch - first, *row)).collect();
    Ok(interleave_record_batch(&batches, &rows)?)
}

/// The place of a column that files can be told apart by.
fn key(schema: &SchemaRef, name: &str) -> Result<usize, Error> {
    let Ok(place) = schema.index_of(name) else {
        let there: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("there is no column `{name}`; there are {}", there.join(", "));
        return Err(Error::Partition { message });
    };
    match schema.field(place).data_type() {
        ty if ColumnType::PARTITIONING.map(data_type).contains(ty) => Ok(place),
        other => {
            let message = format!(
                "column `{name}` is {other}, and a table is partitioned by text, whole numbers, dates or booleans; \
                 partition by another column, or give this one another type in the dataset's schema"
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
            if let Some(due) = partitions.due().unwrap() {
                break due;
            }
        };
        assert_eq!((partitions.partition(due.place).path(), values(&due).len()), ("key=a/".to_owned(), rounds * 90));
        assert!(partitions.due().unwrap().is_none());
        let rest = partitions.rest().unwrap().unwrap();
        assert_eq!((partitions.partition(rest.place).path(), values(&rest).len()), ("key=b/".to_owned(), rounds * 10));
        assert!(partitions.rest().unwrap().is_none());
    }

    #[test]
    fn what_is_held_stays_bounded_and_the_partitions_that_have_most_of_it_go_together() {
        let mut partitions = partitions(1 << 20);
        partitions.held_bytes_max = 64 * 1024;
        let (mut groups, mut rows_out) = (0, Vec::new());
        for round in 0..200_i64 {
            let row = |row: i64| (format!("k{}", (row * row + round) % 40), round * 500 + row);
            let rows: Vec<(String, i64)> = (0..500).map(row).collect();
            let rows: Vec<(&str, i64)> = rows.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            partitions.push("x.csv", &batch(&rows)).unwrap();
            while let Some(due) = partitions.due().unwrap() {
                rows_out.extend(values(&due));
                groups += 1;
            }
            assert!(partitions.held_bytes <= 64 * 1024, "{}", partitions.held_bytes);
            let waiting: usize = partitions.waiting.iter().map(|waiting| held_bytes(&waiting.rows)).sum();
            assert!(waiting <= 96 * 1024, "what has gone is not kept: {waiting}");
            assert_eq!(partitions.all.iter().map(|known| known.bytes).sum::<usize>(), partitions.held_bytes);
        }
        assert!(groups > 10 && rows_out.len() / groups > 100, "{} rows in {groups} groups", rows_out.len());
        while let Some(due) = partitions.rest().unwrap() {
            rows_out.extend(values(&due));
        }
        rows_out.sort_unstable();
        assert_eq!(rows_out, (0..100_000).collect::<Vec<_>>());
    }

    #[test]
    fn rows_of_a_partition_stay_in_their_order() {
        let mut partitions = partitions(1 << 20);
        for round in 0..100 {
            let row = |place: i64| (["a", "b", "a", "c"][place as usize % 4], round * 4 + place);
            partitions.push("x.csv", &batch(&(0..4).map(row).collect::<Vec<_>>())).unwrap();
        }
        let due = partitions.rest().unwrap().unwrap();
        let expected: Vec<i64> = (0..400).filter(|value| value % 2 == 0 && value % 4 != 3).collect();
        assert_eq!(values(&due), expected);
    }
}
