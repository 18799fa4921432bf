//! Several data files: a folder a partition, or files of a size.

use super::*;
use crate::dataset::{NULL_PARTITION, ParquetOptions, Partition};

/// A file as `folders part: rows`.
type Files = Vec<(String, Vec<String>)>;

fn dataset(by: &[&str]) -> Dataset {
    let csv = CsvOptions { delimiter: Some(','), quote: Some('"'.into()), header: Some(true), ..CsvOptions::default() };
    let partition_by = by.iter().map(|&name| name.to_owned()).collect();
    Dataset { csv, partition_by, ..Dataset::new("t", "t/") }
}

fn converted(text: &str, table: &str, dataset: &Dataset, workers: usize) -> Result<(Report, Files), Error> {
    let source = Memory::new(text);
    let input = Input { source: &source, origin: Origin::default(), dialect: None };
    let columns = columns(table);
    let resources = Resources { workers, ..Resources::of(1, 0) };
    let conversion = Conversion { dataset, columns: Columns::Known(&columns), transform: None, resources };
    let converted = convert(&[input], &conversion, &mut MemorySink::default(), &Progress::new())?;
    let Report { read, kept, rejected, files, .. } = converted.report;
    assert_eq!((read, files as usize), (kept + rejected, converted.data.len()));
    assert_eq!(converted.data.iter().map(|file| file.rows).sum::<u64>(), kept);
    let file = |DataFile { partition, part, rows, bytes, output }: DataFile<Vec<u8>>| {
        assert_eq!(bytes as usize, output.len());
        let lines = read_back(&Some(output.into()));
        assert_eq!(lines.len() as u64, rows);
        (format!("{}{part}", partition.path()), lines)
    };
    Ok((converted.report, converted.data.into_iter().map(file).collect()))
}

fn refused(text: &str, table: &str, by: &[&str]) -> String {
    let error = converted(text, table, &dataset(by), 1).unwrap_err();
    assert!(matches!(error, Error::Partition { .. }) && error.is_permanent(), "{error}");
    assert!(!error.to_string().contains("  "), "{error}");
    error.to_string()
}

#[test]
fn rows_lie_in_the_folder_of_their_values_and_the_files_have_the_other_columns() {
    let text = "year,carrier,delay\n2013,UA,1\n2014,AA,2\n2013,UA,3\n2013,AA,x\n2013,AA,4\n";
    let (report, files) =
        converted(text, "year int64, carrier string, delay int64", &dataset(&["year", "carrier"]), 2).unwrap();
    let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    let expected = [
        ("year=2013/carrier=AA/0".to_owned(), lines(&["4"])),
        ("year=2013/carrier=UA/0".to_owned(), lines(&["1", "3"])),
        ("year=2014/carrier=AA/0".to_owned(), lines(&["2"])),
    ];
    assert_eq!(files, expected);
    assert_eq!((report.partitions, report.rejected), (3, 1));
}

#[test]
fn every_type_that_makes_partitions_is_written_as_the_catalog_reads_it() {
    let text = "t,i,n,d,b,v\na/b,-7,12345678901,2013-02-03,true,1\n";
    let table = "t string, i int32, n int64, d date, b boolean, v int64";
    let (_, files) = converted(text, table, &dataset(&["t", "i", "n", "d", "b"]), 1).unwrap();
    assert_eq!(files[0].0, "t=a%2Fb/i=-7/n=12345678901/d=2013-02-03/b=true/0");
}

#[test]
fn rows_without_a_value_are_together_in_the_default_partition() {
    let text = "key,v\n,1\n\"\",2\nx,3\n,4\n";
    let (report, files) = converted(text, "key string, v int64", &dataset(&["key"]), 1).unwrap();
    let folder = format!("key={NULL_PARTITION}/0");
    assert_eq!(files.iter().find(|file| file.0 == folder).unwrap().1, ["1", "2", "4"]);
    assert_eq!(report.partitions, 2);
}

#[test]
fn what_cannot_make_partitions_is_refused_by_name() {
    let text = "a,b\n1.5,x\n";
    assert!(refused(text, "a double, b string", &["a"]).contains("column `a` is Float64"));
    assert!(refused(text, "a double, b string", &["c"]).contains("there is no column `c`; there are a, b"));
    assert!(refused(text, "a string, b string", &["a", "b"]).contains("no column would be left"));
    let long = format!("a,b\n1,{}\n", "x".repeat(300));
    assert!(refused(&long, "a double, b string", &["b"]).contains("memory.csv: the value in b=xxx"));
}

#[test]
fn a_file_with_too_many_partitions_is_refused_and_says_so() {
    let text: String =
        std::iter::once("k,v\n".to_owned()).chain((0..=PARTITIONS_MAX).map(|k| format!("{k},1\n"))).collect();
    let message = refused(&text, "k int64, v int64", &["k"]);
    assert!(message.contains("memory.csv: there are more than 4000 partitions by k"), "{message}");
}

#[test]
fn no_more_files_are_open_than_a_process_may_have_and_each_partition_is_one_still() {
    struct Counting {
        open: usize,
        most: usize,
    }
    impl Sink for Counting {
        type Write = Vec<u8>;
        type Done = ();
        fn data(&mut self, _: &Partition, _: u32) -> io::Result<Vec<u8>> {
            self.open += 1;
            self.most = self.most.max(self.open);
            Ok(Vec::new())
        }
        fn rejects(&mut self) -> io::Result<Vec<u8>> {
            panic!("nothing is rejected")
        }
        fn done(&mut self, _: Vec<u8>) -> io::Result<()> {
            self.open -= 1;
            Ok(())
        }
    }
    let text: String =
        std::iter::once("k,v\n".to_owned()).chain((0..3000).map(|k| format!("{},1\n", k % 300))).collect();
    let (source, columns) = (Memory::new(text), columns("k int64, v int64"));
    let (dataset, mut sink) = (dataset(&["k"]), Counting { open: 0, most: 0 });
    let input = Input { source: &source, origin: Origin::default(), dialect: None };
    let converted = convert(&[input], &Conversion::of(&dataset, &columns, None), &mut sink, &Progress::new()).unwrap();
    assert_eq!((converted.report.files, converted.report.partitions, converted.data.len()), (300, 300, 300));
    assert!(sink.most <= OPEN_FILES_MAX + 1 && sink.open == 0, "{} at once", sink.most);
}

#[test]
fn a_file_that_has_reached_its_size_is_followed_by_another() {
    let text: String =
        std::iter::once("v\n".to_owned()).chain((0..20_000).map(|v| format!("{}\n", v * 7919))).collect();
    let parquet = ParquetOptions { row_group_bytes: 10_000, target_file_bytes: Some(500), ..ParquetOptions::default() };
    let (report, files) = converted(&text, "v int64", &Dataset { parquet, ..dataset(&[]) }, 2).unwrap();
    assert!(report.files > 2 && report.row_groups > report.files, "{report:?}");
    assert_eq!(report.partitions, 0);
    let names: Vec<String> = (0..files.len()).map(|part| part.to_string()).collect();
    assert_eq!(files.iter().map(|file| &file.0).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    let all: Vec<String> = files.into_iter().flat_map(|file| file.1).collect();
    assert_eq!(all, (0..20_000).map(|v| (v * 7919).to_string()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_in_its_partition_in_its_order_whoever_works(
        rows in prop::collection::vec((prop::option::of("[a-c]{1}[/=% ]{0,1}"), 0..3_i64), 0..3000),
        row_group_bytes in prop::sample::select(vec![100_u64, 3_000, 1 << 20]),
        target_file_bytes in prop::option::of(prop::sample::select(vec![1_u64, 2_000])),
    ) {
        let mut text = "v,key,n\n".to_owned();
        for (v, (key, n)) in rows.iter().enumerate() {
            text += &format!("{v},{},{n}\n", key.as_ref().map(|key| format!("\"{key}\"")).unwrap_or_default());
        }
        let parquet = ParquetOptions { row_group_bytes, target_file_bytes, ..ParquetOptions::default() };
        let dataset = Dataset { parquet, ..dataset(&["key", "n"]) };
        let run = |workers| converted(&text, "v int64, key string, n int64", &dataset, workers).unwrap();
        let (mut report, files) = run(1);
        let (mut again, same) = run(3);
        report.stages = Default::default();
        again.stages = Default::default();
        prop_assert_eq!((&report, &files), (&again, &same));
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (v, (key, n)) in rows.iter().enumerate() {
            let parts = [("key".to_owned(), key.clone()), ("n".to_owned(), Some(n.to_string()))];
            expected.entry(Partition::new(parts).path()).or_default().push(v.to_string());
        }
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, lines) in files {
            let folders = name.rsplit_once('/').map(|(folders, _)| format!("{folders}/")).unwrap();
            found.entry(folders).or_default().extend(lines);
        }
        prop_assert_eq!(found, expected);
    }
}
