//! JSON: objects one after the other, as OpenX's SerDe reads them. A file that is one array is `UNKNOWN` here; AWS
//! reads such files through a custom classifier alone.
//! <https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html#classifier-built-in>

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Format, Found, SAMPLE_RECORDS, columns};

/// What values of a member read as.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Nothing,
    Plain(&'static str),
    Array(Box<Kind>),
    Struct(BTreeMap<String, Kind>),
}

impl Kind {
    fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Nothing,
            Value::Bool(_) => Kind::Plain("boolean"),
            Value::Number(number) => match number.as_i64() {
                Some(whole) if i32::try_from(whole).is_ok() => Kind::Plain("int"),
                Some(_) => Kind::Plain("bigint"),
                None => Kind::Plain("double"),
            },
            Value::String(_) => Kind::Plain("string"),
            Value::Array(values) => {
                let kind = values.iter().map(Kind::of).fold(Kind::Nothing, Kind::with);
                Kind::Array(Box::new(kind))
            }
            Value::Object(members) => {
                Kind::Struct(members.iter().map(|(name, value)| (name.to_lowercase(), Kind::of(value))).collect())
            }
        }
    }

    fn with(self, other: Kind) -> Kind {
        const WIDENING: [&str; 3] = ["int", "bigint", "double"];
        let rank = |kind: &str| WIDENING.iter().position(|name| *name == kind);
        match (self, other) {
            (Kind::Nothing, kind) | (kind, Kind::Nothing) => kind,
            (Kind::Plain(a), Kind::Plain(b)) if a == b => Kind::Plain(a),
            (Kind::Plain(a), Kind::Plain(b)) => match (rank(a), rank(b)) {
                (Some(a), Some(b)) => Kind::Plain(WIDENING[a.max(b)]),
                _ => Kind::Plain("string"),
            },
            (Kind::Array(a), Kind::Array(b)) => Kind::Array(Box::new(a.with(*b))),
            (Kind::Struct(mut a), Kind::Struct(b)) => {
                for (name, kind) in b {
                    let known = a.remove(&name).unwrap_or(Kind::Nothing);
                    a.insert(name, known.with(kind));
                }
                Kind::Struct(a)
            }
            _ => Kind::Plain("string"),
        }
    }

    fn hive(&self) -> String {
        match self {
            Kind::Nothing => "string".to_owned(),
            Kind::Plain(kind) => (*kind).to_owned(),
            Kind::Array(kind) => format!("array<{}>", kind.hive()),
            Kind::Struct(members) => {
                let members: Vec<_> = members.iter().map(|(name, kind)| format!("{name}:{}", kind.hive())).collect();
                format!("struct<{}>", members.join(","))
            }
        }
    }
}

pub(super) fn classify(text: &str, whole: bool) -> Option<Found> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    // In the order in which they are met.
    let mut members: Vec<(String, Kind)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut records, mut bytes) = (0, 0);
    while records < SAMPLE_RECORDS as u64 {
        let record = match values.next() {
            None => break,
            Some(Ok(Value::Object(record))) => record,
            Some(Err(error)) if error.is_eof() && !whole => break,
            Some(_) => return None,
        };
        for (name, value) in &record {
            let place = *places.entry(name.to_lowercase()).or_insert(members.len());
            if place == members.len() {
                members.push((name.clone(), Kind::Nothing));
            }
            let known = std::mem::replace(&mut members[place].1, Kind::Nothing);
            members[place].1 = known.with(Kind::of(value));
        }
        records += 1;
        bytes = values.byte_offset() as u64;
    }
    if records == 0 || members.is_empty() {
        return None;
    }
    let named = members.into_iter().map(|(name, kind)| (name, kind.hive()));
    Some((Format::Json, columns(named), records, bytes))
}
