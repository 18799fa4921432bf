//! Modules that were compiled for WASI, with the stub that answers them.

use super::{super::wrap::wrap, TRANSFORM_WAT};
use crate::executor::transform::{Host, Limits, Meter, Plugin, PluginError};

const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_shutdown" (func $sock_shutdown (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))"#;

/// Functions that a body may use. Scratch memory begins at 1024.
const HELPERS: &str = r#"
    (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
    (func $is (param i32 i32) (call $must (i32.eq (local.get 0) (local.get 1))))
    ;; Writes that many bytes from there to a file, in two pieces.
    (func $write (param $file i32) (param $at i32) (param $length i32)
        (local $first i32)
        (local.set $first (i32.div_u (local.get $length) (i32.const 2)))
        (i32.store (i32.const 1024) (local.get $at))
        (i32.store (i32.const 1028) (local.get $first))
        (i32.store (i32.const 1032) (i32.add (local.get $at) (local.get $first)))
        (i32.store (i32.const 1036) (i32.sub (local.get $length) (local.get $first)))
        (call $is (call $fd_write (local.get $file) (i32.const 1024) (i32.const 2) (i32.const 1040)) (i32.const 0))
        (call $is (i32.load (i32.const 1040)) (local.get $length)))"#;

/// What `describe` of a module gives that does `body` first.
fn run(data: &str, body: &str) -> Result<String, PluginError> {
    let text = TRANSFORM_WAT.replacen("(module", &format!("(module {IMPORTS}"), 1).replacen(
        "(func (export \"describe\") (result i32)",
        &format!("{HELPERS} {data} (func (export \"describe\") (result i32) {body}"),
        1,
    );
    let component = wrap(&wat::parse_str(&text).unwrap()).unwrap();
    let host = Host::new(Meter::Off).unwrap();
    let described = Plugin::compile(&host, "late", &component)?.describe(&Limits::default())?;
    Ok(described.name)
}

fn last_words(data: &str, body: &str) -> String {
    match run(data, body) {
        Err(PluginError::Trapped { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_to_file_2_in_pieces_is_told_as_lines_when_the_guest_breaks_off() {
    let message = last_words(
        "(data (i32.const 2048) \"panic: no such month\\0agoroutine 1\\0a\")",
        "(call $write (i32.const 2) (i32.const 2048) (i32.const 33)) unreachable",
    );
    assert!(message.contains("panic: no such month") && message.contains("goroutine 1"), "{message}");
}

#[test]
fn what_is_still_unsaid_when_the_guest_exits_is_said() {
    let message = last_words(
        "(data (i32.const 2048) \"fatal\")",
        "(call $write (i32.const 2) (i32.const 2048) (i32.const 5)) (call $proc_exit (i32.const 2))",
    );
    assert!(message.contains("fatal"), "{message}");
}

#[test]
fn the_guests_memory_is_as_it_was_after_a_line() {
    // The line is shown at address 0, over the name and version that `describe` gives.
    let body = "
        (memory.fill (i32.const 2048) (i32.const 120) (i32.const 500))
        (i32.store8 (i32.const 2548) (i32.const 10))
        (call $write (i32.const 1) (i32.const 2048) (i32.const 501))";
    assert_eq!(run("", body).unwrap(), "by-hand");
}

#[test]
fn bytes_that_are_no_text_and_lines_without_an_end_do_no_harm() {
    let body = "
        (memory.fill (i32.const 2048) (i32.const 0xff) (i32.const 100))
        (i32.store8 (i32.const 2100) (i32.const 10))
        (call $write (i32.const 1) (i32.const 2048) (i32.const 100))
        (memory.fill (i32.const 2048) (i32.const 0xc3) (i32.const 50000))
        (call $write (i32.const 2) (i32.const 2048) (i32.const 50000))
        (call $write (i32.const 2) (i32.const 2048) (i32.const 0))";
    assert_eq!(run("", body).unwrap(), "by-hand");
}

#[test]
fn a_character_that_a_long_line_would_cut_stays_whole() {
    // 16,383 letters and an é of two bytes: the line is cut before it.
    let message = last_words(
        "(data (i32.const 40000) \"\\c3\\a9t\\c3\\a9\\0a\")",
        "(memory.fill (i32.const 2048) (i32.const 120) (i32.const 16383))
         (call $write (i32.const 2) (i32.const 2048) (i32.const 16383))
         (call $write (i32.const 2) (i32.const 40000) (i32.const 6))
         unreachable",
    );
    assert!(message.contains("été") && !message.contains('?'), "{message}");
}

#[test]
fn there_is_no_time_no_argument_no_file_and_no_network_and_chance_is_always_the_same() {
    let body = "
        (i64.store (i32.const 2048) (i64.const -1))
        (call $is (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 2048)) (i32.const 0))
        (call $must (i64.eqz (i64.load (i32.const 2048))))
        (call $is (call $args_sizes_get (i32.const 2048) (i32.const 2052)) (i32.const 0))
        (call $must (i64.eqz (i64.load (i32.const 2048))))
        (call $is (call $environ_get (i32.const 2048) (i32.const 2052)) (i32.const 0))
        (call $is (call $fd_prestat_get (i32.const 3) (i32.const 2048)) (i32.const 8))
        (call $is (call $fd_close (i32.const 3)) (i32.const 8))
        (call $is (call $fd_write (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2048)) (i32.const 8))
        (call $is (call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048)) (i32.const 0))
        (call $is (call $fd_fdstat_get (i32.const 1) (i32.const 2048)) (i32.const 0))
        (call $is (i32.load8_u (i32.const 2048)) (i32.const 2))
        (call $is (call $sock_shutdown (i32.const 3) (i32.const 0)) (i32.const 52))
        (call $is (call $random_get (i32.const 2048) (i32.const 8)) (i32.const 0))
        (call $must (i64.ne (i64.load (i32.const 2048)) (i64.const 0)))";
    assert_eq!(run("", body).unwrap(), "by-hand");
}

#[test]
fn nothing_is_waited_for() {
    // One timer (kind 0) and one file (kind 1), with their user data.
    let body = "
        (memory.fill (i32.const 2048) (i32.const 0) (i32.const 96))
        (i64.store (i32.const 2048) (i64.const 7))
        (i64.store (i32.const 2096) (i64.const 8))
        (i32.store8 (i32.const 2104) (i32.const 1))
        (call $is (call $poll_oneoff (i32.const 2048) (i32.const 3072) (i32.const 2) (i32.const 4080)) (i32.const 0))
        (call $is (i32.load (i32.const 4080)) (i32.const 2))
        (call $is (i32.load (i32.const 3072)) (i32.const 7))
        (call $is (i32.load16_u (i32.const 3080)) (i32.const 0))
        (call $is (i32.load (i32.const 3104)) (i32.const 8))
        (call $is (i32.load16_u (i32.const 3112)) (i32.const 58))";
    assert_eq!(run("", body).unwrap(), "by-hand");
}
