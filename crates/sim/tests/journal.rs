//! The sender's own record of what it sent: the judge of what stands in the log.

use crate::load::Journal;
use midsession_event::{Cart, Consent, Event, EventName, Order, Product, Purpose, Record};
use midsession_sim::judge::differ;
use midsession_sim::oracle::{Act, Log};
use serde_json::{Value, json};

/// The source of the one write key.
const SOURCE: &str = "default";

fn text<T: for<'a> From<&'a str>>(value: &Value) -> Option<T> {
    value.as_str().map(T::from)
}

/// The event that must come of what was sent.
fn event_of(sent: &Value) -> Event {
    let text_of = |name: &str| sent[name].as_str().unwrap_or_default();
    let occurred_at_ms = sent["occurred_at"].as_i64().unwrap();
    let name = EventName::from(text_of("name"));
    let mut event = Event::new(SOURCE.into(), text_of("event_id").into(), name, occurred_at_ms);
    event.device_at_ms = Some(occurred_at_ms);
    event.visitor_id = text(&sent["visitor_id"]);
    event.user_id = text(&sent["user_id"]);
    event.decision_id = text(&sent["decision_id"]);
    event.list = text(&sent["list"]);
    event.query = text(&sent["query"]);
    event.step = sent["step"].as_i64().map(|step| step as i32);
    event.products = sent["products"].as_array().into_iter().flatten().map(product_of).collect();
    event.cart = sent["cart"].is_object().then(|| Cart {
        total_value: sent["cart"]["total_value"].as_f64(),
        currency: text(&sent["cart"]["currency"]),
        ..Cart::default()
    });
    event.order = sent["order"].is_object().then(|| Order {
        id: text(&sent["order"]["id"]),
        revenue: sent["order"]["revenue"].as_f64(),
        currency: text(&sent["order"]["currency"]),
        ..Order::default()
    });
    if let Some(said) = sent["consent"].as_str() {
        event.consent = if said == "none" { Consent::NONE } else { Consent::FULL };
        event.consent_said = true;
    }
    event
}

fn product_of(sent: &Value) -> Product {
    Product {
        id: sent["id"].as_str().unwrap().into(),
        category: text(&sent["category"]),
        price: sent["price"].as_f64(),
        currency: text(&sent["currency"]),
        quantity: sent["quantity"].as_i64().map(|quantity| quantity as i32),
        ..Product::default()
    }
}

/// What a shopper did, as sent. An error says what became of it on its way into the log.
pub fn act_of(event: &Event, journal: &Journal) -> Result<Act, String> {
    let id = event.event_id.as_str();
    let sent = journal.sent.get(id).ok_or_else(|| format!("{id} is in the log and was never sent"))?;
    let mut expected = event_of(sent);
    // What the server adds of its own.
    expected.stamps = event.stamps;
    expected.device.clone_from(&event.device);
    if expected.consent == Consent::NONE {
        // A refusal is kept as a refusal and nothing else.
        expected.consent_said = event.consent_said;
    }
    let is_about_device = matches!(expected.name, EventName::Logout | EventName::Login);
    if is_about_device && !event.consent.allows(Purpose::Personalization) {
        // Of somebody who has withdrawn their consent: that who was there has left the device, and nothing else. Whether they have
        // is for the oracle to say.
        expected.name = EventName::Logout;
        let bare = expected.bare();
        expected = Event { consent: event.consent, user_id: None, tracker_session_id: None, ..bare };
    }
    differ(&format!("{id} in the log, as against what was sent"), event, &expected)?;
    if event.stamps.received_at_us / 1000 < expected.occurred_at_ms {
        return Err(format!("{id} came in before it happened: {event:?}"));
    }
    Ok(Act::from(&expected))
}

/// Everything in the log is what was sent, field by field; how many events that are, repeats included.
pub fn unaltered(logs: &[Log], journal: &Journal) -> Result<usize, String> {
    let mut compared = 0;
    for (_, record) in logs.iter().flatten() {
        if let Record::Event(event) = record {
            act_of(event, journal)?;
            compared += 1;
        }
    }
    Ok(compared)
}

#[test]
fn whatever_is_altered_on_the_way_is_noticed() {
    let sent = json!({
        "event_id": "e1", "name": "add_to_cart", "visitor_id": "v1", "user_id": "u1", "occurred_at": 1_700_000_000_000i64,
        "products": [{"id": "p1", "price": 2.5, "currency": "EUR", "quantity": 2, "category": "shoes"}],
        "cart": {"total_value": 5.0, "currency": "EUR"}, "order": {"id": "o1", "revenue": 5.0, "currency": "EUR"},
    });
    let mut journal = Journal::default();
    journal.sent.insert("e1".into(), sent.clone());
    let mut event = event_of(&sent);
    event.stamps.received_at_us = 1_700_000_000_001_000;
    act_of(&event, &journal).unwrap();
    type Change = fn(&mut Event);
    let changes: [Change; 14] = [
        |event| event.event_id = "e2".into(),
        |event| event.name = EventName::RemoveFromCart,
        |event| event.visitor_id = None,
        |event| event.user_id = Some("u2".into()),
        |event| event.occurred_at_ms += 1,
        |event| event.device_at_ms = None,
        |event| event.stamps.received_at_us -= 2_000,
        |event| event.products[0].price = Some(2.25),
        |event| event.products[0].quantity = None,
        |event| event.products[0].category = None,
        |event| event.products.clear(),
        |event| event.cart = None,
        |event| event.order.as_mut().unwrap().revenue = None,
        |event| event.consent = Consent::NONE,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut altered = event.clone();
        change(&mut altered);
        assert!(act_of(&altered, &journal).is_err(), "change {number} is not noticed");
    }

    for name in ["login", "logout"] {
        let sent = json!({
            "event_id": "e3", "name": name, "visitor_id": "v1", "user_id": "u1", "occurred_at": 1_700_000_000_000i64,
        });
        journal.sent.insert("e3".into(), sent.clone());
        let mut left = event_of(&sent);
        left.stamps.received_at_us = 1_700_000_000_001_000;
        act_of(&left, &journal).unwrap();
        left.consent = Consent::NONE;
        assert!(act_of(&left, &journal).is_err(), "whose {name} it is was to be left out");
        (left.name, left.user_id) = (EventName::Logout, None);
        act_of(&left, &journal).unwrap();
        left.name = EventName::Login;
        assert!(act_of(&left, &journal).is_err(), "nobody is signed in by a {name}");
    }
}
