//! What `lake status`, `lake runs` and `lake put --wait` read.

use futures::executor::block_on;

use super::world::*;
use crate::pipeline::{
    ledger::Kind,
    view::{self, Stage},
};

#[test]
fn runs_are_listed_newest_first_across_days_and_only_as_many_as_asked_for() {
    let world = World::new();
    for day in 0..3 {
        for object in 0..2 {
            world.put_and_tell(&format!("in/{day}-{object}.csv"), "one");
        }
        world.settle();
        world.advance(jiff::SignedDuration::from_hours(24 * 20));
    }
    let runs = block_on(view::runs(&world.process(), DATASET, 3)).unwrap();
    assert_eq!(runs.len(), 3);
    assert!(runs.windows(2).all(|pair| pair[0].id > pair[1].id));
    assert!(runs[0].key.starts_with("in/2-") && runs[2].key.starts_with("in/1-"));
    let all = block_on(view::runs(&world.process(), DATASET, 100)).unwrap();
    assert_eq!(all.len(), 6);
    let one = block_on(view::run(&world.process(), DATASET, &runs[0].id)).unwrap();
    assert_eq!(one.as_ref(), Some(&runs[0]));
    assert_eq!(block_on(view::run(&world.process(), DATASET, "no")).unwrap(), None);
}

#[test]
fn a_version_of_a_key_is_followed_from_its_event_to_its_commit() {
    let world = World::new();
    let key = "in/a.csv";
    world.upload(key, "one");
    let etag = world.lock().sources[key].0.clone();
    let stage = || {
        let now = world.lock().now;
        block_on(view::key_state(&world.process(), DATASET, key)).unwrap().stage(&etag, now)
    };
    assert_eq!(stage(), Stage::Unknown);
    world.tell(key);
    assert_eq!(stage(), Stage::Pending);
    let _ = world.convert_on(&world.process_with([(2, Fault::DieBefore)]), "r1", key);
    assert!(matches!(stage(), Stage::Converting { owner, .. } if owner == "r1"));
    let run = world.convert("r1", key).unwrap().runs.remove(0);
    assert_eq!(stage(), Stage::Committed { run: run.id, told: true });
}

#[test]
fn records_come_in_pages_and_a_damaged_one_is_named_and_hides_no_other() {
    let world = World::new();
    for object in 0..450 {
        world.put_and_tell(&format!("in/{object}.csv"), "one");
    }
    let damaged = Kind::Pending.key(DATASET, "in/0.csv");
    world.lock().objects.get_mut(&damaged).unwrap().1 = bytes::Bytes::from_static(b"{");
    let (mut seen, mut bad, mut page, mut pages) = (0, Vec::new(), None, 0);
    loop {
        let next = block_on(view::pending(&world.process(), DATASET, page.as_deref())).unwrap();
        seen += next.records.len();
        bad.extend(next.damaged);
        pages += 1;
        page = next.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (449, 3));
    assert!(bad[0].contains(&damaged), "{bad:?}");
    assert_eq!(block_on(view::count_pending(&world.process(), DATASET)).unwrap(), 450);
}
