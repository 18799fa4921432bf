//! Names of tables, and where things lie.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-table-naming.html>

use md5::{Digest, Md5};

use super::classify::shortened;

/// Longest name of a table that a crawler gives, in letters.
const NAME_LETTERS: usize = 128;

/// An include path, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub bucket: String,
    /// Folders, without slashes.
    pub folders: Vec<String>,
}

impl Place {
    /// The place that `s3://bucket/folder/` names.
    pub(super) fn parse(path: &str) -> Option<Place> {
        let (bucket, rest) = path.strip_prefix("s3://")?.split_once('/').unwrap_or((&path[5..], ""));
        let bucket = Some(bucket).filter(|bucket| !bucket.is_empty())?;
        let folders = rest.strip_suffix('/').unwrap_or(rest);
        let folders = if folders.is_empty() { Vec::new() } else { folders.split('/').map(str::to_owned).collect() };
        Some(Place { bucket: bucket.to_owned(), folders })
    }

    /// What the keys of all objects inside it begin with; the key of an object of that very name too.
    pub(super) fn prefix(&self) -> String {
        self.folders.join("/")
    }

    /// The folder that this place lies in.
    pub(super) fn parent(&self) -> Place {
        let folders = self.folders.split_last().map(|(_, folders)| folders.to_vec()).unwrap_or_default();
        Place { bucket: self.bucket.clone(), folders }
    }

    /// Where the folders below this place are.
    pub(super) fn location(&self, below: &[String], file: Option<&str>) -> String {
        let mut location = format!("s3://{}/", self.bucket);
        for folder in self.folders.iter().chain(below) {
            location.push_str(folder);
            location.push('/');
        }
        location + file.unwrap_or_default()
    }

    /// What a table there is called: the file, the folder or the bucket.
    pub(super) fn base<'a>(&'a self, below: &'a [String], file: Option<&'a str>) -> &'a str {
        let folder = below.last().or(self.folders.last()).unwrap_or(&self.bucket);
        file.unwrap_or(folder)
    }
}

/// A table's name: lower case, letters, digits and underscores; with a hash of its location where another table has
/// the name.
pub(super) fn table_name(prefix: &str, base: &str, location: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' };
    let whole: String = format!("{prefix}{base}").to_lowercase().chars().map(plain).collect();
    let name = shortened(&whole, NAME_LETTERS);
    if !taken(name) {
        return name.to_owned();
    }
    let hash = hex::encode(Md5::digest(location));
    format!("{}_{hash}", shortened(&whole, NAME_LETTERS - hash.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_include_path_is_taken_apart() {
        let place = Place::parse("s3://b/a/c/").unwrap();
        assert_eq!((place.bucket.as_str(), place.prefix().as_str()), ("b", "a/c"));
        assert_eq!(place.location(&["d".into()], None), "s3://b/a/c/d/");
        assert_eq!(place.location(&[], Some("x.csv")), "s3://b/a/c/x.csv");
        assert_eq!(Place::parse("s3://b").unwrap(), Place::parse("s3://b/").unwrap());
        assert_eq!(Place::parse("s3://b").unwrap().location(&[], None), "s3://b/");
        assert_eq!(Place::parse("s3:///a"), None);
        assert_eq!(Place::parse("b/a"), None);
    }

    #[test]
    fn a_name_has_plain_letters_and_a_hash_when_it_is_taken() {
        assert_eq!(table_name("Raw_", "Orders-2024.csv", "s3://b/o/", |_| false), "raw_orders_2024_csv");
        let hashed = table_name("", "orders", "s3://b/o/", |name| name == "orders");
        assert!(hashed.starts_with("orders_") && hashed.len() == 7 + 32, "{hashed}");
        let long = "x".repeat(300);
        assert_eq!(table_name("", &long, "s3://b/o/", |_| false).len(), NAME_LETTERS);
        assert_eq!(table_name("", &long, "s3://b/o/", |_| true).len(), NAME_LETTERS);
    }
}
