//! The visitor of an event that may have no id that lasts: made for one day, out of what came with the event.

use crate::personal;
use compact_str::format_compact;
use midsession_event::{Event, Str};
use ring::hmac;
use std::net::IpAddr;

/// What is known of the device that the shopper has in hand.
pub(crate) struct Device<'r> {
    pub address: Option<IpAddr>,
    pub agent: Option<&'r str>,
    /// A server sent it: an address without an agent may as well be the server's.
    pub by_server: bool,
}

impl Device<'_> {
    /// What tells this shopper from others. Half of a device does not: an agent is a million people's, a server's address
    /// everybody's. Then it is what the event says itself.
    pub fn told_by(&self, event: &Event) -> Vec<Str> {
        let address = self.address.map(|address| format_compact!("{address}"));
        let agent = self.agent.filter(|agent| !agent.is_empty());
        if let (Some(address), Some(agent)) = (&address, agent) {
            return vec![address.clone(), agent.into()];
        }
        // Some trackers number sessions by the second they began in: two shoppers' can be the same.
        let session = event.tracker_session_id.as_ref();
        // The user alone where there is nobody else: a login would cut the visit in two.
        let who = event.visitor_id.as_ref().map(|id| &id.0).or(event.user_id.as_ref().map(|id| &id.0));
        match (session, who, address) {
            (None, None, Some(address)) if !self.by_server => vec![address, Str::default()],
            // Nobody says that two such events are one shopper's.
            (None, None, _) => vec!["event".into(), event.event_id.0.clone()],
            (session, who, _) => {
                vec!["ids".into(), session.cloned().unwrap_or_default(), who.cloned().unwrap_or_default()]
            }
        }
    }
}

/// A keyed hash over the day's salt: it can't outlive the salt.
pub(crate) fn visitor(salt: &[u8], source: &str, told_by: &[Str]) -> Str {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let hash = personal::keyed_hash(&key, &format!("{source}\n{}", told_by.join("\n")));
    format_compact!("c_{}", &hash[2..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::EventName;

    #[test]
    fn half_of_a_device_is_nobody() {
        let said = |session: Option<&str>, visitor: Option<&str>, user: Option<&str>| {
            let mut event = Event::new("shop".into(), "e1".into(), EventName::PageView, 0);
            event.tracker_session_id = session.map(Into::into);
            event.visitor_id = visitor.map(Into::into);
            event.user_id = user.map(Into::into);
            event
        };
        let (ip, chrome) = (Some(IpAddr::from([192, 0, 2, 7])), Some("Chrome"));
        let nobody = (None, None, None);
        for (address, agent, by_server, (session, visitor, user), expected) in [
            (ip, chrome, false, (Some("s1"), Some("v1"), None), &["192.0.2.7", "Chrome"][..]),
            (ip, chrome, true, nobody, &["192.0.2.7", "Chrome"]),
            (None, chrome, false, (Some("s1"), Some("v1"), Some("u1")), &["ids", "s1", "v1"]),
            (ip, None, true, (None, Some("v1"), Some("u1")), &["ids", "", "v1"]),
            (ip, Some(""), false, (Some("s1"), None, Some("u1")), &["ids", "s1", "u1"]),
            (None, None, true, (Some("s1"), None, None), &["ids", "s1", ""]),
            (ip, None, false, nobody, &["192.0.2.7", ""]),
            (ip, None, true, nobody, &["event", "e1"]),
            (None, chrome, false, nobody, &["event", "e1"]),
            (None, None, false, nobody, &["event", "e1"]),
        ] {
            let told_by = Device { address, agent, by_server }.told_by(&said(session, visitor, user));
            assert_eq!(told_by, expected, "{address:?} {agent:?} {session:?} {visitor:?} {user:?}");
        }
    }
}
