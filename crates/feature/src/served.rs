//! `[served]`: how the features of a profile are read, and which events make a visit.

use crate::define::of_columns;
use crate::definition::Served;
use crate::entry::Takes;
use crate::session::BUILT_INS;
use crate::{DURATION_HINT, Document, TextForm, nearest, parse_duration_ms};
use midsession_event::Str;

/// How a set is read.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    /// How values are written as text.
    pub text: TextForm,
    /// A value is there for so long after its last event or change. ms.
    pub expires_ms: Option<i64>,
    /// Further suffixes of windows, and what they stand for.
    pub(crate) also: Vec<(Str, Str)>,
    /// What is known of sessions without a definition and is served; all of it when absent.
    pub(crate) built_ins: Option<Vec<String>>,
}

/// How the definitions of a file are meant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Windows hold what happened at their left edge.
    pub is_closed: bool,
    /// Amounts are numbers, whatever their currency.
    pub ignores_currency: bool,
    /// Which of the set's visits their session features are over.
    pub visit: Option<u32>,
}

/// Which events make a visit.
#[derive(Debug)]
pub(crate) struct Visit {
    /// By the dense kind.
    pub takes: Box<Takes>,
    /// Further apart than this they are in two visits. ms.
    pub gap_ms: i64,
}

/// What a file's `[served]` says; the visit, if it has one, goes to the set's.
pub(crate) fn read(document: &mut Document<'_>, served: &Served, visits: &mut Vec<Visit>) -> (Serving, Manner) {
    let (mut serving, mut manner) = (Serving::default(), Manner::default());
    if let Some(written) = &served.text {
        match TextForm::named(written.get_ref()) {
            Some(form) => serving.text = form,
            None => one_of(document, written, &["plain", "java"]),
        }
    }
    if let Some(written) = &served.expires {
        match parse_duration_ms(written.get_ref()) {
            Ok(ms) if ms <= EXPIRES_MAX_MS => serving.expires_ms = Some(ms),
            Ok(_) => document.fault(written.span(), "a value is kept for at most 600s", Some("write 600s".to_owned())),
            Err(message) => document.fault(written.span(), message, Some(DURATION_HINT.to_owned())),
        }
    }
    if let Some(written) = &served.windows {
        match written.get_ref().as_str() {
            "open" => {}
            "closed" => manner.is_closed = true,
            _ => one_of(document, written, &["open", "closed"]),
        }
    }
    if let Some(written) = &served.currencies {
        match written.get_ref().as_str() {
            "apart" => {}
            "ignored" => manner.ignores_currency = true,
            _ => one_of(document, written, &["apart", "ignored"]),
        }
    }
    if let Some(names) = &served.built_ins {
        for written in names {
            if !BUILT_INS.iter().any(|row| row.name == written.get_ref()) {
                let known: Vec<&str> = BUILT_INS.iter().map(|row| row.name).collect();
                one_of(document, written, &known);
            }
        }
        serving.built_ins = Some(names.iter().map(|name| name.get_ref().clone()).collect());
    }
    serving.also = served.also.iter().map(|(also, label)| (also.as_str().into(), label.as_str().into())).collect();
    if let Some(written) = &served.visit {
        let takes = of_columns(document, &written.when);
        match (parse_duration_ms(written.gap.get_ref()), takes) {
            (Ok(gap_ms), Some(takes)) => {
                manner.visit = Some(visits.len() as u32);
                visits.push(Visit { takes, gap_ms });
            }
            (Err(message), _) => document.fault(written.gap.span(), message, Some(DURATION_HINT.to_owned())),
            (Ok(_), None) => {}
        }
    }
    (serving, manner)
}

/// Facts are kept beyond the longest window for so long. ms.
const EXPIRES_MAX_MS: i64 = 600_000;

fn one_of(document: &mut Document<'_>, written: &toml::Spanned<String>, known: &[&str]) {
    let hint = nearest(written.get_ref(), known.iter().copied())
        .map_or_else(|| format!("known: {}", known.join(", ")), |known| format!("did you mean `{known}`?"));
    document.fault(written.span(), format!("`{}` is not known here", written.get_ref()), Some(hint));
}
