;; WASI preview 1 with no world behind it.
;;
;; Many languages cannot be compiled without WASI: their runtimes write panics to file 2, ask for the time, for
;; arguments, for randomness. A plugin has none of that. This module is joined to a core module that imports
;; `wasi_snapshot_preview1` when it is made a component, and answers in its stead: lines written to files 1 and 2 go to
;; the run's log, the clock stands at 0, random numbers are the same in every run, there are no arguments, no
;; environment, no files and no network.
;; The functions: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
;;
;; `wasi_stub.wasm` beside this file is its binary; a test compares them.
(module $wasi_stub
  (import "lake:transform/log@0.1.0" "write" (func $log (param $level i32) (param $at i32) (param $length i32)))
  (import "env" "memory" (memory $guest 0))

  ;; A line is gathered here until it ends, since runtimes write it in pieces. By address:
  ;;       0  the line of file 1
  ;;   16384  the line of file 2
  ;;   32768  what lay in the guest's memory where a line is shown to the host
  ;;   49156  length of the line of file 1
  ;;   49160  length of the line of file 2
  (memory $own 1)
  (global $random (mut i64) (i64.const 0x6c616b65))

  (func $line (param $file i32) (result i32)
    (i32.shl (i32.sub (local.get $file) (i32.const 1)) (i32.const 14)))
  (func $length (param $file i32) (result i32)
    (i32.load $own offset=49152 (i32.shl (local.get $file) (i32.const 2))))
  (func $set_length (param $file i32) (param $length i32)
    (i32.store $own offset=49152 (i32.shl (local.get $file) (i32.const 2)) (local.get $length)))

  ;; Whether own memory holds UTF-8 there: the contract's strings must be, and what a guest writes need not be.
  (func $is_utf8 (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $byte i32) (local $more i32) (local $least i32) (local $most i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (loop $characters
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 1))))
      (local.set $byte (i32.load8_u $own (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $characters (i32.lt_u (local.get $byte) (i32.const 0x80)))
      (if (i32.or (i32.lt_u (local.get $byte) (i32.const 0xc2)) (i32.gt_u (local.get $byte) (i32.const 0xf4)))
        (then (return (i32.const 0))))
      (local.set $more
        (i32.add (i32.const 1)
          (i32.add (i32.ge_u (local.get $byte) (i32.const 0xe0)) (i32.ge_u (local.get $byte) (i32.const 0xf0)))))
      ;; The second byte has a range of its own after four of the first bytes.
      (local.set $least (i32.const 0x80))
      (local.set $most (i32.const 0xbf))
      (if (i32.eq (local.get $byte) (i32.const 0xe0)) (then (local.set $least (i32.const 0xa0))))
      (if (i32.eq (local.get $byte) (i32.const 0xed)) (then (local.set $most (i32.const 0x9f))))
      (if (i32.eq (local.get $byte) (i32.const 0xf0)) (then (local.set $least (i32.const 0x90))))
      (if (i32.eq (local.get $byte) (i32.const 0xf4)) (then (local.set $most (i32.const 0x8f))))
      (loop $rest
        (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
        (local.set $byte (i32.load8_u $own (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (i32.or
              (i32.lt_u (local.get $byte) (local.get $least))
              (i32.gt_u (local.get $byte) (local.get $most)))
          (then (return (i32.const 0))))
        (local.set $least (i32.const 0x80))
        (local.set $most (i32.const 0xbf))
        (local.set $more (i32.sub (local.get $more) (i32.const 1)))
        (br_if $rest (local.get $more)))
      (br $characters))
    unreachable)

  ;; Puts `?` in the place of every byte that is no ASCII.
  (func $to_ascii (param $at i32) (param $length i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (loop $bytes
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (if (i32.ge_u (i32.load8_u $own (local.get $at)) (i32.const 0x80))
            (then (i32.store8 $own (local.get $at) (i32.const 0x3f))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $bytes)))))

  ;; Says the first bytes of a file's line. The host reads the guest's memory alone, and nothing may be allocated there:
  ;; the guest may be in the midst of allocating. So the line is shown at address 0, and what lay there put back.
  (func $say (param $file i32) (param $length i32)
    (local $line i32)
    (local.set $line (call $line (local.get $file)))
    (if (i32.or
          (i32.eqz (local.get $length))
          (i32.eqz (memory.size $guest)))
      (then (return)))
    (if (i32.eqz (call $is_utf8 (local.get $line) (local.get $length)))
      (then (call $to_ascii (local.get $line) (local.get $length))))
    (memory.copy $own $guest (i32.const 32768) (i32.const 0) (local.get $length))
    (memory.copy $guest $own (i32.const 0) (local.get $line) (local.get $length))
    ;; File 1 is level `info`, file 2 is level `error`.
    (call $log
      (i32.sub (i32.shl (local.get $file) (i32.const 1)) (i32.const 1))
      (i32.const 0)
      (local.get $length))
    (memory.copy $guest $own (i32.const 0) (i32.const 32768) (local.get $length)))

  ;; Says the line of a file as far as it is.
  (func $end_line (param $file i32)
    (call $say (local.get $file) (call $length (local.get $file)))
    (call $set_length (local.get $file) (i32.const 0)))

  ;; Says a line that is as long as there is room, up to the character that may be cut in two.
  (func $cut_line (param $file i32)
    (local $line i32) (local $length i32) (local $rest i32) (local $byte i32)
    (local.set $line (call $line (local.get $file)))
    (local.set $length (i32.const 16384))
    (block $found
      (loop $back
        (local.set $rest (i32.add (local.get $rest) (i32.const 1)))
        (local.set $byte
          (i32.load8_u $own (i32.add (local.get $line) (i32.sub (local.get $length) (local.get $rest)))))
        (br_if $found (i32.ge_u (local.get $byte) (i32.const 0xc0)))
        (br_if $back
          (i32.and (i32.ge_u (local.get $byte) (i32.const 0x80)) (i32.lt_u (local.get $rest) (i32.const 3)))))
      (local.set $rest (i32.const 0)))
    (local.set $length (i32.sub (local.get $length) (local.get $rest)))
    (call $say (local.get $file) (local.get $length))
    (memory.copy $own $own
      (local.get $line)
      (i32.add (local.get $line) (local.get $length))
      (local.get $rest))
    (call $set_length (local.get $file) (local.get $rest)))

  (func $put (param $file i32) (param $byte i32)
    (local $length i32)
    (if (i32.eq (local.get $byte) (i32.const 0x0a))
      (then (call $end_line (local.get $file)) (return)))
    (if (i32.eq (call $length (local.get $file)) (i32.const 16384))
      (then (call $cut_line (local.get $file))))
    (local.set $length (call $length (local.get $file)))
    (i32.store8 $own (i32.add (call $line (local.get $file)) (local.get $length)) (local.get $byte))
    (call $set_length (local.get $file) (i32.add (local.get $length) (i32.const 1))))

  ;; Of what cannot be done: ENOTSUP for the three files that are there, EBADF for all others.
  (func $refuse (param $file i32) (result i32)
    (select (i32.const 58) (i32.const 8) (i32.lt_u (local.get $file) (i32.const 3))))

  (func (export "fd_write") (param $file i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $at i32) (local $end i32) (local $total i32)
    (if (i32.ge_u (i32.sub (local.get $file) (i32.const 1)) (i32.const 2)) (then (return (i32.const 8))))
    (block $done
      (loop $each
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $at (i32.load $guest (local.get $pieces)))
        (local.set $end (i32.add (local.get $at) (i32.load $guest offset=4 (local.get $pieces))))
        (local.set $total (i32.add (local.get $total) (i32.sub (local.get $end) (local.get $at))))
        (block $next
          (loop $bytes
            (br_if $next (i32.eq (local.get $at) (local.get $end)))
            (call $put (local.get $file) (i32.load8_u $guest (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $bytes)))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $each)))
    (i32.store $guest (local.get $written) (local.get $total))
    (i32.const 0))

  ;; File 0 is at its end; from 1 and 2 nothing can be read.
  (func (export "fd_read") (param $file i32) (param i32) (param i32) (param $read i32) (result i32)
    (if (local.get $file) (then (return (call $refuse (local.get $file)))))
    (i32.store $guest (local.get $read) (i32.const 0))
    (i32.const 0))

  ;; The three files are character devices that can be read (0) or written (1, 2), and nothing else.
  (func (export "fd_fdstat_get") (param $file i32) (param $stat i32) (result i32)
    (if (i32.ge_u (local.get $file) (i32.const 3)) (then (return (i32.const 8))))
    (i64.store $guest (local.get $stat) (i64.const 2))
    (i64.store $guest offset=8 (local.get $stat) (select (i64.const 64) (i64.const 2) (local.get $file)))
    (i64.store $guest offset=16 (local.get $stat) (i64.const 0))
    (i32.const 0))

  ;; ESPIPE for the three files.
  (func (export "fd_seek") (param $file i32) (param i64) (param i32) (param i32) (result i32)
    (select (i32.const 70) (i32.const 8) (i32.lt_u (local.get $file) (i32.const 3))))
  (func (export "fd_tell") (param $file i32) (param i32) (result i32)
    (select (i32.const 70) (i32.const 8) (i32.lt_u (local.get $file) (i32.const 3))))

  ;; No arguments, no environment.
  (func $none (param $count i32) (param $bytes i32) (result i32)
    (i32.store $guest (local.get $count) (i32.const 0))
    (i32.store $guest (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $none))
  (export "environ_sizes_get" (func $none))
  (func $nothing (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $nothing))
  (export "environ_get" (func $nothing))

  ;; The clock stands still.
  (func (export "clock_time_get") (param i32) (param i64) (param $time i32) (result i32)
    (i64.store $guest (local.get $time) (i64.const 0))
    (i32.const 0))
  (func (export "clock_res_get") (param i32) (param $resolution i32) (result i32)
    (i64.store $guest (local.get $resolution) (i64.const 1))
    (i32.const 0))

  ;; SplitMix64 from a fixed seed: the same numbers in every run.
  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (local $end i32) (local $mixed i64)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $bytes
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (global.set $random (i64.add (global.get $random) (i64.const 0x9e3779b97f4a7c15)))
        (local.set $mixed (global.get $random))
        (local.set $mixed
          (i64.mul
            (i64.xor (local.get $mixed) (i64.shr_u (local.get $mixed) (i64.const 30)))
            (i64.const 0xbf58476d1ce4e5b9)))
        (local.set $mixed
          (i64.mul
            (i64.xor (local.get $mixed) (i64.shr_u (local.get $mixed) (i64.const 27)))
            (i64.const 0x94d049bb133111eb)))
        (i64.store8 $guest (local.get $at) (i64.shr_u (local.get $mixed) (i64.const 56)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $bytes)))
    (i32.const 0))

  ;; Nothing is waited for: timers have run down at once, and files are never ready (ENOTSUP).
  (func (export "poll_oneoff")
    (param $wanted i32) (param $events i32) (param $count i32) (param $happened i32) (result i32)
    (local $left i32) (local $kind i32)
    (if (i32.eqz (local.get $count)) (then (return (i32.const 28))))
    (local.set $left (local.get $count))
    (loop $each
      (local.set $kind (i32.load8_u $guest offset=8 (local.get $wanted)))
      (i64.store $guest (local.get $events) (i64.load $guest (local.get $wanted)))
      (i32.store16 $guest offset=8 (local.get $events)
        (select (i32.const 58) (i32.const 0) (local.get $kind)))
      (i32.store8 $guest offset=10 (local.get $events) (local.get $kind))
      (i64.store $guest offset=16 (local.get $events) (i64.const 0))
      (i64.store $guest offset=24 (local.get $events) (i64.const 0))
      (local.set $wanted (i32.add (local.get $wanted) (i32.const 48)))
      (local.set $events (i32.add (local.get $events) (i32.const 32)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $each (local.get $left)))
    (i32.store $guest (local.get $happened) (local.get $count))
    (i32.const 0))
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; A plugin that ends itself has failed; what it wrote last is said first.
  (func $proc_exit (export "proc_exit") (param $code i32)
    (call $end_line (i32.const 1))
    (call $end_line (i32.const 2))
    unreachable)

  ;; No files.
  (func (export "fd_advise") (param $file i32) (param i64 i64 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_allocate") (param $file i32) (param i64 i64) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_close") (param $file i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_datasync") (param $file i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_fdstat_set_flags") (param $file i32) (param i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_fdstat_set_rights") (param $file i32) (param i64 i64) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_filestat_get") (param $file i32) (param i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_filestat_set_size") (param $file i32) (param i64) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_filestat_set_times") (param $file i32) (param i64 i64 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_pread") (param $file i32) (param i32 i32 i64 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_prestat_dir_name") (param $file i32) (param i32 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_pwrite") (param $file i32) (param i32 i32 i64 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_readdir") (param $file i32) (param i32 i32 i64 i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_renumber") (param $file i32) (param i32) (result i32)
    (call $refuse (local.get $file)))
  (func (export "fd_sync") (param $file i32) (result i32)
    (call $refuse (local.get $file)))

  ;; No folders: EBADF tells a C library that it was given none.
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))

  ;; No network and no signals: ENOSYS.
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 52))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 52)))
