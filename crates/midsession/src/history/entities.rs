//! For whom and as of when features are asked: CSV with a header, or JSON lines; sorted by their instant.

use super::arrivals::{Lines, no_room, unpacked};
use super::beside::{self, Beside, goes_along};
use super::instant::micros;
use super::sort::{Item, Ordered, Sorter};
use crate::cli::Failure;
use midsession_collect::context::{CSV_ROW_BYTES_MAX, CsvRow, CsvRows};
use midsession_edge::AsOf;
use midsession_event::Str;
use midsession_feature::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufRead;
use std::path::Path;

/// Answers by a field that are asked for as they were served, in one file: what the partitions have of each is in memory
/// until the last of them has been read.
const FIELD_ANSWERS_MAX: usize = 100_000;

/// Whose features are asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Whose {
    /// A user's or visitor's.
    User,
    /// A session's.
    Session,
    /// Everybody's, by a value of this field.
    Field(Str),
}

impl From<Key> for Whose {
    fn from(key: Key) -> Self {
        match key {
            Key::User => Self::User,
            Key::Session => Self::Session,
        }
    }
}

impl Whose {
    /// How a row says it.
    pub fn name(&self) -> &str {
        match self {
            Self::User => Key::User.name(),
            Self::Session => Key::Session.name(),
            Self::Field(field) => field,
        }
    }
}

/// One question; of an answer by a field as it was served, what it asks of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entity {
    /// What the id is of.
    pub whose: Whose,
    /// The id.
    pub id: Str,
    /// The instant. Epoch µs.
    pub at_us: i64,
    /// The state that a live answer was read from.
    pub as_of: Option<(u32, i64)>,
    /// By a field as it was served: the row of the answer, and of how many partitions it is.
    pub part_of: Option<(u64, u32)>,
    /// What the row says beside that.
    pub beside: Beside,
}

impl Entity {
    /// At an instant.
    pub fn at(whose: Whose, id: &str, at_us: i64) -> Self {
        Self { whose, id: id.into(), at_us, as_of: None, part_of: None, beside: Vec::new() }
    }

    /// The instant that windows end at. Epoch ms.
    pub fn now_ms(&self) -> i64 {
        self.at_us.div_euclid(1000)
    }

    /// As of a state that a live answer named.
    pub fn served(whose: Whose, id: &str, as_of: AsOf) -> Self {
        let AsOf { partition, offset, now } = as_of;
        Self { as_of: Some((partition, offset)), ..Self::at(whose, id, now * 1000) }
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
    /// What is asked for.
    pub whose: BTreeSet<Whose>,
    /// What rows say beside that.
    pub beside: beside::Columns,
}

impl Entities {
    /// Reads a file; `fields` are those that features go by.
    ///
    /// # Errors
    /// It can't be read, or a row does not say whose features as of when.
    pub fn open(path: &Path, fields: &[Str], memory_bytes: usize) -> Result<Self, Failure> {
        let unreadable = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let mut reader = unpacked(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
        let start = reader.fill_buf().map_err(unreadable)?;
        let is_json = start.trim_ascii_start().first() == Some(&b'{');
        let mut sorting = Sorting::new(memory_bytes);
        sorting.beside.are_texts = !is_json;
        let wrong = |line: u64, what: String| {
            let fields: String = fields.iter().map(|field| format!(", {field}")).collect();
            let hint = format!(
                "a row has one of user, session{fields}, and at (RFC 3339, or epoch ms) or as_of {{partition, offset, now}}; by a field \
                 as_of is a list of them"
            );
            Failure::new(format!("{}:{line}: {what}", path.display())).hint(hint)
        };
        if is_json {
            let (mut lines, mut line) = (Lines::new(reader), Vec::new());
            while lines.next(&mut line).map_err(unreadable)? {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                for entity in of_json(&line, fields, lines.number).map_err(|what| wrong(lines.number, what))? {
                    sorting.push(&entity, lines.number).map_err(|error| error.into_failure(&wrong, lines.number))?;
                }
            }
        } else {
            let said = |line: u64, what: &str| Failure::new(format!("{}:{line}: {what}", path.display()));
            let mut rows = CsvRows::new(reader, CSV_ROW_BYTES_MAX);
            let mut columns = None;
            while let Some(CsvRow { line, fields: read, .. }) = rows.next_row().map_err(unreadable)? {
                let row = read.map_err(|fault| said(line, &fault.message).hint(fault.hint.unwrap_or_default()))?;
                let row = text(row).map_err(|what| wrong(line, what))?;
                let Some(columns) = &columns else {
                    columns = Some(Columns::of(&row, fields).map_err(|what| wrong(line, what))?);
                    continue;
                };
                if row.len() != columns.count {
                    let what = format!("{} fields where the header has {}", row.len(), columns.count);
                    let hint = "leave a comma for each field that is empty; put text with a comma in it in quotes";
                    return Err(said(line, &what).hint(hint));
                }
                let entity = columns.read(&row).map_err(|what| wrong(line, what))?;
                sorting.push(&entity, line).map_err(|error| error.into_failure(&wrong, line))?;
            }
            if columns.is_none() {
                return Err(wrong(1, "the file is empty".into()));
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
        let mut entity: Entity = serde_json::from_slice(&item.bytes).map_err(Failure::new)?;
        self.beside.typed(&mut entity.beside);
        Ok(Some(entity))
    }
}

struct Sorting {
    sorter: Sorter,
    as_of: Option<bool>,
    whose: BTreeSet<Whose>,
    /// Rows of answers by a field, as they were served.
    answers: BTreeSet<u64>,
    beside: beside::Columns,
}

/// Why a question can't be taken.
enum Refused {
    Mixed,
    TooMany,
    Io(std::io::Error),
}

impl Refused {
    fn into_failure(self, wrong: &dyn Fn(u64, String) -> Failure, line: u64) -> Failure {
        match self {
            Self::Mixed => wrong(line, "rows with as_of and rows without it: give them in files of their own".into()),
            Self::TooMany => wrong(
                line,
                format!("more than {FIELD_ANSWERS_MAX} rows by a field with as_of: give them in files of their own"),
            ),
            Self::Io(error) => no_room(error),
        }
    }
}

impl Sorting {
    fn new(memory_bytes: usize) -> Self {
        Self {
            sorter: Sorter::new(memory_bytes),
            as_of: None,
            whose: BTreeSet::new(),
            answers: BTreeSet::new(),
            beside: beside::Columns::default(),
        }
    }

    fn push(&mut self, entity: &Entity, place: u64) -> Result<(), Refused> {
        if *self.as_of.get_or_insert(entity.as_of.is_some()) != entity.as_of.is_some() {
            return Err(Refused::Mixed);
        }
        if !self.whose.contains(&entity.whose) {
            self.whose.insert(entity.whose.clone());
        }
        if let Some((row, _)) = entity.part_of
            && self.answers.insert(row)
            && self.answers.len() > FIELD_ANSWERS_MAX
        {
            return Err(Refused::TooMany);
        }
        self.beside.see(&entity.beside);
        let bytes = serde_json::to_vec(entity).map_err(|error| Refused::Io(error.into()))?;
        self.sorter.push(Item { at_us: entity.rank(), place, tag: 0, bytes }).map_err(Refused::Io)
    }

    fn finish(self) -> Result<Entities, Failure> {
        Ok(Entities {
            items: self.sorter.finish().map_err(no_room)?,
            as_of: self.as_of.unwrap_or(false),
            whose: self.whose,
            beside: self.beside,
        })
    }
}

/// What one row names, of what it could.
fn named<T>(found: impl IntoIterator<Item = (Whose, T)>) -> Result<(Whose, T), String> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some((one, _)), Some((other, _))) => {
            Err(format!("the row names a {} and a {}: name one of them", one.name(), other.name()))
        }
        (None, _) => Err("the row names neither a user nor a session".into()),
    }
}

/// All that a row may name.
fn all_of(fields: &[Str]) -> impl Iterator<Item = Whose> {
    [Whose::User, Whose::Session].into_iter().chain(fields.iter().cloned().map(Whose::Field))
}

fn of_json(line: &[u8], fields: &[Str], number: u64) -> Result<Vec<Entity>, String> {
    let row: Value = serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let id = |name: &str| match &row[name] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (whose, id) = named(all_of(fields).filter_map(|whose| id(whose.name()).map(|id| (whose, id))))?;
    let as_of = |value: &Value| {
        let part = |name: &str| value[name].as_i64().ok_or_else(|| format!("as_of has no number {name}"));
        let partition = u32::try_from(part("partition")?).map_err(|_| "as_of.partition is out of range".to_owned())?;
        Ok::<_, String>(AsOf { partition, offset: part("offset")?, now: part("now")? })
    };
    let at = match &row["at"] {
        Value::String(text) => Some(micros(text)?),
        Value::Number(number) => Some(micros(&number.to_string())?),
        _ => None,
    };
    let members = row.as_object().into_iter().flatten().filter(|(name, _)| goes_along(name, fields));
    let beside: Beside = members.map(|(name, value)| (name.as_str().into(), value.clone())).collect();
    match (&row["as_of"], &whose, at) {
        (Value::Null, _, Some(at_us)) => Ok(vec![Entity { beside, ..Entity::at(whose, &id, at_us) }]),
        (Value::Null, _, None) => Err("the row says no instant: at".into()),
        (Value::Array(all), Whose::Field(_), _) if !all.is_empty() => {
            let all: Vec<AsOf> = all.iter().map(as_of).collect::<Result<_, _>>()?;
            let different: BTreeSet<u32> = all.iter().map(|as_of| as_of.partition).collect();
            if different.len() < all.len() {
                return Err("as_of names a partition twice".into());
            }
            let part_of = Some((number, all.len() as u32));
            let of = |as_of| Entity { part_of, beside: beside.clone(), ..Entity::served(whose.clone(), &id, as_of) };
            Ok(all.into_iter().map(of).collect())
        }
        (_, Whose::Field(_), _) => Err("by a field, as_of is a list: one of each partition".into()),
        (value, ..) => Ok(vec![Entity { beside, ..Entity::served(whose, &id, as_of(value)?) }]),
    }
}

/// A row of CSV as text, without the blanks around its fields.
fn text(row: &csv::ByteRecord) -> Result<csv::StringRecord, String> {
    let mut row = csv::StringRecord::from_byte_record(row.clone()).map_err(|_| "not UTF-8".to_owned())?;
    row.trim();
    Ok(row)
}

/// Where the columns of a CSV file are.
struct Columns {
    /// How many there are, with those that mean nothing here.
    count: usize,
    whose: Vec<(Whose, usize)>,
    at: Option<usize>,
    as_of: Option<[usize; 3]>,
    beside: Vec<(Str, usize)>,
}

impl Columns {
    fn of(header: &csv::StringRecord, fields: &[Str]) -> Result<Self, String> {
        let is_second = |at: usize, name: &str| !name.is_empty() && header.iter().take(at).any(|column| column == name);
        if let Some((_, name)) = header.iter().enumerate().find(|(at, name)| is_second(*at, name)) {
            return Err(format!("the column {name} stands twice"));
        }
        let find = |name: &str| header.iter().position(|column| column == name);
        let as_of = match (find("partition"), find("offset"), find("now")) {
            (Some(partition), Some(offset), Some(now)) => Some([partition, offset, now]),
            _ => None,
        };
        let whose = all_of(fields).filter_map(|whose| find(whose.name()).map(|column| (whose, column))).collect();
        let named = header.iter().enumerate().filter(|(column, name)| {
            goes_along(name, fields) && !as_of.is_some_and(|columns: [usize; 3]| columns.contains(column))
        });
        let beside = named.map(|(column, name)| (name.into(), column)).collect();
        let columns = Self { count: header.len(), whose, at: find("at"), as_of, beside };
        if columns.whose.is_empty() || columns.at.is_none() && columns.as_of.is_none() {
            let names: Vec<&str> = header.iter().take(8).collect();
            return Err(format!("the header ({}) lacks user or session, or at", names.join(", ")));
        }
        Ok(columns)
    }

    fn read(&self, row: &csv::StringRecord) -> Result<Entity, String> {
        let field = |column: usize| row.get(column).filter(|text| !text.is_empty());
        let ids = self.whose.iter().filter_map(|(whose, column)| field(*column).map(|id| (whose.clone(), id)));
        let (whose, id) = named(ids)?;
        let beside = self.beside.iter().filter_map(|(name, column)| Some((name.clone(), field(*column)?.into())));
        let beside: Beside = beside.collect();
        match self.as_of {
            Some(columns) if field(columns[0]).is_some() => {
                if matches!(whose, Whose::Field(_)) {
                    return Err("by a field, as_of is a list: give the answers as they came, in JSON lines".into());
                }
                let number = |column: usize| {
                    let text = row.get(column).unwrap_or_default();
                    text.parse::<i64>().map_err(|_| format!("`{text}` is not a whole number"))
                };
                let [partition, offset, now] = columns;
                let partition =
                    u32::try_from(number(partition)?).map_err(|_| "partition is out of range".to_owned())?;
                let as_of = AsOf { partition, offset: number(offset)?, now: number(now)? };
                Ok(Entity { beside, ..Entity::served(whose, id, as_of) })
            }
            _ => {
                let at = self.at.and_then(field).ok_or_else(|| "the row says no instant: at".to_owned())?;
                Ok(Entity { beside, ..Entity::at(whose, id, micros(at)?) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Entity>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        let mut entities =
            Entities::open(file.path(), &["product".into()], 1 << 20).map_err(|failure| failure.cause)?;
        let mut all = Vec::new();
        while let Some(entity) = entities.next_entity().expect("reads back") {
            all.push(entity);
        }
        Ok(all)
    }

    #[test]
    fn rows_come_in_the_order_of_their_instant() {
        let user = |id: &str, at_us| Entity::at(Whose::User, id, at_us);
        let session = |id: &str, at_us| Entity::at(Whose::Session, id, at_us);
        let product = |id: &str, at_us| Entity::at(Whose::Field("product".into()), id, at_us);
        let noon = 1_795_348_800_000_000;
        let having = |name: &str, value: Value, entity| Entity { beside: vec![(name.into(), value)], ..entity };
        for (text, expected) in [
            (
                "user,at,label\nb,2026-11-22T12:00:01Z,1\n\"a,b\",2026-11-22T12:00:00.5Z,0\n",
                vec![
                    having("label", 0.into(), user("a,b", noon + 500_000)),
                    having("label", 1.into(), user("b", noon + 1_000_000)),
                ],
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
            (
                "product,user,at\np,,1795348800002\n,u,1795348800001\n",
                vec![user("u", noon + 1_000), product("p", noon + 2_000)],
            ),
            (
                "{\"product\":\"p\",\"as_of\":[{\"partition\":1,\"offset\":5,\"now\":9},{\"partition\":0,\"offset\":6,\"now\":8}]}",
                vec![
                    Entity { as_of: Some((0, 6)), part_of: Some((1, 2)), ..product("p", 8_000) },
                    Entity { as_of: Some((1, 5)), part_of: Some((1, 2)), ..product("p", 9_000) },
                ],
            ),
            (
                "\u{feff}user,at,note,,\nb,1795348800000,\"two\nlines\",,\n",
                vec![having("note", "two\nlines".into(), user("b", noon))],
            ),
            (
                "{\"user\":\"b\",\"at\":1795348800000,\"label\":\"1\",\"known\":1,\"features\":{}}",
                vec![having("label", "1".into(), user("b", noon))],
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
            (
                "user,at\na,1795348800000\na,1795348800\n",
                ":3: `1795348800` is no epoch ms between the years 2000 and 2200: it looks like epoch seconds",
            ),
            ("{\"user\":\"a\",\"at\":1795348800}", ":1: `1795348800` is no epoch ms"),
            ("user,at\na,1795348800000000\n", "2200: it looks like epoch microseconds"),
            ("user,at\na,-9223372036854775808\n", ":2: `-9223372036854775808` is no epoch ms"),
            ("user,at\na,7\n", ":2: `7` is no epoch ms between the years 2000 and 2200"),
            ("user,at\n,1795348800000\n", ":2: the row names neither"),
            ("user,session,at\na,b,1\n", ":2: the row names a user and a session"),
            ("user,product,at\na,b,1\n", ":2: the row names a user and a product"),
            ("product,partition,offset,now\np,2,3,4\n", ":2: by a field, as_of is a list: give"),
            (
                "{\"product\":\"p\",\"as_of\":{\"partition\":0,\"offset\":1,\"now\":1}}",
                ":1: by a field, as_of is a list: one",
            ),
            (
                "{\"product\":\"p\",\"as_of\":[{\"partition\":0,\"offset\":1,\"now\":1},{\"partition\":0,\"offset\":2,\"now\":1}]}",
                ":1: as_of names a partition twice",
            ),
            ("{\"user\":\"a\",\"as_of\":[]}", ":1: as_of has no number partition"),
            ("{\"user\":\"a\"}\n", ":1: the row says no instant"),
            ("", ":1: the file is empty"),
            ("user,at,user\na,1795348800000,b\n", ":1: the column user stands twice"),
            ("user,at\na,1795348800000\nb\n", ":3: 1 fields where the header has 2"),
            ("user,at\na,1795348800000\n\"b,1795348800000\nc,1795348800000\n", ":3: a quote that opens in this row"),
            ("user,at,note\na,1795348800000,\"b\nc,1795348800000,\"d\"\n", ":2: a quote that opens in this row"),
            ("{\"user\":\"a\",\"at\":1795348800000}\n{\n", ":2: not a JSON object"),
            (
                "{\"user\":\"a\",\"at\":1795348800000}\n{\"user\":\"a\",\"as_of\":{\"partition\":0,\"offset\":1,\"now\":1}}",
                ":2: rows with as_of",
            ),
            ("{\"user\":\"a\",\"as_of\":{\"partition\":0}}", ":1: as_of has no number offset"),
        ] {
            let found = read(text).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
