use std::io::Write;

use ::zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
use encoding_rs::{
    BIG5, EUC_KR, GBK, ISO_8859_2, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
    WINDOWS_1253, WINDOWS_1254,
};
use proptest::prelude::*;

use super::*;
use crate::executor::tests::Memory;

/// A text that was read to its end.
#[derive(Debug)]
struct Opened {
    bytes: Vec<u8>,
    sample: Vec<u8>,
    encoding: &'static Encoding,
    known: Known,
    note: Option<String>,
    compression: Option<Compression>,
    offset: u64,
}

fn open_in_steps(bytes: impl AsRef<[u8]>, label: Option<&str>, step: usize, sample: usize) -> Result<Opened, Error> {
    let progress = Progress::new();
    let stored = bytes.as_ref().len() as u64;
    let mut text = Text::open_with(&Memory::in_steps(bytes, step), label, &progress, sample)?;
    let mut bytes = Vec::new();
    text.reader.read_to_end(&mut bytes).map_err(|error| Error::reading("memory.csv", error))?;
    assert_eq!((text.bytes.load(Ordering::Relaxed), progress.bytes_read()), (stored, stored));
    assert!(bytes.starts_with(&text.sample) && (!text.whole || text.sample == bytes));
    let Text { sample, encoding, known, note, compression, offset, .. } = text;
    Ok(Opened { bytes, sample, encoding, known, note, compression, offset })
}

fn open(bytes: impl AsRef<[u8]>) -> Result<Opened, Error> {
    open_in_steps(bytes, None, usize::MAX, SAMPLE_BYTES)
}

fn read(bytes: impl AsRef<[u8]>) -> Opened {
    open(bytes).unwrap()
}

fn read_as(bytes: impl AsRef<[u8]>, label: &str) -> Opened {
    open_in_steps(bytes, Some(label), usize::MAX, SAMPLE_BYTES).unwrap()
}

/// What a file is refused for.
fn refusal(bytes: impl AsRef<[u8]>) -> String {
    match open(bytes) {
        Err(error @ Error::NotCsv { .. }) if error.is_permanent() => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn damage(bytes: impl AsRef<[u8]>) -> String {
    match open(bytes) {
        Err(error @ Error::Damaged { .. }) if error.is_permanent() => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

/// A zip archive of these members; a name that ends with `/` is a folder.
fn zip_of(members: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        match name.ends_with('/') {
            true => writer.add_directory(*name, options).unwrap(),
            false => {
                writer.start_file(*name, options).unwrap();
                writer.write_all(bytes).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    zip_of(&[("folder/a.csv", bytes)], deflated())
}

/// A zip archive whose lengths stand behind its member, as a pipe makes it.
fn streamed_zip(bytes: &[u8], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = ZipWriter::new_stream(Vec::new());
    writer.start_file("a.csv", options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKED: [(Compression, Pack); 4] =
    [(Compression::Gzip, gzip), (Compression::Zstd, zstd), (Compression::Bzip2, bzip2), (Compression::Zip, zip)];

/// Rows that do not compress to nothing.
fn rows(count: u32) -> Vec<u8> {
    let mut text = "id,noise\n".to_owned();
    for row in 0..count {
        text.push_str(&format!("{row},{:08x}\n", row.wrapping_mul(0x9E37_79B9)));
    }
    text.into_bytes()
}

#[test]
fn each_compression_is_found_by_its_first_bytes_and_unpacked() {
    let text = rows(100_000);
    for (compression, pack) in PACKED {
        let opened = read(pack(&text));
        assert_eq!((opened.compression, opened.known), (Some(compression), Known::Valid));
        assert!(opened.bytes == text && opened.sample == text[..SAMPLE_BYTES], "{compression:?}");
    }
    assert_eq!(read(&text).compression, None);
    assert_eq!(serde_json::to_string(&Compression::Gzip).unwrap(), "\"gzip\"");
}

#[test]
fn an_empty_file_is_an_empty_text_compressed_or_not() {
    assert_eq!(read(b"").bytes, b"");
    for (compression, pack) in PACKED {
        assert_eq!(read(pack(b"")).bytes, b"", "{compression:?}");
    }
}

#[test]
fn members_frames_and_streams_one_after_the_other_are_one_text() {
    for (compression, pack) in &PACKED[..3] {
        let packed = [pack(b"a,b\n1,"), pack(b""), pack(b"2\n")].concat();
        assert_eq!(read(&packed).bytes, b"a,b\n1,2\n", "{compression:?}");
    }
}

#[test]
fn zeros_behind_a_gzip_or_bzip2_file_are_padding_and_anything_else_is_damage() {
    for pack in [gzip as Pack, bzip2] {
        let padded = [pack(b"a\n1\n").as_slice(), &[0; 5000]].concat();
        assert_eq!(read(&padded).bytes, b"a\n1\n");
        let trailed = [padded.as_slice(), b"x"].concat();
        assert!(damage(&trailed).contains("something else follows"));
        assert!(damage([pack(b"a\n1\n").as_slice(), b"a\n2\n"].concat()).contains("something else follows"));
    }
    assert!(damage([zstd(b"a\n1\n").as_slice(), b"a\n2\n"].concat()).contains("Zstandard"));
}

#[test]
fn skippable_frames_are_skipped_wherever_they_are() {
    let skippable = [b"\x5a\x2a\x4d\x18\x03\0\0\0".as_slice(), b"xyz"].concat();
    let packed = [skippable.clone(), zstd(b"a\n"), skippable.clone(), zstd(b"1\n"), skippable].concat();
    assert_eq!(read(packed).bytes, b"a\n1\n");
}

#[test]
fn a_zstandard_frame_may_have_a_window_of_so_many_bytes_and_no_more() {
    // Magic, a header without size or checksum, the window's exponent above 10, one raw block of four bytes.
    let frame = |log: u32| {
        let window = ((log - 10) << 3) as u8;
        [b"\x28\xb5\x2f\xfd\0".as_slice(), &[window], b"\x21\0\0a\n1\n"].concat()
    };
    assert_eq!(read(frame(ZSTD_WINDOW_LOG_MAX)).bytes, b"a\n1\n");
    assert!(refusal(frame(ZSTD_WINDOW_LOG_MAX + 1)).contains("window of more than 64 MiB"));
}

#[test]
fn what_was_cut_off_anywhere_is_damaged_and_never_a_shorter_file() {
    let text = rows(300);
    for (compression, pack) in PACKED {
        let packed = pack(&text);
        for length in 12..packed.len() {
            match open(&packed[..length]) {
                Err(Error::Damaged { message, .. }) => assert!(message.contains("at byte "), "{message}"),
                other => panic!("{compression:?} cut at {length} of {}: {other:?}", packed.len()),
            }
        }
    }
    assert!(damage(b"\x1f\x8b").contains("a gzip file"));
}

#[test]
fn a_byte_that_was_changed_is_noticed_or_changes_nothing() {
    let text = rows(60);
    for (compression, pack) in PACKED {
        let packed = pack(&text);
        for at in 4..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0x11;
            if let Ok(opened) = open(&changed) {
                assert!(opened.bytes == text, "{compression:?} changed at {at}");
            }
        }
    }
}

#[test]
fn damage_says_where_it_is() {
    let mut packed = gzip(&rows(10_000));
    let middle = packed.len() / 2;
    packed.truncate(middle);
    let told = damage(&packed);
    assert!(told.starts_with(&format!("memory.csv: a gzip file that cannot be unpacked at byte {middle} (")), "{told}");
    assert!(told.ends_with("it was cut off"), "{told}");
}

#[test]
fn a_zip_archive_of_one_file_is_read_however_it_was_made() {
    let text = rows(20_000);
    for options in [deflated(), stored(), deflated().large_file(true), stored().large_file(true)] {
        assert!(read(zip_of(&[("a.csv", &text)], options)).bytes == text);
    }
    assert!(read(streamed_zip(&text, deflated())).bytes == text);
    let commented = {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.set_comment("PK\u{5}\u{6} a comment").unwrap();
        writer.start_file("a.csv", deflated()).unwrap();
        writer.write_all(&text).unwrap();
        writer.finish().unwrap().into_inner()
    };
    assert!(read(commented).bytes == text);
}

#[test]
fn folders_and_what_macos_adds_do_not_count_as_files_of_an_archive() {
    let members: [(&str, &[u8]); 5] = [
        ("data/", b""),
        ("data/.DS_Store", b"x"),
        ("data/a.csv", b"a\n1\n"),
        ("__MACOSX/", b""),
        ("__MACOSX/._a.csv", b"y"),
    ];
    for options in [deflated(), stored()] {
        assert_eq!(read(zip_of(&members, options)).bytes, b"a\n1\n");
    }
}

#[test]
fn archives_that_are_no_single_csv_are_refused_by_what_is_in_them() {
    let several = zip_of(&[("a.csv", b"a\n1\n"), ("b.csv", b"a\n2\n")], deflated());
    assert!(refusal(several).contains("several files (`a.csv`, `b.csv`, …)"));
    for (member, hint) in [
        ("[Content_Types].xml", ".xlsx"),
        ("xl/workbook.xml", ".xlsx"),
        ("mimetype", ".ods"),
        ("META-INF/MANIFEST.MF", "Java"),
    ] {
        assert!(refusal(zip_of(&[(member, b"<xml/>")], deflated())).contains(hint), "{member}");
    }
    assert!(refusal(zip_of(&[], deflated())).contains("without any file"));
    assert!(refusal(zip_of(&[("data/", b"")], stored())).contains("without any file"));
    let mut encrypted = zip(b"a\n1\n");
    encrypted[6] |= 1;
    assert!(refusal(encrypted).contains("encrypted"));
    let mut strange = zip(b"a\n1\n");
    strange[8] = 14;
    assert!(refusal(strange).contains("packed by LZMA"));
    assert!(refusal(streamed_zip(b"a\n1\n", stored())).contains("not compressed"));
}

#[test]
fn several_files_are_noticed_behind_a_long_first_one_before_the_text_ends() {
    let text = rows(100_000);
    let error = open(zip_of(&[("a.csv", &text), ("b.csv", b"a\n2\n")], deflated())).unwrap_err();
    assert!(matches!(&error, Error::NotCsv { looks_like, .. } if looks_like.contains("`b.csv`")), "{error}");
}

#[test]
fn what_is_compressed_twice_or_is_an_archive_inside_is_refused() {
    for (outer, pack) in PACKED {
        for (inner, pack_inner) in PACKED {
            let told = refusal(pack(&pack_inner(b"a\n1\n")));
            assert!(told.contains(inner.noun()) && told.contains(outer.noun()), "{told}");
        }
    }
    let mut tar = vec![0; 1024];
    tar[..5].copy_from_slice(b"a.csv");
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal(gzip(&tar)).contains("tar archive"));
    assert!(refusal(gzip(b"PAR1\x15\x04")).contains("Parquet"));
    assert!(refusal(gzip(b"<html><body>")).contains("HTML"));
}

#[test]
fn other_compressions_are_refused_by_name() {
    for (bytes, name) in
        [(b"\xfd7zXZ\0".as_slice(), "xz"), (b"\x04\x22\x4d\x18d", "LZ4"), (b"7z\xbc\xaf\x27\x1c", "7z")]
    {
        assert!(refusal(bytes).contains(name), "{name}");
    }
    assert_eq!(read("PAR1,PAR2\n1,2\n").bytes, b"PAR1,PAR2\n1,2\n", "a header may begin like a magic");
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn byte_order_marks_decide_and_are_taken_off() {
    let opened = read("\u{feff}a,b\n1,é\n");
    assert_eq!((opened.bytes.as_slice(), opened.known, opened.offset), ("a,b\n1,é\n".as_bytes(), Known::Marked, 3));
    for (big, encoding) in [(false, UTF_16LE), (true, UTF_16BE)] {
        let opened = read(utf16("\u{feff}a,b\n1,é€𝄞\n", big));
        assert_eq!(String::from_utf8(opened.bytes).unwrap(), "a,b\n1,é€𝄞\n");
        assert_eq!((opened.encoding, opened.known, opened.offset), (encoding, Known::Marked, 0));
    }
    assert_eq!(read(gzip("\u{feff}a\n".as_bytes())).offset, 3, "offsets count in the unpacked file");
}

#[test]
fn utf16_without_a_mark_is_known_by_its_zeros() {
    for (big, encoding) in [(false, UTF_16LE), (true, UTF_16BE)] {
        let opened = read(utf16("name,city\nJosé,München\n", big));
        assert_eq!((opened.encoding, opened.known), (encoding, Known::Zeros));
        assert_eq!(opened.bytes, "name,city\nJosé,München\n".as_bytes());
        assert!(opened.note.unwrap().contains(encoding.name()));
    }
}

#[test]
fn utf32_is_refused_with_or_without_a_mark() {
    for mark in ["", "\u{feff}"] {
        let text: Vec<char> = format!("{mark}a,b\n1,2\n").chars().collect();
        let little: Vec<u8> = text.iter().flat_map(|&c| u32::from(c).to_le_bytes()).collect();
        let big: Vec<u8> = text.iter().flat_map(|&c| u32::from(c).to_be_bytes()).collect();
        for bytes in [little, big] {
            assert!(refusal(bytes).contains("UTF-32"));
        }
    }
}

#[test]
fn latin_text_is_read_as_windows_1252_and_the_note_says_that_it_is_a_guess() {
    for bytes in
        [b"name,city\nJos\xe9,M\xe1laga\n".as_slice(), b"a,b\nok,1\ncaf\xe9,2\n", b"price\n10 \x80\n\x93quoted\x94\n"]
    {
        let opened = read(bytes);
        assert_eq!((opened.encoding, opened.known), (WINDOWS_1252, Known::Guessed), "{bytes:?}");
        assert_eq!(opened.bytes, WINDOWS_1252.decode_without_bom_handling(bytes).0.as_bytes());
        assert!(opened.note.unwrap().contains("csv.encoding"));
    }
}

#[test]
fn utf8_with_something_broken_in_it_stays_utf8() {
    let cases: [&[u8]; 4] = [
        b"a\nM\xc3\xbcnchen\nJos\xe9\n",                      // there are valid characters, too
        b"a\nx\x81y\n",                                       // no letter of windows-1252
        b"a,b\n1,2\xff3\n4,5\xff6\n",                         // bytes among digits
        b"a\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xe9\xe8\xc3\n", // as many as there are broken ones
    ];
    for bytes in cases {
        let opened = read(bytes);
        assert_eq!((opened.encoding, opened.known), (UTF_8, Known::Broken), "{bytes:?}");
        assert_eq!(opened.bytes, bytes, "nothing is replaced");
        assert!(opened.note.unwrap().contains("set aside"));
    }
}

#[test]
fn what_breaks_behind_an_ascii_sample_is_left_as_it_is() {
    let text = [rows(50_000).as_slice(), b"1,caf\xe9\n"].concat();
    let opened = read(&text);
    assert_eq!((opened.encoding, opened.known), (UTF_8, Known::Valid));
    assert!(opened.bytes == text);
}

#[test]
fn a_character_that_the_sample_cuts_is_not_broken() {
    for length in 1..5 {
        let text = format!("a\n{}𝄞é\n", "x".repeat(length));
        for sample in 2..text.len() {
            let opened = open_in_steps(&text, None, 3, sample).unwrap();
            assert_eq!((opened.known, opened.bytes.as_slice()), (Known::Valid, text.as_bytes()));
        }
    }
}

#[test]
fn other_old_encodings_are_believed_when_there_is_enough_text() {
    let cases = [
        (WINDOWS_1251, "имя;город\nАлексей Толстой;Санкт-Петербург\nМария Иванова;Нижний Новгород\nПётр;Москва\n"),
        (WINDOWS_1253, "όνομα;πόλη\nΓιώργος Παπαδόπουλος;Θεσσαλονίκη\nΜαρία Οικονόμου;Αθήνα και Πειραιάς\n"),
        (SHIFT_JIS, "名前,都市\n山田太郎,東京\n鈴木花子さん,大阪です\nカタカナとひらがな,京都の古い町並み\n"),
        (WINDOWS_1250, "jméno;město\nJiří Dvořák;Praha\nŠárka Nováková;Plzeň\nTomáš Černý;Ústí nad Labem\n"),
        (WINDOWS_1250, "imię;miasto\nŁukasz Wiśniewski;Łódź\nZażółć Gęślą;Gdańsk\nMałgorzata;Białystok\n"),
        (ISO_8859_2, "imię;miasto\nŁukasz Wiśniewski;Łódź\nZażółć Gęślą;Gdańsk\nMałgorzata;Białystok\n"),
        (
            WINDOWS_1254,
            "ad;şehir\nİsmail Şahin;İstanbul\nAyşe Yıldız;Diyarbakır\nOğuz Çelik;Muğla\nGülşah Öztürk;İzmir\n",
        ),
        (GBK, "姓名,城市\n张伟先生,北京\n王芳女士,上海\n我们今天去那里看看,中华人民共和国\n这是一个测试,广州市\n"),
        (BIG5, "姓名,城市\n張偉先生,臺北\n王芳女士,高雄\n我們今天去那裡看看,中華民國\n這是一個測試,臺中市\n"),
        (EUC_KR, "이름,도시\n김철수,서울특별시\n이영희,부산광역시\n우리는 오늘 거기에 갑니다,대한민국\n"),
    ];
    for (encoding, text) in cases {
        let opened = read(encoding.encode(&text.repeat(3)).0);
        assert_eq!((opened.encoding, opened.known), (encoding, Known::Guessed), "{:?}", opened.note);
        assert_eq!(opened.bytes, text.repeat(3).as_bytes());
    }
}

#[test]
fn a_few_latin_letters_are_read_as_windows_1252_and_the_note_names_what_else_it_may_be() {
    let opened = read(WINDOWS_1252.encode(&"name\nÁlvaro\nBegoña\n".repeat(50)).0);
    assert_eq!((opened.encoding, opened.known), (WINDOWS_1252, Known::Guessed));
    assert!(opened.note.unwrap().contains("if it is windows-1250, set csv.encoding"));
    let polish = read(WINDOWS_1250.encode("imie,miasto,kraj\nZażółć,Warszawa,Polska\n").0);
    assert_eq!((polish.encoding, polish.known), (UTF_8, Known::Broken), "a sign within a word is no sign");
}

#[test]
fn too_little_of_another_old_encoding_is_set_aside_and_the_note_names_it() {
    let text = WINDOWS_1251.encode("id;name;amount\n1;Мария;200\n2;John;300\n3;James Brown;400\n4;Jane;100\n").0;
    let opened = read(&text);
    assert_eq!((opened.encoding, opened.known), (UTF_8, Known::Broken));
    assert!(opened.note.unwrap().contains("set csv.encoding"));
}

#[test]
fn an_encoding_that_is_set_is_obeyed() {
    let opened = read_as(b"a\ncaf\xe9 \x80\n", "latin1");
    assert_eq!((opened.bytes.as_slice(), opened.known), ("a\ncafé €\n".as_bytes(), Known::Set));
    assert_eq!(read_as("a\né\n", "windows-1252").bytes, "a\nÃ©\n".as_bytes());
    assert_eq!(read_as(b"a\ncaf\xe9\n", "utf-8").bytes, b"a\ncaf\xe9\n");
    assert_eq!(read_as(utf16("a\né\n", true), "utf-16be").bytes, "a\né\n".as_bytes());
    for big in [false, true] {
        assert_eq!(read_as(utf16("\u{feff}a\n1\n", big), "utf-16").bytes, b"a\n1\n", "the mark tells the order");
    }
    assert_eq!(read_as(utf16("a\n1\n", false), "utf-16").bytes, b"a\n1\n");
    let unknown = open_in_steps("a\n", Some("klingon"), 9, 9).unwrap_err();
    assert!(matches!(unknown, Error::Option { option: "encoding", .. }), "{unknown}");
}

#[test]
fn what_cannot_be_decoded_becomes_a_byte_that_is_no_utf8() {
    let mut text = utf16("a\nx\n", false);
    text.extend(0xd800u16.to_le_bytes());
    text.extend(utf16("\nz\n", false));
    assert_eq!(read_as(&text, "utf-16le").bytes, b"a\nx\n\xff\nz\n");
    assert_eq!(read_as(b"a\n\x82\xa0\x82\n", "shift_jis").bytes, ["a\nあ".as_bytes(), b"\xff\n"].concat());
    assert_eq!(read_as(b"a\0\n\0x", "utf-16le").bytes, b"a\n\xff", "half a character at the end");
}

#[test]
fn a_few_zeros_are_data_and_many_are_a_binary_file() {
    assert_eq!(read(b"a,b\n1,x\0y\n").bytes, b"a,b\n1,x\0y\n");
    let mut text = rows(1000);
    text[5000] = 0;
    assert_eq!(read(&text).bytes, text);
    assert!(refusal([b"a,b\n".as_slice(), &[0; 64]].concat()).contains("NUL"));
}

#[test]
fn bytes_without_any_order_are_refused() {
    let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    assert!(refusal(&noise).contains("csv.encoding"));
    let controls: Vec<u8> = (0..2000u32).map(|n| (n % 9) as u8 + 1).collect();
    assert!(refusal(&controls).contains("control characters"));
}

#[test]
fn a_sample_can_be_made_longer_and_the_text_is_still_whole() {
    let text = rows(5000);
    for (bytes, label) in
        [(text.clone(), None), (gzip(&text), None), (utf16(str::from_utf8(&text).unwrap(), true), Some("utf-16be"))]
    {
        let progress = Progress::new();
        let mut opened = Text::open_with(&Memory::in_steps(bytes, 1000), label, &progress, 5000).unwrap();
        assert_eq!((opened.sample.as_slice(), opened.whole), (&text[..5000], false));
        opened.longer(7000).unwrap();
        assert_eq!((opened.sample.as_slice(), opened.whole), (&text[..12_000], false));
        opened.longer(usize::MAX / 2).unwrap();
        assert_eq!((opened.sample.len(), opened.whole), (text.len(), true));
        opened.longer(1).unwrap();
        let mut read = Vec::new();
        opened.reader.read_to_end(&mut read).unwrap();
        assert!(read == text);
    }
}

#[test]
fn a_run_that_is_cancelled_reads_no_further() {
    let bomb = zstd(&vec![b'\n'; 50_000_000]);
    assert!(bomb.len() < HEAD_BYTES, "all of it is in memory before the first byte comes out");
    for bytes in [bomb, rows(100_000)] {
        let progress = Progress::new();
        let mut text = Text::open(&Memory::new(bytes), None, &progress).unwrap();
        let mut block = vec![0; 100_000];
        assert!(text.reader.read(&mut block).unwrap() > 0);
        progress.cancel();
        let error = Error::reading("a", text.reader.read(&mut block).unwrap_err());
        assert!(matches!(error, Error::Cancelled), "{error}");
    }
    let progress = Progress::new();
    progress.cancel();
    assert!(matches!(Text::open(&Memory::new("a\n"), None, &progress), Err(Error::Cancelled)));
}

/// Says a few times that nothing has come yet, then gives some bytes, then fails.
struct Flaky {
    bytes: Vec<u8>,
}

impl Source for Flaky {
    fn name(&self) -> &str {
        "flaky.csv"
    }
    fn len(&self) -> Option<u64> {
        None
    }
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut waits = 3;
        let mut bytes = Cursor::new(self.bytes.clone());
        Ok(Box::new(Reads(move |into: &mut [u8]| match waits {
            0 if bytes.position() == bytes.get_ref().len() as u64 => Err(io::Error::other("the line went dead")),
            0 => bytes.read(into),
            _ => {
                waits -= 1;
                Err(io::ErrorKind::Interrupted.into())
            }
        })))
    }
}

struct Reads<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for Reads<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (self.0)(into)
    }
}

#[test]
fn an_error_of_the_source_stays_one_and_may_be_tried_again() {
    let text = rows(1000);
    for bytes in [text.clone(), gzip(&text), zstd(&text), bzip2(&text), zip(&text)] {
        let cut = bytes.len() / 2;
        let source = Flaky { bytes: bytes[..cut].to_vec() };
        let progress = Progress::new();
        let error = Text::open(&source, None, &progress).err().unwrap();
        assert!(
            matches!(&error, Error::Read { name, .. } if name == "flaky.csv") && !error.is_permanent(),
            "{error:?}"
        );
        assert_eq!(progress.bytes_read(), cut as u64);
    }
}

/// A way of writing text: the bytes, and the label where they do not tell themselves.
#[derive(Debug, Clone, Copy)]
enum Written {
    Utf8,
    Utf16 { big: bool },
    Old(&'static Encoding),
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        Just(Written::Utf8),
        any::<bool>().prop_map(|big| Written::Utf16 { big }),
        prop::sample::select(vec![WINDOWS_1252, SHIFT_JIS, GBK]).prop_map(Written::Old),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_comes_back_as_it_was_in_any_encoding_and_compression(
        text in "[a-z0-9,;\"\n é漢あ𝄞]{0,400}",
        way in written(),
        mark: bool,
        compression in 0usize..5,
        step in 1usize..600,
        sample in 1usize..900,
        block in 1usize..300,
        longer in 0usize..400,
    ) {
        let text = match way {
            Written::Old(encoding) => text.chars().filter(|c| {
                let (_, _, lost) = encoding.encode(c.encode_utf8(&mut [0; 4]));
                !lost
            }).collect(),
            _ => text,
        };
        let marked = if mark { format!("\u{feff}{text}") } else { text.clone() };
        let (bytes, label) = match way {
            Written::Utf8 => (marked.into_bytes(), None),
            Written::Utf16 { big } => {
                let label = if big { "utf-16be" } else { "utf-16le" };
                (utf16(&marked, big), (!mark).then_some(label))
            }
            Written::Old(encoding) => (encoding.encode(&text).0.into_owned(), Some(encoding.name())),
        };
        let bytes = match PACKED.get(compression) {
            Some((_, pack)) => pack(&bytes),
            None => bytes,
        };
        let progress = Progress::new();
        let mut opened = Text::open_with(&Memory::in_steps(bytes, step), label, &progress, sample).unwrap();
        prop_assert!(text.as_bytes().starts_with(&opened.sample));
        opened.longer(longer).unwrap();
        let mut read = Vec::new();
        let mut buffer = vec![0; block];
        loop {
            let length = opened.reader.read(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..length]);
        }
        prop_assert_eq!(String::from_utf8(read).unwrap(), text);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_make_it_stop(
        magic in prop::sample::select(vec![
            b"\x1f\x8b\x08\0".to_vec(), b"\x28\xb5\x2f\xfd".to_vec(), b"BZh91AY&SY".to_vec(), b"PK\x03\x04".to_vec(), vec![],
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let _ = open([magic, bytes].concat());
    }
}
