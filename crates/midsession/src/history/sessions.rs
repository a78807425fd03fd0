//! The sessions of a history, each once: when it has ended, or as it stands when the history ends.

use super::arrivals::Arrivals;
use super::features::time_text;
use super::intake::Intake;
use super::logged::Logged;
use super::machines::{FeaturesAlone, Machines};
use super::table::{Cell, Kind, Row, Table};
use crate::assemble::Assembly;
use crate::cli::Failure;
use midsession_event::{SessionId, SessionState, SessionUpdate, Str};
use midsession_machine::Definitions;
use midsession_stream::{Config, Counters};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// As many sessions that have ended wait in any case.
const WAITING: usize = 1 << 16;

/// A session as it is told.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRow {
    session_id: SessionId,
    visitor_id: Option<Str>,
    user_id: Option<Str>,
    tracker_session_id: Option<Str>,
    source: Str,
    started_at: String,
    ended_at: String,
    duration_ms: i64,
    state: SessionState,
    events: i64,
    page_views: i64,
    product_views: i64,
    add_to_carts: i64,
    cart_value: Option<f64>,
    currency: Option<Str>,
    checkout_step: i32,
    orders: i64,
    revenue: Option<f64>,
    abandoned: bool,
    bot: bool,
    device_class: Option<Str>,
    campaign: Option<Str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival: Option<&'static str>,
    #[serde(skip)]
    from_to_ms: (i64, i64),
    #[serde(skip)]
    version: i64,
}

/// The columns of a session, in the order of [`SessionRow`]'s cells.
const COLUMNS: [(&str, Kind); 23] = [
    ("session_id", Kind::Text),
    ("visitor_id", Kind::Text),
    ("user_id", Kind::Text),
    ("tracker_session_id", Kind::Text),
    ("source", Kind::Text),
    ("started_at", Kind::Time),
    ("ended_at", Kind::Time),
    ("duration_ms", Kind::Int),
    ("state", Kind::Text),
    ("events", Kind::Int),
    ("page_views", Kind::Int),
    ("product_views", Kind::Int),
    ("add_to_carts", Kind::Int),
    ("cart_value", Kind::Float),
    ("currency", Kind::Text),
    ("checkout_step", Kind::Int),
    ("orders", Kind::Int),
    ("revenue", Kind::Float),
    ("abandoned", Kind::Bool),
    ("bot", Kind::Bool),
    ("device_class", Kind::Text),
    ("campaign", Kind::Text),
    ("arrival", Kind::Text),
];

/// The columns of the table.
pub fn columns() -> Vec<(Str, Kind)> {
    COLUMNS.map(|(name, kind)| (Str::from(name), kind)).to_vec()
}

fn row(update: SessionUpdate, is_assumed: bool) -> SessionRow {
    SessionRow {
        session_id: update.session_id,
        visitor_id: update.visitor_id.map(|id| id.0),
        user_id: update.user_id.map(|id| id.0),
        tracker_session_id: update.tracker_session_id,
        source: update.source,
        started_at: time_text(update.started_at_ms * 1000),
        ended_at: time_text(update.ended_at_ms * 1000),
        duration_ms: update.ended_at_ms - update.started_at_ms,
        state: update.state,
        events: update.events,
        page_views: update.page_views,
        product_views: update.product_views,
        add_to_carts: update.add_to_carts,
        cart_value: update.cart_value,
        currency: update.currency,
        checkout_step: update.checkout_step,
        orders: update.orders,
        // Paid in several currencies it has no sum.
        revenue: Some(update.revenue).filter(|revenue| !revenue.is_nan()),
        abandoned: update.abandoned,
        bot: update.bot,
        device_class: update.device_class,
        campaign: update.campaign,
        arrival: is_assumed.then_some("assumed"),
        from_to_ms: (update.started_at_ms, update.ended_at_ms),
        version: update.version,
    }
}

impl Row for SessionRow {
    fn cells(&self, _: usize) -> Vec<Cell> {
        let state = match self.state {
            SessionState::Open => "open",
            SessionState::Idle => "idle",
            SessionState::Merged => "merged",
            SessionState::Closed => "closed",
        };
        let float = |value: Option<f64>| value.map_or(Cell::Null, Cell::Float);
        vec![
            Cell::Text(self.session_id.to_string().into()),
            self.visitor_id.clone().into(),
            self.user_id.clone().into(),
            self.tracker_session_id.clone().into(),
            Cell::Text(self.source.clone()),
            Cell::Time(self.from_to_ms.0),
            Cell::Time(self.from_to_ms.1),
            Cell::Int(self.duration_ms),
            Cell::Text(state.into()),
            Cell::Int(self.events),
            Cell::Int(self.page_views),
            Cell::Int(self.product_views),
            Cell::Int(self.add_to_carts),
            float(self.cart_value),
            self.currency.clone().into(),
            Cell::Int(self.checkout_step.into()),
            Cell::Int(self.orders),
            float(self.revenue),
            Cell::Bool(self.abandoned),
            Cell::Bool(self.bot),
            self.device_class.clone().into(),
            self.campaign.clone().into(),
            self.arrival.map(Str::from).into(),
        ]
    }
}

/// The sessions of files, and what came of all events.
///
/// # Errors
/// A file can't be read, or the output not written.
pub fn of_files(
    arrivals: &mut Arrivals,
    intake: &mut Intake,
    assembly: &Assembly,
    config: Config,
    table: &mut Table,
) -> Result<Counters, Failure> {
    let definitions = FeaturesAlone(assembly);
    let mut machines = Machines::new(config, &definitions).keeping_closed();
    let (mut is_assumed, mut last_us) = (false, i64::MIN);
    let mut ended = Ended::default();
    while let Some(item) = arrivals.next_item()? {
        is_assumed |= item.tag == 2;
        last_us = item.at_us;
        for event in intake.events(&item, arrivals)? {
            machines.event(event, item.at_us.div_euclid(1000));
            ended.take(&mut machines, is_assumed, table)?;
        }
    }
    machines.advance_all(last_us.div_euclid(1000));
    let counters = machines.counters();
    ended.rest(machines, is_assumed, table)?;
    Ok(counters)
}

/// The sessions of a data folder's log.
///
/// # Errors
/// The log can't be read, or the output not written.
pub fn of_log(log: &Logged<'_>, assembly: &Assembly, config: Config, table: &mut Table) -> Result<(), Failure> {
    let mut machines = Machines::new(config, assembly).keeping_closed();
    let mut ended = Ended::default();
    let mut records = log.records()?;
    while let Some((partition, entry)) = records.next_record()? {
        if let Some(record) = log.decode(&entry) {
            machines.logged(partition, entry.offset, entry.stamp_ms, record);
            ended.take(&mut machines, false, table)?;
        }
    }
    ended.rest(machines, false, table)
}

/// Sessions that have ended, in that order, for as long as they may change: an unmerge says of one long after whose it was.
#[derive(Default)]
struct Ended {
    waiting: BTreeMap<u64, SessionRow>,
    places: HashMap<SessionId, u64>,
    next: u64,
    /// When as many wait, those are told that the machines have forgotten.
    until: usize,
}

impl Ended {
    fn take<D: Definitions>(
        &mut self,
        machines: &mut Machines<'_, D>,
        is_assumed: bool,
        table: &mut Table,
    ) -> Result<(), Failure> {
        machines.take_closed().into_iter().for_each(|update| self.hear(update, is_assumed));
        if self.waiting.len() <= self.until.max(WAITING) {
            return Ok(());
        }
        let over: Vec<u64> =
            self.waiting.iter().filter(|(_, row)| !machines.knows(row.session_id)).map(|(place, _)| *place).collect();
        for row in over.into_iter().filter_map(|place| self.waiting.remove(&place)) {
            self.places.remove(&row.session_id);
            table.row(&row)?;
        }
        self.until = 2 * self.waiting.len();
        Ok(())
    }

    /// Of several versions of a session the last holds; one that has become part of another is none.
    fn hear(&mut self, update: SessionUpdate, is_assumed: bool) {
        let id = update.session_id;
        if update.state == SessionState::Merged {
            if let Some(place) = self.places.remove(&id) {
                self.waiting.remove(&place);
            }
            return;
        }
        let place = *self.places.entry(id).or_insert(self.next);
        self.next += 1;
        if self.waiting.get(&place).is_none_or(|known| known.version < update.version) {
            self.waiting.insert(place, row(update, is_assumed));
        }
    }

    fn rest<D: Definitions>(
        mut self,
        mut machines: Machines<'_, D>,
        is_assumed: bool,
        table: &mut Table,
    ) -> Result<(), Failure> {
        machines.take_closed().into_iter().for_each(|update| self.hear(update, is_assumed));
        self.waiting.values().try_for_each(|row| table.row(row))?;
        machines.live().try_for_each(|update| table.row(&row(update, is_assumed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::PartitionId;
    use midsession_machine::Definitions;

    struct Nothing;
    impl Definitions for Nothing {}

    fn update(id: u128, version: i64, state: SessionState, user: Option<&str>) -> SessionUpdate {
        let mut machines = Machines::new(Config::default(), &Nothing);
        let mut event = midsession_event::Event::new(
            "shop".into(),
            "e1".into(),
            midsession_event::EventName::PageView,
            1_700_000_000_000,
        );
        event.visitor_id = Some("v1".into());
        machines.event(event, 1_700_000_000_000);
        let opened = machines.live().next().expect("a session");
        SessionUpdate { session_id: SessionId(id), version, state, user_id: user.map(Into::into), ..opened }
    }

    #[test]
    fn the_last_version_of_a_session_that_had_ended_holds() {
        let mut ended = Ended::default();
        let closed = SessionState::Closed;
        for (id, version, state, user) in [
            (1, 3, closed, Some("u1")),
            (2, 2, closed, Some("u1")),
            (3, 2, closed, None),
            (1, 4, closed, None),
            (1, 3, closed, Some("u1")),
            (3, 3, SessionState::Merged, None),
        ] {
            ended.hear(update(id, version, state, user), false);
        }
        let told: Vec<_> = ended.waiting.values().map(|row| (row.session_id.0, row.user_id.as_deref())).collect();
        assert_eq!(told, [(1, None), (2, Some("u1"))], "each once, in the order of their ends");
        let nobody = Machines::new(Config::default(), &Nothing);
        assert!(!nobody.knows(SessionId(1)) && nobody.stream(PartitionId(0)).is_some());
    }
}
