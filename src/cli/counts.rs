//! What became of a run's rows, in words.

use indicatif::HumanCount;

use crate::executor::Report;

/// `100 rows read, 90 kept, 7 filtered, 3 rejected`; filtered and added ones where a transform is or was.
pub fn words(report: &Report) -> String {
    let Report { read, kept, filtered, exploded, rejected, plugin_hash, .. } = report;
    let mut words = format!("{} rows read, {} kept", HumanCount(*read), HumanCount(*kept));
    if *exploded > 0 {
        words.push_str(&format!(" as {}", HumanCount(kept + exploded)));
    }
    match plugin_hash {
        Some(_) => words.push_str(&format!(", {} filtered", HumanCount(*filtered))),
        None => words.push_str(&self::filtered(*filtered)),
    }
    words.push_str(&format!(", {} rejected", HumanCount(*rejected)));
    words
}

/// `, 7 filtered`; nothing where none is.
pub fn filtered(filtered: u64) -> String {
    match filtered {
        0 => String::new(),
        filtered => format!(", {} filtered", HumanCount(filtered)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_transform_does_is_told_where_there_is_one() {
        let report = Report { read: 1_000, kept: 900, rejected: 100, ..Report::default() };
        assert_eq!(words(&report), "1,000 rows read, 900 kept, 100 rejected");
        let through = Report { plugin_hash: Some("00".into()), ..report.clone() };
        assert_eq!(words(&through), "1,000 rows read, 900 kept, 0 filtered, 100 rejected");
        let exploded = Report { kept: 890, filtered: 10, exploded: 5, ..report };
        assert_eq!(words(&exploded), "1,000 rows read, 890 kept as 895, 10 filtered, 100 rejected");
    }
}
