use std::io::Write;

use proptest::prelude::*;

use super::*;

fn built_in(text: &str) -> Option<Sample> {
    classify_text(text.as_bytes().to_vec(), true, &[])
}

fn custom(text: &str, rules: CsvRules) -> Option<Sample> {
    classify_text(text.as_bytes().to_vec(), true, &[rules])
}

fn told(sample: &Sample) -> String {
    let columns = sample.shape.columns.iter().map(|column| format!("{}:{}", column.name, column.kind));
    columns.collect::<Vec<_>>().join(" ")
}

fn csv(sample: &Sample) -> &CsvFormat {
    match &sample.shape.format {
        Format::Csv(csv) => csv,
        format => panic!("{format:?} is not CSV"),
    }
}

#[test]
fn the_built_in_classifier_finds_delimiter_header_and_types() {
    let cases: &[(&str, &str, char, bool)] = &[
        ("id,Name\n1,a\n2,b\n", "id:bigint name:string", ',', true),
        ("id|price\n1|1.5\n2|2\n", "id:bigint price:double", '|', true),
        ("id\tok\n1\ttrue\n2\tFALSE\n", "id:bigint ok:boolean", '\t', true),
        ("a b;c\n1;x,y\n2;z\n", "a b:bigint c:string", ';', true),
        ("a\u{1}b\n1\u{1}2\n", "a:bigint b:bigint", '\u{1}', true),
        // All text: the first row is not different enough to be a header.
        ("name,city\nann,rome\nbob,oslo\n", "col0:string col1:string", ',', false),
        // A number in the first row: no header.
        ("1,a\n2,b\n", "col0:bigint col1:string", ',', false),
        // Dates stay text, and do not make a header.
        ("day,who\n2024-01-01,ann\n2024-01-02,bob\n", "col0:string col1:string", ',', false),
        ("n,day\n1,2024-01-01\n", "n:bigint day:string", ',', true),
        ("n,m\n1,\n,2.5\n1e3,-4\n", "n:double m:double", ',', true),
        ("n,m\n9223372036854775807,NaN\n9223372036854775808,inf\n", "n:double m:string", ',', true),
        ("n,m\ntrue,1\n0,x\n", "n:string m:string", ',', true),
        ("n,n\n1,2\n", "n:bigint n_1:bigint", ',', true),
        // A trailing delimiter.
        ("a,b,\n1,2,\n3,4,\n", "a:bigint b:bigint", ',', true),
        ("\u{feff}a,b\r\n1,\"x,\"\"y\"\"\nz\"\r\n", "a:bigint b:string", ',', true),
    ];
    for (text, columns, delimiter, header) in cases {
        let sample = built_in(text).unwrap_or_else(|| panic!("{text:?} is CSV"));
        assert_eq!((told(&sample).as_str(), csv(&sample).header), (*columns, *header), "{text:?}");
        assert_eq!((csv(&sample).delimiter, csv(&sample).serde), (*delimiter, Serde::LazySimple), "{text:?}");
    }
}

#[test]
fn what_has_one_column_one_row_or_no_text_is_unknown() {
    for text in ["", "a\nb\nc\n", "a,b\n", "a,b", "\u{0}", "a,b\n1,2,3\n4\n", "[1,2]\n[3,4]"] {
        let sample = built_in(text);
        let only_csv = sample.as_ref().is_none_or(|sample| sample.shape.format != Format::Json);
        assert!(only_csv && (text.starts_with('[') || sample.is_none()), "{text:?} is {sample:?}");
    }
    assert_eq!(classify_text(b"a,b\n1,\xe9\n".to_vec(), true, &[]), None, "not UTF-8");
}

#[test]
fn a_long_or_unnamable_first_row_is_no_header() {
    let long = "x".repeat(150);
    assert!(!csv(&built_in(&format!("{long},b\n1,2\n")).unwrap()).header);
    assert!(csv(&built_in(&format!("a,{long}\n1,2\n")).unwrap()).header, "the last one may be long");
    assert!(!csv(&built_in("a\u{7},b\n1,2\n").unwrap()).header);
    assert!(!csv(&built_in(",b\n1,2\n").unwrap()).header);
}

#[test]
fn a_custom_classifier_is_asked_first_and_rules_as_it_is_told() {
    let rules = |change: fn(&mut CsvRules)| {
        let mut rules = CsvRules { rows: 1, ..CsvRules::built_in() };
        change(&mut rules);
        rules
    };
    let text = "name,city\nann,rome\n";
    let present = custom(text, rules(|rules| rules.header = Presence::Present)).unwrap();
    assert_eq!((told(&present).as_str(), csv(&present).header), ("name:string city:string", true));
    let absent = custom("n,m\n1,2\n", rules(|rules| rules.header = Presence::Absent)).unwrap();
    assert_eq!((told(&absent).as_str(), csv(&absent).header), ("col0:string col1:string", false));
    let named = custom("1,x\n", rules(|rules| rules.names = vec!["id".into(), "who".into()])).unwrap();
    assert_eq!((told(&named).as_str(), csv(&named).header), ("id:bigint who:string", false));
    let other_width = custom("1,x,2\n3,y,4\n", rules(|rules| rules.names = vec!["id".into(), "who".into()])).unwrap();
    assert_eq!(told(&other_width), "col0:bigint col1:string col2:bigint", "the built-in one comes after it");
    let single = custom("n\n1\n2\n", rules(|rules| rules.single_column = true)).unwrap();
    assert_eq!(told(&single), "n:bigint");
    let hash = custom("a#b\n1#2\n", rules(|rules| rules.delimiter = Some(b'#'))).unwrap();
    assert_eq!(csv(&hash).delimiter, '#');
    let untrimmed = custom("a,b\n1, 2\n3,4\n", rules(|rules| rules.trim = false)).unwrap();
    assert_eq!(told(&untrimmed), "a:bigint b:string");
    let quoted = custom("\"a\",\"b\"\n\"1\",\"2\"\n", rules(|rules| rules.serde = SerdeChoice::Detected)).unwrap();
    assert_eq!((told(&quoted).as_str(), csv(&quoted).serde), ("a:string b:string", Serde::OpenCsv));
    assert!(csv(&quoted).quoted);
}

#[test]
fn json_objects_make_columns_of_their_members() {
    let text = "{\"B\":1,\"a\":[1,2.5]}\n{\"b\":5000000000,\"c\":{\"x\":null,\"Y\":true}}\n{\"b\":null,\"a\":[]}";
    let sample = built_in(text).unwrap();
    assert_eq!(told(&sample), "b:bigint a:array<double> c:struct<x:string,y:boolean>");
    assert_eq!((sample.shape.format.classification(), sample.records), ("json", 3));
    assert_eq!(built_in("{\"a\":1}\n{\"a\":\"x\"}").map(|sample| told(&sample)).as_deref(), Some("a:string"));
    assert_eq!(built_in("{\"a\":1}\n{\"a\":"), None);
    let cut = classify_text(b"{\"a\":1}\n{\"a\":".to_vec(), false, &[]).unwrap();
    assert_eq!(cut.records, 1);
}

#[test]
fn gzip_is_known_by_its_content_and_a_cut_sample_is_enough() {
    let text: String = std::iter::once("id,name\n".to_owned()).chain((0..500).map(|n| format!("{n},n{n}\n"))).collect();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let whole = classify_text(packed.clone(), true, &[]).unwrap();
    assert_eq!((told(&whole).as_str(), whole.shape.compression), ("id:bigint name:string", Compression::Gzip));
    assert_eq!((whole.records, whole.bytes), (501, text.len() as u64));
    let half = packed[..packed.len() / 2].to_vec();
    assert_eq!(told(&classify_text(half.clone(), false, &[]).unwrap()), "id:bigint name:string");
    assert_eq!(classify_text(half, true, &[]), None, "a damaged file is unknown");
}

#[test]
fn a_sample_counts_a_thousand_records_and_not_the_one_that_its_end_cuts() {
    let rows: String = (0..2000).map(|n| format!("{n},x\n")).collect();
    let sample = built_in(&rows).unwrap();
    assert_eq!(sample.records, 1000);
    assert!(sample.bytes < rows.len() as u64);
    let cut = classify_text(b"a,b\n1,2\n3".to_vec(), false, &[]).unwrap();
    assert_eq!(cut.records, 2);
    let letter = classify_text("a,b\n1,2\n3,é".as_bytes()[..11].to_vec(), false, &[]).unwrap();
    assert_eq!(letter.records, 2);
}

#[test]
fn types_have_what_both_can_be_read_as() {
    let cases = [
        ("int", "int", "int"),
        ("int", "bigint", "bigint"),
        ("bigint", "double", "double"),
        ("float", "double", "double"),
        ("bigint", "float", "double"),
        ("boolean", "bigint", "string"),
        ("date", "string", "string"),
    ];
    for (a, b, expected) in cases {
        assert_eq!((common(a, b), common(b, a)), (expected.to_owned(), expected.to_owned()));
    }
}

proptest! {
    #[test]
    fn any_text_is_classified_without_a_fault_and_with_columns_of_different_names(
        text in "([a-c0-9,;|\"\\n\\t {}:.é\u{1}]|true|null){0,80}",
        whole: bool,
        single: bool,
        quote in "[\"']",
    ) {
        let rules = CsvRules { single_column: single, quote: quote.as_bytes()[0], rows: 1, ..CsvRules::built_in() };
        for rules in [vec![], vec![rules]] {
            if let Some(sample) = classify_text(text.as_bytes().to_vec(), whole, &rules) {
                let columns = &sample.shape.columns;
                let names: std::collections::HashSet<_> = columns.iter().map(|column| &column.name).collect();
                prop_assert_eq!(names.len(), columns.len());
                prop_assert!(!columns.is_empty() && columns.iter().all(|column| !column.name.is_empty()));
                prop_assert!(sample.records > 0 && sample.bytes <= text.len() as u64);
            }
        }
    }

    #[test]
    fn any_table_written_as_csv_is_read_with_its_columns(
        rows in (2_usize..6).prop_flat_map(|width| {
            proptest::collection::vec(proptest::collection::vec("[ -~é\\n]{0,6}", width..=width), 2..8)
        }),
    ) {
        // A line of empty values alone is no record to a reader.
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().map(|value| format!("v{value}")).collect()).collect();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let text = writer.into_inner().unwrap();
        let rules = CsvRules { delimiter: Some(b','), ..CsvRules::built_in() };
        let sample = classify_text(text, true, &[rules]).unwrap();
        prop_assert_eq!(sample.shape.columns.len(), rows[0].len());
        prop_assert_eq!(sample.records, rows.len() as u64);
    }
}
