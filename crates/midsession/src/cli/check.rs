//! `midsession check`: is the configuration right, and if not, where.

use super::{Failure, Global, out};
use crate::assemble::Assembly;
use crate::config::Config;
use clap::Args;
use serde_json::json;

#[derive(Args, Debug)]
pub(super) struct Options {
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
    let config = match global.load() {
        Ok(config) => config,
        Err(failure) if global.json => {
            out(&json!({"ok": false, "message": failure.cause}).to_string());
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
                    let midsession_feature::Diagnostic { file, line, column, message, hint } = diagnostic;
                    out(&json!({"ok": false, "file": file, "line": line, "column": column, "message": message, "hint": hint})
                        .to_string());
                } else {
                    eprintln!("{diagnostic}");
                }
            }
            Err(Failure::new(format!("{} mistakes in the definitions", diagnostics.len())))
        }
    }
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
