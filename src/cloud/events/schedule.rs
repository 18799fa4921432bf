//! Schedule expressions of rules: `rate(5 minutes)` and `cron(0 12 * * ? *)`, in UTC.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>

use std::{cmp::Ordering, collections::BTreeSet};

use croner::{
    Cron, CronDateTime,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
    time::{CivilDate, CivilDateTime, CivilTime, Resolution, Weekday},
};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// Years that a cron expression may name.
const YEARS: std::ops::RangeInclusive<u16> = 1970..=2199;
/// Days of a week from Sunday on, as AWS counts and names them: 1 to 7.
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When a rule is due.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    /// Every so often from the moment that the rule was made.
    Rate(SignedDuration),
    Cron(Box<Cron>),
}

impl Schedule {
    /// Reads an expression; nothing when it is none.
    pub(super) fn parse(text: &str) -> Option<Schedule> {
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        match (inside("rate"), inside("cron")) {
            (Some(rate), _) => interval(rate).map(Schedule::Rate),
            (_, Some(fields)) => cron(fields).map(|cron| Schedule::Cron(Box::new(cron))),
            _ => None,
        }
    }

    /// The first time after `after` that a rule made at `made` is due.
    pub(super) fn next(&self, made: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(made);
        match self {
            Schedule::Rate(every) => {
                let passed = after.duration_since(made).as_secs() / every.as_secs();
                let next = every.as_secs().checked_mul(passed.checked_add(1)?)?;
                made.checked_add(SignedDuration::from_secs(next)).ok()
            }
            Schedule::Cron(cron) => {
                let now = Civil(after.to_zoned(TimeZone::UTC).datetime());
                // An expression such as the 30th of February has no next time.
                let Civil(next) = cron.find_next_occurrence(&now, false).ok()?;
                Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp()).filter(|next| *next > after)
            }
        }
    }
}

/// `5 minutes`. "If the value is equal to 1, then the unit must be singular."
fn interval(text: &str) -> Option<SignedDuration> {
    let (value, unit) = text.trim().split_once(char::is_whitespace)?;
    let value: i64 = value.parse().ok().filter(|value| *value > 0)?;
    let seconds = match (unit.trim_start(), value) {
        ("minute", 1) => 60,
        ("hour", 1) => 3600,
        ("day", 1) => 86_400,
        ("minutes", 2..) => 60,
        ("hours", 2..) => 3600,
        ("days", 2..) => 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(value.checked_mul(seconds)?))
}

/// Six fields. `croner` counts days of the week from 0, AWS from 1; so the field is translated.
fn cron(text: &str) -> Option<Cron> {
    let text = text.to_ascii_uppercase();
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, day, month, weekday, year] = fields.as_slice() else { return None };
    // "If you specify a value or a * in one of the fields, you must use a ? in the other."
    if (*day == "?") == (*weekday == "?") {
        return None;
    }
    let plain = |field: &str| field.chars().all(|letter| letter.is_ascii_digit() || ",-*/".contains(letter));
    let named = |field: &str| field.chars().all(|letter| letter.is_ascii_alphanumeric() || ",-*/".contains(letter));
    let days = |field: &str| field.chars().all(|letter| letter.is_ascii_digit() || ",-*/LW".contains(letter));
    let listed = |field: &&str| field.split(',').all(|part| !part.is_empty());
    let years = |field: &str| {
        let bound = |part: &str| part.parse::<u16>().is_ok_and(|year| YEARS.contains(&year));
        let range =
            |part: &str| part.split('/').next().is_some_and(|range| range == "*" || range.split('-').all(bound));
        field.split(',').all(range)
    };
    let fit = plain(minutes) && plain(hours) && plain(year) && years(year) && named(month);
    if !fit || *day != "?" && !days(day) || !fields.iter().all(listed) {
        return None;
    }
    let weekday = if *weekday == "?" { "*".to_owned() } else { weekdays(weekday)? };
    let day = if *day == "?" { "*" } else { day };
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).sloppy_ranges(true).build();
    parser.parse(&format!("0 {minutes} {hours} {day} {month} {weekday} {year}")).ok()
}

/// The day-of-week field as `croner` reads it.
fn weekdays(field: &str) -> Option<String> {
    if field == "*" {
        return Some(field.to_owned());
    }
    if let Some((day, instance)) = field.split_once('#') {
        // "If you use a '#' character, you can define only one expression in the day-of-week field."
        let instance: u8 = instance.parse().ok().filter(|instance| (1..=5).contains(instance))?;
        return Some(format!("{}#{instance}", weekday(day)?));
    }
    let mut days = BTreeSet::new();
    let mut last = Vec::new();
    for part in field.split(',') {
        match part.strip_suffix('L') {
            // The last day of the week.
            Some("") => drop(days.insert(6)),
            Some(day) => last.push(format!("{}L", weekday(day)?)),
            None => days.extend(range(part)?),
        }
    }
    Some(days.iter().map(u8::to_string).chain(last).collect::<Vec<_>>().join(","))
}

/// `MON`, `2-6`, `*/2`, `FRI-MON`; days from 0.
fn range(part: &str) -> Option<Vec<u8>> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
        None => (part, 1usize),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (weekday(first)?, weekday(last)?),
        None if range == "*" => (0, 6),
        None => (weekday(range)?, if part.contains('/') { 6 } else { weekday(range)? }),
    };
    let last = if last < first { last + 7 } else { last };
    Some((first..=last).step_by(step).map(|day| day % 7).collect())
}

/// A day's number from 0, of its name or its number from 1.
fn weekday(text: &str) -> Option<u8> {
    let named = DAYS.iter().position(|name| *name == text).and_then(|index| u8::try_from(index).ok());
    named.or_else(|| text.parse::<u8>().ok().filter(|day| (1..=7).contains(day)).map(|day| day - 1))
}

/// A time in UTC, as `croner` walks over it.
#[derive(Clone)]
struct Civil(DateTime);

impl CronDateTime for Civil {
    fn to_civil(&self) -> CivilDateTime {
        let part = |part: i8| u32::from(part.unsigned_abs());
        let date = self.0.date();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(date.year()), part(date.month()), part(date.day())),
            CivilTime::from_parts_unchecked(part(self.0.hour()), part(self.0.minute()), part(self.0.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::from(days.unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute, second) = (part(civil.hour())?, part(civil.minute())?, part(civil.second())?);
        let time = DateTime::new(year, month, day, hour, minute, second, 0);
        time.map(|time| Resolution::Single(Civil(time))).map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Civil)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests;
