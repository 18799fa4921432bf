//! Mail: how it reads, where it lies, how it leaves.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html>
//!
//! Every mail is a file in the cloud's folder `mail`; with a relay it is sent there besides.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use serde::{Deserialize, Serialize};

use super::{
    envelope::{Links, Notification},
    model::{Protocol, Subscription, Topic, now_ms},
    outbox::DeadLetter,
};
use crate::cloud::error::ApiError;

/// Who mails are from.
const FROM: &str = "no-reply@sns.amazonaws.com";
/// How long one try to send a mail may take.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);

/// How mail leaves this machine.
#[derive(Debug, Clone)]
pub struct SmtpRelay {
    /// Name or address of the relay.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: SmtpTls,
    /// Who logs in, if anybody.
    pub user: Option<SmtpUser>,
}

/// How a connection to a relay is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all: for a relay on this machine.
    None,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// From its first byte.
    Wrapper,
}

/// A login of a relay.
#[derive(Clone)]
pub struct SmtpUser {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for SmtpUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SmtpUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A mail that waits to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mail {
    pub topic: String,
    pub to: String,
    /// Name of its file.
    pub file: String,
    /// The whole mail as it goes over the wire.
    pub content: String,
    /// Whether it is a notification, and not a confirmation.
    pub counted: bool,
    pub dead: Option<DeadLetter>,
}

/// Why a mail was not sent.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Whether it may be sent later.
    pub temporary: bool,
    pub reason: String,
}

/// The mail that asks whether a subscription is wanted.
pub(super) fn confirmation(
    links: &Links,
    topic: &Topic,
    subscription: &Subscription,
    token: &str,
) -> Result<Mail, ApiError> {
    let (arn, link) = (topic.arn(), links.confirm(&topic.arn(), token));
    let text = match subscription.protocol {
        Protocol::EmailJson => super::envelope::confirmation(&arn, token, &link),
        _ => format!(
            "This address was subscribed to the topic:\n{arn}\n\nTo confirm the subscription, visit this link (if you \
             do not want it, there is nothing to do):\n{link}\n\n--\nPlease do not answer this mail: nobody reads it.\n"
        ),
    };
    let mut mail = compose(topic, subscription, "AWS Notification - Subscription Confirmation", text)?;
    mail.counted = false;
    Ok(mail)
}

/// The mail that carries a notification.
pub(super) fn notification(
    links: &Links,
    topic: &Topic,
    subscription: &Subscription,
    notification: &Notification,
    text: &str,
) -> Result<Mail, ApiError> {
    let body = match subscription.protocol {
        Protocol::EmailJson => notification.envelope(links, subscription, text),
        _ => format!(
            "{text}\n\n--\nTo stop these notifications of the topic {}, visit this link:\n{}\n\nPlease do not answer \
             this mail: nobody reads it.\n",
            topic.arn(),
            links.unsubscribe(subscription),
        ),
    };
    compose(topic, subscription, notification.subject.as_deref().unwrap_or("AWS Notification Message"), body)
}

fn compose(topic: &Topic, subscription: &Subscription, subject: &str, text: String) -> Result<Mail, ApiError> {
    let id = uuid::Uuid::new_v4();
    let from: Address = FROM.parse().map_err(ApiError::internal)?;
    let to: Address = subscription.endpoint.parse().map_err(ApiError::internal)?;
    let message = lettre::Message::builder()
        .from(Mailbox::new(Some(topic.display_name().to_owned()), from))
        .to(Mailbox::new(None, to))
        .subject(subject)
        .message_id(Some(format!("<{id}@sns.amazonaws.com>")))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        .body(encoded(text))
        .map_err(ApiError::internal)?;
    let content = String::from_utf8(message.formatted()).map_err(ApiError::internal)?;
    let time = jiff::Timestamp::from_millisecond(now_ms()).unwrap_or_default();
    let file = format!("{}-{}-{id}.eml", time.strftime("%Y%m%dT%H%M%S.%3fZ"), topic.name);
    let to = subscription.endpoint.clone();
    Ok(Mail { topic: topic.arn(), to, file, content, counted: true, dead: None })
}

/// Longest line of a mail, without its end, in bytes.
/// <https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1>
const LINE_BYTES: usize = 998;

/// Plain where mail takes it so: whoever opens the file can follow its links.
fn encoded(text: String) -> Body {
    let plain = text.is_ascii() && text.lines().all(|line| line.len() <= LINE_BYTES);
    if !plain {
        return Body::new(text);
    }
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    Body::dangerous_pre_encoded(lines.join("\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
}

/// Where mails go.
pub(super) struct Post {
    folder: PathBuf,
    relay: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

impl Post {
    /// Makes ready; the error says what is wrong with the relay's description.
    pub(super) fn new(folder: PathBuf, relay: Option<&SmtpRelay>) -> Result<Post, io::Error> {
        crate::files::create_private_folder(&folder)?;
        Ok(Post { folder, relay: relay.map(transport).transpose()? })
    }

    /// Writes the mail's file and sends it to the relay. Doing both again does no harm but a second mail.
    pub(super) async fn send(&self, mail: &Mail) -> Result<(), Refusal> {
        let fault = |reason: String| Refusal { temporary: true, reason };
        let (path, content) = (self.folder.join(&mail.file), mail.content.clone());
        let written = tokio::task::spawn_blocking(move || write(&path, content.as_bytes())).await;
        written.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))?;
        let Some(relay) = &self.relay else { return Ok(()) };
        let bad = |reason: String| Refusal { temporary: false, reason };
        let to: Address = mail.to.parse().map_err(|error| bad(format!("{error}")))?;
        let from: Address = FROM.parse().map_err(|error| bad(format!("{error}")))?;
        let envelope = Envelope::new(Some(from), vec![to]).map_err(|error| bad(error.to_string()))?;
        match relay.send_raw(&envelope, mail.content.as_bytes()).await {
            Ok(_) => Ok(()),
            // A relay that cannot be reached, or that says so for now, is asked again.
            Err(error) => Err(Refusal { temporary: !error.is_permanent(), reason: error.to_string() }),
        }
    }
}

fn transport(relay: &SmtpRelay) -> Result<AsyncSmtpTransport<Tokio1Executor>, io::Error> {
    let parameters = || TlsParameters::new(relay.host.clone()).map_err(io::Error::other);
    let tls = match relay.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::StartTls => Tls::Required(parameters()?),
        SmtpTls::Wrapper => Tls::Wrapper(parameters()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&relay.host)
        .port(relay.port)
        .tls(tls)
        .timeout(Some(SMTP_TIMEOUT));
    if let Some(user) = &relay.user {
        builder = builder.credentials(Credentials::new(user.name.clone(), user.password.clone()));
    }
    Ok(builder.build())
}

/// Whole or not at all, and its owner's alone.
fn write(path: &Path, content: &[u8]) -> Result<(), io::Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file is readable by its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is_and_other_text_is_encoded() {
        let link = format!("http://127.0.0.1/?Token={}", "a".repeat(200));
        let plain = encoded(format!("follow\n{link}\n"));
        assert_eq!(plain.encoding(), ContentTransferEncoding::SevenBit);
        assert_eq!(plain.as_ref(), format!("follow\r\n{link}\r\n").as_bytes());
        for other in ["käse".to_owned(), "x".repeat(LINE_BYTES + 1)] {
            assert_ne!(encoded(other).encoding(), ContentTransferEncoding::SevenBit);
        }
    }
}
