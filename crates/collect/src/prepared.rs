//! A source with its keys and lists made ready, and how it writes ids.

use crate::personal::{self, Treatment};
use crate::source::{Allow, PersonalRule};
use crate::{Source, number, scrub_id};
use midsession_event::{EventId, Str};
use ring::hmac;

/// A source with all that is made ready once.
pub(crate) struct Prepared {
    pub source: Source,
    pub allow: Allow,
    pub treatment: Treatment,
    ids_key: hmac::Key,
    /// Ids may stand on the log in another form than this source writes: as hashes where it writes none, or the other way round.
    others_write_otherwise: bool,
}

impl Prepared {
    /// `is_any_hashed`: some source hashes ids.
    pub fn new(source: Source, secret: &[u8; 32], is_any_hashed: bool) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), source.name.as_str().as_bytes());
        let own = source.hash_key.as_ref().map(|key| key.0.as_bytes());
        let key = |key: &[u8], purpose: &str| {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), purpose.as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())
        };
        let treatment = match source.personal_fields {
            PersonalRule::Drop => Treatment::Drop,
            PersonalRule::Hash => Treatment::Hash(key(own.unwrap_or(derived.as_ref()), "personal")),
            PersonalRule::Encrypt => Treatment::Encrypt,
        };
        let allow = Allow::new(source.allowed_properties.as_deref());
        // The same person wherever they come in: what they withdraw in the app holds on the web.
        let ids_key = key(own.unwrap_or(secret), "ids");
        // Where this one hashes them, it may not have done so always.
        Self { allow, treatment, ids_key, others_write_otherwise: is_any_hashed, source }
    }

    /// What stands for an id on this source's events, where it is not the id itself.
    pub fn hash_of(&self, id: &str) -> Option<Str> {
        (self.source.hash_ids || personal::is_personal_id(id)).then(|| personal::keyed_hash(&self.ids_key, id))
    }

    /// How a source that does not hash ids, or does, writes this one; none where no source writes it otherwise.
    pub fn other_form(&self, id: &Str) -> Option<Str> {
        if !self.others_write_otherwise || personal::is_personal_id(id) {
            return None;
        }
        Some(if self.source.hash_ids { id.clone() } else { personal::keyed_hash(&self.ids_key, id) })
    }

    /// Puts a hash in the place of an event's id with somebody's address or number in it. As a whole, for events are told
    /// apart by it.
    pub fn hide_in(&self, event_id: &mut EventId) {
        let id = &mut event_id.0;
        let is_mark = |byte: u8| matches!(byte, b'+' | b'.' | b':') || byte >= 0x80;
        let is_scrubbed = || {
            let mut scrubbed = id.clone();
            scrub_id::scrub_id(&mut scrubbed, &Treatment::Drop);
            scrubbed != *id
        };
        if personal::is_personal_id(id) || id.bytes().any(is_mark) && is_scrubbed() {
            *id = personal::keyed_hash(&self.ids_key, id);
        }
    }

    /// The same of a refused event. Nothing is counted by its id, so that whatever looks personal in it is hidden.
    pub fn hide_in_reject(&self, event_id: &mut EventId) {
        let id = &mut event_id.0;
        let mut scrubbed = id.clone();
        personal::scrub(&mut scrubbed, &Treatment::Drop);
        let is_card =
            || id.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-')) && number::has_card(id);
        if uuid::Uuid::try_parse(id).is_err() && (scrubbed != *id || personal::is_personal_id(id) || is_card()) {
            *id = personal::keyed_hash(&self.ids_key, id);
        }
    }
}
