//! From a tracker's request to durable records: collect, encode, append as one unit, and answer when it is durable.

use crate::rate::{Buckets, Known, Network};
use crate::seal::{self, Unsealed};
use crate::{App, Consented, clock};
use bytes::Bytes;
use http::HeaderMap;
use midsession_collect::{Collected, Overload, Reply, Request};
use midsession_event::{
    CodecError, Context, EnrichmentMiss, EventName, PartitionId, SourceId, Topic, UserId, VisitorId, encode,
    partition_of,
};
use midsession_observe::{Metric, Stage};
use midsession_ports::{Append, LogError, Receipt, Unit, VaultError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::oneshot;

/// Takes a request in; the reply is to be sent.
pub(crate) async fn take(app: &App, request: &Request<'_>) -> Reply {
    if !consents_known(app).await {
        app.observe.metrics.add_by(Metric::HttpOverload, "consent_unknown", 1);
        return app.collector.overload(request, Overload::Unavailable, 1);
    }
    let mut random = || uuid::Uuid::new_v4().as_u128();
    let collected = app.collector.collect(request, &mut random);
    let sent = collected.events.len() + collected.rejects.len();
    if let Err(over) = app.rates.take(request, &collected, sent) {
        return too_many(app, request, over);
    }
    commit(app, request, collected).await
}

/// Right after a start it is not known yet who has withdrawn something: events wait for that a little.
async fn consents_known(app: &App) -> bool {
    const LOOKS: u32 = 200;
    const LOOK_EVERY: Duration = Duration::from_millis(10);
    for _ in 0..LOOKS {
        if app.backend.knows_consents() {
            return true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    app.backend.knows_consents()
}

/// The reply to a sender that is over its rate. Trackers keep what they sent and try again.
pub(crate) fn too_many(app: &App, request: &Request<'_>, over: Over) -> Reply {
    app.observe.metrics.add_by(Metric::HttpOverload, over.cause, 1);
    app.collector.overload(request, Overload::RateLimited, over.retry_after_s)
}

/// Makes durable what was collected; its reply once that is done, else the reply of an overload.
pub(crate) async fn commit(app: &App, request: &Request<'_>, mut collected: Collected) -> Reply {
    let source = collected.source.clone().unwrap_or_default();
    let dropped = [
        (Metric::EventsNoConsent, collected.dropped_no_consent()),
        (Metric::EventsSampled, collected.dropped_sampled()),
    ];
    for (metric, events) in dropped.into_iter().filter(|(_, events)| *events > 0) {
        app.observe.metrics.add_by(metric, source.as_str(), events as u64);
    }
    if let Some(code) = collected.unattributed {
        app.observe.metrics.add_by(Metric::RequestsUnattributed, code, 1);
    }
    if collected.events.is_empty() && collected.rejects.is_empty() {
        return collected.reply;
    }
    let collected_at_us = clock::now_us();
    let mut bots = 0;
    for event in &mut collected.events {
        event.stamps.received_at_us = request.received_at_us;
        event.stamps.collected_at_us = collected_at_us;
        bots += u64::from(event.bot);
    }
    let misses = app.backend.enrich(&mut collected.events, collected_at_us / 1_000);
    let sealed = seal::all(app, &mut collected, request.received_at_us).await;
    let unit = match sealed.and_then(|personal| unit(app, &collected, &misses, personal).map_err(Unsealed::Codec)) {
        Ok(unit) => unit,
        Err(Unsealed::Vault(cause)) => return unsealed(app, request, &cause),
        Err(Unsealed::Unknown(cause)) => {
            tracing::warn!(%cause, "whether personal fields may be kept could not be asked");
            app.observe.metrics.add_by(Metric::HttpOverload, "consent_unknown", 1);
            return app.collector.overload(request, Overload::Unavailable, 2);
        }
        Err(Unsealed::Codec(cause)) => {
            tracing::error!(%cause, "a collected event could not be encoded");
            app.observe.metrics.add_by(Metric::LogErrors, "encode", 1);
            return app.collector.overload(request, Overload::Unavailable, 1);
        }
    };
    let (sender, receiver) = oneshot::channel();
    app.log.append(
        unit.into(),
        Box::new(move |result| {
            // The instant of durability, not of this task's turn to run.
            let _ = sender.send((result, clock::now_us()));
        }),
    );
    let (receipts, durable_at_us) = match receiver.await {
        Ok((Ok(receipts), durable_at_us)) => (receipts, durable_at_us),
        Ok((Err(cause), _)) => return refused(app, request, &cause),
        Err(_) => return refused(app, request, &LogError::Failed { cause: "the log went away".into() }),
    };
    let events = collected.events.len() as u64;
    let observe = &app.observe;
    observe.events(durable_at_us / 1_000, source.as_str(), events, collected.rejects.len() as u64);
    if bots > 0 {
        observe.metrics.add_by(Metric::EventsBot, source.as_str(), bots);
    }
    if events > 0 {
        observe.record_n(Stage::Collect, collected_at_us - request.received_at_us, events);
        observe.record_n(Stage::Log, durable_at_us - collected_at_us, events);
    }
    let said: Vec<Consented> = (collected.events.iter().zip(&receipts))
        .filter(|(event, _)| event.name == EventName::Consent)
        .map(|(event, receipt)| Consented {
            partition: receipt.partition.0,
            offset: receipt.offset,
            visitor_id: event.visitor_id.clone(),
            user_id: event.user_id.clone(),
        })
        .collect();
    if !said.is_empty()
        && let Err(cause) = app.backend.consented(said).await
    {
        // It is durable where it came in and goes on by itself; who sends it again is told once it has arrived.
        tracing::warn!(%cause, "a word on consent has not reached every device yet");
        app.observe.metrics.add_by(Metric::HttpOverload, "consent_under_way", 1);
        return app.collector.overload(request, Overload::Unavailable, 1);
    }
    if !collected.wants_verdicts {
        return collected.reply;
    }
    let receipts = receipts.iter().take(collected.events.len());
    collected.verdicts(receipts.map(|Receipt { topic, partition, offset, .. }| (topic.name(), partition.0, *offset)))
}

/// Events to their visitors' partitions, rejects to the dead letters, misses to their topic, personal fields beside the
/// events, as one unit.
fn unit(
    app: &App,
    collected: &Collected,
    misses: &[EnrichmentMiss],
    personal: Vec<Append>,
) -> Result<Unit, CodecError> {
    let partitions = app.behavior_partitions;
    let count = collected.events.len() + collected.rejects.len() + misses.len() + personal.len();
    let mut records = Vec::with_capacity(count);
    for event in &collected.events {
        let key = event.key();
        records.push(Append {
            topic: Topic::Behavior,
            partition: partition_of(key, partitions),
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Some(encode(event)?.into()),
        });
    }
    for rejected in &collected.rejects {
        records.push(Append {
            topic: Topic::DeadLetter,
            partition: PartitionId(0),
            key: Bytes::copy_from_slice(rejected.reject.source.as_str().as_bytes()),
            value: Some(encode(&rejected.reject)?.into()),
        });
    }
    for miss in misses {
        records.push(Append {
            topic: Topic::EnrichmentMiss,
            partition: PartitionId(0),
            key: Context::key(miss.kind, miss.id.as_deref().unwrap_or_default()).into(),
            value: Some(encode(miss)?.into()),
        });
    }
    records.extend(personal);
    Ok(Unit { records, positions: Vec::new() })
}

/// The keystore said no: what is personal is kept under encryption or not at all, and the sender shall try again.
fn unsealed(app: &App, request: &Request<'_>, cause: &VaultError) -> Reply {
    let (label, retry_after_s) = match cause {
        VaultError::Busy => ("keystore_busy", 1),
        VaultError::DiskFull { .. } => ("disk_full", 10),
        VaultError::Failed { .. } => ("keystore_failed", 30),
    };
    app.observe.metrics.add_by(Metric::LogErrors, label, 1);
    app.observe.metrics.add_by(Metric::HttpOverload, label, 1);
    app.collector.overload(request, Overload::Unavailable, retry_after_s)
}

/// The log said no: the sender shall try again.
fn refused(app: &App, request: &Request<'_>, cause: &LogError) -> Reply {
    let (label, retry_after_s) = match cause {
        LogError::Busy { .. } => ("log_busy", 1),
        LogError::DiskFull { .. } => ("disk_full", 10),
        _ => ("log_failed", 30),
    };
    app.observe.metrics.add_by(Metric::LogErrors, label, 1);
    app.observe.metrics.add_by(Metric::HttpOverload, label, 1);
    if !cause.is_retryable() {
        tracing::error!(%cause, "events can't be made durable");
    }
    app.collector.overload(request, Overload::Unavailable, retry_after_s)
}

/// The rates that senders keep.
pub(crate) struct Rates {
    by_network: Buckets<Network>,
    by_source: Buckets<SourceId>,
    new_of_network: Buckets<Network>,
    new_of_source: Buckets<SourceId>,
    known: Known,
}

/// A rate was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// Which one; the label of the counter.
    pub cause: &'static str,
    pub retry_after_s: u32,
}

impl Rates {
    pub(crate) fn new(limits: &crate::Limits) -> Self {
        Self {
            by_network: Buckets::new(limits.events_per_s_per_network),
            by_source: Buckets::new(limits.events_per_s_per_source),
            new_of_network: Buckets::new(limits.new_visitors_per_s_per_network),
            new_of_source: Buckets::new(limits.new_visitors_per_s_per_source),
            known: Known::default(),
        }
    }

    fn take(&self, request: &Request<'_>, collected: &Collected, sent: usize) -> Result<(), Over> {
        let over = |retry_after_s| Over { cause: "rate_limited", retry_after_s };
        if let Some(network) = request.peer_ip.and_then(Network::of) {
            self.by_network.take(network, sent, request.received_at_us).map_err(over)?;
        }
        if let Some(source) = &collected.source {
            self.by_source.take(source.clone(), sent, request.received_at_us).map_err(over)?;
        }
        // A visitor and a user are a shopper each.
        let visitors = collected.events.iter().filter_map(|event| event.visitor_id.as_ref()).map(VisitorId::as_str);
        let users = collected.events.iter().filter_map(|event| event.user_id.as_ref()).map(UserId::as_str);
        self.take_visitors(request, collected.source.as_ref(), visitors.chain(users))
    }

    /// Takes place for the ids that are new: each is a shopper to be kept for a day, and anybody can make them up.
    /// Known shoppers are never held up.
    pub(crate) fn take_visitors<'a>(
        &self,
        request: &Request<'_>,
        source: Option<&SourceId>,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<(), Over> {
        let network = request.peer_ip.and_then(Network::of).filter(|_| self.new_of_network.is_limited());
        let source = source.filter(|_| self.new_of_source.is_limited());
        if network.is_none() && source.is_none() {
            return Ok(());
        }
        let new = self.known.unknown(ids);
        if new.is_empty() {
            return Ok(());
        }
        let at_us = request.received_at_us;
        if let Some(network) = network {
            let taken = self.new_of_network.take(network, new.len(), at_us);
            taken.map_err(|retry_after_s| Over { cause: "new_visitors", retry_after_s })?;
        }
        if let Some(source) = source {
            let taken = self.new_of_source.take(source.clone(), new.len(), at_us);
            taken.map_err(|retry_after_s| Over { cause: "new_visitors_of_source", retry_after_s })?;
        }
        self.known.add(new);
        Ok(())
    }
}

/// The shopper's address behind `trusted_proxies` proxies that each append to X-Forwarded-For.
pub(crate) fn client_ip(headers: &HeaderMap, peer: SocketAddr, trusted_proxies: usize) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    let hop = trusted_proxies.checked_sub(1).and_then(|last| hops.iter().rev().nth(last));
    hop.and_then(|hop| hop.parse().ok()).unwrap_or_else(|| peer.ip())
}

/// Bytes of requests that are being read or wait for the log.
pub(crate) struct InFlight {
    bytes: AtomicUsize,
    max: usize,
}

/// A request's share of [`InFlight`], given back when dropped.
pub(crate) struct Reserved<'a> {
    in_flight: &'a InFlight,
    bytes: usize,
}

impl InFlight {
    pub(crate) fn new(max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), max }
    }

    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved<'_>> {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        let reserved = Reserved { in_flight: self, bytes };
        // One request alone always passes, whatever the cap.
        (before == 0 || before + bytes <= self.max).then_some(reserved)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// Random bytes that live for one day (UTC), so that cookieless ids can't be computed again afterwards.
#[derive(Default)]
pub(crate) struct DailySalt {
    today: parking_lot::Mutex<(i64, [u8; 32])>,
    file: Option<PathBuf>,
}

impl DailySalt {
    /// The salt kept in this file, if it is still today's.
    pub(crate) fn open(file: Option<PathBuf>) -> Self {
        let kept = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let kept = kept.and_then(|text| {
            let (day, salt) = text.trim().split_once(' ')?;
            let (one, two) = salt.split_at_checked(32)?;
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(&u128::from_str_radix(one, 16).ok()?.to_be_bytes());
            bytes[16..].copy_from_slice(&u128::from_str_radix(two, 16).ok()?.to_be_bytes());
            Some((day.parse().ok()?, bytes))
        });
        Self { today: parking_lot::Mutex::new(kept.unwrap_or_default()), file }
    }

    pub(crate) fn of_today(&self, now_us: i64) -> [u8; 32] {
        let today = now_us.div_euclid(86_400_000_000);
        let mut salt = self.today.lock();
        if salt.0 < today {
            let (one, two) = (uuid::Uuid::new_v4().as_u128(), uuid::Uuid::new_v4().as_u128());
            salt.0 = today;
            salt.1[..16].copy_from_slice(&one.to_be_bytes());
            salt.1[16..].copy_from_slice(&two.to_be_bytes());
            if let Some(file) = &self.file
                && let Err(cause) = keep(file, &format!("{today} {one:032x}{two:032x}\n"))
            {
                tracing::warn!(%cause, file = %file.display(), "the salt of the day could not be kept");
            }
        }
        salt.1
    }
}

/// Replaces a private file. Yesterday's salt is overwritten with it.
fn keep(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let peer: SocketAddr = "10.0.0.9:1".parse().expect("an address");
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 1.2.3.4".parse().expect("a value"));
        headers.append("x-forwarded-for", "10.0.0.1".parse().expect("a value"));
        for (proxies, expected) in [(0, "10.0.0.9"), (1, "10.0.0.1"), (2, "1.2.3.4"), (3, "6.6.6.6"), (4, "10.0.0.9")] {
            assert_eq!(client_ip(&headers, peer, proxies).to_string(), expected, "{proxies} proxies");
        }
    }

    #[test]
    fn in_flight_bytes_are_capped_and_given_back() {
        let in_flight = InFlight::new(10);
        let first = in_flight.reserve(20).expect("one alone passes");
        assert!(in_flight.reserve(1).is_none());
        drop(first);
        let both = (in_flight.reserve(4).expect("room"), in_flight.reserve(6).expect("room"));
        assert!(in_flight.reserve(1).is_none());
        drop(both);
        assert_eq!(in_flight.bytes(), 0);
    }

    #[test]
    fn salts_change_with_the_day() {
        let salt = DailySalt::default();
        let day_us = 86_400_000_000;
        let first = salt.of_today(20_000 * day_us);
        assert_eq!(first, salt.of_today(20_001 * day_us - 1));
        assert_ne!(first, salt.of_today(20_001 * day_us));
        assert_ne!(first, [0; 32]);
        let folder = tempfile::tempdir().expect("a folder");
        let file = || Some(folder.path().join("salt"));
        let kept = DailySalt::open(file()).of_today(20_000 * day_us);
        assert_eq!(kept, DailySalt::open(file()).of_today(20_000 * day_us + 5), "a restart on the same day");
        assert_ne!(kept, DailySalt::open(file()).of_today(20_001 * day_us), "a restart on the next");
    }
}
