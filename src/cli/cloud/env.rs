//! `lake cloud env`

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::cli::{context::Context, error::CliError};

use super::process;

/// Prints what points any AWS client at the embedded cloud: endpoint, credentials, region.
///
/// Works outside of a project too, with `-C DIR` or in the folder where `lake cloud start` was run.
///
/// Example: eval "$(lake cloud env)" && aws s3 ls
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash, zsh, dash and their kin.
    Sh,
    /// fish.
    Fish,
    /// A JSON object.
    Json,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let server = process::running(context).await?.ok_or_else(|| {
        CliError::failed("the embedded cloud is not running").hint("start it with `lake cloud start`")
    })?;
    let config = context.config().ok();
    let stack = config.as_ref().and_then(|config| context.stack(config).ok());
    let region = stack.map_or(server.region.as_str(), |stack| stack.region.as_str());
    let endpoint = server.endpoint();
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", &server.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &server.secret_access_key),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
    ];
    let shell = if context.console.is_json() { Shell::Json } else { args.shell };
    context.console.raw(&exports(shell, &variables));
    Ok(())
}

/// Variables that must not be there beside ours: another account's session token would spoil the signature.
const UNSET: [&str; 2] = ["AWS_SESSION_TOKEN", "AWS_PROFILE"];

fn exports(shell: Shell, variables: &[(&str, &str)]) -> String {
    let lines = |line: &dyn Fn(&str, &str) -> String| -> String {
        variables.iter().map(|(name, value)| line(name, value)).collect()
    };
    match shell {
        Shell::Sh => {
            let set = lines(&|name, value| format!("export {name}={}\n", quote_sh(value)));
            format!("{set}unset {}\n", UNSET.join(" "))
        }
        Shell::Fish => {
            let set = lines(&|name, value| format!("set -gx {name} {}\n", quote_fish(value)));
            format!("{set}set -e {}\n", UNSET.join(" "))
        }
        Shell::Json => {
            let object: Map<String, Value> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
            format!("{}\n", Value::Object(object))
        }
    }
}

/// POSIX: nothing is special between single quotes, and a quote cannot stand there.
fn quote_sh(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// fish: between single quotes, backslash escapes itself and the quote.
fn quote_fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_exactly_what_was_quoted() {
        let nasty = "a b/c+d='$HOME' \"`x`\" \\ é !#&;|*?\n\t'";
        let script = format!("printf %s {}", quote_sh(nasty));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), nasty);
    }

    #[test]
    fn fish_takes_backslashes_and_quotes_between_single_quotes_as_escapes() {
        assert_eq!(quote_fish(r"a'b\c"), r"'a\'b\\c'");
    }

    #[test]
    fn every_spelling_sets_every_variable() {
        let variables = [("AWS_REGION", "eu-west-1"), ("AWS_SECRET_ACCESS_KEY", "a/b+c")];
        let sh = exports(Shell::Sh, &variables);
        assert!(sh.starts_with("export AWS_REGION='eu-west-1'\nexport AWS_SECRET_ACCESS_KEY='a/b+c'\nunset "), "{sh}");
        assert!(exports(Shell::Fish, &variables).starts_with("set -gx AWS_REGION 'eu-west-1'\n"));
        let json: Value = serde_json::from_str(&exports(Shell::Json, &variables)).unwrap();
        assert_eq!(json["AWS_SECRET_ACCESS_KEY"], "a/b+c");
    }
}
