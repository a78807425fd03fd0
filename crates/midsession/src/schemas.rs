//! The schemas of one's own that self-describing events are checked against, read from the files of the configuration.

use crate::config::{Config, place_of};
use midsession_collect::{SchemaError, Schemas};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The shipped schemas and those that the configuration names, with the addresses of the latter. A failure says
/// file, line and what to do.
pub fn load(config: &Config) -> Result<(Schemas, Vec<String>), String> {
    let beside = config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut schemas = Schemas::shipped();
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for named in &config.schemas {
        let path = beside.join(named);
        let mut found = Vec::new();
        let wrong = match find(&path, &mut found) {
            Err(cause) => Some(format!("{cause}; schemas takes files and folders")),
            Ok(()) if found.is_empty() => {
                Some("no schema is in this folder: they are called *.json, or by their version, 1-0-0".to_owned())
            }
            Ok(()) => None,
        };
        if let Some(what) = wrong {
            let at = config.file.as_ref().map(|file| {
                let (line, column) = place_of(&config.text, &named.display().to_string());
                format!("{}:{line}:{column}: ", file.display())
            });
            return Err(format!("{}{}: {what}", at.unwrap_or_default(), path.display()));
        }
        for file in found {
            let shown = file.display();
            let text = std::fs::read_to_string(&file).map_err(|cause| format!("{shown}: {cause}"))?;
            let address = schemas.add(&text, &file.to_string_lossy()).map_err(|SchemaError { place, message }| {
                let place = place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
                format!("{shown}{place}: {message}")
            })?;
            if let Some(other) = files.insert(address.clone(), file.clone()).filter(|other| *other != file) {
                return Err(format!("{shown}: {address} stands in {} too: keep one of them", other.display()));
            }
        }
    }
    Ok((schemas, files.into_keys().collect()))
}

/// The file itself, or the schemas in a folder and those below it, in the order of their names.
fn find(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::metadata(path)?;
        found.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        // A registry's files are called by their version.
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_version = name.split('-').count() == 3 && name.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if entry.is_dir() && !name.starts_with('.') || !entry.is_dir() && (is_version || name.ends_with(".json")) {
            find(&entry, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_collect::{Collected, Collector, Request, Settings};

    /// The fenced blocks of a page's section, in order.
    fn blocks<'t>(page: &'t str, heading: &str) -> Vec<&'t str> {
        let section = page.split(heading).nth(1).expect("the section").split("\n## ").next().unwrap_or_default();
        let fenced = section.split("```").skip(1).step_by(2);
        fenced.map(|block| block.split_once('\n').expect("a language").1).collect()
    }

    fn send(config: &Config, event: &str) -> Collected {
        let settings = Settings { limits: Default::default(), secret: [0; 32], accept_any_key: false };
        let (schemas, _) = load(config).expect("loads");
        let collector = Collector::new(config.sources.clone(), settings, schemas, None);
        let request = Request {
            method: "POST",
            path: "/com.snowplowanalytics.iglu/v1",
            query: "aid=kiosk&uid=u1",
            headers: &[],
            body: event.as_bytes(),
            peer_ip: None,
            received_at_us: 1_700_000_000_000_000,
            daily_salt: None,
        };
        collector.collect(&request, &mut || 1)
    }

    #[test]
    fn the_example_of_the_documentation_holds() {
        let page = include_str!("../../../docs/collect.md");
        let [config, schema, event] = blocks(page, "## Schemas of your own")[..] else { panic!("three blocks") };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("schemas")).expect("a folder");
        std::fs::write(folder.path().join("schemas/size_chosen.json"), schema).expect("writes");
        let file = folder.path().join("midsession.toml");
        let parsed = Config::parse(config, &file).expect("a configuration");
        assert_eq!(load(&parsed).expect("loads").1, ["iglu:com.acme/size_chosen/jsonschema/1-0-0"]);
        let kept = send(&parsed, event);
        assert_eq!((kept.events.len(), kept.rejects.len()), (1, 0), "{:?}", kept.rejects);
        assert_eq!(kept.events[0].name.as_str(), "size_chosen");
        for (event, code) in [
            (event.replace("42", "\"42\""), "schema_violation"),
            (event.replace("size_chosen", "size_choosen"), "schema_unknown"),
            (event.replace("1-0-0", "2-0-0"), "schema_unknown"),
        ] {
            let refused = send(&parsed, &event);
            assert_eq!(refused.rejects.first().map(|rejected| rejected.reject.code.as_str()), Some(code), "{event}");
        }
        // Without the schema, the strict source knows nothing of it.
        let config = Config::parse(&config.replace("schemas = [\"schemas\"]", ""), &file).expect("a configuration");
        assert_eq!(send(&config, event).rejects[0].reject.code, "schema_unknown");
    }

    #[test]
    fn a_registry_is_read_as_it_stands_and_mistakes_are_pointed_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = folder.path().join("registry/com.acme/shelf/jsonschema");
        std::fs::create_dir_all(&registry).expect("folders");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
        write("registry/com.acme/shelf/jsonschema/1-0-0", r#"{"type": "object"}"#);
        write("registry/README.md", "no schema");
        std::fs::create_dir(folder.path().join("empty")).expect("a folder");
        let loaded = |names: &str| {
            let text = format!("port = 1\nschemas = [{names}]\n");
            load(&Config::parse(&text, &folder.path().join("m.toml")).expect("parses")).map(|(_, addresses)| addresses)
        };
        assert_eq!(loaded("\"registry\""), Ok(vec!["iglu:com.acme/shelf/jsonschema/1-0-0".to_owned()]));
        write("broken.json", "{\n  \"type\": }");
        write("nobody.json", "{}");
        let own = r#""self":{"vendor":"com.acme","name":"shelf","format":"jsonschema","version":"1-0-0"}"#;
        write("wrong.json", &format!("{{{own},\"required\":1}}"));
        write("again.json", &format!("{{{own}}}"));
        for (names, expected) in [
            ("\"broken.json\"", "broken.json:2:11: not JSON"),
            ("\"nobody.json\"", "nobody.json: neither a `self` block nor its path"),
            ("\"wrong.json\"", "wrong.json: not a JSON Schema"),
            ("\"none.json\"", "m.toml:2:13: "),
            ("\"empty\"", "no schema is in this folder"),
            ("\"again.json\", \"registry\"", "1-0-0 stands in "),
        ] {
            let error = loaded(names).expect_err(names);
            assert!(error.contains(expected), "{names}: {error}");
        }
    }
}
