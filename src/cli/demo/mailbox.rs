//! The mails that the demo's cloud delivers, read as whoever gets them would.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::super::{cloud::process, context::Context, error::CliError};

/// Who gets the demo's mails.
pub(super) const ADDRESS: &str = "ann@example.com";
/// How long a mail may take from the event that it tells of.
const MAIL_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks into the folder: nobody tells when a file comes.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// What the link of a confirmation has in it before its token.
const TOKEN: &str = "&Token=";
const TOPIC: &str = "TopicArn=";

/// A mail as it was delivered.
pub(super) struct Mail {
    pub path: PathBuf,
    pub text: String,
}

impl Mail {
    /// The lines that a mail program shows: who, to whom, what about, and the text.
    pub fn shown(&self) -> Vec<String> {
        let (head, body) = self.text.split_once("\n\n").unwrap_or((&self.text, ""));
        let shown = |line: &&str| ["From:", "To:", "Subject:", "Date:"].iter().any(|name| line.starts_with(name));
        let head = head.lines().filter(shown).map(str::to_owned);
        head.chain([String::new()]).chain(body.trim_end().lines().map(str::to_owned)).collect()
    }
}

/// The first mail that `wanted` takes, once it is there.
pub(super) async fn mail(context: &Context, what: &str, wanted: impl Fn(&str) -> bool) -> Result<Mail, CliError> {
    let folder = context.cloud_folder().join("mail");
    let begun = Instant::now();
    loop {
        let mut paths: Vec<PathBuf> = match std::fs::read_dir(&folder) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(_) => Vec::new(), // made with the first mail
        };
        paths.sort();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "eml")) {
            let text = std::fs::read_to_string(&path)?.replace("\r\n", "\n");
            if wanted(&text) {
                return Ok(Mail { path, text });
            }
        }
        if begun.elapsed() > MAIL_WITHIN {
            return Err(CliError::failed(format!("{what} did not come within {} s", MAIL_WITHIN.as_secs())));
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// Does what the link in the confirmation mail does.
pub(super) async fn confirm(context: &Context) -> Result<Mail, CliError> {
    let mail = mail(context, "the mail that asks to confirm", |text| text.contains(TOKEN)).await?;
    let (topic, token) = confirmation(&mail.text)
        .ok_or_else(|| CliError::failed(format!("there is no link to confirm in {}", mail.path.display())))?;
    let server = process::running(context).await?;
    let server = server.ok_or_else(|| CliError::failed("the embedded cloud has ended by itself"))?;
    let sns = aws_sdk_sns::Client::new(&server.sdk().await);
    let confirmed = sns.confirm_subscription().topic_arn(topic).token(token).send().await;
    confirmed.map_err(|error| super::super::service_error("sns:ConfirmSubscription", ADDRESS, error))?;
    Ok(mail)
}

/// Topic and token of the link in a confirmation mail.
fn confirmation(text: &str) -> Option<(String, String)> {
    let value = |name: &str| {
        let rest = &text[text.find(name)? + name.len()..];
        let end = rest.find(|letter: char| letter == '&' || letter.is_whitespace()).unwrap_or(rest.len());
        Some(percent_encoding::percent_decode_str(&rest[..end]).decode_utf8_lossy().into_owned())
    };
    Some((value(TOPIC)?, value(TOKEN)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_and_token_are_those_of_the_link() {
        let text =
            "Subject: x\n\nhttp://127.0.0.1:1/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Ax&Token=abc1\n";
        assert_eq!(confirmation(text), Some(("arn:aws:sns:x".to_owned(), "abc1".to_owned())));
        assert_eq!(confirmation("nothing here"), None);
    }

    #[test]
    fn a_mail_is_shown_without_the_lines_that_mail_programs_hide() {
        let mail = Mail {
            path: "x.eml".into(),
            text: "Message-ID: <1>\nFrom: a@b\nTo: c@d\nSubject: done\nMIME-Version: 1.0\n\nAll well.\n\nBye\n".into(),
        };
        assert_eq!(mail.shown(), ["From: a@b", "To: c@d", "Subject: done", "", "All well.", "", "Bye"]);
    }
}
