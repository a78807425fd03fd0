//! The definition files of a configuration, read once at the start: built in, beside the configuration, and itself.

use crate::config::Config;
use crate::in_force::Listing;
use midsession_event::{Str, hash64};
use midsession_feature::{Diagnostic, Listed, features_of, tables_in};
use midsession_machine::{Defined, Kind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A definition file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// What the configuration calls it; [`OWN`] is itself.
    pub key: Str,
    /// What messages call it.
    pub label: String,
    pub text: String,
}

/// What the configuration file is called as a definition file.
const OWN: &str = "(configuration)";

/// Everything that definitions are compiled from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub config: Config,
    /// Of the first profile, which owns the bare keys.
    pub files: Vec<Source>,
    /// One for each further profile.
    pub others: Vec<Source>,
    /// What the files define, read once: every partition begins with it.
    initial: OnceLock<Defined>,
}

impl Sources {
    pub(crate) fn read(config: &Config, demo: bool) -> Result<Self, Vec<Diagnostic>> {
        let files = files(config, demo)?;
        let others = config.profiles.iter().map(|wanted| file(config, wanted)).collect::<Result<_, _>>()?;
        Ok(Self { config: config.clone(), files, others, initial: OnceLock::new() })
    }

    /// What the files of the first profile define, as it was written.
    pub(crate) fn filed(&self) -> Listing {
        let listed = |(source, name, text): (&Source, Str, Str)| Listed {
            name,
            version: None,
            file: source.label.as_str().into(),
            label: source.label.as_str().into(),
            text,
        };
        Listing { features: self.features().map(listed).collect(), rules: Some(self.rules().map(listed).collect()) }
    }

    /// Likewise, as what there is before any change.
    pub(crate) fn initial(&self) -> Defined {
        let known = |(source, name, text): (&Source, Str, Str)| {
            let filed = filed_hash(&text);
            (name, text, source.key.clone(), filed)
        };
        let read = || Defined::initial(self.features().map(known)).with(Kind::Intervention, self.rules().map(known));
        self.initial.get_or_init(read).clone()
    }

    fn rules(&self) -> impl Iterator<Item = (&Source, Str, Str)> {
        self.files.iter().filter(|_| !self.config.is_without_rules).flat_map(|source| {
            let found = tables_in(&source.text, Kind::Intervention.name()).into_iter();
            found.map(move |(name, text)| (source, name, text))
        })
    }

    fn features(&self) -> impl Iterator<Item = (&Source, Str, Str)> {
        let found = features_of(self.files.iter().map(|source| source.text.as_str()));
        found.into_iter().filter_map(|(file, name, text)| Some((self.files.get(file)?, name, text)))
    }

    /// What is probably not meant as it stands, file by file.
    pub(crate) fn suspicions(&self) -> Vec<Diagnostic> {
        let all = self.files.iter().chain(&self.others);
        all.flat_map(|source| crate::suspect::suspicions(&source.label, &source.text)).collect()
    }

    /// What is in force, to be compiled.
    pub(crate) fn listed(&self, defined: &Defined) -> Listing {
        let one = |(known, version): (&midsession_machine::Known, &midsession_machine::Version)| Listed {
            name: known.name.clone(),
            version: (!version.is_live).then_some(version.version),
            file: self.file_of(&version.file),
            label: format!("{}@{}", known.name, version.version).into(),
            text: version.text.clone(),
        };
        let rules = || defined.versions(Kind::Intervention).map(one).collect();
        Listing { features: defined.served().map(one).collect(), rules: defined.has_rules.then(rules) }
    }

    /// The file by whose `[served]` a version is read: none where it was put while running. One that is called otherwise by
    /// now is the first.
    fn file_of(&self, key: &str) -> Str {
        match self.label_of(key) {
            label if label.is_empty() && !key.is_empty() => {
                self.files.first().map(|source| source.label.as_str().into()).unwrap_or_default()
            }
            label => label,
        }
    }

    /// How messages call a file.
    pub(crate) fn label_of(&self, key: &str) -> Str {
        self.files
            .iter()
            .find(|source| source.key == key)
            .map(|source| source.label.as_str().into())
            .unwrap_or_default()
    }
}

/// What tells one wording of a file from another; never 0.
pub(crate) fn filed_hash(text: &str) -> i64 {
    ((hash64(&["filed", text]) >> 1) as i64).max(1)
}

/// The definition files of a configuration: the profile, what it names, and itself.
fn files(config: &Config, demo: bool) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let mut files = Vec::new();
    let mut names = vec![config.profile.clone()];
    names.extend(config.definitions.iter().cloned());
    if demo && !names.iter().any(|name| name == "demo") {
        names.push("demo".into());
    }
    for name in names {
        files.push(file(config, &name)?);
    }
    if config.has_definitions() {
        let label = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        files.push(Source { key: OWN.into(), label, text: config.text.clone() });
    }
    Ok(files)
}

/// The configuration with another first profile, for looking back: one of its own, by the name that it is served under, or
/// any other. The further ones are left without it; one of these is looked at as it is served, without what is defined beside
/// the first. Interventions, which may look at features of the first, have no part in it.
pub(crate) fn led_by(mut config: Config, wanted: &str) -> Config {
    let own = std::iter::once(&config.profile).chain(&config.profiles);
    let served = own.clone().find(|name| served_as(&config, name) == wanted).cloned();
    // A file's name is meant from here, not from beside the configuration.
    let here = std::path::absolute(wanted).ok().filter(|path| path.is_file());
    config.profile = here.map(|path| path.display().to_string()).or(served).unwrap_or_else(|| wanted.to_owned());
    let path = |name: &str| std::fs::canonicalize(beside(&config, name)).ok();
    let (first, first_path) = (served_as(&config, &config.profile), path(&config.profile));
    let is_first =
        |name: &String| served_as(&config, name) == first || path(name).is_some_and(|path| Some(path) == first_path);
    let (same, others): (Vec<String>, Vec<String>) = config.profiles.iter().cloned().partition(is_first);
    if !same.is_empty() {
        config.leave_definitions();
    }
    (config.profiles, config.is_without_rules) = (others, true);
    config
}

/// What a profile is served under: what it calls itself, else what the configuration calls it.
fn served_as(config: &Config, name: &str) -> String {
    let root = file(config, name).ok().and_then(|source| source.text.parse::<toml::Table>().ok());
    let own = root.as_ref().and_then(|root| root.get("profile")?.as_str());
    own.unwrap_or(name).to_owned()
}

/// Where a file that the configuration names is.
fn beside(config: &Config, name: &str) -> PathBuf {
    config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(name)
}

/// A definition file by its name in the configuration: built in, or beside it.
fn file(config: &Config, name: &str) -> Result<Source, Vec<Diagnostic>> {
    let built_in = match name {
        "native" => Some(midsession_feature::NATIVE),
        "live-shopper" => Some(midsession_feature::LIVE_SHOPPER),
        "demo" => Some(midsession_decide::DEMO),
        _ => None,
    };
    let key = name.into();
    if let Some((file, text)) = built_in {
        return Ok(Source { key, label: file.to_owned(), text: text.to_owned() });
    }
    let path = beside(config, name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Source { key, label: path.display().to_string(), text }),
        Err(cause) => {
            let what = format!("{} can't be read: {cause}", path.display());
            let hint = Some("built in are `native`, `live-shopper` and `demo`; other names are files".into());
            let mut said = misnamed(config, name, what);
            if !config.text.contains(&format!("\"{name}\"")) {
                said.file = path.display().to_string();
            }
            Err(vec![Diagnostic { hint, ..said }])
        }
    }
}

/// Something is wrong with a name in the configuration.
pub(crate) fn misnamed(config: &Config, name: &str, message: String) -> Diagnostic {
    let (line, column) = crate::config::place_of(&config.text, &format!("\"{name}\""));
    let file = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    Diagnostic { file, line, column, message, hint: Some("name another one in `profile` or `profiles`".into()) }
}
