//! The dataset's `transform.config`, by name.

use std::cell::RefCell;

/// How the dataset configures the transform: `transform.config` in `lake.toml`.
///
/// Values are text; [`Config::parse`] reads them. A name that [`open`](crate::RowTransform::open) did not ask for is an
/// error, which names those it did ask for: a misspelt setting is found, not ignored.
///
/// ```
/// use lake_transform::Config;
/// # fn main() -> Result<(), String> {
/// let config = Config::from([("late_minutes", "30")]);
/// assert_eq!(config.parse("late_minutes", 15_i64)?, 30);
/// assert_eq!(config.parse("very_late_minutes", 60_i64)?, 60); // not given: the default
/// assert_eq!(config.choice("cancelled", &["filter", "keep"])?, "filter"); // the first is the default
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Config {
    pairs: Vec<(String, String)>,
    asked: RefCell<Vec<String>>,
}

impl Config {
    /// The text of `name`, if it is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|known| known == name) {
            asked.push(name.to_owned());
        }
        self.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name`, or `default` where it is not given.
    ///
    /// # Errors
    /// It is given and is no such value.
    pub fn parse<T: Setting>(&self, name: &str, default: T) -> Result<T, String> {
        let Some(value) = self.get(name) else { return Ok(default) };
        T::parse(value).ok_or_else(|| format!("config {name} = \"{value}\": expected {}", T::EXPECTED))
    }

    /// The value of `name`, which must be given.
    ///
    /// # Errors
    /// It is not given, or is no such value.
    pub fn require<T: Setting>(&self, name: &str) -> Result<T, String> {
        match self.get(name) {
            None => Err(format!("config {name} is missing: {} is needed", T::EXPECTED)),
            Some(value) => {
                T::parse(value).ok_or_else(|| format!("config {name} = \"{value}\": expected {}", T::EXPECTED))
            }
        }
    }

    /// Which of `choices` is given as `name`; the first where it is not given.
    ///
    /// # Errors
    /// It is none of them.
    pub fn choice<'c>(&self, name: &str, choices: &[&'c str]) -> Result<&'c str, String> {
        let first = choices.first().copied().unwrap_or_default();
        let value = self.get(name).unwrap_or(first);
        let known = choices.iter().find(|choice| **choice == value);
        known.copied().ok_or_else(|| format!("config {name} = \"{value}\": expected {}", one_of(choices)))
    }

    /// Refuses names that nobody has asked for.
    pub(crate) fn refuse_unknown(&self) -> Result<(), String> {
        let asked = self.asked.borrow();
        let Some((name, _)) = self.pairs.iter().find(|(name, _)| !asked.contains(name)) else { return Ok(()) };
        Err(match asked.as_slice() {
            [] => format!("config {name} is not known: this transform takes no configuration"),
            known => format!("config {name} is not known: this transform knows {}", known.join(", ")),
        })
    }
}

fn one_of(choices: &[&str]) -> String {
    match choices {
        [] => "nothing".to_owned(),
        [one] => format!("\"{one}\""),
        [start @ .., last] => format!("\"{}\" or \"{last}\"", start.join("\", \"")),
    }
}

impl From<Vec<(String, String)>> for Config {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Config { pairs, asked: RefCell::default() }
    }
}

impl From<&[(&str, &str)]> for Config {
    fn from(pairs: &[(&str, &str)]) -> Self {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>().into()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Config {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.as_slice().into()
    }
}

/// A value that a setting may have.
pub trait Setting: Sized {
    /// What it is, for the error: `expected …`.
    const EXPECTED: &'static str;

    /// The value, or `None` where `text` is none.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! settings {
    ($($type:ty: $expected:literal),* $(,)?) => {
        $(impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

settings! {
    bool: "true or false",
    i32: "a whole number of 32 bits",
    i64: "a whole number",
    u32: "a whole number of 32 bits, not negative",
    u64: "a whole number, not negative",
    f64: "a number",
    String: "text",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_such_value_is_named_with_what_is_expected() {
        let config = Config::from([("late", "soon"), ("mode", "maybe"), ("count", "-1")]);
        assert_eq!(config.parse("late", 1_i64), Err("config late = \"soon\": expected a whole number".into()));
        assert_eq!(
            config.parse("count", 1_u32),
            Err("config count = \"-1\": expected a whole number of 32 bits, not negative".into())
        );
        assert_eq!(
            config.choice("mode", &["drop", "keep", "mark"]),
            Err("config mode = \"maybe\": expected \"drop\", \"keep\" or \"mark\"".into())
        );
        assert_eq!(config.require::<bool>("all"), Err("config all is missing: true or false is needed".into()));
    }

    #[test]
    fn names_that_nobody_asked_for_are_refused_with_those_that_are_known() {
        let config = Config::from([("late_minute", "30")]);
        assert_eq!(
            config.refuse_unknown(),
            Err("config late_minute is not known: this transform takes no configuration".into())
        );
        config.get("late_minutes");
        config.get("cancelled");
        config.get("late_minutes");
        assert_eq!(
            config.refuse_unknown(),
            Err("config late_minute is not known: this transform knows late_minutes, cancelled".into())
        );
        config.get("late_minute");
        assert_eq!(config.refuse_unknown(), Ok(()));
    }
}
