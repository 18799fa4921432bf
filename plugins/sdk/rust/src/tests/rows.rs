//! Rows kept, filtered, rejected and multiplied in any order come out as a simple account of them says.

use proptest::prelude::*;

use crate::{Config, In, Out, Outcome, Plan, Reject, Row, RowOut, RowTransform, testing::Table};

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Keep,
    KeepUnset,
    KeepSetThenUnset,
    Filter,
    SetThenFilter,
    EmitThenFilter,
    Reject,
    SetThenReject,
    EmitThenReject,
    EmitNone,
    EmitTwice,
    EmitTwiceAndKeep,
    EmitThenLeave,
}

const DEEDS: [Deed; 13] = [
    Deed::Keep,
    Deed::KeepUnset,
    Deed::KeepSetThenUnset,
    Deed::Filter,
    Deed::SetThenFilter,
    Deed::EmitThenFilter,
    Deed::Reject,
    Deed::SetThenReject,
    Deed::EmitThenReject,
    Deed::EmitNone,
    Deed::EmitTwice,
    Deed::EmitTwiceAndKeep,
    Deed::EmitThenLeave,
];

/// Does with each row what its column `deed` says, and copies what it holds.
struct Doer {
    deed: In<i64>,
    number: In<i64>,
    text: In<str>,
    copy: Out<i64>,
    flag: Out<bool>,
    said: Out<str>,
}

impl Doer {
    fn set(&self, row: Row<'_>, out: &mut RowOut) {
        out.set(self.copy, row.get(self.number));
        out.set(self.flag, row.get(self.number).map(|number| number > 0));
        // Twice: the second is what counts.
        out.set(self.said, "something else");
        match row.get(self.text) {
            Some(text) => out.format(self.said, format_args!("{text}!")),
            None => out.set(self.said, None),
        }
    }
}

impl RowTransform for Doer {
    fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
        Ok(Doer {
            deed: plan.take("deed")?,
            number: plan.read("number")?,
            text: plan.take("text")?,
            copy: plan.output("copy"),
            flag: plan.output("flag"),
            said: plan.output("said"),
        })
    }

    fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
        let deed = DEEDS[row.require(self.deed)? as usize];
        let sets = !matches!(deed, Deed::KeepUnset | Deed::Filter | Deed::Reject | Deed::EmitNone);
        if sets {
            self.set(row, out);
        }
        match deed {
            Deed::KeepSetThenUnset => {
                out.set(self.copy, None);
                out.set(self.flag, None);
                out.set(self.said, None);
            }
            Deed::EmitThenFilter | Deed::EmitThenReject => out.emit(),
            Deed::EmitTwice | Deed::EmitTwiceAndKeep => {
                out.emit();
                self.set(row, out);
                out.emit();
            }
            Deed::EmitThenLeave => {
                out.emit();
                self.set(row, out);
            }
            _ => {}
        }
        match deed {
            Deed::Keep | Deed::KeepUnset | Deed::KeepSetThenUnset | Deed::EmitTwiceAndKeep => Ok(Outcome::Keep),
            Deed::Filter | Deed::SetThenFilter | Deed::EmitThenFilter => Ok(Outcome::Filter),
            Deed::EmitNone | Deed::EmitTwice | Deed::EmitThenLeave => Ok(Outcome::Emitted),
            Deed::Reject | Deed::SetThenReject | Deed::EmitThenReject => {
                Err(row.reject(self.deed, "so_it_is_said", format!("{deed:?}")))
            }
        }
    }
}

type Given = (usize, Option<i64>, Option<String>);

/// `copy` and `said` of a row that comes out.
type Written = (Option<i64>, Option<String>);

/// The rows that come out of one, and whether it is rejected.
fn account(&(deed, number, ref text): &Given) -> (Vec<Written>, bool) {
    let full = || (number, text.as_ref().map(|text| format!("{text}!")));
    match DEEDS[deed] {
        Deed::Keep | Deed::EmitThenLeave => (vec![full()], false),
        Deed::KeepUnset | Deed::KeepSetThenUnset => (vec![(None, None)], false),
        Deed::Filter | Deed::SetThenFilter | Deed::EmitThenFilter | Deed::EmitNone => (vec![], false),
        Deed::Reject | Deed::SetThenReject | Deed::EmitThenReject => (vec![], true),
        Deed::EmitTwice => (vec![full(), full()], false),
        Deed::EmitTwiceAndKeep => (vec![full(), full(), (None, None)], false),
    }
}

fn written<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let text = proptest::option::of(prop_oneof!["[a-z]{0,12}", Just("déjà vu".to_owned()), Just(String::new())]);
    proptest::collection::vec((0..DEEDS.len(), proptest::option::of(-9_i64..9), text), 0..70)
}

fn check(rows: &[Given]) {
    let table = Table::new()
        .column("untouched", rows.iter().enumerate().map(|(place, _)| place as i64))
        .column("deed", rows.iter().map(|row| row.0 as i64))
        .column("number", rows.iter().map(|row| row.1))
        .column("text", rows.iter().map(|row| row.2.as_deref()));
    let done = table.transform::<Doer>(&[]).unwrap();

    let accounts: Vec<_> = rows.iter().map(account).collect();
    let expected: Vec<_> =
        accounts.iter().enumerate().flat_map(|(source, (rows, _))| rows.iter().map(move |row| (source, row))).collect();
    let cells = |cell: &dyn Fn(usize, &Written) -> String| -> Vec<String> {
        expected.iter().map(|&(source, row)| cell(source, row)).collect()
    };
    assert_eq!(done.cells("copy"), cells(&|_, row| written(row.0)));
    assert_eq!(done.cells("flag"), cells(&|_, row| written(row.0.map(|number| number > 0))));
    assert_eq!(done.cells("said"), cells(&|_, row| written(row.1.clone())));
    // What is only read follows its row, and so does what is not even that.
    assert_eq!(done.cells("number"), cells(&|source, _| written(rows[source].1)));
    assert_eq!(done.cells("untouched"), cells(&|source, _| source.to_string()));
    assert_eq!(done.columns(), ["untouched int64", "number int64", "copy int64", "flag boolean", "said string"]);

    let rejected = accounts.iter().enumerate().filter(|(_, (_, rejected))| *rejected);
    let rejected = rejected.map(|(row, _)| format!("row {row}: so_it_is_said (deed): {:?}", DEEDS[rows[row].0]));
    assert_eq!(done.rejects(), rejected.collect::<Vec<_>>());
    let sources: Vec<u32> = expected.iter().map(|(source, _)| *source as u32).collect();
    let one_to_one = sources.iter().copied().eq(0..rows.len() as u32);
    assert_eq!(done.source_rows(), (!one_to_one).then_some(sources.as_slice()));
}

proptest! {
    #[test]
    fn what_comes_out_is_what_was_done(rows in given()) {
        check(&rows);
    }
}

#[test]
fn rows_that_go_in_and_out_one_to_one_have_no_list_of_sources() {
    check(&[(0, Some(1), None), (1, None, None), (0, Some(2), Some("x".into()))]);
}

#[test]
fn as_many_rows_out_as_in_is_not_yet_one_to_one() {
    // One filtered, then one doubled.
    check(&[(3, Some(1), None), (10, Some(2), None)]);
}

#[test]
fn a_batch_without_rows_is_a_batch() {
    check(&[]);
}

#[test]
fn a_row_becomes_more_rows_than_there_was_room_for() {
    check(&vec![(11, Some(7), Some("seven".to_owned())); 100]);
}

#[test]
fn a_null_that_must_not_be_is_a_reject_with_the_columns_name() {
    let table = Table::new().column("deed", [None::<i64>]).column("number", [1_i64]).column("text", ["x"]);
    let done = table.transform::<Doer>(&[]).unwrap();
    assert_eq!(done.rejects(), ["row 0: missing_value (deed): there is no value"]);
    assert_eq!(done.rows(), 0);
}
