//! The collector: a request in; events, rejects, counts and the reply out.

use crate::agent::Agents;
use crate::collected::{Collected, DropRule, Dropped, Rejected, rejected};
use crate::draft::Draft;
use crate::finish::{Finished, Finisher};
use crate::json::Json;
use crate::personal::{is_keyed_hash, is_personal_id};
use crate::prepared::Prepared;
use crate::protocol::{Answer, Begun, Envelope, IMPORT, PROTOCOLS, Protocol, Reading, Route, Row};
use crate::refused::Refused;
use crate::scan::Piece;
use crate::{
    ConsentInForce, Fault, GeoLookup, Limits, Reply, Request, Schemas, Source, cors, decode, field, quote, scan,
};
use hashbrown::HashMap;
use midsession_event::{EventId, EventName, Purpose, Str, UserId, VisitorId};
use serde_json::json;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the collector is told besides its sources.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds on input.
    pub limits: Limits,
    /// The installation's secret: keys of hashes are derived from it.
    pub secret: [u8; 32],
    /// Any write key is taken (as the first source's) and, where a source lists no origins, any origin.
    pub accept_any_key: bool,
}

/// Turns requests into events.
pub struct Collector {
    settings: Settings,
    sources: Vec<Prepared>,
    by_key: HashMap<String, usize>,
    schemas: Schemas,
    agents: Agents,
    geo: Option<Arc<dyn GeoLookup>>,
    in_force: Option<Arc<dyn ConsentInForce>>,
}

/// Why a request is turned away for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// The log can't keep up, is full or is closing: 503.
    Unavailable,
    /// This sender is over its rate: 429.
    RateLimited,
}

impl Collector {
    /// A collector for these sources.
    pub fn new(sources: Vec<Source>, settings: Settings, schemas: Schemas, geo: Option<Arc<dyn GeoLookup>>) -> Self {
        let by_key = sources
            .iter()
            .enumerate()
            .filter(|(_, source)| !source.write_key.is_empty())
            .map(|(index, source)| (source.write_key.clone(), index))
            .collect();
        let is_any_hashed = sources.iter().any(|source| source.hash_ids);
        let sources =
            sources.into_iter().map(|source| Prepared::new(source, &settings.secret, is_any_hashed)).collect();
        Self { settings, sources, by_key, schemas, agents: Agents::new(), geo, in_force: None }
    }

    /// The same, keeping to what shoppers have said before.
    #[must_use]
    pub fn keeping_to(self, in_force: Arc<dyn ConsentInForce>) -> Self {
        Self { in_force: Some(in_force), ..self }
    }

    /// Which protocol a request belongs to, if any; also for `OPTIONS`.
    pub fn protocol(&self, request: &Request<'_>) -> Option<Protocol> {
        let asked = match request.method {
            "OPTIONS" => request.header("access-control-request-method").unwrap_or("POST"),
            method => method,
        };
        let request = Request { method: asked, ..*request };
        find(&request).map(|(row, _)| row.protocol)
    }

    /// The source of a write key, for routes that are not a tracker's.
    pub fn source_of_key(&self, key: &str) -> Option<&Source> {
        self.by_key(Some(key)).map(|prepared| &prepared.source)
    }

    /// Under which ids the sources' events may know whoever has this one: as it is, and hashed. As it is no event has one
    /// that is somebody's address or number.
    pub fn ids_of(&self, id: &str) -> Vec<Str> {
        let mut ids: Vec<Str> = if is_personal_id(id) { Vec::new() } else { vec![id.into()] };
        for hash in self.sources.iter().filter_map(|prepared| prepared.hash_of(id)) {
            if !ids.contains(&hash) {
                ids.push(hash);
            }
        }
        ids
    }

    /// As whom the sources' events have this visitor and this user, where they name both. What one source hashes is told as
    /// its hash alone.
    pub fn kept_as(&self, visitor: &str, user: &str) -> BTreeSet<(VisitorId, UserId)> {
        let is_hashed = [visitor, user].map(|id| !is_keyed_hash(id) && self.ids_of(id) != [id]);
        let pair = |prepared: &Prepared| {
            let [visitor, user] =
                [(visitor, is_hashed[0]), (user, is_hashed[1])].map(|(id, is_hashed)| match is_hashed {
                    true => prepared.hash_of(id),
                    false => Some(id.into()),
                });
            Some((VisitorId(visitor?), UserId(user?)))
        };
        self.sources.iter().filter_map(pair).collect()
    }

    /// An id as the events of this source have it; `None` without such a source.
    pub fn id_in(&self, source: &str, id: &str) -> Option<Str> {
        let prepared = self.sources.iter().find(|prepared| prepared.source.name.as_str() == source)?;
        Some(prepared.hash_of(id).unwrap_or_else(|| id.into()))
    }

    /// The answer to `OPTIONS`: granted when any source lists the origin, for a preflight carries no key.
    pub fn preflight(&self, request: &Request<'_>) -> Reply {
        cors::preflight(request, self.any_source_allows(request))
    }

    /// Whether this request's origin may use this source; for upgrades and the routes of the edge.
    pub fn is_origin_allowed(&self, request: &Request<'_>, source: &Source) -> bool {
        cors::is_allowed(request, source, self.settings.accept_any_key)
    }

    /// Adds the headers that let the request's origin read a reply made elsewhere.
    pub fn add_cors(&self, reply: &mut Reply, request: &Request<'_>) {
        cors::add(reply, request, self.any_source_allows(request));
    }

    fn any_source_allows(&self, request: &Request<'_>) -> bool {
        self.sources.iter().any(|prepared| self.is_origin_allowed(request, &prepared.source))
    }

    /// The answer when nothing can be taken in now. Trackers try again on these two statuses alone.
    pub fn overload(&self, request: &Request<'_>, why: Overload, retry_after_s: u32) -> Reply {
        let (status, code, title) = match why {
            Overload::Unavailable => (503, "unavailable", "events can't be stored right now"),
            Overload::RateLimited => (429, "rate_limited", "too many requests"),
        };
        let mut reply =
            Reply::json(status, &json!({ "type": "about:blank", "status": status, "code": code, "title": title }));
        reply.headers[0].1 = "application/problem+json".to_owned();
        reply = reply.with("retry-after", retry_after_s.to_string());
        if why == Overload::RateLimited {
            let reset_s = request.received_at_us.div_euclid(1_000_000) + i64::from(retry_after_s);
            reply = reply.with("x-ratelimit-reset", reset_s.to_string());
        }
        self.add_cors(&mut reply, request);
        reply
    }

    /// For a body that the edge stopped reading at the limit; `request.body` is what was read of it.
    pub fn too_large(&self, request: &Request<'_>) -> Collected {
        let mut collected = Collected::empty(None);
        match find(request) {
            Some((row, _)) => {
                let source = self.likely_source(request);
                self.refuse(row, request, decode::too_large(&self.settings.limits), source, &mut collected);
                for Rejected { reject, .. } in &mut collected.rejects {
                    reject.truncated = !reject.payload.is_empty();
                }
            }
            None => collected.reply = not_found(request),
        }
        collected
    }

    /// Reads a request. `random` gives fresh random numbers for ids that the tracker left out.
    pub fn collect(&self, request: &Request<'_>, random: &mut dyn FnMut() -> u128) -> Collected {
        let mut collected = Collected::empty(None);
        if request.method == "OPTIONS" {
            collected.protocol = self.protocol(request);
            collected.reply = self.preflight(request);
            return collected;
        }
        let Some((row, route)) = find(request) else {
            collected.reply = not_found(request);
            return collected;
        };
        collected.protocol = Some(row.protocol);
        let kind = match route {
            Route::Collect(kind) => kind,
            Route::Ask(kind) => {
                let source = self.source(&Envelope::new(Vec::new()), request).ok();
                collected.reply = (row.ask)(request, kind, source.map(|prepared| &prepared.source));
                self.add_cors(&mut collected.reply, request);
                return collected;
            }
        };
        let limits = &self.settings.limits;
        let body = match decode::body(request, limits) {
            Ok(body) => body,
            Err(fault) => {
                let source = self.likely_source(request);
                self.refuse(row, request, fault, source, &mut collected);
                return collected;
            }
        };
        // The envelope borrows from request and body alike.
        let request = &Request { ..*request };
        let envelope = match (row.envelope)(request, kind, &body, limits) {
            Ok(envelope) => envelope,
            Err(fault) => {
                let source = self.likely_source(request);
                self.refuse(row, request, fault, source, &mut collected);
                return collected;
            }
        };
        let prepared = match self.source(&envelope, request) {
            Ok(prepared) => prepared,
            Err(fault) => {
                collected.unattributed = Some(fault.code);
                self.refuse(row, request, fault, None, &mut collected);
                return collected;
            }
        };
        let source = &prepared.source;
        collected.source = Some(source.name.clone());
        if !self.is_origin_allowed(request, source) {
            let fault = Fault::new("origin_not_allowed", "this web origin is not one of the source's")
                .at("origin")
                .hint("add it to allowed_origins of the source")
                .of_source();
            self.refuse(row, request, fault, None, &mut collected);
            return collected;
        }
        self.read_events(row, request, kind, &envelope, prepared, random, &mut collected);
        collected
    }

    /// Reads a message of a file: what a tracker sent or a pipeline wrote down, as if it had been received at
    /// `request.received_at_us`. No key is asked for and nobody is answered; a key or an app id that a source has
    /// makes it that source's, anything else is the first one's.
    pub fn import(&self, protocol: Protocol, request: &Request<'_>, random: &mut dyn FnMut() -> u128) -> Collected {
        let mut collected = Collected::empty(Some(protocol));
        let row = PROTOCOLS.iter().find(|row| row.protocol == protocol);
        let (Some(row), Some(first)) = (row, self.sources.first()) else { return collected };
        let kind = match protocol {
            Protocol::Segment => "batch",
            Protocol::Snowplow => "post",
            _ => IMPORT,
        };
        match (row.envelope)(request, kind, request.body, &self.settings.limits) {
            Ok(envelope) => {
                let prepared = self.source(&envelope, request).unwrap_or(first);
                collected.source = Some(prepared.source.name.clone());
                self.read_events(row, request, kind, &envelope, prepared, random, &mut collected);
            }
            Err(fault) => self.refuse(row, request, fault, Some(first), &mut collected),
        }
        collected
    }

    #[allow(clippy::too_many_arguments)]
    fn read_events(
        &self,
        row: &Row,
        request: &Request<'_>,
        kind: &'static str,
        envelope: &Envelope<'_>,
        prepared: &Prepared,
        random: &mut dyn FnMut() -> u128,
        collected: &mut Collected,
    ) {
        let limits = &self.settings.limits;
        if envelope.pieces.iter().any(|piece| piece.is_rest) {
            // As a whole: the sender has them all, and of what is over nobody could say afterwards what it was.
            return self.refuse(row, request, batch_too_long(limits), Some(prepared), collected);
        }
        let source = &prepared.source;
        let begun = (row.begin)(request, source, random);
        let reading = Reading { request, source, limits, schemas: &self.schemas, kind, begun };
        let opted_out = self.is_opted_out(source, request);
        let finisher = Finisher {
            request,
            prepared,
            limits,
            agents: &self.agents,
            geo: self.geo.as_deref(),
            in_force: self.in_force.as_deref(),
            secret: &self.settings.secret,
            own_agent: OnceCell::new(),
            first_word: OnceCell::new(),
        };
        let default_bytes = match row.protocol {
            Protocol::Snowplow | Protocol::SnowplowTsv => limits.snowplow_event_bytes,
            _ => limits.event_bytes,
        };
        let event_bytes = source.event_bytes.unwrap_or(default_bytes);
        collected.events.reserve_exact(envelope.pieces.len().min(limits.batch_events));
        for (index, piece) in envelope.pieces.iter().enumerate() {
            let result = if opted_out {
                // Nothing of it can end among the dead letters, and nothing is kept but that somebody leaves the device.
                let read = (row.event)(&reading, envelope, *piece, random).map(Draft::refusing);
                let left = read.ok().filter(|draft| matches!(draft.event.name, EventName::Login | EventName::Logout));
                let kept = left.map(|it| finisher.finish(it, &mut collected.events, &mut collected.personal));
                match kept {
                    Some(Ok(Finished::Kept)) => Ok(Finished::Kept),
                    _ => Ok(Finished::Dropped(DropRule::OptedOut)),
                }
            } else if piece.bytes.len() > event_bytes {
                let message = compact_str::format_compact!("the event is larger than {event_bytes} bytes");
                Err(Fault::new("event_too_large", message).hint("send fewer or shorter fields"))
            } else {
                (row.event)(&reading, envelope, *piece, random)
                    .and_then(|draft| finisher.finish(draft, &mut collected.events, &mut collected.personal))
            };
            match result {
                Ok(Finished::Kept) => {}
                Ok(Finished::Dropped(rule)) => collected.dropped.push(Dropped { index, rule }),
                Err(fault) => {
                    let mut event_id = id_of(row, *piece, limits);
                    let refused = Refused::read(piece.bytes, prepared, limits, row.id_member);
                    let refused = refused.with(&envelope.shared, &reading.begun);
                    event_id.iter_mut().for_each(|id| refused.hide_in(id, prepared));
                    event_id.iter_mut().for_each(|id| prepared.hide_in_reject(id));
                    let may_keep = refused.may_keep(prepared, self.in_force.as_deref(), &collected.events);
                    let payload = if may_keep { piece.bytes } else { &[][..] };
                    collected.rejects.push(rejected(index, fault, &source.name, event_id, request, payload));
                }
            }
        }
        let answer = Answer {
            request,
            source,
            kind,
            begun: &reading.begun,
            accepted: collected.events.len(),
            may_set_cookie: self.may_set_cookie(source, request),
        };
        collected.reply = (row.accept)(&answer);
        collected.wants_verdicts =
            row.protocol == Protocol::Native && request.query_value("verdicts").as_deref() == Some("1");
        if collected.wants_verdicts {
            collected.reply = collected.verdicts(std::iter::empty());
        }
        cors::add(&mut collected.reply, request, true);
    }

    /// Refuses the request as a whole; its bytes go to the dead letters when its source is known.
    fn refuse(
        &self,
        row: &Row,
        request: &Request<'_>,
        fault: Fault,
        source: Option<&Prepared>,
        collected: &mut Collected,
    ) {
        collected.protocol = Some(row.protocol);
        collected.reply = (row.refuse)(request, &fault);
        if let Some(prepared) = source {
            collected.source = Some(prepared.source.name.clone());
            let begun = Begun { anonymous: request.header("sp-anonymous").is_some(), ..Begun::default() };
            let refused = Refused::read(request.body, prepared, &self.settings.limits, row.id_member);
            let refused = refused.with(&Json::Null, &begun);
            let may_keep = !self.is_opted_out(&prepared.source, request)
                && refused.may_keep(prepared, self.in_force.as_deref(), &[]);
            let payload = if may_keep { request.body } else { &[][..] };
            collected.rejects.push(rejected(0, fault, &prepared.source.name, None, request, payload));
        } else {
            collected.unattributed = Some(fault.code);
        }
        self.add_cors(&mut collected.reply, request);
    }

    /// Whose a request probably is that can't be read: for its place among the dead letters. By key, app id or origin,
    /// by a key that can be found in the body as it stands, or the only source there is.
    fn likely_source(&self, request: &Request<'_>) -> Option<&Prepared> {
        let mut envelope = Envelope::new(Vec::new());
        envelope.app_id = request.query_value("aid");
        let keys = ["\"writeKey\"", "\"api_key\"", "\"token\""];
        let in_body = keys.iter().find_map(|member| crate::protocol::text_after(request.body, member.as_bytes()));
        let only = || match self.sources.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        self.source(&envelope, request).ok().or_else(|| self.by_key(in_body)).or_else(only)
    }

    /// Whether an answer may leave an id with the shopper: not with one who has said no, nor where a source's shoppers
    /// have not said yes.
    pub fn may_set_cookie(&self, source: &Source, request: &Request<'_>) -> bool {
        !self.is_opted_out(source, request) && source.consent_default.purposes().allows(Purpose::Personalization)
    }

    /// The shopper said no by cookie.
    fn is_opted_out(&self, source: &Source, request: &Request<'_>) -> bool {
        request
            .cookie(&source.do_not_track_cookie)
            .is_some_and(|value| !matches!(value, "" | "0") && !value.eq_ignore_ascii_case("false"))
    }

    fn by_key(&self, key: Option<&str>) -> Option<&Prepared> {
        match key.and_then(|key| self.by_key.get(key)) {
            Some(index) => self.sources.get(*index),
            None if self.settings.accept_any_key => self.sources.first(),
            None => None,
        }
    }

    /// The source of a request: by key; for trackers without one by app id, the only one there is, the one that lists the
    /// origin, or the one that takes every app id.
    fn source(&self, envelope: &Envelope<'_>, request: &Request<'_>) -> Result<&Prepared, Fault> {
        let named = envelope.key.clone().or_else(|| request.authorization_key()).or_else(|| request.query_value("key"));
        let known = named.as_deref().and_then(|key| self.by_key.get(key)).and_then(|index| self.sources.get(*index));
        if known.is_some() {
            return known.ok_or_else(unknown_key);
        }
        if let Some(app_id) = &envelope.app_id {
            let owns = |source: &Source| {
                source.app_ids.iter().any(|id| id == app_id)
                    || source.name.as_str() == app_id
                    || source.write_key == *app_id
            };
            if let Some(prepared) = self.sources.iter().find(|prepared| owns(&prepared.source)) {
                return Ok(prepared);
            }
        }
        if self.settings.accept_any_key {
            return self.sources.first().ok_or_else(unknown_key);
        }
        match (named, &envelope.app_id, self.sources.as_slice()) {
            (None, Some(_), [only]) => Ok(only),
            (None, Some(app_id), sources) => {
                let lists =
                    |source: &Source| source.allowed_origins.is_some() && cors::is_allowed(request, source, false);
                let mut listing =
                    sources.iter().filter(|prepared| request.header("origin").is_some() && lists(&prepared.source));
                let by_origin = match (listing.next(), listing.next()) {
                    (Some(prepared), None) => Some(prepared),
                    _ => None,
                };
                let takes_all =
                    |prepared: &&Prepared| prepared.source.app_ids.iter().any(|id| id == Source::ANY_APP_ID);
                by_origin.or_else(|| sources.iter().find(takes_all)).ok_or_else(|| unknown_app_id(app_id))
            }
            (Some(_), _, _) => Err(unknown_key()),
            (None, None, _) => Err(Fault::new("key_missing", "the request carries no write key")
                .hint("send Authorization: Bearer KEY, or ?key=KEY")),
        }
    }
}

fn find(request: &Request<'_>) -> Option<(&'static Row, Route)> {
    PROTOCOLS.iter().find_map(|row| (row.route)(request).map(|route| (row, route)))
}

fn not_found(request: &Request<'_>) -> Reply {
    let path = field::cut(request.path, 64);
    Reply::problem(&Fault::new(
        "route_unknown",
        compact_str::format_compact!("no protocol answers {} {path}", request.method),
    ))
}

fn unknown_key() -> Fault {
    Fault::new("key_unknown", "no source has this write key")
        .hint("check the key against the sources in the configuration")
}

fn unknown_app_id(app_id: &str) -> Fault {
    let message = match app_id {
        "" => "the event names no app id (aid), and several sources could be meant".into(),
        id => compact_str::format_compact!("no source has the app id `{}`", quote::name(id)),
    };
    Fault::new("app_id_unknown", message)
        .at("aid")
        .hint("list it in app_ids of a source, or let one source take every other app id: app_ids = [\"*\"]")
        .of_source()
}

fn batch_too_long(limits: &Limits) -> Fault {
    let message =
        compact_str::format_compact!("more than {} events in one request; none of them is taken", limits.batch_events);
    Fault::new("batch_too_long", message).hint("send smaller batches")
}

/// The event's id, when it can still be read.
fn id_of(row: &Row, piece: Piece<'_>, limits: &Limits) -> Option<EventId> {
    let frame = scan::frame(piece.bytes, "", limits).ok()?;
    let text = frame.text(row.id_member)?;
    (text.len() <= limits.id_bytes).then(|| text.as_ref().into())
}
