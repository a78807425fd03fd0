//! What a shopper allows, from the words of each tracker to purposes.

use crate::json::{Json, Member};
use crate::{Fault, Source, field, quote};
use compact_str::format_compact;
use midsession_event::{Consent, Purpose};

/// A word that says something of some purposes: the others keep the default, and are marked as left as they were.
struct Partly {
    consent: Consent,
    left: Consent,
}

impl Partly {
    fn of(default: Consent) -> Self {
        Self { consent: default, left: Consent::FULL }
    }

    fn set(&mut self, purpose: Purpose, allowed: bool) {
        (self.consent, self.left) = (self.consent.with(purpose, allowed), self.left.with(purpose, false));
    }

    /// None where nothing was said.
    fn said(self) -> Option<Consent> {
        (self.left != Consent::FULL).then(|| self.consent.leaving(self.left))
    }
}

/// The native field: `none`, `cookieless`, `full`, or purposes with true and false.
pub(crate) fn native(value: &Json<'_>, default: Consent) -> Result<Option<Consent>, Fault> {
    let wrong = || {
        Fault::new("consent_invalid", "consent is none, cookieless, full, or an object of purposes")
            .at("consent")
            .hint(PURPOSES)
    };
    match value {
        Json::Null => Ok(None),
        Json::Text(mode) => match mode.as_ref() {
            "none" => Ok(Some(Consent::NONE)),
            "cookieless" => Ok(Some(Consent::COOKIELESS)),
            "full" => Ok(Some(Consent::FULL)),
            _ => Err(wrong()),
        },
        Json::Object(members) => {
            let mut partly = Partly::of(default);
            for (name, value) in members {
                // Read past, a refusal spelled in another way would be taken for the default: for leave.
                let purpose = Purpose::ALL.iter().find(|(_, known)| known == name).ok_or_else(|| unknown(name))?;
                let Json::Bool(allowed) = value else { return Err(wrong()) };
                partly.set(purpose.0, *allowed);
            }
            // Of none is said something, too: nothing new.
            Ok(Some(partly.consent.leaving(partly.left)))
        }
        _ => Err(wrong()),
    }
}

const PURPOSES: &str = "purposes are analytics, personalization, experiments, marketing, each true or false";

fn unknown(name: &str) -> Fault {
    let scored = Purpose::ALL
        .iter()
        .map(|(_, known)| (strsim::normalized_damerau_levenshtein(&field::cut(name, 64), known), known));
    let nearest = scored.filter(|(score, _)| *score >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = nearest.map(|(_, known)| format_compact!("; did you mean `{known}`?")).unwrap_or_default();
    Fault::new("consent_invalid", format_compact!("`{}` is not a purpose of consent{meant}", quote::name(name)))
        .at("consent")
        .hint(PURPOSES)
}

/// Whether the native field says that somebody may not be kept with an id that lasts, however badly it is written: a purpose that
/// is not known may be one of those spelled in another way.
pub(crate) fn refuses(value: &Json<'_>) -> bool {
    let is_needed = |name: &str| !matches!(name, "experiments" | "marketing");
    let denied = |(name, value): &Member<'_>| matches!(value, Json::Bool(false)) && is_needed(name);
    matches!(value.text(), Some("none" | "cookieless")) || value.members().iter().any(denied)
}

/// What the categories of a shop's consent tool say, put together.
struct Heard<'s> {
    source: &'s Source,
    allowed: Consent,
    refused: Consent,
    /// Something was refused by a name that is not known.
    other_refused: bool,
}

impl<'s> Heard<'s> {
    fn new(source: &'s Source) -> Self {
        Self { source, allowed: Consent::NONE, refused: Consent::NONE, other_refused: false }
    }

    fn hear(&mut self, category: &str, is_allowed: bool) {
        let own = self.source.consent_categories.get(category).map(|purposes| purposes.purposes());
        match (own.or_else(|| purposes_of(category)), is_allowed) {
            (Some(purposes), true) => self.allowed = Consent(self.allowed.0 | purposes.0),
            (Some(purposes), false) => self.refused = Consent(self.refused.0 | purposes.0),
            // Leave for what is not known is leave for nothing.
            (None, true) => {}
            (None, false) => self.other_refused = true,
        }
    }

    /// None where nothing was said.
    fn said(mut self) -> Option<Consent> {
        let both = |heard: &Self| Consent(heard.allowed.0 | heard.refused.0);
        if !both(&self).allows(Purpose::Experiments) {
            // Tools know no such category: it is a kind of personalization.
            for bits in [&mut self.allowed, &mut self.refused] {
                *bits = bits.with(Purpose::Experiments, bits.allows(Purpose::Personalization));
            }
        }
        if self.other_refused {
            // It may stand for any purpose that no other category stands for.
            self.refused = Consent(self.refused.0 | Consent::FULL.0 & !self.allowed.0);
        }
        let said = both(&self);
        let mut partly = Partly::of(self.source.consent_default.purposes());
        for (purpose, _) in Purpose::ALL.iter().filter(|(purpose, _)| said.allows(*purpose)) {
            partly.set(*purpose, !self.refused.allows(*purpose));
        }
        partly.said()
    }
}

/// The purposes that a category stands for by its usual name, or the id that OneTrust gives it; of what needs no leave, none.
fn purposes_of(category: &str) -> Option<Consent> {
    let letters = category.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let letters: Vec<u8> = letters.take(32).collect();
    let purpose = match letters.as_slice() {
        b"analytics" | b"analytical" | b"statistics" | b"performance" | b"measurement" | b"c0002" => Purpose::Analytics,
        b"personalization" | b"personalisation" | b"functional" | b"functionality" | b"preferences" | b"preference"
        | b"c0003" => Purpose::Personalization,
        b"experiments" | b"experimentation" => Purpose::Experiments,
        b"marketing" | b"advertising" | b"advertisement" | b"ads" | b"targeting" | b"socialmedia" | b"c0004"
        | b"c0005" => Purpose::Marketing,
        b"necessary" | b"strictlynecessary" | b"essential" | b"required" | b"c0001" => return Some(Consent::NONE),
        _ => return None,
    };
    Some(Consent::NONE.with(purpose, true))
}

/// Segment's `context.consent.categoryPreferences` and RudderStack's `consentManagement`.
pub(crate) fn categories(context: &Json<'_>, source: &Source) -> Option<Consent> {
    let mut heard = Heard::new(source);
    if let Some(preferences) = context.get("consent").and_then(|consent| consent.get("categoryPreferences")) {
        for (category, value) in preferences.members().iter().filter(|(_, value)| !matches!(value, Json::Null)) {
            heard.hear(category, matches!(value, Json::Bool(true)));
        }
    }
    if let Some(management) = context.get("consentManagement") {
        for (list, is_allowed) in [("allowedConsentIds", true), ("deniedConsentIds", false)] {
            if let Some(Json::List(ids)) = management.get(list) {
                ids.iter().filter_map(Json::text).for_each(|id| heard.hear(id, is_allowed));
            }
        }
    }
    heard.said()
}

/// Snowplow's consent events, by the name of their schema: a word on all purposes. A prompt that nobody has answered yet says
/// nothing, nor does leave that is taken to be implied; documents that are agreed to or no longer are name no purposes.
pub(crate) fn snowplow(schema: &str, data: &Json<'_>, source: &Source) -> Option<Consent> {
    match (schema, data.get("eventType").and_then(Json::text)) {
        ("consent_preferences", Some("allow_all")) => Some(Consent::FULL),
        // What was selected is all that was: the rest is refused.
        ("consent_preferences", Some("allow_selected")) => {
            let mut heard = Heard { other_refused: true, ..Heard::new(source) };
            if let Some(Json::List(scopes)) = data.get("consentScopes") {
                scopes.iter().filter_map(Json::text).for_each(|scope| heard.hear(scope, true));
            }
            heard.said()
        }
        // A selection that has expired allows nothing any more, until somebody selects anew.
        ("consent_preferences", Some("deny_all" | "withdrawn" | "expired")) => Some(Consent::NONE),
        ("consent_withdrawn", _) if matches!(data.get("all"), Some(Json::Bool(true))) => Some(Consent::NONE),
        _ => None,
    }
}

/// GA4's `consent {ad_user_data, ad_personalization}` and `non_personalized_ads`: a refusal of any ends marketing, of the second
/// also personalization; counting goes on.
pub(crate) fn ga4(shared: &Json<'_>, default: Consent) -> Option<Consent> {
    let word = |name: &str| shared.get("consent")?.get(name)?.text();
    let denied = |name: &str| word(name).is_some_and(|word| word.eq_ignore_ascii_case("denied"));
    let mut partly = Partly::of(default);
    if denied("ad_user_data") || matches!(shared.get("non_personalized_ads"), Some(Json::Bool(true))) {
        partly.set(Purpose::Marketing, false);
    }
    if denied("ad_personalization") {
        partly.set(Purpose::Marketing, false);
        partly.set(Purpose::Personalization, false);
    }
    partly.said()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, json};

    fn parse(text: &str) -> Json<'_> {
        json::parse(text.as_bytes(), &Limits::default()).expect("JSON")
    }

    #[test]
    fn words_become_purposes() {
        for (text, default, expected) in [
            (r#""none""#, Consent::FULL, Ok(Some(Consent::NONE))),
            (r#""cookieless""#, Consent::FULL, Ok(Some(Consent::COOKIELESS))),
            (r#"{"marketing":false}"#, Consent::FULL, Ok(Some(Consent(7).leaving(Consent(7))))),
            (r#"{"analytics":true}"#, Consent::NONE, Ok(Some(Consent(1).leaving(Consent(14))))),
            ("{}", Consent::FULL, Ok(Some(Consent::FULL.leaving(Consent::FULL)))),
            (
                r#"{"analytics":true,"personalization":false,"experiments":true,"marketing":true}"#,
                Consent::FULL,
                Ok(Some(Consent(13))),
            ),
            (r#"{"telepathy":true}"#, Consent::NONE, Err("consent_invalid")),
            (r#"{"personalisation":false}"#, Consent::FULL, Err("consent_invalid")),
            (r#"{"analytics":false,"foo":true}"#, Consent::FULL, Err("consent_invalid")),
            ("null", Consent::FULL, Ok(None)),
            (r#""yes""#, Consent::FULL, Err("consent_invalid")),
            (r#"{"analytics":"yes"}"#, Consent::FULL, Err("consent_invalid")),
            ("true", Consent::FULL, Err("consent_invalid")),
        ] {
            assert_eq!(native(&parse(text), default).map_err(|fault| fault.code), expected, "{text}");
        }
        let spelled = native(&parse(r#"{"personalisation":false}"#), Consent::FULL).expect_err("refused");
        assert_eq!(spelled.message, "`personalisation` is not a purpose of consent; did you mean `personalization`?");
        let far = native(&parse(r#"{"telepathy":true}"#), Consent::FULL).expect_err("refused");
        assert_eq!((far.message.as_str(), far.hint), ("`telepathy` is not a purpose of consent", Some(PURPOSES)));
        for (text, expected) in [
            (r#""none""#, true),
            (r#""full""#, false),
            (r#"{"analytics":false,"personalization":false,"x":1}"#, true),
            (r#"{"personalisation":false}"#, true),
            (r#"{"marketing":false,"x":true}"#, false),
        ] {
            assert_eq!(refuses(&parse(text)), expected, "{text}");
        }
        assert_eq!(
            ga4(&parse(r#"{"consent":{"ad_personalization":"DENIED"}}"#), Consent::FULL),
            Some(Consent(5).leaving(Consent(5)))
        );
        assert_eq!(ga4(&parse(r#"{"consent":{"ad_user_data":"GRANTED"}}"#), Consent::FULL), None);
        assert_eq!(
            ga4(&parse(r#"{"non_personalized_ads":true}"#), Consent::FULL),
            Some(Consent(7).leaving(Consent(7)))
        );
    }
}
