//! What a start owes: what is still to be shown goes out when the log has been caught up with, and who has withdrawn
//! something is known then.

use crate::app::Inner;
use std::sync::Arc;
use std::time::Duration;

/// Lets events in and interventions out once every partition has read what was on the log at the start.
pub(crate) async fn release(inner: Arc<Inner>) {
    while inner.driver.progress().replaying > 0 {
        if inner.driver.failure().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    inner.world.withdrawn.set_whole();
    let shown = inner.driver.look_all(|seen| seen.stream.shown().collect::<Vec<_>>()).await;
    // A partition that does not answer has stopped, and nothing more is shown.
    let assembly = inner.assembly_in_force().await;
    let is_in_force = |rule: &str, version: &str| {
        let switched = inner.switches.get(rule).enabled;
        assembly.is_in_force(rule, version, switched)
    };
    inner.world.release(&shown.into_iter().filter_map(Result::ok).flatten().collect(), &is_in_force);
}
