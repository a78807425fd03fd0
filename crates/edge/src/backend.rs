//! What the HTTP and Redis listeners ask of the rest of the product.
//!
//! Cut by use, so that a test can bring the part it needs: reads of features, what the console shows, the switches
//! of interventions, the context tables, the demo shop's own backend.

use midsession_collect::context::RowLimits;
use midsession_event::{ContextKind, EnrichmentMiss, Event, Str, UserId, VisitorId};
pub use midsession_feature::{Served, TextForm, Value as FeatureValue};
use serde_json::Value;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::broadcast;

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything the listeners read through.
pub trait Backend: Reads + Console + Interventions + Identities + Define + Context + Shop {}
impl<T: Reads + Console + Interventions + Identities + Define + Context + Shop> Backend for T {}

/// Online features, as of now.
pub trait Reads: Send + Sync + 'static {
    /// One answer per question, in order; `None` where nothing is known of the entity, or of the profile.
    fn features(&self, asks: Vec<Ask>) -> Answer<'_, Vec<Result<Option<Features>, Unreadable>>>;

    /// The feature profiles that are loaded; the first one owns the bare keys.
    fn profiles(&self) -> Vec<Str>;

    /// The fields that features go by, beside users and sessions, in any of the profiles.
    fn field_keys(&self) -> Vec<Str>;

    /// How many partitions hold entities. What is counted by fields is in a last one of its own.
    fn partitions(&self) -> u32;

    /// Every entity that a partition holds now (each in exactly one partition), in any order.
    fn entities(&self, partition: u32) -> Answer<'_, Result<Vec<Entity>, Unreadable>>;

    /// `Err` names what is not fresh yet, or broken.
    fn ready(&self) -> Result<(), String>;

    /// What has stopped for good, until a restart.
    fn failure(&self) -> Option<String>;

    /// What of the log was found damaged, and what to do; everything else goes on.
    fn damage(&self) -> Option<String> {
        None
    }

    /// Returns once what these shoppers said on consent holds everywhere: it is durable in the partition of each of their
    /// devices. `Err`: not yet, it goes on by itself.
    fn consented(&self, said: Vec<Consented>) -> Answer<'_, Result<(), Unreadable>>;

    /// Whether it is known who has withdrawn something: not right after a start.
    fn knows_consents(&self) -> bool {
        true
    }

    /// Of each of these (device and person), whether what is personal of them may be kept: not once they have withdrawn
    /// that.
    fn may_keep(&self, whose: Vec<Sender>) -> Answer<'_, Result<Vec<bool>, Unreadable>>;

    /// Whether the log takes events in, or why not.
    fn takes_appends(&self) -> Result<(), String>;
}

/// Why what may well be there can't be read. Not to be told as absent, and no part of it as the whole: who reads would
/// take that for the truth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Too many reads wait for a partition.
    #[error("the server has too many reads waiting; nothing is wrong with this one: try again in a moment")]
    Busy,
    /// The log is being replayed after a start.
    #[error(
        "the server is starting and replays its log; nothing is wrong with this read: try again when /ready says 200"
    )]
    Loading,
    /// A partition's owner has stopped, or the log can't be read.
    #[error("the server reads nothing until it is restarted; nothing is wrong with this read: {0}")]
    Stopped(String),
}

/// A user (or anonymous visitor) or a session whose features are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// User id or visitor id; after login the visitor id resolves to the user.
    User(Str),
    /// Our session id, or the tracker's.
    Session(Str),
    /// A value of a field: a product, a category, a campaign.
    Field {
        /// Which field.
        key: Str,
        /// Its value.
        id: Str,
    },
}

/// A question for features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of whom.
    pub entity: Entity,
    /// From which feature profile; `None` is the loaded one.
    pub profile: Option<Str>,
    /// Which features, by full name (`product_view_count_5m`); empty for all of them.
    pub names: Vec<Str>,
    /// Whether it is asked until when values are there.
    pub with_expiry: bool,
}

/// Features of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// What state they were read from: the same triple gives the same values later. One, and for a field one of each
    /// partition.
    pub as_of: Vec<AsOf>,
    /// What the question resolved to.
    pub id: Str,
    /// How values are written where they are text.
    pub text: TextForm,
    /// Values in the order of their definitions: present ones, and those that may only not be counted yet.
    pub values: Vec<Served>,
}

impl Features {
    /// The values that are there.
    pub fn present(&self) -> impl Iterator<Item = (&Served, &FeatureValue)> {
        self.values.iter().filter_map(|served| Some((served, served.value.as_ref()?)))
    }
}

/// The state a value was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AsOf {
    /// Partition of `behavior`.
    pub partition: u32,
    /// Everything below has taken effect.
    pub offset: i64,
    /// The instant the windows end at. Epoch ms.
    pub now: i64,
}

/// Who sent an event, as far as it says.
pub type Sender = (Option<VisitorId>, Option<UserId>);

/// A word on consent that is durable where it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consented {
    /// Partition of `behavior`.
    pub partition: u32,
    /// Its place there.
    pub offset: i64,
    /// By whom: the device.
    pub visitor_id: Option<VisitorId>,
    /// By whom: the person, where the event names one.
    pub user_id: Option<UserId>,
}

/// What the console shows. Rows are JSON as documented with each route.
pub trait Console: Send + Sync + 'static {
    /// Rates, counts, freshness.
    fn overview(&self) -> Answer<'_, Result<Value, Unreadable>>;

    /// `{sessions: […]}`, newest first.
    fn sessions(&self, query: SessionsQuery) -> Answer<'_, Result<Value, Unreadable>>;

    /// One session (by our id or the tracker's) with its timeline.
    fn session(&self, id: Str) -> Answer<'_, Result<Option<Value>, Unreadable>>;

    /// `{decisions: […]}`, newest first.
    fn decisions(&self, limit: usize) -> Answer<'_, Result<Value, Unreadable>>;

    /// One decision with its inputs.
    fn decision(&self, id: Str) -> Answer<'_, Result<Option<Value>, Unreadable>>;

    /// `{dead_letters: […], unreadable}`, newest first; the log is damaged where so many others stand.
    fn dead_letters(&self, limit: usize) -> Answer<'_, Value>;

    /// The bytes of a refused event, by its offset; who looks at them is put on record. `None`: no such dead letter.
    fn dead_letter_bytes(&self, offset: i64) -> Answer<'_, Result<Option<Value>, Refusal>>;

    /// Destroys the keys of what is personal of this visitor or user and of their devices: `{keys}`.
    fn destroy_keys(&self, id: Str) -> Answer<'_, Result<Value, Refusal>>;

    /// What changes from here on, one row each; the listener gathers rows into batches.
    fn live(&self) -> broadcast::Receiver<LiveRow>;
}

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionsQuery {
    /// Open and idle ones only.
    pub open: bool,
    /// At most this many.
    pub limit: usize,
    /// Text that an id must contain.
    pub text: Option<Str>,
    /// Of this source only.
    pub source: Option<Str>,
}

/// A row that changed. Shared, as every viewer gets it.
#[derive(Clone, Debug)]
pub enum LiveRow {
    /// As in the list of sessions; the last of each `session_id` counts.
    Session(Arc<Value>),
    /// As in the list of decisions; the last of each `decision_id` counts.
    Decision(Arc<Value>),
    /// As in the list of dead letters.
    DeadLetter(Arc<Value>),
}

/// The switches of interventions.
pub trait Interventions: Send + Sync + 'static {
    /// `{interventions: […], cap: […]}`.
    fn interventions(&self) -> Answer<'_, Value>;

    /// Turns switches; answers the row as it is then.
    fn change(&self, name: Str, change: Change) -> Answer<'_, Result<Value, Refusal>>;

    /// What it would have reached in the last hour: `{shoppers, fired, from_ms, to_ms}`.
    fn dry_run(&self, name: Str) -> Answer<'_, Result<Value, Refusal>>;

    /// Shows it to one's own browser.
    fn preview(&self, name: Str, visitor_id: Str) -> Answer<'_, Result<usize, Refusal>>;
}

/// Switches to turn; absent ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// On or off.
    pub enabled: Option<bool>,
    /// Decide, count, show nothing.
    pub dry_run: Option<bool>,
    /// Share of shoppers that see nothing, 0 to 1.
    pub holdout: Option<f64>,
}

/// Whom visitors are taken for.
pub trait Identities: Send + Sync + 'static {
    /// `{visitor_id, user_id, attached_since_ms, detached_at_ms}`; none of a visitor who is not known.
    fn identity(&self, visitor: Str) -> Answer<'_, Result<Option<Value>, Unreadable>>;

    /// Undoes a merge, durably: `{visitor_id, user_id, known, settled, receipt}`, with the ids as the log has them.
    fn unmerge(&self, ask: UnmergeAsk) -> Answer<'_, Result<Value, Refusal>>;
}

/// A merge to be undone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnmergeAsk {
    /// The device, by its id or as the log has it.
    pub visitor_id: Str,
    /// Whom it was taken for, by their id or as the log has it.
    pub user_id: Str,
    /// Why; it is kept as evidence.
    #[serde(default)]
    pub reason: Option<Str>,
}

/// Which definition: of a feature, or of an intervention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionOf {
    /// An intervention.
    pub is_rule: bool,
    /// Its name.
    pub name: Str,
    /// Which version, where one is meant.
    pub version: Option<i64>,
}

/// Definitions that change while the server runs. An answer comes when a change is durable in every partition.
pub trait Define: Send + Sync + 'static {
    /// `{revision, definitions: [{kind, name, version, state, put_at_ms, text, …}]}`, of a feature with `served, looks_back,
    /// since_ms, whole_at_ms, backfill?, fault?`, of an intervention with `words`; of one name, or of all.
    fn definitions(&self, of: Option<DefinitionOf>) -> Answer<'_, Result<Value, Refusal>>;

    /// Puts what a file defines: new names are live at once, changed ones wait beside the live ones.
    fn put_definitions(&self, file: WrittenFile) -> Answer<'_, Result<Value, Undefined>>;

    /// A version that waits is the live one from now on: the newest, unless one is named.
    fn promote_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>>;

    /// A version ends, or all of them.
    fn remove_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>>;
}

/// A file of definitions as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// What messages call it.
    pub name: Str,
    /// TOML.
    pub text: String,
    /// The one definition that is to stand in it.
    pub only: Option<DefinitionOf>,
}

/// Why no definition was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// It can't be done now, or not at all.
    Refused(Refusal),
    /// What it would come to has mistakes.
    Mistakes(Vec<midsession_feature::Diagnostic>),
}

impl From<Refusal> for Undefined {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The tables that events are joined with on their way to the log.
pub trait Context: Send + Sync + 'static {
    /// Joins events with what the tables know; answers the misses that are to be told.
    fn enrich(&self, events: &mut [Event], now_ms: i64) -> Vec<EnrichmentMiss>;

    /// Bounds of a row that is put.
    fn row_limits(&self) -> RowLimits;

    /// Takes out of rows what is personal: the names of the columns that were left out.
    fn leave_out(&self, rows: &mut [midsession_event::Context]) -> BTreeSet<Str>;

    /// Puts rows in force, durably. For each its version; none where its table is full.
    fn put(&self, rows: Vec<midsession_event::Context>) -> Answer<'_, Result<Vec<Option<i64>>, Refusal>>;

    /// Takes a row out, durably; the version of its end, none where there was no such row.
    fn remove(&self, kind: ContextKind, id: Str) -> Answer<'_, Result<Option<i64>, Refusal>>;

    /// A row: `{kind, id, version, at, age_ms, stale, values}`.
    fn row(&self, kind: ContextKind, id: &str) -> Option<Value>;

    /// `{tables: […], misses: […]}`.
    fn tables(&self) -> Value;
}

/// The demo shop's own backend. `None` where no shop is served.
pub trait Shop: Send + Sync + 'static {
    /// `{write_key, currency, console_url}`.
    fn config(&self) -> Option<Value>;

    /// Places an order: `{cart_id, items, code?, visitor_id?}` → `{order_id, total, discount, currency}`.
    fn checkout(&self, order: Value) -> Answer<'_, Result<Value, Refusal>>;

    /// Checks a coupon without using it up: `{code, visitor_id?}` → `{percent}`.
    fn coupon(&self, coupon: Value) -> Answer<'_, Result<Value, Refusal>>;
}

/// Why something was not done; answered as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status, 4xx or 5xx.
    pub status: u16,
    /// Stable code.
    pub code: Str,
    /// For people: what is wrong and what to do.
    pub message: Str,
}

impl Refusal {
    /// A refusal with its status, code and message.
    pub fn new(status: u16, code: &str, message: impl AsRef<str>) -> Self {
        Self { status, code: code.into(), message: message.as_ref().into() }
    }
}
