//! What plugins must not do, and what a user reads then.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::{
    guests::{Answer, Guest, Values},
    *,
};
use crate::executor::parquet;

const TEXT: ColumnType = ColumnType::String;
const NUMBER: ColumnType = ColumnType::Int64;

fn input() -> Vec<Column> {
    vec![column("a", TEXT), column("n", NUMBER)]
}

fn batch(rows: usize) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}")))),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
    ];
    RecordBatch::try_new(parquet::schema(&input()), columns).unwrap()
}

/// A plugin that touches nothing.
fn idle() -> Guest {
    Guest::new(&[], &[], &[])
}

fn short() -> Limits {
    Limits { call: Duration::from_millis(50), ..Limits::default() }
}

/// What happens to a batch of two rows.
fn failure(guest: Guest, limits: &Limits) -> PluginError {
    let plugin = compile(&guest.build());
    let mut instance = match plugin.open(&BTreeMap::new(), &input(), limits, Deadline::NEVER) {
        Ok(instance) => instance,
        Err(error) => return error,
    };
    let error = instance.transform(&batch(2)).expect_err("it must not get through");
    let again = instance.transform(&batch(2)).unwrap_err();
    assert!(matches!(again, PluginError::Host(_)), "a failed instance is not used again: {again}");
    error
}

fn said(guest: Guest) -> String {
    failure(guest, &Limits::default()).in_lines(17, 18).to_string()
}

/// What is said of each of these answers of a plugin that gives back text, a number, a truth and a decimal.
fn said_of(answers: impl IntoIterator<Item = Answer>) -> String {
    let said = answers.into_iter().map(|answer| {
        let output = [
            ("t", TEXT),
            ("i", NUMBER),
            ("b", ColumnType::Boolean),
            ("d", ColumnType::Decimal { precision: 3, scale: 1 }),
        ];
        let error = failure(Guest::new(&[], &[], &output).answering(&answer), &Limits::default());
        assert_eq!(error.code(), "plugin_broke_contract");
        error.to_string().replace("plugin clean broke the contract: ", "")
    });
    said.collect::<Vec<_>>().join("\n")
}

/// Two rows as they should be.
fn right() -> Answer {
    Answer {
        rows: 2,
        columns: vec![
            (None, Values::Text(vec![0, 1, 3], "aß".into())),
            (Some(vec![0b01]), Values::Int64(vec![1, 2])),
            (None, Values::Boolean(vec![0b10])),
            (Some(vec![0b01]), Values::Decimal(vec![999, 0, 1000, 0])),
        ],
        ..Answer::default()
    }
}

fn with(place: usize, values: Values) -> Answer {
    let mut answer = right();
    answer.columns[place].1 = values;
    answer
}

fn with_validity(place: usize, validity: Vec<u8>) -> Answer {
    let mut answer = right();
    answer.columns[place].0 = Some(validity);
    answer
}

#[test]
fn answers_with_wrong_columns_are_refused() {
    let mut fewer = right();
    fewer.columns.pop();
    let mut more = right();
    more.columns.push((None, Values::Int64(vec![1, 2])));
    insta::assert_snapshot!(said_of([
        fewer,
        more,
        with(1, Values::Boolean(vec![0])),
        with(1, Values::Int64(vec![1])),
        with(1, Values::Int64(vec![1, 2, 3])),
        with(2, Values::Boolean(vec![])),
        with(2, Values::Boolean(vec![0, 0])),
        with_validity(0, vec![]),
        with_validity(1, vec![3, 0]),
    ]), @r"
        it gives back 3 columns, not 4
        it gives back 5 columns, not 4
        column `i`: it is int64 by contract, and comes as boolean
        column `i`: 2 values are due; 1 came
        column `i`: 2 values are due; 3 came
        column `b`: boolean has 0 bytes; 2 rows have 1
        column `b`: boolean has 2 bytes; 2 rows have 1
        column `t`: validity has 0 bytes; 2 rows have 1
        column `i`: validity has 2 bytes; 2 rows have 1
        ");
}

#[test]
fn answers_with_wrong_text_are_refused() {
    let text = |offsets: &[i32], bytes: &[u8]| with(0, Values::Text(offsets.to_vec(), bytes.to_vec()));
    insta::assert_snapshot!(said_of([
        text(&[], b""),
        text(&[0, 1], b"a"),
        text(&[1, 1, 1], b"a"),
        text(&[-1, 0, 1], b"a"),
        text(&[0, 2, 1], b"a"),
        text(&[0, -2, 1], b"a"),
        text(&[0, 1, 2], b"a"),
        text(&[0, 1, 1], b"ab"),
        text(&[0, 1, i32::MAX], b"ab"),
        text(&[0, 1, 2], b"a\xff"),
        text(&[0, 1, 2], "ß".as_bytes()),
    ]), @r"
        column `t`: 3 offsets are due; 0 came
        column `t`: 3 offsets are due; 2 came
        column `t`: its first offset is 1, not 0
        column `t`: its first offset is -1, not 0
        column `t`: row 1 ends at byte 1 and begins at 2
        column `t`: row 0 ends at byte -2 and begins at 0
        column `t`: its last offset is 2, and it has 1 bytes of text
        column `t`: its last offset is 1, and it has 2 bytes of text
        column `t`: its last offset is 2147483647, and it has 2 bytes of text
        column `t`: row 1 is not UTF-8
        column `t`: row 0 is not UTF-8
        ");
}

#[test]
fn answers_with_wrong_decimals_are_refused_unless_they_are_null() {
    let halves = |value: i128| [value as u64, (value >> 64) as u64];
    let decimal = |value: i128| with(3, Values::Decimal([halves(value), [5000, 0]].concat()));
    insta::assert_snapshot!(said_of([
        decimal(1000),
        decimal(-1000),
        decimal(i128::MIN),
        with(3, Values::Decimal(vec![1, 0, 1])),
    ]), @r"
        column `d`: row 0 has more than 3 digits
        column `d`: row 0 has more than 3 digits
        column `d`: row 0 has more than 3 digits
        column `d`: 4 halves of decimals are due; 3 came
        ");
    let guest = Guest::new(&[], &[], &[("d", ColumnType::Decimal { precision: 3, scale: 1 })]);
    let answer = Answer {
        rows: 2,
        columns: vec![(Some(vec![0b01]), Values::Decimal([halves(-999), halves(i128::MAX)].concat()))],
        ..Answer::default()
    };
    transform(&guest.answering(&answer).build(), &input(), &batch(2)).unwrap();
}

#[test]
fn answers_with_wrong_rows_are_refused() {
    let rows = |rows: u32, source_rows: Option<Vec<u32>>, errors: &[(u32, &'static str)]| {
        let errors = errors.iter().map(|(row, code)| (*row, *code, None, "no")).collect();
        failure(idle().answering(&Answer { rows, source_rows, errors, ..Answer::default() }), &Limits::default())
            .to_string()
            .replace("plugin clean broke the contract: ", "")
    };
    let said = [
        rows(1, None, &[]),
        rows(u32::MAX, None, &[]),
        rows(2, None, &[(0, "late")]),
        rows(2, Some(vec![0]), &[]),
        rows(1, Some(vec![0, 1]), &[]),
        rows(2, Some(vec![0, 2]), &[]),
        rows(1, Some(vec![u32::MAX]), &[]),
        rows(1, Some(vec![0]), &[(2, "late")]),
        rows(1, Some(vec![0]), &[(0, "late")]),
        rows(1, Some(vec![0]), &[(1, "")]),
        rows(1, Some(vec![0]), &[(1, "Too Late")]),
        rows(1, Some(vec![0]), &[(1, "a_code_of_more_than_sixty_four_letters_is_not_what_anybody_counts_by")]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        of 2 rows 1 come back, and errors of 0: without source-rows nobody knows which
        of 2 rows 4294967295 come back, and errors of 0: without source-rows nobody knows which
        of 2 rows 2 come back, and errors of 1: without source-rows nobody knows which
        source-rows has 1 entries; 2 rows come back
        source-rows has 2 entries; 1 rows come back
        row 1 comes from row 2, and 2 rows came (source-rows)
        row 0 comes from row 4294967295, and 2 rows came (source-rows)
        an error is about row 2, and 2 rows came
        row 0 is set aside with an error, and kept as well
        the error of row 1 has the code ``; a code is 1 to 64 lower-case letters, digits and underscores
        the error of row 1 has the code `Too Late`; a code is 1 to 64 lower-case letters, digits and underscores
        the error of row 1 has the code `a_code_of_more_than_sixty_four_letters_is_not_what_anybody_counts_by`; a code is 1 to 64 lower-case letters, digits and underscores
        ");
}

#[test]
fn contracts_that_make_no_table_are_refused() {
    let said = |reads: &[&str], drops: &[&str], output: &[(&str, ColumnType)]| {
        let error = failure(Guest::new(reads, drops, output), &Limits::default());
        assert_eq!(error.code(), "plugin_broke_contract");
        error.to_string().replace("plugin clean broke the contract: ", "")
    };
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let said = [
        said(&["b"], &[], &[]),
        said(&["n", "n"], &[], &[]),
        said(&[], &["b"], &[]),
        said(&[], &["a", "a"], &[]),
        said(&["a"], &["a"], &[]),
        said(&[], &[], &[("n", NUMBER)]),
        said(&["a"], &[], &[("n", NUMBER)]),
        said(&["a"], &["n"], &[("n", NUMBER)]),
        said(&[], &[], &[("b", NUMBER), ("b", TEXT)]),
        said(&[], &[], &[("Day of Week", TEXT)]),
        said(&[], &[], &[("", TEXT)]),
        said(&[], &[], &[("\u{1b}[2J", TEXT)]),
        said(&[], &[], &[("b", decimal(0, 0))]),
        said(&[], &[], &[("b", decimal(39, 0))]),
        said(&[], &[], &[("b", decimal(5, 6))]),
        said(&["a"], &["n"], &[]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        it reads column `b`, which does not come
        it reads column `n` twice
        it drops column `b`, which does not come
        it drops column `a` twice
        it reads column `a` and lists it among those that it does not read (drops)
        it gives back a column `n` and does not read the one of that name
        it gives back a column `n` and does not read the one of that name
        it gives back a column `n` and does not read the one of that name
        it gives back two columns `b`
        it gives back a column `Day of Week`: allowed are lower-case letters, digits and underscores, beginning with a letter or underscore
        it gives back a column ``: it is empty
        it gives back a column `\u{1b}[2J`: allowed are lower-case letters, digits and underscores, beginning with a letter or underscore
        column `b`: there is no decimal(0,0); the precision is 1 to 38, the scale 0 to the precision
        column `b`: there is no decimal(39,0); the precision is 1 to 38, the scale 0 to the precision
        column `b`: there is no decimal(5,6); the precision is 1 to 38, the scale 0 to the precision
        it leaves the table without a column
        ");
}

#[test]
fn a_plugin_may_refuse_the_dataset_and_fail_a_batch_in_its_own_words() {
    insta::assert_snapshot!(said(idle().refusing("late_minutes must be a number,\nnot `soon`")), @"plugin clean refuses the dataset: late_minutes must be a number, not `soon`");
    insta::assert_snapshot!(said(idle().failing("the 30th of February")), @"plugin clean failed in lines 17 to 18: the 30th of February");
    insta::assert_snapshot!(said(idle().failing("")), @"plugin clean failed in lines 17 to 18: it does not say why");
}

#[test]
fn a_panic_is_told_with_its_last_words_and_its_place() {
    let guest = idle()
        .transform("(call $deeper) (unreachable)")
        .function(
            "(func $deeper (call $\"rows::deepest::h0123456789abcdef\"))
             (func $\"rows::deepest::h0123456789abcdef\" (unreachable))",
        )
        .saying(3, "panicked at src/lib.rs:12:5:\nindex out of bounds: the len is 3")
        .saying(1, "this does not matter");
    insta::assert_snapshot!(said(guest), @"plugin clean stopped in lines 17 to 18: it panicked, or reached code that it must not; its last words: panicked at src/lib.rs:12:5: index out of bounds: the len is 3; in rows::deepest ← deeper ← transform");
}

#[test]
fn words_of_an_earlier_call_are_not_its_last() {
    let guest = idle().function("(global $calls (mut i32) (i32.const 0))").transform(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.eq (global.get $calls) (i32.const 2)) (then (unreachable)))
             (call $log (i32.const 3) (i32.const 0) (i32.const 0))
             (call $answer (local.get $rows) (local.get $columns) (local.get $n) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let mut instance = open(&guest.build(), &input()).unwrap();
    instance.transform(&batch(1)).unwrap();
    let error = instance.transform(&batch(1)).unwrap_err().to_string();
    assert!(!error.contains("last words"), "{error}");
}

#[test]
fn traps_are_told_apart() {
    let said = [
        said(idle().open("(unreachable)")),
        said(idle().start("(unreachable)")),
        said(idle().transform("(i32.div_u (i32.const 1) (i32.const 0))")),
        said(idle().transform("(i32.load (i32.const -8))")),
        said(idle().transform("(call $transform (local.get 0) (local.get 1) (local.get 2))")),
        said(idle().transform("(drop (call $new (i32.const -70000))) (i32.const 0)")),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        plugin clean stopped in lines 17 to 18: it panicked, or reached code that it must not; in open
        plugin clean stopped in lines 17 to 18: it panicked, or reached code that it must not; in start
        plugin clean stopped in lines 17 to 18: it trapped: integer divide by zero; in transform
        plugin clean stopped in lines 17 to 18: it trapped: out of bounds memory access; in transform
        plugin clean stopped in lines 17 to 18: its stack is exhausted: endless recursion, perhaps; in transform
        plugin clean stopped in lines 17 to 18: it needed more than 128 MiB of memory (memory_mb); in realloc ← new ← transform
        ");
}

#[test]
fn endless_loops_end_with_the_time_of_a_call() {
    for guest in [
        idle().start("(loop $on (br $on))"),
        idle().open("(loop $on (br $on)) (unreachable)"),
        idle().transform("(loop $on (br $on)) (unreachable)"),
        // It keeps itself busy in the host.
        idle().transform("(loop $on (call $log (i32.const 1) (i32.const 0) (i32.const 1000)) (br $on)) (unreachable)"),
    ] {
        let error = failure(guest, &short());
        assert!(matches!(error, PluginError::TimedOut { of_one_call: true, seconds: 1, .. }), "{error:?}");
        assert!(error.is_permanent());
        assert_eq!(error.to_string(), "plugin clean did not answer within 1 s");
    }
}

#[test]
fn the_end_of_the_invocation_ends_calls_and_is_no_fault_of_the_plugin() {
    let plugin = compile(&idle().transform("(loop $on (br $on)) (unreachable)").build());
    let deadline = Deadline(Some(Instant::now() + Duration::from_millis(60)));
    let mut instance = plugin.open(&BTreeMap::new(), &input(), &Limits::default(), deadline).unwrap();
    let error = instance.transform(&batch(1)).unwrap_err();
    assert!(matches!(error, PluginError::TimedOut { of_one_call: false, .. }), "{error:?}");
    assert!(!error.is_permanent());
    let over = plugin.open(&BTreeMap::new(), &input(), &Limits::default(), deadline).err().unwrap();
    assert!(matches!(over, PluginError::TimedOut { of_one_call: false, seconds: 0, .. }), "{over:?}");
}

#[test]
fn an_endless_loop_uses_up_its_fuel_where_fuel_is_measured() {
    let host = Host::new(Meter::Fuel).unwrap();
    let component = idle().transform("(loop $on (br $on)) (unreachable)").build();
    let plugin = Plugin::compile(&host, "clean", &component).unwrap();
    let mut instance = plugin.open(&BTreeMap::new(), &input(), &short(), Deadline::NEVER).unwrap();
    let error = instance.transform(&batch(1)).unwrap_err();
    insta::assert_snapshot!(error, @"plugin clean stopped: it used more than 200000000 units of fuel in one call; in transform");
}

#[test]
fn memory_has_an_end() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let bomb = idle().transform("(loop $on (drop (call $new (i32.const 65536))) (br $on)) (unreachable)");
    insta::assert_snapshot!(failure(bomb, &limits), @"plugin clean stopped: it needed more than 1 MiB of memory (memory_mb); in realloc ← new ← transform");
    let large = idle().function("(memory $more 32)");
    insta::assert_snapshot!(failure(large, &limits), @"plugin clean stopped: it needed more than 1 MiB of memory (memory_mb)");
    let many = idle().function(&"(memory 1)".repeat(20));
    insta::assert_snapshot!(failure(many, &limits), @"plugin clean stopped: it could not be set up: resource limit exceeded: memory count too high at 21");
    let tables = idle().function("(table 1000000 funcref)");
    insta::assert_snapshot!(failure(tables, &limits), @"plugin clean stopped: it could not be set up: table minimum size of 1000000 elements exceeds table limits");
}

#[test]
fn memory_that_was_refused_and_not_needed_is_no_fault() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let guest = idle().transform(
        "(drop (memory.grow (i32.const 1000)))
         (call $answer (local.get $rows) (local.get $columns) (local.get $n) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let plugin = compile(&guest.build());
    let mut instance = plugin.open(&BTreeMap::new(), &input(), &limits, Deadline::NEVER).unwrap();
    instance.transform(&batch(3)).unwrap();
}

#[test]
fn output_has_an_end() {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let much = Guest::new(&[], &[], &[("t", TEXT)]).transform(
        "(local $column i32) (local.set $column (call $new (i32.const 32)))
         (i32.store (local.get $column) (i32.const 0))
         (i32.store offset=12 (local.get $column) (i32.const 7))
         (call $pair (i32.add (local.get $column) (i32.const 16)) (i32.const 0) (i32.const 0))
         (call $pair (i32.add (local.get $column) (i32.const 24)) (call $new (i32.const 3000000)) (i32.const 3000000))
         (call $answer (local.get $rows) (local.get $column) (i32.const 1) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    insta::assert_snapshot!(failure(much, &limits), @"plugin clean stopped: it gave back more than 1 MiB in one call");
    let many = idle().transform(
        "(call $answer (i32.const 400000) (i32.const 0) (i32.const 0) (i32.const 1) (call $new (i32.const 1600000))
           (i32.const 400000) (i32.const 0) (i32.const 0))",
    );
    insta::assert_snapshot!(failure(many, &limits), @"plugin clean stopped: it gave back more than 1 MiB in one call");
}

#[test]
fn answers_that_point_nowhere_are_refused() {
    let said = [
        said(idle().transform("(i32.const -4)")),
        said(idle().transform("(i32.const 2)")),
        said(idle().transform("(i32.store (i32.const 0) (i32.const 7)) (i32.const 0)")),
        said(idle().transform(
            "(call $answer (i32.const 2) (i32.const 4) (i32.const 1000000000) (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0))",
        )),
        said(
            idle()
                .function(
                    "(data (i32.const 0) \"\\01\\00\\00\\00\\10\\00\\00\\00\\01\\00\\00\\00\\00\\00\\00\\00\\ff\")",
                )
                .transform("(i32.const 0)"),
        ),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: pointer out of bounds of memory
        plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: return pointer not aligned
        plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: invalid expected discriminant
        plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: list pointer/length out of bounds of memory
        plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: invalid utf-8 sequence of 1 bytes from index 0
        ");
}

#[test]
fn what_it_says_must_be_utf_8() {
    let guest = idle()
        .function("(data (i32.const 0) \"\\ff\")")
        .transform("(call $log (i32.const 3) (i32.const 0) (i32.const 1)) (unreachable)");
    insta::assert_snapshot!(said(guest), @"plugin clean broke the contract in lines 17 to 18: what it gives cannot be read: a line for the log: invalid utf-8 sequence of 1 bytes from index 0");
}

#[test]
fn rows_that_become_many_take_their_untouched_columns_with_them() {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let answer = Answer { rows: 200_000, source_rows: Some(vec![0; 200_000]), ..Answer::default() };
    insta::assert_snapshot!(failure(idle().answering(&answer), &limits), @"plugin clean broke the contract: 2 rows become 200000, whose untouched columns have 3 MiB; one call may give back 1 MiB");
}

#[test]
fn a_batch_of_other_columns_is_a_fault_of_the_host() {
    let mut instance = open(&idle().build(), &input()[..1]).unwrap();
    assert!(matches!(instance.transform(&batch(1)), Err(PluginError::Host(_))));
}
