//! Whether the bytes of what was refused may be kept, and its id: by what stands in it of who it is of and what they allow.

use crate::json::{self, Json};
use crate::prepared::Prepared;
use crate::protocol::Begun;
use crate::{ConsentInForce, Limits, Source, consent, decode};
use midsession_event::{Consent, Event, EventId, EventName, Purpose, Str, UserId, VisitorId};

/// Of more texts than these nobody asks whether one is the id of who has refused: then the bytes are not kept.
const TEXTS_MAX: usize = 1_024;
/// A shorter id is found in another one by chance.
const WITHIN_FROM_BYTES: usize = 6;

/// JSON told as text in JSON is looked into so deep.
const DEPTH_MAX: usize = 4;

/// What is needed to be kept: the bytes have ids that last.
const NEEDED: Consent = Consent(Purpose::Analytics as i32 | Purpose::Personalization as i32);

/// What stands in bytes that were refused.
pub(crate) struct Refused<'a> {
    texts: Vec<String>,
    /// What it says on consent, all of it together.
    said: Option<Consent>,
    source: &'a Source,
    limits: &'a Limits,
    is_whole: bool,
}

impl<'a> Refused<'a> {
    /// Reads them as far as they can be read. `id_member` holds an event's own id.
    pub fn read(bytes: &'a [u8], prepared: &'a Prepared, limits: &'a Limits, id_member: &str) -> Self {
        let source = &prepared.source;
        let mut refused = Self { texts: Vec::new(), said: None, source, limits, is_whole: true };
        match json::parse(bytes, limits) {
            Ok(Json::Object(mut members)) => {
                members.retain(|(name, _)| name != id_member);
                refused.walk(&Json::Object(members), 0);
            }
            Ok(value) => refused.walk(&value, 0),
            Err(_) => refused.take_apart(bytes),
        }
        refused
    }

    /// The same with what it has of its request.
    pub fn with(mut self, shared: &Json<'_>, begun: &Begun) -> Self {
        self.walk(shared, 0);
        begun.network_user.iter().for_each(|id| self.text(id, 0));
        if begun.anonymous {
            self.hears(Consent::COOKIELESS);
        }
        self
    }

    fn walk(&mut self, value: &Json<'_>, depth: usize) {
        match value {
            Json::Text(text) => self.text(text, depth),
            Json::Int(number) => self.text(&number.to_string(), depth),
            Json::List(values) => values.iter().for_each(|value| self.walk(value, depth)),
            Json::Object(members) => {
                self.read_words(value);
                members.iter().for_each(|(_, value)| self.walk(value, depth));
            }
            Json::Null | Json::Bool(_) | Json::Float(_) => {}
        }
    }

    fn text(&mut self, text: &str, depth: usize) {
        self.is_whole &= self.texts.len() < TEXTS_MAX && depth < DEPTH_MAX;
        if !self.is_whole {
            return;
        }
        self.texts.push(text.to_owned());
        // JSON as text, plain or in base64, as trackers send contexts.
        let is_base64 = text.starts_with("ey") || text.starts_with("W3");
        let decoded = is_base64.then(|| decode::base64(text.as_bytes())).flatten();
        let inner = decoded.as_deref().unwrap_or(text.as_bytes());
        if matches!(inner.first(), Some(b'{' | b'['))
            && let Ok(value) = json::parse(inner, self.limits)
        {
            self.walk(&value, depth + 1);
        }
    }

    /// A word on consent, by whichever protocol.
    fn read_words(&mut self, object: &Json<'_>) {
        let default = self.source.consent_default.purposes();
        let native = object.get("consent").and_then(|word| match consent::native(word, default) {
            Ok(word) => word,
            Err(_) => consent::refuses(word).then_some(Consent::NONE),
        });
        let schema = object.get("schema").and_then(Json::text).and_then(|schema| schema.split('/').nth(1));
        let snowplow = schema.and_then(|schema| consent::snowplow(schema, object.get("data")?, self.source));
        let is_cookieless = object.get("$cookieless_mode") == Some(&Json::Bool(true));
        let words = [
            native,
            consent::categories(object, self.source),
            consent::ga4(object, default),
            snowplow,
            is_cookieless.then_some(Consent::COOKIELESS),
        ];
        words.into_iter().flatten().for_each(|word| self.hears(word));
    }

    fn hears(&mut self, word: Consent) {
        self.said = Some(self.said.unwrap_or(Consent::FULL).and(word));
    }

    /// What is no JSON: parameters, a line of columns, or broken.
    fn take_apart(&mut self, bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.is_whole = false;
            return;
        };
        let says = |word: &str| text.contains(word);
        if says("onsent") && ["\"none\"", "\"cookieless\"", "false", "denied", "DENIED"].into_iter().any(says) {
            self.hears(Consent::NONE);
        }
        // An id may be spelled in a way that only the program that wrote it knows.
        self.is_whole &= !says("\\u") && !says("\\x");
        let ends_part = |letter: char| letter.is_whitespace() || "\"'`&=,;{}[]()<>".contains(letter);
        let ends_word = |letter: char| ends_part(letter) || letter == ':';
        let parts = text.split(ends_part).chain(text.split(ends_word));
        for part in parts.filter(|part| part.bytes().any(|byte| byte.is_ascii_alphanumeric())) {
            let plain = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            let bare = part.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
            for text in [bare, &plain] {
                if !self.texts.iter().any(|known| known == text) {
                    self.text(text, 0);
                }
            }
            if !self.is_whole {
                return;
            }
        }
    }

    /// Whether whoever it is of may be kept, as far as can be seen.
    pub fn may_keep(&self, prepared: &Prepared, known: Option<&dyn ConsentInForce>, earlier: &[Event]) -> bool {
        let is_refusal = |said: Consent| !said.covers(NEEDED);
        if is_refusal(self.said.unwrap_or(self.source.consent_default.purposes())) {
            return false;
        }
        // Whose it is can't be told for certain: a word that was said just before may be theirs.
        if earlier.iter().any(|it| it.name == EventName::Consent && is_refusal(it.consent)) {
            return false;
        }
        let Some(known) = known.filter(|known| !known.is_empty()) else { return true };
        let refuses = |id: Str| {
            let [device, person] = [(Some(VisitorId(id.clone())), None), (None, Some(UserId(id)))];
            let of = |(device, person): (Option<VisitorId>, Option<UserId>)| known.of(device.as_ref(), person.as_ref());
            is_refusal(of(device).consent) || is_refusal(of(person).consent)
        };
        // Under whichever form of an id they said so.
        let forms = |text: &String| {
            let id = Str::from(text.as_str());
            let other = prepared.other_form(&id);
            [Some(prepared.hash_of(&id).unwrap_or(id)), other].into_iter().flatten()
        };
        self.is_whole && !self.texts.iter().flat_map(forms).any(refuses)
    }

    /// Hides an event's id in which an id may stand that the source hashes.
    pub fn hide_in(&self, event_id: &mut EventId, prepared: &Prepared) {
        let id = event_id.as_str();
        let holds = |text: &String| text == id || text.len() >= WITHIN_FROM_BYTES && id.contains(text.as_str());
        if prepared.source.hash_ids && (!self.is_whole || self.texts.iter().any(holds)) {
            event_id.0 = prepared.hash_of(id).unwrap_or_default();
        }
    }
}
