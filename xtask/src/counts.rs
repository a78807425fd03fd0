//! Reads how many tests passed and failed from the closing lines of the test runners in use.

/// Tests run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
}

impl Counts {
    /// Adds what one line of a runner's output says, if it is a closing line.
    pub fn read(&mut self, line: &str) {
        let line = without_colour(line);
        let line = line.trim();
        if line.starts_with("test result:") {
            self.passed += number_before(line, " passed").unwrap_or(0);
            self.failed += number_before(line, " failed").unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            self.passed += number_after(rest, "pass ").unwrap_or(0);
            self.failed += number_after(rest, "fail ").unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("Tests  ") {
            self.passed += number_before(rest, " passed").unwrap_or(0);
            self.failed += number_before(rest, " failed").unwrap_or(0);
        }
    }
}

fn number_before(line: &str, word: &str) -> Option<u64> {
    let head = &line[..line.find(word)?];
    head.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.trim().parse().ok()
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> (u64, u64) {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.read(line));
        (counts.passed, counts.failed)
    }

    #[test]
    fn reads_the_closing_lines_of_each_runner() {
        let cargo =
            "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.10s";
        assert_eq!(counted(&[cargo]), (12, 1));
        assert_eq!(counted(&["ℹ tests 4", "ℹ pass 3", "ℹ fail 1", "ℹ skipped 0"]), (3, 1));
        assert_eq!(counted(&["# tests 4", "# pass 4", "# fail 0"]), (4, 0));
        assert_eq!(counted(&["\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m1 failed\u{1b}[22m | 30 passed (31)"]), (30, 1));
    }

    #[test]
    fn reads_nothing_from_other_lines() {
        assert_eq!(counted(&["test session::closes ... ok", "  3 passed", "pass 3", "# passing 3"]), (0, 0));
    }
}
