//! What names, regions, prefixes and addresses may look like. Each rule answers with what is wrong, so that the
//! caller can point at the line.

pub use crate::dataset::COLUMN_NAME_MAX;
pub(super) use crate::dataset::column_name;

/// Longest lake name: with the longest stack name it leaves 19 characters for the part in a bucket's
/// `{lake}-{stack}-{part}-{6 hex}`, of which S3 takes 63
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
pub const LAKE_NAME_MAX: usize = 20;
/// Longest stack name; see [`LAKE_NAME_MAX`].
pub const STACK_NAME_MAX: usize = 15;
/// Longest dataset name; it stands in object keys, table names and log lines.
pub const DATASET_NAME_MAX: usize = 63;
/// Longest source prefix in bytes: half of what S3 takes as a key, so that file names fit behind it.
pub const PREFIX_BYTES_MAX: usize = 512;
/// Longest e-mail address (RFC 5321: a path of 256 octets with its brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Beginnings that S3 keeps for itself; a bucket's begins with the lake's name and a hyphen.
const RESERVED_BUCKET_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// Longest prefix of keys of state, in bytes: names of journals and their objects follow, and a stack's.
const STATE_PREFIX_BYTES_MAX: usize = 512;

/// The answer of a rule: what is wrong.
pub(super) type Verdict = Result<(), String>;

/// `[a-z][a-z0-9-]{0,19}`, and not one that S3 reserves.
pub(super) fn lake_name(name: &str) -> Verdict {
    hyphenated(name, LAKE_NAME_MAX)?;
    let bucket = format!("{name}-");
    match RESERVED_BUCKET_PREFIXES.iter().find(|prefix| bucket.starts_with(**prefix)) {
        Some(prefix) => Err(format!("S3 reserves bucket names that begin with `{prefix}`")),
        None => Ok(()),
    }
}

/// `[a-z][a-z0-9-]{0,14}`
pub(super) fn stack_name(name: &str) -> Verdict {
    hyphenated(name, STACK_NAME_MAX)
}

fn hyphenated(name: &str, longest: usize) -> Verdict {
    let shape = "lower-case letters, digits and hyphens, beginning with a letter";
    spelled(name, longest, shape, |byte| byte.is_ascii_lowercase(), |byte| byte == b'-')
}

/// `[a-z][a-z0-9_]{0,62}`
pub(super) fn dataset_name(name: &str) -> Verdict {
    if name.starts_with('_') {
        return Err("names that begin with an underscore are lake's own".into());
    }
    if name.starts_with("raw_") {
        return Err("names that begin with raw_ are those of the tables that crawlers make of the raw files".into());
    }
    let shape = "lower-case letters, digits and underscores, beginning with a letter";
    spelled(name, DATASET_NAME_MAX, shape, |byte| byte.is_ascii_lowercase(), |byte| byte == b'_')
}

fn spelled(
    name: &str,
    longest: usize,
    shape: &str,
    first: impl Fn(u8) -> bool,
    special: impl Fn(u8) -> bool,
) -> Verdict {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || special(byte);
    match name.as_bytes() {
        [] => Err("it is empty".into()),
        [head, rest @ ..] if !first(*head) || !rest.iter().all(|byte| inside(*byte)) => {
            Err(format!("allowed are {shape}"))
        }
        all if all.len() > longest => Err(format!("it has {} characters; at most {longest} are allowed", all.len())),
        _ => Ok(()),
    }
}

/// A name that [`column_name`] accepts and that is close to `name`; `None` when nothing is left of it.
pub(super) fn column_name_like(name: &str) -> Option<String> {
    let mut like = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            like.push(character);
        } else if !like.ends_with('_') && !like.is_empty() {
            like.push('_');
        }
    }
    let like = like.trim_end_matches('_');
    let like = if like.starts_with(|first: char| first.is_ascii_digit()) { format!("_{like}") } else { like.into() };
    column_name(&like).is_ok().then_some(like)
}

/// `eu-west-1`, `us-gov-east-1`, `ap-southeast-10`: the shape of a region's code. Which regions there are is
/// AWS's to say.
pub(super) fn region(code: &str) -> Verdict {
    let wrong = || Err("a region's code looks like `eu-west-1`".to_owned());
    let parts: Vec<&str> = code.split('-').collect();
    let [area, middle @ .., number] = parts.as_slice() else { return wrong() };
    let letters = |part: &str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let numbered = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    if area.len() > 4 || !letters(area) || middle.is_empty() || !middle.iter().all(|part| letters(part)) || !numbered {
        return wrong();
    }
    Ok(())
}

/// Bucket and prefix of `s3://bucket/prefix`; the prefix may be missing.
pub(super) fn state_url(url: &str) -> Result<(&str, &str), String> {
    let rest = url.strip_prefix("s3://").ok_or("it does not begin with `s3://`")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    bucket_name(bucket)?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+@".contains(&byte);
    let segment = |segment: &str| !["", ".", ".."].contains(&segment) && segment.bytes().all(allowed);
    if !prefix.is_empty() && !prefix.split('/').all(segment) {
        return Err("its prefix has letters, digits and `-_.=+@` between single slashes".into());
    }
    if prefix.len() > STATE_PREFIX_BYTES_MAX {
        return Err(format!("its prefix has {} bytes; at most {STATE_PREFIX_BYTES_MAX} are allowed", prefix.len()));
    }
    Ok((bucket, prefix))
}

/// The shape of a bucket's name (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
/// Which buckets there are is S3's to say.
fn bucket_name(name: &str) -> Verdict {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = bytes.first().is_some_and(|byte| inside(*byte)) && bytes.last().is_some_and(|byte| inside(*byte));
    let all = bytes.iter().all(|byte| inside(*byte) || *byte == b'-' || *byte == b'.');
    match (3..=63).contains(&bytes.len()) && ends && all && !name.contains("..") {
        true => Ok(()),
        false => Err(format!("`{name}` cannot be the name of a bucket")),
    }
}

/// Loosely an e-mail address; whether mail arrives is for its confirmation to show.
pub(super) fn email(address: &str) -> Verdict {
    let plausible = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.contains('.')
            && domain.split('.').all(|label| !label.is_empty())
    });
    let printable = !address.chars().any(|character| character.is_whitespace() || character.is_control());
    if plausible && printable && address.len() <= EMAIL_BYTES_MAX {
        Ok(())
    } else {
        Err("an address looks like `someone@example.com`".into())
    }
}

/// A prefix of keys in the raw bucket. It stands in role policies and notification filters too, hence the plain
/// characters: `*` and `?` are wildcards there, and others would need escaping.
pub(super) fn prefix(prefix: &str) -> Verdict {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.=/".contains(&byte);
    if prefix.is_empty() {
        return Err("it is empty, and would take every file of the raw bucket".into());
    }
    if prefix.starts_with('/') {
        return Err("it must not begin with `/`: keys in S3 do not".into());
    }
    if !prefix.ends_with('/') {
        return Err("it must end with `/`, so that it cannot match half a name".into());
    }
    if prefix.trim_end_matches('/').split('/').any(|part| matches!(part, "" | "." | "..")) || prefix.ends_with("//") {
        return Err("`//`, `.` and `..` do not name folders in S3".into());
    }
    if !prefix.bytes().all(plain) {
        return Err("allowed are letters, digits and `_ - . = /`".into());
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(format!("it has {} bytes; at most {PREFIX_BYTES_MAX} are allowed", prefix.len()));
    }
    Ok(())
}

/// An endpoint that the AWS SDKs can be pointed at: `http` or `https`, a host, perhaps a port.
pub(super) fn endpoint_url(url: &str) -> Verdict {
    let uri: http::Uri = url.parse().map_err(|_| "it is not a URL".to_owned())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with `http://` or `https://`".into());
    }
    if authority.contains('@') {
        return Err("it must not carry a user name or password".into());
    }
    let port_given = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if uri.host().is_none_or(str::is_empty) || (port_given && uri.port_u16().is_none_or(|port| port == 0)) {
        return Err("it needs a host, and a port that is one".into());
    }
    if uri.path() != "/" || uri.query().is_some() || url.contains('#') {
        return Err("it must end after the host and port".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_shape_and_length() {
        for good in ["a", "flights", "my-lake-2", "twenty-characters-xx"] {
            assert_eq!(lake_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Flights", "2flights", "-a", "a_b", "ä", "a.b", "twenty-one-characters", "xn-", "sthree"] {
            assert!(lake_name(bad).is_err(), "{bad}");
        }
        assert!(stack_name("fifteen-letters").is_ok() && stack_name("sixteen--letters").is_err());
        assert!(dataset_name("flight_legs2").is_ok());
        for bad in ["_lake", "flight-legs", "Flights", "", &"x".repeat(64)] {
            assert!(dataset_name(bad).is_err(), "{bad}");
        }
        assert!(column_name("_dep_time").is_ok() && column_name("dep time").is_err());
    }

    #[test]
    fn the_longest_names_fit_a_bucket() {
        let part = "processed";
        assert!(LAKE_NAME_MAX + STACK_NAME_MAX + part.len() + 6 + 3 <= 63);
    }

    #[test]
    fn a_column_name_is_proposed_that_would_be_accepted() {
        assert_eq!(column_name_like("Dep Time").as_deref(), Some("dep_time"));
        assert_eq!(column_name_like("  Price (EUR) ").as_deref(), Some("price_eur"));
        assert_eq!(column_name_like("2nd").as_deref(), Some("_2nd"));
        assert_eq!(column_name_like("日本"), None);
    }

    #[test]
    fn regions_of_every_partition_pass_and_zones_do_not() {
        for good in ["eu-west-1", "us-gov-east-1", "cn-northwest-1", "eusc-de-east-1", "ap-southeast-10"] {
            assert_eq!(region(good), Ok(()), "{good}");
        }
        for bad in ["", "eu", "eu-west", "eu-west-1a", "EU-WEST-1", "eu_west_1", "eu--1", "eu-west-"] {
            assert!(region(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_end_in_a_slash_and_stay_plain() {
        for good in ["flights/", "in/flights/", "year=2013/"] {
            assert_eq!(prefix(good), Ok(()), "{good}");
        }
        for bad in ["", "/", "/a/", "a", "a/../b/", "./", "../", "a//", "a//b/", "a*/", "a b/", "é/"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_plain_urls_of_a_host() {
        for good in ["http://127.0.0.1:9000", "https://s3.example.com", "http://[::1]:4566/", "http://[::1]"] {
            assert_eq!(endpoint_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "localhost:4566",
            "ftp://example.com",
            "http://",
            "http://a:b@example.com",
            "http://example.com:99999",
            "http://example.com:0",
            "http://example.com/path",
            "http://example.com/?q=1",
            "http://example.com/#f",
            "http://exa mple.com",
        ] {
            assert!(endpoint_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_need_a_mailbox_and_a_domain() {
        for good in ["data-team@example.com", "a+b@x.y.z"] {
            assert_eq!(email(good), Ok(()), "{good}");
        }
        for bad in ["", "data-team", "@example.com", "a@b", "a@b@c.d", "a b@c.d", "a@.d", "a@c."] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
