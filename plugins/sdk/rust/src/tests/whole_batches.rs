//! What transforms of whole batches put is looked at before it crosses the border.

use crate::{Batch, BatchOut, BatchTransform, Config, In, Out, Plan, Reject, Text, pack, testing::Table};

struct Whole<const N: usize> {
    number: In<i64>,
    double: Out<i64>,
    text: Out<str>,
    flag: Out<bool>,
}

type Put<const N: usize> = fn(&Whole<N>, &Batch<'_>, &mut BatchOut);

impl<const N: usize> Whole<N> {
    const PUTS: [Put<N>; 9] = [
        |whole, batch, out| {
            out.put(whole.double, batch.values(whole.number).iter().map(|number| number * 2).collect());
            out.put_nullable(whole.text, text(&["a", "b", "c"]), Some(pack([true, false, true])));
            out.put(whole.flag, pack([true, false, true]));
        },
        |whole, _, out| out.put(whole.double, vec![1]),
        |whole, _, out| out.put_nullable(whole.double, vec![1, 2, 3], Some(vec![])),
        |whole, _, out| out.put(whole.flag, vec![1, 2]),
        |whole, _, out| out.put(whole.text, text(&["a"])),
        |_, _, out| out.reject(0, Reject::new("bad", "bad")),
        |_, _, out| {
            out.source_rows(vec![0, 1]);
            out.reject(1, Reject::new("bad", "bad"));
        },
        |_, _, out| out.source_rows(vec![3]),
        |whole, _, out| {
            out.source_rows(vec![2, 0, 2]);
            out.put(whole.double, vec![20, 0, 21]);
            out.reject(1, Reject::new("bad", "it is one"));
        },
    ];
}

fn text(rows: &[&str]) -> Text {
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.len() as i32;
        Some(*end)
    });
    Text { offsets: std::iter::once(0).chain(ends).collect(), bytes: rows.concat().into_bytes() }
}

impl<const N: usize> BatchTransform for Whole<N> {
    fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
        Ok(Whole {
            number: plan.read("number")?,
            double: plan.output("double"),
            text: plan.output("text"),
            flag: plan.output("flag"),
        })
    }

    fn batch(&mut self, batch: &Batch<'_>, out: &mut BatchOut) -> Result<(), String> {
        Self::PUTS[N](self, batch, out);
        Ok(())
    }
}

fn table() -> Table {
    Table::new().column("number", [1_i64, 2, 3])
}

#[test]
fn whole_columns_are_put_and_the_rest_is_null() {
    let done = table().transform_batch::<Whole<0>>(&[]).unwrap();
    assert_eq!(done.cells("double"), ["2", "4", "6"]);
    assert_eq!(done.cells("text"), ["a", "null", "c"]);
    assert_eq!(done.cells("flag"), ["true", "false", "true"]);
    assert_eq!(done.source_rows(), None);
    let done = table().transform_batch::<Whole<8>>(&[]).unwrap();
    assert_eq!(done.cells("number"), ["3", "1", "3"], "a column that stays follows its rows");
    assert_eq!(done.cells("text"), ["null", "null", "null"]);
    assert_eq!(done.rejects(), ["row 1: bad: it is one"]);
}

#[test]
fn what_does_not_fit_together_is_said() {
    assert_eq!(table().transform_batch::<Whole<1>>(&[]).unwrap_err(), "output double: 1 values for 3 rows");
    assert_eq!(table().transform_batch::<Whole<2>>(&[]).unwrap_err(), "output double: 0 bytes of validity for 3 rows");
    assert_eq!(table().transform_batch::<Whole<3>>(&[]).unwrap_err(), "output flag: 16 values for 3 rows");
    assert_eq!(table().transform_batch::<Whole<4>>(&[]).unwrap_err(), "output text: 1 values for 3 rows");
    assert_eq!(
        table().transform_batch::<Whole<5>>(&[]).unwrap_err(),
        "rows are rejected, and it is not said which rows go on"
    );
    assert_eq!(table().transform_batch::<Whole<6>>(&[]).unwrap_err(), "row 1 is rejected and goes on");
    assert_eq!(table().transform_batch::<Whole<7>>(&[]).unwrap_err(), "row 3 goes on, of 3");
}
