//! Cases that failed once, and some that are as good as those.

use super::{
    case::{Case, How},
    random::check,
};

const PLAIN: How = How::PLAIN;

#[test]
fn what_went_wrong_once_does_not_again() {
    let cases: &[(&[u8], How)] = &[
        (b"", PLAIN),
        (b"\"", PLAIN),
        (b"\r", PLAIN),
        (b"a,b\r", PLAIN),
        (b"\"a\" \r", How { width: 1, ..PLAIN }),
        (b"#", How { comment: Some('#'), ..PLAIN }),
        (b"1,2\n\"open\n3,4\n", How { record: 3, ..PLAIN }),
    ];
    for (text, how) in cases {
        let case = Case { text: text.to_vec(), how: *how };
        check(&case).unwrap_or_else(|why| panic!("{}: {why}", case.source()));
    }
}
