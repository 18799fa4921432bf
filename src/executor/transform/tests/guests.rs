//! Plugins for tests: core modules in WebAssembly text, wrapped into components as `lake plugin build` wraps them.
//!
//! ```ignore
//! let component = guests::numbers("n"); // ready to use
//! let component = Guest::new(&["n"], &[], &[("n", ColumnType::Int64)]).transform("(unreachable)").build();
//! ```

use std::fmt::Write;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::super::WIT;
use crate::dataset::ColumnType;

/// Where what a guest says lies in its memory.
const DATA: u32 = 1024;

/// The component of a core module, in text, that is built for the world `transform`.
pub(crate) fn component(module: &str) -> Vec<u8> {
    component_of(module, WIT)
}

/// The same, of the world `transform` of another contract.
pub(crate) fn component_of(module: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("transform")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// Reads the int64 column `column`, which becomes twice as much. Zeros (and nulls) are filtered, what is negative is
/// set aside with the code `negative`, what is more than 1000 is written twice.
pub(crate) fn numbers(column: &str) -> Vec<u8> {
    let mut guest = Guest::new(&[column], &[], &[(column, ColumnType::Int64)]);
    let (code, name, message) = (guest.text("negative"), guest.text(column), guest.text("it is below zero"));
    let error = [code, name, message].map(|(at, length)| format!("(i32.const {at}) (i32.const {length})"));
    let [code, name, message] = error;
    guest
        .function(&format!(
            "(func $set_aside (param $at i32) (param $row i32)
               (i32.store (local.get $at) (local.get $row))
               (call $pair (i32.add (local.get $at) (i32.const 4)) {code})
               (i32.store (i32.add (local.get $at) (i32.const 12)) (i32.const 1))
               (call $pair (i32.add (local.get $at) (i32.const 16)) {name})
               (call $pair (i32.add (local.get $at) (i32.const 24)) {message}))"
        ))
        .transform(
            "(local $i i32) (local $v i64) (local $in i32) (local $out i32) (local $source i32) (local $errors i32)
             (local $kept i32) (local $failed i32) (local $copies i32)
             (local.set $in (i32.load offset=16 (local.get $columns)))
             (local.set $out (call $new (i32.mul (local.get $rows) (i32.const 16))))
             (local.set $source (call $new (i32.mul (local.get $rows) (i32.const 8))))
             (local.set $errors (call $new (i32.mul (local.get $rows) (i32.const 32))))
             (block $done (loop $next
               (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
               (local.set $v (i64.load (i32.add (local.get $in) (i32.mul (local.get $i) (i32.const 8)))))
               (local.set $copies (i64.gt_s (local.get $v) (i64.const 0)))
               (if (i64.gt_s (local.get $v) (i64.const 1000)) (then (local.set $copies (i32.const 2))))
               (if (i64.lt_s (local.get $v) (i64.const 0)) (then
                 (call $set_aside
                   (i32.add (local.get $errors) (i32.mul (local.get $failed) (i32.const 32))) (local.get $i))
                 (local.set $failed (i32.add (local.get $failed) (i32.const 1)))))
               (block $copied (loop $copy
                 (br_if $copied (i32.eqz (local.get $copies)))
                 (i64.store (i32.add (local.get $out) (i32.mul (local.get $kept) (i32.const 8)))
                   (i64.mul (local.get $v) (i64.const 2)))
                 (i32.store (i32.add (local.get $source) (i32.mul (local.get $kept) (i32.const 4))) (local.get $i))
                 (local.set $kept (i32.add (local.get $kept) (i32.const 1)))
                 (local.set $copies (i32.sub (local.get $copies) (i32.const 1)))
                 (br $copy)))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br $next)))
             (i32.store (local.get $columns) (i32.const 0)) ;; no validity
             (call $pair (i32.add (local.get $columns) (i32.const 16)) (local.get $out) (local.get $kept))
             (call $answer (local.get $kept) (local.get $columns) (i32.const 1)
               (i32.const 1) (local.get $source) (local.get $kept) (local.get $errors) (local.get $failed))",
        )
        .build()
}

/// Gives back all of these columns as they come.
pub(crate) fn echo(columns: &[(&str, ColumnType)]) -> Guest {
    let reads: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    Guest::new(&reads, &[], columns)
}

/// A plugin in the making. Its memory is laid out here; what it does is text, with these at hand:
///
/// - `$rows`, `$columns`, `$n`: what `transform` is given. A column has 32 bytes: is there validity (0), its list (4),
///   the case of the values (12), their list (16; of text: offsets 16, bytes 24).
/// - `(call $new SIZE)`: memory, until the call is over.
/// - `(call $pair AT A B)`: writes a pointer and a length.
/// - `(call $answer ROWS COLUMNS N HAS_SOURCE SOURCE N ERRORS N)`: what `transform` returns.
/// - `(call $log LEVEL AT LENGTH)`.
pub(crate) struct Guest {
    data: Vec<u8>,
    functions: String,
    start: String,
    open: String,
    transform: String,
}

impl Guest {
    /// One that answers `open` with this contract, and gives back what comes.
    pub fn new(reads: &[&str], drops: &[&str], output: &[(&str, ColumnType)]) -> Guest {
        let mut guest = Guest {
            data: Vec::new(),
            functions: String::new(),
            start: String::new(),
            open: String::new(),
            transform: "(call $answer (local.get $rows) (local.get $columns) (local.get $n) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0))"
                .to_owned(),
        };
        let names = |guest: &mut Guest, names: &[&str]| {
            let names: Vec<u8> = names.iter().flat_map(|name| pair(guest.text(name))).collect();
            (guest.put(&names), u32::try_from(names.len() / 8).unwrap())
        };
        let (reads, drops) = (names(&mut guest, reads), names(&mut guest, drops));
        let mut fields = Vec::new();
        for (name, ty) in output {
            fields.extend(pair(guest.text(name)));
            fields.extend(data_type(*ty));
        }
        let output_list = (guest.put(&fields), u32::try_from(output.len()).unwrap());
        let answer = [vec![0; 4], pair(reads), pair(drops), pair(output_list)].concat();
        let answer = guest.put(&answer);
        guest.open = format!("(i32.const {answer})");
        guest
    }

    /// What `open` does instead.
    pub fn open(mut self, body: &str) -> Guest {
        self.open = body.to_owned();
        self
    }

    /// `open` refuses, in these words.
    pub fn refusing(mut self, words: &str) -> Guest {
        let at = self.failure(words);
        self.open(&format!("(i32.const {at})"))
    }

    /// What `transform` does instead.
    pub fn transform(mut self, body: &str) -> Guest {
        self.transform = body.to_owned();
        self
    }

    /// `transform` fails, in these words.
    pub fn failing(mut self, words: &str) -> Guest {
        let at = self.failure(words);
        self.transform(&format!("(i32.const {at})"))
    }

    /// `transform` always gives this answer.
    pub fn answering(mut self, answer: &Answer) -> Guest {
        let at = answer.put(&mut self);
        self.transform(&format!("(i32.const {at})"))
    }

    /// Says this before it does anything in `transform`.
    pub fn saying(mut self, level: u32, words: &str) -> Guest {
        let (at, length) = self.text(words);
        self.transform =
            format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {length})) {}", self.transform);
        self
    }

    /// One more function, or another item of a module.
    pub fn function(mut self, function: &str) -> Guest {
        self.functions.push_str(function);
        self
    }

    /// What happens when it is instantiated.
    pub fn start(mut self, body: &str) -> Guest {
        self.start = format!("(func $start {body}) (start $start)");
        self
    }

    /// The component.
    pub fn build(self) -> Vec<u8> {
        component(&self.module())
    }

    /// The core module, in text.
    pub fn module(mut self) -> String {
        let (name, version) = (self.text("guest"), self.text("1.2.3"));
        let description = self.put(&[pair(name), pair(version)].concat());
        let answer = self.put(&[0; 36]);
        let heap = DATA + u32::try_from(self.data.len()).unwrap();
        let data = self.data.iter().fold(String::new(), |mut data, byte| {
            write!(data, "\\{byte:02x}").unwrap();
            data
        });
        format!(
            r#"(module
              (import "lake:transform/log@0.1.0" "write" (func $log (param i32 i32 i32)))
              (memory (export "memory") {pages})
              (data (i32.const {DATA}) "{data}")
              (global $heap (mut i32) (i32.const {heap}))
              (func $realloc (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and
                  (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                  (i32.sub (i32.const 0) (local.get $align))))
                (global.set $heap (i32.add (local.get $at) (local.get $size)))
                (if (i32.gt_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))) (then
                  (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1) (i32.shr_u
                      (i32.sub (global.get $heap) (i32.shl (memory.size) (i32.const 16))) (i32.const 16)))))
                    (then (unreachable)))))
                (local.get $at))
              (func $new (param $size i32) (result i32)
                (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $size)))
              (func $pair (param $at i32) (param $a i32) (param $b i32)
                (i32.store (local.get $at) (local.get $a))
                (i32.store offset=4 (local.get $at) (local.get $b)))
              (func $answer (param $rows i32) (param $columns i32) (param $n i32) (param $has_source i32)
                  (param $source i32) (param $sources i32) (param $errors i32) (param $failed i32) (result i32)
                (i32.store (i32.const {answer}) (i32.const 0))
                (i32.store offset=4 (i32.const {answer}) (local.get $rows))
                (call $pair (i32.const {answer_columns}) (local.get $columns) (local.get $n))
                (i32.store offset=16 (i32.const {answer}) (local.get $has_source))
                (call $pair (i32.const {answer_source}) (local.get $source) (local.get $sources))
                (call $pair (i32.const {answer_errors}) (local.get $errors) (local.get $failed))
                (i32.const {answer}))
              (func (export "describe") (result i32) (i32.const {description}))
              (func $open (export "open") (param i32 i32 i32 i32) (result i32) {open})
              (func (export "cabi_post_open") (param i32) (global.set $heap (i32.const {heap})))
              (func $transform (export "transform")
                (param $rows i32) (param $columns i32) (param $n i32) (result i32) {transform})
              (func (export "cabi_post_transform") (param i32) (global.set $heap (i32.const {heap})))
              {functions} {start})"#,
            pages = heap / 65536 + 1,
            answer_columns = answer + 8,
            answer_source = answer + 20,
            answer_errors = answer + 28,
            open = self.open,
            transform = self.transform,
            functions = self.functions,
            start = self.start,
        )
    }

    /// Where these bytes lie, and how many they are.
    pub fn text(&mut self, text: &str) -> (u32, u32) {
        (self.put(text.as_bytes()), u32::try_from(text.len()).unwrap())
    }

    fn failure(&mut self, words: &str) -> u32 {
        let words = self.text(words);
        self.put(&[vec![1, 0, 0, 0], pair(words), vec![0; 24]].concat())
    }

    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let at = DATA + u32::try_from(self.data.len()).unwrap();
        self.data.extend(bytes);
        at
    }
}

fn pair((at, length): (u32, u32)) -> Vec<u8> {
    [at.to_le_bytes(), length.to_le_bytes()].concat()
}

fn data_type(ty: ColumnType) -> [u8; 4] {
    match ty {
        ColumnType::Boolean => [0; 4],
        ColumnType::Int32 => [1, 0, 0, 0],
        ColumnType::Int64 => [2, 0, 0, 0],
        ColumnType::Double => [3, 0, 0, 0],
        ColumnType::Decimal { precision, scale } => [4, precision, scale, 0],
        ColumnType::Date => [5, 0, 0, 0],
        ColumnType::Timestamp => [6, 0, 0, 0],
        ColumnType::String => [7, 0, 0, 0],
    }
}

/// What a guest gives back for a batch, right or wrong.
#[derive(Default, Clone)]
pub(crate) struct Answer {
    pub rows: u32,
    pub columns: Vec<(Option<Vec<u8>>, Values)>,
    pub source_rows: Option<Vec<u32>>,
    /// Row, code, column, message.
    pub errors: Vec<(u32, &'static str, Option<&'static str>, &'static str)>,
}

/// The values of a column that a guest gives back.
#[derive(Clone)]
pub(crate) enum Values {
    Boolean(Vec<u8>),
    Int64(Vec<i64>),
    Decimal(Vec<u64>),
    Text(Vec<i32>, Vec<u8>),
}

impl Answer {
    fn put(&self, guest: &mut Guest) -> u32 {
        let mut columns = Vec::new();
        for (validity, values) in &self.columns {
            columns.extend(option(guest, validity.as_ref().map(|bytes| (bytes.clone(), bytes.len()))));
            columns.extend(values.put(guest));
        }
        let columns = (guest.put(&columns), u32::try_from(self.columns.len()).unwrap());
        let rows = self.source_rows.as_ref().map(|rows| {
            let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            (bytes, rows.len())
        });
        let source_rows = option(guest, rows);
        let mut errors = Vec::new();
        for (row, code, column, message) in &self.errors {
            errors.extend(row.to_le_bytes());
            errors.extend(pair(guest.text(code)));
            errors.extend(option(guest, column.map(|column| (column.as_bytes().to_vec(), column.len()))));
            errors.extend(pair(guest.text(message)));
        }
        let errors = (guest.put(&errors), u32::try_from(self.errors.len()).unwrap());
        let rows = self.rows.to_le_bytes().to_vec();
        guest.put(&[vec![0; 4], rows, pair(columns), source_rows, pair(errors)].concat())
    }
}

impl Values {
    fn put(&self, guest: &mut Guest) -> Vec<u8> {
        let mut list = |bytes: Vec<u8>, length: usize| (guest.put(&bytes), u32::try_from(length).unwrap());
        let (case, first, second) = match self {
            Values::Boolean(bytes) => (0, list(bytes.clone(), bytes.len()), (0, 0)),
            Values::Int64(values) => {
                (2, list(values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.len()), (0, 0))
            }
            Values::Decimal(halves) => {
                (4, list(halves.iter().flat_map(|v| v.to_le_bytes()).collect(), halves.len()), (0, 0))
            }
            Values::Text(offsets, bytes) => {
                let places = list(offsets.iter().flat_map(|v| v.to_le_bytes()).collect(), offsets.len());
                (7, places, list(bytes.clone(), bytes.len()))
            }
        };
        [vec![case, 0, 0, 0], pair(first), pair(second)].concat()
    }
}

fn option(guest: &mut Guest, list: Option<(Vec<u8>, usize)>) -> Vec<u8> {
    match list {
        Some((bytes, length)) => {
            let at = guest.put(&bytes);
            [vec![1, 0, 0, 0], pair((at, u32::try_from(length).unwrap()))].concat()
        }
        None => vec![0; 12],
    }
}
