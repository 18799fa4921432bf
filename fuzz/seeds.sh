#!/bin/sh
# Fills corpus/csv with the files of tests/data/csv, each as it would be read in several dialects and in small pieces.
#
# Fifteen bytes before a text say how it is read (src/executor/csv/tests/fuzz/bytes.rs): delimiter, quote, escape,
# comment (a mark that is one already is none), flags (1: CR ends records, 2: short rows are filled up), width less one,
# record (even: no limit), block, group, step, rows, bytes, and three bytes of types, three bits a column.
set -eu
cd "$(dirname "$0")"
mkdir -p corpus/csv

seed() { # name, prefix
    for file in ../tests/data/csv/*; do
        { printf "$2"; cat "$file"; } >"corpus/csv/$1-$(basename "$file")"
    done
}

seed comma ',",,\000\002\000\020\040\005\001\012\000\000\000'
seed typed ',",#\002\003\000\006\023\002\001\011\071\216\003'
seed escaped ',"\\,\000\001\061\006\023\002\001\011\000\000\000'
seed plain ',,,,\000\002\000\377\377\177\007\177\001\001\001'
seed semicolon ';",,\002\003\000\030\060\007\002\040\112\044\111'
seed single ";'\\\\#\\000\\002\\041\\003\\005\\000\\000\\003\\112\\044\\111"
seed tab '\t",,\000\002\000\077\100\020\003\020\001\321\130'
seed space ' ",#\000\001\000\100\100\100\003\100\321\130\001'
seed returns ',",,\001\002\000\021\040\004\001\020\112\044\111'
seed bar '|",,\002\003\043\004\040\003\001\020\000\000\000'
