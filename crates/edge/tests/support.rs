//! A server on loopback with a log in memory and a backend of a few rows, and a client that speaks raw bytes.

mod open;
mod tables;
mod vault;
#[allow(unused_imports, reason = "not every test binary has a connection that stays open")]
pub use open::Open;
pub use vault::MemoryVault;

use midsession_collect::context::RowLimits;
use midsession_collect::{Collector, ConsentMode, PersonalRule, Schemas, Settings, Source};
use midsession_edge::*;
use midsession_event::{ContextKind, EnrichmentMiss, Event, PartitionId, Record, Str, Topic};
use midsession_feature::Diagnostic;
use midsession_observe::Observe;
use midsession_ports::{
    Append, Done, Entry, Extent, Locked, Log, LogError, Opened, Position, Receipt, Seal, Unit, Vault, VaultError, Wake,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

pub const KEY: &str = "wk_test";
pub const ADMIN: &str = "an-admin-token-of-some-length";
pub const ORIGIN: &str = "https://shop.example";

/// A log in memory: durable at once, or out of order on request.
#[derive(Default)]
pub struct MemoryLog {
    pub records: Mutex<Vec<Append>>,
    pub fails_with: Mutex<Option<LogError>>,
}

impl MemoryLog {
    /// Ids of the events on `behavior`, in order.
    pub fn event_ids(&self) -> Vec<String> {
        self.events().iter().map(|event| event.event_id.to_string()).collect()
    }

    /// The events on `behavior`, in order.
    pub fn events(&self) -> Vec<Event> {
        let records = self.records.lock().expect("lock");
        let behavior = records.iter().filter(|append| append.topic == Topic::Behavior);
        behavior
            .map(|append| match Record::decode(append.value.as_deref().expect("a value")).expect("decodes") {
                Record::Event(event) => *event,
                other => panic!("not an event: {other:?}"),
            })
            .collect()
    }

    pub fn count(&self, topic: Topic) -> usize {
        self.records.lock().expect("lock").iter().filter(|append| append.topic == topic).count()
    }
}

impl Log for MemoryLog {
    fn partitions(&self, topic: Topic) -> u32 {
        if topic.is_partitioned() { 4 } else { 1 }
    }
    fn append(&self, unit: Arc<Unit>, done: Done) {
        if let Some(cause) = self.fails_with.lock().expect("lock").clone() {
            return done(Err(cause));
        }
        let mut records = self.records.lock().expect("lock");
        let mut receipts = Vec::new();
        for append in unit.records.iter().cloned() {
            let same = |other: &&Append| (other.topic, other.partition) == (append.topic, append.partition);
            let offset = records.iter().filter(same).count() as i64;
            receipts.push(Receipt { topic: append.topic, partition: append.partition, offset, stamp_ms: 0 });
            records.push(append);
        }
        drop(records);
        done(Ok(receipts));
    }
    fn read(&self, _: Topic, _: PartitionId, _: i64, _: usize, _: &mut Vec<Entry>) -> Result<(), LogError> {
        Ok(())
    }
    fn extent(&self, _: Topic, _: PartitionId) -> Result<Extent, LogError> {
        Ok(Extent { start: 0, end: 0, bytes: 0 })
    }
    fn offset_at(&self, _: Topic, _: PartitionId, _: i64) -> Result<i64, LogError> {
        Ok(0)
    }
    fn position(&self, _: PartitionId) -> i64 {
        0
    }
    fn on_commit(&self, _: Wake) {}
    fn keep_from(&self, _: &[Position]) {}
}

/// A backend of a few rows.
pub struct Rows {
    pub users: Mutex<Vec<Str>>,
    pub live: broadcast::Sender<LiveRow>,
    pub ready: AtomicBool,
    pub unreadable: Mutex<Option<Unreadable>>,
    pub failure: Mutex<Option<String>>,
    /// A second profile, and features by product.
    pub more: AtomicBool,
    pub consented: Mutex<Vec<Consented>>,
    pub hub: Arc<PushHub>,
    /// The context tables: two rows of each kind at most.
    pub context: Mutex<Vec<midsession_event::Context>>,
    /// Refuses changes of them.
    pub context_refusal: Mutex<Option<Refusal>>,
}

impl Rows {
    fn has_more(&self) -> bool {
        self.more.load(Ordering::Relaxed)
    }

    fn readable(&self) -> Result<(), Unreadable> {
        self.unreadable.lock().expect("lock").clone().map_or(Ok(()), Err)
    }
}

pub const FEATURES: [&str; 3] = ["product_view_count_5m", "avg_viewed_price_1h", "top_category_24h"];

fn served(name: &str, value: FeatureValue) -> Served {
    Served { name: name.into(), value: Some(value), expires_at_ms: None, since_ms: None }
}

impl Reads for Rows {
    fn features(&self, asks: Vec<Ask>) -> Answer<'_, Vec<Result<Option<Features>, Unreadable>>> {
        let users = self.users.lock().expect("lock").clone();
        let readable = self.readable();
        let read = move |ask: &Ask| {
            readable.clone()?;
            let (id, values) = match &ask.entity {
                Entity::User(id) if users.contains(id) => (
                    id,
                    vec![
                        served(FEATURES[0], FeatureValue::Int(3)),
                        served(FEATURES[1], FeatureValue::Float(19.5)),
                        served(FEATURES[2], FeatureValue::Text("shoes".into())),
                    ],
                ),
                Entity::Session(id) if id == "s1" => (
                    id,
                    vec![served("cart_value", FeatureValue::Float(90.0)), served("bounce", FeatureValue::Bool(false))],
                ),
                Entity::Field { key, id } if key == "product" && id == "p1" => {
                    let uncounted = Served {
                        name: "score_1h".into(),
                        value: None,
                        expires_at_ms: None,
                        since_ms: Some(1_699_999_999_000),
                    };
                    (id, vec![served("views_1h", FeatureValue::Int(2)), uncounted])
                }
                _ => return Ok(None),
            };
            let values =
                values.into_iter().filter(|served| ask.names.is_empty() || ask.names.contains(&served.name)).collect();
            let as_of = AsOf { partition: 1, offset: 7, now: 1_700_000_000_000 };
            let as_of = if matches!(ask.entity, Entity::Field { .. }) { vec![as_of, as_of] } else { vec![as_of] };
            let mut features = Features { as_of, id: id.clone(), text: TextForm::Plain, values };
            match ask.profile.as_deref() {
                None | Some("native") => Ok(Some(features)),
                Some("java") => {
                    features.text = TextForm::Java;
                    for served in &mut features.values {
                        served.expires_at_ms = Some(1_700_000_000_000 + 99_600);
                    }
                    Ok(Some(features))
                }
                Some(_) => Ok(None),
            }
        };
        let answers = asks.iter().map(read).collect();
        Box::pin(async move { answers })
    }
    fn profiles(&self) -> Vec<Str> {
        if self.has_more() { vec!["native".into(), "java".into()] } else { vec!["native".into()] }
    }
    fn field_keys(&self) -> Vec<Str> {
        if self.has_more() { vec!["product".into()] } else { Vec::new() }
    }
    fn partitions(&self) -> u32 {
        if self.has_more() { 5 } else { 4 }
    }
    fn entities(&self, partition: u32) -> Answer<'_, Result<Vec<Entity>, Unreadable>> {
        let users = self.users.lock().expect("lock");
        let here = |id: &&Str| midsession_event::partition_of(id, 4).0 == partition;
        let mut all: Vec<Entity> = users.iter().filter(here).cloned().map(Entity::User).collect();
        if partition == 2 {
            all.push(Entity::Session("s1".into()));
        }
        if partition == 4 {
            all.push(Entity::Field { key: "product".into(), id: "p1".into() });
        }
        // One of four is enough to make the whole unreadable.
        let readable = if partition == 3 { self.readable() } else { Ok(()) };
        Box::pin(async move { readable.map(|()| all) })
    }
    fn ready(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) { Ok(()) } else { Err("partition 3 replays".into()) }
    }
    fn failure(&self) -> Option<String> {
        self.failure.lock().expect("lock").clone()
    }
    fn consented(&self, said: Vec<Consented>) -> Answer<'_, Result<(), Unreadable>> {
        let readable = self.readable();
        self.consented.lock().expect("lock").extend(said);
        Box::pin(async move { readable })
    }
    fn may_keep(&self, whose: Vec<Sender>) -> Answer<'_, Result<Vec<bool>, Unreadable>> {
        let readable = self.readable();
        let may = |(visitor, _): &Sender| visitor.as_ref().is_none_or(|visitor| visitor.as_str() != "withdrawn");
        Box::pin(async move { readable.map(|()| whose.iter().map(may).collect()) })
    }
    fn takes_appends(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) { Ok(()) } else { Err("the disk is full".into()) }
    }
}

impl Console for Rows {
    fn overview(&self) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async { self.readable().map(|()| json!({ "now_ms": 1 })) })
    }
    fn sessions(&self, query: SessionsQuery) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async move { self.readable().map(|()| json!({ "sessions": [], "asked": format!("{query:?}") })) })
    }
    fn session(&self, id: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(async move { self.readable().map(|()| (id == "s/1").then(|| json!({ "session": id }))) })
    }
    fn decisions(&self, limit: usize) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async move { self.readable().map(|()| json!({ "decisions": [], "limit": limit })) })
    }
    fn decision(&self, _: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(async { self.readable().map(|()| None) })
    }
    fn dead_letter_bytes(&self, offset: i64) -> Answer<'_, Result<Option<Value>, Refusal>> {
        Box::pin(async move { Ok((offset == 7).then(|| json!({ "payload": "as it came" }))) })
    }
    fn destroy_keys(&self, id: Str) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move { Ok(json!({ "id": id, "keys": 1 })) })
    }
    fn dead_letters(&self, _: usize) -> Answer<'_, Value> {
        Box::pin(async { json!({ "dead_letters": [] }) })
    }
    fn live(&self) -> broadcast::Receiver<LiveRow> {
        self.live.subscribe()
    }
}

impl Interventions for Rows {
    fn interventions(&self) -> Answer<'_, Value> {
        Box::pin(async { json!({ "interventions": [], "cap": [] }) })
    }
    fn change(&self, name: Str, change: Change) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            match name.as_str() {
                "cart_stalled" => Ok(json!({ "name": name, "enabled": change.enabled })),
                _ => Err(Refusal::new(404, "intervention_unknown", "no intervention has this name")),
            }
        })
    }
    fn dry_run(&self, _: Str) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async { Ok(json!({ "shoppers": 1 })) })
    }
    fn preview(&self, _: Str, visitor_id: Str) -> Answer<'_, Result<usize, Refusal>> {
        let visitor = visitor_id.as_str().into();
        let connections = self.hub.connections_of(&visitor);
        Box::pin(async move { Ok(connections) })
    }
}

impl Identities for Rows {
    fn identity(&self, visitor: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(async move { self.readable().map(|()| (visitor == "v1").then(|| json!({ "visitor_id": visitor }))) })
    }
    fn unmerge(&self, ask: UnmergeAsk) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move { Ok(json!({ "asked": format!("{ask:?}") })) })
    }
}

impl Define for Rows {
    fn definitions(&self, of: Option<DefinitionOf>) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move { Ok(json!({ "revision": 3, "of": of.map(|of| (of.is_rule, of.name)) })) })
    }
    fn put_definitions(&self, file: WrittenFile) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(async move {
            let mistake = Diagnostic {
                file: file.name.to_string(),
                line: 3,
                column: 8,
                message: "there is no fold `conut`".into(),
                hint: Some("did you mean `count`?".into()),
            };
            if file.text.contains("conut") {
                return Err(Undefined::Mistakes(vec![mistake]));
            }
            Ok(json!({ "revision": 4, "only": file.only.map(|of| (of.is_rule, of.name)) }))
        })
    }
    fn promote_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(async move { Ok(json!({ "name": of.name, "is_rule": of.is_rule, "version": of.version })) })
    }
    fn remove_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(
            async move { Err(Refusal::new(404, "definition_unknown", format!("no definition `{}`", of.name)).into()) },
        )
    }
}

impl Shop for Rows {
    fn config(&self) -> Option<Value> {
        Some(json!({ "write_key": KEY }))
    }
    fn checkout(&self, _: Value) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async { Err(Refusal::new(409, "coupon_used", "this code has been used")) })
    }
    fn coupon(&self, _: Value) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async { Ok(json!({ "percent": 10 })) })
    }
}

pub struct Server {
    pub running: Running,
    handles: Handles,
    pub log: Arc<MemoryLog>,
    pub vault: Arc<MemoryVault>,
    pub hub: Arc<PushHub>,
    pub observe: Arc<Observe>,
    pub rows: Arc<Rows>,
}

pub fn config() -> Config {
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut limits = Limits::default();
    limits.timeouts.linger = Duration::from_millis(50);
    Config {
        public: any,
        admin: any,
        redis: Some(any),
        admin_token: ADMIN.into(),
        admin_hosts: Vec::new(),
        redis_password: None,
        secret: [9; 32],
        trusted_proxies: 0,
        salt_file: None,
        limits,
    }
}

pub async fn start() -> Server {
    start_with(|_| {}).await
}

pub async fn start_with(change: impl FnOnce(&mut Config)) -> Server {
    let source = |name: &str, key: &str, origins: &[&str]| Source {
        name: name.into(),
        write_key: key.into(),
        allowed_origins: Some(origins.iter().map(|origin| (*origin).to_owned()).collect()),
        ..Source::default()
    };
    let sources = vec![
        source("shop", KEY, &[ORIGIN]),
        source("other", "wk_other", &["https://other.example"]),
        Source { hash_ids: true, ..source("hashing", "wk_hash", &[]) },
        Source { personal_fields: PersonalRule::Encrypt, ..source("sealing", "wk_sealing", &[]) },
        Source { consent_default: ConsentMode::Cookieless, ..source("cookieless", "wk_cookieless", &[]) },
    ];
    let settings = Settings { limits: Default::default(), secret: [7; 32], accept_any_key: false };
    let observe = Observe::new();
    let hub = PushHub::new(observe.clone(), HubLimits::default());
    let log = Arc::new(MemoryLog::default());
    let vault = Arc::new(MemoryVault::default());
    let rows = Arc::new(Rows {
        users: Mutex::new(vec!["u1".into(), "a b:ü".into()]),
        live: broadcast::channel(16).0,
        ready: AtomicBool::new(true),
        unreadable: Mutex::new(None),
        failure: Mutex::new(None),
        more: AtomicBool::new(false),
        consented: Mutex::default(),
        hub: hub.clone(),
        context: Mutex::default(),
        context_refusal: Mutex::default(),
    });
    let mut config = config();
    change(&mut config);
    let handles = Handles {
        collector: Arc::new(Collector::new(sources, settings, Schemas::shipped(), None)),
        log: log.clone(),
        vault: vault.clone(),
        hub: hub.clone(),
        backend: rows.clone(),
        observe: observe.clone(),
    };
    let running = serve(config, handles.clone()).await.expect("starts");
    Server { running, handles, log, vault, hub, observe, rows }
}

impl Server {
    /// What another server could be started with.
    pub fn handles(&self) -> Handles {
        self.handles.clone()
    }
}

/// A WebSocket; or the status of its refusal.
pub async fn connect(url: &str, origin: Option<&str>) -> Result<(WebSocket, Response), u16> {
    let mut request = url.into_client_request().expect("a request");
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("a value"));
    }
    let addr = url.split('/').nth(2).expect("an address");
    let stream = TcpStream::connect(addr).await.expect("connects");
    tokio_tungstenite::client_async(request, stream).await.map_err(|error| match error {
        tokio_tungstenite::tungstenite::Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    })
}

type WebSocket = tokio_tungstenite::WebSocketStream<TcpStream>;
type Response = tokio_tungstenite::tungstenite::handshake::client::Response;

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap_or(0);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }
}

/// Sends bytes and reads until the server closes.
pub async fn raw(addr: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.expect("connects");
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// One request on its own connection. `head` is the request line's method and target and any headers.
pub async fn ask(
    addr: std::net::SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        bytes.push_str(&format!("Host: {addr}\r\n"));
    }
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str(&format!("Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()));
    Reply::parse(&raw(addr, &[bytes.as_bytes(), body].concat()).await)
}

/// A native event of a visitor.
pub fn event(id: &str) -> String {
    format!(r#"{{"event_id":"{id}","name":"page_view","visitor_id":"v1","occurred_at":1700000000000}}"#)
}
