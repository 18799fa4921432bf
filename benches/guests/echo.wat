;; A plugin that looks at nothing: it reads every column and gives each back as it came (`keep` = 1), or filters every
;; row (`keep` = 0). What it costs is the border. Layouts are those of the canonical ABI
;; (https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md).
(module
  (memory (export "memory") 2)
  (global $keep i32 (i32.const 1))
  ;; Results of a call lie at 1024; what comes in is put from 65536 on, and let go after each call.
  (global $result i32 (i32.const 1024))
  (global $base i32 (i32.const 65536))
  (global $next (mut i32) (i32.const 65536))
  (data (i32.const 16) "echo0.1.0")

  (func $realloc (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $start i32) (local $end i32) (local $missing i32)
    (local.set $start
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (local.set $end (i32.add (local.get $start) (local.get $size)))
    (local.set $missing (i32.sub (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable)))))
    (if (local.get $old_size)
      (then (memory.copy (local.get $start) (local.get $old) (local.get $old_size))))
    (global.set $next (local.get $end))
    (local.get $start))

  (func $let_go (global.set $next (global.get $base)))

  ;; description { name, version }
  (func (export "describe") (result i32)
    (i32.store (global.get $result) (i32.const 16))
    (i32.store offset=4 (global.get $result) (i32.const 4))
    (i32.store offset=8 (global.get $result) (i32.const 20))
    (i32.store offset=12 (global.get $result) (i32.const 5))
    (global.get $result))

  ;; result<contract { reads, drops, output }, string>: the names of the fields, nothing, the fields
  (func (export "open") (param $config i32) (param $configs i32) (param $fields i32) (param $count i32) (result i32)
    (local $names i32) (local $at i32)
    (local.set $names
      (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $count) (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $at) (local.get $count)))
        ;; A field is 12 bytes: pointer and length of its name, then its type. A string is the first eight of them.
        (i64.store
          (i32.add (local.get $names) (i32.mul (local.get $at) (i32.const 8)))
          (i64.load (i32.add (local.get $fields) (i32.mul (local.get $at) (i32.const 12)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.store8 (global.get $result) (i32.const 0))
    (i32.store offset=4 (global.get $result) (local.get $names))
    (i32.store offset=8 (global.get $result) (local.get $count))
    (i32.store offset=12 (global.get $result) (i32.const 0))
    (i32.store offset=16 (global.get $result) (i32.const 0))
    (i32.store offset=20 (global.get $result) (local.get $fields))
    (i32.store offset=24 (global.get $result) (local.get $count))
    (global.get $result))

  ;; result<output { batch { rows, columns }, source-rows, errors }, string>
  (func (export "transform") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
    (local $at i32) (local $column i32)
    (i32.store8 (global.get $result) (i32.const 0))
    (i32.store offset=4 (global.get $result) (i32.mul (local.get $rows) (global.get $keep)))
    (i32.store offset=8 (global.get $result) (local.get $columns))
    (i32.store offset=12 (global.get $result) (local.get $count))
    ;; source-rows: none where rows go in and out one to one, else an empty list
    (i32.store8 offset=16 (global.get $result) (i32.eqz (global.get $keep)))
    (i32.store offset=20 (global.get $result) (i32.const 0))
    (i32.store offset=24 (global.get $result) (i32.const 0))
    (i32.store offset=28 (global.get $result) (i32.const 0))
    (i32.store offset=32 (global.get $result) (i32.const 0))
    (if (i32.eqz (global.get $keep))
      (then
        (block $done
          (loop $next
            (br_if $done (i32.eq (local.get $at) (local.get $count)))
            ;; A column is 32 bytes: validity (discriminant, pointer, length), values (discriminant, then at 16 pointer
            ;; and length; for text those of its offsets, then those of its bytes). The lists are made empty; offsets
            ;; keep their first number.
            (local.set $column (i32.add (local.get $columns) (i32.mul (local.get $at) (i32.const 32))))
            (i32.store8 (local.get $column) (i32.const 0))
            (i32.store offset=20 (local.get $column) (i32.eq (i32.load8_u offset=12 (local.get $column)) (i32.const 7)))
            (i32.store offset=28 (local.get $column) (i32.const 0))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))))
    (global.get $result))

  (func (export "cabi_post_describe") (param i32) (call $let_go))
  (func (export "cabi_post_open") (param i32) (call $let_go))
  (func (export "cabi_post_transform") (param i32) (call $let_go)))
