use proptest::prelude::*;

use super::*;
use crate::{
    resource::Packed,
    state::{Difference, Removed, store::memory::Memory},
};

fn address(name: &str) -> Address {
    Address::new("fake:test:Thing", name)
}

fn recorded(name: &str, on: &[&str]) -> Recorded {
    Recorded {
        address: address(name),
        generation: 1,
        identity: format!("id-{name}"),
        inputs: Packed::default(),
        outputs: Packed::default(),
        dependencies: on.iter().map(|on| address(on)).collect(),
        retain: false,
    }
}

fn begin(name: &str, operation: &str) -> Edit {
    let observed_absent = operation == "create";
    Edit::Begin(Intent { planned: recorded(name, &[]), operation: operation.to_owned(), observed_absent }.into())
}

fn record(name: &str) -> Edit {
    Edit::Record(recorded(name, &[]).into())
}

fn remove(name: &str) -> Edit {
    let Recorded { address, generation, identity, .. } = recorded(name, &[]);
    Edit::Remove(Removed { address, generation, identity, deposed: false, retained: false })
}

/// A command that makes these edits; with `close` it writes the base anew.
async fn run(memory: &Memory, edits: Vec<Edit>, close: bool) -> Snapshot {
    let store = Store::new(memory.clone());
    let lock = Arc::new(store.lock("apply").await.unwrap());
    if store.load().await.unwrap().is_none() {
        store.create(&lock, &Snapshot::new("flights", "local")).await.unwrap();
    }
    let journal = store.journal(lock, store.load().await.unwrap().unwrap()).await.unwrap();
    journal.append(journal.run("apply")).await.unwrap();
    for edit in edits {
        journal.append(edit).await.unwrap();
    }
    if close {
        return journal.close().await.unwrap();
    }
    journal.read(Clone::clone)
}

/// Two resources in the base, a third in the journal; the command was killed then.
async fn stack() -> (Memory, Snapshot) {
    let memory = Memory::default();
    run(&memory, vec![begin("a", "create"), record("a"), begin("b", "create"), record("b")], true).await;
    let snapshot = run(&memory, vec![begin("c", "create"), record("c")], false).await;
    (memory, snapshot)
}

async fn diagnosis(memory: &Memory) -> Diagnosis {
    Store::new(memory.clone()).diagnose().await.unwrap()
}

/// The state after `lake state repair --yes`, and whether something may be lost.
async fn repaired(memory: &Memory) -> (Snapshot, bool) {
    let store = Store::new(memory.clone());
    assert!(store.load().await.is_err(), "it is refused before");
    let diagnosis = store.diagnose().await.unwrap();
    assert!(!diagnosis.findings.is_empty());
    let Remedy::Mend { snapshot, lossy, .. } = &diagnosis.remedy else { panic!("{diagnosis:?}") };
    let lock = store.lock("state repair").await.unwrap();
    store.mend(&lock, snapshot, &diagnosis, "now").await.unwrap();
    let after = store.diagnose().await.unwrap();
    assert_eq!(after.findings, Vec::<String>::new());
    (store.load().await.unwrap().unwrap().snapshot, *lossy)
}

fn without_serial(snapshot: &Snapshot) -> Snapshot {
    Snapshot { serial: 0, ..snapshot.clone() }
}

/// Everything that is recorded or will be asked for.
fn identities(snapshot: &Snapshot) -> BTreeSet<String> {
    let pending = snapshot.pending.iter().map(|intent| intent.planned.identity.clone());
    snapshot.known().map(|recorded| recorded.identity.clone()).chain(pending).collect()
}

#[tokio::test]
async fn a_sound_state_has_no_findings_and_its_journal_is_counted() {
    let (memory, snapshot) = stack().await;
    let diagnosis = diagnosis(&memory).await;
    assert!(matches!(diagnosis.remedy, Remedy::None(Some(state)) if *state == snapshot));
    assert_eq!((diagnosis.edits, diagnosis.groups, diagnosis.history, diagnosis.torn), (3, 3, 1, false));
}

#[tokio::test]
async fn a_base_that_is_damaged_edited_or_gone_is_made_of_the_history_without_loss() {
    let damages: [fn(&mut Option<Vec<u8>>); 4] = [
        |base| base.as_mut().unwrap().truncate(100),
        |base| base.as_mut().unwrap()[20] ^= 1,
        |base| {
            let text = String::from_utf8(base.take().unwrap()).unwrap();
            *base = Some(text.replace("id-a", "id-z").into_bytes());
        },
        |base| *base = None,
    ];
    for damage in damages {
        let (memory, snapshot) = stack().await;
        damage(&mut memory.files.lock().unwrap().0);
        let (mended, lossy) = repaired(&memory).await;
        assert_eq!(without_serial(&mended), without_serial(&snapshot));
        assert!(!lossy && mended.serial > snapshot.serial);
    }
}

#[tokio::test]
async fn an_older_base_that_was_put_back_gives_way_to_what_the_journal_goes_on_from() {
    let (memory, snapshot) = stack().await;
    let older = memory.past.lock().unwrap()[0].1.0.clone();
    memory.files.lock().unwrap().0 = older;
    assert_eq!(without_serial(&repaired(&memory).await.0), without_serial(&snapshot));
}

#[tokio::test]
async fn a_line_that_is_damaged_in_the_middle_cuts_the_journal_and_what_stands_behind_is_asked_for() {
    let (memory, _) = stack().await;
    run(&memory, vec![begin("d", "create"), record("d"), begin("a", "delete"), remove("a")], false).await;
    {
        let mut files = memory.files.lock().unwrap();
        // The record of `c`.
        let lines: Vec<usize> = files.1.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|it| it.0).collect();
        files.1[lines[2] + 30] ^= 1;
    }
    let (mended, lossy) = repaired(&memory).await;
    assert!(lossy);
    assert_eq!(mended.resources.len(), 2);
    assert_eq!(identities(&mended), ["id-a", "id-b", "id-c", "id-d"].map(str::to_owned).into());
    let pending = |name: &str| mended.pending.iter().find(|intent| intent.planned.address == address(name)).unwrap();
    assert!(pending("d").observed_absent, "a part that lake made is ours");
    assert_eq!(pending("a").operation, "delete");
}

#[tokio::test]
async fn two_lines_that_ran_into_each_other_are_both_read() {
    for newline in 0..3 {
        let (memory, _) = stack().await;
        let snapshot = run(&memory, vec![begin("d", "create"), record("d")], false).await;
        {
            let bytes = &mut memory.files.lock().unwrap().1;
            let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
            bytes[ends[newline]] = b'X';
        }
        let (mended, lossy) = repaired(&memory).await;
        assert_eq!((without_serial(&mended), lossy), (without_serial(&snapshot), false), "{newline}");
    }
}

#[tokio::test]
async fn a_torn_end_is_no_damage() {
    let (memory, _) = stack().await;
    memory.files.lock().unwrap().1.extend_from_slice(b"0123456789abcdef {\"g\":9");
    let diagnosis = diagnosis(&memory).await;
    assert!(diagnosis.torn && diagnosis.findings.is_empty() && matches!(diagnosis.remedy, Remedy::None(_)));
}

#[tokio::test]
async fn what_is_damaged_in_the_history_is_named_and_taken_out() {
    let (memory, snapshot) = stack().await;
    memory.past.lock().unwrap()[0].1.0.as_mut().unwrap()[20] ^= 1;
    let found = diagnosis(&memory).await;
    assert!(matches!(found.remedy, Remedy::None(_)) && found.damaged_history.len() == 1, "{found:?}");
    let store = Store::new(memory.clone());
    store.discard(&store.lock("state repair").await.unwrap(), &found, "now").await.unwrap();
    assert_eq!(diagnosis(&memory).await.findings, Vec::<String>::new());
    assert_eq!(store.load().await.unwrap().unwrap().snapshot, snapshot);
}

#[tokio::test]
async fn where_nothing_is_left_it_says_so() {
    let memory = Memory::default();
    memory.files.lock().unwrap().0 = Some(b"{ torn".to_vec());
    assert!(matches!(diagnosis(&memory).await.remedy, Remedy::Lost));
    assert!(matches!(diagnosis(&Memory::default()).await.remedy, Remedy::None(None)));
}

fn snapshot(records: impl IntoIterator<Item = (Address, Recorded)>) -> Snapshot {
    let mut snapshot = Snapshot::new("flights", "local");
    snapshot.resources = records.into_iter().map(|(filed, record)| (filed, record.into())).collect();
    snapshot
}

fn filed(record: Recorded) -> (Address, Recorded) {
    (record.address.clone(), record)
}

#[test]
fn one_thing_recorded_at_two_addresses_is_the_later_generations_and_the_others_next_has_another_name() {
    let later = Recorded { generation: 2, identity: "id-a".to_owned(), ..recorded("new", &[]) };
    let user = recorded("user", &["a", "new"]);
    let (mended, steps) = mend(snapshot([filed(recorded("a", &[])), filed(later), filed(user)]));
    assert_eq!(steps, ["`id-a` is the resource of fake:test:Thing/new alone"]);
    assert_eq!(mended.resources[&address("user")].dependencies, [address("new")]);
    assert_eq!(mended.tombstones[&address("a")], Tombstone { generation: 1, retained: false });
}

#[test]
fn what_is_current_and_to_be_deleted_at_once_is_not_deleted() {
    let mut both = snapshot([filed(recorded("a", &[]))]);
    both.deposed = vec![recorded("a", &[]).into(), recorded("b", &[]).into(), recorded("b", &[]).into()];
    let (mended, _) = mend(both);
    let deposed: Vec<&str> = mended.deposed.iter().map(|it| it.identity.as_str()).collect();
    assert_eq!((mended.resources.len(), deposed), (1, vec!["id-b"]));
}

#[test]
fn a_record_filed_wrongly_goes_where_it_belongs() {
    let (mended, _) = mend(snapshot([(address("x"), recorded("a", &[]))]));
    assert_eq!(mended.resources.keys().collect::<Vec<_>>(), [&address("a")]);
    let other = Recorded { identity: "id-other".to_owned(), ..recorded("a", &[]) };
    let (mended, steps) = mend(snapshot([filed(recorded("a", &[])), (address("x"), other)]));
    assert_eq!((mended.resources.len(), mended.deposed[0].identity.as_str()), (1, "id-other"), "{steps:?}");
}

#[test]
fn edges_to_nothing_and_in_circles_go() {
    let circle = [filed(recorded("a", &["b"])), filed(recorded("b", &["a", "gone"])), filed(recorded("c", &["a"]))];
    let (mended, _) = mend(snapshot(circle));
    assert_eq!(mended.resources[&address("b")].dependencies, []);
    assert_eq!(mended.resources[&address("c")].dependencies, [address("a")]);
}

/// Edits of a few commands over a few resources.
fn edits(choices: &[u8]) -> Vec<Edit> {
    let mut there = BTreeSet::new();
    let mut edits = Vec::new();
    for choice in choices {
        let name = ["a", "b", "c", "d", "e"][usize::from(choice % 5)];
        let operation = match (there.contains(name), choice / 5 % 2) {
            (false, _) => "create",
            (true, 0) => "update",
            (true, _) => "delete",
        };
        edits.push(begin(name, operation));
        if operation == "delete" {
            there.remove(name);
            edits.push(remove(name));
        } else {
            there.insert(name);
            edits.push(record(name));
        }
        if choice % 7 == 0 {
            let outputs = Some([("n".to_owned(), (*choice).into())].into());
            edits.push(Edit::Differ(Box::new(Difference { outputs, ..Difference::default() })));
        }
    }
    edits
}

proptest! {
    #[test]
    fn whatever_byte_is_damaged_nothing_that_may_be_in_the_cloud_is_forgotten(
        before in prop::collection::vec(any::<u8>(), 0..8),
        after in prop::collection::vec(any::<u8>(), 0..12),
        in_base: bool,
        place: prop::sample::Index,
        flip in 1u8..=255,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = Memory::default();
            let all: Vec<u8> = before.iter().chain(&after).copied().collect();
            let all = edits(&all);
            let first = edits(&before).len();
            run(&memory, all[..first].to_vec(), true).await;
            let snapshot = run(&memory, all[first..].to_vec(), false).await;
            {
                let mut files = memory.files.lock().unwrap();
                let bytes = if in_base { files.0.as_mut().unwrap() } else { &mut files.1 };
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
            }
            // A later version's, by its number: left to that version.
            let Ok(diagnosis) = Store::new(memory.clone()).diagnose().await else { return Ok(()) };
            let after = match diagnosis.remedy {
                Remedy::None(state) => *state.unwrap(),
                Remedy::Mend { snapshot, .. } => *snapshot,
                Remedy::Lost => panic!("the history is there"),
            };
            verify(&after).unwrap();
            let left = identities(&after);
            // The end of the journal cannot be told from one that a crash tore: nobody has acted on that.
            let sure = if diagnosis.torn { BTreeSet::new() } else { identities(&snapshot) };
            prop_assert!(sure.is_subset(&left), "{sure:?} {left:?}");
            Ok(())
        })?;
    }
}
