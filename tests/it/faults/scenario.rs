//! What a seed stands for: what goes wrong, and what people do meanwhile.

use std::ops::Range;

use serde_json::{Value, json};

/// Rows of one seed's files are numbered from its seed times this on.
const IDS_OF_A_SEED: i64 = 1_000_000;

/// Columns of both datasets.
const HEADER: &str = "id,price,placed,note\n";

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    /// In one of three plans this does not go wrong at all; else up to `max`, in thousandths.
    fn share(&mut self, max: u64) -> f64 {
        match self.one_in(3) {
            true => 0.0,
            false => self.within(1..max + 1) as f64 / 1_000.0,
        }
    }
}

/// What is in one version of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Rows with these ids, and a number of rows that do not fit the contract.
    Rows { ids: Range<i64>, misfits: u64 },
    /// A file of something else; the number makes it another version.
    Alien(i64),
}

impl Content {
    pub fn text(&self) -> String {
        match self {
            Content::Rows { ids, misfits } => {
                let row = |id: String| format!("{id},1.50,2026-01-01T00:00:00Z,note {id}\n");
                let good: String = ids.clone().map(|id| row(id.to_string())).collect();
                let bad: String = (0..*misfits).map(|misfit| row(format!("no-{misfit}"))).collect();
                format!("{HEADER}{good}{bad}")
            }
            Content::Alien(number) => format!("colour,size\nred,{number}\n"),
        }
    }
}

/// What somebody does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Puts a file: a new one, or over one that is there.
    Put { file: usize, content: Content },
    /// Deletes a file.
    Delete { file: usize },
    /// Does nothing for some milliseconds.
    Rest(u64),
}

/// One run of the harness.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    /// What `lake cloud faults` is given.
    pub plan: Value,
    /// Datasets and keys of its files.
    pub files: Vec<(&'static str, String)>,
    /// What was there, and converted, before anything went wrong.
    pub before: Vec<Step>,
    /// What is done while things go wrong.
    pub steps: Vec<Step>,
    /// How long things go wrong after the last step, milliseconds.
    pub rest_ms: u64,
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed);
        let mut scenario = Scenario {
            seed,
            plan: plan(seed, &mut dice),
            files: Vec::new(),
            before: Vec::new(),
            steps: Vec::new(),
            rest_ms: dice.within(200..2_500),
        };
        let mut next_id = i64::try_from(seed).unwrap() * IDS_OF_A_SEED;
        if dice.one_in(3) {
            let file = scenario.new_file(&mut dice);
            let content = content(&mut dice, &mut next_id);
            scenario.before.push(Step::Put { file, content });
        }
        for _ in 0..dice.within(1..6) {
            let is_new = scenario.files.is_empty() || dice.one_in(2);
            let file = match is_new {
                true => scenario.new_file(&mut dice),
                false => usize::try_from(dice.within(0..scenario.files.len() as u64)).unwrap(),
            };
            let step = match !is_new && dice.one_in(3) {
                true => Step::Delete { file },
                false => Step::Put { file, content: content(&mut dice, &mut next_id) },
            };
            scenario.steps.push(step);
            if dice.one_in(3) {
                scenario.steps.push(Step::Rest(dice.within(1..1_000)));
            }
        }
        scenario
    }

    fn new_file(&mut self, dice: &mut Dice) -> usize {
        let (seed, number) = (self.seed, self.files.len());
        let dataset = if dice.one_in(2) { "orders" } else { "receipts" };
        // As people name files; S3's events encode keys.
        let name = match dice.within(0..4) {
            0 => format!("{seed}/{number}.csv"),
            1 => format!("{seed} {number}+.csv"),
            2 => format!("{seed}-{number}-ü=%41.csv"),
            _ => format!("{seed}-{number}.csv"),
        };
        self.files.push((dataset, format!("{dataset}/{name}")));
        number
    }
}

fn content(dice: &mut Dice, next_id: &mut i64) -> Content {
    let first = *next_id;
    if dice.one_in(6) {
        *next_id += 1;
        return Content::Alien(first);
    }
    let count = if dice.one_in(8) { dice.within(2_000..20_000) } else { dice.within(1..80) };
    *next_id += i64::try_from(count).unwrap();
    let misfits = if dice.one_in(4) { dice.within(1..4) } else { 0 };
    Content::Rows { ids: first..*next_id, misfits }
}

/// Faults that AWS itself could be hit by. Two kinds are not among them, for no pipeline survives them: requests of
/// people whose answer is lost (they put again, and a put that is not acknowledged is not promised anything), and the
/// loss of what AWS delivers at least once (the plan's `drop` leaves that alone by itself).
fn plan(seed: u64, dice: &mut Dice) -> Value {
    let mut plan = json!({
        "seed": seed,
        "events": {
            "drop": dice.share(400), "duplicate": dice.share(300), "delay": dice.share(400),
            "delay_ms_max": dice.within(1..301),
        },
        "requests": { "throttle": dice.share(100), "fail": dice.share(100), "lose_answer": dice.share(50) },
        "functions": { "kill": dice.share(40) },
    });
    if dice.one_in(5) {
        worsen(&mut plan, dice);
    }
    if dice.one_in(10) {
        // A run makes some dozens of requests.
        plan["cloud"] = json!({ "kill_at_request": dice.within(5..60) });
    }
    plan
}

/// One thing goes wrong so often that hardly anything gets through before the faults end.
fn worsen(plan: &mut Value, dice: &mut Dice) {
    match dice.within(0..7) {
        0 => plan["functions"]["kill"] = json!(0.3),
        1 => plan["requests"]["fail"] = json!(0.5),
        2 => plan["requests"]["throttle"] = json!(0.5),
        3 => plan["requests"]["lose_answer"] = json!(0.3),
        4 => plan["events"]["drop"] = json!(1.0),
        5 => plan["events"]["duplicate"] = json!(1.0),
        _ => {
            plan["events"]["delay"] = json!(1.0);
            plan["events"]["delay_ms_max"] = json!(2_000);
        }
    }
}

#[test]
fn a_seed_always_stands_for_the_same_and_files_of_different_seeds_share_no_row() {
    assert_eq!(format!("{:?}", Scenario::new(7)), format!("{:?}", Scenario::new(7)));
    let ids = |seed| {
        let scenario = Scenario::new(seed);
        let steps: Vec<Step> = scenario.before.into_iter().chain(scenario.steps).collect();
        let ids = steps.into_iter().filter_map(|step| match step {
            Step::Put { content: Content::Rows { ids, .. }, .. } => Some(ids),
            _ => None,
        });
        ids.flatten().collect::<Vec<i64>>()
    };
    let mut all: Vec<i64> = (1..50).flat_map(ids).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}
