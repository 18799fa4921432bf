//! What stands above the rows: lines to skip, then the header, whose cells name the columns.

use super::{
    Dialect,
    blocks::RECORD_BYTES_MAX,
    dialect, header,
    reject::{Code, readable},
    split::{Field, Quoting, Scan, Syntax, scan},
};

/// The beginning of a file, up to its first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Column names as the file gives them, made fit for the catalog; numbered when it has no header.
    pub names: Vec<String>,
    /// The header, or the first row where there is none, ends with a delimiter and nothing behind it, so that the last
    /// name may stand for nothing.
    pub trailing: bool,
    /// Where the rows begin in the sample.
    pub end: usize,
    /// Lines before that.
    pub lines: u64,
}

/// Why there is no head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// It does not end within the sample: a longer one is needed.
    Longer,
    /// It cannot be read, or two columns have the same name.
    Refused(String),
}

/// Reads the head of a file from its beginning, `whole` when that is all of it. `None`: there is no record in it.
///
/// Several rows of a header are combined with `_`; a blank in an upper row is what stands to the left of it, as in a
/// sheet with merged cells. A row whose quotes are broken is read as if quotes were ordinary characters, when it is as
/// wide as the table then.
///
/// # Errors
/// [`HeadError`].
pub(crate) fn read(sample: &[u8], whole: bool, dialect: &Dialect) -> Result<Option<Head>, HeadError> {
    let syntax = Syntax::new(dialect);
    let Some(start) = dialect::after_lines(sample, dialect.newline, dialect.skip_lines) else {
        return if whole { Ok(None) } else { Err(HeadError::Longer) };
    };
    let mut rows = Rows { sample, whole, dialect, syntax, at: start, lines: dialect.skip_lines };
    if dialect.header_rows == 0 {
        let Some(first) = rows.next()? else { return Ok(None) };
        let width = dialect::width(sample, whole, dialect);
        let trailing = first.cells.len() == width && first.ends_empty;
        return Ok(Some(Head { names: header::numbered(width), trailing, end: start, lines: dialect.skip_lines }));
    }
    let mut found = Vec::new();
    while (found.len() as u64) < u64::from(dialect.header_rows) {
        let Some(row) = rows.next()? else { break };
        found.push(row);
    }
    if found.is_empty() {
        return Ok(None);
    }
    let trailing = found.iter().all(|row| row.ends_empty)
        && found.windows(2).all(|pair| pair[0].cells.len() == pair[1].cells.len());
    let names = header::names(&combined(&found)).map_err(HeadError::Refused)?;
    Ok(Some(Head { names, trailing, end: rows.at, lines: rows.lines }))
}

/// One row above the table's.
struct HeaderRow {
    cells: Vec<String>,
    /// Nothing stands behind its last delimiter.
    ends_empty: bool,
}

struct Rows<'a> {
    sample: &'a [u8],
    whole: bool,
    dialect: &'a Dialect,
    syntax: Syntax,
    at: usize,
    /// Lines before `at`.
    lines: u64,
}

impl Rows<'_> {
    /// The next record that is not blank.
    fn next(&mut self) -> Result<Option<HeaderRow>, HeadError> {
        let mut fields: Vec<Field> = Vec::new();
        while self.at < self.sample.len() {
            fields.clear();
            match scan(self.sample, self.at, self.whole, &self.syntax, &mut fields) {
                Scan::Record { next, lines, .. } => {
                    self.at = next;
                    self.lines += lines + 1;
                }
                Scan::Broken { code, .. } => return self.unquoted(code).map(Some),
                Scan::More => return Err(self.longer()),
            }
            if !matches!(fields.as_slice(), [only] if only.is_empty() && !only.quoted) {
                return Ok(Some(self.row(&fields)));
            }
        }
        if self.whole { Ok(None) } else { Err(self.longer()) }
    }

    fn row(&self, fields: &[Field]) -> HeaderRow {
        let quoting = Quoting::new(self.dialect);
        let mut scratch = Vec::new();
        let cells = fields.iter().map(|field| readable(field.text(self.sample, quoting, &mut scratch)));
        let ends_empty = fields.len() > 1 && fields.last().is_some_and(|last| last.is_empty() && !last.quoted);
        HeaderRow { cells: cells.collect(), ends_empty }
    }

    /// The line at hand, with quotes as ordinary characters.
    fn unquoted(&mut self, code: Code) -> Result<HeaderRow, HeadError> {
        let line = self.lines + 1;
        let plain = Syntax::new(&Dialect { quote: None, escape: None, ..self.dialect.clone() });
        let mut fields = Vec::new();
        match scan(self.sample, self.at, self.whole, &plain, &mut fields) {
            Scan::Record { next, .. } if fields.len() == dialect::width(self.sample, self.whole, self.dialect) => {
                self.at = next;
                self.lines += 1;
                Ok(self.row(&fields))
            }
            Scan::More => Err(self.longer()),
            _ => Err(HeadError::Refused(format!("the header on line {line} cannot be read ({})", code.as_str()))),
        }
    }

    fn longer(&self) -> HeadError {
        match self.sample.len() - self.at > RECORD_BYTES_MAX {
            true => HeadError::Refused(format!("the header on line {} is too long", self.lines + 1)),
            false => HeadError::Longer,
        }
    }
}

/// The cells of several rows as one.
fn combined(rows: &[HeaderRow]) -> Vec<String> {
    let width = rows.iter().map(|row| row.cells.len()).max().unwrap_or_default();
    let text = |row: &HeaderRow, column: usize| row.cells.get(column).map_or("", |cell| cell.trim()).to_owned();
    let mut names = Vec::with_capacity(width);
    // The last text to the left, in each row.
    let mut left = vec![String::new(); rows.len()];
    for column in 0..width {
        let mut parts: Vec<String> = Vec::with_capacity(rows.len());
        let below = |at: usize| rows[at + 1..].iter().any(|row| !text(row, column).is_empty());
        for (at, row) in rows.iter().enumerate() {
            let own = text(row, column);
            if !own.is_empty() {
                left[at].clone_from(&own);
            }
            let part = if own.is_empty() && below(at) { left[at].clone() } else { own };
            if !part.is_empty() && parts.last() != Some(&part) {
                parts.push(part);
            }
        }
        names.push(parts.join("_"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Newline;

    fn dialect(header_rows: u32) -> Dialect {
        Dialect { header_rows, ..Dialect::default() }
    }

    fn head(text: &str, dialect: &Dialect) -> Head {
        read(text.as_bytes(), true, dialect).unwrap().unwrap()
    }

    #[test]
    fn a_header_names_the_columns_and_the_rows_begin_behind_it() {
        let head = head("\n Id ,Name\n1,x\n", &dialect(1));
        assert_eq!(head, Head { names: vec!["id".into(), "name".into()], trailing: false, end: 11, lines: 2 });
    }

    #[test]
    fn lines_above_the_header_are_skipped_whatever_quotes_are_in_them() {
        let dialect = Dialect { skip_lines: 2, ..dialect(1) };
        let head = head("a \"title\"\n\"open\na,\"b\nc\"\n1,2\n", &dialect);
        assert_eq!((head.names.as_slice(), head.end, head.lines), (&["a".to_owned(), "b_c".to_owned()][..], 24, 4));
    }

    #[test]
    fn without_a_header_the_columns_are_numbered_and_nothing_is_taken() {
        let head = head("1,2,\n3,4,\n", &dialect(0));
        assert_eq!((head.names.len(), head.trailing, head.end, head.lines), (3, true, 0, 0));
    }

    #[test]
    fn several_rows_become_one_name_a_column() {
        let two = head("time,speed\ns,km/h\n1,2\n", &dialect(2));
        assert_eq!(two.names, ["time_s", "speed_km_h"]);
        assert_eq!((two.end, two.lines), (18, 2));
        assert_eq!(head("a,b\na,b\n1,2\n", &dialect(2)).names, ["a", "b"], "a row that comes twice says nothing more");
    }

    #[test]
    fn blanks_of_an_upper_row_are_merged_cells() {
        let head = head(",2019,,2020,,\nid,q1,q2,q1,q2,\n1,2,3,4,5,\n", &dialect(2));
        assert_eq!(head.names, ["id", "2019_q1", "2019_q2", "2020_q1", "2020_q2", "column_6"]);
        assert!(head.trailing);
    }

    #[test]
    fn a_header_that_does_not_end_in_the_sample_asks_for_more() {
        assert_eq!(read(b"a,\"b", false, &dialect(1)), Err(HeadError::Longer));
        assert_eq!(read(b"a,b", false, &dialect(1)), Err(HeadError::Longer));
        assert_eq!(read(b"a,b\n", false, &dialect(2)), Err(HeadError::Longer));
        assert_eq!(read(b"x\n", false, &Dialect { skip_lines: 2, ..dialect(1) }), Err(HeadError::Longer));
        assert_eq!(read(b"\n\n", false, &dialect(0)), Err(HeadError::Longer));
        let long = "x".repeat(RECORD_BYTES_MAX + 1);
        assert!(matches!(read(long.as_bytes(), false, &dialect(1)), Err(HeadError::Refused(_))));
    }

    #[test]
    fn a_file_without_a_record_has_no_head() {
        for text in ["", "\n\r\n"] {
            assert_eq!(read(text.as_bytes(), true, &dialect(1)), Ok(None));
            assert_eq!(read(text.as_bytes(), true, &dialect(0)), Ok(None));
        }
        assert_eq!(read(b"title\n", true, &Dialect { skip_lines: 1, ..dialect(1) }), Ok(None));
    }

    #[test]
    fn a_header_whose_quotes_are_broken_is_read_without_them_when_it_fits_the_table() {
        assert_eq!(head("\"a,b,\"c\"\n1,2,3\n4,5,6\n", &dialect(1)).names, ["a", "b", "c"]);
        let refused = read(b"\"a,b\n1,2,3\n4,5,6\n", true, &dialect(1)).unwrap_err();
        assert!(matches!(refused, HeadError::Refused(message) if message.contains("line 1 cannot be read")));
    }

    #[test]
    fn names_that_collide_are_refused() {
        let refused = read(b"A b,a-b\n1,2\n", true, &dialect(1)).unwrap_err();
        assert!(matches!(refused, HeadError::Refused(message) if message.contains("both become column `a_b`")));
    }

    #[test]
    fn comments_and_carriage_returns_are_understood() {
        let dialect = Dialect { comment: Some('#'), newline: Newline::Cr, ..dialect(1) };
        let head = head("#a,b,c\rx,y\r1,2\r", &dialect);
        assert_eq!((head.names.len(), head.lines, head.end), (2, 2, 11));
    }
}
