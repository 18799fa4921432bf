//! Flights out of New York, cleaned: local clock times become times of UTC, cancelled flights leave, rows that cannot
//! be are set aside, and each delay gets a name.
//!
//! The dataset is `examples/flights`. What is read, what leaves and what is new is in the README; the rules themselves
//! are in [`rules`], apart from all columns.

use lake_transform::{Config, In, Out, Outcome, Plan, Reject, Row, RowOut, RowTransform, Timestamp};

pub mod rules;

use rules::{Departure, Fault, Flight, Thresholds};

/// From which delay on a flight is late, unless configured, in minutes.
const LATE_MINUTES: i64 = 15;
/// From which delay on a flight is very late, unless configured, in minutes.
const VERY_LATE_MINUTES: i64 = 60;

/// The transform.
#[derive(Debug)]
pub struct CleanFlights {
    thresholds: Thresholds,
    keep_cancelled: bool,

    year: In<i64>,
    month: In<i64>,
    day: In<i64>,
    dep_time: In<i64>,
    sched_dep_time: In<i64>,
    dep_delay: In<i64>,
    distance: In<i64>,
    time_hour: In<Timestamp>,

    scheduled_at: Out<Timestamp>,
    departed_at: Out<Timestamp>,
    delay_class: Out<str>,
}

impl RowTransform for CleanFlights {
    fn open(config: &Config, plan: &mut Plan) -> Result<Self, String> {
        // The schedule says them too.
        plan.drop("hour")?;
        plan.drop("minute")?;
        Ok(CleanFlights {
            thresholds: thresholds(config)?,
            keep_cancelled: config.choice("cancelled", &["filter", "keep"])? == "keep",
            year: plan.take("year")?,
            month: plan.take("month")?,
            day: plan.take("day")?,
            dep_time: plan.take("dep_time")?,
            sched_dep_time: plan.take("sched_dep_time")?,
            dep_delay: plan.read("dep_delay")?,
            distance: plan.read("distance")?,
            time_hour: plan.take("time_hour")?,
            scheduled_at: plan.output("scheduled_at"),
            departed_at: plan.output("departed_at"),
            delay_class: plan.output("delay_class"),
        })
    }

    #[inline]
    fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
        let dep_time = row.get(self.dep_time);
        if dep_time.is_none() && !self.keep_cancelled {
            return Ok(Outcome::Filter);
        }
        let flight = Flight {
            year: row.require(self.year)?,
            month: row.require(self.month)?,
            day: row.require(self.day)?,
            sched_dep_time: row.require(self.sched_dep_time)?,
            time_hour: row.require(self.time_hour)?.0,
            distance: row.get(self.distance),
        };
        let scheduled_at = rules::scheduled_at(&flight).map_err(|fault| self.reject(&row, fault))?;
        out.set(self.scheduled_at, Timestamp(scheduled_at));

        let Some(dep_time) = dep_time else {
            out.set(self.delay_class, "cancelled");
            return Ok(Outcome::Keep);
        };
        let departure = Departure { dep_time, dep_delay: row.require(self.dep_delay)? };
        let departed_at =
            rules::departed_at(&flight, scheduled_at, &departure).map_err(|fault| self.reject(&row, fault))?;
        out.set(self.departed_at, Timestamp(departed_at));
        out.set(self.delay_class, rules::delay_class(departure.dep_delay, self.thresholds));
        Ok(Outcome::Keep)
    }
}

impl CleanFlights {
    /// The fault in words, with what the row says.
    #[cold]
    fn reject(&self, row: &Row<'_>, fault: Fault) -> Reject {
        let said = |column| row.get(column).map_or_else(|| "null".to_owned(), |value: i64| value.to_string());
        let time = |column| row.reject(column, "impossible_time", format!("no clock shows {}", said(column)));
        match fault {
            Fault::Date => {
                let (year, month, day) = (said(self.year), said(self.month), said(self.day));
                let is_month = row.get(self.month).is_some_and(|month| (1..=12).contains(&month));
                let is_year = row.get(self.year).is_some_and(|year| (1..=9999).contains(&year));
                let column = match (is_year, is_month) {
                    (false, _) => self.year,
                    (true, false) => self.month,
                    (true, true) => self.day,
                };
                row.reject(column, "impossible_date", format!("there is no {year}-{month:0>2}-{day:0>2}"))
            }
            Fault::ScheduledTime => time(self.sched_dep_time),
            Fault::DepartureTime => time(self.dep_time),
            Fault::Zone(minutes) => {
                let message = format!("the schedule is {minutes} minutes from it, which is no time zone");
                row.reject(self.time_hour, "impossible_zone", message)
            }
            Fault::Delay(minutes) => {
                let (from, to) = (said(self.sched_dep_time), said(self.dep_time));
                let message = format!("{} minutes; from {from} to {to} it is {minutes}", said(self.dep_delay));
                row.reject(self.dep_delay, "delay_mismatch", message)
            }
            Fault::Distance => {
                row.reject(self.distance, "impossible_distance", format!("{} miles", said(self.distance)))
            }
        }
    }
}

fn thresholds(config: &Config) -> Result<Thresholds, String> {
    let late = config.parse("late_minutes", LATE_MINUTES)?;
    let very_late = config.parse("very_late_minutes", VERY_LATE_MINUTES)?;
    if late < 1 {
        return Err(format!("config late_minutes = {late}: a flight is not late before its time; 1 is the least"));
    }
    if late >= very_late {
        return Err(format!("config late_minutes = {late}: must be less than very_late_minutes, which is {very_late}"));
    }
    Ok(Thresholds { late, very_late })
}

lake_transform::export!(CleanFlights);

#[cfg(test)]
mod tests;
