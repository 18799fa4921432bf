//! A header's cells → column names that every engine reads: `[a-z0-9_]`, none twice.

use std::collections::HashMap;

/// Bytes of a column name at most (Glue: <https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html>).
const NAME_BYTES_MAX: usize = 255;

/// Names for the columns of a header. Each is trimmed, lower-cased, and every run of other characters than letters,
/// digits and `_` becomes one `_`; a cell in which no letter or digit is left becomes `column_N`, counted from 1.
///
/// # Errors
/// Two cells that end up with the same name; the message names both.
pub(crate) fn names(cells: &[String]) -> Result<Vec<String>, String> {
    let names: Vec<String> = cells.iter().enumerate().map(|(index, cell)| name(cell, index)).collect();
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, index) {
            return Err(format!(
                "header cells {} (`{}`) and {} (`{}`) both become column `{name}`; rename one of them",
                first + 1,
                cells[first].trim(),
                index + 1,
                cells[index].trim(),
            ));
        }
    }
    Ok(names)
}

/// Names for `count` columns without a header.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(numbered_one).collect()
}

fn numbered_one(index: usize) -> String {
    format!("column_{}", index + 1)
}

/// The name of one cell.
fn name(cell: &str, index: usize) -> String {
    spelled(cell).unwrap_or_else(|| numbered_one(index))
}

/// The name that a cell's text gives, when it gives one.
pub(crate) fn spelled(cell: &str) -> Option<String> {
    let mut name = String::with_capacity(cell.len());
    let mut gap = false;
    for character in cell.trim().chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() || character == '_' {
            if gap && !name.is_empty() {
                name.push('_');
            }
            gap = false;
            name.push(character);
        } else {
            gap = true;
        }
    }
    name.truncate(NAME_BYTES_MAX);
    name.bytes().any(|byte| byte.is_ascii_alphanumeric()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[&str]) -> Result<Vec<String>, String> {
        names(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_trimmed_lowered_and_sanitised() {
        let names = of(&[" Year ", "Price ($)", "air-time", "_id", "Größe", "2nd"]).unwrap();
        assert_eq!(names, ["year", "price", "air_time", "_id", "gr_e", "2nd"]);
    }

    #[test]
    fn a_cell_without_a_latin_letter_or_digit_is_numbered() {
        assert_eq!(of(&["", "名前", "x", "--"]).unwrap(), ["column_1", "column_2", "x", "column_4"]);
    }

    #[test]
    fn two_cells_with_one_name_are_an_error_that_names_both() {
        let error = of(&["a", "Total €", "total $"]).unwrap_err();
        assert!(error.contains("2 (`Total €`)") && error.contains("3 (`total $`)"), "{error}");
        assert!(of(&["", "column_1"]).is_err());
    }

    #[test]
    fn a_name_is_no_longer_than_the_catalog_takes() {
        assert_eq!(of(&["x".repeat(400).as_str()]).unwrap()[0].len(), NAME_BYTES_MAX);
    }
}
