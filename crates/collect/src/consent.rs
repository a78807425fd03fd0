//! What a shopper allows, from the words of each tracker to purposes.

use crate::json::{Json, Member};
use crate::{Fault, field, quote};
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

/// Segment's `context.consent.categoryPreferences` and RudderStack's `consentManagement`, where the shop's categories
/// carry a purpose's name or a usual word for one.
pub(crate) fn categories(context: &Json<'_>, default: Consent) -> Option<Consent> {
    let purpose = |category: &str| -> Option<Purpose> {
        let category = category.to_ascii_lowercase();
        match category.as_str() {
            "analytics" | "statistics" | "performance" => Some(Purpose::Analytics),
            "personalization" | "personalisation" | "functional" => Some(Purpose::Personalization),
            "experiments" | "experimentation" => Some(Purpose::Experiments),
            "marketing" | "advertising" => Some(Purpose::Marketing),
            _ => None,
        }
    };
    let mut partly = Partly::of(default);
    let mut set = |category: &str, allowed: bool| {
        if let Some(purpose) = purpose(category) {
            partly.set(purpose, allowed);
        }
    };
    if let Some(preferences) = context.get("consent").and_then(|consent| consent.get("categoryPreferences")) {
        for (category, value) in preferences.members() {
            if let Json::Bool(allowed) = value {
                set(category, *allowed);
            }
        }
    }
    if let Some(management) = context.get("consentManagement") {
        for (list, allowed) in [("allowedConsentIds", true), ("deniedConsentIds", false)] {
            if let Some(Json::List(ids)) = management.get(list) {
                ids.iter().filter_map(Json::text).for_each(|id| set(id, allowed));
            }
        }
    }
    partly.said()
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
        let segment = parse(r#"{"consent":{"categoryPreferences":{"Advertising":false,"Analytics":true,"X":true}}}"#);
        assert_eq!(categories(&segment, Consent::FULL), Some(Consent(7).leaving(Consent(6))));
        let rudder = parse(r#"{"consentManagement":{"deniedConsentIds":["marketing"],"allowedConsentIds":["c1"]}}"#);
        assert_eq!(categories(&rudder, Consent::FULL), Some(Consent(7).leaving(Consent(7))));
        assert_eq!(categories(&parse("{}"), Consent::FULL), None);
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
