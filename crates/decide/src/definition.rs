//! Interventions as they stand in a file: `[[intervention]]` tables and `[interventions]`, read with their places.

use crate::cap::Cap;
use midsession_event::{Consent, Purpose, Str, hash64};
use midsession_feature::expr::{Program, Scope};
use midsession_feature::{DURATION_HINT, Diagnostic, Document, FeatureSet, duration_text, parse_duration_ms};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Spanned;

/// Slots and names are short: they stand in keys and on the wire.
const NAME_MAX: usize = 64;
/// A payload's JSON. Bytes.
const PAYLOAD_MAX: usize = 16 * 1024;

/// An intervention, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: Str,
    /// Hash of all that its definition says.
    pub version: Str,
    /// What sets it off.
    pub trigger: Trigger,
    /// Its condition; none always holds.
    pub when: Option<Program>,
    /// The part of the condition that must stay true while it is shown; none always does.
    pub standing: Option<Program>,
    /// How often a shopper may see it; whatever they say, once per session and version of the cart.
    pub caps: Vec<Cap>,
    /// Share of shoppers that see nothing, 0 to 1.
    pub holdout: f64,
    /// The higher goes first.
    pub priority: i64,
    /// How long after the trigger it is still worth showing. ms.
    pub expires_ms: i64,
    /// Slot on the page.
    pub slot: Str,
    /// What to show.
    pub payload: serde_json::Value,
    /// A discount code to issue with it. Percent.
    pub code_percent: Option<u8>,
    /// Switched on.
    pub enabled: bool,
    /// Decide and count, show nothing.
    pub dry_run: bool,
    /// Shown only while the inventory shows stock of what it is about.
    pub requires_stock: bool,
    /// The purposes that a shopper must allow to see it; personalization is always among them.
    pub purposes: Consent,
}

/// What sets a rule off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An event of this name.
    Event(Str),
    /// This much silence. ms.
    Idle(i64),
}

/// What one or more files define.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// The interventions, in the order of the files.
    pub rules: Vec<Rule>,
    /// The caps over all of them together.
    pub caps: Vec<Cap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    #[serde(default)]
    cap: Vec<Spanned<String>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Spanned<String>,
    trigger: Spanned<TriggerTable>,
    when: Option<Spanned<String>>,
    #[serde(default)]
    cap: Vec<Spanned<String>>,
    holdout: Option<Spanned<f64>>,
    #[serde(default)]
    priority: i64,
    expires: Option<Spanned<String>>,
    slot: Spanned<String>,
    payload: Spanned<BTreeMap<String, toml::Value>>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    dry_run: bool,
    // Left out where it is not set: versions of rules from before it stay what they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    requires_stock: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    purposes: Vec<Spanned<String>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TriggerTable {
    event: Option<String>,
    idle: Option<String>,
}

fn yes() -> bool {
    true
}

impl Definitions {
    /// Adds what a file defines; other tables in it are left to others. All faults are told at once.
    pub fn add(&mut self, file: &str, text: &str, features: &FeatureSet) -> Vec<Diagnostic> {
        let mut found = self.add_rules(file, text, None, features);
        // What is wrong with the file as a whole is said once.
        let of_caps = self.add_caps(file, text);
        found.extend(of_caps.into_iter().filter(|fault| !found.contains(fault)).collect::<Vec<_>>());
        found
    }

    /// Adds the interventions of a file, or the one of this name alone.
    pub fn add_rules(&mut self, file: &str, text: &str, only: Option<&str>, features: &FeatureSet) -> Vec<Diagnostic> {
        let mut document = Document::new(file, text);
        let root = document.parse();
        for table in document.tables::<Table>(&root, "intervention") {
            if only.is_some_and(|only| table.get_ref().name.get_ref() != only) {
                continue;
            }
            let before = document.faults();
            crate::payload::check(&mut document, &root, &table.span());
            let rule = self.rule(&mut document, table.get_ref(), features);
            self.rules.extend(rule.filter(|_| document.faults() == before));
        }
        document.into_found()
    }

    /// Adds a file's caps over all interventions.
    pub fn add_caps(&mut self, file: &str, text: &str) -> Vec<Diagnostic> {
        let mut document = Document::new(file, text);
        let root = document.parse();
        if let Some(all) = root.get("interventions") {
            match All::deserialize(toml::de::ValueDeserializer::from(all.clone())) {
                Ok(all) => {
                    for cap in &all.cap {
                        self.caps.extend(cap_of(&mut document, cap));
                    }
                }
                Err(mut error) => {
                    error.set_input(None);
                    document.toml_fault(&error);
                }
            }
        }
        document.into_found()
    }

    fn rule(&self, document: &mut Document<'_>, table: &Table, features: &FeatureSet) -> Option<Rule> {
        let before = document.faults();
        let name = table.name.get_ref();
        if name.is_empty()
            || name.len() > NAME_MAX
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        {
            document.fault(
                table.name.span(),
                format!("`{name}` can't be a name"),
                Some("letters, digits, _ and -, at most 64".into()),
            );
        }
        if self.rules.iter().any(|rule| rule.name == *name) {
            document.fault(
                table.name.span(),
                format!("there is an intervention `{name}` already"),
                Some("give it a name of its own".into()),
            );
        }
        let trigger = match (&table.trigger.get_ref().event, &table.trigger.get_ref().idle) {
            (Some(event), None) => Some(Trigger::Event(event.as_str().into())),
            (None, Some(idle)) => match parse_duration_ms(idle) {
                Ok(ms) => Some(Trigger::Idle(ms)),
                Err(message) => {
                    document.fault(table.trigger.span(), message, Some(DURATION_HINT.to_owned()));
                    None
                }
            },
            _ => {
                let hint = "like `{ event = \"add_to_cart\" }` or `{ idle = \"20s\" }`";
                document.fault(table.trigger.span(), "a trigger is one event or one silence", Some(hint.into()));
                None
            }
        };
        let when = table.when.as_ref().and_then(|when| {
            let scope = Scope { features: Some(features), ..Scope::default() };
            let program =
                Program::condition(when.get_ref(), scope).map_err(|error| document.expr_fault(when, &error)).ok()?;
            if program.reads_event() && matches!(trigger, Some(Trigger::Idle(_))) {
                document.fault(
                    when.span(),
                    "in silence there is no event to look at",
                    Some("use session.* and user.*".into()),
                );
            }
            Some(program)
        });
        let caps = table.cap.iter().filter_map(|cap| cap_of(document, cap)).collect();
        let holdout = table.holdout.as_ref().map_or(0.0, |share| *share.get_ref());
        if let Some(share) = &table.holdout
            && !(0.0..=1.0).contains(&holdout)
        {
            document.fault(share.span(), format!("a holdout is a share from 0 to 1, not {holdout}"), None);
        }
        let expires_ms = match table.expires.as_ref().map(|expires| (expires, parse_duration_ms(expires.get_ref()))) {
            None => 120_000,
            Some((_, Ok(ms))) => ms,
            Some((expires, Err(message))) => {
                document.fault(expires.span(), message, Some(DURATION_HINT.to_owned()));
                0
            }
        };
        let mut purposes = Consent::NONE.with(Purpose::Personalization, true);
        for asked in &table.purposes {
            match Purpose::ALL.iter().find(|(_, name)| name == asked.get_ref()) {
                Some((purpose, _)) => purposes = purposes.with(*purpose, true),
                None => {
                    let names: Vec<_> = Purpose::ALL.iter().map(|(_, name)| *name).collect();
                    let message = format!("there is no purpose `{}`", asked.get_ref());
                    document.fault(asked.span(), message, Some(format!("one of {}", names.join(", "))));
                }
            }
        }
        let mut payload = serde_json::to_value(table.payload.get_ref()).unwrap_or_default();
        let code_percent = match payload.get("code").and_then(|code| code.get("percent")).map(serde_json::Value::as_u64)
        {
            Some(Some(percent @ 1..=100)) => u8::try_from(percent).ok(),
            Some(_) => {
                document.fault(
                    table.payload.span(),
                    "a code takes a percent from 1 to 100",
                    Some("like `code = { percent = 10 }`".into()),
                );
                None
            }
            None => None,
        };
        if let (Some(_), Some(fields)) = (code_percent, payload.as_object_mut()) {
            fields.remove("code"); // The code itself is issued with the decision.
        }
        if payload.to_string().len() > PAYLOAD_MAX {
            document.fault(table.payload.span(), format!("a payload takes at most {PAYLOAD_MAX} bytes"), None);
        }
        (document.faults() == before).then_some(())?;
        Some(Rule {
            name: name.as_str().into(),
            version: version(table),
            trigger: trigger?,
            standing: when.as_ref().and_then(Program::standing),
            when,
            caps,
            holdout,
            priority: table.priority,
            expires_ms,
            slot: table.slot.get_ref().as_str().into(),
            payload,
            code_percent,
            enabled: table.enabled,
            dry_run: table.dry_run,
            requires_stock: table.requires_stock,
            purposes,
        })
    }
}

/// The hash of all that a definition says, however it is laid out.
fn version(table: &Table) -> Str {
    let said = serde_json::to_string(table).unwrap_or_default();
    format!("{:016x}", hash64(&[&said])).into()
}

fn cap_of(document: &mut Document<'_>, cap: &Spanned<String>) -> Option<Cap> {
    Cap::parse(cap.get_ref()).map_err(|message| document.fault(cap.span(), message, None)).ok()
}

impl Rule {
    /// As people read it.
    pub fn in_words(&self) -> String {
        let trigger = match &self.trigger {
            Trigger::Event(name) => format!("When `{name}` happens"),
            Trigger::Idle(ms) => format!("When a shopper has been quiet for {}", duration_text(*ms)),
        };
        let words = |source: &str| source.replace("&&", "and").replace("||", "or");
        let when = self.when.as_ref().map(|when| format!(" and {}", words(when.source()))).unwrap_or_default();
        let caps: Vec<String> = self.caps.iter().map(Cap::in_words).collect();
        let caps = if caps.is_empty() { String::new() } else { format!(", {}", caps.join(", ")) };
        let expires = duration_text(self.expires_ms);
        let stock = if self.requires_stock { ", only while it is in stock" } else { "" };
        format!("{trigger}{when}: show it in `{}` within {expires}{caps}{stock}.", self.slot)
    }
}
