//! `midsession check`: is the configuration right, and if not, where.

use super::{Failure, Global, out};
use crate::assemble::Assembly;
use crate::config::Config;
use clap::Args;
use midsession_feature::Diagnostic;
use serde_json::json;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// The configuration file, as with --config
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<std::path::PathBuf>,
    /// Checks what `demo` adds as well
    #[arg(long)]
    demo: bool,
}

/// All beside the definitions that a start would refuse; the schemas' addresses.
fn readable(config: &Config) -> Result<Vec<String>, Failure> {
    if let Some(path) = &config.geo_database {
        crate::geo::open(path).map_err(crate::geo::failure)?;
    }
    // The token of a data folder is made long enough; one from the environment may not be.
    let token = std::env::var("MIDSESSION_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
    let token = token.unwrap_or_else(|| "0".repeat(64));
    crate::app::listeners(config, &token, [0; 32]).check().map_err(Failure::new)?;
    Ok(crate::schemas::load(config)?.1)
}

pub(super) fn run(global: &Global, options: &Options) -> Result<(), Failure> {
    let global = &Global { config: options.file.clone().or(global.config.clone()), json: global.json };
    let config = match global.load() {
        Ok(config) => config,
        Err(failure) if global.json => {
            out(&json!({"ok": false, "message": failure.cause, "hint": failure.hint}).to_string());
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    let schemas = match readable(&config) {
        Ok(schemas) => schemas,
        Err(failure) => {
            if global.json {
                out(&json!({"ok": false, "message": failure.cause, "hint": failure.hint}).to_string());
            }
            return Err(failure);
        }
    };
    match Assembly::compile(&config, options.demo) {
        Ok(assembly) => {
            for suspicion in assembly.suspicions() {
                if global.json {
                    out(&told(&suspicion, json!({"level": "warning"})));
                } else {
                    eprintln!("warning: {suspicion}");
                }
            }
            if global.json {
                out(&json!({"ok": true, "features": assembly.feature_count(), "interventions": assembly.rule_names(), "schemas": schemas})
                    .to_string());
            } else {
                out(&format!(
                    "ok: {} features, {} interventions, {} schemas of your own",
                    assembly.feature_count(),
                    assembly.rule_names().len(),
                    schemas.len()
                ));
                for line in assembly.feature_lines() {
                    out(&line);
                }
            }
            Ok(())
        }
        Err(diagnostics) => {
            for diagnostic in &diagnostics {
                if global.json {
                    out(&told(diagnostic, json!({"ok": false})));
                } else {
                    eprintln!("{diagnostic}");
                }
            }
            Err(Failure::new(mistakes(diagnostics.len())))
        }
    }
}

/// A diagnostic as a line of JSON, with what it is.
fn told(diagnostic: &Diagnostic, mut line: serde_json::Value) -> String {
    let Diagnostic { file, line: number, column, message, hint } = diagnostic;
    line["file"] = json!(file);
    line["line"] = json!(number);
    line["column"] = json!(column);
    line["message"] = json!(message);
    line["hint"] = json!(hint);
    line.to_string()
}

fn mistakes(count: usize) -> String {
    format!("{count} {} in the definitions", if count == 1 { "mistake" } else { "mistakes" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_a_start_refuses_is_refused() {
        let refused = |text: &str| {
            let config = Config::parse(text, Path::new("x.toml")).expect("reads");
            readable(&config).err().map(|failure| failure.cause).unwrap_or_default()
        };
        assert_eq!(refused(""), "");
        let open = "admin_bind = \"0.0.0.0\"\n";
        assert!(refused(open).contains("admin listener would be open in clear text"), "{}", refused(open));
        let hosted = format!("{open}admin_hosts = [\"admin.example\"]\n");
        assert!(refused(&hosted).contains("Redis listener would be open"), "{}", refused(&hosted));
        assert_eq!(refused(&format!("{hosted}redis_password = \"long enough\"\n")), "");
    }

    #[test]
    fn profiles_stand_beside_one_another() {
        let compiled = |text: &str| {
            let config = Config::parse(text, Path::new("x.toml")).expect("reads");
            Assembly::compile(&config, false)
        };
        let both = compiled("profiles = [\"live-shopper\"]\n").expect("loads");
        assert_eq!(both.profiles().collect::<Vec<_>>(), ["native", "live-shopper"]);
        let lines = both.feature_lines();
        let has = |begin: &str| lines.iter().any(|line| line.starts_with(begin));
        assert!(has("user     product_view_count_5m") && has("live-shopper:user product_view_count_5m"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("cart_adds")), "what is hidden is not listed");
        let own = "[[feature]]\nname = \"f\"\nkey = [\"user\", \"product\"]\nfold = \"count\"\nwindows = [\"5m\"]\n";
        let product = compiled(own).expect("loads");
        assert_eq!(product.field_keys(), ["product"]);
        assert_eq!(product.feature_count(), compiled("").expect("loads").feature_count() + 2);
        let twice = compiled("profile = \"live-shopper\"\nprofiles = [\"live-shopper\"]\n").expect_err("twice");
        assert!(twice[0].to_string().contains("the profile `live-shopper` is loaded twice"), "{}", twice[0]);
        let nowhere = compiled("profiles = [\"nowhere.toml\"]\n").expect_err("no such file");
        assert!(nowhere[0].to_string().starts_with("x.toml:1:13: nowhere.toml can't be read"), "{}", nowhere[0]);
    }

    /// As the contract has it, beside the profile that defines the same.
    const EXAMPLE: &str = r#"profile = "native"
[[feature]]
name = "product_view_count"
key = "user"                # or "session", or a field: "product", "category", "campaign"
when = 'event.name == "product_view"'
fold = "count"              # others name what they fold: of = "product.id"
windows = ["5m", "1h", "24h"]

[[intervention]]
name = "cart_stalled"
trigger = { idle = "20s" }  # or { event = "add_to_cart" }
when = 'session.cart_value > 80.0 && session.order_count == 0'
cap = ["1 per session", "2 per 7d"]
holdout = 0.1
priority = 10
expires = "2m"
slot = "nudge"
payload = { title = "Still thinking?", action = "/cart" }
enabled = true              # and a dry run: what it would have reached in the last hour
"#;

    #[test]
    fn what_a_profile_has_may_be_written_down_again() {
        let compiled = |text: &str| {
            let config = Config::parse(text, Path::new("x.toml")).expect("reads");
            Assembly::compile(&config, false).map_err(|found| found[0].to_string())
        };
        let assembly = compiled(EXAMPLE).expect("the contract's example");
        assert_eq!(assembly.feature_count(), compiled("").expect("loads").feature_count(), "nothing is served twice");
        let filed = assembly.filed();
        let known: Vec<_> = filed.features.iter().filter(|known| known.name == "product_view_count").collect();
        assert_eq!((known.len(), known[0].versions[0].file.as_str()), (1, "native"));
        assert_eq!(assembly.rule_names(), ["cart_stalled"]);
        assert_eq!(assembly.suspicions(), []);
        for (what, other) in [
            ("fold = \"count\"", "fold = \"distinct\"\nof = \"product.id\""),
            ("product_view\"", "list_view\""),
            ("\"24h\"]", "\"24h\", \"2h\"]"),
            ("key = \"user\"", "key = [\"user\", \"product\"]"),
        ] {
            let error = compiled(&EXAMPLE.replacen(what, other, 1)).expect_err("says something else");
            assert!(error.starts_with("x.toml:3:8: `user.product_view_count_5m` is defined twice"), "{error}");
        }
        // What versions go by is the name alone.
        for more in ["key = \"user\"\nwindows = [\"15m\"]", "key = \"product\"\nwindows = [\"5m\"]"] {
            let when = "when = 'event.name == \"product_view\"'\nfold = \"count\"";
            let error = compiled(&format!("[[feature]]\nname = \"product_view_count\"\n{when}\n{more}\n"));
            let error = error.expect_err("another one of the name");
            assert!(error.starts_with("x.toml:2:8: `product_view_count` is defined twice"), "{error}");
        }
        let twice = EXAMPLE.replacen("name = \"product_view_count\"", "name = \"views\"", 1);
        let (before, after) = twice.split_once("[[intervention]]").expect("two halves");
        let feature = before.split_once('\n').expect("the profile's line").1;
        let error = compiled(&format!("{before}{feature}[[intervention]]{after}")).expect_err("twice in one file");
        assert!(error.starts_with("x.toml:10:8: `user.views_5m` is defined twice"), "{error}");
    }

    #[test]
    fn one_mistake_is_one() {
        assert_eq!([1, 2].map(mistakes), ["1 mistake in the definitions", "2 mistakes in the definitions"]);
    }

    #[test]
    fn a_rule_that_can_never_fire_is_a_mistake() {
        let mistakes = |idle: &str, cap: &str| {
            let text = format!(
                "[session]\ngap_s = 60\ngrace_s = 10\n[[intervention]]\nname = \"late\"\ntrigger = {{ idle = \"{idle}\" }}\n\
                 cap = [\"{cap}\"]\nslot = \"nudge\"\npayload = {{ title = \"x\" }}\n"
            );
            let config = Config::parse(&text, Path::new("x.toml")).expect("reads");
            let found = Assembly::compile(&config, false).err().unwrap_or_default();
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(mistakes("70s", "1 per session"), "");
        assert!(mistakes("71s", "1 per session").starts_with("x.toml:5:8: `late` can never fire"));
        assert!(mistakes("20s", "0 per session").contains("a cap takes at least 1"));
    }
}
