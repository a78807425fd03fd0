//! What came of a request: events, refused ones, ones that a rule left out, and the verdict on each.

use crate::{Fault, Kept, Protocol, Reply, Request};
use midsession_event::{Event, EventId, Reject, SourceId, Str};
use serde_json::{Value, json};

/// Most of a refused event's bytes that are kept.
pub const REJECT_BYTES: usize = 64 << 10;

/// A refused event, and which one of its request it was, from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Index in the batch.
    pub index: usize,
    /// For the dead-letter topic.
    pub reject: Reject,
}

/// The rule by which an event without fault is counted and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropRule {
    /// The shopper's consent does not cover it.
    NoConsent,
    /// The shopper has said no by cookie.
    OptedOut,
    /// Its visitor is outside the source's sample.
    Sampled,
}

/// An event that a rule left out, and which one of its request it was, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Index in the batch.
    pub index: usize,
    /// The rule.
    pub rule: DropRule,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Whose words it spoke; `None` when no protocol knows the route.
    pub protocol: Option<Protocol>,
    /// Whose key it carried.
    pub source: Option<SourceId>,
    /// For the log, in the request's order.
    pub events: Vec<Event>,
    /// What is personal in them, to be encrypted before it is kept anywhere.
    pub personal: Vec<Kept>,
    /// For the dead-letter topic.
    pub rejects: Vec<Rejected>,
    /// Left out by a rule; counted, not kept.
    pub dropped: Vec<Dropped>,
    /// Why the request was refused whole, where it has no source among whose dead letters it could be kept.
    pub unattributed: Option<&'static str>,
    /// To be sent once everything above is durable.
    pub reply: Reply,
    /// The sender asked for a verdict per event: [`Collected::verdicts`] makes that reply.
    pub wants_verdicts: bool,
}

impl Collected {
    pub(crate) fn empty(protocol: Option<Protocol>) -> Self {
        Self {
            protocol,
            source: None,
            events: Vec::new(),
            personal: Vec::new(),
            rejects: Vec::new(),
            dropped: Vec::new(),
            unattributed: None,
            reply: Reply::default(),
            wants_verdicts: false,
        }
    }

    /// How many events the shopper's consent does not cover, by whichever way it was said.
    pub fn dropped_no_consent(&self) -> usize {
        self.dropped.len() - self.dropped_sampled()
    }

    /// How many events are outside the source's sample.
    pub fn dropped_sampled(&self) -> usize {
        self.dropped.iter().filter(|dropped| dropped.rule == DropRule::Sampled).count()
    }

    /// The native reply with a verdict per event and the receipts (topic, partition, offset) of [`Self::events`], in
    /// their order: those whose index stands in no verdict.
    pub fn verdicts<'a>(&self, receipts: impl Iterator<Item = (&'a str, u32, i64)>) -> Reply {
        let refused = self.rejects.iter().map(|Rejected { index, reject }| {
            let Reject { code, field, message, hint, .. } = reject;
            (*index, json!({ "index": index, "code": code, "field": field, "message": message, "hint": hint }))
        });
        let mut verdicts: Vec<_> =
            refused.chain(self.dropped.iter().map(|dropped| (dropped.index, dropped.verdict()))).collect();
        verdicts.sort_by_key(|(index, _)| *index);
        let rejected: Vec<Value> = verdicts.into_iter().map(|(_, verdict)| verdict).collect();
        let receipts: Vec<_> = receipts
            .map(|(topic, partition, offset)| json!({ "topic": topic, "partition": partition, "offset": offset }))
            .collect();
        let mut reply = Reply::json(
            200,
            &json!({
                "accepted": self.events.len(), "rejected": rejected, "receipts": receipts,
                "dropped": self.dropped.len(),
            }),
        );
        reply.headers.extend(self.reply.headers.iter().filter(|(name, _)| *name != "content-type").cloned());
        reply
    }
}

impl Dropped {
    fn verdict(self) -> Value {
        let (code, field, message, hint) = match self.rule {
            DropRule::NoConsent => (
                "no_consent",
                Some("consent"),
                "the shopper's consent does not cover this event",
                "nothing to mend; if nothing was said with it, consent_default of the source decided",
            ),
            DropRule::OptedOut => (
                "opted_out",
                None,
                "the shopper has said no by cookie",
                "nothing to mend; do_not_track_cookie of the source names the cookie",
            ),
            DropRule::Sampled => (
                "sampled_out",
                None,
                "the visitor is outside the share that the source keeps",
                "sample of the source is that share",
            ),
        };
        json!({ "index": self.index, "code": code, "field": field, "message": message, "hint": hint })
    }
}

pub(crate) fn rejected(
    index: usize,
    fault: Fault,
    source: &SourceId,
    event_id: Option<EventId>,
    request: &Request<'_>,
    payload: &[u8],
) -> Rejected {
    let reject = Reject {
        source: source.clone(),
        code: fault.code.into(),
        field: fault.field,
        message: fault.message,
        hint: fault.hint.map(Str::from),
        owner: fault.owner.as_str().into(),
        event_id,
        received_at_us: request.received_at_us,
        payload: payload[..payload.len().min(REJECT_BYTES)].to_vec(),
        truncated: payload.len() > REJECT_BYTES,
    };
    Rejected { index, reject }
}
