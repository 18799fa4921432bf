//! Answers that are lost, requests that come late, and processes that do not know yet that they lost their lock.

use super::{
    wire::{Fate, Script},
    *,
};

/// A command from beginning to end; what it left in the state.
async fn command(store: &Store) -> Result<Value, StateError> {
    let (lock, journal) = begin(store).await?;
    for value in 1..=3 {
        journal.append(outputs(value)).await?;
    }
    let snapshot = journal.close().await?;
    lock.release().await?;
    Ok(out(&snapshot))
}

/// Whatever happens to one of a command's writes, once: the command does not notice.
async fn survives(fate: Fate, tries: u32) {
    let mut skip = 0;
    loop {
        let cloud = Cloud::start().await;
        let script = Arc::new(Script::default());
        script.next("PUT", BUCKET, skip, fate);
        let store = Store::new(cloud.s3(script.clone(), tries, Duration::from_secs(3600)));
        let ended = command(&store).await.unwrap_or_else(|error| panic!("write {skip}, {fate:?}: {error}"));
        assert_eq!((ended, out(&cloud.state().await)), (json!(3), json!(3)), "write {skip}");
        assert_eq!(cloud.patient().standing().await.unwrap(), None, "write {skip}");
        // The second command meets what the first left.
        assert_eq!(command(&cloud.patient()).await.unwrap(), 3, "write {skip}");
        if script.unused() > 0 {
            assert!(script.puts() >= 8, "all writes of a command came by: {}", script.puts());
            return;
        }
        skip += 1;
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_known_again_when_the_sdk_sends_it_a_second_time() {
    survives(Fate::LoseAnswer, 3).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_found_where_nobody_sends_it_again() {
    survives(Fate::LoseAnswer, 1).await;
}

#[tokio::test]
async fn a_write_that_never_arrives_is_sent_again() {
    survives(Fate::Lose, 1).await;
}

#[tokio::test]
async fn a_write_that_s3_could_not_decide_is_tried_again() {
    survives(Fate::Conflict, 1).await;
}

#[tokio::test]
async fn an_earlier_holder_that_wakes_up_can_neither_append_nor_replace_the_base() {
    let cloud = Cloud::start().await;
    let (zombie_lock, zombie) = begin(&cloud.patient()).await.unwrap();
    zombie.append(outputs(1)).await.unwrap();

    let (lock, journal) = begin(&cloud.impatient()).await.unwrap();
    assert_eq!(lock.replaced().unwrap().holder.id, zombie_lock.holder().id);
    assert_eq!(journal.read(out), 1);
    let refused = zombie.append(outputs(2)).await.unwrap_err();
    assert!(matches!(refused, StateError::Fenced { .. }), "{refused}");
    assert!(zombie_lock.guard().check().is_err(), "it knows now");
    journal.append(outputs(3)).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(out(&cloud.state().await), 3);
    // It cannot give back what is another's either.
    zombie_lock.release().await.unwrap();
    assert_eq!(cloud.patient().holder().await.unwrap().unwrap().id, lock.holder().id);
}

#[tokio::test]
async fn an_earlier_holder_cannot_compact_what_the_new_one_goes_on_with() {
    let cloud = Cloud::start().await;
    let (zombie_lock, zombie) = begin(&cloud.patient()).await.unwrap();
    zombie.append(outputs(1)).await.unwrap();
    let (_lock, journal) = begin(&cloud.impatient()).await.unwrap();
    journal.append(outputs(2)).await.unwrap();
    // It is only told in the log: all that it wrote is durable, and stays.
    zombie.close().await.unwrap();
    assert_eq!(out(&cloud.state().await), 2);
    drop(zombie_lock);
}

#[tokio::test]
async fn an_append_that_arrives_after_the_lock_was_taken_over_changes_nothing() {
    let cloud = Cloud::start().await;
    let script = Arc::new(Script::default());
    let (zombie_lock, zombie) = begin(&Store::new(cloud.s3(script.clone(), 1, Duration::ZERO))).await.unwrap();
    zombie.append(outputs(1)).await.unwrap();
    script.next("PUT", "/journal/", 0, Fate::Late);
    // The process is killed while its request is under way.
    let mut append = Box::pin(zombie.append(outputs(2)));
    while script.unused() > 0 {
        tokio::select! {
            biased;
            _ = &mut append => break,
            () = tokio::task::yield_now() => {}
        }
    }
    drop(append);
    kill(zombie_lock, zombie);

    let (_lock, journal) = begin(&cloud.impatient()).await.unwrap();
    script.let_arrive().await;
    assert_eq!(out(&cloud.state().await), 1);
    journal.append(outputs(3)).await.unwrap();
    assert_eq!(out(&cloud.state().await), 3);
}

#[tokio::test]
async fn a_base_that_arrives_after_the_lock_was_taken_over_loses_nothing() {
    let cloud = Cloud::start().await;
    let script = Arc::new(Script::default());
    let (zombie_lock, zombie) = begin(&Store::new(cloud.s3(script.clone(), 1, Duration::ZERO))).await.unwrap();
    zombie.append(outputs(1)).await.unwrap();
    script.next("PUT", "/state.json", 0, Fate::Late);
    let mut close = Box::pin(zombie.close());
    while script.unused() > 0 {
        tokio::select! {
            biased;
            _ = &mut close => break,
            () = tokio::task::yield_now() => {}
        }
    }
    drop(close);
    std::mem::forget(zombie_lock);

    // The journal is sealed: whoever comes next replaces the base before anything else.
    let (_lock, journal) = begin(&cloud.impatient()).await.unwrap();
    journal.append(outputs(2)).await.unwrap();
    script.let_arrive().await;
    assert_eq!(out(&cloud.state().await), 2);
    journal.append(outputs(3)).await.unwrap();
    assert_eq!(out(&cloud.state().await), 3);
}

#[tokio::test]
async fn a_command_that_ends_between_any_two_of_its_writes_leaves_what_the_next_goes_on_with() {
    let mut writes = 0;
    loop {
        let cloud = Cloud::start().await;
        command(&cloud.patient()).await.unwrap();
        let script = Arc::new(Script::default());
        // From that write on none arrives: to the others, the process has ended.
        script.cut_after(writes);
        let store = Store::new(cloud.s3(script.clone(), 1, Duration::ZERO));
        let ended = begin(&store).await;
        let mut acknowledged = json!(3);
        if let Ok((lock, journal)) = ended {
            for value in 4..=6 {
                match journal.append(outputs(value)).await {
                    Ok(()) => acknowledged = json!(value),
                    Err(_) => break,
                }
            }
            let _ = journal.close().await;
            std::mem::forget(lock);
        }
        let whole = script.puts() <= writes;
        assert_eq!(out(&cloud.state().await), acknowledged, "{writes} writes");
        let (_lock, journal) = begin(&cloud.impatient()).await.unwrap();
        journal.append(outputs(9)).await.unwrap();
        journal.close().await.unwrap();
        assert_eq!(out(&cloud.state().await), 9, "{writes} writes");
        if whole {
            return;
        }
        writes += 1;
    }
}
