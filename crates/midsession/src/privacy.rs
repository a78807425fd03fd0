//! What is personal: the keystore of this installation, opening what was sealed, destroying keys, and the evidence of it.

use crate::app::Inner;
use crate::cli::Failure;
use crate::config::Config;
use crate::history::for_each;
use crate::keys::Keys;
use bytes::Bytes;
use midsession_edge::{Refusal, bound_to_letter, bound_to_personal};
use midsession_engine_keystore::{Config as KeystoreConfig, Keystore, OpenError, Reader};
use midsession_event::{
    Evidence, Identity, PartitionId, Personal, Record, Reject, ShopperId, Str, Topic, UserId, VisitorId, decode,
    encode, is_sealed, partition_of,
};
use midsession_ports::{Append, Log, LogError, Unit, Unopened, Vault, VaultError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the keys are kept.
pub fn folder(config: &Config) -> PathBuf {
    config.privacy.keystore.clone().unwrap_or_else(|| config.data.join("keystore"))
}

/// The master key, where it is kept elsewhere.
pub fn master() -> Result<Option<[u8; 32]>, Failure> {
    let Some(text) = std::env::var("MIDSESSION_MASTER_KEY").ok().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let digits =
        |half: &str| u128::from_str_radix(half, 16).ok().filter(|_| half.bytes().all(|b| b.is_ascii_hexdigit()));
    let halves = text.split_at_checked(32).filter(|_| text.len() == 64);
    let key = halves.and_then(|(one, two)| Some([digits(one)?, digits(two)?]));
    let [one, two] = key.ok_or_else(|| {
        Failure::new("MIDSESSION_MASTER_KEY is no key: 64 hexadecimal digits").hint("openssl rand -hex 32 makes one")
    })?;
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&one.to_be_bytes());
    bytes[16..].copy_from_slice(&two.to_be_bytes());
    Ok(Some(bytes))
}

/// Opens the keystore of this installation, or makes one.
pub(crate) fn keystore(config: &Config, now_ms: i64) -> Result<Keystore, Failure> {
    let config = KeystoreConfig {
        folder: folder(config),
        keys_max: config.privacy.keys_max as usize,
        keep_personal_days: config.privacy.personal_retention_d,
        keep_dead_letter_days: config.privacy.dead_letter_retention_d,
        master: master()?,
    };
    Keystore::open(config, now_ms).map_err(Failure::new)
}

/// The keystore beside a running server.
pub(crate) fn reader(config: &Config) -> Result<Reader, Failure> {
    Reader::open(&folder(config), master()?).map_err(|error| match error {
        OpenError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(format!("no keystore in {}", folder(config).display()))
                .hint("name its folder: [privacy] keystore in the configuration, or --data with the data folder")
        }
        other => Failure::new(other),
    })
}

/// The name of the secret that hashes of ids come from.
pub(crate) const IDS: &str = "ids";

/// The secret that a data folder's hashes come from, beside a running server; none of a folder without keys.
pub(crate) fn ids_secret(config: &Config) -> Result<Option<[u8; 32]>, Failure> {
    if folder(config).join("keys").exists() {
        return Ok(reader(config)?.secret(IDS));
    }
    // From before there was a keystore.
    let has_keys = config.data.join("keys.toml").exists();
    let secret = has_keys.then(|| Keys::load(&config.data).map(|keys| crate::keys::secret(&keys.signing_key)));
    secret.transpose()
}

/// The bytes of a refused event as they came: opened, if they are sealed.
pub(crate) fn letter(
    reject: &Reject,
    open: impl FnOnce(&str, &[u8]) -> Result<Vec<u8>, Unopened>,
) -> Result<String, Unopened> {
    let bytes = if is_sealed(&reject.payload) {
        open(&bound_to_letter(reject.source.as_str(), reject.received_at_us), &reject.payload)?
    } else {
        // From before they were sealed, or none at all.
        reject.payload.clone()
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The personal fields of an event: `{kind: {field: value}}`.
pub(crate) fn personal(
    personal: &Personal,
    open: impl FnOnce(&str, &[u8]) -> Result<Vec<u8>, Unopened>,
) -> Result<Value, Unopened> {
    let bound = bound_to_personal(personal.source.as_str(), personal.event_id.as_str());
    serde_json::from_slice(&open(&bound, &personal.sealed)?).map_err(|_| Unopened::NotThis)
}

/// Puts evidence on the log; answered when it is durable.
async fn put(log: &dyn Log, evidence: &Evidence) -> Result<(), String> {
    let value = Some(Bytes::from(encode(evidence).map_err(|error| error.to_string())?));
    let partition = partition_of(&evidence.kind, log.partitions(Topic::Governance));
    let key = Bytes::copy_from_slice(evidence.kind.as_bytes());
    let record = Append { topic: Topic::Governance, partition, key, value };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Whoever asked may have gone.
    log.append(
        Unit { records: vec![record], positions: Vec::new() }.into(),
        Box::new(move |done| drop(sender.send(done))),
    );
    match receiver.await {
        Ok(done) => done.map(|_| ()).map_err(|error: LogError| error.to_string()),
        Err(_) => Err("the log is closing".to_owned()),
    }
}

/// Devices that each of these users is or was signed in on, as far as the log goes back: the machine knows those of today
/// alone. Not one where that was taken back.
fn devices_on(log: &dyn Log, ids: &[Str]) -> Result<Vec<BTreeSet<VisitorId>>, LogError> {
    let mut devices = vec![BTreeSet::new(); ids.len()];
    for partition in (0..log.partitions(Topic::Identity)).map(PartitionId) {
        for_each(log, Topic::Identity, partition, 0, |entry| {
            let told = entry.value.as_deref().map(decode::<Identity>);
            if let Some(Ok(Identity { visitor_id, user_id: Some(user), .. })) = told
                && let Some(index) = ids.iter().position(|id| *id == user.0)
            {
                devices[index].insert(visitor_id);
            }
        })?;
    }
    // Who signed in there later took their place above.
    for (id, devices) in ids.iter().zip(&mut devices) {
        let home = partition_of(id, log.partitions(Topic::Behavior));
        for_each(log, Topic::Behavior, home, 0, |entry| {
            if entry.key.as_ref() != id.as_bytes() {
                return;
            }
            match entry.value.as_deref().map(Record::decode) {
                Some(Ok(Record::Handoff(handoff))) => drop(devices.insert(handoff.visitor_id)),
                Some(Ok(Record::Forward(forward))) => devices.extend(forward.event.visitor_id),
                Some(Ok(Record::Recall(recall))) => drop(devices.remove(&recall.visitor_id)),
                _ => {}
            }
        })?;
    }
    Ok(devices)
}

pub(crate) fn unavailable(cause: impl std::fmt::Display) -> Refusal {
    Refusal::new(503, "log_unavailable", format!("{cause}; try again in a moment"))
}

impl Inner {
    /// The bytes of a refused event. That somebody looked is durable before they are told.
    pub(crate) async fn dead_letter_bytes(&self, offset: i64) -> Result<Option<Value>, Refusal> {
        let mut found = Vec::new();
        let extent = self.log.extent(Topic::DeadLetter, PartitionId(0)).map_err(unavailable)?;
        if !(extent.start..extent.end).contains(&offset) {
            return Ok(None);
        }
        self.log.read(Topic::DeadLetter, PartitionId(0), offset, 1, &mut found).map_err(unavailable)?;
        let entry = found.iter().find(|entry| entry.offset == offset);
        let Some(Ok(reject)) = entry.and_then(|entry| entry.value.as_deref()).map(decode::<Reject>) else {
            return Ok(None);
        };
        let payload = letter(&reject, |bound, sealed| self.vault.open(bound, sealed));
        let payload =
            payload.map_err(|cause| Refusal::new(410, "sealed_for_good", format!("{cause}: the bytes are gone")))?;
        let mut evidence = Evidence::new("opened", self.now_ms());
        evidence.source = Some(reject.source.clone());
        evidence.event_id.clone_from(&reject.event_id);
        evidence.detail = Some(format!("dead-letter/0/{offset}").into());
        put(self.log.as_ref(), &evidence).await.map_err(unavailable)?;
        Ok(Some(json!({"offset": offset, "payload": payload})))
    }

    /// Destroys the keys of a shopper, under the id as it is and as the sources hash it, with those of every device that
    /// they are or were signed in on: what came from there without the user's id went under the device's key. The evidence
    /// names them as the log does.
    pub(crate) async fn destroy_keys(&self, id: Str) -> Result<Value, Refusal> {
        let ids = self.collector.ids_of(&id);
        let (log, asked) = (Arc::clone(&self.log), ids.clone());
        let known = tokio::task::spawn_blocking(move || devices_on(log.as_ref(), &asked)).await;
        let known = known.map_err(|_| unavailable("the log was not read to its end"))?.map_err(unavailable)?;
        let mut all = 0;
        for (id, mut devices) in ids.into_iter().zip(known) {
            let user = UserId(id.clone());
            let home = partition_of(&id, self.driver.partitions());
            let of_today = self.driver.look(home, move |seen| seen.stream.devices_of(&user)).await;
            devices.extend(of_today.map_err(unavailable)?);
            devices.insert(id.clone().into());
            let mut whose = vec![ShopperId::User(id.clone().into())];
            whose.extend(devices.into_iter().map(ShopperId::Visitor));
            let vault = Arc::clone(&self.vault);
            let destroyed = tokio::task::spawn_blocking(move || vault.destroy(&whose)).await;
            let keys = destroyed.unwrap_or(Err(VaultError::Busy)).map_err(unavailable)?;
            if keys > 0 {
                let mut evidence = Evidence::new("key_destroyed", self.now_ms());
                evidence.user_id = Some(id.into());
                evidence.detail = Some(format!("{keys} keys").into());
                put(self.log.as_ref(), &evidence).await.map_err(unavailable)?;
            }
            all += keys;
        }
        Ok(json!({"id": id, "keys": all}))
    }
}
