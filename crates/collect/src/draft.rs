//! An event on its way through the collector: read from its protocol, not yet corrected, cut and judged.

use crate::time::Clock;
use midsession_event::{Consent, Event, EventId, EventName, SourceId, Str};
use std::net::IpAddr;

/// What a protocol makes of one event.
#[derive(Debug)]
pub(crate) struct Draft {
    pub event: Event,
    pub clock: Clock,
    /// What the tracker says; `None` leaves it to the source.
    pub consent: Option<Consent>,
    /// The tracker asks for no identifier at all: cookieless, and nothing from address or agent but the kind of device.
    pub anonymous: bool,
    /// User agent named by the event, in place of the request's.
    pub agent: Option<Str>,
    /// Address named by the event (server-side trackers), in place of the request's.
    pub address: Option<IpAddr>,
    /// Sent by a server for the shopper: the request's own address and user agent are not the shopper's.
    pub by_server: bool,
}

impl Draft {
    pub fn new(source: &SourceId, event_id: EventId, name: EventName, clock: Clock) -> Self {
        Self {
            event: Event::new(source.clone(), event_id, name, 0),
            clock,
            consent: None,
            anonymous: false,
            agent: None,
            address: None,
            by_server: false,
        }
    }

    /// The same of somebody who allows nothing, whatever the tracker says.
    pub fn refusing(self) -> Self {
        Self { consent: Some(Consent::NONE), ..self }
    }
}
