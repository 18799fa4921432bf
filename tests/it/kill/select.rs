//! Which cases a test run takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    bucket::HEARTBEAT,
    call::{Call, STATE},
    proxy::{Mode, Point},
    scenario::{Action, Place, SCENARIOS, Scenario},
};

/// Calls that change nothing are taken so many per scenario.
const READS: usize = 3;

/// One kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub scenario: Scenario,
    pub point: Point,
    pub mode: Mode,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Mode::Before => "before",
            Mode::After => "after",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scenario, mode) = (self.scenario.name(), self.mode.word());
        match &self.point {
            Point::Number(number) => write!(f, "{scenario}:{number}:{mode}"),
            Point::Named(name, nth) => write!(f, "{scenario}:{name}#{nth}:{mode}"),
        }
    }
}

impl Case {
    /// What repeats it.
    pub fn command(&self) -> String {
        format!("LAKE_KILL='{self}' cargo test --release --test it -- kill::killed")
    }

    /// The reverse of its display. An operation may have a colon in it.
    fn parse(text: &str) -> Option<Case> {
        let (rest, mode) = text.rsplit_once(':')?;
        let (scenario, point) = rest.split_once(':')?;
        let point = match point.split_once('#') {
            Some((name, nth)) => Point::Named(name.to_owned(), nth.parse().ok()?),
            None => Point::Number(point.parse().ok()?),
        };
        let mode = [Mode::Before, Mode::After].into_iter().find(|it| it.word() == mode)?;
        Some(Case { scenario: named(scenario)?, point, mode })
    }
}

fn named(name: &str) -> Option<Scenario> {
    SCENARIOS.into_iter().find(|scenario| scenario.name() == name)
}

/// What a test run is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// Each kind of resource, and of call to the bucket of a state.
    Kinds,
    /// Every call, in both modes, of these scenarios; of all that, a share.
    All(Vec<Scenario>, Share),
    One(Case),
}

/// One in so many, from a place on: `7+2` leaves out two and takes every seventh from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub one_in: usize,
    pub from: usize,
}

impl Share {
    fn parse(text: &str) -> Option<Share> {
        let (one_in, from) = text.split_once('+').unwrap_or((text, "0"));
        Some(Share { one_in: one_in.parse().ok().filter(|&count| count > 0)?, from: from.parse().ok()? })
    }
}

impl Wish {
    pub fn from(text: Option<&str>) -> Wish {
        let Some(text) = text else { return Wish::Kinds };
        if let Some(case) = Case::parse(text) {
            return Wish::One(case);
        }
        let (what, one_in) = text.split_once('/').unwrap_or((text, "1"));
        let scenarios = match what {
            "all" => Some(SCENARIOS.to_vec()),
            "s3" => Some(SCENARIOS.into_iter().filter(|scenario| scenario.place == Place::Bucket).collect()),
            name => named(name).map(|scenario| vec![scenario]),
        };
        let wish = scenarios.zip(Share::parse(one_in)).map(|(scenarios, share)| Wish::All(scenarios, share));
        wish.unwrap_or_else(|| panic!("LAKE_KILL={text} is none of all, all/7, all/7+2, s3, create, create:137:after"))
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        match self {
            Wish::Kinds => SCENARIOS.to_vec(),
            Wish::All(scenarios, _) => scenarios.clone(),
            Wish::One(case) => vec![case.scenario],
        }
    }

    /// The cases, by the calls that each scenario makes.
    pub fn cases<'a>(&self, calls: impl Fn(Scenario) -> &'a [Call]) -> Vec<Case> {
        match self {
            Wish::One(case) => vec![case.clone()],
            Wish::All(scenarios, share) => {
                let cases = scenarios.iter().flat_map(|&scenario| every(scenario, calls(scenario).len()));
                cases.skip(share.from).step_by(share.one_in).collect()
            }
            Wish::Kinds => kinds(calls),
        }
    }
}

fn every(scenario: Scenario, calls: usize) -> impl Iterator<Item = Case> {
    let both =
        move |number| [Mode::Before, Mode::After].map(|mode| Case { scenario, point: Point::Number(number), mode });
    (1..=calls).flat_map(both)
}

/// The first call of each operation that changes something: of the scenarios that make and destroy a lake in both modes,
/// of the others in turn. Besides, a few that change nothing.
fn kinds<'a>(calls: impl Fn(Scenario) -> &'a [Call]) -> Vec<Case> {
    // What takes longest comes first.
    let mut cases = of_state(&calls);
    let mut in_turn = [Mode::Before, Mode::After].into_iter().cycle();
    let mut turn = || in_turn.next().expect("it has no end");
    for scenario in SCENARIOS.into_iter().filter(|scenario| scenario.place == Place::Folder) {
        let calls = calls(scenario);
        let writes: BTreeSet<String> = calls.iter().filter(|call| call.writes).map(ToString::to_string).collect();
        for name in writes {
            let point = Point::Named(name, 1);
            if matches!(scenario.action, Action::Create | Action::Destroy) {
                cases.extend([Mode::Before, Mode::After].map(|mode| Case { scenario, point: point.clone(), mode }));
            } else {
                cases.push(Case { scenario, point, mode: turn() });
            }
        }
        let reads: Vec<usize> = (1..=calls.len()).filter(|number| !calls[number - 1].writes).collect();
        for read in reads.iter().step_by((reads.len() / READS).max(1)).take(READS) {
            cases.push(Case { scenario, point: Point::Number(*read), mode: turn() });
        }
    }
    cases
}

/// Each operation on the bucket of the state, in both modes: the one in the middle, of the scenario that it comes in
/// first. Besides, a heartbeat.
fn of_state<'a>(calls: impl Fn(Scenario) -> &'a [Call]) -> Vec<Case> {
    let both = |scenario: Scenario, name: String, nth: usize| {
        [Mode::Before, Mode::After].map(|mode| Case { scenario, point: Point::Named(name.clone(), nth), mode })
    };
    let mut seen = BTreeSet::new();
    let mut cases = both(Place::Bucket.with(Action::Create), HEARTBEAT.to_owned(), 1).to_vec();
    for scenario in SCENARIOS.into_iter().filter(|scenario| scenario.place == Place::Bucket) {
        let mut counts = BTreeMap::new();
        for call in calls(scenario).iter().filter(|call| call.service == STATE) {
            *counts.entry(call.to_string()).or_insert(0_usize) += 1;
        }
        counts.retain(|name, _| seen.insert(name.clone()));
        for (name, count) in counts {
            cases.extend(both(scenario, name, count.div_ceil(2)));
        }
    }
    cases
}

#[test]
fn a_case_is_written_as_it_is_read() {
    for text in ["create:137:after", "delete-first:1:before", "s3-mixed:state.PutObject:seal#1:before"] {
        assert_eq!(Case::parse(text).unwrap().to_string(), text);
        assert!(matches!(Wish::from(Some(text)), Wish::One(_)));
    }
    let all = |one_in, from| Wish::All(SCENARIOS.to_vec(), Share { one_in, from });
    assert_eq!(Wish::from(Some("all/7")), all(7, 0));
    assert_eq!(Wish::from(Some("all/7+2")), all(7, 2));
    assert_eq!(
        Wish::from(Some("mixed")),
        Wish::All(vec![Place::Folder.with(Action::Mixed)], Share { one_in: 1, from: 0 })
    );
    assert_eq!(Wish::from(None), Wish::Kinds);
}
