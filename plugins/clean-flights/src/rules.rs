//! What is known about flights, of numbers alone: nothing here knows of columns, rows or plugins.

/// Minutes of a day.
const DAY: i32 = 24 * 60;
/// Microseconds of a minute.
const MINUTE_MICROS: i64 = 60_000_000;
/// The furthest that a clock on the ground is from UTC, minutes: Kiritimati is 14 hours ahead.
const ZONE_MAX: i64 = 14 * 60;
/// Zones differ from UTC by multiples of this, minutes.
const ZONE_STEP: i64 = 15;

/// No flight waits for longer, minutes: a year.
const DELAY_MAX: i64 = 366 * 24 * 60;

/// What the row of a flight says. Times of day are local, as `hhmm`: 517 is 05:17, 2400 the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Of the day of the schedule.
    pub year: i64,
    /// Of the day of the schedule.
    pub month: i64,
    /// Of the day of the schedule.
    pub day: i64,
    /// The scheduled time.
    pub sched_dep_time: i64,
    /// The hour of the schedule, in microseconds since 1970-01-01T00:00:00 UTC.
    pub time_hour: i64,
    /// How far, in miles, if that is said.
    pub distance: Option<i64>,
}

/// What the row of a flight that took place says besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// When it left, on whichever day.
    pub dep_time: i64,
    /// Minutes after the schedule; negative where it left before.
    pub dep_delay: i64,
}

/// Why a row cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The calendar has no such day.
    Date,
    /// The clock shows no such scheduled time.
    ScheduledTime,
    /// The clock shows no such time of departure.
    DepartureTime,
    /// The scheduled hour in UTC and the local one differ by this many minutes, which is no zone.
    Zone(i64),
    /// By the two times the delay is this many minutes, or whole days more or less.
    Delay(i64),
    /// No flight is that long.
    Distance,
}

/// From which delay on a flight is late, in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// `late`.
    pub late: i64,
    /// `very_late`.
    pub very_late: i64,
}

// Numbers of the calendar and the clock are small: 32 bits divide faster, in WASM above all.

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None` where it has no such day, or the year has not four
/// digits.
#[inline]
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month, day) = (year as u32, month as u32, day as u32);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if day > u32::from(LENGTHS[month as usize - 1]) + u32::from(leap && month == 2) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let year = year - u32::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(i64::from(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year) - 719_468)
}

/// Minutes from the day's beginning to a time written as `hhmm`; `None` where no clock shows it.
#[inline]
pub fn minute_of_day(hhmm: i64) -> Option<i32> {
    if !(0..=2400).contains(&hhmm) {
        return None;
    }
    let (hour, minute) = (hhmm as u32 / 100, hhmm as u32 % 100);
    (minute < 60).then_some((hour * 60 + minute) as i32)
}

/// When the flight was to leave, in microseconds since 1970-01-01T00:00:00 UTC.
///
/// # Errors
/// The row cannot be.
#[inline]
pub fn scheduled_at(flight: &Flight) -> Result<i64, Fault> {
    let day = days(flight.year, flight.month, flight.day).ok_or(Fault::Date)?;
    let minute = minute_of_day(flight.sched_dep_time).ok_or(Fault::ScheduledTime)?;
    if flight.distance.is_some_and(|distance| distance <= 0) {
        return Err(Fault::Distance);
    }
    let hour_began = (day * i64::from(DAY) + i64::from(minute / 60 * 60)) * MINUTE_MICROS;
    // Years of four digits are far from the ends of 64 bits: what wraps is not near 0.
    let zone = hour_began.wrapping_sub(flight.time_hour);
    if zone.unsigned_abs() > (ZONE_MAX * MINUTE_MICROS).unsigned_abs() || zone % (ZONE_STEP * MINUTE_MICROS) != 0 {
        return Err(Fault::Zone(zone / MINUTE_MICROS));
    }
    Ok(flight.time_hour + i64::from(minute % 60) * MINUTE_MICROS)
}

/// When the flight left, in microseconds since 1970-01-01T00:00:00 UTC.
///
/// Its clock shows the time, and not the day. It is the day on which that time is as far from the schedule as the delay
/// says: a flight of 23:50 that leaves at 00:20, 30 minutes late, left the day after; one of 00:05 that leaves at 23:58,
/// 7 minutes early, the day before; one of 09:00 that leaves at 10:00, 1,500 minutes late, the day after. Where there is
/// no such day, one of the three is wrong.
///
/// # Errors
/// The row cannot be.
#[inline]
pub fn departed_at(flight: &Flight, scheduled_at: i64, departure: &Departure) -> Result<i64, Fault> {
    let left = minute_of_day(departure.dep_time).ok_or(Fault::DepartureTime)?;
    let scheduled = minute_of_day(flight.sched_dep_time).ok_or(Fault::ScheduledTime)?;
    let fault = Fault::Delay((left - scheduled).into());
    if !(-DELAY_MAX..=DELAY_MAX).contains(&departure.dep_delay) {
        return Err(fault);
    }
    if (departure.dep_delay as i32 - (left - scheduled)) % DAY != 0 {
        return Err(fault);
    }
    scheduled_at.checked_add(departure.dep_delay * MINUTE_MICROS).ok_or(fault)
}

/// How a flight with that delay is called.
#[inline]
pub fn delay_class(delay: i64, thresholds: Thresholds) -> &'static str {
    if delay < 0 {
        "early"
    } else if delay < thresholds.late {
        "on_time"
    } else if delay < thresholds.very_late {
        "late"
    } else {
        "very_late"
    }
}
