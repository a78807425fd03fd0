//! What is right in a definition file as it stands and probably not what was meant: a name that is nearly one of ours, a field
//! that the collector keeps from no event.

use midsession_event::EventName;
use midsession_feature::expr::ExprError;
use midsession_feature::{Diagnostic, Document, nearest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the tracker paints of a payload; anything else goes to the page's own code.
const PAINTED: [&str; 10] =
    ["title", "body", "label", "action", "dismiss", "code", "copy", "copied", "locales", "percent"];
/// Expressions of a feature, and of an intervention.
const EXPRESSIONS: [&str; 6] = ["when", "of", "over", "then", "by", "alive"];
/// Below this a name is one of the shop's own. From 0, nothing alike, to 1.
const ALIKE: f64 = 0.75;

/// The suspicions of one file, from top to bottom.
pub(crate) fn suspicions(file: &str, text: &str) -> Vec<Diagnostic> {
    let mut document = Document::new(file, text);
    let root = document.parse();
    let before = document.faults();
    for table in ["feature", "intervention"].iter().flat_map(|name| tables(&root, name)) {
        for name in EXPRESSIONS {
            if let Some((span, expression)) = table.get(name).and_then(text_of) {
                let written = Spanned::new(span, expression.to_owned());
                for (offset, event) in names_in(expression) {
                    let Some(fault) = misspelled(event) else { continue };
                    document.expr_fault(&written, &ExprError { offset, ..fault });
                }
                for (offset, path) in properties_in(expression) {
                    document.expr_fault(&written, &ExprError { offset, ..withheld(path) });
                }
            }
        }
        for (span, key) in keys_of(table) {
            if let Some((_, path)) = properties_in(key).next() {
                let fault = withheld(path);
                document.fault(span, fault.message, fault.hint);
            }
        }
        let trigger = table.get("trigger").and_then(|trigger| trigger.get_ref().as_table());
        if let Some((span, event)) = trigger.and_then(|trigger| trigger.get("event")).and_then(text_of)
            && let Some(fault) = misspelled(event)
        {
            document.fault(span, fault.message, fault.hint);
        }
        if let Some(payload) = table.get("payload").and_then(|payload| payload.get_ref().as_table()) {
            fields(&mut document, payload);
        }
    }
    let mut found = document.into_found();
    // What can't be read is told elsewhere.
    if before > 0 {
        found.clear();
    }
    found
}

/// The fields of a payload, those of its languages too.
fn fields(document: &mut Document<'_>, payload: &DeTable<'_>) {
    for (name, value) in payload {
        let written = name.get_ref().as_ref();
        if let Some(known) = alike(written, &PAINTED) {
            let message = format!("`{written}` is none of the fields that the tracker paints");
            document.fault(name.span(), message, Some(format!("did you mean `{known}`?")));
        }
        let languages = value.get_ref().as_table().filter(|_| written == "locales");
        for language in languages.into_iter().flatten().filter_map(|(_, language)| language.get_ref().as_table()) {
            fields(document, language);
        }
    }
}

fn tables<'t, 'a>(root: &'t DeTable<'a>, name: &str) -> Vec<&'t DeTable<'a>> {
    let list = root.get(name).and_then(|list| list.get_ref().as_array());
    list.map(|list| list.iter().filter_map(|item| item.get_ref().as_table()).collect()).unwrap_or_default()
}

fn text_of<'t>(value: &'t Spanned<DeValue<'_>>) -> Option<(std::ops::Range<usize>, &'t str)> {
    Some((value.span(), value.get_ref().as_str()?))
}

/// The known name that an unknown one is nearly.
fn alike<'n>(written: &str, known: &[&'n str]) -> Option<&'n str> {
    if known.contains(&written) {
        return None;
    }
    let nearest = nearest(written, known.iter().copied())?;
    (strsim::normalized_damerau_levenshtein(written, nearest) >= ALIKE).then_some(nearest)
}

/// Whose a feature is, as written.
fn keys_of<'t>(table: &'t DeTable<'_>) -> Vec<(std::ops::Range<usize>, &'t str)> {
    let Some(key) = table.get("key") else { return Vec::new() };
    let list = key.get_ref().as_array().map(|list| list.iter().filter_map(text_of).collect());
    list.unwrap_or_else(|| text_of(key).into_iter().collect())
}

/// The properties that an expression asks for by a name that is personal, and where they begin.
fn properties_in(expression: &str) -> impl Iterator<Item = (usize, &str)> {
    const PROPERTIES: &str = "properties.";
    expression.match_indices(PROPERTIES).filter_map(|(at, _)| {
        let rest = &expression[at + PROPERTIES.len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_.".contains(c))).unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches('.');
        midsession_collect::is_personal_name(path).then_some((at, path))
    })
}

fn withheld(path: &str) -> ExprError {
    let message = format!("`properties.{path}` is personal by its name: no event keeps it");
    let hint = "sources with personal_fields = \"hash\" keep what stands in for it; name another property";
    ExprError { offset: 0, line: 1, column: 1, message, hint: Some(hint.to_owned()) }
}

fn misspelled(event: &str) -> Option<ExprError> {
    let names = EventName::NATIVE.iter().map(EventName::as_str).collect::<Vec<_>>();
    let known = alike(event, &names)?;
    let message = format!("no tracker sends `{event}` by itself: it is taken for an event of your own");
    Some(ExprError { offset: 0, line: 1, column: 1, message, hint: Some(format!("did you mean `{known}`?")) })
}

/// The texts that an expression compares the event's name with, and where they begin.
fn names_in(expression: &str) -> Vec<(usize, &str)> {
    const NAME: &str = "event.name";
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = expression[from..].find(NAME).map(|at| at + from) {
        from = at + NAME.len();
        let rest = expression[from..].trim_start();
        let after = |rest: &str| expression.len() - rest.len();
        if let Some(rest) = rest.strip_prefix("==").or(rest.strip_prefix("!=")) {
            let rest = rest.trim_start();
            found.extend(literal(rest).map(|text| (after(rest), text)));
        } else if let Some(rest) = rest.strip_prefix("in").map(str::trim_start).and_then(|rest| rest.strip_prefix('['))
        {
            let mut rest = rest;
            while let Some(text) = literal(rest.trim_start()) {
                rest = rest.trim_start();
                found.push((after(rest), text));
                rest = rest[text.len() + 2..].trim_start().trim_start_matches(',');
            }
        }
        // `"add_to_cart" == event.name`
        let before = expression[..at].trim_end();
        if let Some(before) = before.strip_suffix("==").or(before.strip_suffix("!=")) {
            let before = before.trim_end();
            let quote = before.chars().next_back().filter(|quote| matches!(quote, '"' | '\''));
            let begin = quote.and_then(|quote| before[..before.len() - 1].rfind(quote));
            found.extend(begin.map(|begin| (begin, &before[begin + 1..before.len() - 1])));
        }
    }
    found
}

/// The text in quotes that this begins with, without escapes.
fn literal(rest: &str) -> Option<&str> {
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let text = &rest[1..][..rest[1..].find(quote)?];
    (!text.contains('\\')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_ours_is_told_and_what_is_the_shops_own_is_not() {
        let text = r#"[[feature]]
name = "f"
key = "user"
when = 'event.name == "add_to_crat" || event.name in ["page_view", "serach", "quiz_answered"]'
fold = "count"
windows = ["1h"]

[[intervention]]
name = "i"
trigger = { event = "checkout_stepp" }
when = '"logn" != event.name && event.name == "size_guide_opened" && session.cart_value > 80.0'
slot = "nudge"
payload = { titel = "x", action = "/cart", colour = "red", locales = { de = { titl = "y", body = "z" } } }

[[intervention]]
name = "j"
trigger = { event = "wishlist_add" }
slot = "nudge"
payload = { title = "x", products = 3 }
"#;
        let told: Vec<String> = suspicions("x.toml", text)
            .into_iter()
            .map(|it| {
                format!("{}:{} {} {}", it.line, it.column, it.message.split('`').nth(1).unwrap(), it.hint.unwrap())
            })
            .collect();
        let expected = [
            "4:23 add_to_crat did you mean `add_to_cart`?",
            "4:68 serach did you mean `search`?",
            "10:21 checkout_stepp did you mean `checkout_step`?",
            "11:9 logn did you mean `login`?",
            "13:13 titel did you mean `title`?",
            "13:79 titl did you mean `title`?",
        ];
        assert_eq!(told, expected);
        for (name, text) in [midsession_feature::NATIVE, midsession_feature::LIVE_SHOPPER, midsession_decide::DEMO] {
            assert_eq!(suspicions(name, text), [], "{name}");
        }
        let personal = "[[feature]]\nname = \"f\"\nkey = [\"user\", \"properties.email\"]\nfold = \"last\"\n\
                        of = \"properties.shipping.phone\"\nwhen = 'event.properties.plan == \"gold\"'\n";
        let found: Vec<String> = suspicions("f.toml", personal).iter().map(Diagnostic::to_string).collect();
        assert!(found.len() == 2 && found[0].starts_with("f.toml:3:16: `properties.email` is personal"), "{found:?}");
        assert!(found[1].starts_with("f.toml:5:7: `properties.shipping.phone` is personal"), "{found:?}");
        for broken in
            ["[[feature]", "feature = 3", "[[intervention]]\npayload = 3\ntrigger = 3\nwhen = 'event.name == \"'\n"]
        {
            assert_eq!(suspicions("x.toml", broken), [], "{broken}");
        }
    }
}
