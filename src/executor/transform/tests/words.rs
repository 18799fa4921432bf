//! What plugins say.

use crate::executor::transform::{
    text::{quoted, shown},
    wit::Level,
    words::{Words, beginning},
};

#[test]
fn after_a_hundred_lines_only_errors_are_listened_to() {
    let mut words = Words::new("clean".into());
    for line in 0..100 {
        assert!(words.wants(Level::Debug));
        words.say(Level::Debug, &format!("line {line}"));
    }
    assert!(!words.wants(Level::Warn));
    assert!(words.wants(Level::Error));
    words.say(Level::Error, "the end");
    assert_eq!(words.last().unwrap(), "the end");
}

#[test]
fn its_last_words_are_the_last_few_of_its_call() {
    let mut words = Words::new("clean".into());
    words.say(Level::Info, "all is well");
    assert_eq!(words.last(), None);
    for line in 0..9 {
        words.say(Level::Error, &format!("error {line}"));
    }
    assert_eq!(words.last().unwrap(), "error 5 / error 6 / error 7 / error 8");
    words.begin();
    assert_eq!(words.last(), None);
}

#[test]
fn long_lines_are_cut_between_letters() {
    let long = "ß".repeat(5000);
    assert!(shown(beginning(&long), 4096).ends_with("ß…"));
    assert_eq!(beginning("short"), "short");
    assert_eq!(shown("ßß", 3), "ß…");
}

#[test]
fn what_steers_a_terminal_is_spelled_out() {
    assert_eq!(shown(" \u{1b}]0;title\u{7}\n\n two\tthree\r\n", 100), "\\u{1b}]0;title\\u{7}  two three");
    assert_eq!(quoted("abc\u{202e}fed"), "`abc\\u{202e}fed`");
}
