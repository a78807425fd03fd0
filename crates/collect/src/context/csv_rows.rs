//! CSV row by row (RFC 4180). A quote that is never closed costs the row that it stands in, and no other.
//!
//! Read to the letter, such a quote makes one field of all that follows. So a row over several lines is believed only where
//! its quotes are closed at the end of a field, and its fields are as many as the columns. Any other is refused for its
//! first line, and what stands on the next one is looked at as a row of its own.

use crate::Fault;
use csv::ByteRecord;
use std::io::{self, BufRead, Read};

/// Longest row over several lines, and the longest line of a file. Bytes.
pub const CSV_ROW_BYTES_MAX: usize = 4 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads CSV row by row. In memory are a row and what had to be read ahead to see that it is none.
pub struct CsvRows<R> {
    reader: R,
    line_bytes_max: usize,
    /// What was read; up to `given` it was given out.
    text: Vec<u8>,
    given: usize,
    /// Line breaks in what was given out.
    lines: u64,
    /// As many as the first row has.
    columns: Option<usize>,
    record: ByteRecord,
    field: Vec<u8>,
}

/// A row, or the first line of what can't be one.
pub struct CsvRow<'a> {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Its text with the line breaks before and after it.
    pub text: &'a [u8],
    /// Its fields; how many is the reader's to judge where it has one line.
    pub fields: Result<&'a ByteRecord, Fault>,
}

/// Where in a row: quotes open a field that begins with them, and are text in any other (`5" screen`).
#[derive(Clone, Copy)]
enum Place {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside of quotes: the last one, unless another follows.
    QuotedQuote,
}

impl<R: BufRead> CsvRows<R> {
    /// From the start; a line longer than `line_bytes_max` is an error.
    pub fn new(reader: R, line_bytes_max: usize) -> Self {
        Self {
            reader,
            line_bytes_max,
            text: Vec::new(),
            given: 0,
            lines: 0,
            columns: None,
            record: ByteRecord::new(),
            field: Vec::new(),
        }
    }

    /// Line breaks up to the end of the row last given out.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The next row; lines without a byte are none.
    ///
    /// # Errors
    /// The text can't be read, or a line is too long to be kept.
    pub fn next_row(&mut self) -> io::Result<Option<CsvRow<'_>>> {
        // Moved once in a while: what was read ahead may be long, and be given out line by line.
        if self.given > self.text.len() / 2 {
            self.text.drain(..self.given);
            self.given = 0;
        }
        let mut start = self.given;
        if self.columns.is_none() && self.byte(start)? == BOM.first().copied() && self.text[start..].starts_with(BOM) {
            start += BOM.len();
        }
        while matches!(self.byte(start)?, Some(b'\n' | b'\r')) {
            start += 1;
        }
        if start == self.text.len() {
            return Ok(None);
        }
        let (end, fault) = match self.scan(start)? {
            Ok(end) => (end, None),
            Err(fault) => (self.line_end(start), Some(fault)),
        };
        self.columns.get_or_insert(self.record.len());
        let line = self.lines + breaks(&self.text[self.given..start]) + 1;
        let text = &self.text[self.given..end];
        self.lines += breaks(text);
        self.given = end;
        Ok(Some(CsvRow { line, text, fields: fault.map_or(Ok(&self.record), Err) }))
    }

    /// Takes a row's fields apart and answers where it ends.
    fn scan(&mut self, start: usize) -> io::Result<Result<usize, Fault>> {
        let (mut at, mut place) = (start, Place::FieldStart);
        // Whether a line break stands in the quoted field at hand, and in one of the row.
        let (mut is_broken, mut has_lines) = (false, false);
        self.record.clear();
        self.field.clear();
        loop {
            let byte = self.byte(at)?;
            at += 1;
            match (place, byte) {
                (Place::Quoted, None) => return Ok(Err(not_closed())),
                (Place::Quoted, Some(b'"')) => place = Place::QuotedQuote,
                (Place::Quoted, Some(byte)) => {
                    self.field.push(byte);
                    if matches!(byte, b'\n' | b'\r') {
                        (is_broken, has_lines) = (true, true);
                        if at - start > CSV_ROW_BYTES_MAX {
                            return Ok(Err(not_closed()));
                        }
                    }
                }
                (Place::QuotedQuote, Some(b'"')) => {
                    self.field.push(b'"');
                    place = Place::Quoted;
                }
                (Place::FieldStart, Some(b'"')) => (place, is_broken) = (Place::Quoted, false),
                (_, Some(b',')) => {
                    self.end_field();
                    place = Place::FieldStart;
                    // One more begins. Not to look on bounds the work: text is looked at once for each column at most.
                    if has_lines && self.columns.is_some_and(|columns| self.record.len() >= columns) {
                        return Ok(Err(other_fields()));
                    }
                }
                (_, None | Some(b'\n' | b'\r')) => {
                    self.end_field();
                    if has_lines && self.columns.is_some_and(|columns| self.record.len() != columns) {
                        return Ok(Err(other_fields()));
                    }
                    return Ok(Ok(match byte {
                        None => at - 1,
                        Some(_) => self.line_end(at - 1),
                    }));
                }
                (Place::QuotedQuote, Some(_)) if is_broken => return Ok(Err(not_closed())),
                (_, Some(byte)) => {
                    self.field.push(byte);
                    place = Place::Plain;
                }
            }
        }
    }

    fn end_field(&mut self) {
        self.record.push_field(&self.field);
        self.field.clear();
    }

    /// The byte at a place of the text, which is read on to there; none at the end.
    fn byte(&mut self, at: usize) -> io::Result<Option<u8>> {
        if at >= self.text.len() {
            let before = self.text.len();
            let most = (self.line_bytes_max as u64).saturating_add(1);
            self.reader.by_ref().take(most).read_until(b'\n', &mut self.text)?;
            if self.text.len() - before > self.line_bytes_max {
                let line = self.lines + breaks(&self.text[self.given..before]) + 1;
                let said = format!("line {line} is longer than {} bytes", self.line_bytes_max);
                return Err(io::Error::new(io::ErrorKind::InvalidData, said));
            }
        }
        Ok(self.text.get(at).copied())
    }

    /// Where the line ends that this is in, with its break.
    fn line_end(&self, from: usize) -> usize {
        let rest = &self.text[from..];
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let breaks = match &rest[end..] {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        from + end + breaks
    }
}

fn breaks(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

// No line is named: a caller may know only a piece of the file, and says where the row stands.
fn not_closed() -> Fault {
    Fault::new("csv_quote", "a quote that opens in this row is not closed at the end of a field")
        .hint("write \"\" for a quote inside a quoted field")
}

fn other_fields() -> Fault {
    Fault::new("csv_fields", "a row over several lines that has not as many fields as the first line")
        .hint("put text with a comma or a quote in it in quotes, and write \"\" for a quote inside a quoted field")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Vec<(u64, Result<Vec<String>, &'static str>)>;

    fn read(text: &str) -> Read {
        let mut rows = CsvRows::new(text.as_bytes(), CSV_ROW_BYTES_MAX);
        let mut all = Vec::new();
        while let Some(row) = rows.next_row().expect("reads") {
            let texts = |record: &ByteRecord| record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
            all.push((row.line, row.fields.map(texts).map_err(|fault| fault.code)));
        }
        all
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_its_own_row() {
        let row = |line, fields: &[&str]| (line, Ok(fields.iter().map(|field| (*field).to_owned()).collect()));
        let header = || row(1, &["id", "a", "b"]);
        for (text, rest) in [
            // To the end of the file.
            (
                "p1,x,\"27 inch\np2,x,y\np3,x,y",
                vec![(2, Err("csv_quote")), row(3, &["p2", "x", "y"]), row(4, &["p3", "x", "y"])],
            ),
            ("p1,\"27 inch,y\r\n\r\np2,x,y\r\n", vec![(2, Err("csv_quote")), row(4, &["p2", "x", "y"])]),
            // Up to a later quote, which closes nothing: it opens a field, or is an inch.
            ("p1,x,\"27 inch\np2,x,\"y\"\n", vec![(2, Err("csv_quote")), row(3, &["p2", "x", "y"])]),
            ("p1,x,\"27 inch\np2,5\" flat,y\n", vec![(2, Err("csv_quote")), row(3, &["p2", "5\" flat", "y"])]),
            ("p1,x,\"27 inch\np2,5\",y\n", vec![(2, Err("csv_fields")), row(3, &["p2", "5\"", "y"])]),
            ("p1,\"27 inch\np2,x,5\"\n", vec![(2, Err("csv_fields")), row(3, &["p2", "x", "5\""])]),
            // One after the other, and before a field that does have two lines.
            (
                "p1,x,\"1\np2,x,\"2\np3,x,\"two\nlines\"\np4,x,\"4",
                vec![
                    (2, Err("csv_quote")),
                    (3, Err("csv_quote")),
                    row(4, &["p3", "x", "two\nlines"]),
                    (6, Err("csv_quote")),
                ],
            ),
            // What is closed is text, whatever is in it.
            (
                "p1,\"a,\r\n\r\n\"\"b\"\"\",y\np2,x,y\n",
                vec![row(2, &["p1", "a,\r\n\r\n\"b\"", "y"]), row(5, &["p2", "x", "y"])],
            ),
            ("\np1,\"a\"b,\"\"\np2\n", vec![row(3, &["p1", "ab", ""]), row(4, &["p2"])]),
        ] {
            let expected: Read = std::iter::once(header()).chain(rest).collect();
            assert_eq!(read(&format!("id,a,b\n{text}")), expected, "{text:?}");
        }
        assert_eq!(read("\u{feff}\"id\",\"a\nb\"\n1,2"), [row(1, &["id", "a\nb"]), row(3, &["1", "2"])]);
        assert_eq!(read("id,\"a\n1,2\n"), [(1, Err("csv_quote")), row(2, &["1", "2"])]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn rows_and_lines_are_bounded() {
        let plain = "p2,x\n".repeat(CSV_ROW_BYTES_MAX / 4);
        let rows = read(&format!("id,a\np1,\"never closed\n{plain}p3,\"at last\"\n"));
        assert_eq!(rows.len(), 3 + CSV_ROW_BYTES_MAX / 4);
        assert_eq!(rows.iter().filter(|(_, row)| row.is_err()).map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
        let long = format!("id\n{}\n", "x".repeat(101));
        let mut rows = CsvRows::new(long.as_bytes(), 101);
        assert!(rows.next_row().is_ok_and(|row| row.is_some()));
        let error = rows.next_row().err().expect("one byte more with its break");
        assert_eq!(error.to_string(), "line 2 is longer than 101 bytes");
    }
}
