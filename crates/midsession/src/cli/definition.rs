//! `midsession definition`: features and interventions of a running server, changed without a restart.

use super::admin::{Admin, Server};
use super::{Failure, Global, admin, out};
use bytes::Bytes;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Puts what a file defines: new ones are live at once, changed ones wait as NAME@VERSION beside the live ones
    #[command(
        after_help = "The file has [[feature]] and [[intervention]] tables alone.\n\nExamples:\n  midsession definition put sale.toml\n  midsession definition put sale.toml --admin 127.0.0.1:8081 --data /var/lib/midsession"
    )]
    Put {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        server: Server,
    },
    /// Makes a version that waits the live one: the newest, or NAME@VERSION
    #[command(
        after_help = "Examples:\n  midsession definition promote sale_view_count\n  midsession definition promote sale_view_count@3\n  midsession definition promote intervention/cart_reminder"
    )]
    Promote {
        /// Which: NAME or NAME@VERSION of a feature, intervention/NAME of an intervention
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Ends a definition with all of its versions, or the version NAME@VERSION alone
    #[command(
        after_help = "Examples:\n  midsession definition remove sale_view_count\n  midsession definition remove sale_view_count@2\n  midsession definition remove intervention/cart_reminder"
    )]
    Remove {
        /// Which: NAME or NAME@VERSION of a feature, intervention/NAME of an intervention
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Every version with its state, and since when it counts
    #[command(after_help = "Examples:\n  midsession definition list\n  midsession definition list --json")]
    List {
        #[command(flatten)]
        server: Server,
    },
}

pub(super) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Put { file, server } => {
            let text = std::fs::read(&file).map_err(|cause| Failure::new(format!("{}: {cause}", file.display())))?;
            let name = escaped(&file.display().to_string());
            ask(global, server, "POST", &format!("/v1/definitions?file={name}"), text.into())
        }
        Command::Promote { name, server } => {
            let (name, version) = versioned(&name)?;
            ask(global, server, "POST", &format!("/v1/definitions/{name}/promote{version}"), Bytes::new())
        }
        Command::Remove { name, server } => {
            let (name, version) = versioned(&name)?;
            ask(global, server, "DELETE", &format!("/v1/definitions/{name}{version}"), Bytes::new())
        }
        Command::List { server } => ask(global, server, "GET", "/v1/definitions", Bytes::new()),
    }
}

/// `NAME` or `NAME@VERSION`, with the kind of definition before it unless it is a feature, as a path and a query.
fn versioned(name: &str) -> Result<(String, String), Failure> {
    let (kind, name) = match name.split_once('/') {
        Some((kind @ ("feature" | "intervention"), name)) => (kind, name),
        Some((kind, _)) => {
            let hint = "like sale_view_count, or intervention/cart_reminder";
            return Err(Failure::usage(format!("there are no definitions of kind `{kind}`")).hint(hint));
        }
        None => ("feature", name),
    };
    let path = |name: &str| format!("{kind}/{}", escaped(name));
    let Some((name, version)) = name.split_once('@') else { return Ok((path(name), String::new())) };
    let version: u32 = version.parse().map_err(|_| {
        Failure::usage(format!("`{version}` is no version")).hint("like sale_view_count@2; `definition list` has them")
    })?;
    Ok((path(name), format!("?version={version}")))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn ask(global: &Global, server: Server, method: &str, path: &str, body: Bytes) -> Result<(), Failure> {
    let answer = match Admin::of(global, server)?.ask_or(method, path, "application/toml", body)? {
        Ok(answer) => answer,
        Err((status, problem)) => return Err(refused(global, status, &problem)),
    };
    let rows = answer["definitions"].as_array().cloned().unwrap_or_default();
    if global.json {
        if rows.is_empty() {
            out(&answer.to_string());
        }
        rows.iter().for_each(|row| out(&row.to_string()));
        return Ok(());
    }
    if answer["changed"] == false {
        out("it is so already");
    }
    if rows.is_empty() {
        out(&format!("done, as change {}", answer["revision"]));
        return Ok(());
    }
    out(&format!("{:<32} {:<8} {:<78} served as", "definition", "state", "looks back"));
    rows.iter().for_each(|row| out(&line(row)));
    for fault in answer["not_taken_up"].as_array().into_iter().flatten() {
        eprintln!("what was edited in the files is not in force: {}", told(fault));
    }
    Ok(())
}

/// What is wrong, place by place, as `check` says it.
fn refused(global: &Global, status: u16, problem: &Value) -> Failure {
    let mistakes = problem["mistakes"].as_array().cloned().unwrap_or_default();
    if mistakes.is_empty() {
        return admin::refused(status, problem);
    }
    for mistake in &mistakes {
        if global.json {
            out(&mistake.to_string());
            continue;
        }
        eprintln!("{}", told(mistake));
        if let Some(hint) = mistake["hint"].as_str() {
            eprintln!("  hint: {hint}");
        }
    }
    let mistakes = if mistakes.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    Failure::new(format!("{mistakes} in the definitions; nothing is changed"))
}

/// What is wrong, and where.
fn told(mistake: &Value) -> String {
    let text = |field: &str| mistake[field].as_str().unwrap_or_default();
    format!("{}:{}:{}: {}", text("file"), mistake["line"], mistake["column"], text("message"))
}

fn line(row: &Value) -> String {
    let name = format!("{}@{}", row["name"].as_str().unwrap_or_default(), row["version"]);
    let at = |field: &str| row[field].as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let since = at("since_ms");
    let backfill =
        row["backfill"].as_f64().map(|share| format!(", backfill {:.0} %", 100.0 * share)).unwrap_or_default();
    if row["state"] == "broken" {
        let name = if row["kind"] == "intervention" { format!("intervention/{name}") } else { name };
        return format!("{name:<32} broken   {}", told(&row["fault"]));
    }
    if row["kind"] == "intervention" {
        let words = row["words"].as_str().unwrap_or("asks nobody while it waits");
        return format!(
            "{:<32} {:<8} {words}",
            format!("intervention/{name}"),
            row["state"].as_str().unwrap_or_default()
        );
    }
    let looks_back = match (row["looks_back"].as_str(), since) {
        (Some("exactly"), _) => "looks back exactly".to_owned(),
        (Some("from_first_event"), None) => "counts from the shopper's first event on".to_owned(),
        (Some(_), None) => "counts since the beginning".to_owned(),
        (Some(_), Some(since)) => match at("whole_at_ms").filter(|whole| *whole > Timestamp::now()) {
            Some(whole) => format!("counts from {since} on, whole at {whole}{backfill}"),
            None => format!("counts from {since} on{backfill}"),
        },
        (None, _) => "can't be read by this version".to_owned(),
    };
    let served = row["served"].as_array().into_iter().flatten();
    let served: Vec<String> = served
        .map(|one| format!("{}.{}", one["key"].as_str().unwrap_or_default(), one["name"].as_str().unwrap_or_default()))
        .collect();
    format!("{name:<32} {:<8} {looks_back:<78} {}", row["state"].as_str().unwrap_or_default(), served.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_carry_its_version() {
        let read = |name: &str| versioned(name).map_err(|failure| failure.cause);
        assert_eq!(read("views"), Ok(("feature/views".into(), String::new())));
        assert_eq!(read("views@12"), Ok(("feature/views".into(), "?version=12".into())));
        assert_eq!(read("intervention/chat@2"), Ok(("intervention/chat".into(), "?version=2".into())));
        assert_eq!(read("vi ews"), Ok(("feature/vi%20ews".into(), String::new())));
        assert!(read("metric/views").is_err_and(|cause| cause.contains("kind `metric`")));
        assert!(read("views@new").is_err_and(|cause| cause.contains("`new` is no version")));
    }
}
