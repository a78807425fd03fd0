//! Where in an expression something is wrong, and the parser's words for it in fewer.

use super::{ExprError, Type};
use cel::IdedExpr;
use cel::common::ast::{Expr, operators};

/// The parser's message in fewer words.
fn readable(message: &str) -> String {
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

/// What the parser stopped at, in our words, with what to write.
pub(super) fn syntax_fault(source: &str, offset: usize, message: &str) -> ExprError {
    if let Some((start, written, meant)) = foreign_operator(source, offset) {
        return at(source, start, format!("`{written}` is no operator"), Some(did_you_mean(meant)));
    }
    let rest = source.get(offset..).unwrap_or_default();
    let is_open = message.contains("token recognition") && rest.starts_with(['"', '\'']);
    let said = if is_open { "the text has no end".to_owned() } else { readable(message) };
    let hint = if message.contains("invalid int literal") || message.contains("invalid uint literal") {
        POINT_HINT.to_owned()
    } else if is_open {
        "text ends with the quote that it begins with".to_owned()
    } else if rest.starts_with(['“', '”', '„', '‘', '’', '`']) {
        "text stands in straight quotes: \"search\"".to_owned()
    } else if rest.starts_with(',') {
        "a list stands in square brackets: event.name in [\"search\", \"list_view\"]".to_owned()
    } else if rest.starts_with([')', ']']) {
        "no bracket is open there: leave it out".to_owned()
    } else if message.contains("Recursion limit") {
        "write it with fewer brackets".to_owned()
    } else {
        end_hint(source, message)
    };
    at(source, offset, said, Some(hint))
}

/// What is missing, where the end came too early; else how conditions are written.
fn end_hint(source: &str, message: &str) -> String {
    let source = source.trim_end();
    let operator = source.len() - source.trim_end_matches(|c| "&|=!<>+-*/%?:".contains(c)).len();
    match open_bracket(source) {
        _ if message.contains("<EOF>") && operator > 0 => {
            format!("write something after `{}`, or leave it out", &source[source.len() - operator..])
        }
        Some(bracket) if message.contains("<EOF>") => format!("a bracket is still open: add `{bracket}`"),
        _ => "write it like event.name == \"search\" && event.step > 1".to_owned(),
    }
}

/// How the bracket is closed that is still open at the end, if one is.
fn open_bracket(source: &str) -> Option<char> {
    let (mut open, mut quote) = (Vec::new(), None);
    let mut chars = source.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => _ = chars.next(),
            (Some(begun), char) if char == begun => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, ')' | ']') => _ = open.pop(),
            (None, _) => {}
        }
    }
    open.pop()
}

/// An operator as it is written elsewhere, where the parser stopped: where it begins, how it stands there, and what is meant.
fn foreign_operator(source: &str, offset: usize) -> Option<(usize, &str, &'static str)> {
    const KNOWN: [(&str, &str); 6] = [("=>", ">="), ("=<", "<="), ("==", "=="), ("=", "=="), ("&", "&&"), ("|", "||")];
    let (before, rest) = source.split_at_checked(offset)?;
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let word = rest.split(is_other).next().unwrap_or_default();
    if let Some(meant) = operator_of(word) {
        return Some((offset, word, meant));
    }
    // What is put before something is read as a name, with another one behind it.
    let before = before.trim_end();
    let word = before.rsplit(is_other).next().unwrap_or_default();
    if let Some(meant) = operator_of(word) {
        return Some((before.len() - word.len(), word, meant));
    }
    if rest.starts_with('>') && before.ends_with('<') {
        return Some((before.len() - 1, "<>", "!="));
    }
    let (half, meant) = KNOWN.iter().find(|(half, _)| rest.starts_with(half))?;
    // A whole one in a wrong place is another mistake.
    (half != meant && !rest.starts_with(meant)).then(|| (offset, &rest[..half.len()], *meant))
}

/// The operator that is a word elsewhere.
pub(super) fn operator_of(word: &str) -> Option<&'static str> {
    let known = [("and", "&&"), ("or", "||"), ("not", "!")];
    known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, meant)| meant)
}

pub(super) fn did_you_mean(known: &str) -> String {
    format!("did you mean `{known}`?")
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

/// The id whose place is where an expression begins: operators and selections are placed at their sign.
pub(super) fn start_of(tree: &IdedExpr) -> u64 {
    match &tree.expr {
        Expr::Select(select) => start_of(&select.operand),
        Expr::Call(call) if call.func_name == operators::INDEX && !call.args.is_empty() => start_of(&call.args[0]),
        Expr::Call(call) => call.target.as_ref().map_or(tree.id, |target| start_of(target)),
        Expr::Comprehension(comprehension) => start_of(&comprehension.iter_range),
        _ => tree.id,
    }
}

/// What to write where text stands beside a number.
pub(super) fn quoting_hint(a: Type, b: Type) -> Option<String> {
    let text_and_number = [a, b].contains(&Type::Text) && (a.is_number() || b.is_number());
    text_and_number.then(|| "text stands in quotes, numbers don't".to_owned())
}
