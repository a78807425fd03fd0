//! The last step of every protocol: consent, identity, time, personal fields, allow-lists, device and place.

use crate::agent::{Agent, Agents, is_http_library};
use crate::collected::DropRule;
use crate::draft::Draft;
use crate::ids::HashedIds;
use crate::kind::Keeping;
use crate::personal::{self, Treatment};
use crate::prepared::Prepared;
use crate::said_before::Before;
use crate::{
    ConsentInForce, Fault, GeoLookup, Kept, Limits, PersonalKind, Request, daily, free_text, person, property,
    scrub_id, web,
};
use crate::{digits_name, field_name};
use compact_str::format_compact;
use midsession_event::{Consent, Event, EventName, PropertyValue, Purpose, ShopperId, Str, UserId, VisitorId, hash64};
use ring::hmac;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What became of a draft.
pub(crate) enum Finished {
    /// It was appended to the events.
    Kept,
    /// A rule left it out.
    Dropped(DropRule),
}

/// What all events of a request share.
pub(crate) struct Finisher<'r> {
    pub request: &'r Request<'r>,
    pub prepared: &'r Prepared,
    pub limits: &'r Limits,
    pub agents: &'r Agents,
    pub geo: Option<&'r dyn GeoLookup>,
    pub in_force: Option<&'r dyn ConsentInForce>,
    pub secret: &'r [u8; 32],
    /// What the request's own user agent says, once it was asked.
    pub own_agent: OnceCell<Option<Arc<Agent>>>,
    /// Where the first word on consent stands among the request's events.
    pub first_word: OnceCell<usize>,
}

impl Finisher<'_> {
    /// Puts the event with the others, and what is personal in it beside it.
    pub fn finish(&self, draft: Draft, events: &mut Vec<Event>, personal: &mut Vec<Kept>) -> Result<Finished, Fault> {
        let Draft { mut event, clock, consent, anonymous, agent, address, by_server } = draft;
        let source = &self.prepared.source;
        let by_server = by_server || self.request.header("user-agent").is_some_and(is_http_library);
        let address = address.or(self.request.peer_ip.filter(|_| !by_server));

        let word = self.consent(consent, anonymous);
        event.consent = word.over(None);
        event.consent_said = consent.is_some() || anonymous;
        let is_consent = event.name == EventName::Consent;
        if is_consent && !event.consent_said {
            return Err(Fault::new("field_missing", "a consent event says what is allowed")
                .at("consent")
                .hint("none, cookieless, full, or an object of purposes"));
        }
        let Before { in_force, is_kept_out } = self.before(events, &event);
        if is_consent || !event.consent_said {
            // What was granted once goes beyond the source's default, from this request's next event on.
            event.consent.0 |= in_force.said.map_or(0, |said| said.0 & Consent::FULL.0);
        }
        // What they say of themselves, whatever who was there before them has withdrawn.
        let may_be_named = event.consent.allows(Purpose::Personalization) && !anonymous;
        event.consent = event.consent.and(in_force.consent);
        if is_consent {
            // It does not give back what was withdrawn before of that which it says nothing of: it may be that this is not
            // known here yet, so that it is said again where it is.
            event.consent = word.over(Some(event.consent)).leaving(word.left());
        }
        let is_tie = in_force.is_tie && !is_consent;
        let is_nobodys = !is_consent && !event.consent.allows(Purpose::Personalization);
        // Who was signed in leaves, or somebody comes who may not be named: the next one there is not to be taken for them. An
        // event that wants no id says nothing of a device.
        let is_device = event.visitor_id.is_some() && !anonymous && (!is_kept_out || in_force.is_other);
        let is_other = in_force.is_other && may_be_named;
        let is_leave = is_nobodys
            && match event.name {
                EventName::Logout => is_device || in_force.is_attached,
                EventName::Login => is_device && !is_other,
                _ => is_device && in_force.is_other && !is_other,
            };
        let is_other = is_other && !is_leave && is_nobodys;
        let is_about_device = is_leave || is_other;
        if event.consent.is_refusal() && !is_consent && !is_about_device {
            return Ok(Finished::Dropped(DropRule::NoConsent));
        }
        let mut hashed = HashedIds::default();
        // An id that lasts serves the person: without that purpose there is none, whatever else is allowed.
        if !event.consent.allows(Purpose::Personalization) && !is_consent && !is_about_device {
            let visitor = self.daily_visitor(&event, address, agent.as_deref(), anonymous, by_server);
            let ids = [event.visitor_id.take().map(|id| id.0), event.user_id.take().map(|id| id.0)];
            // What lasts beyond the day stands nowhere else either.
            for id in ids.into_iter().chain([event.tracker_session_id.take()]).flatten() {
                hashed.note(id, visitor.clone());
            }
            event.visitor_id = Some(visitor.into());
        } else {
            hashed = self.identity(&mut event)?;
        }
        if is_leave {
            // The device is enough to know who, and nothing may be made of it.
            (event.name, event.consent) = (EventName::Logout, Consent::NONE);
            let ids = [event.user_id.take().map(|id| id.0), event.tracker_session_id.take()];
            if let Some(VisitorId(visitor)) = &event.visitor_id {
                ids.into_iter().flatten().for_each(|id| hashed.note(id, visitor.clone()));
            }
        }
        if source.sample < 1.0 && hash64(&["sample", event.key()]) as f64 / u64::MAX as f64 >= source.sample {
            return Ok(Finished::Dropped(DropRule::Sampled));
        }

        self.prepared.hide_in(&mut event.event_id);
        hashed.hide_in(&mut event.event_id.0);
        let received_ms = self.request.received_at_ms();
        event.occurred_at_ms = clock.occurred_ms(received_ms);
        event.device_at_ms = clock.device_ms();
        event.sent_at_ms = clock.sent_ms();
        event.stamps.received_at_us = self.request.received_at_us;
        event.stamps.collected_at_us = self.request.received_at_us;

        let policy = is_consent.then(|| policy_version(&mut event, &self.prepared.treatment)).flatten();
        let is_tie = is_tie && event.user_id.is_some();
        if is_consent && !event.consent.allows(Purpose::Analytics) || is_tie || is_about_device {
            // A refusal is kept as a refusal and nothing else, but for the policy that it was an answer to; so is who
            // somebody is, where they have refused before, that they have left, and that somebody else has come.
            let mut bare = event.bare();
            bare.consent_said = is_tie && event.consent_said;
            bare.properties.extend(policy);
            self.push(bare, events);
            return Ok(Finished::Kept);
        }

        // Without that purpose the event has no lasting id, and what is personal has nobody to belong to.
        let may_keep =
            event.consent.allows(Purpose::Personalization) && matches!(self.prepared.treatment, Treatment::Encrypt);
        let kinds = if may_keep { &source.encrypted_fields[..] } else { &[] };
        let mut keeping = Keeping { kinds, ..Keeping::default() };
        self.cut(&mut event, &mut keeping)?;
        hashed.hide(&mut event);
        if let Some(address) = address.filter(|_| !anonymous) {
            keeping.keep(Some(PersonalKind::Ip), "ip", &address.to_string());
        }
        event.properties.extend(policy);
        let known = match &agent {
            Some(agent) => Some(self.agents.read(agent)),
            None if by_server => None,
            None => self.own_agent().clone(),
        };
        if let Some(known) = known {
            event.bot |= known.bot;
            let device = event.device.get_or_insert_with(Default::default);
            device.class = device.class.take().or_else(|| known.device.class.clone());
            device.os = device.os.take().or_else(|| known.device.os.clone());
            device.browser = device.browser.take().or_else(|| known.device.browser.clone());
        }
        event.bot |= event.device.as_ref().is_some_and(|device| device.class.as_deref() == Some("bot"));
        if let (Some(geo), Some(address), false) = (self.geo, address, anonymous) {
            event.geo = geo.lookup(address);
        }
        if let (false, Some(whose)) = (keeping.fields.is_empty(), whose(&event)) {
            personal.push(Kept { event: events.len(), whose, fields: keeping.fields });
        }
        self.push(event, events);
        Ok(Finished::Kept)
    }

    fn push(&self, event: Event, events: &mut Vec<Event>) {
        if event.name == EventName::Consent {
            self.first_word.get_or_init(|| events.len());
        }
        events.push(event);
    }

    fn own_agent(&self) -> &Option<Arc<Agent>> {
        self.own_agent.get_or_init(|| self.request.header("user-agent").map(|agent| self.agents.read(agent)))
    }

    fn consent(&self, said: Option<Consent>, anonymous: bool) -> Consent {
        let mut consent = said.unwrap_or_else(|| {
            let default = self.prepared.source.consent_default.purposes();
            // Global Privacy Control: the browser's user objects to marketing, as long as nothing else was said.
            let objects = self.request.header("sec-gpc") == Some("1");
            if objects { default.with(Purpose::Marketing, false) } else { default }
        });
        if anonymous {
            consent = Consent(consent.0 & Consent::COOKIELESS.0);
        }
        consent
    }

    /// What was said before by whom the event is of, by the ids that it will carry.
    fn before(&self, events: &[Event], event: &Event) -> Before {
        let known = self.in_force.filter(|known| !known.is_empty());
        let words = self.first_word.get().and_then(|first| events.get(*first..)).unwrap_or_default();
        if known.is_none() && words.is_empty() {
            return Before::NOTHING;
        }
        let as_kept = |id: &Str| self.prepared.hash_of(id).unwrap_or_else(|| id.clone());
        let visitor = event.visitor_id.as_ref().map(|id| VisitorId(as_kept(&id.0)));
        let user = event.user_id.as_ref().map(|id| UserId(as_kept(&id.0)));
        let whose = (visitor.as_ref(), user.as_ref());
        let mut in_force = known.map(|known| known.of(whose.0, whose.1));
        if let (Some(known), Some(in_force)) = (known, &mut in_force) {
            // What they said through a source that writes their ids otherwise holds here, too.
            let visitor = event.visitor_id.as_ref().and_then(|id| self.prepared.other_form(&id.0)).map(VisitorId);
            let user = event.user_id.as_ref().and_then(|id| self.prepared.other_form(&id.0)).map(UserId);
            if visitor.is_some() || user.is_some() {
                in_force.consent = in_force.consent.and(known.of(visitor.as_ref(), user.as_ref()).consent);
            }
        }
        Before::of(in_force, words, whose, event.name == EventName::Login)
    }

    /// Whom an event is of for this day, where nothing of the person may last.
    fn daily_visitor(
        &self,
        event: &Event,
        address: Option<IpAddr>,
        agent: Option<&str>,
        anonymous: bool,
        by_server: bool,
    ) -> Str {
        let told_by = if anonymous {
            // Neither address nor agent: the visit or the page view that the tracker tells of; else it stands alone.
            vec![event.tracker_session_id.clone().unwrap_or_else(|| event.event_id.0.clone())]
        } else {
            let agent = agent.or(self.request.header("user-agent").filter(|_| !by_server));
            // A pipeline writes down a program's agent as the event's: the address beside it is a server's.
            let (by_program, agent) =
                (agent.is_some_and(is_http_library), agent.filter(|agent| !is_http_library(agent)));
            daily::Device { address, agent, by_server: by_server || by_program }.told_by(event)
        };
        daily::visitor(&self.salt(), self.prepared.source.name.as_str(), &told_by)
    }

    /// The caller's salt of the day, else one derived from the secret and the day.
    fn salt(&self) -> [u8; 32] {
        self.request.daily_salt.unwrap_or_else(|| {
            let day = self.request.received_at_us.div_euclid(86_400_000_000);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.secret), &day.to_be_bytes());
            let mut salt = [0; 32];
            salt.copy_from_slice(tag.as_ref());
            salt
        })
    }

    fn identity(&self, event: &mut Event) -> Result<HashedIds, Fault> {
        if event.visitor_id.is_none() && event.user_id.is_none() {
            return Err(Fault::new("identity_missing", "the event names neither a visitor nor a user")
                .at("visitor_id")
                .hint("send the id of the browser or device, or the signed-in user's"));
        }
        let ids = [
            event.visitor_id.as_mut().map(|id| &mut id.0),
            event.user_id.as_mut().map(|id| &mut id.0),
            event.tracker_session_id.as_mut(),
        ];
        let mut hashed = HashedIds::default();
        for id in ids.into_iter().flatten() {
            if let Some(hash) = self.prepared.hash_of(id) {
                hashed.put(id, hash);
            }
        }
        Ok(hashed)
    }

    /// Reads the campaign, cuts addresses to the allow-list and takes personal text out of every field.
    fn cut(&self, event: &mut Event, keeping: &mut Keeping<'_>) -> Result<(), Fault> {
        let Prepared { allow, treatment, .. } = self.prepared;
        if let EventName::Custom(name) = &mut event.name {
            personal::scrub(name, treatment);
        }
        if let Some(page) = &mut event.page {
            if let Some(url) = &mut page.url {
                web::read_campaign(url, &mut event.campaign);
                *url = web::cut_url(url, allow, treatment);
            }
            if let Some(referrer) = &mut page.referrer {
                let own_host = page.url.as_deref().and_then(web::host_of);
                *referrer = web::cut_referrer(referrer, own_host, allow, treatment);
            }
        }
        free_text::cut(event, &self.prepared.source.allowed_texts);
        if let Some(title) = event.page.as_mut().and_then(|page| page.title.as_mut()) {
            personal::scrub(title, treatment);
        }
        if let Some(campaign) = &mut event.campaign {
            let fields = [
                &mut campaign.source,
                &mut campaign.medium,
                &mut campaign.name,
                &mut campaign.term,
                &mut campaign.content,
            ];
            fields.into_iter().flatten().for_each(|text| personal::scrub(text, treatment));
        }
        for product in &mut event.products {
            scrub_id::scrub_id(&mut product.id.0, treatment);
            product.name.iter_mut().for_each(|text| personal::scrub_contacts(text, treatment));
            let groups = [&mut product.category, &mut product.brand];
            groups.into_iter().flatten().for_each(|text| scrub_id::scrub_group(text, treatment));
        }
        if let Some(device) = &mut event.device {
            [&mut device.os, &mut device.browser].into_iter().flatten().for_each(|t| personal::scrub(t, treatment));
        }
        if let Some(query) = &mut event.query {
            personal::scrub(query, treatment);
        }
        if let Some(list) = &mut event.list {
            personal::scrub_contacts(list, treatment);
        }
        let ids = [
            event.cart.as_mut().and_then(|cart| cart.id.as_mut()),
            event.order.as_mut().and_then(|order| order.id.as_mut()),
            event.decision_id.as_mut(),
        ];
        ids.into_iter().flatten().for_each(|id| scrub_id::scrub_id(id, treatment));
        if let Some(promotion) = &mut event.promotion {
            promotion.id.iter_mut().for_each(|id| scrub_id::scrub_id(id, treatment));
            promotion.name.iter_mut().for_each(|text| personal::scrub_contacts(text, treatment));
        }
        if event.properties.is_empty() {
            return Ok(());
        }
        if event.properties.len() > self.limits.properties {
            let message = format_compact!("the event has over {} properties", self.limits.properties);
            return Err(Fault::new("too_many_properties", message).at("properties"));
        }
        // The name of a page is one, whatever stands beside it.
        let is_page = event.name == EventName::PageView;
        let names: Vec<Str> = event
            .properties
            .keys()
            .filter(|name| !(is_page && name.as_str() == "name") && is_beside_contact(&event.properties, name))
            .cloned()
            .collect();
        let mut fields = property::named_by_others(&event.properties);
        let properties = std::mem::take(&mut event.properties);
        for (name, value) in properties {
            let named = fields.remove(&name);
            let field = named.as_ref().unwrap_or(&name);
            let of_person = matches!(value, PropertyValue::Text(_))
                && (names.contains(&name)
                    || person::is_name_of_person(field)
                    || named.is_some() && person::may_be_name_at(field));
            self.keep(field, &value, of_person, keeping);
            if !allow.property(&name) || personal::is_in_name(&name) {
                continue;
            }
            // One NUL in a name has stopped whole pipelines.
            let name = if name.chars().any(char::is_control) {
                name.chars().filter(|c| !c.is_control()).collect()
            } else {
                name
            };
            // Flattened names add up.
            if name.len() > self.limits.key_bytes {
                let message = format_compact!("a name is longer than {} bytes", self.limits.key_bytes);
                return Err(Fault::new("key_too_long", message).at(crate::quote::name(&name)).at("properties"));
            }
            let field = named.as_ref().unwrap_or(&name);
            let value = match value {
                PropertyValue::Text(text) if of_person => treatment.replace(&text).map(PropertyValue::Text),
                PropertyValue::Text(text) => property::scrub_value(field, text, treatment).map(PropertyValue::Text),
                // A number under a personal name is a telephone number or the like; a flag is just a flag.
                PropertyValue::Int(number) if property::is_personal_number(field, &number.to_string()) => {
                    treatment.replace(&number.to_string()).map(PropertyValue::Text)
                }
                PropertyValue::Float(_) if personal::is_personal_name(field) => None,
                other => Some(other),
            };
            if let Some(value) = value {
                event.properties.insert(name, value);
            }
        }
        Ok(())
    }

    /// Keeps a property that is personal by its name, where the source wants that. The length of its name is bounded as
    /// it is for every other property.
    fn keep(&self, name: &Str, value: &PropertyValue, of_person: bool, keeping: &mut Keeping<'_>) {
        if keeping.kinds.is_empty() || name.len() > self.limits.key_bytes || personal::is_in_name(name) {
            return;
        }
        let kind = match of_person {
            true => Some(PersonalKind::Name),
            false if personal::is_personal_name(name) => PersonalKind::of_name(name),
            false => match value {
                PropertyValue::Text(text) if field_name::is_called(name, text.trim()) => Some(PersonalKind::Phone),
                PropertyValue::Int(number) if field_name::is_called_number(name, *number) => Some(PersonalKind::Phone),
                _ => None,
            },
        };
        match value {
            PropertyValue::Text(text) if digits_name::is_card(name, text) => {}
            PropertyValue::Text(text) => keeping.keep(kind, name, text),
            // A telephone number as a number.
            PropertyValue::Int(number) => keeping.keep(kind, name, &number.to_string()),
            _ => {}
        }
    }
}

/// Whether this is the name of whoever the fields beside it reach.
fn is_beside_contact(properties: &BTreeMap<Str, PropertyValue>, name: &str) -> bool {
    let within = name.rfind('.').map_or(0, |at| at + 1);
    let (around, last) = name.split_at(within);
    let beside = properties
        .range::<str, _>((std::ops::Bound::Included(around), std::ops::Bound::Unbounded))
        .map_while(|(other, _)| other.strip_prefix(around))
        .map(|other| other.split('.').next().unwrap_or(other));
    person::may_be_name(last) && person::is_of_person(|is_one| beside.clone().any(is_one))
}

/// The policy that a word on consent answers: kept whatever the source's allow-list says, for the evidence.
fn policy_version(event: &mut Event, treatment: &Treatment) -> Option<(Str, PropertyValue)> {
    const BYTES_MAX: usize = 64;
    let PropertyValue::Text(mut version) = event.properties.remove("policy_version")? else { return None };
    personal::scrub(&mut version, treatment);
    (version.len() <= BYTES_MAX).then(|| ("policy_version".into(), PropertyValue::Text(version)))
}

/// Whose key what is personal in an event goes under: the person's, else the browser's.
fn whose(event: &Event) -> Option<ShopperId> {
    match (&event.user_id, &event.visitor_id) {
        (Some(user), _) => Some(ShopperId::User(user.clone())),
        (None, Some(visitor)) => Some(ShopperId::Visitor(visitor.clone())),
        (None, None) => None,
    }
}
