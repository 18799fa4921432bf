use super::*;
use crate::cloud::glue::crawler::classify::{CsvRules, classify_text};

const ORDERS: &str = "id,price\n1,1.5\n";
const PEOPLE: &str = "who,age,city\nann,3,rome\n";

fn sample(text: &str) -> Arc<Sample> {
    Arc::new(classify_text(text.as_bytes().to_vec(), true, &[CsvRules::built_in()]).unwrap())
}

fn file((path, text): (&str, &str)) -> File {
    let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
    let name = folders.pop().unwrap();
    File { folders, name, size: text.len() as u64, sample: sample(text) }
}

fn grouped(files: &[(&str, &str)], grouping: Grouping) -> Vec<String> {
    let told = |table: FoundTable| {
        let columns: Vec<_> = table.shape.columns.iter().map(|column| column.name.as_str()).collect();
        let partitions: Vec<_> = table.partitions.iter().map(|partition| partition.values.join("+")).collect();
        format!(
            "/{}{} ({}) by [{}]: {}",
            table.folders.join("/"),
            table.file.map(|file| format!(" {file}")).unwrap_or_default(),
            columns.join(","),
            table.keys.join(","),
            partitions.join(" ")
        )
    };
    let mut tables: Vec<_> =
        tables(files.iter().copied().map(file).collect(), grouping).into_iter().map(told).collect();
    tables.sort();
    tables
}

#[test]
fn similar_files_of_a_folder_are_one_table() {
    let wider = "id,price,more\n1,1.5,x\n";
    let found = grouped(&[("a.csv", ORDERS), ("b.csv", ORDERS), ("c.csv", wider)], Grouping::default());
    assert_eq!(found, ["/ a.csv (id,price) by []: ", "/ b.csv (id,price) by []: ", "/ c.csv (id,price,more) by []: "]);
    let found = grouped(&[("a.csv", ORDERS), ("b.csv", ORDERS)], Grouping::default());
    assert_eq!(found, ["/ (id,price) by []: "]);
    let wide = "a,b,c,d,e,f\n1,2,3,4,5,6\n";
    let slightly = "a,b,c,d,e\n1,2,3,4,5\n";
    let found = grouped(&[("a.csv", slightly), ("b.csv", wide)], Grouping::default());
    assert_eq!(found, ["/ (a,b,c,d,e,f) by []: "]);
}

#[test]
fn folders_with_similar_files_are_partitions() {
    let hive =
        [("year=2023/month=1/a.csv", ORDERS), ("year=2023/month=2/a.csv", ORDERS), ("year=2024/month=1/a.csv", ORDERS)];
    let found = grouped(&hive, Grouping::default());
    assert_eq!(found, ["/ (id,price) by [year,month]: 2023+1 2023+2 2024+1"]);
    let plain = [("x/1/a.csv", ORDERS), ("x/2/a.csv", ORDERS), ("y/1/a.csv", ORDERS)];
    assert_eq!(grouped(&plain, Grouping::default()), ["/ (id,price) by [partition_0,partition_1]: x+1 x+2 y+1"]);
}

#[test]
fn folders_that_differ_are_tables_and_so_is_a_minority() {
    let found = grouped(&[("orders/a.csv", ORDERS), ("people/a.csv", PEOPLE)], Grouping::default());
    assert_eq!(found, ["/orders (id,price) by []: ", "/people (who,age,city) by []: "]);
    let found = grouped(&[("a/x.csv", ORDERS), ("b/x.csv", ORDERS), ("c/x.csv", PEOPLE)], Grouping::default());
    assert_eq!(found, ["/ (id,price) by [partition_0]: a b", "/c (who,age,city) by []: "]);
}

#[test]
fn files_beside_folders_join_them_only_when_all_is_similar() {
    let found = grouped(&[("a.csv", ORDERS), ("x/b.csv", ORDERS)], Grouping::default());
    assert_eq!(found, ["/ (id,price) by []: "]);
    let found = grouped(&[("a.csv", ORDERS), ("x/b.csv", PEOPLE)], Grouping::default());
    assert_eq!(found, ["/ a.csv (id,price) by []: ", "/x (who,age,city) by []: "]);
}

#[test]
fn combined_schemas_and_a_table_level_overrule_similarity() {
    let combine = Grouping { combine: true, level: None };
    let found = grouped(&[("orders/a.csv", ORDERS), ("people/a.csv", PEOPLE)], combine);
    assert_eq!(found, ["/ (id,price,who,age,city) by [partition_0]: orders people"]);
    let level = Grouping { combine: false, level: Some(1) };
    let files = [("o/day=1/a.csv", ORDERS), ("o/day=2/a.csv", PEOPLE), ("p/a.csv", ORDERS), ("top.csv", ORDERS)];
    let found = grouped(&files, level);
    assert_eq!(found, ["/o (id,price,who,age,city) by [day]: 1 2", "/p (id,price) by []: "]);
}

#[test]
fn counts_add_up() {
    let files: Vec<File> = [("k=1/a.csv", ORDERS), ("k=2/a.csv", ORDERS), ("k=2/b.csv", ORDERS)].map(file).into();
    let found = tables(files, Grouping::default()).remove(0);
    assert_eq!((found.stats.objects, found.stats.bytes), (3, 3 * ORDERS.len() as u64));
    assert_eq!((found.stats.average(), found.stats.count()), (7, 6));
    assert_eq!(found.partitions[1].stats.objects, 2);
}
