;; A transform whose rows say what is to become of them, by the int64 column `v`:
;;
;;   -1              it traps
;;   -2              it fails the batch
;;   v & 7 = 1       the row is filtered
;;   v & 7 = 2       the row is rejected: `no_twos`, column `v`
;;   v & 7 = 3       the row comes out twice
;;   v & 7 = 4       the row is rejected with a code of lake's own, `type_mismatch`
;;   anything else   the row comes out as it went in
;;
;; Other columns pass by untouched. It is a core module: tests make a component of it.
(module
  (memory (export "memory") 64)
  (global $top (mut i32) (i32.const 4096))

  (data (i32.const 16) "by_value")
  (data (i32.const 32) "1.0.0")
  (data (i32.const 48) "v")
  (data (i32.const 64) "no_twos")
  (data (i32.const 80) "type_mismatch")
  (data (i32.const 96) "this row is a two")
  (data (i32.const 128) "this row is a four")
  (data (i32.const 160) "this batch must not be")

  ;; `describe`: name and version.
  (data (i32.const 256) "\10\00\00\00\08\00\00\00\20\00\00\00\05\00\00\00")
  ;; `open`: ok; reads at 320, one; drops none; output at 336, one.
  (data (i32.const 288) "\00\00\00\00\40\01\00\00\01\00\00\00\00\00\00\00\00\00\00\00\50\01\00\00\01\00\00\00")
  ;; The one read: "v".
  (data (i32.const 320) "\30\00\00\00\01\00\00\00")
  ;; The one given back: "v", int64.
  (data (i32.const 336) "\30\00\00\00\01\00\00\00\02\00\00\00")
  ;; `transform`, when it fails: err, message.
  (data (i32.const 368) "\01\00\00\00\a0\00\00\00\16\00\00\00")

  (func $allocate (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get $bytes)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  (func (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $bytes i32) (result i32)
    (call $allocate (local.get $bytes)))

  ;; What a batch took is free again when its answer has been read.
  (func (export "cabi_post_transform") (param i32)
    (global.set $top (i32.const 4096)))

  (func (export "describe") (result i32) (i32.const 256))

  (func (export "open") (param i32 i32 i32 i32) (result i32) (i32.const 288))

  (func $store_text (param $at i32) (param $text i32) (param $length i32)
    (i32.store (local.get $at) (local.get $text))
    (i32.store offset=4 (local.get $at) (local.get $length)))

  (func (export "transform") (param $rows i32) (param $columns i32) (param $count i32) (result i32)
    (local $in i32) (local $out i32) (local $sources i32) (local $errors i32) (local $column i32) (local $answer i32)
    (local $row i32) (local $kept i32) (local $rejected i32) (local $what i32) (local $error i32) (local $value i64)
    (local.set $in (i32.load offset=16 (local.get $columns)))
    (local.set $out (call $allocate (i32.mul (local.get $rows) (i32.const 16))))
    (local.set $sources (call $allocate (i32.mul (local.get $rows) (i32.const 8))))
    (local.set $errors (call $allocate (i32.mul (local.get $rows) (i32.const 32))))
    (local.set $column (call $allocate (i32.const 32)))
    (local.set $answer (call $allocate (i32.const 36)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $row) (local.get $rows)))
        (local.set $value (i64.load (i32.add (local.get $in) (i32.mul (local.get $row) (i32.const 8)))))
        (if (i64.eq (local.get $value) (i64.const -1)) (then (unreachable)))
        (if (i64.eq (local.get $value) (i64.const -2)) (then (return (i32.const 368))))
        (local.set $what (i32.and (i32.wrap_i64 (local.get $value)) (i32.const 7)))
        (block $filtered
          (br_if $filtered (i32.eq (local.get $what) (i32.const 1)))
          (if (i32.or (i32.eq (local.get $what) (i32.const 2)) (i32.eq (local.get $what) (i32.const 4)))
            (then
              (local.set $error (i32.add (local.get $errors) (i32.mul (local.get $rejected) (i32.const 32))))
              (i32.store (local.get $error) (local.get $row))
              (if (i32.eq (local.get $what) (i32.const 2))
                (then
                  (call $store_text (i32.add (local.get $error) (i32.const 4)) (i32.const 64) (i32.const 7))
                  (i32.store8 offset=12 (local.get $error) (i32.const 1))
                  (call $store_text (i32.add (local.get $error) (i32.const 16)) (i32.const 48) (i32.const 1))
                  (call $store_text (i32.add (local.get $error) (i32.const 24)) (i32.const 96) (i32.const 17)))
                (else
                  (call $store_text (i32.add (local.get $error) (i32.const 4)) (i32.const 80) (i32.const 13))
                  (i32.store8 offset=12 (local.get $error) (i32.const 0))
                  (call $store_text (i32.add (local.get $error) (i32.const 24)) (i32.const 128) (i32.const 18))))
              (local.set $rejected (i32.add (local.get $rejected) (i32.const 1)))
              (br $filtered)))
          ;; Once more for a three.
          (loop $again
            (i64.store (i32.add (local.get $out) (i32.mul (local.get $kept) (i32.const 8))) (local.get $value))
            (i32.store (i32.add (local.get $sources) (i32.mul (local.get $kept) (i32.const 4))) (local.get $row))
            (local.set $kept (i32.add (local.get $kept) (i32.const 1)))
            (if (i32.eq (local.get $what) (i32.const 3))
              (then (local.set $what (i32.const 0)) (br $again)))))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
    ;; The one column: no validity, int64.
    (i32.store (local.get $column) (i32.const 0))
    (i32.store offset=12 (local.get $column) (i32.const 2))
    (call $store_text (i32.add (local.get $column) (i32.const 16)) (local.get $out) (local.get $kept))
    ;; ok, rows, columns, sources, errors.
    (i32.store (local.get $answer) (i32.const 0))
    (i32.store offset=4 (local.get $answer) (local.get $kept))
    (call $store_text (i32.add (local.get $answer) (i32.const 8)) (local.get $column) (i32.const 1))
    (i32.store offset=16 (local.get $answer) (i32.const 1))
    (call $store_text (i32.add (local.get $answer) (i32.const 20)) (local.get $sources) (local.get $kept))
    (call $store_text (i32.add (local.get $answer) (i32.const 28)) (local.get $errors) (local.get $rejected))
    (local.get $answer)))
