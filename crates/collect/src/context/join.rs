//! The join: an event takes with it what the tables know of what it names, by value, before it goes to the log.

use super::{PerKind, Row, Tables};
use midsession_event::{ContextKind, Event, EventId, Geo, Joined, Product, Purpose, SourceId, Str};

/// Different products of one event that are looked up; further ones go as they came.
const PRODUCTS_MAX: usize = 32;

/// What the joins of some events came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Rows joined, by kind.
    pub joined: PerKind<u64>,
    /// Those of them that were older than their kind may be.
    pub stale: PerKind<u64>,
    /// What was not there, in the order of the events.
    pub misses: Vec<Miss>,
    /// Products that were not looked up, as their event has too many.
    pub cut: u64,
}

/// An event named something that a table does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Which table.
    pub kind: ContextKind,
    /// Of what.
    pub id: Str,
    /// Where it was named.
    pub source: SourceId,
    /// By which event.
    pub event_id: EventId,
}

/// Joins an event with the tables. What the event says itself goes first; a row that is too old is told, marked stale, and
/// nothing is made of it. `max_age_ms`: 0 for any age. Rows of the person only where their consent allows it, and
/// `of_person` says that nothing they have said elsewhere forbids it.
pub fn enrich(
    event: &mut Event,
    tables: &Tables,
    max_age_ms: &PerKind<i64>,
    now_ms: i64,
    of_person: impl FnOnce(&Event) -> bool,
    tally: &mut Tally,
) {
    if tables.is_empty() {
        return;
    }
    let of_person = event.consent.allows(Purpose::Personalization) && of_person(event);
    let mut join = Join { tables, max_age_ms, now_ms, rows: Vec::new(), misses: Vec::new() };
    let country = event.geo.as_ref().and_then(|geo| geo.country.clone());
    tally.cut += join.products(&mut event.products, country.as_deref());
    if let Some(promotion) = &mut event.promotion
        && let Some(id) = promotion.id.clone()
        && let Some(row) = join.one(ContextKind::Promotion, &[&id])
    {
        promotion.name = promotion.name.take().or_else(|| row.values.text("name").filter(|_| !row.stale).cloned());
    }
    if of_person {
        if let Some(user) = &event.user_id {
            join.one(ContextKind::Profile, &[user.as_str()]);
        }
        // To be in no segment is nothing that is missing.
        let ids = [event.user_id.as_ref().map(|id| &id.0), event.visitor_id.as_ref().map(|id| &id.0)];
        let ids: Vec<&str> = ids.into_iter().flatten().map(Str::as_str).collect();
        join.find(ContextKind::Segment, &ids);
    }
    if let Some(geo) = &event.geo {
        let places = places_of(geo);
        join.one(ContextKind::Location, &places.iter().map(Str::as_str).collect::<Vec<_>>());
    }
    let Join { rows, misses, .. } = join;
    for row in &rows {
        tally.joined[row.kind] += 1;
        tally.stale[row.kind] += u64::from(row.stale);
    }
    let (source, event_id) = (&event.source, &event.event_id);
    let told = |(kind, id)| Miss { kind, id, source: source.clone(), event_id: event_id.clone() };
    tally.misses.extend(misses.into_iter().map(told));
    event.context = rows;
}

/// The names that a place has, the most exact first.
fn places_of(geo: &Geo) -> Vec<Str> {
    let Some(country) = &geo.country else { return Vec::new() };
    let region = geo.region.as_ref().map(|region| compact_str::format_compact!("{country}-{region}"));
    region.into_iter().chain([country.clone()]).collect()
}

/// The join of one event.
struct Join<'a> {
    tables: &'a Tables,
    max_age_ms: &'a PerKind<i64>,
    now_ms: i64,
    rows: Vec<Joined>,
    misses: Vec<(ContextKind, Str)>,
}

impl Join<'_> {
    /// The row of the first of these ids that has one, joined once. None where the table is not in use.
    fn find(&mut self, kind: ContextKind, ids: &[&str]) -> Option<&Joined> {
        if self.tables.len(kind) == 0 {
            return None;
        }
        for id in ids {
            if let Some(known) = self.rows.iter().position(|row| row.kind == kind && row.id == *id) {
                return self.rows.get(known);
            }
            if let Some(row) = self.tables.get(kind, id) {
                self.rows.push(row.joined(kind, id, self.max_age_ms[kind], self.now_ms));
                return self.rows.last();
            }
        }
        None
    }

    /// Like [`Self::find`]; where there is none that is a miss of the first id.
    fn one(&mut self, kind: ContextKind, ids: &[&str]) -> Option<&Joined> {
        let id = ids.first().filter(|_| self.tables.len(kind) > 0)?;
        if self.find(kind, ids).is_none() && !self.misses.iter().any(|(of, known)| *of == kind && known == id) {
            self.misses.push((kind, Str::from(*id)));
        }
        self.find(kind, ids)
    }

    /// Joins the products and fills what they leave out; answers how many were left as they are.
    fn products(&mut self, products: &mut [Product], country: Option<&str>) -> u64 {
        if !ContextKind::ALL.into_iter().any(|kind| kind.is_of_product() && self.tables.len(kind) > 0) {
            return 0;
        }
        let mut looked_up: Vec<Str> = Vec::new();
        let mut cut = 0;
        for product in products {
            let id = product.id.0.clone();
            if id.is_empty() {
                continue;
            }
            if !looked_up.contains(&id) {
                if looked_up.len() >= PRODUCTS_MAX {
                    cut += 1;
                    continue;
                }
                looked_up.push(id.clone());
            }
            for kind in [ContextKind::Product, ContextKind::Price, ContextKind::Inventory] {
                self.one(kind, &[&id]);
            }
            let at_place = country.map(|country| compact_str::format_compact!("{id}@{country}"));
            // Missed is the product: a promise for each place is more than most have.
            if self.find(ContextKind::Delivery, at_place.as_deref().as_slice()).is_none() {
                self.one(ContextKind::Delivery, &[&id]);
            }
            self.fill(product);
        }
        cut
    }

    /// What a product leaves out comes from its rows. A price comes with its currency, or not at all.
    fn fill(&mut self, product: &mut Product) {
        let any = |kind| self.rows.iter().find(|row| row.kind == kind && row.id == product.id.0);
        let row = |kind| any(kind).filter(|row| !row.stale);
        if let Some(row) = row(ContextKind::Product) {
            let text = |own: Option<Str>, name: &str| own.or_else(|| row.values.text(name).cloned());
            product.name = text(product.name.take(), "name");
            product.category = text(product.category.take(), "category");
            product.brand = text(product.brand.take(), "brand");
        }
        // A price that is too old tells that one loaded still earlier is none any more.
        let too_old = any(ContextKind::Price).filter(|price| price.stale);
        let of_product = row(ContextKind::Product).filter(|row| {
            // What holds from the beginning was not loaded later.
            too_old.is_none_or(|price| row.at_ms > price.at_ms && row.at_ms != Row::ALL_ALONG_MS)
        });
        for row in [row(ContextKind::Price), of_product].into_iter().flatten() {
            let Some(price) = row.values.number("price").filter(|_| product.price.is_none()) else { continue };
            let currency = row.values.text("currency");
            if product.currency.is_none() || currency.is_none() || product.currency.as_ref() == currency {
                product.price = Some(price);
                product.currency = product.currency.take().or_else(|| currency.cloned());
            }
        }
    }
}
