//! The candidates, and which of them wins.

use super::{
    Decision, Dialect, ESCAPE, Item, QUOTES, STRONG_DELIMITERS, WEAK_DELIMITERS,
    layout::named_share,
    look::Look,
    table::{Table, cells},
    with_table,
};
use crate::dataset::{Column, CsvOptions, Newline};

/// A table of a usual delimiter that scores at least this is not given up for an unusual one.
const GOOD_SCORE: f64 = 0.35;
/// Those of the unusual delimiters that are hardly ever in text.
const RARE_DELIMITERS: [char; 2] = ['^', '~'];
/// Records that it takes to find out an unusual delimiter.
const WEAK_RECORDS_MIN: usize = 3;
/// Lines with broken quotes that it takes, and their share (one in…), to find out that quotes mean nothing.
const UNQUOTED_FAULTS_MIN: usize = 3;
const UNQUOTED_FAULTS_SHARE: usize = 50;

/// The candidate that wins.
#[derive(Default)]
pub(super) struct Best {
    pub dialect: Dialect,
    pub score: f64,
    pub records: usize,
    pub notes: Vec<Decision>,
}

/// Line ends that the sample may have.
pub(super) fn newlines(sample: &[u8], options: &CsvOptions) -> Vec<Newline> {
    if let Some(newline) = options.newline {
        return vec![newline];
    }
    let feeds = memchr::memchr_iter(b'\n', sample).count();
    let alone = memchr::memchr_iter(b'\r', sample).filter(|&at| sample.get(at + 1) != Some(&b'\n')).count();
    match (feeds, alone) {
        (0, 1..) => vec![Newline::Cr],
        // LF within quotes, CR at the end of records, or the other way round.
        _ if alone > 0 && alone * 4 >= feeds => vec![Newline::Lf, Newline::Cr],
        _ => vec![Newline::Lf],
    }
}

/// The best candidate with these line ends.
pub(super) fn best(
    sample: &[u8],
    newline: Newline,
    delimiter: Option<char>,
    encoding: &str,
    options: &CsvOptions,
    known: &[Column],
) -> Best {
    let search = Search { sample, newline, encoding, options, known };
    let present = |character: &char| memchr::memchr(*character as u8, sample).is_some();
    let quotes: Vec<Option<char>> = match options.quote {
        Some(quote) => vec![quote.0],
        None => QUOTES.into_iter().filter(|quote| *quote == QUOTES[0] || present(quote)).map(Some).collect(),
    };
    let strong: Vec<char> = match delimiter {
        Some(delimiter) => vec![delimiter],
        None => {
            // The first that is in no line stands for lines of one field.
            let absent = STRONG_DELIMITERS.into_iter().find(|delimiter| !present(delimiter));
            STRONG_DELIMITERS.into_iter().filter(|delimiter| present(delimiter) || absent == Some(*delimiter)).collect()
        }
    };
    let mut rank = Rank::default();
    for &quote in &quotes {
        for &delimiter in &strong {
            search.try_all(delimiter, quote, &mut rank, |_, _| true);
        }
    }
    let good =
        |best: &Scored| best.width > 1 && best.score >= GOOD_SCORE && best.agreeing == best.records + best.faults;
    let good = rank.best.as_ref().is_some_and(good);
    if delimiter.is_none() {
        let single = rank.best.as_ref().is_none_or(|best| best.width < 2);
        let alone = search.values_share();
        for &quote in &quotes {
            // Where a usual delimiter does well, one that is in much text is not looked for.
            let may = |weak: &char| present(weak) && (!good || RARE_DELIMITERS.contains(weak));
            for delimiter in WEAK_DELIMITERS.into_iter().filter(may) {
                search.try_all(delimiter, quote, &mut rank, |table, dialect| {
                    is_clear(table, dialect, alone) && (single || table.width > 2 || table.faults == 0)
                });
            }
        }
    }
    if options.quote.is_none() {
        search.try_unquoted(&mut rank);
    }
    rank.finish(&search)
}

/// Whether a table of an unusual delimiter is beyond doubt: every record as wide as the next, and a column of values.
fn is_clear(table: &Table, dialect: &Dialect, alone: f64) -> bool {
    let above = table.records.iter().take_while(|record| record.width < table.width).count();
    let below = table.records.len() - above;
    let columns = table.column_looks(above + 1);
    let typed = columns.iter().flatten().filter(|look| look.is_typed()).count();
    let first = table.records.get(above).map(|_| table.looks(above)).unwrap_or_default();
    let named = first.iter().zip(&columns).any(|(look, column)| look.is_text() && column.is_some_and(Look::is_typed));
    let quoted = table.needing > 0 && table.quoted > table.needing;
    // Whole lines that are values (`10:30`, `2026-01-01 10:30`, `1 234`) are not cut.
    let cut = alone > 0.8;
    // Aligned columns have runs of spaces: their empty cells are here and there.
    let empty = |column: usize| {
        let looks = (above + 1..table.records.len()).filter_map(move |record| table.looks(record).get(column));
        let (empty, all) =
            looks.fold((0, 0), |(empty, all), look| (empty + usize::from(*look == Look::Empty), all + 1));
        empty > 0 && empty < all
    };
    let spaced = dialect.delimiter == ' ' && (0..table.width).any(empty);
    let strays = below / if RARE_DELIMITERS.contains(&dialect.delimiter) { 5 } else { 20 };
    table.width > 1
        && below >= WEAK_RECORDS_MIN
        && below - table.agreeing + table.faults <= strays
        && above * 4 <= below
        && (typed > 0 || quoted)
        && (named || (above == 0 && (table.width > 2 || quoted)))
        && !cut
        && !spaced
}

struct Search<'a> {
    sample: &'a [u8],
    newline: Newline,
    encoding: &'a str,
    options: &'a CsvOptions,
    known: &'a [Column],
}

/// What is kept of a candidate.
#[derive(Clone)]
struct Scored {
    dialect: Dialect,
    score: f64,
    width: usize,
    records: usize,
    faults: usize,
    quoted: usize,
    needing: usize,
    agreeing: usize,
}

#[derive(Default)]
struct Rank {
    best: Option<Scored>,
    /// The best score of another delimiter.
    second: f64,
}

impl Rank {
    fn offer(&mut self, scored: Scored) {
        match &mut self.best {
            Some(best) if scored.score <= best.score => {
                if scored.dialect.delimiter != best.dialect.delimiter {
                    self.second = self.second.max(scored.score);
                }
            }
            best => {
                if let Some(beaten) = best.replace(scored)
                    && best.as_ref().is_some_and(|best| best.dialect.delimiter != beaten.dialect.delimiter)
                {
                    self.second = self.second.max(beaten.score);
                }
            }
        }
    }

    fn finish(self, search: &Search<'_>) -> Best {
        let Some(best) = self.best else {
            let dialect = search.dialect(',', Some(QUOTES[0]), None);
            return Best { dialect, ..Best::default() };
        };
        let notes = notes(&best, self.second, search.sample);
        Best { dialect: best.dialect, score: best.score, records: best.records, notes }
    }
}

impl Search<'_> {
    fn dialect(&self, delimiter: char, quote: Option<char>, escape: Option<char>) -> Dialect {
        Dialect {
            delimiter,
            quote,
            escape,
            newline: self.newline,
            comment: self.options.comment,
            encoding: self.encoding.to_owned(),
            ..Dialect::default()
        }
    }

    /// Tries a delimiter and a quote with every escape that may be meant. `may`: whether the table is good enough.
    fn try_all(&self, delimiter: char, quote: Option<char>, rank: &mut Rank, may: impl Fn(&Table, &Dialect) -> bool) {
        if quote == Some(delimiter) {
            return;
        }
        let escapes = match self.options.escape {
            Some(escape) => vec![escape.0.filter(|escape| quote.is_some() && quote != Some(*escape))],
            None => match quote.filter(|quote| self.has_pair(ESCAPE, *quote)) {
                Some(_) => vec![None, Some(ESCAPE)],
                None => vec![None],
            },
        };
        for escape in escapes {
            let dialect = self.dialect(delimiter, quote, escape);
            if let Some(scored) = self.score(dialect, &may) {
                rank.offer(scored);
            }
        }
    }

    fn score(&self, dialect: Dialect, may: &impl Fn(&Table, &Dialect) -> bool) -> Option<Scored> {
        with_table(self.sample, &dialect, |batch, table| {
            // A first record that holds the table's names says more than any look at cells (at most 1).
            let first = batch.rows.first().filter(|_| !self.known.is_empty());
            let named = first.map_or(0.0, |row| named_share(&cells(batch, row, &dialect), self.known));
            may(table, &dialect).then(|| Scored {
                score: table.score(&dialect) + named,
                width: table.width,
                records: table.records.len(),
                faults: table.faults,
                quoted: table.quoted,
                needing: table.needing,
                agreeing: table.agreeing,
                dialect: dialect.clone(),
            })
        })
    }

    /// Takes quotes for ordinary characters when they are broken in many lines, no field needs them, and without them
    /// every record has the same width.
    fn try_unquoted(&self, rank: &mut Rank) {
        let Some(best) = &rank.best else { return };
        let lines = best.records + best.faults;
        if best.faults < UNQUOTED_FAULTS_MIN || best.faults * UNQUOTED_FAULTS_SHARE < lines {
            return;
        }
        let mut without = Rank::default();
        for delimiter in STRONG_DELIMITERS.into_iter().chain([best.dialect.delimiter]) {
            if self.options.delimiter.is_none_or(|given| given == delimiter) {
                self.try_all(delimiter, None, &mut without, |table, _| table.width > 1 || best.width < 2);
            }
        }
        let Some(plain) = without.best.filter(|plain| plain.agreeing == plain.records) else { return };
        if plain.records > best.agreeing && best.needing * 4 <= best.faults {
            rank.best = Some(plain);
        }
    }

    fn has_pair(&self, escape: char, quote: char) -> bool {
        memchr::memmem::find(self.sample, &[escape as u8, quote as u8]).is_some()
    }

    /// The share of lines that are one value as a whole.
    fn values_share(&self) -> f64 {
        // No text has this delimiter.
        with_table(self.sample, &self.dialect('\u{1e}', Some(QUOTES[0]), None), |_, table| {
            let looks = (0..table.records.len()).flat_map(|record| table.looks(record));
            let typed = looks.filter(|look| look.is_typed()).count();
            typed as f64 / table.records.len().max(1) as f64
        })
    }
}

/// How sure the winner is, and why.
fn notes(best: &Scored, second: f64, sample: &[u8]) -> Vec<Decision> {
    let note = |item, sure: f64, why: String| Decision {
        item,
        given: false,
        sure: (sure * 100.0).round().clamp(1.0, 99.0) as u8,
        why,
    };
    let Scored { dialect, score, width, records, faults, quoted, agreeing, .. } = best;
    let lines = records + faults;
    let regular = *agreeing as f64 / lines.max(1) as f64;
    let lead = if *score > 0.0 { (score - second.min(*score)) / score } else { 0.0 };
    let delimiter = match width {
        0 | 1 => note(Item::Delimiter, 0.5 + 0.3 * lead, "no character cuts the lines into columns".to_owned()),
        _ => {
            let why = format!("{agreeing} of {lines} records have {width} fields");
            note(Item::Delimiter, (0.4 + 0.6 * regular) * (0.5 + 0.5 * lead.sqrt()), why)
        }
    };
    let has = |character: char| memchr::memchr(character as u8, sample).is_some();
    let quote = match dialect.quote {
        None => note(Item::Quote, 0.8, "quotes stand unbalanced in fields that need none".to_owned()),
        Some(_) if *quoted > 0 => note(Item::Quote, 0.95, format!("{quoted} fields are in quotes")),
        Some(quote) if has(quote) => note(Item::Quote, 0.7, "no field is in quotes".to_owned()),
        Some(_) => note(Item::Quote, 0.8, "the usual one; there is none in the sample".to_owned()),
    };
    let escape = match dialect.escape {
        Some(_) => note(Item::Escape, 0.9, "it stands before quotes within quotes".to_owned()),
        None => note(Item::Escape, 0.9, "a quote is doubled".to_owned()),
    };
    let newline = match dialect.newline {
        Newline::Lf => note(Item::Newline, 0.95, "line feeds end records".to_owned()),
        Newline::Cr => note(Item::Newline, 0.9, "carriage returns alone end records".to_owned()),
    };
    vec![newline, delimiter, quote, escape]
}
