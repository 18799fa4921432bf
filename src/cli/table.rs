//! Tables of text: columns aligned, nothing that could play tricks on a terminal, cut to its width.

use super::console::{Console, Style};

/// Spaces between two columns.
const GAP: usize = 2;
/// Longest cell, in characters, where cells are cut.
const CELL_CHARS_MAX: usize = 48;

/// How a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A cell: its text, and perhaps a colour.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// Text without a colour.
    pub fn plain(text: impl std::fmt::Display) -> Self {
        Cell { text: printable(&text.to_string()), style: None }
    }

    /// Text in a colour.
    pub fn styled(text: impl std::fmt::Display, style: Style) -> Self {
        Cell { text: printable(&text.to_string()), style: Some(style) }
    }

    fn cut(&mut self) {
        if self.text.chars().count() > CELL_CHARS_MAX {
            self.text = self.text.chars().take(CELL_CHARS_MAX - 1).collect();
            self.text.push('…');
        }
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::plain(text)
    }
}

/// A table in the making.
#[derive(Debug)]
pub struct Table {
    headers: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        Table { headers: headers.into_iter().map(|(text, align)| (printable(text), align)).collect(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.headers.len(), "BUG: a row does not fit its table");
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it as a result.
    pub fn say(&self, console: &Console) {
        for line in self.lines(|text, style| console.paint(text, style)) {
            console.say(line);
        }
    }

    /// Its lines, without colours.
    pub fn plain(&self) -> Vec<String> {
        self.lines(|text, _| text.to_owned())
    }

    /// Prints as many columns as fit the terminal, with long cells cut, and returns the names of the others. Where
    /// nobody looks, everything is printed.
    pub fn say_fitting(mut self, console: &Console) -> Vec<String> {
        let Some(width) = terminal_width() else {
            self.say(console);
            return Vec::new();
        };
        self.rows.iter_mut().flatten().for_each(Cell::cut);
        let mut used = 0;
        let fits = |column: &usize| {
            used += column + GAP;
            used <= width + GAP
        };
        let count = self.widths().into_iter().take_while(fits).count().max(1);
        let left_out = self.headers.split_off(count.min(self.headers.len()));
        self.rows.iter_mut().for_each(|row| row.truncate(count));
        self.say(console);
        left_out.into_iter().map(|(name, _)| name).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|(name, _)| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }

    fn lines(&self, paint: impl Fn(&str, Style) -> String) -> Vec<String> {
        let widths = self.widths();
        let headers: Vec<Cell> = self.headers.iter().map(|(name, _)| Cell::styled(name, Style::Faint)).collect();
        std::iter::once(&headers).chain(&self.rows).map(|row| self.line(&paint, row, &widths)).collect()
    }

    fn line(&self, paint: impl Fn(&str, Style) -> String, row: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[index] - cell.text.chars().count());
            let text = match cell.style {
                Some(style) => paint(&cell.text, style),
                None => cell.text.clone(),
            };
            let last = index + 1 == row.len();
            match self.headers[index].1 {
                Align::Right => line.extend([space.as_str(), &text]),
                Align::Left if last => line.push_str(&text),
                Align::Left => line.extend([text.as_str(), &space]),
            }
            if !last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Text on one line: what would steer a terminal is spelled out.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character.is_control() {
            true => clean.extend(character.escape_default()),
            false => clean.push(character),
        }
    }
    clean
}

/// Characters that fit a line of the terminal; `None` when stdout is none.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&width| width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_numbers_to_the_right() {
        let mut table = Table::new([("key", Align::Left), ("rows", Align::Right), ("state", Align::Left)]);
        table.row(vec!["a.csv".into(), 7.into(), "committed".into()]);
        table.row(vec!["größer.csv".into(), 12345.into(), "parked".into()]);
        assert_eq!(
            table.plain(),
            ["key          rows  state", "a.csv           7  committed", "größer.csv  12345  parked"]
        );
    }

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        assert_eq!(printable("a\u{1b}[31mb\nc\td"), "a\\u{1b}[31mb\\nc\\td");
        assert_eq!(printable("größer"), "größer");
    }
}
