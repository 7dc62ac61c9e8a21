//! Bytes become UTF-8, a piece at a time.
//!
//! The whole file is looked at once before it is read: an encoding that fits the first pages may
//! fail on the last, and a reader that finds out half-way has already made a table.

use super::{
    error::{Issue, Problem, ReadError},
    source::Source,
    transcode::{LineFeeds, PIECE, Transcoder, Undecodable, count_feeds},
};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::io::{self, Read};

/// More than this teaches the detector nothing.
const DETECT_BYTES: usize = 1 << 22;

/// What one look over a text file found.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
pub(super) struct Survey {
    pub(super) encoding: &'static Encoding,
    pub(super) reason: String,
    /// The encoding was inferred from the letters: said to the user.
    pub(super) is_guess: bool,
    /// Bytes of the byte-order mark.
    n_bom: usize,
    /// Line feeds; a last line without one counts too.
    pub(super) n_lines: u64,
    /// Carriage returns that no line feed follows end lines too.
    has_lone_cr: bool,
    pub(super) has_quotes: bool,
    ends_in_newline: bool,
}

/// Looks over the whole file: its encoding, its line ends, and whether it is text at all.
pub(super) fn survey(source: Source<'_>, forced: Option<&str>) -> Result<Survey, ReadError> {
    let head = source.head(4096)?;
    let (encoding, n_bom, reason) = match (forced, Encoding::for_bom(&head)) {
        (Some(label), bom) => {
            let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| unknown_label(label))?;
            let n_bom = bom.filter(|(found, _)| *found == encoding).map_or(0, |(_, n_bom)| n_bom);
            (Some(encoding), n_bom, "given with the upload".to_owned())
        }
        (None, Some((encoding, n_bom))) => (Some(encoding), n_bom, "byte-order mark".to_owned()),
        (None, None) => match utf16_without_mark(&head) {
            Some(encoding) => (Some(encoding), 0, "every second byte is 0".to_owned()),
            None => (None, 0, String::new()),
        },
    };
    if let Some(encoding) = encoding {
        let mut survey = Survey::new(encoding, n_bom, reason);
        survey.count(&mut survey.decoded(source)?)?;
        return Ok(survey);
    }
    let mut survey = Survey::new(UTF_8, 0, "the bytes are valid UTF-8".to_owned());
    let mut raw = RawLook::default();
    let mut reader = source.open()?;
    survey.count(&mut TeeLook { inner: &mut reader, look: &mut raw })?;
    if raw.utf8.is_valid() {
        return Ok(survey);
    }
    let line = raw.utf8.first_bad_line;
    // Two neighbouring letters of an old encoding may happen to be one of UTF-8.
    if raw.utf8.n_multibyte > 0 && raw.utf8.n_multibyte * 2 >= raw.utf8.n_bad {
        return Err(ReadError::UnsupportedEncoding(
            Problem::new(format!(
                "the file is UTF-8 at first, but not in line {line}; parts of different encodings were joined. Save the whole file as UTF-8, or name one encoding (encoding=windows-1252)"
            ))
            .with(Issue::at(line, "invalid UTF-8")),
        ));
    }
    let (encoding, why) = raw.guess();
    let mut guessed = Survey::new(encoding, 0, format!("not UTF-8 from line {line} on; {why}"));
    guessed.is_guess = true;
    guessed.count(&mut guessed.decoded(source)?)?;
    Ok(guessed)
}

fn unknown_label(label: &str) -> ReadError {
    ReadError::InvalidParameter(Problem::new(format!(
        "encoding: '{}' is no encoding we know; use a WHATWG label such as utf-8, windows-1252, iso-8859-1 or utf-16le",
        super::error::shorten(label)
    )))
}

/// Text in European letters has a 0 in every second byte of its UTF-16.
fn utf16_without_mark(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    if half < 4 {
        None
    } else if odd * 10 > half * 4 && even * 10 < half {
        Some(UTF_16LE)
    } else if even * 10 > half * 4 && odd * 10 < half {
        Some(UTF_16BE)
    } else {
        None
    }
}

impl Survey {
    fn new(encoding: &'static Encoding, n_bom: usize, reason: String) -> Self {
        Self {
            encoding,
            reason,
            is_guess: false,
            n_bom,
            n_lines: 0,
            has_lone_cr: false,
            has_quotes: false,
            ends_in_newline: false,
        }
    }

    /// The text as UTF-8, every line ended by a line feed (perhaps after a carriage return).
    pub(super) fn text<'a>(&self, source: Source<'a>) -> io::Result<Box<dyn Read + 'a>> {
        let decoded = self.decoded(source)?;
        let ended: Box<dyn Read + 'a> =
            if self.has_lone_cr { Box::new(LineFeeds::new(decoded)) } else { decoded };
        // With a last line feed in place a reader's count of line feeds is the line number.
        let last: &'static [u8] = if self.ends_in_newline { b"" } else { b"\n" };
        Ok(Box::new(ended.chain(last)))
    }

    fn decoded<'a>(&self, source: Source<'a>) -> io::Result<Box<dyn Read + 'a>> {
        let mut reader = source.open()?;
        io::copy(&mut reader.by_ref().take(self.n_bom as u64), &mut io::sink())?;
        Ok(if self.encoding == UTF_8 && self.is_checked() {
            Box::new(reader)
        } else {
            Box::new(Transcoder::new(reader, self.encoding.new_decoder_without_bom_handling()))
        })
    }

    /// Once counted, UTF-8 is known to be valid and passes through untouched.
    fn is_checked(&self) -> bool {
        self.n_lines > 0
    }

    /// Reads everything once: counts lines, finds NUL bytes and undecodable ones.
    fn count(&mut self, reader: &mut dyn Read) -> Result<(), ReadError> {
        let mut buffer = vec![0; PIECE];
        let mut last = b'\n';
        let mut n_feeds = 0u64;
        loop {
            let n = read_piece(reader, &mut buffer, n_feeds + 1)?;
            let piece = &buffer[..n];
            let Some(&end) = piece.last() else { break };
            if let Some(at) = memchr::memchr(0, piece) {
                let line = n_feeds + 1 + count_feeds(&piece[..at]);
                return Err(nul_byte(line));
            }
            n_feeds += count_feeds(piece);
            self.has_quotes = self.has_quotes || memchr::memchr(b'"', piece).is_some();
            self.has_lone_cr = self.has_lone_cr || (last == b'\r' && piece[0] != b'\n') || lone_cr(piece);
            last = end;
        }
        self.has_lone_cr |= last == b'\r';
        self.ends_in_newline = last == b'\n' || last == b'\r';
        self.n_lines = n_feeds + u64::from(!self.ends_in_newline) + 1;
        Ok(())
    }
}

/// A decoder reports bytes it cannot decode as an error of its own kind.
fn read_piece(reader: &mut dyn Read, buffer: &mut [u8], line: u64) -> Result<usize, ReadError> {
    reader.read(buffer).map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<Undecodable>()) {
        Some(Undecodable { encoding, n_feeds_before }) => {
            let line = line + n_feeds_before;
            ReadError::UnsupportedEncoding(
                Problem::new(format!(
                    "line {line} holds bytes that are no {encoding}; save the file as UTF-8, or name its encoding (encoding=windows-1252)"
                ))
                .with(Issue::at(line, format!("not {encoding}"))),
            )
        }
        None => error.into(),
    })
}

fn nul_byte(line: u64) -> ReadError {
    ReadError::MalformedCsv(
        Problem::new(format!(
            "line {line} holds a NUL byte, which no text table has: the file is binary, damaged, or in an encoding that must be named (encoding=utf-16le)"
        ))
        .with(Issue::at(line, "NUL byte")),
    )
}

fn lone_cr(piece: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', piece).any(|at| piece.get(at + 1).is_some_and(|next| *next != b'\n'))
}

/// What the undecoded bytes show.
struct RawLook {
    utf8: Utf8Check,
    detector: EncodingDetector,
    n_fed: usize,
    n_high: u64,
    n_not_western: u64,
    /// Signs of measurement of Windows-1252 between letters of ASCII.
    n_signs: u64,
}

impl Default for RawLook {
    fn default() -> Self {
        Self {
            utf8: Utf8Check::default(),
            detector: EncodingDetector::new(Iso2022JpDetection::Deny),
            n_fed: 0,
            n_high: 0,
            n_not_western: 0,
            n_signs: 0,
        }
    }
}

impl RawLook {
    fn look(&mut self, piece: &[u8]) {
        self.utf8.add(piece);
        if piece.is_ascii() || self.n_fed > DETECT_BYTES {
            return;
        }
        self.n_fed += piece.len();
        self.detector.feed(piece, false);
        for byte in piece.iter().filter(|byte| !byte.is_ascii()) {
            self.n_high += 1;
            self.n_not_western += u64::from(!is_western(*byte));
        }
        let is_sign = |window: &&[u8]| {
            window[0].is_ascii()
                && window[2].is_ascii()
                && matches!(window[1], 0xb0..=0xb3 | 0xb5 | 0xb7 | 0xba | 0xd7)
        };
        self.n_signs += piece.windows(3).filter(is_sign).count() as u64;
    }

    /// The detector needs running text; a table with a degree sign in its header is Western
    /// European by itself, and so is one whose letters all are.
    fn guess(&self) -> (&'static Encoding, String) {
        if self.n_high < 24 && self.n_not_western == 0 {
            return (WINDOWS_1252, "its few other characters are Western European".to_owned());
        }
        // `°C` and `µm` in each name are letters of Chinese too, but no text of it has none but these.
        if self.n_not_western == 0 && self.n_signs * 10 >= self.n_high * 9 {
            return (WINDOWS_1252, "its other characters are signs of units".to_owned());
        }
        // Told where the file comes from, the detector tells Portuguese from Romanian; letters of
        // another script still outweigh the hint.
        let guess = self.detector.guess(Some(b"br"), Utf8Detection::Deny);
        (guess, format!("its letters look like {}", guess.name().to_lowercase()))
    }
}

/// Whether Windows-1252 has a letter or a sign of measurement at this byte.
fn is_western(byte: u8) -> bool {
    matches!(byte, 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..=0xff | 0xaa | 0xb0..=0xb3 | 0xb5 | 0xb7 | 0xb9 | 0xba | 0xa0 | 0xa7 | 0x80 | 0x91..=0x97)
}

/// Hands bytes on and looks at them.
struct TeeLook<'a> {
    inner: &'a mut dyn Read,
    look: &'a mut RawLook,
}

impl Read for TeeLook<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.look.look(&buffer[..n]);
        Ok(n)
    }
}

/// Checks UTF-8 over pieces that may end within a character.
#[derive(Default)]
struct Utf8Check {
    carried: Vec<u8>,
    n_feeds: u64,
    first_bad_line: u64,
    /// Characters of more than one byte, and bytes that are none.
    n_multibyte: u64,
    n_bad: u64,
}

impl Utf8Check {
    fn add(&mut self, piece: &[u8]) {
        let joined;
        let mut rest = if self.carried.is_empty() {
            piece
        } else {
            self.carried.extend_from_slice(piece);
            joined = std::mem::take(&mut self.carried);
            joined.as_slice()
        };
        if rest.is_ascii() {
            self.n_feeds += count_feeds(rest);
            return;
        }
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    self.pass(valid.as_bytes());
                    return;
                }
                Err(error) => {
                    let (valid, bad) = rest.split_at(error.valid_up_to());
                    self.pass(valid);
                    let Some(n_bad) = error.error_len() else {
                        bad.clone_into(&mut self.carried);
                        return;
                    };
                    if self.first_bad_line == 0 {
                        self.first_bad_line = self.n_feeds + 1;
                    }
                    self.n_bad += 1;
                    rest = &bad[n_bad..];
                }
            }
        }
    }

    fn pass(&mut self, valid: &[u8]) {
        self.n_feeds += count_feeds(valid);
        if !valid.is_ascii() {
            self.n_multibyte += valid.iter().filter(|byte| **byte >= 0xc0).count() as u64;
        }
    }

    fn is_valid(&mut self) -> bool {
        if self.first_bad_line == 0 && !self.carried.is_empty() {
            self.first_bad_line = self.n_feeds + 1;
        }
        self.first_bad_line == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Result<(String, String), &'static str> {
        let survey = survey(Source::Bytes(bytes), None).map_err(|error| error.slug())?;
        let mut text = String::new();
        survey.text(Source::Bytes(bytes)).unwrap().read_to_string(&mut text).unwrap();
        Ok((survey.encoding.name().to_lowercase(), text))
    }

    fn utf16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn encodings() {
        let is = |encoding: &str, text: &str| Ok((encoding.to_owned(), text.to_owned()));
        assert_eq!(check(b"a,b\n1,2\n"), is("utf-8", "a,b\n1,2\n"));
        assert_eq!(check("pressão\n".as_bytes()), is("utf-8", "pressão\n"));
        assert_eq!(check(b"\xef\xbb\xbfa\n"), is("utf-8", "a\n"), "the mark is no part of the name");
        assert_eq!(check(b"press\xe3o;\xb0C\n"), is("windows-1252", "pressão;°C\n"));
        assert_eq!(check(&[b"\xff\xfe".as_slice(), &utf16le("x\tº\n")].concat()), is("utf-16le", "x\tº\n"));
        assert_eq!(check(&utf16le("premiere,second\n")), is("utf-16le", "premiere,second\n"), "no mark");
        let big: Vec<u8> = "alpha;beta\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(check(&big), is("utf-16be", "alpha;beta\n"));
        let chance = b"Press\xe3o;Observa\xe7\xe3o;t\xe9\xb0\xbaz\n";
        assert_eq!(
            check(chance),
            is("windows-1252", "Pressão;Observação;té°ºz\n"),
            "three bytes that UTF-8 has too"
        );
        let russian =
            encoding_rs::WINDOWS_1251.encode("скорость;давление;температура\nвысокая;низкая;средняя\n").0;
        assert_eq!(check(&russian).unwrap().0, "windows-1251", "letters alone tell");
        let portuguese = "Pressão;Ângulo;Turbulência;Observação\nmedição;não;três;você\n".repeat(3);
        let western = WINDOWS_1252.encode(&portuguese).0;
        assert_eq!(check(&western), is("windows-1252", &portuguese), "not Romanian");
        let units = "delay[1] (µs),T (°C),area (m²),".repeat(20);
        assert_eq!(check(&WINDOWS_1252.encode(&units).0).unwrap().1.trim(), units, "not Chinese");
        let chinese = encoding_rs::BIG5
            .encode("溫度,壓力,日期,速度,面積,時間,說明,備註\n很高,很低,今天,不快,很大,很長,沒有,資料\n")
            .0;
        assert_eq!(check(&chinese).unwrap().0, "big5");
    }

    #[test]
    fn what_is_no_text() {
        assert_eq!(check(b"a,b\n1,\x002\n"), Err("malformed-csv"), "NUL");
        assert_eq!(check("ã,b\n1,2\n\u{e3}\n".as_bytes()).map(|_| ()), Ok(()));
        assert_eq!(check(b"\xc3\xa3,b\n1,2\n\xff\xfe,3\n"), Err("unsupported-encoding"), "joined encodings");
        assert_eq!(
            check(b"\xff\xfea\0b\0\n\0\0\xd8\n\0"),
            Err("unsupported-encoding"),
            "half a surrogate pair"
        );
        let error = survey(Source::Bytes(b"\xc3\xa3\n1\n\xff\n"), None).unwrap_err();
        assert_eq!(error.issues()[0].line, Some(3));
        let error = survey(Source::Bytes(b"a\nb\n\0"), None).unwrap_err();
        assert_eq!(error.issues()[0].line, Some(3));
    }

    #[test]
    fn line_ends() {
        let text = |bytes: &[u8]| check(bytes).unwrap().1;
        assert_eq!(text(b"a\rb\rc"), "a\nb\nc\n", "old Macintosh");
        assert_eq!(text(b"a\rb\r"), "a\nb\n");
        assert_eq!(text(b"a\r\nb\rc\nd"), "a\r\nb\nc\nd\n", "mixed");
        assert_eq!(text(b"a\nb"), "a\nb\n", "the last line feed is added");
        assert_eq!(text(b"\r"), "\n");
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let mut long = "ã".repeat(PIECE / 2 - 1);
        long.push_str("xã\r");
        long.push_str("é\r\n");
        assert_eq!(check(long.as_bytes()).unwrap().1, long.replace("\ré", "\né"));
    }
}
