//! Cases: from a number, so that a case is the same wherever it is run.

use std::path::Path;

use crate::executor::csv::marks::{Marks, Quoting};

/// Bytes of a text that is taken from the corpus, before it is changed.
const WINDOW_BYTES_MAX: u64 = 320;

/// A text, and how it is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub text: Vec<u8>,
    pub how: How,
}

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    pub delimiter: char,
    pub quote: Option<char>,
    pub escape: Option<char>,
    pub returns: bool,
    pub comment: Option<char>,
    /// Fields of a row.
    pub width: usize,
    pub pads: bool,
    /// Bytes of a record, of a block, of a group, of a read; rows and bytes of a slab.
    pub record: usize,
    pub block: usize,
    pub group: u64,
    pub step: usize,
    pub rows: usize,
    pub bytes: usize,
    /// Types of the columns, three bits each.
    pub types: u32,
}

impl How {
    /// As most files are.
    pub const PLAIN: How = How {
        delimiter: ',',
        quote: Some('"'),
        escape: None,
        returns: false,
        comment: None,
        width: 2,
        pads: false,
        record: 1 << 20,
        block: 7,
        group: 20,
        step: 3,
        rows: 2,
        bytes: 10,
        types: 0,
    };

    pub fn marks(&self) -> Marks {
        let quoting = |quote| Quoting { quote: quote as u8, escape: self.escape.unwrap_or(quote) as u8 };
        Marks {
            delimiter: self.delimiter as u8,
            quote: self.quote.map(quoting),
            newline: if self.returns { b'\r' } else { b'\n' },
            comment: self.comment.map(|comment| comment as u8),
        }
    }
}

impl Case {
    /// The case as a line for `regressions`.
    pub fn source(&self) -> String {
        format!("(b\"{}\", {:?}),", self.text.escape_ascii(), self.how)
    }
}

/// Numbers without end (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Small as a rule, and seldom nearly `end`.
    fn small(&mut self, end: u64) -> u64 {
        let end = 1 + self.below(end);
        self.below(end)
    }
}

/// Cells that are read with care.
const CELLS: &[&str] = &[
    "",
    "a",
    "1",
    "-7",
    "007",
    "+4",
    "12345678",
    "123456789",
    "-9223372036854775808",
    "9223372036854775808",
    "2.5",
    "-0.00",
    "12345.67",
    "1e3",
    "1E-400",
    "9007199254740993",
    ".5",
    "5.",
    "NaN",
    "inf",
    "-",
    ".",
    "true",
    "FALSE",
    "tRue",
    "truex",
    "2013-01-01",
    "2013-02-30",
    "2013-1-1",
    "01.02.2013",
    "13-Mar-1996",
    "2013-01-01T05:00:00Z",
    "2013-01-01 06:00:00.123456",
    "2013-01-01 23:59:59+02:00",
    "2013-01-01 24:00",
    "0001-01-01",
    "9999-12-31T23:59:59",
    "12:30",
    "NA",
    "N/A",
    "NULL",
    "null",
    "NULLS",
    "nul",
    " 12",
    "12 ",
    "\t3\t",
    " NA ",
    "  ",
    "é",
    "naïve ☃ 🦀",
    "99999999999999999999",
    "12345678901234567890123456789012345678",
    "sixteen bytes.. ",
    "seventeen bytes..",
    "a longer piece of text that crosses the borders of sixty-four bytes, as many do",
    "1,5",
    "1;2",
    "it's",
    "#x",
    "\\",
    "\\\\",
    "C:\\dir\\",
    "\0",
];

/// Texts in which something went wrong somewhere, once: in this reader or in others.
const SEEDS: &[&[u8]] = &[
    b"a,\"b\nc\",d\n\"e\"\"\",f,\"\"\"\"\n",
    b"\"open\n1,2\n3,4\n\"close\"\n",
    b"a,b\r\n\"x\"\r\r\n,\r\n\r\n\"\",\"\"\r\n",
    b"\"a\" ,\"b\"  \n\"c\"\t,d\n \"e\",f\n",
    b"#c\n\"#\n#\",1\n# \"never closed\n2,#3\n#",
    b"\"a\\\"b\",\\\"\n\"\\\\\",\"\\n\"\n\"\\\"\n",
    b"1,2,3,\n1,2,3,,\n1,2\n1\n,\n,,\n,,,,,,,,\n",
    b"\xff\xfe,1\n\xc3,2\n\"\xe2\x98\n\x83\",3\nok,4\n",
    b"\xef\xbb\xbfa,b\n\xef\xbb\xbf\"c\",d\n",
    b"\"\"\"\"\"\"\"\"\"\"\"\"\"\n\"\"\"\"\"\"\"\"\"\"\"\"\n",
    b"x\"y\",z\"\n\"x\"y\",z\n",
    b"\"1\",\"2\"\"\"\"\",\"\n\n\n\"\"\n\"\n",
    b"\0\0,\0\n\"\0\"\0,1\n",
    b"0123456789012345678901234567890123456789012345678901234567890123,\"\"\n\"012345678901234567890123456789012345678901234567890123456789\"\"\"\n",
];

/// Files that texts are taken from.
pub(super) struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    /// All of `tests/data/csv`, and the seeds.
    pub fn read() -> Self {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/csv"));
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        let files = paths.iter().map(|path| std::fs::read(path).unwrap());
        Corpus(files.chain(SEEDS.iter().map(|seed| seed.to_vec())).filter(|text| !text.is_empty()).collect())
    }

    /// The case of this number.
    pub fn case(&self, number: u64) -> Case {
        let mut dice = Dice(number.wrapping_mul(0xD134_2543_DE82_EF95));
        let how = how(&mut dice);
        let mut text = match dice.below(3) {
            0 => pieces(&mut dice, &how),
            1 => table(&mut dice, &how),
            _ => self.window(&mut dice),
        };
        for _ in 0..dice.small(6) {
            self.change(&mut dice, &mut text, &how);
        }
        Case { text, how }
    }

    /// Part of a file, from the beginning of a line as a rule.
    fn window(&self, dice: &mut Dice) -> Vec<u8> {
        let file = &self.0[dice.below(self.0.len() as u64) as usize];
        let mut start = if dice.one_in(2) { 0 } else { dice.below(file.len() as u64) as usize };
        if !dice.one_in(4) && start > 0 {
            start += memchr::memchr(b'\n', &file[start..]).map_or(0, |length| length + 1);
        }
        let length = dice.below(WINDOW_BYTES_MAX) as usize;
        file[start..(start + length).min(file.len())].to_vec()
    }

    fn change(&self, dice: &mut Dice, text: &mut Vec<u8>, how: &How) {
        let at = dice.below(text.len() as u64 + 1) as usize;
        let end = (at + dice.small(40) as usize).min(text.len());
        match dice.below(6) {
            0 => {
                text.drain(at..end);
            }
            1 => {
                let again = text[at..end].to_vec();
                text.splice(at..at, again);
            }
            2 if at < text.len() => text[at] = dice.next() as u8,
            3 => {
                let other = self.window(dice);
                let length = dice.small(60) as usize;
                text.splice(at..end, other.into_iter().take(length));
            }
            4 => text.truncate(at),
            _ => {
                let inserted = piece(dice, how);
                text.splice(at..at, inserted);
            }
        }
    }
}

fn how(dice: &mut Dice) -> How {
    let quote = (!dice.one_in(10)).then(|| if dice.one_in(5) { '\'' } else { '"' });
    How {
        delimiter: if dice.one_in(2) { ',' } else { dice.pick(&[';', '\t', '|', ' ', '\x01']) },
        quote,
        escape: dice.one_in(4).then_some('\\').filter(|_| quote.is_some()),
        returns: dice.one_in(12),
        comment: dice.one_in(6).then_some('#'),
        width: 1 + dice.small(6) as usize,
        pads: dice.one_in(4),
        record: if dice.one_in(3) { 1 + dice.below(90) as usize } else { 1 << 20 },
        block: 1 + dice.small(200) as usize,
        group: 1 + dice.small(300),
        step: 1 + dice.small(100) as usize,
        rows: 1 + dice.small(6) as usize,
        bytes: 1 + dice.small(100) as usize,
        types: if dice.one_in(3) { 0 } else { dice.next() as u32 },
    }
}

/// Bytes that mean something, and some that do not.
fn piece(dice: &mut Dice, how: &How) -> Vec<u8> {
    let newline = if how.returns { '\r' } else { '\n' };
    let quote = how.quote.unwrap_or('"');
    let text = match dice.below(16) {
        0..=2 => how.delimiter.to_string(),
        3 | 4 => newline.to_string(),
        5 => "\r\n".to_owned(),
        6 | 7 => quote.to_string(),
        8 => format!("{quote}{quote}"),
        9 => format!("{}{quote}", how.delimiter),
        10 => format!("{quote}{}", how.delimiter),
        11 => format!("{quote}x{newline}{}{quote}", how.delimiter),
        12 => dice.pick(&['\r', ' ', '\\', '#', '\'', '"', '\n', '\0']).to_string(),
        13 => format!("{quote} "),
        14 => "\\".to_owned() + &quote.to_string(),
        _ => dice.pick(CELLS).to_owned(),
    };
    text.into_bytes()
}

fn pieces(dice: &mut Dice, how: &How) -> Vec<u8> {
    (0..dice.small(100)).flat_map(|_| piece(dice, how)).collect()
}

/// Rows whose quotes follow the rules.
fn table(dice: &mut Dice, how: &How) -> Vec<u8> {
    let mut text = String::new();
    let end = match (how.returns, dice.one_in(2)) {
        (true, _) => "\r",
        (false, true) => "\r\n",
        (false, false) => "\n",
    };
    let rows = 1 + dice.small(12);
    let alike: Vec<&str> = (0..how.width).map(|_| dice.pick(CELLS)).collect();
    for row in 0..rows {
        for (column, &alike) in alike.iter().enumerate() {
            if column > 0 {
                text.push(how.delimiter);
            }
            let cell = if dice.one_in(2) { alike } else { dice.pick(CELLS) };
            match how.quote.filter(|_| dice.one_in(3)) {
                Some(quote) => {
                    let escape = how.escape.unwrap_or(quote);
                    text.push(quote);
                    for character in cell.chars() {
                        if character == quote || character == escape {
                            text.push(escape);
                        }
                        text.push(character);
                        if dice.one_in(20) {
                            text.extend([escape, quote]);
                        }
                    }
                    text.push(quote);
                }
                None => text.push_str(cell),
            }
        }
        if row + 1 < rows || dice.one_in(2) {
            text.push_str(end);
        }
    }
    text.into_bytes()
}
