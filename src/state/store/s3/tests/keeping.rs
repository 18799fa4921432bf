//! What is kept, and who may write it.

use super::*;
use crate::state::store::{Holder, Life};

#[tokio::test]
async fn what_was_appended_is_there_for_every_other_process_and_earlier_states_stay_readable() {
    let cloud = Cloud::start().await;
    assert!(cloud.patient().load().await.unwrap().is_none());
    let (lock, journal) = begin(&cloud.patient()).await.unwrap();
    for value in 1..=3 {
        journal.append(outputs(value)).await.unwrap();
        assert_eq!(out(&cloud.state().await), value);
    }
    journal.close().await.unwrap();
    lock.release().await.unwrap();

    let store = cloud.patient();
    let (lock, journal) = begin(&store).await.unwrap();
    journal.append(outputs(4)).await.unwrap();
    journal.close().await.unwrap();
    lock.release().await.unwrap();
    let present = store.present().await.unwrap().unwrap();
    assert_eq!((present.base.serial, present.edits.len()), (4, 0), "a small state is one object");
    assert_eq!(store.history().await.unwrap(), [3, 4]);
    let historic = store.historic(3).await.unwrap();
    assert_eq!((historic.base.serial, historic.edits.len()), (0, 3));
    assert_eq!(store.historic(4).await.unwrap().edits, [outputs(4)]);
}

#[tokio::test]
async fn stacks_of_one_place_do_not_see_each_other() {
    let cloud = Cloud::start().await;
    let (_lock, journal) = begin(&cloud.patient()).await.unwrap();
    journal.append(outputs(1)).await.unwrap();
    let other = Store::new(S3::new(cloud.client(faithful(), 3), BUCKET, "team/lake/test"));
    assert!(other.load().await.unwrap().is_none());
    assert!(other.standing().await.unwrap().is_none());
    assert!(cloud.keys().await.iter().all(|key| key.starts_with("team/lake/prod/")));
}

#[tokio::test]
async fn history_keeps_the_latest_states_only_and_nothing_of_older_journals() {
    let cloud = Cloud::start().await;
    let store = cloud.patient();
    let lock = store.lock("apply").await.unwrap();
    let mut snapshot = Snapshot::new("flights", "prod");
    let states = super::super::HISTORY_MAX as u64 + 3;
    for serial in 1..=states {
        snapshot.serial = serial;
        store.create(&lock, &snapshot).await.unwrap();
    }
    let kept = store.history().await.unwrap();
    assert_eq!((kept.len() as u64, kept[0]), (states - 3, 4));
    assert_eq!(store.historic(kept[0]).await.unwrap().base.serial, 3);
    let journals = cloud.keys().await.into_iter().filter(|key| key.ends_with("/00000000")).count() as u64;
    assert_eq!(journals, states - 2, "a journal a state that is kept, and one of the present");
}

#[tokio::test]
async fn a_journal_with_a_missing_object_is_damaged_and_says_which() {
    let cloud = Cloud::start().await;
    let (_lock, journal) = begin(&cloud.patient()).await.unwrap();
    for value in 1..=3 {
        journal.append(outputs(value)).await.unwrap();
    }
    let second = cloud.keys().await.into_iter().find(|key| key.ends_with("/00000002")).unwrap();
    cloud.client(faithful(), 1).delete_object().bucket(BUCKET).key(second).send().await.unwrap();
    let error = cloud.patient().load().await.unwrap_err().to_string();
    assert!(error.contains("object 2 of its journal is missing"), "{error}");
    // Whoever comes to repair it gets the lock all the same, and fences the holder that was cut off.
    cloud.impatient().lock("state repair").await.unwrap();
    assert!(matches!(journal.append(outputs(4)).await, Err(StateError::Fenced { .. })));
}

#[tokio::test]
async fn a_base_that_was_copied_there_by_hand_is_taken_up() {
    let cloud = Cloud::start().await;
    let mut snapshot = Snapshot::new("flights", "prod");
    snapshot.serial = 7;
    let (base, _) = crate::state::format::encode(&snapshot).unwrap();
    let put = cloud.client(faithful(), 1).put_object().bucket(BUCKET).key(format!("{FOLDER}/state.json"));
    put.body(base.into()).send().await.unwrap();
    let (_lock, journal) = begin(&cloud.patient()).await.unwrap();
    journal.append(outputs(8)).await.unwrap();
    assert_eq!((cloud.state().await.serial, out(&cloud.state().await)), (8, json!(8)));
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_named() {
    let cloud = Cloud::start().await;
    let store = Store::new(S3::new(cloud.client(faithful(), 1), "nowhere", "prod"));
    for error in [store.load().await.unwrap_err(), store.lock("apply").await.unwrap_err()] {
        assert!(matches!(&error, StateError::NoBucket { bucket } if bucket == "nowhere"), "{error}");
    }
}

#[tokio::test]
async fn the_second_is_told_who_holds_the_lock_and_gets_it_afterwards_with_a_higher_number() {
    let cloud = Cloud::start().await;
    let first = cloud.patient().lock("apply").await.unwrap();
    let standing = cloud.patient().standing().await.unwrap().unwrap();
    assert_eq!((standing.holder.id, standing.holder.fence), (first.holder().id, 1));
    assert!(matches!(standing.life, Life::Lives(_)) && standing.holder.heartbeat.is_some());
    match cloud.patient().lock("destroy").await {
        Err(StateError::Locked(holder)) => assert_eq!(holder.id, first.holder().id),
        other => panic!("expected to be refused: {other:?}"),
    }
    first.release().await.unwrap();
    assert_eq!(cloud.patient().standing().await.unwrap(), None);
    let second = cloud.patient().lock("destroy").await.unwrap();
    assert_eq!((second.holder().fence, second.replaced()), (2, None));
}

#[tokio::test]
async fn whoever_waits_gets_the_lock_when_it_is_given_back() {
    let cloud = Cloud::start().await;
    let first = cloud.patient().lock("apply").await.unwrap();
    let (told, telling) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn({
        let store = cloud.patient();
        async move { store.lock_within("apply", Duration::from_secs(60), |_| told.send(()).unwrap()).await }
    });
    telling.await.unwrap();
    first.release().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().holder().fence, 2);
}

#[tokio::test]
async fn a_lock_that_is_only_dropped_is_given_back_before_the_process_ends() {
    let cloud = Cloud::start().await;
    let locks = crate::state::store::Locks::default();
    drop(cloud.patient().among(&locks).lock("apply").await.unwrap());
    locks.settled().await;
    assert_eq!(cloud.patient().standing().await.unwrap(), None);

    let lock = cloud.patient().among(&locks).lock("apply").await.unwrap();
    locks.abandon_all().await;
    assert_eq!(cloud.patient().standing().await.unwrap(), None);
    assert!(lock.guard().check().is_err(), "nothing is written any more");
}

#[tokio::test]
async fn the_lock_of_a_process_of_this_machine_that_is_gone_is_taken_over_at_once() {
    let cloud = Cloud::start().await;
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let s3 = cloud.s3(faithful(), 3, Duration::from_secs(3600));
    let holder = Holder { pid: child.id(), ..Holder::this("apply") };
    std::mem::forget(s3.lock(holder.clone()).await.unwrap());

    let standing = cloud.patient().standing().await.unwrap().unwrap();
    assert!(matches!(&standing.life, Life::Ended(why) if why.contains("is gone")), "{standing:?}");
    let lock = cloud.patient().lock("apply").await.unwrap();
    let replaced = lock.replaced().unwrap();
    assert_eq!((replaced.holder.id, lock.holder().fence), (holder.id, 2));
}

#[tokio::test]
async fn a_process_of_another_machine_is_not_judged_by_its_number() {
    let cloud = Cloud::start().await;
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let s3 = cloud.s3(faithful(), 3, Duration::from_secs(3600));
    let machine = Some("another container with this host's name".to_owned());
    let holder = Holder { pid: child.id(), machine, ..Holder::this("apply") };
    std::mem::forget(s3.lock(holder).await.unwrap());
    assert!(matches!(cloud.patient().lock("apply").await, Err(StateError::Locked(_))));
    assert!(cloud.impatient().lock("apply").await.unwrap().replaced().unwrap().why.contains("last heard of"));
}

#[tokio::test]
async fn a_holder_says_that_it_lives_and_notices_that_its_lock_was_taken() {
    let cloud = Cloud::start().await;
    let mut s3 = cloud.s3(faithful(), 3, Duration::from_secs(3600));
    s3.timing.heartbeat = Duration::from_millis(5);
    let guard = s3.lock(Holder::this("apply")).await.unwrap();
    let etag = async || s3.objects.get("lock").await.unwrap().unwrap().etag;
    let first = etag().await;
    while etag().await == first {}
    guard.check().unwrap();

    let other = cloud.patient();
    other.unlock(guard.holder()).await.unwrap();
    while guard.check().is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.standing().await.unwrap(), None, "and does not take it back");
}

#[tokio::test]
async fn unlocking_concerns_the_holder_that_was_shown_and_nobody_else() {
    let cloud = Cloud::start().await;
    let first = cloud.patient().lock("apply").await.unwrap();
    let shown = first.holder().clone();
    first.release().await.unwrap();
    let second = cloud.patient().lock("apply").await.unwrap();
    cloud.patient().unlock(&shown).await.unwrap();
    assert_eq!(cloud.patient().holder().await.unwrap().unwrap().id, second.holder().id);
}

/// The first JSON document in the page on state in S3.
fn documented_policy() -> String {
    let page = include_str!("../../../../../docs/state-s3.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    policy.replace("my-state/team/flights", &format!("{BUCKET}/team/lake")).replace("my-state", BUCKET)
}

#[tokio::test]
async fn the_documented_policy_is_enough_for_all_that_is_done_to_state() {
    let cloud = Cloud::start_with_iam(true).await;
    let root = cloud.server.root_credentials();
    let root = Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "test");
    let iam = aws_sdk_iam::Client::from_conf(
        aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(cloud.server.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(root)
            .build(),
    );
    iam.create_user().user_name("ann").send().await.unwrap();
    let put = iam.put_user_policy().user_name("ann").policy_name("state").policy_document(documented_policy());
    put.send().await.unwrap();
    let key = iam.create_access_key().user_name("ann").send().await.unwrap().access_key.unwrap();
    let ann = Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "ann");

    let mut s3 = S3::new(cloud.client_of(ann, faithful(), 1), BUCKET, FOLDER);
    s3.timing.ttl = Duration::ZERO;
    let store = Store::new(s3);
    assert!(store.load().await.unwrap().is_none());
    let (lock, journal) = begin(&store).await.unwrap();
    journal.append(outputs(1)).await.unwrap();
    kill(lock, journal);
    let (lock, journal) = begin(&store).await.unwrap();
    assert!(lock.replaced().is_some());
    journal.append(outputs(2)).await.unwrap();
    journal.close().await.unwrap();
    let mut snapshot = store.load().await.unwrap().unwrap().snapshot;
    for _ in 0..=super::super::HISTORY_MAX {
        snapshot.serial += 1;
        store.create(&lock, &snapshot).await.unwrap();
    }
    assert_eq!(store.history().await.unwrap().len(), super::super::HISTORY_MAX, "the oldest were deleted");
    store.unlock(lock.holder()).await.unwrap();
    assert!(store.standing().await.unwrap().is_none());
}
