//! `midsession features` and `midsession sessions`: the past by the same code.

use super::{Failure, Global, out};
use crate::assemble::Assembly;
use crate::config::Config;
use crate::history::arrivals::{Arrivals, Report};
use crate::history::context::{PastContext, RowFile};
use crate::history::entities::{Entities, Entity, Whose};
use crate::history::features::{self, Question};
use crate::history::format::Format;
use crate::history::intake::Intake;
use crate::history::logged::Logged;
use crate::history::progress::Progress;
use crate::history::sessions;
use crate::history::sort::MEMORY_BYTES;
use crate::history::table::Table;
use clap::{Args, ValueEnum};
use midsession_collect::{Collector, Limits, Settings, Source};
use midsession_edge::AsOf;
use midsession_engine_local::{LocalSnapshots, RealDisk, View};
use midsession_event::{Str, Topic};
use midsession_feature::Key;
use midsession_ports::Log;
use midsession_stream::{Config as StreamConfig, Counters};
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const FEATURES_EXAMPLES: &str = "Examples:
  midsession features --events shop.jsonl
  midsession features --events enriched/*.tsv.gz --entities labels.csv --output training.parquet
  midsession features --data /var/lib/midsession --entities served.jsonl
  midsession features --data /var/lib/midsession --user u-4 --as-of 3,812,1795348800000";

pub(super) const SESSIONS_EXAMPLES: &str = "Examples:
  midsession sessions --events train.txt.gz
  midsession sessions --events segment/*.json.gz --output sessions.parquet
  midsession sessions --data /var/lib/midsession";

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("history").required(true).args(["events", "data"]))]
struct Input {
    /// History files, packed with gzip or not
    #[arg(long, num_args = 1.., value_name = "FILE")]
    events: Vec<PathBuf>,
    /// The log of a data folder, in place of files
    #[arg(long, value_name = "DIR", conflicts_with = "events")]
    data: Option<PathBuf>,
    /// What the files hold; without it, told by their content
    #[arg(long, value_enum, conflicts_with = "data")]
    format: Option<Format>,
    /// Whose rules apply to the files: a source of the configuration; without it the first
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    source: Option<String>,
    /// What was known beside the events: rows of a context table in a file, KIND=FILE, as `context load` takes them; a row may
    /// say from when on it held (at). May be repeated
    #[arg(long, value_name = "KIND=FILE", conflicts_with = "data")]
    context: Vec<RowFile>,
    /// The feature profile: one of the configuration's by its name, a built-in one, or a file; without it the configured first
    /// one, of a log the definitions that were in force
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Where rows go, by its name JSON lines (.jsonl) or Parquet (.parquet); without it JSON lines on stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct FeaturesOptions {
    #[command(flatten)]
    input: Input,
    /// For whom and as of when: CSV or JSON lines with user, session, or a field that features go by (product), and at (RFC
    /// 3339) or as_of; without it a row follows each event
    #[arg(long, value_name = "FILE")]
    entities: Option<PathBuf>,
    /// For one user or visitor
    #[arg(long, value_name = "ID", conflicts_with_all = ["entities", "session"])]
    user: Option<String>,
    /// For one session, by our id or the tracker's
    #[arg(long, value_name = "ID", conflicts_with = "entities")]
    session: Option<String>,
    /// Of everybody, by a value of a field that features go by
    #[arg(long, value_name = "FIELD=ID", conflicts_with_all = ["entities", "user", "session", "as_of"])]
    field: Option<String>,
    /// As of this instant (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with_all = ["entities", "as_of"])]
    at: Option<String>,
    /// As of the state that a live answer named: its as_of
    #[arg(long, value_name = "PARTITION,OFFSET,NOW", requires = "data", conflicts_with = "entities")]
    as_of: Option<String>,
    /// These features only, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    features: Vec<String>,
    /// Whose features follow each event
    #[arg(long, value_enum, default_value_t = Follow::User, conflicts_with_all = ["entities", "user", "session", "field"])]
    key: Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Follow {
    /// The user's, or the visitor's while nobody is signed in
    User,
    /// The session's
    Session,
}

#[derive(Args, Debug)]
pub(super) struct SessionsOptions {
    #[command(flatten)]
    input: Input,
}

/// What a history is read with.
struct Setup {
    config: Config,
    assembly: Assembly,
    /// Whether it can be told which definitions were in force in a folder's log.
    knows_definitions: bool,
}

impl Setup {
    fn load(global: &Global, input: &Input) -> Result<Self, Failure> {
        let mut config = global.load()?;
        if let Some(profile) = &input.profile {
            config = crate::sources::led_by(config, profile);
        }
        let assembly = Assembly::load(&config, false)?;
        Ok(Self { config, assembly, knows_definitions: true })
    }

    fn stream(&self, partitions: u32) -> StreamConfig {
        StreamConfig { cap_memory_ms: self.assembly.longest_cap_ms(), ..self.config.stream(partitions) }
    }

    /// The collector that reads files: the configured sources with their rules.
    fn collector(&self, source: Option<&str>) -> Result<Arc<Collector>, Failure> {
        let mut sources = self.config.sources.clone();
        if sources.is_empty() {
            sources.push(Source::default());
        }
        if let Some(name) = source {
            let names: Vec<String> = sources.iter().map(|source| source.name.to_string()).collect();
            sources.retain(|source| source.name.as_str() == name);
            if sources.is_empty() {
                let hint = format!("there is: {}", names.join(", "));
                return Err(Failure::usage(format!("there is no source `{name}`")).hint(hint));
            }
        }
        // Ids that a source hashes are the ones of the live path where its data folder is at hand.
        let secret = crate::privacy::ids_secret(&self.config)?.unwrap_or_default();
        let settings = Settings { limits: Limits::default(), secret, accept_any_key: true };
        let geo = self.config.geo_database.as_deref().map(crate::geo::open).transpose();
        let geo = geo.map_err(crate::geo::failure)?;
        let schemas = crate::schemas::load(&self.config)?.0;
        Ok(Arc::new(Collector::new(sources, settings, schemas, geo)))
    }

    /// What the events of files pass on their way.
    fn intake(&self, input: &Input) -> Result<Intake, Failure> {
        let context = PastContext::open(&input.context, &self.config.context, MEMORY_BYTES)?;
        Ok(Intake { collector: self.collector(input.source.as_deref())?, context })
    }

    /// A folder's log, with the session rules that it was begun with.
    fn log(&mut self, folder: &Path) -> Result<Arc<dyn Log>, Failure> {
        if !folder.exists() {
            let hint = "pass --data with the folder that the server prints at its start";
            return Err(Failure::new(format!("{} is not there", folder.display())).hint(hint));
        }
        let log: Arc<dyn Log> = Arc::new(View::open(Arc::new(RealDisk), folder)?);
        if let Some(rules) = crate::folder::known(log.as_ref())? {
            self.config.session = rules;
        }
        let snapshots = LocalSnapshots::look(Arc::new(RealDisk), folder);
        let first = crate::definitions::first_in_force(log.as_ref(), &snapshots)?;
        if let Some(defined) = first.defined {
            self.assembly.begin_with(defined);
        }
        self.knows_definitions = !first.is_unknown;
        Ok(log)
    }
}

pub(super) fn features(global: &Global, options: FeaturesOptions) -> Result<(), Failure> {
    let mut setup = Setup::load(global, &options.input)?;
    let log = options.input.data.as_deref().map(|folder| setup.log(folder)).transpose()?;
    let progress = Progress::new();
    let logged = log.as_ref().map(|log| Logged::new(log, &progress)).transpose()?;
    // Of a live server: by the definitions that its log has put in force, unless others are asked for.
    let follows = logged.as_ref().filter(|_| options.input.profile.is_none());
    if let Some(logged) = follows.filter(|_| !setup.knows_definitions) {
        eprintln!("incomplete: the first changes of definitions have gone from this log; every row says so");
        logged.lacks_definitions();
    }
    let mut names: Vec<Str> = options.features.iter().map(|name| Str::from(name.as_str())).collect();
    // Named twice it is asked for once.
    let mut known = HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    let mut question = Question {
        assembly: &setup.assembly,
        put_in_force: follows.map(|logged| logged.put_in_force(&setup.assembly)).transpose()?,
        key: if options.key == Follow::Session { Key::Session } else { Key::User },
        names,
        entities: None,
        leak: features::leaks(),
    };
    question.entities = asked(&options, &question.fields())?;
    question.check()?;
    if question.entities.as_ref().is_some_and(|entities| entities.as_of) && logged.is_none() {
        let hint = "give the data folder of the server that answered: --data DIR";
        return Err(Failure::usage("rows with as_of are answered from a log").hint(hint));
    }
    let mut table = Table::create(options.input.output.as_deref(), question.columns())?;
    if let (Some(log), Some(logged)) = (&log, &logged) {
        question.of_log(logged, setup.stream(log.partitions(Topic::Behavior)), &mut table)?;
        progress.finish();
        return told_log(global, &options.input, logged, table);
    }
    let mut intake = setup.intake(&options.input)?;
    let mut arrivals =
        Arrivals::open(&options.input.events, options.input.format, &intake.collector, MEMORY_BYTES, &progress)?;
    let came = question.of_files(&mut arrivals, &mut intake, setup.stream(setup.config.partitions), &mut table)?;
    progress.finish();
    told_files(global, &options.input, (&arrivals, came), &intake.context, table)
}

/// For whom features are asked, where that is said.
fn asked(options: &FeaturesOptions, fields: &[Str]) -> Result<Option<Entities>, Failure> {
    if let Some(path) = &options.entities {
        return Entities::open(path, fields, MEMORY_BYTES).map(Some);
    }
    let (whose, id) = match (&options.user, &options.session, &options.field) {
        (Some(id), ..) => (Whose::User, id.as_str()),
        (_, Some(id), _) => (Whose::Session, id.as_str()),
        (.., Some(field)) => by_field(field, fields)?,
        (None, None, None) if options.at.is_some() || options.as_of.is_some() => {
            let hint = "add --user ID, --session ID or --field FIELD=ID";
            return Err(Failure::usage("--at and --as-of say when, not whose").hint(hint));
        }
        (None, None, None) => return Ok(None),
    };
    let entity = match (&options.as_of, &options.at) {
        (Some(text), _) => {
            let of = |text: &str| {
                let numbers: Vec<i64> = text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
                let [partition, offset, now] = numbers[..] else { return None };
                Some(AsOf { partition: u32::try_from(partition).ok()?, offset, now })
            };
            let hint = "it is the as_of of a live answer, like 3,812,1795348800000";
            let as_of =
                of(text).ok_or_else(|| Failure::usage(format!("`{text}` is not PARTITION,OFFSET,NOW")).hint(hint))?;
            Entity::served(whose, id, as_of)
        }
        (None, Some(at)) => {
            let time: jiff::Timestamp =
                at.parse().map_err(|_| Failure::usage(format!("`{at}` is not a time like 2026-11-22T12:00:00Z")))?;
            Entity::at(whose, id, time.as_microsecond())
        }
        (None, None) => {
            let at =
                if options.field.is_some() { "add --at TIME" } else { "add --at TIME or --as-of PARTITION,OFFSET,NOW" };
            return Err(Failure::usage("as of when?").hint(at));
        }
    };
    Entities::one(&entity).map(Some)
}

/// Reads FIELD=ID.
fn by_field<'o>(text: &'o str, fields: &[Str]) -> Result<(Whose, &'o str), Failure> {
    // A property may have any sign in its name.
    let of =
        |known: &&Str| text.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let known = fields.iter().filter(of).max_by_key(|known| known.len());
    let (field, id) = match known {
        Some(known) => (known.as_str(), text[known.len()..].trim_start_matches('=')),
        None => text.split_once('=').unwrap_or((text, "")),
    };
    match known {
        Some(field) if !id.is_empty() => Ok((Whose::Field(field.clone()), id)),
        Some(field) => Err(Failure::usage(format!("which {field}?")).hint(format!("--field {field}=ID"))),
        None if fields.is_empty() => {
            let hint = "a feature goes by a field with key = \"product\": docs/features.md";
            Err(Failure::usage("no feature goes by a field").hint(hint))
        }
        None => {
            Err(Failure::usage(format!("no feature goes by `{field}`"))
                .hint(format!("some go by {}", fields.join(", "))))
        }
    }
}

pub(super) fn sessions(global: &Global, options: SessionsOptions) -> Result<(), Failure> {
    let input = &options.input;
    let mut setup = Setup::load(global, input)?;
    let log = input.data.as_deref().map(|folder| setup.log(folder)).transpose()?;
    let mut table = Table::create(input.output.as_deref(), sessions::columns())?;
    let progress = Progress::new();
    if let Some(log) = &log {
        let logged = Logged::new(log, &progress)?;
        sessions::of_log(&logged, &setup.assembly, setup.stream(log.partitions(Topic::Behavior)), &mut table)?;
        progress.finish();
        return told_log(global, input, &logged, table);
    }
    let mut intake = setup.intake(input)?;
    let mut arrivals = Arrivals::open(&input.events, input.format, &intake.collector, MEMORY_BYTES, &progress)?;
    let config = setup.stream(setup.config.partitions);
    let came = sessions::of_files(&mut arrivals, &mut intake, &setup.assembly, config, &mut table)?;
    progress.finish();
    told_files(global, input, (&arrivals, came), &intake.context, table)
}

/// Says what came of files; nothing usable at all is a failure.
fn told_files(
    global: &Global,
    input: &Input,
    (arrivals, came): (&Arrivals, Counters),
    context: &PastContext,
    table: Table,
) -> Result<(), Failure> {
    let report = arrivals.report.borrow();
    let Report { lines, events, refused, dropped, shown } = &*report;
    for line in shown {
        eprintln!("refused: {line}");
    }
    if *refused as usize > shown.len() {
        eprintln!("refused: {} more", *refused as usize - shown.len());
    }
    context.told().iter().for_each(|line| eprintln!("{line}"));
    if *events == 0 && *dropped == 0 {
        let what = format!("none of {lines} lines gave an event");
        return Err(Failure::new(what).hint("is --format the right one? the lines above say what was wrong"));
    }
    let Counters { too_late, duplicates, .. } = came;
    if too_late > 0 {
        eprintln!(
            "too late for a session: {too_late} events came in after their visit was over; they count in windows alone"
        );
    }
    let rows = table.finish()?;
    let Some(output) = &input.output else { return Ok(()) };
    let output = output.display();
    if global.json {
        let mut told = json!({"output": output.to_string(), "rows": rows, "lines": lines, "events": events,
            "too_late": too_late, "duplicates": duplicates, "refused": refused, "left_out": dropped, "files_sorted": arrivals.sorted});
        if !input.context.is_empty() {
            told["context"] = context.counts();
        }
        out(&told.to_string());
    } else {
        out(&format!(
            "{rows} rows in {output}, from {events} events in {lines} lines ({refused} refused, {dropped} left out by a rule)"
        ));
    }
    Ok(())
}

/// Says what came of a log.
fn told_log(global: &Global, input: &Input, log: &Logged<'_>, table: Table) -> Result<(), Failure> {
    if log.dead() > 0 {
        eprintln!("refused: {} records of the log can't be read", log.dead());
    }
    let rows = table.finish()?;
    let Some(output) = &input.output else { return Ok(()) };
    let output = output.display();
    if global.json {
        out(&json!({"output": output.to_string(), "rows": rows, "unreadable": log.dead()}).to_string());
    } else {
        out(&format!("{rows} rows in {output}"));
    }
    Ok(())
}
