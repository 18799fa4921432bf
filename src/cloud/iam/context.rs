//! The request context: what conditions may ask about.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use std::collections::HashMap;

/// Keys whose values exist on AWS but are not known here, by how they begin. A condition on one that a request
/// does not carry cannot be judged. (Keys that are rightly absent, as those of VPC endpoints and organisations are
/// for requests that come through none, are judged as absent.)
const UNKNOWN: [&str; 4] = ["aws:resourcetag/", "aws:tokenissuetime", "iam:resourcetag/", "s3:existingobjecttag/"];

/// Keys with their values. Keys differ by more than case; values do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context(HashMap<String, Vec<String>>);

impl Context {
    /// Adds a value to those of `key`.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// Makes `value` the only one of `key`.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// The values of `key`; `None` when the request does not carry it.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        let found = match key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.0.get(&key.to_ascii_lowercase()),
            false => self.0.get(key),
        };
        found.map(Vec::as_slice)
    }

    /// Whether the absence of `key` tells anything.
    pub fn knows(&self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        self.0.contains_key(&key) || !UNKNOWN.iter().any(|start| key.starts_with(start))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Context {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut context = Context::default();
        for (key, value) in pairs {
            context.add(key, value);
        }
        context
    }
}
