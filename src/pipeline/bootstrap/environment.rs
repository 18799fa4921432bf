//! What the function's environment says. The table in [`crate::pipeline`] has the whole of it.

use std::str::FromStr;

use crate::pipeline::aws::Names;

/// Which of the functions this process is: the function's handler setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Intake,
    Convert,
    Sweep,
}

impl FromStr for Face {
    type Err = String;

    fn from_str(handler: &str) -> Result<Self, String> {
        match handler {
            "intake" => Ok(Face::Intake),
            "convert" => Ok(Face::Convert),
            "sweep" => Ok(Face::Sweep),
            other => {
                Err(format!("_HANDLER is `{other}`; the function's handler must be `intake`, `convert` or `sweep`"))
            }
        }
    }
}

/// What the function's environment says.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    pub face: Face,
    pub names: Names,
    pub artifacts_bucket: String,
    pub manifest_key: String,
    /// `None` when no dataset has a crawler.
    pub crawlers_key: Option<String>,
    pub memory_mb: u32,
    pub endpoint: Option<String>,
}

impl Environment {
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let may = |name: &str| get(name).filter(|value| !value.is_empty());
        let need = |name: &str| {
            may(name).ok_or_else(|| format!("the function's environment lacks {name}; run `lake apply` again"))
        };
        let face = need("_HANDLER")?.parse()?;
        let convert_function = match face {
            Face::Intake | Face::Sweep => need("LAKE_CONVERT_FUNCTION")?,
            // A function's environment cannot refer to the function itself; Lambda says what it is called.
            Face::Convert => need("AWS_LAMBDA_FUNCTION_NAME")?,
        };
        let names = Names {
            lake: need("LAKE_NAME")?,
            stack: need("LAKE_STACK")?,
            raw_bucket: need("LAKE_RAW_BUCKET")?,
            processed_bucket: need("LAKE_PROCESSED_BUCKET")?,
            database: need("LAKE_DATABASE")?,
            convert_function,
        };
        Ok(Environment {
            face,
            names,
            artifacts_bucket: need("LAKE_ARTIFACTS_BUCKET")?,
            manifest_key: need("LAKE_MANIFEST")?,
            crawlers_key: may("LAKE_CRAWLERS"),
            memory_mb: may("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|size| size.parse().ok()).unwrap_or(0),
            endpoint: may("AWS_ENDPOINT_URL"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(handler: &str, without: &str) -> Result<Environment, String> {
        Environment::read(|name| match name {
            name if name == without => None,
            "_HANDLER" => Some(handler.to_owned()),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => Some("2048".to_owned()),
            name => Some(format!("value of {name}")),
        })
    }

    #[test]
    fn the_handler_setting_tells_which_function_it_is() {
        assert_eq!(environment("intake", "").unwrap().face, Face::Intake);
        assert_eq!(environment("convert", "").unwrap().face, Face::Convert);
        assert_eq!(environment("sweep", "").unwrap().face, Face::Sweep);
        assert!(environment("main", "").unwrap_err().contains("`main`"));
    }

    #[test]
    fn a_missing_variable_is_named() {
        for handler in ["intake", "sweep"] {
            let missing = environment(handler, "LAKE_CONVERT_FUNCTION").unwrap_err();
            assert!(missing.contains("LAKE_CONVERT_FUNCTION"), "{missing}");
        }
        assert!(environment("convert", "LAKE_MANIFEST").unwrap_err().contains("LAKE_MANIFEST"));
    }

    #[test]
    fn convert_knows_itself_by_what_lambda_calls_it() {
        let convert = environment("convert", "LAKE_CONVERT_FUNCTION").unwrap();
        assert_eq!(convert.names.convert_function, "value of AWS_LAMBDA_FUNCTION_NAME");
    }

    #[test]
    fn the_crawlers_are_named_only_where_there_are_any() {
        assert_eq!(environment("sweep", "LAKE_CRAWLERS").unwrap().crawlers_key, None);
        assert_eq!(environment("sweep", "").unwrap().crawlers_key.as_deref(), Some("value of LAKE_CRAWLERS"));
    }
}
