//! Definitions that change while the server runs: planned, checked, put on every partition's log in one unit, and answered
//! when they are in force.

pub mod fill;
mod first;
mod past;
pub mod plan;
mod rows;
mod start;
mod watch;

use crate::app::Inner;
use crate::assemble::{Assembly, Written};
use crate::driver::Seen;
use midsession_edge::{DefinitionOf, Refusal, Undefined, WrittenFile};
use midsession_event::{DefinitionChange, PartitionId, Str, Topic};
use midsession_feature::{Diagnostic, Document, tables_in};
use midsession_machine::{Defined, Kind};
use midsession_observe::Metric;
use parking_lot::{Mutex, RwLock};
use plan::{Plan, Unplanned};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) use first::first_in_force;
pub(crate) use start::{begin, fill_up, take_up};

/// How long an answer waits for the partitions to have read what is durable.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One change at a time.
#[derive(Debug, Default)]
pub(crate) struct Definer {
    at_work: tokio::sync::Mutex<()>,
    latest: RwLock<Option<Arc<Assembly>>>,
    /// The version that the past is being counted in for, and how far that is.
    filling: Mutex<Option<(Str, i64, f64)>>,
    /// Versions with too much of a past to count in.
    given_up: Mutex<Vec<(Str, i64)>>,
    /// What was edited in the files before this start is in force.
    taken_up: AtomicBool,
    /// Why it is not.
    not_taken_up: Mutex<Vec<Diagnostic>>,
    /// Something else is in force.
    changed: tokio::sync::Notify,
}

impl Definer {
    /// Whether the definitions of this start answer, and not those of the one before.
    pub(crate) fn has_taken_up(&self) -> bool {
        self.taken_up.load(Ordering::Acquire)
    }
}

/// What is in force, in words for people.
struct Now {
    defined: Defined,
    assembly: Arc<Assembly>,
}

impl Inner {
    /// What is in force now, the same in every partition.
    async fn in_force(&self) -> Result<Now, Refusal> {
        let until = Instant::now() + IN_FORCE_WITHIN;
        loop {
            let answers = self.driver.read_all(|seen: Seen<'_, Assembly>| seen.stream.defined().revision).await;
            let revisions: Vec<i64> = answers.into_iter().collect::<Result<_, _>>().map_err(unreadable)?;
            if revisions.windows(2).all(|two| two[0] == two[1]) {
                break;
            }
            if Instant::now() > until {
                let what = format!("a change is on its way through the partitions, which are at {revisions:?}");
                return Err(Refusal::new(503, "change_under_way", format!("{what}; try again in a moment")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let read = |seen: Seen<'_, Assembly>| (seen.stream.defined().clone(), Arc::clone(seen.definitions));
        let (defined, assembly) = self.driver.read(PartitionId(0), read).await.map_err(unreadable)?;
        Ok(Now { defined, assembly })
    }

    /// Every version of every definition, with its state.
    pub(crate) async fn definitions(&self) -> Result<Value, Refusal> {
        let now = self.in_force().await?;
        let rows = self.with_progress(&now, rows::all(&now.defined, &now.assembly));
        let mut told = json!({"revision": now.defined.revision, "definitions": rows});
        let not_taken_up: Vec<Value> = self.definer.not_taken_up.lock().iter().map(|fault| json!(fault)).collect();
        if !not_taken_up.is_empty() {
            told["not_taken_up"] = not_taken_up.into();
        }
        Ok(told)
    }

    /// The versions of one name.
    pub(crate) async fn definition(&self, of: DefinitionOf) -> Result<Value, Refusal> {
        let now = self.in_force().await?;
        let (kind, name) = (kind_of(of.is_rule), of.name);
        match rows::of(&now.defined, &now.assembly, kind, &name) {
            rows if rows.is_empty() => Err(unknown(&format!("no {} `{name}` is defined", kind.name()))),
            rows => Ok(json!({"revision": now.defined.revision, "definitions": self.with_progress(&now, rows)})),
        }
    }

    /// How far the past has been counted in, where it is being or is going to be.
    fn with_progress(&self, now: &Now, mut rows: Vec<Value>) -> Vec<Value> {
        let mut row_of = |name: &Str, version: i64, progress: f64| {
            let is_it = |row: &&mut Value| {
                row["kind"] == "feature" && row["name"] == name.as_str() && row["version"] == version
            };
            rows.iter_mut().find(is_it).into_iter().for_each(|row| row["backfill"] = json!(progress));
        };
        let given_up = self.definer.given_up.lock().clone();
        // A log that can't be read is told where it is to be counted in.
        let owed = fill::owed(&now.defined, &now.assembly, self.log.as_ref(), &given_up).unwrap_or_default();
        owed.iter().for_each(|owed| row_of(&owed.of.0, owed.of.1, 0.0));
        if let Some((name, version, progress)) = self.definer.filling.lock().as_ref() {
            row_of(name, *version, *progress);
        }
        rows
    }

    /// Puts what a file defines: new ones live at once, changed ones beside those that are live.
    pub(crate) async fn put_definitions(&self, file: WrittenFile) -> Result<Value, Undefined> {
        let written = written_in(&file)?;
        let _at_work = self.definer.at_work.lock().await;
        let now = self.in_force().await?;
        let plan = plan::put(&now.defined, &written).map_err(refused)?;
        self.change(now, plan, Some(&file)).await
    }

    /// The version that waits is live from now on.
    pub(crate) async fn promote_definition(&self, of: DefinitionOf) -> Result<Value, Undefined> {
        let _at_work = self.definer.at_work.lock().await;
        let now = self.in_force().await?;
        let plan = plan::promote(&now.defined, kind_of(of.is_rule), &of.name, of.version).map_err(refused)?;
        self.change(now, plan, None).await
    }

    /// A version ends, or all of them.
    pub(crate) async fn remove_definition(&self, of: DefinitionOf) -> Result<Value, Undefined> {
        let _at_work = self.definer.at_work.lock().await;
        let now = self.in_force().await?;
        let plan = plan::remove(&now.defined, kind_of(of.is_rule), &of.name, of.version).map_err(refused)?;
        self.change(now, plan, None).await
    }

    /// Checks what a plan comes to, makes it durable, and returns once it is in force everywhere.
    async fn change(&self, now: Now, plan: Plan, file: Option<&WrittenFile>) -> Result<Value, Undefined> {
        let before = now.defined;
        let at_ms = self.now_ms();
        let change = DefinitionChange { revision: before.revision + 1, at_ms, edits: plan.edits };
        let versions = plan.versions;
        if change.edits.is_empty() {
            return Ok(told(&before, &now.assembly, &versions, false));
        }
        let mut after = before.clone();
        after.apply(&change, at_ms);
        let written = Written {
            label: file.map(|file| file.name.to_string()).unwrap_or_default(),
            text: file.map(|file| file.text.clone()).unwrap_or_default(),
            versions: if file.is_some() { versions.clone() } else { Vec::new() },
        };
        let (assembly, compiled) = (now.assembly, after.clone());
        let checked = tokio::task::spawn_blocking(move || assembly.check(&compiled, &written)).await;
        checked.map_err(|_| broken("the check broke off; the server's log says why"))?.map_err(Undefined::Mistakes)?;
        self.append(&change, &before, &after).await?;
        for edit in &change.edits {
            self.observe.metrics.add_by(Metric::DefinitionChanges, rows::what(edit.what), 1);
        }
        self.definer.changed.notify_one();
        let Now { defined, assembly } = self.reads_all(change.revision).await?;
        for rule in plan::ended(&before, &change) {
            self.world.end_others(&rule, assembly.rule(&rule).map(|rule| rule.version.as_str()));
        }
        Ok(told(&defined, &assembly, &versions, true))
    }

    /// The definitions in force, once all partitions agree on them.
    pub(crate) async fn assembly_in_force(&self) -> Arc<Assembly> {
        loop {
            match self.in_force().await {
                Ok(now) => return now.assembly,
                Err(_) if self.failure().is_some() => return self.latest(),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn append(&self, change: &DefinitionChange, before: &Defined, after: &Defined) -> Result<(), Refusal> {
        let unit = plan::unit(change, before, after, self.log.partitions(Topic::Behavior));
        let unit = unit.map_err(|error| broken(&error.to_string()))?;
        crate::records::append(self.log.as_ref(), unit).await.map_err(|cause| {
            Refusal::new(503, "log_unavailable", format!("{cause}; nothing is changed: try again in a moment"))
        })
    }

    /// Returns what is in force once every partition has read the change.
    async fn reads_all(&self, revision: i64) -> Result<Now, Refusal> {
        let until = Instant::now() + IN_FORCE_WITHIN;
        loop {
            let now = self.in_force().await?;
            if now.defined.revision >= revision || Instant::now() > until {
                self.settled(&now);
                self.watch_definitions(&now).await;
                return Ok(now);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// These are in force from now on.
    fn settled(&self, now: &Now) {
        let all = || [Kind::Feature, Kind::Intervention].into_iter().flat_map(|kind| now.defined.versions(kind));
        let of = |is_live: bool| all().filter(|(_, version)| version.is_live == is_live).count() as i64;
        for (state, is_live) in [("live", true), ("pending", false)] {
            self.observe.metrics.set_by(Metric::Definitions, state, of(is_live));
        }
        let broken = all().filter(|(known, version)| now.assembly.left_out(known, version).is_some()).count();
        self.observe.metrics.set_by(Metric::Definitions, "broken", broken as i64);
        *self.definer.latest.write() = Some(Arc::clone(&now.assembly));
    }

    /// The definitions that answer now; before all partitions have caught up, those of this start.
    pub(crate) fn latest(&self) -> Arc<Assembly> {
        self.definer.latest.read().as_ref().map_or_else(|| Arc::clone(&self.assembly), Arc::clone)
    }
}

fn told(defined: &Defined, assembly: &Assembly, versions: &[(Kind, Str, i64)], changed: bool) -> Value {
    let rows = rows::all(defined, assembly);
    let is_it = |row: &Value, (kind, name, version): &(Kind, Str, i64)| {
        row["kind"] == kind.name() && row["name"] == name.as_str() && row["version"] == *version
    };
    let meant = |row: &Value| versions.iter().any(|one| is_it(row, one));
    let rows: Vec<Value> = rows.into_iter().filter(meant).collect();
    json!({"revision": defined.revision, "changed": changed, "definitions": rows})
}

fn kind_of(is_rule: bool) -> Kind {
    if is_rule { Kind::Intervention } else { Kind::Feature }
}

/// What a file that was sent defines: nothing else stands in it, and each is there once.
fn written_in(file: &WrittenFile) -> Result<Vec<(Kind, Str, Str)>, Undefined> {
    let mut document = Document::new(&file.name, &file.text);
    let root = document.parse();
    let kinds = match &file.only {
        Some(only) => vec![kind_of(only.is_rule)],
        None => vec![Kind::Feature, Kind::Intervention],
    };
    for (key, _) in root.iter().filter(|(key, _)| kinds.iter().all(|kind| kind.name() != key.get_ref())) {
        let tables: Vec<String> = kinds.iter().map(|kind| format!("[[{}]]", kind.name())).collect();
        let hint = Some(format!("put {} tables alone; the rest is read from files at the start", tables.join(" and ")));
        document.fault(key.span(), format!("`{}` can't be changed while running", key.get_ref()), hint);
    }
    let mut names: Vec<(Kind, toml::Spanned<String>)> = Vec::new();
    if kinds.contains(&Kind::Feature) {
        let read = document.tables::<midsession_feature::definition::Definition>(&root, "feature");
        names.extend(read.into_iter().map(|one| (Kind::Feature, one.into_inner().name)));
    }
    if kinds.contains(&Kind::Intervention) {
        let read = document.tables::<Named>(&root, "intervention");
        names.extend(read.into_iter().map(|one| (Kind::Intervention, one.into_inner().name)));
    }
    for (number, (kind, name)) in names.iter().enumerate() {
        if names[..number].iter().any(|(of, known)| of == kind && known.get_ref() == name.get_ref()) {
            let message = format!("`{}` stands here twice", name.get_ref());
            document.fault(name.span(), message, Some("leave one of them out".into()));
        }
        if let Some(only) = file.only.as_ref().filter(|only| only.name != name.get_ref().as_str()) {
            let message = format!("`{}` was to be put, this is `{}`", only.name, name.get_ref());
            document.fault(name.span(), message, Some("ask for the name that stands in the definition".into()));
        }
    }
    if names.is_empty() && document.faults() == 0 {
        let what = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
        let hint = Some(format!("begin with [[{}]]", kinds[0].name()));
        document.fault(0..0, format!("no {what} is defined here"), hint);
    }
    let of_kind = |kind: &Kind| {
        tables_in(&file.text, kind.name()).into_iter().map(|(name, text)| (*kind, name, text)).collect::<Vec<_>>()
    };
    let written: Vec<(Kind, Str, Str)> = kinds.iter().flat_map(of_kind).collect();
    if let Some((_, name, _)) = written.iter().find(|(_, _, text)| text.len() > plan::TEXT_BYTES_MAX) {
        document.fault(0..0, format!("`{name}` is longer than {} bytes", plan::TEXT_BYTES_MAX), None);
    }
    let faults: Vec<Diagnostic> = document.into_found();
    if faults.is_empty() { Ok(written) } else { Err(Undefined::Mistakes(faults)) }
}

/// What the check of all definitions looks at more closely.
#[derive(serde::Deserialize)]
struct Named {
    name: toml::Spanned<String>,
}

/// A read that is to be tried again, as an answer to who wants to change something.
pub(crate) fn unreadable(cause: midsession_edge::Unreadable) -> Refusal {
    let code = match cause {
        midsession_edge::Unreadable::Busy => "busy",
        midsession_edge::Unreadable::Loading => "loading",
        midsession_edge::Unreadable::Stopped(_) => "stopped",
    };
    Refusal::new(503, code, cause.to_string())
}

fn unknown(what: &str) -> Refusal {
    Refusal::new(404, "definition_unknown", what)
}

fn broken(what: &str) -> Refusal {
    Refusal::new(500, "internal", what)
}

fn refused(cause: Unplanned) -> Undefined {
    Undefined::Refused(match cause {
        Unplanned::Unknown(what) => unknown(&what),
        Unplanned::TooMany(what) => Refusal::new(409, "definitions_full", what),
    })
}
