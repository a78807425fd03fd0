//! Features as they were: for each question, or after each event, what would have been served then and nothing from
//! later.

use super::arrivals::Arrivals;
use super::beside::{self, Beside};
use super::entities::{Entities, Entity, Whose};
use super::intake::Intake;
use super::logged::{Logged, PutInForce};
use super::machines::{FeaturesAlone, Gathered, Machines, Serving, Values, read_person, read_session};
use super::names::types;
use super::table::{Cell, Kind, Row, Table};
use crate::assemble::Assembly;
use crate::cli::Failure;
use midsession_edge::AsOf;
use midsession_event::{PropertyValue, SessionId, ShopperId, Str};
use midsession_feature::expr::Type;
use midsession_feature::{Key, Served};
use midsession_machine::Definitions;
use midsession_stream::{Config, Counters, Seam};
use serde::ser::{SerializeMap, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is asked of a history.
pub struct Question<'a> {
    /// The definitions of the configuration.
    pub assembly: &'a Assembly,
    /// Where each instant is looked at by the definitions that were in force then: those. None: by those above alone.
    pub put_in_force: Option<PutInForce>,
    /// Whose features follow each event, where nobody in particular is asked for.
    pub key: Key,
    /// Which features; all of them when empty.
    pub names: Vec<Str>,
    /// For whom and when; without it a row follows each event.
    pub entities: Option<Entities>,
    /// A fault to be made on purpose, so that tests can show that they would find it.
    pub leak: bool,
}

/// The fault that a test wants to see found: events from later are read too. Only builds with debug assertions look
/// for it.
pub fn leaks() -> bool {
    cfg!(debug_assertions) && std::env::var("MIDSESSION_DEFECT").is_ok_and(|name| name == "history_leaks")
}

/// Features of one shopper or session, or of everybody by a value of a field, at one instant.
#[derive(Clone, Debug)]
pub struct Features {
    whose: Whose,
    id: Str,
    /// The id that was asked for, where it has led to another one.
    asked: Option<Str>,
    at_us: i64,
    /// What was said beside the question.
    beside: Beside,
    /// The event that it follows.
    event_id: Option<Str>,
    /// By a field one of each partition.
    as_of: Vec<AsOf>,
    is_assumed: bool,
    is_incomplete: bool,
    is_known: bool,
    values: Vec<Served>,
    places: Arc<Places>,
}

/// Which columns there are beside the fixed ones.
#[derive(Clone, Debug)]
pub struct Places {
    /// Fields by whose values something is asked.
    fields: Vec<Whose>,
    /// What is said beside the questions.
    beside: Vec<(Str, Kind)>,
    features: Vec<Str>,
}

/// The columns before the features, and after whose they are.
const FIXED: [(&str, Kind); 10] = [
    ("asked", Kind::Text),
    ("at", Kind::Time),
    ("event_id", Kind::Text),
    ("arrival", Kind::Text),
    ("known", Kind::Bool),
    ("incomplete", Kind::Bool),
    ("since", Kind::Text),
    ("as_of_partition", Kind::Int),
    ("as_of_offset", Kind::Int),
    ("as_of_now", Kind::Int),
];

impl serde::Serialize for Features {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.whose.name(), &self.id)?;
        if let Some(asked) = &self.asked {
            map.serialize_entry("asked", asked)?;
        }
        map.serialize_entry("at", &time_text(self.at_us))?;
        if let Some(event_id) = &self.event_id {
            map.serialize_entry("event_id", event_id)?;
        }
        match (&self.whose, self.as_of.first()) {
            (_, None) => {}
            (Whose::Field(_), _) => map.serialize_entry("as_of", &self.as_of)?,
            (_, Some(as_of)) => map.serialize_entry("as_of", as_of)?,
        }
        if self.is_assumed {
            map.serialize_entry("arrival", "assumed")?;
        }
        if !self.is_known {
            map.serialize_entry("known", &false)?;
        }
        if self.is_incomplete {
            map.serialize_entry("incomplete", &true)?;
        }
        if let Some(since) = self.since() {
            map.serialize_entry("since", &since)?;
        }
        for (name, value) in &self.beside {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("features", &ByName(&self.values))?;
        map.end()
    }
}

impl Features {
    /// Since when the values count that are not whole, as a live answer says it; none where all are. Epoch ms.
    fn since(&self) -> Option<BTreeMap<&str, i64>> {
        let since = self.values.iter().filter_map(|served| Some((served.name.as_str(), served.since_ms?)));
        Some(since.collect()).filter(|since: &BTreeMap<_, _>| !since.is_empty())
    }
}

struct ByName<'a>(&'a [Served]);

impl serde::Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|served| Some((&served.name, served.value.as_ref()?))))
    }
}

impl Row for Features {
    fn cells(&self, columns: usize) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(columns);
        let own = [Whose::User, Whose::Session];
        let whose = own.iter().chain(&self.places.fields);
        cells.extend(whose.map(|whose| if self.whose == *whose { Cell::Text(self.id.clone()) } else { Cell::Null }));
        let as_of = |part: fn(&AsOf) -> i64| match self.as_of.as_slice() {
            [as_of] => Cell::Int(part(as_of)),
            _ => Cell::Null,
        };
        cells.extend([
            self.asked.clone().into(),
            Cell::Time(self.at_us.div_euclid(1000)),
            self.event_id.clone().into(),
            self.is_assumed.then(|| "assumed".into()).into(),
            Cell::Bool(self.is_known),
            Cell::Bool(self.is_incomplete),
            self.since().and_then(|since| serde_json::to_string(&since).ok()).map(Str::from).into(),
            as_of(|as_of| i64::from(as_of.partition)),
            as_of(|as_of| as_of.offset),
            as_of(|as_of| as_of.now),
        ]);
        let said = |place: &Str| self.beside.iter().find(|(name, _)| name == place).map(|(_, value)| value);
        cells.extend(self.places.beside.iter().map(|(place, _)| beside::cell(said(place))));
        let mut values = self.values.iter().peekable();
        for place in &self.places.features {
            // Both are in the order of definition, or of the question.
            let next = values.next_if(|served| served.name == *place);
            let served = next.or_else(|| self.values.iter().find(|served| served.name == *place));
            match served.and_then(|served| served.value.clone()) {
                Some(value) => cells.push((&PropertyValue::from(value)).into()),
                None => cells.push(Cell::Null),
            }
        }
        cells
    }
}

/// RFC 3339, as exactly as it is known.
pub fn time_text(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).map_or_else(|_| at_us.to_string(), |time| time.to_string())
}

impl Question<'_> {
    /// Whose features are asked for.
    pub(super) fn whose(&self) -> BTreeSet<Whose> {
        let of_rows = || BTreeSet::from([Whose::from(self.key)]);
        self.entities.as_ref().map_or_else(of_rows, |entities| entities.whose.clone())
    }

    /// All that values are read by.
    pub(super) fn assemblies(&self) -> impl Iterator<Item = &Assembly> {
        let configured = self.put_in_force.as_ref().is_none_or(|put| put.configured).then_some(self.assembly);
        let others = self.put_in_force.iter().flat_map(|put| &put.others);
        configured.into_iter().chain(others.map(Arc::as_ref))
    }

    /// The columns of the answer.
    pub fn columns(&self) -> Vec<(Str, Kind)> {
        let places = self.places();
        let whose = [Whose::User, Whose::Session].into_iter().chain(places.fields.iter().cloned());
        let mut columns: Vec<(Str, Kind)> = whose.map(|whose| (Str::from(whose.name()), Kind::Text)).collect();
        columns.extend(FIXED.map(|(name, kind)| (Str::from(name), kind)));
        columns.extend(places.beside.iter().cloned());
        columns.extend(self.features());
        columns
    }

    /// The features that are asked for, with what they hold.
    fn features(&self) -> Vec<(Str, Kind)> {
        let mut columns: Vec<(Str, Kind)> = Vec::new();
        for whose in self.whose() {
            for assembly in self.assemblies() {
                for (name, ty) in types(assembly, &whose) {
                    let of_name = |asked: &&Str| assembly.unaliased(asked) == name.as_str();
                    let asked = self.names.iter().filter(of_name);
                    for name in asked.chain(self.names.is_empty().then_some(name)) {
                        if !columns.iter().any(|(known, _)| known == name) {
                            columns.push((name.clone(), kind_of(ty)));
                        }
                    }
                }
            }
        }
        columns
    }

    /// The fields that features go by.
    pub fn fields(&self) -> Vec<Str> {
        let all: BTreeSet<Str> = self.assemblies().flat_map(Assembly::field_keys).collect();
        all.into_iter().collect()
    }

    fn row(&self, entity: &Entity, at_us: i64, read: Option<Values>, places: &Arc<Places>) -> Features {
        let is_known = read.is_some();
        let (id, values) = read.map_or((entity.id.clone(), Vec::new()), |read| (read.id, read.values));
        Features {
            whose: entity.whose.clone(),
            asked: Some(entity.id.clone()).filter(|asked| *asked != id),
            id,
            at_us,
            beside: entity.beside.clone(),
            event_id: None,
            as_of: Vec::new(),
            is_assumed: false,
            is_incomplete: false,
            is_known,
            values,
            places: Arc::clone(places),
        }
    }

    fn places(&self) -> Arc<Places> {
        let whose = self.entities.iter().flat_map(|entities| &entities.whose);
        let fields = whose.filter(|whose| matches!(whose, Whose::Field(_))).cloned().collect();
        let features: Vec<Str> = self.features().into_iter().map(|(name, _)| name).collect();
        let beside = self.entities.iter().flat_map(|entities| entities.beside.kinds());
        let beside = beside.filter(|(name, _)| !features.contains(name)).collect();
        Arc::new(Places { fields, beside, features })
    }

    /// What there is of an entity at an instant.
    fn read<D: Definitions + Serving>(
        &self,
        entity: &Entity,
        machines: &mut Machines<'_, D>,
        ticks: bool,
    ) -> Option<Values> {
        let (id, now_ms) = (&entity.id, entity.now_ms());
        match &entity.whose {
            Whose::User => machines.read(Key::User, id, &self.names, now_ms, ticks),
            Whose::Session => machines.read(Key::Session, id, &self.names, now_ms, ticks),
            Whose::Field(field) => machines.read_field(field, id, &self.names, now_ms),
        }
    }

    /// The answer from files, and what came of all events.
    ///
    /// # Errors
    /// A file can't be read, or the output not written.
    pub fn of_files(
        mut self,
        arrivals: &mut Arrivals,
        intake: &mut Intake,
        config: Config,
        table: &mut Table,
    ) -> Result<Counters, Failure> {
        let places = self.places();
        let mut entities = self.entities.take();
        let definitions = FeaturesAlone(self.assembly);
        let mut machines = Machines::new(config, &definitions);
        let mut asked = next(&mut entities)?;
        let mut is_assumed = false;
        while let Some(item) = arrivals.next_item()? {
            while let Some(entity) = asked.take_if(|entity| entity.at_us < item.at_us && !self.leak) {
                table.row(&self.answer(&entity, &mut machines, is_assumed, &places))?;
                asked = next(&mut entities)?;
            }
            is_assumed |= item.tag == 2;
            for event in intake.events(&item, arrivals)? {
                let event_id = event.event_id.0.clone();
                let Some(took) = machines.event(event, item.at_us.div_euclid(1000)) else { continue };
                if entities.is_none()
                    && let Some((id, now_us)) = self.follows(&took.shopper, took.seam).map(|id| (id, item.at_us))
                {
                    let read = machines.read(self.key, &id, &self.names, now_us.div_euclid(1000), false);
                    let mut row = self.row(&Entity::at(self.key.into(), &id, now_us), now_us, read, &places);
                    (row.event_id, row.is_assumed) = (Some(event_id), is_assumed);
                    table.row(&row)?;
                }
            }
            while let Some(entity) = asked.take_if(|entity| entity.at_us < item.at_us) {
                // Reached with the seeded fault alone: the event from later is in.
                table.row(&self.answer(&entity, &mut machines, is_assumed, &places))?;
                asked = next(&mut entities)?;
            }
        }
        while let Some(entity) = asked {
            table.row(&self.answer(&entity, &mut machines, is_assumed, &places))?;
            asked = next(&mut entities)?;
        }
        Ok(machines.counters())
    }

    fn answer(
        &self,
        entity: &Entity,
        machines: &mut Machines<'_, FeaturesAlone<'_>>,
        is_assumed: bool,
        places: &Arc<Places>,
    ) -> Features {
        let read = self.read(entity, machines, true);
        let row = self.row(entity, entity.at_us, read, places);
        Features { is_assumed, ..row }
    }

    /// Whose row follows an event: its shopper's or its session's; nobody's after a repeat or a refused one.
    fn follows(&self, shopper: &ShopperId, seam: Seam) -> Option<Str> {
        match (self.key, seam) {
            (Key::Session, Seam::Applied(session)) => Some(id_of(session)),
            (Key::User, Seam::Applied(_) | Seam::TooLate) => Some(shopper.as_str().into()),
            _ => None,
        }
    }

    /// The answer from the log of a data folder.
    ///
    /// # Errors
    /// The log can't be read, or the output not written.
    pub fn of_log(mut self, log: &Logged<'_>, config: Config, table: &mut Table) -> Result<(), Failure> {
        let places = self.places();
        match self.entities.take() {
            Some(entities) if entities.as_of => self.as_served(log, entities, config, table, &places),
            entities => self.at_instants(log, entities, config, table, &places),
        }
    }

    /// Each partition's log up to the places that live answers named.
    fn as_served(
        &self,
        log: &Logged<'_>,
        mut entities: Entities,
        config: Config,
        table: &mut Table,
        places: &Arc<Places>,
    ) -> Result<(), Failure> {
        let mut asked = entities.next_entity()?;
        let mut answers: BTreeMap<u64, Answer> = BTreeMap::new();
        while let Some((partition, _)) = asked.as_ref().and_then(|entity| entity.as_of) {
            let mut replay = log.replay(partition, config, self.assembly, self.put_in_force.is_some())?;
            while let Some(entity) = asked.take_if(|entity| entity.as_of.is_some_and(|(of, _)| of == partition)) {
                let (_, offset) = entity.as_of.unwrap_or_default();
                let is_whole = replay.run(offset + i64::from(self.leak))?;
                let now_ms = entity.now_ms();
                let (stream, definitions) = (&replay.stream, replay.definitions());
                let as_of = AsOf { partition, offset, now: now_ms };
                let is_incomplete = !is_whole || replay.lacks(now_ms);
                let (id, names) = (&entity.id, &self.names);
                let (answer, read) = match (&entity.whose, entity.part_of) {
                    (Whose::Field(field), Some((row, parts))) => {
                        if parts != config.partitions {
                            return Err(of_other_partitions(row, parts, config.partitions));
                        }
                        let answer = answers.entry(row).or_default();
                        answer.gathered.add(stream, definitions, field, id, now_ms);
                        answer.add(as_of, is_incomplete);
                        if answer.as_of.len() < parts as usize {
                            asked = entities.next_entity()?;
                            continue;
                        }
                        let Answer { gathered, as_of, is_incomplete } = answers.remove(&row).unwrap_or_default();
                        let read = gathered.values(stream, definitions, field, id, names);
                        (Answer { as_of, is_incomplete, ..Answer::default() }, read)
                    }
                    (whose, _) => {
                        let read = match whose {
                            Whose::Session => read_session(stream, definitions, id, names, now_ms),
                            _ => read_person(stream, definitions, id, names, now_ms),
                        };
                        let mut answer = Answer::default();
                        answer.add(as_of, is_incomplete);
                        (answer, read)
                    }
                };
                let at_us = answer.as_of.iter().map(|as_of| as_of.now).max().unwrap_or(now_ms) * 1000;
                let row = self.row(&entity, at_us, read, places);
                table.row(&Features { as_of: answer.as_of, is_incomplete: answer.is_incomplete, ..row })?;
                asked = entities.next_entity()?;
            }
        }
        Ok(())
    }

    /// All partitions side by side, by the stamps of their records.
    fn at_instants(
        &self,
        log: &Logged<'_>,
        mut entities: Option<Entities>,
        config: Config,
        table: &mut Table,
        places: &Arc<Places>,
    ) -> Result<(), Failure> {
        let machines = Machines::new(config, self.assembly);
        let mut machines = if self.put_in_force.is_some() { machines.following() } else { machines };
        let mut asked = next(&mut entities)?;
        let mut records = log.records()?;
        let answer = |entity: Entity, machines: &mut Machines<'_, Assembly>| {
            let now_ms = entity.now_ms();
            let read = self.read(&entity, machines, false);
            let row = self.row(&entity, entity.at_us, read, places);
            Features { is_incomplete: log.lacks(now_ms), ..row }
        };
        while let Some((partition, entry)) = records.next_record()? {
            while let Some(entity) = asked.take_if(|entity| entity.now_ms() < entry.stamp_ms && !self.leak) {
                table.row(&answer(entity, &mut machines))?;
                asked = next(&mut entities)?;
            }
            let Some(record) = log.decode(&entry) else { continue };
            let event = entities.is_none().then(|| Logged::event_of(&record)).flatten();
            let seam = machines.logged(partition, entry.offset, entry.stamp_ms, record);
            if let (Some((shopper, event_id)), Some(seam)) = (event, seam)
                && let Some(id) = self.follows(&shopper, seam)
            {
                let now_ms = entry.stamp_ms;
                let read = machines.read(self.key, &id, &self.names, now_ms, false);
                let mut row = self.row(&Entity::at(self.key.into(), &id, 0), now_ms * 1000, read, places);
                row.event_id = Some(event_id);
                row.as_of = vec![AsOf { partition: partition.0, offset: entry.offset, now: now_ms }];
                row.is_incomplete = log.lacks(now_ms);
                table.row(&row)?;
            }
        }
        while let Some(entity) = asked {
            table.row(&answer(entity, &mut machines))?;
            asked = next(&mut entities)?;
        }
        Ok(())
    }
}

/// An answer as it was served; by a field, as far as partitions have been read.
#[derive(Debug, Default)]
struct Answer {
    gathered: Gathered,
    as_of: Vec<AsOf>,
    is_incomplete: bool,
}

impl Answer {
    fn add(&mut self, as_of: AsOf, is_incomplete: bool) {
        self.as_of.push(as_of);
        self.is_incomplete |= is_incomplete;
    }
}

fn of_other_partitions(row: u64, parts: u32, partitions: u32) -> Failure {
    let what = format!("row {row}: as_of names {parts} partitions, and the log has {partitions}");
    Failure::new(what).hint("by a field, give as_of as the live answer did; is this its data folder?")
}

fn kind_of(ty: Type) -> Kind {
    match ty {
        Type::Bool => Kind::Bool,
        Type::Int => Kind::Int,
        Type::Float => Kind::Float,
        Type::Text | Type::Any | Type::Many => Kind::Text,
    }
}

fn id_of(session: SessionId) -> Str {
    session.to_string().into()
}

fn next(entities: &mut Option<Entities>) -> Result<Option<Entity>, Failure> {
    entities.as_mut().map_or(Ok(None), Entities::next_entity)
}
