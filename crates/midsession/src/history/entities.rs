//! For whom and as of when features are asked: CSV with a header, or JSON lines; sorted by their instant.

use super::arrivals::{Lines, no_room, unpacked};
use super::sort::{Item, Ordered, Sorter};
use crate::cli::Failure;
use midsession_edge::AsOf;
use midsession_event::Str;
use midsession_feature::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::BufRead;
use std::path::Path;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entity {
    /// Asks for a session; else for a user or visitor.
    pub is_session: bool,
    /// The id.
    pub id: Str,
    /// The instant. Epoch µs.
    pub at_us: i64,
    /// The state that a live answer was read from.
    pub as_of: Option<(u32, i64)>,
}

impl Entity {
    /// Whose features.
    pub fn key(&self) -> Key {
        if self.is_session { Key::Session } else { Key::User }
    }

    /// The instant that windows end at. Epoch ms.
    pub fn now_ms(&self) -> i64 {
        self.at_us.div_euclid(1000)
    }

    /// As of a state that a live answer named.
    pub fn served(key: Key, id: &str, as_of: AsOf) -> Self {
        let AsOf { partition, offset, now } = as_of;
        Self { is_session: key == Key::Session, id: id.into(), at_us: now * 1000, as_of: Some((partition, offset)) }
    }

    /// Asked as of a place in a log: by partition, then by place.
    fn rank(&self) -> i64 {
        self.as_of.map_or(self.at_us, |(partition, offset)| {
            (i64::from(partition) << 44) + offset.clamp(-1, (1 << 44) - 2) + 1
        })
    }
}

/// All questions in order.
pub struct Entities {
    /// In the order of their instant, or of their place in the log.
    pub items: Ordered,
    /// They name the state of a live answer.
    pub as_of: bool,
    /// Sessions are asked for.
    pub sessions: bool,
    /// Users or visitors are.
    pub users: bool,
}

impl Entities {
    /// Reads a file.
    ///
    /// # Errors
    /// It can't be read, or a row does not say whose features as of when.
    pub fn open(path: &Path, memory_bytes: usize) -> Result<Self, Failure> {
        let unreadable = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let mut reader = unpacked(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
        let start = reader.fill_buf().map_err(unreadable)?;
        let is_json = start.trim_ascii_start().first() == Some(&b'{');
        let mut sorting = Sorting::new(memory_bytes);
        let wrong = |line: u64, what: String| {
            let hint = "a row has user or session, and at (RFC 3339) or as_of {partition, offset, now}";
            Failure::new(format!("{}:{line}: {what}", path.display())).hint(hint)
        };
        if is_json {
            let (mut lines, mut line) = (Lines::new(reader), Vec::new());
            while lines.next(&mut line).map_err(unreadable)? {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let entity = of_json(&line).map_err(|what| wrong(lines.number, what))?;
                sorting.push(&entity, lines.number).map_err(|error| error.into_failure(&wrong, lines.number))?;
            }
        } else {
            let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
            let header = csv.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
            let columns = Columns::of(&header).map_err(|what| wrong(1, what))?;
            for row in csv.records() {
                let row = row.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
                let number = row.position().map_or(0, csv::Position::line);
                let entity = columns.read(&row).map_err(|what| wrong(number, what))?;
                sorting.push(&entity, number).map_err(|error| error.into_failure(&wrong, number))?;
            }
        }
        sorting.finish()
    }

    /// One question alone.
    ///
    /// # Errors
    /// None that could be helped.
    pub fn one(entity: &Entity) -> Result<Self, Failure> {
        let mut sorting = Sorting::new(usize::MAX);
        sorting.push(entity, 1).map_err(|error| error.into_failure(&|_, what| Failure::new(what), 1))?;
        sorting.finish()
    }

    /// The next question.
    ///
    /// # Errors
    /// The temporary file can't be read.
    pub fn next_entity(&mut self) -> Result<Option<Entity>, Failure> {
        let Some(item) = self.items.next().transpose().map_err(no_room)? else { return Ok(None) };
        serde_json::from_slice(&item.bytes).map(Some).map_err(Failure::new)
    }
}

struct Sorting {
    sorter: Sorter,
    as_of: Option<bool>,
    sessions: bool,
    users: bool,
}

/// Why a question can't be taken.
enum Refused {
    Mixed,
    Io(std::io::Error),
}

impl Refused {
    fn into_failure(self, wrong: &dyn Fn(u64, String) -> Failure, line: u64) -> Failure {
        match self {
            Self::Mixed => wrong(line, "rows with as_of and rows without it: give them in files of their own".into()),
            Self::Io(error) => no_room(error),
        }
    }
}

impl Sorting {
    fn new(memory_bytes: usize) -> Self {
        Self { sorter: Sorter::new(memory_bytes), as_of: None, sessions: false, users: false }
    }

    fn push(&mut self, entity: &Entity, place: u64) -> Result<(), Refused> {
        if *self.as_of.get_or_insert(entity.as_of.is_some()) != entity.as_of.is_some() {
            return Err(Refused::Mixed);
        }
        self.sessions |= entity.is_session;
        self.users |= !entity.is_session;
        let bytes = serde_json::to_vec(entity).map_err(|error| Refused::Io(error.into()))?;
        self.sorter.push(Item { at_us: entity.rank(), place, tag: 0, bytes }).map_err(Refused::Io)
    }

    fn finish(self) -> Result<Entities, Failure> {
        Ok(Entities {
            items: self.sorter.finish().map_err(no_room)?,
            as_of: self.as_of.unwrap_or(false),
            sessions: self.sessions,
            users: self.users,
        })
    }
}

/// A time as RFC 3339, or epoch ms. Epoch µs.
fn micros(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return ms.checked_mul(1000).ok_or_else(|| format!("`{text}` is no time"));
    }
    let time = text.parse::<jiff::Timestamp>();
    time.map(jiff::Timestamp::as_microsecond).map_err(|_| format!("`{text}` is not a time like 2026-11-22T12:00:00Z"))
}

fn entity(user: Option<&str>, session: Option<&str>, at: Option<i64>, as_of: Option<AsOf>) -> Result<Entity, String> {
    let (is_session, id) = match (user.filter(|id| !id.is_empty()), session.filter(|id| !id.is_empty())) {
        (Some(user), None) => (false, user),
        (None, Some(session)) => (true, session),
        (Some(_), Some(_)) => return Err("the row names a user and a session: name one of them".into()),
        (None, None) => return Err("the row names neither a user nor a session".into()),
    };
    let key = if is_session { Key::Session } else { Key::User };
    match (as_of, at) {
        (Some(as_of), _) => Ok(Entity::served(key, id, as_of)),
        (None, Some(at_us)) => Ok(Entity { is_session, id: id.into(), at_us, as_of: None }),
        (None, None) => Err("the row says no instant: at".into()),
    }
}

fn of_json(line: &[u8]) -> Result<Entity, String> {
    let row: Value = serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let id = |name: &str| match &row[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let at = match &row["at"] {
        Value::String(text) => Some(micros(text)?),
        Value::Number(number) => Some(micros(&number.to_string())?),
        _ => None,
    };
    let as_of = match &row["as_of"] {
        Value::Null => None,
        value => {
            let part = |name: &str| value[name].as_i64().ok_or_else(|| format!("as_of has no number {name}"));
            let partition =
                u32::try_from(part("partition")?).map_err(|_| "as_of.partition is out of range".to_owned())?;
            Some(AsOf { partition, offset: part("offset")?, now: part("now")? })
        }
    };
    entity(id("user").as_deref(), id("session").as_deref(), at, as_of)
}

/// Where the columns of a CSV file are.
struct Columns {
    user: Option<usize>,
    session: Option<usize>,
    at: Option<usize>,
    as_of: Option<[usize; 3]>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, String> {
        let find = |name: &str| header.iter().position(|column| column.trim_start_matches('\u{feff}') == name);
        let as_of = match (find("partition"), find("offset"), find("now")) {
            (Some(partition), Some(offset), Some(now)) => Some([partition, offset, now]),
            _ => None,
        };
        let columns = Self { user: find("user"), session: find("session"), at: find("at"), as_of };
        if columns.user.or(columns.session).is_none() || columns.at.is_none() && columns.as_of.is_none() {
            let names: Vec<&str> = header.iter().take(8).collect();
            return Err(format!("the header ({}) lacks user or session, or at", names.join(", ")));
        }
        Ok(columns)
    }

    fn read(&self, row: &csv::StringRecord) -> Result<Entity, String> {
        let field = |column: Option<usize>| column.and_then(|column| row.get(column)).filter(|text| !text.is_empty());
        let at = field(self.at).map(micros).transpose()?;
        let as_of = match self.as_of {
            Some(columns) if field(Some(columns[0])).is_some() => {
                let number = |column: usize| {
                    let text = row.get(column).unwrap_or_default();
                    text.parse::<i64>().map_err(|_| format!("`{text}` is not a whole number"))
                };
                let [partition, offset, now] = columns;
                let partition =
                    u32::try_from(number(partition)?).map_err(|_| "partition is out of range".to_owned())?;
                Some(AsOf { partition, offset: number(offset)?, now: number(now)? })
            }
            _ => None,
        };
        entity(field(self.user), field(self.session), at, as_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Entity>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        let mut entities = Entities::open(file.path(), 1 << 20).map_err(|failure| failure.cause)?;
        let mut all = Vec::new();
        while let Some(entity) = entities.next_entity().expect("reads back") {
            all.push(entity);
        }
        Ok(all)
    }

    #[test]
    fn rows_come_in_the_order_of_their_instant() {
        let user = |id: &str, at_us| Entity { is_session: false, id: id.into(), at_us, as_of: None };
        let session = |id: &str, at_us| Entity { is_session: true, ..user(id, at_us) };
        let noon = 1_795_348_800_000_000;
        for (text, expected) in [
            (
                "user,at,label\nb,2026-11-22T12:00:01Z,1\n\"a,b\",2026-11-22T12:00:00.5Z,0\n",
                vec![user("a,b", noon + 500_000), user("b", noon + 1_000_000)],
            ),
            ("at,session\n1795348800000,s1\n", vec![session("s1", noon)]),
            (
                "{\"session\":\"s\",\"at\":\"2026-11-22T12:00:00Z\"}\n\n{\"user\":7,\"at\":1795348799000}",
                vec![user("7", noon - 1_000_000), session("s", noon)],
            ),
            (
                "{\"user\":\"u\",\"as_of\":{\"partition\":1,\"offset\":5,\"now\":9},\"features\":{}}\n\
                 {\"user\":\"v\",\"as_of\":{\"partition\":0,\"offset\":6,\"now\":9}}\n\
                 {\"user\":\"w\",\"as_of\":{\"partition\":1,\"offset\":-1,\"now\":9}}",
                vec![
                    Entity { as_of: Some((0, 6)), ..user("v", 9_000) },
                    Entity { as_of: Some((1, -1)), ..user("w", 9_000) },
                    Entity { as_of: Some((1, 5)), ..user("u", 9_000) },
                ],
            ),
            ("user,partition,offset,now\nu,2,3,4\n", vec![Entity { as_of: Some((2, 3)), ..user("u", 4_000) }]),
        ] {
            assert_eq!(read(text).expect("reads"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_with_its_line() {
        for (text, expected) in [
            ("name,at\na,1\n", ":1: the header (name, at) lacks"),
            ("user\na\n", "lacks user or session, or at"),
            ("user,at\na,soon\n", ":2: `soon` is not a time"),
            ("user,at\n,1795348800000\n", ":2: the row names neither"),
            ("user,session,at\na,b,1\n", ":2: the row names a user and a session"),
            ("{\"user\":\"a\"}\n", ":1: the row says no instant"),
            ("{\"user\":\"a\",\"at\":1}\n{\n", ":2: not a JSON object"),
            (
                "{\"user\":\"a\",\"at\":1}\n{\"user\":\"a\",\"as_of\":{\"partition\":0,\"offset\":1,\"now\":1}}",
                ":2: rows with as_of",
            ),
            ("{\"user\":\"a\",\"as_of\":{\"partition\":0}}", ":1: as_of has no number offset"),
        ] {
            let found = read(text).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
