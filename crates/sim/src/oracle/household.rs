//! What a user allows on all of their devices, told plainly.

use crate::oracle::{Oracle, may_be_shown};
use std::collections::BTreeMap;

/// A word on consent: event time, what it allows, and as which user it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Event time. Epoch ms.
    pub at_ms: i64,
    /// Purposes, as bits.
    pub consent: i32,
    /// Who was signed in.
    pub by: Option<String>,
}

/// What a device is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Telling {
    /// The device.
    pub visitor: String,
    /// Whose word.
    pub user: String,
    /// Purposes, as bits.
    pub consent: i32,
    /// Event time. Epoch ms.
    pub at_ms: i64,
}

impl From<&midsession_event::Told> for Telling {
    fn from(told: &midsession_event::Told) -> Self {
        Self {
            visitor: told.visitor_id.to_string(),
            user: told.user_id.to_string(),
            consent: told.consent.0,
            at_ms: told.said_at_ms,
        }
    }
}

/// A user with their devices.
#[derive(Clone, Debug, Default)]
pub struct House {
    devices: Vec<String>,
    word: Option<Word>,
}

/// The last word.
#[derive(Clone, Debug)]
struct Word {
    /// Event time. Epoch ms.
    at_ms: i64,
    /// What it allows.
    consent: i32,
    /// On which device.
    by: Option<String>,
    /// What was allowed before, by a word from elsewhere.
    before: i32,
}

/// All of them, by user.
pub type Houses = BTreeMap<String, House>;

impl House {
    /// What the user's word allows.
    pub fn word(&self) -> Option<i32> {
        self.word.as_ref().map(|word| word.consent)
    }

    /// What the user's word leaves.
    pub fn leaves(&self, consent: i32) -> i32 {
        self.word.as_ref().map_or(consent, |word| word.consent & consent)
    }

    /// Where the user is.
    pub fn devices(&self) -> Vec<String> {
        self.devices.clone()
    }

    /// A device does something as this user; a new one is told their word.
    pub fn joins(&mut self, user: &str, visitor: &str, tells: &mut Vec<Telling>) {
        if self.devices.iter().any(|known| known == visitor) {
            return;
        }
        self.devices.push(visitor.to_string());
        if let Some(Word { at_ms, consent, .. }) = self.word {
            tells.push(Telling { visitor: visitor.to_string(), user: user.to_string(), consent, at_ms });
        }
    }

    /// A device is somebody else's: what was said there allows no more than what was said elsewhere before. What is left,
    /// where that changes it; everybody else is told.
    pub fn disowns(&mut self, user: &str, device: &str, tells: &mut Vec<Telling>) -> Option<i32> {
        self.parts(device);
        let word = self.word.as_mut().filter(|word| word.by.as_deref() == Some(device))?;
        if word.consent & word.before == word.consent {
            return None;
        }
        word.consent &= word.before;
        let (at_ms, consent) = (word.at_ms, word.consent);
        let told = |visitor: &String| Telling { visitor: visitor.clone(), user: user.to_string(), consent, at_ms };
        tells.extend(self.devices.iter().map(told));
        Some(consent)
    }

    /// A device signs out.
    pub fn parts(&mut self, visitor: &str) {
        self.devices.retain(|known| known != visitor);
    }

    /// The user says something; every other device is told. What holds then, and whether this is it.
    pub fn says(
        &mut self,
        user: &str,
        said_by: Option<&str>,
        at_ms: i64,
        (consent, unsaid): (i32, i32),
        tells: &mut Vec<Telling>,
    ) -> (i32, bool) {
        if let Some(word) = self.word.as_ref().filter(|word| word.at_ms > at_ms) {
            return (word.consent, false);
        }
        let consent = mixed(consent, unsaid, self.word());
        let before = match &self.word {
            Some(word) if word.by.as_deref() == said_by => word.before,
            Some(word) => word.consent,
            None => midsession_event::Consent::FULL.0,
        };
        self.word = Some(Word { at_ms, consent, by: said_by.map(ToString::to_string), before });
        for visitor in self.devices.iter().filter(|visitor| Some(visitor.as_str()) != said_by) {
            tells.push(Telling { visitor: visitor.clone(), user: user.to_string(), consent, at_ms });
        }
        (consent, true)
    }
}

/// What an event may be used for: by the device's own word, and what it was told. `open` is who is signed in there.
pub fn allowed(
    own: Option<&Said>,
    told: Option<&Telling>,
    open: Option<&str>,
    named: Option<&str>,
    consent: i32,
) -> i32 {
    word(own, told, open, named).map_or(consent, |word| word & consent)
}

/// What a word comes to that says nothing of some purposes: of them what was said before.
pub fn mixed(consent: i32, unsaid: i32, before: Option<i32>) -> i32 {
    let of = |purpose: i32| match before {
        Some(before) if unsaid & purpose != 0 => before & purpose,
        _ => consent & purpose,
    };
    [1, 2, 4, 8].into_iter().map(of).sum()
}

/// What was said before, on this device and for whom it is.
pub fn word(own: Option<&Said>, told: Option<&Telling>, open: Option<&str>, named: Option<&str>) -> Option<i32> {
    let told = told.filter(|told| open == Some(&told.user) && named.is_none_or(|named| named == told.user));
    let word = match (own, told) {
        (None, None) => return None,
        (Some(own), None) => own.consent,
        (None, Some(told)) => told.consent,
        // Two words of the same person: the later one.
        (Some(own), Some(told)) if own.by.as_ref() == Some(&told.user) => {
            if own.at_ms > told.at_ms {
                own.consent
            } else {
                told.consent
            }
        }
        (Some(own), Some(told)) => own.consent & told.consent,
    };
    Some(word)
}

/// The devices that a user (`user:ID`) is at; none of an anonymous visitor.
pub(super) fn devices_of(houses: &Houses, who: &str) -> Option<Vec<String>> {
    let user = who.strip_prefix("user:")?;
    Some(houses.get(user).map(House::devices).unwrap_or_default())
}

impl Oracle {
    pub(super) fn tells(&mut self, place: (u32, i64), tells: Vec<Telling>) {
        self.told.extend(tells.iter().cloned());
        self.telling.entry(place).or_default().extend(tells);
    }

    /// Whether features of somebody (`visitor:ID` or `user:ID`) may be read: not once they have withdrawn that.
    pub fn may_read(&self, who: &str) -> bool {
        let own = self.visitors.get(who).and_then(|visitor| visitor.said.as_ref()).map(|said| said.consent);
        let house = who.strip_prefix("user:").and_then(|user| self.houses.get(user)).and_then(House::word);
        own.into_iter().chain(house).all(may_be_shown)
    }

    /// What devices were to be told and have not been.
    pub fn untold(&self) -> Option<&Telling> {
        self.telling.values().flatten().next()
    }
}
