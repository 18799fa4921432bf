//! Signature Version 4: read from a request, and checked by signing the request again with the SDK's own signer.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, header::AUTHORIZATION, header::HOST, request::Parts};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::refusal::Refusal;
use crate::cloud::credentials::{self, Secret};

/// Furthest that a request's time may be from ours, for every service but S3 (which allows 15 minutes).
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html>
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Longest life of a presigned request.
const MAX_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 3600);
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What a presigned request carries in its query that was not there when it was signed, or is added by signing.
const PRESIGNED_PARAMETERS: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
];

/// A signature as it came, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// Whose secret it claims to be made with.
    pub access_key_id: String,
    /// Day of the scope, `YYYYMMDD`.
    date: String,
    /// Region of the scope.
    pub region: String,
    /// Service of the scope.
    pub service: String,
    /// Token of temporary credentials.
    pub session_token: Option<String>,
    signed_headers: Vec<String>,
    signature: String,
    /// When the request was signed, as sent.
    time: String,
    /// How long a presigned request is valid; `None` when the signature is in the headers.
    presigned: Option<Duration>,
}

impl Signature {
    /// Reads the signature from the `Authorization` header, else from the query.
    pub(super) fn parse(parts: &Parts) -> Result<Self, Refusal> {
        if let Some(value) = parts.headers.get(AUTHORIZATION) {
            let value = value.to_str().map_err(|_| incomplete("the Authorization header is not text"))?;
            return Self::from_header(value, &parts.headers);
        }
        let query = parts.uri.query().unwrap_or_default();
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let parameter = |wanted: &str| {
            pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_string())
        };
        if parameter("X-Amz-Signature").is_none() && parameter("X-Amz-Credential").is_none() {
            return Err(Refusal::Unsigned);
        }
        let needed = |name: &str| parameter(name).ok_or_else(|| incomplete(&format!("the query lacks {name}")));
        if needed("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete(&format!("X-Amz-Algorithm must be {ALGORITHM}")));
        }
        let expires: u64 = needed("X-Amz-Expires")?.parse().map_err(|_| incomplete("X-Amz-Expires is no number"))?;
        let scope = Scope::parse(&needed("X-Amz-Credential")?)?;
        Ok(scope.signature(
            needed("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect(),
            needed("X-Amz-Signature")?,
            needed("X-Amz-Date")?,
            parameter("X-Amz-Security-Token"),
            Some(Duration::from_secs(expires).min(MAX_PRESIGNED)),
        ))
    }

    fn from_header(value: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some((algorithm, rest)) = value.split_once(' ') else {
            return Err(incomplete("the Authorization header has no parameters"));
        };
        if algorithm != ALGORITHM {
            return Err(incomplete(&format!("the signing algorithm must be {ALGORITHM}")));
        }
        let mut credential = None;
        let mut signed_headers = None;
        let mut signature = None;
        for part in rest.split(',') {
            match part.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => return Err(incomplete("the Authorization header has a part that is none of AWS's")),
            }
        }
        let lacks = |name: &str| incomplete(&format!("the Authorization header lacks {name}"));
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let scope = Scope::parse(credential.ok_or_else(|| lacks("Credential"))?)?;
        Ok(scope.signature(
            signed_headers.ok_or_else(|| lacks("SignedHeaders"))?.split(';').map(str::to_owned).collect(),
            signature.ok_or_else(|| lacks("Signature"))?.to_owned(),
            text("x-amz-date").ok_or_else(|| incomplete("the request lacks an X-Amz-Date header"))?,
            text("x-amz-security-token"),
            None,
        ))
    }

    /// Checks time and signature over the whole request.
    pub(super) fn verify(&self, parts: &Parts, body: &[u8], secret: &Secret) -> Result<(), Refusal> {
        let time = self.check_time(Timestamp::now())?;
        if !self.signed_headers.iter().any(|name| name == "host") {
            return Err(incomplete("the header `host` must be signed"));
        }
        let expected = self.expected(parts, body, secret, time)?;
        if credentials::equal(expected.as_bytes(), self.signature.as_bytes()) {
            Ok(())
        } else {
            Err(Refusal::WrongSignature)
        }
    }

    fn check_time(&self, now: Timestamp) -> Result<Timestamp, Refusal> {
        let unreadable = |_| incomplete("X-Amz-Date is not of the form 20260102T030405Z");
        let time = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time).map_err(unreadable)?;
        let time = time.to_zoned(TimeZone::UTC).map_err(unreadable)?.timestamp();
        if !self.time.starts_with(&self.date) {
            return Err(incomplete("the date of the credential's scope is not that of X-Amz-Date"));
        }
        let age = now.duration_since(time);
        let oldest = match self.presigned {
            Some(life) => SignedDuration::try_from(life).unwrap_or(MAX_SKEW),
            None => MAX_SKEW,
        };
        if age > oldest {
            return Err(Refusal::Skewed(format!(
                "Signature expired: {} is now earlier than {} ({now} - {} s)",
                self.time,
                now - oldest,
                oldest.as_secs()
            )));
        }
        if age < -MAX_SKEW {
            return Err(Refusal::Skewed(format!(
                "Signature not yet current: {} is still later than {} ({now} + {} s)",
                self.time,
                now + MAX_SKEW,
                MAX_SKEW.as_secs()
            )));
        }
        Ok(time)
    }

    /// The signature that `secret` makes over the request.
    fn expected(&self, parts: &Parts, body: &[u8], secret: &Secret, time: Timestamp) -> Result<String, Refusal> {
        let mut headers = Vec::with_capacity(self.signed_headers.len());
        for name in &self.signed_headers {
            for value in parts.headers.get_all(name) {
                let value =
                    std::str::from_utf8(value.as_bytes()).map_err(|_| incomplete("a signed header is no text"))?;
                headers.push((name.as_str(), value));
            }
        }
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let mut settings = SigningSettings::default();
        // The client has decided which headers count; the signer's own exclusions must not.
        settings.excluded_headers = None;
        let mut uri = format!("http://{host}{}", parts.uri.path());
        let query = match self.presigned {
            Some(life) => {
                settings.signature_location = SignatureLocation::QueryParams;
                settings.expires_in = Some(life);
                without_presigned(parts.uri.query().unwrap_or_default())
            }
            None => parts.uri.query().unwrap_or_default().to_owned(),
        };
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(&query);
        }
        let token_is_signed =
            self.presigned.is_some() || self.signed_headers.iter().any(|name| name == "x-amz-security-token");
        let token = secret.session_token.clone().filter(|_| token_is_signed);
        let credentials =
            Credentials::new(&self.access_key_id, &secret.secret_access_key, token, None, "embedded cloud");
        let identity: Identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::from(time))
            .settings(settings)
            .build()
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .into();
        let unsignable = |error: aws_sigv4::http_request::SigningError| incomplete(&error.to_string());
        let request = SignableRequest::new(parts.method.as_str(), uri, headers.into_iter(), SignableBody::Bytes(body))
            .map_err(unsignable)?;
        Ok(sign(request, &parameters).map_err(unsignable)?.into_parts().1)
    }
}

struct Scope {
    access_key_id: String,
    date: String,
    region: String,
    service: String,
}

impl Scope {
    /// Reads `AKIA…/20260102/eu-west-1/glue/aws4_request`.
    fn parse(credential: &str) -> Result<Self, Refusal> {
        let mut parts = credential.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        match (next(), next(), next(), next(), next(), next()) {
            (Some(access_key_id), Some(date), Some(region), Some(service), Some(end), None)
                if end == "aws4_request" && date.len() == 8 =>
            {
                Ok(Scope { access_key_id, date, region, service })
            }
            _ => Err(incomplete("Credential must have the form KEY/YYYYMMDD/REGION/SERVICE/aws4_request")),
        }
    }

    fn signature(
        self,
        signed_headers: Vec<String>,
        signature: String,
        time: String,
        session_token: Option<String>,
        presigned: Option<Duration>,
    ) -> Signature {
        let Scope { access_key_id, date, region, service } = self;
        Signature { access_key_id, date, region, service, session_token, signed_headers, signature, time, presigned }
    }
}

/// The query as it was before presigning.
fn without_presigned(query: &str) -> String {
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !PRESIGNED_PARAMETERS.iter().any(|parameter| name.eq_ignore_ascii_case(parameter))
    });
    kept.collect::<Vec<_>>().join("&")
}

fn incomplete(what: &str) -> Refusal {
    Refusal::Incomplete(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::service::Caller;
    use http::Request;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn secret(secret_access_key: &str, token: Option<&str>) -> Secret {
        Secret {
            secret_access_key: secret_access_key.into(),
            session_token: token.map(Into::into),
            expires: None,
            caller: Caller { arn: "a".into(), user_id: "u".into() },
        }
    }

    /// A request signed by the SDK's signer, in the headers or in the query.
    fn signed(path: &str, body: &'static [u8], token: Option<&str>, time: SystemTime, presign: bool) -> Parts {
        let identity: Identity = Credentials::new("AKIDEXAMPLE", SECRET, token.map(Into::into), None, "test").into();
        let mut settings = SigningSettings::default();
        if presign {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(600));
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("lambda")
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let mut request = Request::post(format!("http://127.0.0.1:4566{path}"))
            .header("host", "127.0.0.1:4566")
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let uri = request.uri().to_string();
        let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        // What arrives at a server is the path and query alone.
        *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
        request.into_parts().0
    }

    fn check(parts: &Parts, body: &[u8], secret: &Secret) -> Result<(), Refusal> {
        Signature::parse(parts)?.verify(parts, body, secret)
    }

    #[test]
    fn a_signature_of_the_sdk_is_accepted_also_with_odd_paths_and_tokens() {
        let now = SystemTime::now();
        for path in ["/", "/2015-03-31/functions/arn%3Aaws%3Alambda/x%20y?Qualifier=a%2Bb&b=", "/a//b/../c"] {
            for presign in [false, true] {
                let parts = signed(path, b"{}", None, now, presign);
                assert_eq!(check(&parts, b"{}", &secret(SECRET, None)), Ok(()), "{path} {presign}");
                let parts = signed(path, b"{}", Some("tok/en+"), now, presign);
                assert_eq!(Signature::parse(&parts).unwrap().session_token.as_deref(), Some("tok/en+"));
                assert_eq!(check(&parts, b"{}", &secret(SECRET, Some("tok/en+"))), Ok(()), "{path} {presign}");
            }
        }
    }

    #[test]
    fn another_secret_body_path_or_header_is_refused() {
        let now = SystemTime::now();
        let parts = signed("/path", b"{}", None, now, false);
        assert_eq!(check(&parts, b"{}", &secret("other", None)), Err(Refusal::WrongSignature));
        assert_eq!(check(&parts, b"{ }", &secret(SECRET, None)), Err(Refusal::WrongSignature));
        let mut moved = parts.clone();
        moved.uri = "/elsewhere".parse().unwrap();
        assert_eq!(check(&moved, b"{}", &secret(SECRET, None)), Err(Refusal::WrongSignature));
        let mut changed = parts;
        changed.headers.insert("content-type", "text/plain".parse().unwrap());
        assert_eq!(check(&changed, b"{}", &secret(SECRET, None)), Err(Refusal::WrongSignature));
    }

    #[test]
    fn a_request_from_another_time_is_refused() {
        let old = SystemTime::now() - Duration::from_secs(6 * 60);
        let parts = signed("/", b"", None, old, false);
        assert!(matches!(check(&parts, b"", &secret(SECRET, None)), Err(Refusal::Skewed(_))));
        let parts = signed("/", b"", None, SystemTime::now() + Duration::from_secs(6 * 60), false);
        assert!(matches!(check(&parts, b"", &secret(SECRET, None)), Err(Refusal::Skewed(_))));
        let parts = signed("/", b"", None, old, true);
        assert_eq!(check(&parts, b"", &secret(SECRET, None)), Ok(()), "presigned for ten minutes");
    }

    #[test]
    fn garbled_signatures_are_told_what_they_lack() {
        let parse = |value: &str| {
            let request = Request::get("/").header("authorization", value).body(()).unwrap();
            Signature::parse(&request.into_parts().0)
        };
        for value in [
            "Basic abc",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=a/b/c",
            "AWS4-HMAC-SHA256 Credential=K/20260102/r/s/aws4_request, SignedHeaders=host",
            "AWS4-HMAC-SHA256 nonsense",
            "AWS KEY:signature",
        ] {
            assert!(matches!(parse(value), Err(Refusal::Incomplete(_))), "{value}");
        }
        let request = Request::get("/").body(()).unwrap();
        assert_eq!(Signature::parse(&request.into_parts().0), Err(Refusal::Unsigned));
    }
}
