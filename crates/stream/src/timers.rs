//! What happens to a shopper by the mere passing of time: updates due, silence, idle, close.

use crate::Defect;
use crate::apply::{close, emit, view_in};
use crate::stream::Stream;
use midsession_event::SessionState;
use midsession_machine::{Definitions, Effect};

/// Timers of shoppers who were armed again or forgotten since are left until they come up; when there are more of them
/// than these and than shoppers, they go.
const STALE_FROM: usize = 1024;

impl Stream {
    /// Fires all timers due by `stamp_ms`, each at its own deadline.
    pub(crate) fn fire_due<D: Definitions>(&mut self, stamp_ms: i64, definitions: &D, out: &mut Vec<Effect>) {
        while let Some((deadline_ms, index)) = self.timers.pop_due(stamp_ms) {
            let current = self.shoppers[index as usize].as_ref().and_then(|shopper| shopper.armed_ms);
            if current != Some(deadline_ms) {
                continue; // Armed again since, or gone.
            }
            self.now_ms = self.now_ms.max(deadline_ms);
            self.keep_shopper(index);
            self.fire(index, deadline_ms, definitions, out);
            if let Some(shopper) = self.shoppers[index as usize].as_mut() {
                shopper.armed_ms = None;
            }
            self.arm_with(index, definitions.idle_thresholds_ms());
        }
        self.caps_look_back_ms = definitions.caps_look_back_ms();
        self.idle_thresholds.clear();
        self.idle_thresholds.extend_from_slice(definitions.idle_thresholds_ms());
    }

    fn fire<D: Definitions>(&mut self, index: u32, now_ms: i64, definitions: &D, out: &mut Vec<Effect>) {
        let (gap_ms, grace_ms, cadence_ms) = (self.config.gap_ms, self.config.grace_ms, self.config.cadence_ms);
        let stale = self.config.has(Defect::StaleTimer);
        // Silence first: its rules look at sessions that may close at this very instant.
        let mut asks = Vec::new();
        let here = self.shoppers[index as usize].as_ref().filter(|shopper| !self.unmerged.is_away(&shopper.id));
        if let Some(shopper) = here {
            for idle_ms in definitions.idle_thresholds_ms() {
                let is_due = shopper.last_stamp_ms.saturating_add(*idle_ms) <= now_ms || stale;
                if *idle_ms <= shopper.idle_fired_ms || !is_due {
                    continue;
                }
                let is_asked = |session: &&midsession_machine::Session| {
                    session.is_live() && !session.bot && self.is_at(&shopper.id, session.visitor.as_ref())
                };
                for session in shopper.sessions.iter().filter(is_asked) {
                    let mut view = view_in(self, shopper, session, now_ms);
                    if self.config.has(Defect::SpilledUnseen) {
                        view.facts = (&shopper.facts).into();
                    }
                    definitions.on_idle(&view, *idle_ms, &mut |ask| asks.push((session.id, ask)));
                }
            }
        }
        for (session_id, ask) in asks {
            self.candidate(index, session_id, ask, None, now_ms, out);
        }
        let Self { shoppers, currencies, counters, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return };
        for idle_ms in definitions.idle_thresholds_ms() {
            if shopper.last_stamp_ms.saturating_add(*idle_ms) <= now_ms {
                shopper.idle_fired_ms = shopper.idle_fired_ms.max(*idle_ms);
            }
        }
        for session in shopper.sessions.iter_mut().filter(|session| session.is_live()) {
            if session.ended_at_ms + gap_ms + grace_ms <= now_ms {
                close(session, counters, currencies, now_ms, out);
            } else if session.ended_at_ms + gap_ms <= now_ms && session.state == SessionState::Open {
                session.state = SessionState::Idle;
                emit(session, currencies, now_ms, out);
            } else if session.dirty && session.emitted_at_ms + cadence_ms <= now_ms {
                emit(session, currencies, now_ms, out);
            }
        }
    }

    /// Arms the shopper's next deadline, with the thresholds of the record at hand.
    pub(crate) fn arm(&mut self, index: u32) {
        let thresholds = std::mem::take(&mut self.idle_thresholds);
        self.arm_with(index, &thresholds);
        self.idle_thresholds = thresholds;
    }

    fn arm_with(&mut self, index: u32, idle_thresholds_ms: &[i64]) {
        let (gap_ms, grace_ms, cadence_ms) = (self.config.gap_ms, self.config.grace_ms, self.config.cadence_ms);
        let Self { shoppers, timers, tally, spilling, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return };
        // Whatever changes a session ends here.
        tally.update(shopper);
        if let Some(spilling) = spilling {
            spilling.count(index, shopper);
        }
        let mut next_ms = i64::MAX;
        let mut live = false;
        for session in shopper.sessions.iter().filter(|session| session.is_live()) {
            live = true;
            let life_ms = match session.state {
                SessionState::Idle => session.ended_at_ms + gap_ms + grace_ms,
                _ => session.ended_at_ms + gap_ms,
            };
            next_ms = next_ms.min(life_ms);
            if session.dirty {
                next_ms = next_ms.min(session.emitted_at_ms + cadence_ms);
            }
        }
        if live
            && let Some(idle_ms) = idle_thresholds_ms.iter().find(|idle_ms| **idle_ms > shopper.idle_fired_ms)
            && shopper.last_stamp_ms > i64::MIN
        {
            next_ms = next_ms.min(shopper.last_stamp_ms + idle_ms);
        }
        if next_ms == i64::MAX {
            return;
        }
        // A later deadline is left to the earlier timer, which arms again when it comes up.
        if shopper.armed_ms.is_none_or(|armed_ms| next_ms < armed_ms) {
            shopper.armed_ms = Some(next_ms);
            timers.arm(next_ms, index);
            if timers.len() > STALE_FROM + 2 * shoppers.taken() {
                let armed = |index: u32| shoppers[index as usize].as_ref().and_then(|shopper| shopper.armed_ms);
                timers.retain(|deadline_ms, index| armed(*index) == Some(deadline_ms));
            }
        }
    }
}
