//! Shoppers drawn at random, weighted to the edges: gaps around 30 minutes, grace, windows, midnight, repeats, late events,
//! logins; with one who does most of it, robots, and bursts in which many events come at once.

use crate::rng::Rng;
use midsession_event::{
    Campaign, Cart, Consent, Device, Event, EventName, Order, Page, Product, PropertyValue, Purpose, Record, Unmerge,
    VisitorId,
};
use std::collections::BTreeMap;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Everything but being shown something.
const COUNTED_ONLY: Consent = Consent(Consent::FULL.0 & !(Purpose::Personalization as i32));

/// An event on its way: when it arrives at the log. Epoch ms.
pub type Arrival = (i64, Event);

/// Draws the events of some shoppers.
#[derive(Debug)]
pub struct Shoppers {
    rng: Rng,
    now_ms: i64,
    made: u64,
    /// The last id of one source that the other has not had.
    twin: Option<u64>,
    visitors: u64,
    users: u64,
    /// How much of all is the first visitor's. Percent.
    hot: u64,
    signed_in: Vec<Option<u64>>,
    /// The tracker's sessions of each visitor so far.
    tracked: Vec<u64>,
    out: Vec<Arrival>,
}

impl Shoppers {
    /// About `steps` events from `start_ms` on, sorted by arrival.
    pub fn draw(mut rng: Rng, start_ms: i64, steps: usize) -> Vec<Arrival> {
        let visitors = 1 + rng.below(4);
        let users = 1 + rng.below(2);
        let hot = rng.pick(&[0, 0, 60, 95]);
        let (signed_in, tracked) = (vec![None; visitors as usize], vec![0; visitors as usize]);
        let (now_ms, made, twin, out) = (start_ms, 0, None, Vec::new());
        let mut shoppers = Self { rng, now_ms, made, twin, visitors, users, hot, signed_in, tracked, out };
        let mut visitor = 0;
        while shoppers.out.len() < steps {
            if shoppers.rng.chance(30) {
                visitor = shoppers.visitor();
            }
            shoppers.now_ms += shoppers.pause_ms();
            match shoppers.rng.below(100) {
                0..=7 => shoppers.bridge(visitor),
                8..=15 => shoppers.sign_in(visitor),
                16..=19 => shoppers.sign_out(visitor),
                20..=22 => shoppers.without_visitor(),
                23..=24 => shoppers.together(),
                25..=27 => shoppers.consent(visitor),
                28 => shoppers.rush(),
                29 if shoppers.rng.chance(50) => shoppers.robot(visitor),
                _ => shoppers.something(visitor),
            }
        }
        shoppers.out.sort_by_key(|(at_ms, _)| *at_ms);
        shoppers.out
    }

    /// One of the visitors.
    fn visitor(&mut self) -> u64 {
        if self.rng.chance(self.hot) { 0 } else { self.rng.below(self.visitors) }
    }

    fn pause_ms(&mut self) -> i64 {
        let edge = self.rng.between(-1, 1);
        match self.rng.below(100) {
            0..=48 => self.rng.between(0, 8_000),
            49..=55 => 5_000 + edge,
            56..=62 => 20_000 + edge,
            63..=65 => 10 * MINUTE_MS + edge,
            66..=70 => 5 * MINUTE_MS + edge,
            71..=83 => 30 * MINUTE_MS + edge,
            84..=88 => 32 * MINUTE_MS + edge,
            89..=92 => 31 * MINUTE_MS,
            93..=94 => HOUR_MS + edge,
            95..=96 => self.rng.between(0, 3 * HOUR_MS),
            97 => self.rng.between(11 * HOUR_MS, 13 * HOUR_MS),
            // To midnight, of Greenwich.
            98 => DAY_MS - self.now_ms.rem_euclid(DAY_MS) + edge,
            _ => DAY_MS + edge,
        }
    }

    /// Many events of all of them at once, as when a campaign goes out: so much more than usual that they queue.
    fn rush(&mut self) {
        for _ in 0..self.rng.between(20, 60) {
            let visitor = self.visitor();
            self.something(visitor);
            self.now_ms += self.rng.pick(&[0, 0, 0, 1]);
        }
    }

    /// About as many events within a second as a page still makes, or more than people do.
    fn robot(&mut self, visitor: u64) {
        self.now_ms += 1_000 - self.now_ms.rem_euclid(1_000);
        for _ in 0..self.rng.pick(&[100, 101, 110, 130]) {
            let event = self.any(Some(visitor), self.now_ms);
            self.send(self.now_ms, event);
            self.now_ms += self.rng.pick(&[0, 1, 7, 8]);
        }
    }

    fn lateness_ms(&mut self) -> i64 {
        let edge = self.rng.between(-1, 1);
        match self.rng.below(100) {
            0..=64 => 0,
            65..=74 => self.rng.between(1, 50),
            75..=79 => 2 * MINUTE_MS + edge,
            80..=84 => 30 * MINUTE_MS + edge,
            85..=89 => 32 * MINUTE_MS + edge,
            90..=97 => self.rng.between(0, 40 * MINUTE_MS),
            98 => -self.rng.between(1, 90_000),
            _ => 24 * HOUR_MS + edge,
        }
    }

    fn event(&mut self, name: EventName, visitor: Option<u64>, time_ms: i64) -> Event {
        // Two sources may have the same ids.
        let twin = if self.rng.chance(15) { self.twin.take() } else { None };
        let (source, number) = match twin {
            Some(number) => ("app", number),
            None => {
                self.made += 1;
                self.twin = Some(self.made);
                ("shop", self.made)
            }
        };
        let mut event = Event::new(source.into(), format!("e{number}").into(), name, time_ms);
        event.visitor_id = visitor.map(|number| format!("v{number}").into());
        let user = visitor.and_then(|number| self.signed_in[number as usize]);
        if let Some(user) = user.filter(|_| self.rng.chance(50)) {
            event.user_id = Some(format!("u{user}").into());
        }
        // Mostly a source's default.
        if self.rng.chance(12) {
            event.consent_said = self.rng.chance(60);
            event.consent = self.rng.pick(&[Consent::FULL, Consent::FULL, Consent::COOKIELESS, COUNTED_ONLY]);
        }
        self.dress(&mut event, visitor);
        event
    }

    /// What trackers say along with it.
    fn dress(&mut self, event: &mut Event, visitor: Option<u64>) {
        if self.rng.chance(40) {
            let tracked = visitor.map(|number| &mut self.tracked[number as usize]);
            event.tracker_session_id = match (self.rng.below(25), visitor.zip(tracked)) {
                // A copied link, a restored backup: another shopper has it too.
                (0, _) => Some("t-copied".into()),
                (new, Some((number, count))) => {
                    *count += u64::from(new < 3);
                    Some(format!("t{number}-{count}").into())
                }
                (_, None) => None,
            };
        }
        if self.rng.chance(25) {
            let name = self.rng.pick(&[None, Some("spring"), Some("sale"), Some("news")]).map(Into::into);
            event.campaign = Some(Campaign { source: Some("mail".into()), name, ..Campaign::default() });
        }
        if self.rng.chance(50) {
            let class = self.rng.pick(&[None, Some("desktop"), Some("mobile"), Some("tablet")]).map(Into::into);
            event.device = Some(Device { class, ..Device::default() });
        }
        if self.rng.chance(50) {
            let url = Some(format!("https://shop.example/{}", self.rng.below(5)).into());
            event.page = Some(Page { url, title: Some("Shop".into()), ..Page::default() });
        }
        if self.rng.chance(20) {
            event.properties.insert("size".into(), PropertyValue::Int(self.rng.between(36, 46)));
            event.properties.insert("colour".into(), PropertyValue::Text("red".into()));
        }
    }

    fn send(&mut self, arrival_ms: i64, event: Event) {
        if self.rng.chance(12) {
            let edge = self.rng.pick(&[0, 0, 1, 50, 1_000, 20_000, 31 * MINUTE_MS, 24 * HOUR_MS, 24 * HOUR_MS + 1_000]);
            self.out.push((arrival_ms + edge, event.clone()));
        }
        if self.rng.chance(2)
            && let Some(visitor) = &event.visitor_id
        {
            // A cookie was lost, or somebody makes ids up: the same event, and another visitor's.
            let other: VisitorId = format!("v{}", self.rng.below(self.visitors)).into();
            if other != *visitor {
                self.out.push((arrival_ms + 1, Event { visitor_id: Some(other), ..event.clone() }));
            }
        }
        self.out.push((arrival_ms, event));
    }

    fn product(&mut self) -> Product {
        Product {
            id: format!("p{}", self.rng.below(4)).into(),
            price: self.rng.pick(&[Some(0.1), Some(0.25), Some(10.0), Some(19.99), Some(45.0), Some(90.0), None]),
            currency: match self.rng.below(12) {
                0 => Some("USD".into()),
                1 => None,
                _ => Some("EUR".into()),
            },
            quantity: self.rng.pick(&[None, Some(1), Some(1), Some(2), Some(3)]),
            category: self.rng.pick(&[None, Some("shoes"), Some("hats")]).map(Into::into),
            ..Product::default()
        }
    }

    fn something(&mut self, visitor: u64) {
        let (time_ms, late_ms) = (self.now_ms, self.lateness_ms());
        let event = self.any(Some(visitor), time_ms);
        self.send(time_ms + late_ms, event);
    }

    fn any(&mut self, visitor: Option<u64>, time_ms: i64) -> Event {
        let name = match self.rng.below(100) {
            0..=18 => EventName::PageView,
            19..=21 => EventName::ListView,
            22 => EventName::ListClick,
            23 => EventName::Search,
            24 => EventName::PagePing,
            25..=44 => EventName::ProductView,
            45..=69 => EventName::AddToCart,
            70..=76 => EventName::RemoveFromCart,
            77..=80 => EventName::CheckoutStep,
            81..=85 => EventName::Transaction,
            86..=87 => EventName::Refund,
            88..=93 => EventName::Painted,
            94..=96 => EventName::CartView,
            _ => EventName::Custom("quiz_answered".into()),
        };
        let mut event = self.event(name.clone(), visitor, time_ms);
        if matches!(name, EventName::ProductView | EventName::AddToCart | EventName::RemoveFromCart) {
            let many = if self.rng.chance(15) { 3 } else { 1 };
            event.products = (0..many).map(|_| self.product()).collect();
        }
        match name {
            EventName::CheckoutStep => event.step = self.rng.pick(&[None, Some(1), Some(2), Some(3)]),
            EventName::Transaction | EventName::Refund if !self.rng.chance(10) => {
                let revenue = Some(self.rng.between(1, 9_999) as f64 / 100.0);
                let currency =
                    self.rng.pick(&[None, Some("EUR"), Some("EUR"), Some("EUR"), Some("USD")]).map(Into::into);
                event.order = Some(Order { revenue, currency, ..Order::default() });
            }
            EventName::Search => event.query = Some("boots".into()),
            _ => {}
        }
        if matches!(event.name, EventName::ListView | EventName::ListClick) || self.rng.chance(10) {
            event.list = self.rng.pick(&[None, Some("sale"), Some("new"), Some("shoes")]).map(Into::into);
        }
        if self.rng.chance(8) {
            let total_value = Some(self.rng.between(0, 20_000) as f64 / 100.0);
            event.cart = Some(Cart { total_value, currency: Some("EUR".into()), ..Cart::default() });
        }
        event.bot = self.rng.chance(2);
        event
    }

    /// Two visits more than a gap apart, and a late event between them that reaches one, both or none.
    fn bridge(&mut self, visitor: u64) {
        let gap_ms = 30 * MINUTE_MS;
        let (one_ms, other_ms) = (self.now_ms, self.now_ms + gap_ms + self.rng.between(1, 119_000));
        let edge = self.rng.between(-1, 1);
        let between_ms = match self.rng.below(4) {
            0 => one_ms + gap_ms + edge,
            1 => other_ms - gap_ms + edge,
            _ => self.rng.between(one_ms, other_ms),
        };
        let last = if self.rng.chance(60) { EventName::AddToCart } else { EventName::PageView };
        for (time_ms, arrival_ms) in [(one_ms, one_ms), (other_ms, other_ms)] {
            let mut event = self.any(Some(visitor), time_ms);
            if event.name == EventName::AddToCart {
                event.name = last.clone();
            }
            self.send(arrival_ms, event);
        }
        let event = self.any(Some(visitor), between_ms);
        let late_ms = self.rng.pick(&[0, 1, 1_000, 119_000]);
        self.send(other_ms + late_ms, event);
        self.now_ms = other_ms;
    }

    fn sign_in(&mut self, visitor: u64) {
        let user = self.rng.below(self.users);
        self.signed_in[visitor as usize] = None;
        // Something from before the login that arrives after it.
        if self.rng.chance(40) {
            let edge = self.rng.between(-1, 1);
            let before_ms = self.rng.pick(&[0, 1, 1_000, 60_000, 30 * MINUTE_MS + edge, 31 * MINUTE_MS]);
            let time_ms = self.now_ms - before_ms;
            let event = self.any(Some(visitor), time_ms);
            let after_ms = self.rng.pick(&[1, 10, 500]);
            self.send(self.now_ms + after_ms, event);
        }
        self.signed_in[visitor as usize] = Some(user);
        let name = if self.rng.chance(70) { EventName::Login } else { EventName::PageView };
        let mut event = self.event(name, Some(visitor), self.now_ms);
        event.user_id = Some(format!("u{user}").into());
        let late_ms = if self.rng.chance(15) { self.lateness_ms() } else { 0 };
        self.send(self.now_ms + late_ms, event);
    }

    fn sign_out(&mut self, visitor: u64) {
        let mut event = self.event(EventName::Logout, Some(visitor), self.now_ms);
        // Mostly nobody is named, or who is there; now and then somebody else.
        let user = match self.rng.below(8) {
            0 => Some(self.rng.below(self.users)),
            1 | 2 => self.signed_in[visitor as usize],
            _ => None,
        };
        event.user_id = user.map(|user| format!("u{user}").into());
        let late_ms = if self.rng.chance(25) { self.lateness_ms() } else { 0 };
        self.send(self.now_ms + late_ms, event);
        self.signed_in[visitor as usize] = None;
    }

    /// Says yes or no, sometimes overtaken on its way.
    fn consent(&mut self, visitor: u64) {
        let mut event = self.event(EventName::Consent, Some(visitor), self.now_ms);
        event.consent =
            self.rng.pick(&[Consent::FULL, Consent::FULL, Consent::NONE, Consent::COOKIELESS, COUNTED_ONLY]);
        if self.rng.chance(30) {
            // Of some purposes alone; of the others its source's default, which allows them.
            let left = Consent(self.rng.between(0, 15) as i32);
            event.consent = Consent(event.consent.0 | left.0).leaving(left);
        }
        event.consent_said = true;
        let late_ms = self.rng.pick(&[0, 0, 0, 1, 50, 8_000, 31 * MINUTE_MS]);
        self.send(self.now_ms + late_ms, event.clone());
        if self.rng.chance(10) {
            // The opposite within the same millisecond: what was heard last holds.
            let no = event.consent.is_refusal();
            let mut other = self.event(EventName::Consent, Some(visitor), self.now_ms);
            (other.consent, other.consent_said) = (if no { Consent::FULL } else { Consent::NONE }, true);
            self.send(self.now_ms + late_ms + 1, other);
        }
    }

    /// Devices of one user, each with a cart, that go silent together.
    fn together(&mut self) {
        let user = self.rng.below(self.users);
        for visitor in 0..self.visitors {
            if self.signed_in[visitor as usize] != Some(user) {
                self.signed_in[visitor as usize] = Some(user);
                let mut login = self.event(EventName::Login, Some(visitor), self.now_ms);
                login.user_id = Some(format!("u{user}").into());
                self.send(self.now_ms, login);
            }
            let mut add = self.event(EventName::AddToCart, Some(visitor), self.now_ms);
            add.products = vec![Product { id: "p9".into(), price: Some(90.0), ..self.product() }];
            self.send(self.now_ms, add);
            self.now_ms += self.rng.between(0, 3);
        }
        self.now_ms += self.rng.pick(&[19_999, 20_000, 20_001, 25_000]);
    }

    fn without_visitor(&mut self) {
        let mut event = self.any(None, self.now_ms);
        let user = self.rng.below(self.users);
        event.user_id = Some(format!("u{user}").into());
        self.send(self.now_ms, event);
    }
}

/// Wrong merges undone around logins and what is on its way then, in the order from the last to the first.
pub fn unmerges(rng: &mut Rng, arrivals: &[Arrival]) -> Vec<(i64, Unmerge)> {
    let mut all = Vec::new();
    let often = rng.pick(&[0, 2, 10]);
    for (at_ms, event) in arrivals {
        let (Some(visitor_id), Some(user_id)) = (&event.visitor_id, &event.user_id) else { continue };
        if !rng.chance(often) {
            continue;
        }
        let edge = rng.between(-1, 1);
        // While the login's hand-off is under way, at the edges of the visit, long after it, and once more at once.
        let after_ms =
            rng.pick(&[0, 0, 1, 2, 50, 101, 5_000, 30 * MINUTE_MS, 32 * MINUTE_MS, 13 * HOUR_MS, 24 * HOUR_MS]);
        for again_ms in [Some(0), rng.chance(20).then_some(0), rng.chance(20).then_some(60)].into_iter().flatten() {
            let due_ms = at_ms + (after_ms + edge).max(0) + again_ms;
            let (visitor_id, user_id) = (visitor_id.clone(), user_id.clone());
            all.push((due_ms, Unmerge { visitor_id, user_id, asked_at_ms: due_ms, reason: None, gives_on: true }));
        }
    }
    all.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    all
}

/// Of an event that several visitors sent, leaves what one of them did: known as one person they would have sent it twice.
pub fn of_one_visitor(arrivals: &mut Vec<Arrival>) {
    let mut whose = BTreeMap::new();
    arrivals.retain(|(_, event)| {
        let first = whose.entry((event.source.clone(), event.event_id.clone()));
        *first.or_insert_with(|| event.visitor_id.clone()) == event.visitor_id
    });
}

/// What is sent enters where its shopper's device does.
pub fn key_of(record: &Record) -> &str {
    match record {
        Record::Event(event) => event.key(),
        Record::Unmerge(unmerge) => unmerge.visitor_id.as_str(),
        other => unreachable!("nobody sends {other:?}"),
    }
}

/// The id of an event, with that of its source.
pub fn id_of(record: &Record) -> Option<String> {
    match record {
        Record::Event(event) => Some(format!("{}/{}", event.source, event.event_id)),
        _ => None,
    }
}
