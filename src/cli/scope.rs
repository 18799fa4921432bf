//! `--target`, `--exclude`, `--replace`: which part of the stack a command is about.

use crate::{
    plan::{Pattern, PlanError, Scope},
    resource::Address,
};

use super::error::CliError;

/// What `plan`, `apply` and `destroy` can be restricted to.
///
/// An address is `kind/name`, as `lake state list` shows it; `*` stands for any text.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Part {
    /// This resource alone, with what it needs; when it goes or is replaced, also what depends on it. May be given
    /// several times: `--target aws:s3:Bucket/raw --target 'aws:glue:*/*'`.
    #[arg(long = "target", value_name = "ADDRESS")]
    targets: Vec<Pattern>,
    /// All but this resource and what depends on it. May be given several times:
    /// `--exclude 'aws:cloudwatch:*/*'`.
    #[arg(long = "exclude", value_name = "ADDRESS")]
    excludes: Vec<Pattern>,
}

impl Part {
    /// The part, in which `replaces` are replaced in any case.
    pub fn with(&self, replaces: &[Pattern]) -> Scope {
        let Part { targets, excludes } = self.clone();
        Scope { targets, excludes, replaces: replaces.to_vec() }
    }
}

/// A target that is nowhere is a wrong argument; every other error stays what it is.
pub fn explained(error: PlanError) -> CliError {
    let PlanError::Unmatched { pattern, known } = &error else { return error.into() };
    let hint = match nearest(pattern, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`lake graph` shows what there is".to_owned(),
    };
    CliError::usage(&error).hint(hint)
}

/// The address that differs least from `pattern`, if by no more than half of it.
fn nearest<'k>(pattern: &Pattern, known: &'k [Address]) -> Option<&'k Address> {
    let slips = |address: &Address| {
        let whole = strsim::damerau_levenshtein(pattern.as_str(), address.as_str());
        // Who gives the name alone has not said the kind.
        whole.min(1 + strsim::damerau_levenshtein(pattern.as_str(), address.name()))
    };
    let (fewest, near) = known.iter().map(|address| (slips(address), address)).min()?;
    (fewest <= pattern.as_str().len() / 2).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(pattern: &str) -> String {
        let known = ["aws:s3:Bucket/raw", "aws:s3:Bucket/processed", "aws:glue:Crawler/flights"];
        let known = known.iter().map(|text| text.parse().unwrap()).collect();
        explained(PlanError::Unmatched { pattern: pattern.parse().unwrap(), known }).hints()[0].clone()
    }

    #[test]
    fn a_target_that_is_nowhere_names_the_nearest_that_is_there() {
        assert_eq!(hint("aws:s3:bucket/raw"), "did you mean `aws:s3:Bucket/raw`?");
        assert_eq!(hint("flight"), "did you mean `aws:glue:Crawler/flights`?");
        assert_eq!(hint("nothing of the kind"), "`lake graph` shows what there is");
    }
}
