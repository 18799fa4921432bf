//! The relay that the embedded cloud's mail leaves by: `--smtp`, and the password that goes with it.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::{
    cli::error::CliError,
    cloud::sns::{SmtpRelay, SmtpTls, SmtpUser},
};

/// Environment variable of a relay's password: arguments are there for everybody to see, and files remain.
pub(super) const PASSWORD_VARIABLE: &str = "LAKE_SMTP_PASSWORD";

/// Each scheme, what it means, and its port (RFC 5321, RFC 6409, RFC 8314).
const SCHEMES: [(&str, SmtpTls, u16); 3] =
    [("smtp", SmtpTls::None, 25), ("smtp+starttls", SmtpTls::StartTls, 587), ("smtps", SmtpTls::Wrapper, 465)];

/// What cannot stand for itself in a user's name.
const NOT_IN_USER: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b':').add(b'/').add(b'?').add(b'#').add(b'@');

/// A relay by its URL, which holds no secret: `smtp://`, `smtp+starttls://` or `smtps://`, `[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relay {
    scheme: &'static str,
    tls: SmtpTls,
    user: Option<String>,
    host: String,
    port: u16,
}

/// What is wrong with a relay. It never quotes the URL as a whole: somebody may have put a password into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RelayError {
    #[error("--smtp begins with smtp://, smtp+starttls:// or smtps://")]
    Scheme,
    #[error("--smtp needs the relay's host, such as smtp://127.0.0.1:2525")]
    Host,
    #[error("the port in --smtp is a number from 1 to 65535")]
    Port,
    #[error("--smtp has nothing after host and port")]
    Rest,
    #[error("the user in --smtp is percent-encoded UTF-8")]
    User,
    #[error("--smtp takes no password: it would be there for everybody to see; put it into {PASSWORD_VARIABLE}")]
    Password,
    #[error("--smtp names a user: put the password into the environment variable {PASSWORD_VARIABLE}")]
    NoPassword,
    #[error("a password does not go over the net unencrypted: say smtp+starttls:// or smtps://")]
    Unencrypted,
}

impl From<RelayError> for CliError {
    fn from(error: RelayError) -> Self {
        CliError::usage(error).hint("for example: --smtp smtp+starttls://ann%40example.com@mail.example.com:587")
    }
}

impl Relay {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Relay, RelayError> {
        let (scheme, rest) = url.split_once("://").ok_or(RelayError::Scheme)?;
        let known = SCHEMES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(scheme));
        let &(scheme, tls, default_port) = known.ok_or(RelayError::Scheme)?;
        // A user is often an address: what comes after the last @ is the host.
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(RelayError::Password);
        }
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains(['/', '?', '#']) {
            return Err(RelayError::Rest);
        }
        let (host, port) = host_and_port(place)?;
        let user = user.map(|user| percent_decode_str(user).decode_utf8().map(String::from));
        let user = user.transpose().map_err(|_| RelayError::User)?.filter(|user| !user.is_empty());
        let relay = Relay { scheme, tls, user, host: host.to_owned(), port: port.unwrap_or(default_port) };
        if relay.user.is_some() && tls == SmtpTls::None && !relay.is_loopback() {
            return Err(RelayError::Unencrypted);
        }
        Ok(relay)
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// The relay with the password that the environment has for its user.
    pub(super) fn with_password(&self) -> Result<SmtpRelay, RelayError> {
        let user = match &self.user {
            None => None,
            Some(name) => {
                let password = std::env::var(PASSWORD_VARIABLE).map_err(|_| RelayError::NoPassword)?;
                Some(SmtpUser { name: name.clone(), password })
            }
        };
        Ok(SmtpRelay { host: self.host.clone(), port: self.port, tls: self.tls, user })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(place: &str) -> Result<(&str, Option<u16>), RelayError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(RelayError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| RelayError::Host)?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':').ok_or(RelayError::Port)?)),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(RelayError::Host);
    }
    let number = |port: &str| port.parse().ok().filter(|&port: &u16| port != 0).ok_or(RelayError::Port);
    Ok((host, port.map(number).transpose()?))
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{}@", utf8_percent_encode(user, NOT_IN_USER))?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_read_and_written_back_with_its_port_and_its_user_encoded() {
        for (url, back) in [
            ("smtp://localhost", "smtp://localhost:25"),
            ("SMTP://127.0.0.1:2525/", "smtp://127.0.0.1:2525"),
            ("smtp+starttls://mail.example.com", "smtp+starttls://mail.example.com:587"),
            ("smtps://ann@example.com@mail.example.com", "smtps://ann%40example.com@mail.example.com:465"),
            ("smtps://ann%40example.com@mail.example.com:1", "smtps://ann%40example.com@mail.example.com:1"),
            ("smtp://ann@[::1]:25", "smtp://ann@[::1]:25"),
            ("smtp://@localhost", "smtp://localhost:25"),
        ] {
            let relay = Relay::parse(url).unwrap();
            assert_eq!(relay.to_string(), back);
            assert_eq!(Relay::parse(back).unwrap(), relay);
        }
    }

    #[test]
    fn what_is_no_relay_is_refused_with_the_reason_and_without_a_word_of_a_password() {
        for (url, error) in [
            ("localhost:25", RelayError::Scheme),
            ("http://localhost", RelayError::Scheme),
            ("smtp://", RelayError::Host),
            ("smtp://:25", RelayError::Host),
            ("smtp://[::1", RelayError::Host),
            ("smtp://a b", RelayError::Host),
            ("smtp://localhost:0", RelayError::Port),
            ("smtp://localhost:70000", RelayError::Port),
            ("smtp://localhost:25/x", RelayError::Rest),
            ("smtp://localhost?tls=required", RelayError::Rest),
            ("smtps://%ff@mail.example.com", RelayError::User),
            ("smtps://ann:hush@mail.example.com", RelayError::Password),
            ("smtps://ann:hu@sh@mail.example.com", RelayError::Password),
            ("smtp://ann@mail.example.com", RelayError::Unencrypted),
        ] {
            let refused = Relay::parse(url).unwrap_err();
            assert_eq!(refused, error, "{url}");
            assert!(!refused.to_string().contains("hush"));
        }
    }

    #[test]
    fn a_relay_without_a_user_needs_no_password() {
        let relay = Relay::parse("smtp://localhost:2525").unwrap().with_password().unwrap();
        assert_eq!((relay.host.as_str(), relay.port, relay.tls), ("localhost", 2525, SmtpTls::None));
        assert!(relay.user.is_none());
    }
}
