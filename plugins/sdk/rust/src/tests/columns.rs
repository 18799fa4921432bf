//! What `open` plans, and what the table looks like afterwards.

use crate::{
    BatchTransform, ByRow, Column, Config, Date, Decimal, Field, In, Opened, Out, Outcome, Plan, Reject, Row, RowOut,
    RowTransform, Schema, Timestamp, Type, Values, testing::Table,
};

fn open<T: BatchTransform>(columns: &[(&str, Type)]) -> Result<crate::Contract, String> {
    let field = |&(name, data_type): &(&str, Type)| Field { name: name.to_owned(), data_type };
    Opened::<T>::open(&Config::default(), Schema(columns.iter().map(field).collect())).map(|(_, contract)| contract)
}

/// Does only what its plan does; `N` chooses the plan.
struct Planned<const N: usize>;

type Planning = fn(&mut Plan) -> Result<(), String>;

const PLANS: &[Planning] = &[
    |plan| plan.read::<i64>("a").map(drop),
    |plan| plan.read::<str>("missing").map(drop),
    |plan| {
        plan.output::<i64>("b");
        Ok(())
    },
    |plan| {
        plan.output::<i64>("new");
        plan.output::<str>("new");
        Ok(())
    },
    |plan| {
        plan.output::<i64>("New column");
        Ok(())
    },
    |plan| {
        plan.output_decimal("price", 4, 5);
        Ok(())
    },
    |plan| plan.drop("missing"),
    |plan| {
        plan.drop("a")?;
        plan.read::<i64>("a")?;
        plan.take::<i32>("b")?;
        plan.drop("c")?;
        plan.drop("c")?;
        plan.output::<str>("c");
        plan.output::<i64>("b");
        Ok(())
    },
];

impl<const N: usize> RowTransform for Planned<N> {
    fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
        PLANS[N](plan).map(|()| Planned)
    }

    fn row(&mut self, _: Row<'_>, _: &mut RowOut) -> Result<Outcome, Reject> {
        Ok(Outcome::Keep)
    }
}

#[test]
fn a_column_that_is_not_what_it_should_be_is_named_with_what_is_there() {
    let columns = [("a", Type::String), ("b", Type::Int64)];
    assert_eq!(open::<ByRow<Planned<0>>>(&columns), Err("column a is string; int64 or int32 is needed".into()));
    let missing = "there is no column missing: those that come are a, b";
    assert_eq!(open::<ByRow<Planned<1>>>(&columns), Err(missing.into()));
    assert_eq!(open::<ByRow<Planned<6>>>(&columns), Err(missing.into()));
    assert_eq!(open::<ByRow<Planned<1>>>(&[]), Err("there is no column missing: no columns come".into()));
    let decimal = Type::Decimal { precision: 5, scale: 2 };
    assert_eq!(
        open::<ByRow<Planned<0>>>(&[("a", decimal)]),
        Err("column a is decimal(5,2); int64 or int32 is needed".into())
    );
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    let refused = |contract: Result<crate::Contract, String>| contract.expect_err("it is refused");
    let columns = [("a", Type::Int64), ("b", Type::Int64)];
    assert!(refused(open::<ByRow<Planned<2>>>(&columns)).starts_with("the output b has the name of a column"));
    assert_eq!(refused(open::<ByRow<Planned<3>>>(&columns)), "there are two outputs with the name new");
    assert!(refused(open::<ByRow<Planned<4>>>(&columns)).starts_with("the output \"New column\" is no name"));
    assert!(refused(open::<ByRow<Planned<5>>>(&columns)).starts_with("the output price is decimal(4,5)"));
}

#[test]
fn what_is_read_stays_what_is_taken_or_dropped_goes_and_outputs_replace() {
    let columns = [("a", Type::Int64), ("b", Type::Int32), ("c", Type::Double), ("d", Type::Date)];
    let contract = open::<ByRow<Planned<7>>>(&columns).unwrap();
    assert_eq!(contract.reads, ["a", "b"]);
    assert_eq!(contract.drops, ["c"], "a is read, which takes it; c is dropped once");
    let output: Vec<_> = contract.output.iter().map(|field| (field.name.as_str(), field.data_type)).collect();
    assert_eq!(output, [("c", Type::String), ("b", Type::Int64)]);
}

/// Reads one column of each type and gives it back under a name of its own.
struct Mirror {
    flags: (In<bool>, Out<bool>),
    smalls: (In<i32>, Out<i32>),
    wides: (In<i64>, Out<i64>),
    small_as_wide: In<i64>,
    small_as_double: In<f64>,
    doubles: (In<f64>, Out<f64>),
    prices: (In<Decimal>, Out<Decimal>),
    days: (In<Date>, Out<Date>),
    times: (In<Timestamp>, Out<Timestamp>),
    names: (In<str>, Out<str>),
    sum: Out<f64>,
}

impl RowTransform for Mirror {
    fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
        Ok(Mirror {
            flags: (plan.read("flag")?, plan.output("flag_")),
            smalls: (plan.read("small")?, plan.output("small_")),
            wides: (plan.read("wide")?, plan.output("wide_")),
            small_as_wide: plan.read("small")?,
            small_as_double: plan.read("small")?,
            doubles: (plan.read("double")?, plan.output("double_")),
            prices: (plan.read("price")?, plan.output_decimal("price_", 12, 3)),
            days: (plan.read("day")?, plan.output("day_")),
            times: (plan.read("time")?, plan.output("time_")),
            names: (plan.read("name")?, plan.output("name_")),
            sum: plan.output("sum"),
        })
    }

    fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
        out.set(self.flags.1, row.get(self.flags.0));
        out.set(self.smalls.1, row.get(self.smalls.0));
        out.set(self.wides.1, row.get(self.wides.0));
        out.set(self.doubles.1, row.get(self.doubles.0));
        out.set(self.prices.1, row.get(self.prices.0));
        out.set(self.days.1, row.get(self.days.0));
        out.set(self.times.1, row.get(self.times.0));
        out.set(self.names.1, row.get(self.names.0));
        let sum = row.get(self.small_as_wide).zip(row.get(self.small_as_double));
        out.set(self.sum, sum.map(|(wide, double)| wide as f64 + double));
        Ok(Outcome::Keep)
    }
}

#[test]
fn every_type_is_read_and_written_with_its_nulls() {
    let table = Table::new()
        .column("flag", [Some(true), None, Some(false)])
        .column("small", [Some(-7), None, Some(i32::MAX)])
        .column("wide", [Some(i64::MIN), None, Some(1)])
        .column("double", [Some(-0.5), None, Some(1e300)])
        .decimals("price", 10, 2, [Some(-1250), None, Some(99)])
        .column("day", [Some(Date(-1)), None, Date::from_ymd(2013, 3, 1)])
        .column("time", [Some(Timestamp(-1)), None, Some(Timestamp(0))])
        .column("name", [Some("zwölf"), None, Some("")]);
    let done = table.transform::<Mirror>(&[]).unwrap();
    for name in ["flag", "small", "wide", "double", "day", "time", "name"] {
        assert_eq!(done.cells(&format!("{name}_")), done.cells(name), "{name}");
        assert_eq!(done.cells(name)[1], "null", "{name}");
    }
    assert_eq!(done.cells("price_"), ["-12.500", "null", "0.990"]);
    assert_eq!(done.cells("sum"), ["-14", "null", "4294967294"]);
    assert_eq!(done.source_rows(), None);
    assert_eq!(done.columns()[..2], ["flag boolean", "small int32"]);
    assert_eq!(done.columns()[8..10], ["flag_ boolean", "small_ int32"]);
}

#[test]
#[should_panic(expected = "0.125 has no exact form with 2 digits after the point")]
fn a_decimal_that_does_not_fit_its_column_is_not_rounded_in_silence() {
    struct Round(Out<Decimal>);
    impl RowTransform for Round {
        fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
            Ok(Round(plan.output_decimal("price", 9, 2)))
        }
        fn row(&mut self, _: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
            out.set(self.0, Decimal { unscaled: 125, scale: 3 });
            Ok(Outcome::Keep)
        }
    }
    drop(Table::new().column("a", [1]).transform::<Round>(&[]));
}

#[test]
fn batches_that_are_not_as_agreed_are_refused() {
    let schema = Schema(vec![Field { name: "a".into(), data_type: Type::Int64 }]);
    let (mut opened, _) = Opened::<ByRow<Planned<0>>>::open(&Config::default(), schema).unwrap();
    let mut transform = |validity, values| opened.transform(2, vec![Column { validity, values }]).unwrap_err();
    assert_eq!(transform(None, Values::Int64(vec![1])), "column a: 1 values came for 2 rows");
    assert_eq!(transform(Some(vec![]), Values::Int64(vec![1, 2])), "column a: 0 bytes of validity came for 2 rows");
    assert_eq!(transform(None, Values::Double(vec![1.0, 2.0])), "column a: the values that came are not int64");
    assert_eq!(opened.transform(2, vec![]).unwrap_err(), "0 columns came where 1 are read");
}

#[test]
fn a_setting_that_open_did_not_ask_for_is_refused() {
    let refused = Table::new().column("a", [1_i64]).transform::<Planned<0>>(&[("speed", "9")]).unwrap_err();
    assert_eq!(refused, "config speed is not known: this transform takes no configuration");
}
