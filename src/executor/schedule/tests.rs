use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn resources(workers: usize) -> Resources {
    Resources { workers, text_bytes: 100 }
}

fn block(number: u8, ends_group: bool) -> Block {
    let (faults, keeps) = (Vec::new(), None);
    Block { bytes: vec![number; 10].into(), line: 1, offset: 0, has_quotes: false, faults, ends_group, keeps }
}

/// Blocks with the numbers from 0, two of them a group.
fn reading(blocks: u8) -> impl FnMut() -> Result<Option<Next<()>>, Error> {
    let mut given = None;
    move || {
        let Some(number) = given else {
            given = Some(0);
            return Ok(Some(Next::File(Arc::new(()))));
        };
        given = Some(number + 1);
        Ok((number < blocks).then(|| Next::Block(block(number, number % 2 == 1))))
    }
}

fn numbers(mut group: Group<()>, pieces: &Pieces<u8>) -> Result<(), Stop> {
    while let Some(block) = group.next()? {
        pieces.give(block.bytes[0])?;
    }
    Ok(())
}

#[test]
fn pieces_are_settled_in_the_order_of_the_input_however_many_work() {
    for workers in [1, 2, 7] {
        let mut settled = Vec::new();
        let settle = |number| {
            settled.push(number);
            Ok(())
        };
        run(resources(workers), &Progress::new(), reading(101), numbers, settle).unwrap();
        assert_eq!(settled, (0..101).collect::<Vec<u8>>());
    }
}

#[test]
fn the_first_error_in_the_order_of_the_input_is_told_whoever_meets_his_first() {
    let failing = |mut group: Group<()>, pieces: &Pieces<u8>| {
        while let Some(block) = group.next()? {
            let number = block.bytes[0];
            if number >= 7 {
                return Err(Error::Header { name: number.to_string(), message: String::new() }.into());
            }
            pieces.give(number)?;
        }
        Ok(())
    };
    for _ in 0..20 {
        let error = run(resources(4), &Progress::new(), reading(100), failing, |_| Ok(())).unwrap_err();
        assert!(matches!(&error, Error::Header { name, .. } if name == "7"), "{error}");
    }
}

#[test]
fn what_reading_fails_with_is_told_behind_what_came_before() {
    let mut read = reading(5);
    let read = move || match read()? {
        None => Err(Error::Cancelled),
        next => Ok(next),
    };
    let mut settled = 0;
    let settle = |_| {
        settled += 1;
        Ok(())
    };
    assert!(matches!(run(resources(2), &Progress::new(), read, numbers, settle), Err(Error::Cancelled)));
    assert_eq!(settled, 5);
}

#[test]
fn who_stops_settling_stops_all_others() {
    let endless = || {
        let mut begun = false;
        move || {
            let next = if begun { Next::Block(block(1, true)) } else { Next::File(Arc::new(())) };
            begun = true;
            Ok(Some(next))
        }
    };
    let error = run(resources(3), &Progress::new(), endless(), numbers, |_| Err(Error::Cancelled)).unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    let progress = Progress::new();
    let settle = |_| {
        progress.cancel();
        Ok(())
    };
    assert!(matches!(run(resources(3), &progress, endless(), numbers, settle), Err(Error::Cancelled)));
}

#[test]
fn text_under_way_is_bounded_while_nobody_works() {
    let most = AtomicUsize::new(0);
    let cut = AtomicUsize::new(0);
    let settled = AtomicUsize::new(0);
    let mut blocks = reading(200);
    let read = || {
        let ahead =
            cut.fetch_add(1, Ordering::Relaxed) - settled.load(Ordering::Relaxed).min(cut.load(Ordering::Relaxed));
        most.fetch_max(ahead, Ordering::Relaxed);
        blocks()
    };
    let settle = |_| {
        settled.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        Ok(())
    };
    run(resources(1), &Progress::new(), read, numbers, settle).unwrap();
    // Ten blocks of text, those of a group that wait to be settled, and one each in the hands of reader and worker.
    assert!(most.load(Ordering::Relaxed) <= 10 + 2 * PIECES_MAX + 6, "{most:?}");
}

#[test]
fn there_are_as_many_workers_as_memory_allows_and_always_one() {
    let workers = |processors, megabytes: usize| Resources::of(processors, megabytes << 20).workers;
    assert_eq!((workers(2, 256), workers(64, 256), workers(8, 16), workers(0, 0)), (2, 3, 1, 1));
}
