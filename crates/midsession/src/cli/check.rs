//! `midsession check`: is the configuration right, and if not, where.

use super::{Failure, Global, out};
use crate::assemble::Assembly;
use clap::Args;
use serde_json::json;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// Checks what `demo` adds as well
    #[arg(long)]
    demo: bool,
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
    if let Some(path) = &config.geo_database {
        crate::geo::open(path).map_err(crate::app::geo_failure)?;
    }
    let schemas = match crate::schemas::load(&config) {
        Ok((_, addresses)) => addresses,
        Err(cause) => {
            if global.json {
                out(&json!({"ok": false, "message": cause}).to_string());
            }
            return Err(Failure::new(cause));
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
