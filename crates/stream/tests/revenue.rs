//! What a visit's orders are worth.

mod support;

use midsession_event::{Event, EventName, Order, PartitionId, Record, ShopperId};
use midsession_machine::{Definitions, Derived, FactKind};
use midsession_stream::{Config, Stream};
use support::Nothing;

/// The revenue after these orders.
fn after(orders: &[(f64, &str)]) -> f64 {
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let start_ms = 1_700_000_000_000;
    for ((revenue, currency), number) in orders.iter().zip(0..) {
        let name = EventName::Transaction;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), name, start_ms + number);
        event.visitor_id = Some("v".into());
        event.order = Some(Order {
            revenue: Some(*revenue),
            currency: Some(*currency).filter(|currency| !currency.is_empty()).map(Into::into),
            ..Order::default()
        });
        stream.on_record(number, start_ms + number, Record::Event(Box::new(event)), &Nothing, &mut Vec::new());
    }
    let view = stream.view(&ShopperId::Visitor("v".into()), start_ms + 10).expect("a shopper");
    view.session.expect("a session").revenue
}

#[test]
fn euros_and_yen_are_not_added() {
    assert_eq!(after(&[(90.0, "EUR"), (10.0, "EUR")]), 100.0);
    assert_eq!(after(&[(90.0, "EUR"), (1.0, "")]), 91.0, "an order without a currency is in the other's");
    assert!(after(&[(90.0, "EUR"), (9_000.0, "JPY")]).is_nan());
    assert!(after(&[(90.0, "EUR"), (9_000.0, "JPY"), (1.0, "EUR")]).is_nan());
}

#[test]
fn cents_are_added_as_they_are_written() {
    assert_eq!(after(&[(0.1, "EUR"), (0.2, "EUR")]), 0.3);
    assert_eq!(after(&[(19.99, "EUR"); 7]), 139.93);
}

struct OfRevenue;

impl Definitions for OfRevenue {
    fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        let order = event.order.as_ref();
        let (value, currency) = (order.and_then(|order| order.revenue), order.and_then(|order| order.currency.clone()));
        out.push(Derived { slot: 9, value, text: None, currency });
    }
}

#[test]
fn what_is_written_for_a_definition_has_the_currency_of_its_amount() {
    let mut stream = Stream::new(PartitionId(0), Config::default());
    for (number, currency) in [(0, Some("EUR")), (1, Some("JPY")), (2, None)] {
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::Transaction, 1_000 + number);
        event.visitor_id = Some("v".into());
        event.order = Some(Order { revenue: Some(9.0), currency: currency.map(Into::into), ..Order::default() });
        stream.on_record(number, 1_000 + number, Record::Event(Box::new(event)), &OfRevenue, &mut Vec::new());
    }
    let view = stream.view(&ShopperId::Visitor("v".into()), 2_000).expect("a shopper");
    let derived = view.facts.all().iter().filter(|fact| fact.kind == FactKind::DERIVED);
    let currencies: Vec<_> =
        derived.map(|fact| view.currencies.name(u32::from(fact.currency)).map(|name| name.as_str())).collect();
    assert_eq!(currencies, [Some("EUR"), Some("JPY"), None]);
}
