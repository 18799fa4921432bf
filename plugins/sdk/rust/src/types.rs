//! What columns hold, and the values that Rust has no type for.

use std::fmt;

/// What a column holds: the types of lake's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `boolean`.
    Boolean,
    /// `int32`: 32-bit signed.
    Int32,
    /// `int64`: 64-bit signed.
    Int64,
    /// `double`: 64-bit IEEE 754.
    Double,
    /// `decimal(p,s)`.
    Decimal {
        /// All digits, 1 to 38.
        precision: u8,
        /// Those after the point, 0 to `precision`.
        scale: u8,
    },
    /// `date`.
    Date,
    /// `timestamp`: microseconds, UTC.
    Timestamp,
    /// `string`: UTF-8.
    String,
}

impl fmt::Display for Type {
    /// As `lake.toml` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Boolean => f.write_str("boolean"),
            Type::Int32 => f.write_str("int32"),
            Type::Int64 => f.write_str("int64"),
            Type::Double => f.write_str("double"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Type::Date => f.write_str("date"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::String => f.write_str("string"),
        }
    }
}

/// A column by name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Lower case: a letter, then letters, digits and `_`.
    pub name: String,
    /// What it holds.
    pub data_type: Type,
}

/// The columns that come, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema(pub Vec<Field>);

impl Schema {
    /// The type of the column `name`, if it is there.
    pub fn get(&self, name: &str) -> Option<Type> {
        self.0.iter().find(|field| field.name == name).map(|field| field.data_type)
    }

    /// The columns' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| field.name.as_str())
    }
}

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;
/// Microseconds in a day.
const DAY: i64 = 86_400 * MICROS;

/// A point in time: microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// That many seconds since 1970-01-01T00:00:00 UTC.
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp(seconds * MICROS)
    }

    /// The day that it is in UTC, and the microseconds since that day began.
    pub const fn split(self) -> (Date, i64) {
        (Date(self.0.div_euclid(DAY) as i32), self.0.rem_euclid(DAY))
    }
}

impl fmt::Display for Timestamp {
    /// As RFC 3339, such as `2013-01-01T10:17:00Z`; with six digits of fraction where it is not a whole second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, micros) = self.split();
        let seconds = micros / MICROS;
        write!(f, "{date}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match micros % MICROS {
            0 => f.write_str("Z"),
            fraction => write!(f, ".{fraction:06}Z"),
        }
    }
}

/// A day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Date(pub i32);

impl Date {
    /// The day of the Gregorian calendar, or `None` where that has no such day.
    ///
    /// ```
    /// use lake_transform::Date;
    /// assert_eq!(Date::from_ymd(1970, 1, 2), Some(Date(1)));
    /// assert_eq!(Date::from_ymd(2013, 2, 29), None);
    /// ```
    pub const fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if day == 0 || day > last || year < -1_000_000 || year > 1_000_000 {
            return None;
        }
        // Years are counted from March, so that the leap day is the last of its year, in cycles of 400 years.
        let year = if month <= 2 { year - 1 } else { year };
        let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = ((153 * ((month + 9) % 12) + 2) / 5 + day - 1) as i32;
        Some(Date(cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + day_of_year - 719_468))
    }

    /// Year, month and day of the Gregorian calendar.
    pub const fn ymd(self) -> (i32, u32, u32) {
        let days = self.0 as i64 + 719_468;
        let (cycle, of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
        let day_of_year = of_cycle - (365 * year + year / 4 - year / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year + cycle * 400 + (month <= 2) as i64;
        (year as i32, month as u32, day as u32)
    }

    /// When it begins, in UTC.
    pub const fn midnight(self) -> Timestamp {
        Timestamp(self.0 as i64 * DAY)
    }
}

impl fmt::Display for Date {
    /// As ISO 8601, such as `2013-01-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A decimal number: `12.50` is `Decimal { unscaled: 1250, scale: 2 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    /// The number without its point.
    pub unscaled: i128,
    /// Digits after the point.
    pub scale: u8,
}

impl Decimal {
    /// The same number with `scale` digits after the point; `None` if it has more of them, or too many altogether.
    ///
    /// ```
    /// use lake_transform::Decimal;
    /// let fare = Decimal { unscaled: 1250, scale: 2 };
    /// assert_eq!(fare.rescale(3), Some(Decimal { unscaled: 12500, scale: 3 }));
    /// assert_eq!(fare.rescale(1), Some(Decimal { unscaled: 125, scale: 1 }));
    /// assert_eq!(fare.rescale(0), None); // 12.5 is no whole number
    /// ```
    pub const fn rescale(self, scale: u8) -> Option<Self> {
        let Some(power) = 10_i128.checked_pow(scale.abs_diff(self.scale) as u32) else { return None };
        if scale >= self.scale {
            return match self.unscaled.checked_mul(power) {
                Some(unscaled) => Some(Decimal { unscaled, scale }),
                None => None,
            };
        }
        if self.unscaled % power != 0 {
            return None;
        }
        Some(Decimal { unscaled: self.unscaled / power, scale })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = usize::from(self.scale) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_is_the_one_after_the_day_before() {
        let mut expected = Date::from_ymd(1800, 1, 1).unwrap();
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in (1..=31).filter_map(|day| Date::from_ymd(year, month, day)) {
                    assert_eq!(day, expected);
                    assert_eq!(Date::from_ymd(day.ymd().0, day.ymd().1, day.ymd().2), Some(day));
                    expected = Date(expected.0 + 1);
                }
            }
        }
        assert_eq!(expected, Date::from_ymd(2200, 1, 1).unwrap());
    }

    #[test]
    fn days_that_are_not_in_the_calendar_are_none() {
        for (year, month, day) in
            [(2013, 2, 29), (1900, 2, 29), (2013, 13, 1), (2013, 0, 1), (2013, 4, 31), (2013, 1, 0)]
        {
            assert_eq!(Date::from_ymd(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(Date::from_ymd(2000, 2, 29).is_some());
    }

    #[test]
    fn times_before_1970_are_written_as_they_are_read() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_seconds(1_357_034_400).to_string(), "2013-01-01T10:00:00Z");
        assert_eq!(Date(-1).midnight(), Timestamp(-86_400_000_000));
    }

    #[test]
    fn decimals_keep_their_zeros() {
        let written = |unscaled, scale| Decimal { unscaled, scale }.to_string();
        assert_eq!(written(1250, 2), "12.50");
        assert_eq!(written(-5, 2), "-0.05");
        assert_eq!(written(7, 0), "7");
        assert_eq!(written(0, 3), "0.000");
        assert_eq!(Decimal { unscaled: i128::MAX, scale: 0 }.rescale(1), None);
    }
}
