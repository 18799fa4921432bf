//! What the values of a column say about its type.

use super::value::{self, Digits, Formats, Kinds, Shape, Text};
use crate::dataset::{ColumnType, DECIMAL_PRECISION_MAX};

/// What the values of a column that were looked at say about its type. Parts of a file can be looked at apart from
/// each other and merged in any order: the type is that which fits every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Every value so far can be read as each of these.
    kinds: Kinds,
    /// There was a value that makes a type.
    makes_type: bool,
    /// Most digits before a point.
    whole: u8,
    /// Most digits behind a point.
    fraction: u8,
}

impl Default for Evidence {
    /// Nothing was looked at: any type is possible.
    fn default() -> Self {
        Evidence { kinds: Kinds::ALL, makes_type: false, whole: 0, fraction: 0 }
    }
}

impl Evidence {
    /// A column is text, whatever its values are.
    pub const TEXT: Evidence = Evidence { kinds: Kinds::NONE, makes_type: true, whole: 0, fraction: 0 };

    /// Takes a value into account: a cell's text that is not null.
    #[inline]
    pub fn look(&mut self, text: Text<'_>, formats: Formats) {
        if !self.is_confirmed_by(text, formats) {
            self.look_closely(text, formats);
        }
    }

    /// The value is one more of what the column is so far. Nearly all values are; this sees it at a glance.
    #[inline(always)]
    fn is_confirmed_by(&self, text: Text<'_>, formats: Formats) -> bool {
        let fits = |Digits { whole, fraction }| whole <= u32::from(self.whole) && fraction <= u32::from(self.fraction);
        let glance = if self.kinds.has(Kinds::INT) {
            value::glance_at_integer(text).is_some_and(fits)
        } else if self.kinds.has(Kinds::NUMBER) {
            value::glance_at_number(text, formats).is_some_and(fits)
        } else if self.kinds.has(Kinds::DATE) {
            value::is_iso_date(text)
        } else if self.kinds.has(Kinds::TIMESTAMP) {
            value::is_iso_timestamp(text)
        } else {
            self.kinds.has(Kinds::BOOLEAN) && value::boolean(text).is_some()
        };
        glance && self.makes_type
    }

    #[inline(never)]
    fn look_closely(&mut self, text: Text<'_>, formats: Formats) {
        let Shape { kinds, makes_type, whole, fraction } = value::shape(text, formats);
        self.merge(&Evidence { kinds, makes_type, whole, fraction });
    }

    /// Takes the values of another part of the column into account.
    pub fn merge(&mut self, other: &Evidence) {
        self.kinds = self.kinds.and(other.kinds);
        self.makes_type |= other.makes_type;
        self.whole = self.whole.max(other.whole);
        self.fraction = self.fraction.max(other.fraction);
        if self.whole + self.fraction > DECIMAL_PRECISION_MAX {
            self.kinds = self.kinds.without(Kinds::DECIMAL);
        }
        if self.is_text() {
            *self = Evidence::TEXT;
        }
    }

    /// The column is text, and nothing can change that: there is no use in looking on.
    #[inline]
    pub fn is_text(&self) -> bool {
        self.kinds == Kinds::NONE
    }

    /// No value has made a type yet (nulls have no say, and NaN fits a double and makes none), and one still can.
    pub fn is_open(&self) -> bool {
        !self.makes_type && !self.is_text()
    }

    /// The narrowest type that fits all values; text when there was none that makes a type.
    pub fn column_type(&self) -> ColumnType {
        let decimal = ColumnType::Decimal { precision: (self.whole + self.fraction).max(1), scale: self.fraction };
        let order = [
            (Kinds::BOOLEAN, ColumnType::Boolean),
            (Kinds::INT, ColumnType::Int64),
            (Kinds::DOUBLE, ColumnType::Double),
            (Kinds::DECIMAL, decimal),
            (Kinds::DATE, ColumnType::Date),
            (Kinds::TIMESTAMP, ColumnType::Timestamp),
        ];
        let fitting = order.into_iter().find(|(kind, _)| self.makes_type && self.kinds.has(*kind));
        fitting.map_or(ColumnType::String, |(_, ty)| ty)
    }
}

#[cfg(test)]
mod tests;
