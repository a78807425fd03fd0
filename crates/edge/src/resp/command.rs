//! The commands: read-only, answered as Redis answers them.

use super::key::Key;
use super::scan::{self, Filter, Walk};
use super::unreadable;
use super::wire::Reply;
use crate::App;
use crate::backend::{Ask, FeatureValue, Features, Served, Unreadable};
use bytes::Bytes;
use midsession_observe::Metric;

/// Most keys that KEYS returns.
const KEYS_MAX: usize = 100_000;

/// What a connection remembers.
pub(super) struct Session {
    pub id: u64,
    /// Protocol version, 2 or 3.
    pub version: u8,
    pub is_authorized: bool,
    pub is_closing: bool,
    pub walk: Walk,
}

/// A command whose reply needs features, or not.
enum Plan {
    Ready(Reply),
    Get(Lookup),
    Many(Vec<Lookup>),
    Exists(Vec<Lookup>),
    Ttl(Lookup),
    Type(Lookup),
    Hash(Lookup),
}

/// Where a key's value will stand in the answers.
struct Lookup(Option<(usize, Key)>);

/// Name, arity as Redis tells it, whether it takes keys.
const COMMANDS: &[(&str, i64, bool)] = &[
    ("get", 2, true),
    ("mget", -2, true),
    ("exists", -2, true),
    ("ttl", 2, true),
    ("type", 2, true),
    ("scan", -2, false),
    ("keys", 2, false),
    ("hgetall", 2, true),
    ("info", -1, false),
    ("dbsize", 1, false),
    ("ping", -1, false),
    ("auth", -2, false),
    ("select", 2, false),
    ("client", -2, false),
    ("command", -1, false),
    ("hello", -1, false),
    ("quit", -1, false),
];

/// Commands that would write.
const WRITES: &[&str] = &[
    "append",
    "copy",
    "decr",
    "decrby",
    "del",
    "eval",
    "evalsha",
    "expire",
    "expireat",
    "flushall",
    "flushdb",
    "getdel",
    "getex",
    "getset",
    "hdel",
    "hincrby",
    "hincrbyfloat",
    "hmset",
    "hset",
    "hsetnx",
    "incr",
    "incrby",
    "incrbyfloat",
    "lpop",
    "lpush",
    "lrem",
    "lset",
    "ltrim",
    "mset",
    "msetnx",
    "persist",
    "pexpire",
    "pexpireat",
    "psetex",
    "publish",
    "rename",
    "renamenx",
    "restore",
    "rpop",
    "rpush",
    "sadd",
    "set",
    "setex",
    "setnx",
    "setrange",
    "spop",
    "srem",
    "unlink",
    "xadd",
    "zadd",
    "zincrby",
    "zrem",
];

/// Runs commands in order; one reply each, with the protocol version it is to be written in, until one closes the
/// connection.
pub(super) async fn run(app: &App, session: &mut Session, commands: &[Vec<Bytes>]) -> Vec<(u8, Reply)> {
    let mut replies = Vec::with_capacity(commands.len());
    let mut plans = Vec::new();
    let mut asks: Vec<Ask> = Vec::new();
    for command in commands.iter().filter(|command| !command.is_empty()) {
        if session.is_closing {
            break;
        }
        let name = String::from_utf8_lossy(&command[0]).to_ascii_lowercase();
        let (known, arguments) = (COMMANDS.iter().find(|(known, _, _)| *known == name), &command[1..]);
        let label = known.map_or("unknown", |(name, _, _)| name);
        app.observe.metrics.add_by(Metric::RespCommands, label, 1);
        if let Some(refusal) = refusal(app, session, &name, known, arguments) {
            plans.push((session.version, Plan::Ready(refusal)));
            continue;
        }
        if matches!(name.as_str(), "scan" | "keys" | "dbsize" | "info") {
            replies.extend(answer(app, std::mem::take(&mut plans), std::mem::take(&mut asks)).await);
            replies.push((session.version, walk(app, session, &name, arguments).await));
            continue;
        }
        let plan = plan(app, session, &name, arguments, &mut asks);
        // HELLO answers in the version that it switches to.
        plans.push((session.version, plan));
    }
    replies.extend(answer(app, plans, asks).await);
    replies
}

/// Why a command is not run.
fn refusal(
    app: &App,
    session: &Session,
    name: &str,
    known: Option<&(&str, i64, bool)>,
    arguments: &[Bytes],
) -> Option<Reply> {
    let is_open = matches!(name, "auth" | "hello" | "quit");
    if app.redis_password.is_some() && !session.is_authorized && !is_open {
        return Some(Reply::Error("NOAUTH Authentication required.".to_owned()));
    }
    let Some((_, arity, _)) = known else {
        if WRITES.contains(&name) {
            return Some(Reply::Error("READONLY You can't write against a read only replica.".to_owned()));
        }
        let arguments: String =
            arguments.iter().take(8).map(|argument| format!("'{}' ", printable(argument))).collect();
        let name = printable(name.as_bytes());
        return Some(Reply::Error(format!("ERR unknown command '{name}', with args beginning with: {arguments}")));
    };
    let given = 1 + arguments.len() as i64;
    let fits = if *arity >= 0 { given == *arity } else { given >= -arity };
    (!fits).then(|| Reply::Error(format!("ERR wrong number of arguments for '{name}' command")))
}

/// Text for an error: one line, of bounded length.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).chars().filter(|char| !char.is_control()).collect()
}

fn plan(app: &App, session: &mut Session, name: &str, arguments: &[Bytes], asks: &mut Vec<Ask>) -> Plan {
    let mut look_up = |bytes: &Bytes| Lookup::new(app, bytes, name == "ttl", asks);
    match name {
        "get" => Plan::Get(look_up(&arguments[0])),
        "mget" => Plan::Many(arguments.iter().map(look_up).collect()),
        "exists" => Plan::Exists(arguments.iter().map(look_up).collect()),
        "ttl" => Plan::Ttl(look_up(&arguments[0])),
        "type" => Plan::Type(look_up(&arguments[0])),
        "hgetall" => Plan::Hash(look_up(&arguments[0])),
        _ => Plan::Ready(connection(app, session, name, arguments)),
    }
}

/// Commands about the connection itself.
fn connection(app: &App, session: &mut Session, name: &str, arguments: &[Bytes]) -> Reply {
    match (name, arguments) {
        ("ping", []) => Reply::Simple("PONG"),
        ("ping", [message]) => Reply::Bulk(message.clone()),
        ("ping", _) => Reply::Error("ERR wrong number of arguments for 'ping' command".to_owned()),
        ("select", [index]) if index.as_ref() == b"0" => Reply::Simple("OK"),
        ("select", _) => Reply::Error("ERR DB index is out of range".to_owned()),
        ("auth", [password]) => authorize(app, session, b"default", password).unwrap_or(Reply::Simple("OK")),
        ("auth", [user, password]) => authorize(app, session, user, password).unwrap_or(Reply::Simple("OK")),
        ("auth", _) => Reply::Error("ERR syntax error".to_owned()),
        ("hello", _) => hello(app, session, arguments),
        ("client", [sub, rest @ ..]) => client(session, sub, rest),
        ("command", _) => command(arguments),
        ("quit", _) => {
            session.is_closing = true;
            Reply::Simple("OK")
        }
        _ => Reply::Error("ERR syntax error".to_owned()),
    }
}

/// Lets the password's bearer in, or answers why not.
fn authorize(app: &App, session: &mut Session, user: &[u8], password: &[u8]) -> Option<Reply> {
    let Some(expected) = &app.redis_password else {
        let text = "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                    your configuration is correct?";
        return Some(Reply::Error(text.to_owned()));
    };
    session.is_authorized =
        user == b"default" && std::str::from_utf8(password).is_ok_and(|given| expected.matches(given));
    (!session.is_authorized)
        .then(|| Reply::Error("WRONGPASS invalid username-password pair or user is disabled.".to_owned()))
}

fn hello(app: &App, session: &mut Session, arguments: &[Bytes]) -> Reply {
    let mut arguments = arguments.iter();
    let mut version = session.version;
    if let Some(asked) = arguments.next() {
        version = match asked.as_ref() {
            b"2" => 2,
            b"3" => 3,
            _ => return Reply::Error("NOPROTO unsupported protocol version".to_owned()),
        };
    }
    while let Some(option) = arguments.next() {
        match option.to_ascii_lowercase().as_slice() {
            b"auth" => {
                let (Some(user), Some(password)) = (arguments.next(), arguments.next()) else {
                    return Reply::Error("ERR syntax error in HELLO".to_owned());
                };
                if let Some(refused) = authorize(app, session, user, password) {
                    return refused;
                }
            }
            b"setname" if arguments.next().is_some() => {}
            _ => return Reply::Error("ERR syntax error in HELLO".to_owned()),
        }
    }
    if app.redis_password.is_some() && !session.is_authorized {
        let text = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                    <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                    the same time";
        return Reply::Error(text.to_owned());
    }
    session.version = version;
    let pair = |name: &str, value: Reply| (Reply::bulk(name), value);
    Reply::Map(vec![
        pair("server", Reply::bulk("redis")),
        pair("version", Reply::bulk(REDIS_VERSION)),
        pair("proto", Reply::Int(i64::from(version))),
        pair("id", Reply::Int(session.id.cast_signed())),
        pair("mode", Reply::bulk("standalone")),
        pair("role", Reply::bulk("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
}

/// The version whose manners are followed; clients choose their features by it.
const REDIS_VERSION: &str = "7.4.0";

fn client(session: &Session, sub: &Bytes, rest: &[Bytes]) -> Reply {
    match (sub.to_ascii_lowercase().as_slice(), rest.len()) {
        (b"setname", 1) | (b"setinfo", 2) | (b"no-evict" | b"no-touch", 1) => Reply::Simple("OK"),
        (b"getname", 0) => Reply::Null,
        (b"id", 0) => Reply::Int(session.id.cast_signed()),
        (b"info", 0) => Reply::bulk(format!("id={} db=0 resp={}\n", session.id, session.version)),
        _ => Reply::Error(format!("ERR unknown subcommand '{}'. Try CLIENT HELP.", printable(sub))),
    }
}

fn command(arguments: &[Bytes]) -> Reply {
    let describe = |(name, arity, takes_keys): &(&str, i64, bool)| {
        let (first, last, step) = match (takes_keys, *arity) {
            (false, _) => (0, 0, 0),
            (true, ..0) => (1, -1, 1),
            (true, _) => (1, 1, 1),
        };
        let flags = ["readonly", "fast"].map(Reply::Simple).into();
        let numbers = [first, last, step].map(Reply::Int);
        Reply::Array([Reply::bulk(*name), Reply::Int(*arity), Reply::Array(flags)].into_iter().chain(numbers).collect())
    };
    let Some(sub) = arguments.first() else { return Reply::Array(COMMANDS.iter().map(describe).collect()) };
    match sub.to_ascii_lowercase().as_slice() {
        b"count" => Reply::Int(COMMANDS.len() as i64),
        b"docs" => Reply::Map(Vec::new()),
        b"info" => {
            let one = |name: &Bytes| {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                COMMANDS.iter().find(|(known, _, _)| *known == name).map_or(Reply::Null, describe)
            };
            Reply::Array(arguments[1..].iter().map(one).collect())
        }
        _ => Reply::Error(format!("ERR unknown subcommand '{}'. Try COMMAND HELP.", printable(sub))),
    }
}

/// Commands that walk over everything.
async fn walk(app: &App, session: &mut Session, name: &str, arguments: &[Bytes]) -> Reply {
    match name {
        "scan" => match scan_arguments(arguments) {
            Ok((cursor, count, filter)) => match scan::step(app, &mut session.walk, cursor, count, &filter).await {
                Ok((next, keys)) => {
                    let keys = keys.into_iter().map(Reply::bulk).collect();
                    Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(keys)])
                }
                Err(cause) => unreadable(&cause),
            },
            Err(error) => Reply::Error(error.to_owned()),
        },
        "keys" => {
            let filter = Filter { pattern: arguments.first().cloned(), kind: None };
            match scan::all(app, &filter, KEYS_MAX).await {
                Err(cause) => unreadable(&cause),
                Ok(Some(keys)) => Reply::Array(keys.into_iter().map(Reply::bulk).collect()),
                Ok(None) => Reply::Error(format!("ERR more than {KEYS_MAX} keys match; use SCAN")),
            }
        }
        "dbsize" => scan::count(app).await.map_or_else(|cause| unreadable(&cause), |keys| Reply::Int(keys as i64)),
        _ => {
            let keys = match scan::count(app).await {
                Ok(keys) => keys,
                Err(cause) => return unreadable(&cause),
            };
            let version = env!("CARGO_PKG_VERSION");
            Reply::bulk(format!(
                "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nmidsession_version:{version}\r\n\
                 \r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\
                 \r\n# Keyspace\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n"
            ))
        }
    }
}

fn scan_arguments(arguments: &[Bytes]) -> Result<(u64, usize, Filter), &'static str> {
    let number = |bytes: &Bytes| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = number(&arguments[0]).ok_or("ERR invalid cursor")?;
    let (mut count, mut filter) = (10, Filter::default());
    let mut options = arguments[1..].chunks_exact(2);
    for option in options.by_ref() {
        match option[0].to_ascii_lowercase().as_slice() {
            b"match" => filter.pattern = Some(option[1].clone()),
            b"count" => {
                let given = number(&option[1]).ok_or("ERR value is not an integer or out of range")?;
                if given == 0 {
                    return Err("ERR syntax error");
                }
                count = usize::try_from(given).unwrap_or(usize::MAX);
            }
            b"type" => filter.kind = Some(String::from_utf8_lossy(&option[1]).to_ascii_lowercase()),
            _ => return Err("ERR syntax error"),
        }
    }
    if options.remainder().is_empty() { Ok((cursor, count, filter)) } else { Err("ERR syntax error") }
}

impl Lookup {
    /// Plans to read a key. Keys of one entity in a row share a question.
    fn new(app: &App, bytes: &Bytes, with_expiry: bool, asks: &mut Vec<Ask>) -> Self {
        let is_field = |kind: &str| app.backend.field_keys().iter().any(|key| key == kind);
        let Some(key) = Key::parse(bytes, is_field) else { return Self(None) };
        let is_same =
            |ask: &&mut Ask| ask.entity == key.entity && ask.profile == key.profile && ask.with_expiry == with_expiry;
        match asks.last_mut().filter(is_same) {
            Some(ask) => match &key.feature {
                // Everything is asked for already.
                _ if ask.names.is_empty() => {}
                Some(name) => {
                    if !ask.names.contains(name) {
                        ask.names.push(name.clone());
                    }
                }
                None => ask.names.clear(),
            },
            None => {
                let names = key.feature.iter().cloned().collect();
                let (entity, profile) = (key.entity.clone(), key.profile.clone());
                asks.push(Ask { entity, profile, names, with_expiry });
            }
        }
        Self(Some((asks.len() - 1, key)))
    }

    fn features<'a>(&self, answers: &'a Answers) -> Result<Option<(&'a Features, &Key)>, Reply> {
        let Some((index, key)) = self.0.as_ref() else { return Ok(None) };
        match answers.get(*index) {
            Some(Ok(Some(features))) => Ok(Some((features, key))),
            Some(Err(cause)) => Err(unreadable(cause)),
            _ => Ok(None),
        }
    }

    /// What a key holds.
    fn held(&self, answers: &Answers) -> Result<Held, Reply> {
        let Some((features, key)) = self.features(answers)? else { return Ok(Held::Nothing) };
        let now_ms = features.as_of.first().map_or(0, |as_of| as_of.now);
        let left_ms = |served: &Served| served.expires_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms));
        let Some(name) = key.feature.as_ref() else {
            // What all has gone of is no hash; one value that stays keeps it.
            let lefts: Option<Vec<i64>> = features.present().map(|(served, _)| left_ms(served)).collect();
            let left_ms = lefts.and_then(|lefts| lefts.into_iter().max());
            return Ok(features.present().next().map_or(Held::Nothing, |_| Held::Hash { left_ms }));
        };
        let present = features.present().find(|(served, _)| served.name == *name);
        Ok(present.map_or(Held::Nothing, |(served, value)| Held::Text {
            text: value.text(features.text),
            left_ms: left_ms(served),
        }))
    }
}

/// What a key holds.
enum Held {
    Nothing,
    /// A value, and how long it is kept if nothing happens; for ever when absent. ms.
    Text {
        text: String,
        left_ms: Option<i64>,
    },
    /// All values of an entity, likewise.
    Hash {
        left_ms: Option<i64>,
    },
}

type Answers = [Result<Option<Features>, Unreadable>];

/// Reads what the plans need, at once, and replies in order.
async fn answer(app: &App, plans: Vec<(u8, Plan)>, asks: Vec<Ask>) -> Vec<(u8, Reply)> {
    let answers = if asks.is_empty() { Vec::new() } else { app.backend.features(asks).await };
    plans
        .into_iter()
        .map(|(version, plan)| (version, reply(plan, &answers).unwrap_or_else(|refused| refused)))
        .collect()
}

/// The reply of one plan, or its error.
fn reply(plan: Plan, answers: &Answers) -> Result<Reply, Reply> {
    let wrong_type = || Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned());
    Ok(match plan {
        Plan::Ready(reply) => reply,
        Plan::Get(lookup) => match lookup.held(answers)? {
            Held::Text { text, .. } => Reply::bulk(text),
            Held::Nothing => Reply::Null,
            Held::Hash { .. } => wrong_type(),
        },
        Plan::Many(lookups) => {
            let one = |lookup: &Lookup| {
                Ok(match lookup.held(answers)? {
                    Held::Text { text, .. } => Reply::bulk(text),
                    Held::Nothing | Held::Hash { .. } => Reply::Null,
                })
            };
            Reply::Array(lookups.iter().map(one).collect::<Result<_, Reply>>()?)
        }
        Plan::Exists(lookups) => {
            let mut count = 0;
            for lookup in &lookups {
                count += i64::from(!matches!(lookup.held(answers)?, Held::Nothing));
            }
            Reply::Int(count)
        }
        // What a window has lost its last event of is gone; counts are 0 and stay. Whole seconds, as Redis rounds them.
        Plan::Ttl(lookup) => Reply::Int(match lookup.held(answers)? {
            Held::Nothing => -2,
            Held::Text { left_ms, .. } | Held::Hash { left_ms } => left_ms.map_or(-1, |left_ms| (left_ms + 500) / 1000),
        }),
        Plan::Type(lookup) => Reply::Simple(match lookup.held(answers)? {
            Held::Nothing => "none",
            Held::Text { .. } => "string",
            Held::Hash { .. } => "hash",
        }),
        Plan::Hash(lookup) => match (lookup.held(answers)?, lookup.features(answers)?) {
            (Held::Text { .. }, _) => wrong_type(),
            (Held::Hash { .. }, Some((features, _))) => {
                let pair = |(served, value): (&Served, &FeatureValue)| {
                    (Reply::bulk(served.name.as_str()), Reply::bulk(value.text(features.text)))
                };
                Reply::Map(features.present().map(pair).collect())
            }
            _ => Reply::Map(Vec::new()),
        },
    })
}
