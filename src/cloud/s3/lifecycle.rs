//! Lifecycle rules: checked when they are set, and applied by a sweep at the start and then every hour.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redb::WriteTransaction;
use s3s::{S3Error, S3Result, dto, s3_error};

use super::{
    Cloud,
    blob::Released,
    keys,
    meta::{self, BUCKETS, Bucket, UPLOADS, VERSIONS, Version, Versioning},
    multipart, version,
};
use crate::cloud::store::{Step, StoreError, Transaction};

/// Most rules of a bucket.
const MAX_RULES: usize = 1000;
/// Keys that one transaction of a sweep changes, at most.
const BATCH: usize = 500;
/// Length of a day, in seconds.
const DAY: i64 = 24 * 3600;

/// Checks rules as they come; names those without an id.
pub(super) fn check(rules: Vec<dto::LifecycleRule>) -> S3Result<Vec<dto::LifecycleRule>> {
    if rules.is_empty() || rules.len() > MAX_RULES {
        return Err(s3_error!(MalformedXML, "A lifecycle configuration has between 1 and {MAX_RULES} rules"));
    }
    let mut checked: Vec<dto::LifecycleRule> = Vec::with_capacity(rules.len());
    for mut rule in rules {
        let id = rule.id.take().filter(|id| !id.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        if checked.iter().any(|other| other.id.as_ref() == Some(&id)) {
            return Err(s3_error!(InvalidArgument, "Rule ID must be unique. Found same ID for more than one rule"));
        }
        rule.id = Some(id);
        check_rule(&rule)?;
        checked.push(rule);
    }
    Ok(checked)
}

fn check_rule(rule: &dto::LifecycleRule) -> S3Result<()> {
    if !matches!(rule.status.as_str(), "Enabled" | "Disabled") {
        return Err(s3_error!(MalformedXML, "A rule's Status is Enabled or Disabled"));
    }
    if rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some() {
        return Err(s3_error!(NotImplemented, "The embedded cloud has one storage class, so no transitions"));
    }
    if rule.expiration.as_ref().is_some_and(|one| one.date.is_some()) {
        return Err(s3_error!(NotImplemented, "The embedded cloud expires by days, not by date"));
    }
    let days = [
        rule.expiration.as_ref().and_then(|one| one.days),
        rule.noncurrent_version_expiration.as_ref().and_then(|one| one.noncurrent_days),
        rule.abort_incomplete_multipart_upload.as_ref().and_then(|one| one.days_after_initiation),
    ];
    if days.into_iter().flatten().any(|days| days < 1) {
        return Err(s3_error!(InvalidArgument, "'Days' for Expiration action must be a positive integer"));
    }
    let marker = rule.expiration.as_ref().and_then(|one| one.expired_object_delete_marker);
    if days.iter().all(Option::is_none) && marker.is_none() {
        return Err(s3_error!(InvalidRequest, "At least one action needs to be specified in a rule"));
    }
    Ok(())
}

/// What a rule looks at: its filter in one shape.
#[derive(Debug, Default)]
struct Scope {
    prefix: String,
    tags: Vec<(String, String)>,
    larger_than: Option<i64>,
    smaller_than: Option<i64>,
}

impl Scope {
    fn of(rule: &dto::LifecycleRule) -> Scope {
        let mut scope = Scope { prefix: rule.prefix.clone().unwrap_or_default(), ..Scope::default() };
        let Some(filter) = &rule.filter else { return scope };
        let mut tags: Vec<&dto::Tag> = filter.tag.iter().collect();
        scope.larger_than = filter.object_size_greater_than;
        scope.smaller_than = filter.object_size_less_than;
        let mut prefix = filter.prefix.as_ref();
        if let Some(and) = &filter.and {
            tags.extend(and.tags.iter().flatten());
            scope.larger_than = and.object_size_greater_than;
            scope.smaller_than = and.object_size_less_than;
            prefix = and.prefix.as_ref();
        }
        if let Some(prefix) = prefix {
            scope.prefix.clone_from(prefix);
        }
        let pair = |tag: &dto::Tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
        scope.tags = tags.into_iter().map(pair).collect();
        scope
    }

    fn holds(&self, key: &str, version: &Version) -> bool {
        if !key.starts_with(&self.prefix) {
            return false;
        }
        let Some(object) = &version.object else { return self.tags.is_empty() };
        let size = i64::try_from(object.size).unwrap_or(i64::MAX);
        self.larger_than.is_none_or(|limit| size > limit)
            && self.smaller_than.is_none_or(|limit| size < limit)
            && self.tags.iter().all(|tag| object.description.tags.contains(tag))
    }
}

/// Whether something of that age is due: AWS counts days from the midnight (UTC) after the moment.
fn is_due(since: Timestamp, days: i32, now: Timestamp) -> bool {
    let midnight = since.as_second().div_euclid(DAY) * DAY + DAY;
    let due = Timestamp::from_second(midnight).unwrap_or_default() + SignedDuration::from_hours(24 * i64::from(days));
    now >= due
}

/// What a sweep does to one key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// The current object expires.
    expire: bool,
    /// Sequences of versions to take away.
    remove: Vec<u64>,
}

/// Decides on one key's versions, newest first. Pure.
fn judge(rules: &[dto::LifecycleRule], key: &str, versions: &[Version], now: Timestamp) -> Verdict {
    let mut verdict = Verdict::default();
    for rule in rules.iter().filter(|rule| rule.status.as_str() == "Enabled") {
        let scope = Scope::of(rule);
        if let (Some(current), Some(expiration)) = (versions.first(), &rule.expiration) {
            let due = expiration.days.is_some_and(|days| is_due(current.written(), days, now));
            verdict.expire |= due && current.object.is_some() && scope.holds(key, current);
            let lone_marker = current.object.is_none() && versions.len() == 1 && scope.holds(key, current);
            if lone_marker && (expiration.expired_object_delete_marker.unwrap_or(false) || due) {
                verdict.remove.push(current.sequence);
            }
        }
        let Some(old) = &rule.noncurrent_version_expiration else { continue };
        let kept = usize::try_from(old.newer_noncurrent_versions.unwrap_or(0)).unwrap_or(0);
        for (index, pair) in versions.windows(2).enumerate() {
            // A version is noncurrent since its successor was written.
            let (successor, version) = (&pair[0], &pair[1]);
            let due = old.noncurrent_days.is_some_and(|days| is_due(successor.written(), days, now));
            if due && index >= kept && scope.holds(key, version) && !verdict.remove.contains(&version.sequence) {
                verdict.remove.push(version.sequence);
            }
        }
    }
    verdict
}

impl Cloud {
    /// Applies every bucket's rules once.
    pub(super) async fn sweep(self: &Arc<Self>, now: Timestamp) -> S3Result<()> {
        let buckets = self.store.read(|tx| BUCKETS.scan(tx, "", None, usize::MAX))?;
        for (name, bucket) in buckets {
            let Some(lifecycle) = bucket.lifecycle else { continue };
            let rules = Arc::new(lifecycle.rules);
            let mut from = Some(keys::bucket(&name));
            while let Some(place) = from.take() {
                let (name, rules) = (name.clone(), Arc::clone(&rules));
                let (released, next) = self
                    .store
                    .commit(move |tx| {
                        let bucket = meta::bucket(tx, &name)?;
                        let mut released = Released::default();
                        let next = sweep_batch(tx, (&name, &bucket), &rules, &place, now, &mut released)?;
                        Ok::<_, S3Error>((released, next))
                    })
                    .await?;
                self.blobs.collect(released);
                from = next;
            }
            self.sweep_uploads(name, rules, now).await?;
        }
        Ok(())
    }

    async fn sweep_uploads(&self, name: String, rules: Arc<Vec<dto::LifecycleRule>>, now: Timestamp) -> S3Result<()> {
        let released = self
            .store
            .commit(move |tx| {
                let mut released = Released::default();
                for (place, upload) in UPLOADS.scan(tx, &keys::bucket(&name), None, usize::MAX)? {
                    let Some((key, _)) = keys::split(&name, &place) else { continue };
                    let enabled = rules.iter().filter(|rule| rule.status.as_str() == "Enabled");
                    let due = enabled.filter(|rule| key.starts_with(&Scope::of(rule).prefix)).any(|rule| {
                        let abort = rule.abort_incomplete_multipart_upload.as_ref();
                        let days = abort.and_then(|abort| abort.days_after_initiation);
                        days.is_some_and(|days| is_due(upload.initiated, days, now))
                    });
                    if due {
                        multipart::discard(tx, &place, &mut released)?;
                    }
                }
                Ok::<_, StoreError>(released)
            })
            .await?;
        self.blobs.collect(released);
        Ok(())
    }
}

/// Sweeps some keys from `place` on; tells where to go on.
fn sweep_batch(
    tx: &WriteTransaction,
    (name, bucket): (&str, &Bucket),
    rules: &[dto::LifecycleRule],
    place: &str,
    now: Timestamp,
    released: &mut Released,
) -> S3Result<Option<String>> {
    let (keys_read, next) = read_keys(tx, name, place)?;
    for (key, versions) in keys_read {
        let verdict = judge(rules, &key, &versions, now);
        for version in versions.iter().filter(|version| verdict.remove.contains(&version.sequence)) {
            version::remove(tx, name, &key, version.clone(), released)?;
        }
        if !verdict.expire {
            continue;
        }
        match (bucket.versioning, versions.into_iter().next()) {
            (Versioning::Off, Some(current)) => version::remove(tx, name, &key, current, released)?,
            _ => {
                version::write(tx, (name, bucket), &key, None, released)?;
            }
        }
    }
    Ok(next)
}

type Chains = Vec<(String, Vec<Version>)>;

/// The next keys with all their versions, and where the one after them begins.
fn read_keys(tx: &impl Transaction, name: &str, place: &str) -> Result<(Chains, Option<String>), StoreError> {
    let (mut chains, mut next): (Chains, _) = (Vec::new(), None);
    let bucket = keys::bucket(name);
    VERSIONS.walk(tx, place, |place, entry| {
        let Some((key, _)) = keys::split(name, place).filter(|_| place.starts_with(&bucket)) else {
            return Ok::<_, StoreError>(Step::Stop);
        };
        let full = chains.len() == BATCH;
        match chains.last_mut() {
            Some((last, versions)) if *last == key => versions.push(entry.value()?),
            _ if full => {
                next = Some(place.to_owned());
                return Ok(Step::Stop);
            }
            _ => chains.push((key, vec![entry.value()?])),
        }
        Ok(Step::Next)
    })?;
    Ok((chains, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::s3::meta::Object;

    fn rule() -> dto::LifecycleRule {
        dto::LifecycleRule {
            abort_incomplete_multipart_upload: None,
            expiration: None,
            filter: None,
            id: None,
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: Some("_lake/".into()),
            status: dto::ExpirationStatus::from_static("Enabled"),
            transitions: None,
        }
    }

    fn noncurrent(days: i32, kept: Option<i32>) -> dto::LifecycleRule {
        let expiration =
            dto::NoncurrentVersionExpiration { newer_noncurrent_versions: kept, noncurrent_days: Some(days) };
        dto::LifecycleRule { noncurrent_version_expiration: Some(expiration), ..rule() }
    }

    fn expiry(days: i32) -> dto::LifecycleRule {
        let expiration = dto::LifecycleExpiration { days: Some(days), ..Default::default() };
        dto::LifecycleRule { expiration: Some(expiration), ..rule() }
    }

    /// A version written at noon of that day.
    fn version(day: i64, object: bool) -> Version {
        let sequence = ((day * DAY + DAY / 2) * 1_000_000) as u64;
        Version { sequence, id: Some("v".into()), object: object.then(Object::default) }
    }

    fn on_day(day: i64) -> Timestamp {
        Timestamp::from_second(day * DAY).unwrap()
    }

    #[test]
    fn days_count_from_the_midnight_after() {
        let noon = Timestamp::from_second(10 * DAY + DAY / 2).unwrap();
        assert!(!is_due(noon, 1, on_day(12) - SignedDuration::from_secs(1)));
        assert!(is_due(noon, 1, on_day(12)));
    }

    #[test]
    fn old_versions_expire_from_when_they_were_superseded() {
        let versions = [version(20, true), version(10, true), version(5, false), version(1, true)];
        let verdict = |rule: dto::LifecycleRule, day| judge(&[rule], "_lake/k", &versions, on_day(day)).remove;
        assert_eq!(verdict(noncurrent(3, None), 15), [versions[2].sequence, versions[3].sequence]);
        assert_eq!(verdict(noncurrent(3, None), 24).len(), 3);
        assert_eq!(verdict(noncurrent(3, Some(1)), 24).len(), 2);
        assert!(judge(&[noncurrent(1, None)], "other", &versions, on_day(99)).remove.is_empty());
    }

    #[test]
    fn the_current_object_expires_and_a_lone_marker_goes() {
        let current = [version(10, true)];
        assert!(!judge(&[expiry(5)], "_lake/k", &current, on_day(15)).expire);
        assert!(judge(&[expiry(5)], "_lake/k", &current, on_day(16)).expire);
        let marker = [version(10, false)];
        assert_eq!(judge(&[expiry(5)], "_lake/k", &marker, on_day(16)).remove, [marker[0].sequence]);
        let disabled = dto::LifecycleRule { status: dto::ExpirationStatus::from_static("Disabled"), ..expiry(5) };
        assert_eq!(judge(&[disabled], "_lake/k", &current, on_day(16)), Verdict::default());
    }

    #[test]
    fn rules_without_action_or_with_doubled_ids_are_refused() {
        assert!(check(vec![rule()]).is_err());
        assert!(check(vec![expiry(0)]).is_err());
        assert!(check(Vec::new()).is_err());
        let named = dto::LifecycleRule { id: Some("a".into()), ..expiry(1) };
        assert!(check(vec![named.clone(), named]).is_err());
        assert!(check(vec![expiry(1), noncurrent(1, None)]).unwrap()[0].id.is_some());
    }
}
