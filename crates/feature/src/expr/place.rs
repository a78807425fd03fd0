//! Where in an expression something is wrong, and the parser's words for it in fewer.

use super::ExprError;

/// The parser's message in fewer words.
pub(super) fn readable(message: &str) -> String {
    let message = message.trim();
    let short = message.split(" expecting ").next().unwrap_or(message);
    if message.contains("Recursion limit") {
        return "brackets are nested too deeply".to_owned();
    }
    let said = short.trim_start_matches("Syntax error:").trim();
    if said.contains("<EOF>") { "the expression ends too early".to_owned() } else { said.to_owned() }
}

/// What to write in the place of a whole number that is too large.
pub(super) const POINT_HINT: &str =
    "whole numbers end at 9223372036854775807; write a larger one with a point, like 1.0e19";

/// What to do about a number that the parser can't take.
pub(super) fn number_hint(message: &str) -> Option<String> {
    (message.contains("invalid int literal") || message.contains("invalid uint literal")).then(|| POINT_HINT.to_owned())
}

/// An operator as it is written elsewhere, where the parser stopped: how it stands there, and what to write.
pub(super) fn half_operator(source: &str, offset: usize) -> Option<(&str, String)> {
    const KNOWN: [(&str, &str); 6] = [("=>", ">="), ("=<", "<="), ("==", "=="), ("=", "=="), ("&", "&&"), ("|", "||")];
    let rest = source.get(offset..)?;
    let (half, meant) = KNOWN.iter().find(|(half, _)| rest.starts_with(half))?;
    // A whole one in a wrong place is another mistake.
    (half != meant && !rest.starts_with(meant)).then(|| (&rest[..half.len()], format!("did you mean `{meant}`?")))
}

pub(super) fn offset_of(source: &str, line: isize, column: isize) -> usize {
    let lines = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(lines).map(str::len).sum();
    let rest = &source[start.min(source.len())..];
    let column = usize::try_from(column - 1).unwrap_or(0);
    start + rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset)
}

pub(super) fn at(source: &str, offset: usize, message: String, hint: Option<String>) -> ExprError {
    let before = source.get(..offset).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
    ExprError { offset, line, column, message, hint }
}
