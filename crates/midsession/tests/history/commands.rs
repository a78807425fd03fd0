//! The commands as they are used: formats, outputs, exit codes, and the data that comes with the product.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

pub fn midsession(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_midsession")).args(arguments).current_dir(folder).output().unwrap()
}

/// The rows on stdout.
pub fn rows(arguments: &[&str], folder: &Path) -> Vec<Value> {
    let output = midsession(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exit code and stderr of what goes wrong.
fn wrong(arguments: &[&str], folder: &Path) -> (i32, String) {
    let output = midsession(arguments, folder);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn sample(file: &str) -> String {
    format!("{}/../../data/serenade-sample/{file}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_samples_sessions_are_those_of_a_plain_count() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample("train.txt.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    let mut clicks: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let at_ms = (fields[2].parse::<f64>().unwrap() * 1000.0).round() as i64;
        clicks.entry(format!("bol-{}", fields[0])).or_default().push(at_ms);
    }
    // (start, end, views) of each visit: cut where more than half an hour lies between two clicks.
    let mut expected: Vec<(String, i64, i64, i64)> = Vec::new();
    for (visitor, times) in &mut clicks {
        times.sort_unstable();
        let mut from = 0;
        for at in 1..=times.len() {
            if at == times.len() || times[at] - times[at - 1] > 30 * 60 * 1000 {
                expected.push((visitor.clone(), times[from], times[at - 1], (at - from) as i64));
                from = at;
            }
        }
    }
    let found = rows(&["sessions", "--events", &file], folder.path());
    let ms = |row: &Value, name: &str| row[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let mut told: Vec<(String, i64, i64, i64)> = found
        .iter()
        .map(|row| {
            assert_eq!(row["arrival"], "assumed");
            assert_eq!(row["events"], row["product_views"]);
            let visitor = row["visitor_id"].as_str().unwrap().to_owned();
            (visitor, ms(row, "started_at"), ms(row, "ended_at"), row["events"].as_i64().unwrap())
        })
        .collect();
    told.sort();
    expected.sort();
    assert_eq!(told.len(), expected.len());
    assert_eq!(told, expected);
    assert!(found.iter().any(|row| row["state"] == "closed") && found.iter().any(|row| row["state"] == "open"));
}

/// None of the data sets has ids of events: rows of different files are different events.
#[test]
fn a_data_set_in_several_files_is_what_it_is_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut serenade = String::new();
    GzDecoder::new(std::fs::File::open(sample("valid.txt.gz")).unwrap()).read_to_string(&mut serenade).unwrap();
    let otto: String = (0..60)
        .map(|number| {
            let ts = 1_659_304_800_000_i64 + number / 6 * 1_000;
            let event = |kind: &str| format!(r#"{{"aid":{number},"ts":{ts},"type":"{kind}"}}"#);
            format!("{{\"session\":{},\"events\":[{},{}]}}\n", number % 3, event("clicks"), event("carts"))
        })
        .collect();
    let ecom: String = (0..60)
        .map(|number| {
            format!("u{},s1,product_view,2024-03-13 10:{:02}:00,web,email,2024-01,new\n", number % 3, number / 6)
        })
        .collect();
    let ecom = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle\n"
        .to_owned()
        + &ecom;
    // A session's id is the first event's.
    let sessions = |files: &[&str]| {
        let mut found = rows(&[&["sessions", "--events"], files].concat(), folder.path());
        let ids: BTreeSet<String> = found.iter_mut().map(|row| row["session_id"].take().to_string()).collect();
        assert_eq!(ids.len(), found.len(), "{files:?}");
        found.sort_by_key(Value::to_string);
        found
    };
    for (name, text, has_header, events) in
        [("serenade", serenade, true, 1_451), ("otto", otto, false, 120), ("ecom", ecom, true, 60)]
    {
        let mut lines = text.split_inclusive('\n');
        let header = if has_header { lines.next().unwrap() } else { "" };
        let mut halves = [header.to_owned(), header.to_owned()];
        lines.enumerate().for_each(|(number, line)| halves[number % 2].push_str(line));
        std::fs::write(folder.path().join("whole"), &text).unwrap();
        std::fs::write(folder.path().join("odd"), &halves[0]).unwrap();
        std::fs::write(folder.path().join("even"), &halves[1]).unwrap();
        let whole = sessions(&["whole"]);
        assert_eq!(whole.iter().map(|row| row["events"].as_i64().unwrap()).sum::<i64>(), events, "{name}");
        assert_eq!(sessions(&["odd", "even"]), whole, "{name}");
        let again = |_| rows(&["sessions", "--events", "odd", "even"], folder.path());
        assert_eq!(again(1), again(2), "{name}: the same from run to run");
    }
}

#[test]
fn a_row_follows_each_event() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample("valid.txt.gz");
    let names = "product_view_count_24h,distinct_products_24h,product_view_count_24h";
    let read = midsession(&["features", "--events", &file, "--features", names], folder.path());
    let text = String::from_utf8(read.stdout).unwrap();
    let first = text.lines().next().unwrap_or_default();
    assert_eq!(first.matches("product_view_count_24h").count(), 1, "asked for twice: {first}");
    let user: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(user.len(), 1_451);
    for row in &user {
        assert!(row["user"].as_str().unwrap().starts_with("bol-") && row["event_id"].is_string());
        assert_eq!((&row["arrival"], row["features"].as_object().unwrap().len()), (&"assumed".into(), 2), "{row}");
    }
    let session = rows(&["features", "--events", &file, "--key", "session"], folder.path());
    assert_eq!(session.len(), 1_451);
    assert!(session.iter().all(|row| row["session"].as_str().unwrap().len() == 32));
    // The n-th click of a visit is its n-th view.
    let mut views: BTreeMap<String, i64> = BTreeMap::new();
    for row in &session {
        let count = views.entry(row["session"].as_str().unwrap().to_owned()).or_default();
        *count += 1;
        assert_eq!(row["features"]["product_view_count"], *count, "{row}");
    }
}

#[test]
fn parquet_holds_what_json_lines_hold() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let folder = tempfile::tempdir().unwrap();
    let file = sample("valid.txt.gz");
    for command in ["features", "sessions"] {
        let lines = rows(&[command, "--events", &file], folder.path());
        let told = rows(&[command, "--events", &file, "--output", "rows.parquet", "--json"], folder.path());
        assert_eq!((&told[0]["rows"], &told[0]["refused"]), (&lines.len().into(), &0.into()), "{told:?}");
        let file = std::fs::File::open(folder.path().join("rows.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let mut count = 0;
        for (line, row) in lines.iter().zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            for (name, field) in row.get_column_iter() {
                let told = if line[name].is_null() { &line["features"][name] } else { &line[name] };
                match field {
                    Field::Null => assert!(told.is_null(), "{name}: {line}"),
                    Field::Bool(value) if name == "known" => assert!(*value && told.is_null()),
                    Field::Bool(value) if name == "incomplete" => assert!(!*value && told.is_null()),
                    Field::Bool(value) => assert_eq!(told, value, "{name}: {line}"),
                    Field::Long(value) => assert_eq!(told, value, "{name}: {line}"),
                    Field::Double(value) => assert_eq!(told.as_f64(), Some(*value), "{name}: {line}"),
                    Field::Str(value) => assert_eq!(told, value, "{name}: {line}"),
                    Field::TimestampMillis(value) => {
                        let time: jiff::Timestamp = told.as_str().unwrap().parse().unwrap();
                        assert_eq!(time.as_millisecond(), *value, "{name}: {line}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
            }
            count += 1;
        }
        assert_eq!(count, lines.len());
    }
}

/// Of whom more was done in a day than is kept, a row says it as a live answer does.
#[test]
fn a_value_that_is_not_whole_says_since_when_it_counts() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let folder = tempfile::tempdir().unwrap();
    let begins_ms = 1_795_305_600_000_i64;
    let view = |number: i64| {
        let at_ms = begins_ms + number * 60_000;
        let products: Vec<Value> = (0..100).map(|id| serde_json::json!({"id": format!("{number}-{id}")})).collect();
        serde_json::json!({"event_id": number.to_string(), "name": "product_view", "visitor_id": "v",
            "occurred_at": at_ms, "products": products})
    };
    let lines: Vec<String> = (0..700).map(|number| view(number).to_string()).collect();
    std::fs::write(folder.path().join("events.jsonl"), lines.join("\n")).unwrap();
    let names = "distinct_products_24h,distinct_products_5m";
    let asked = ["features", "--events", "events.jsonl", "--user", "v", "--features", names, "--at"];
    let at = |at: &'static str, more: &[&str]| rows(&[&asked[..], &[at], more].concat(), folder.path());
    let before = at("2026-11-22T04:00:00Z", &[]).remove(0);
    assert_eq!((&before["features"]["distinct_products_24h"], &before["since"]), (&24_100.into(), &Value::Null));
    let row = at("2026-11-22T11:39:00Z", &[]).remove(0);
    let count = row["features"]["distinct_products_24h"].as_i64().unwrap();
    assert!((49_000..65_537).contains(&count), "a quarter has gone: {row}");
    let since_ms = row["since"]["distinct_products_24h"].as_i64().unwrap();
    assert!((begins_ms..begins_ms + 699 * 60_000).contains(&since_ms), "{row}");
    assert_eq!(row["since"].as_object().unwrap().len(), 1, "five minutes are whole: {row}");
    at("2026-11-22T11:39:00Z", &["--output", "rows.parquet", "--json"]);
    let reader = SerializedFileReader::new(std::fs::File::open(folder.path().join("rows.parquet")).unwrap()).unwrap();
    let whole = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let since = whole.get_column_iter().find(|(name, _)| *name == "since").unwrap().1.to_string();
    assert_eq!(since, format!("\"{}\"", row["since"]));
}

#[test]
fn each_format_is_told_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let mut columns = vec![""; 131];
    for (at, value) in [
        (1, "web"),
        (3, "2026-11-22 12:00:00.000"),
        (5, "page_view"),
        (6, "853f037b-2cbe-463f-92b1-f11c349fc405"),
        (9, "js"),
        (15, "d1"),
    ] {
        columns[at] = value;
    }
    write("tsv", &(columns.join("\t") + "\n"));
    let payload = r#"{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":[{"e":"pv","p":"web","tv":"js","eid":"853f037b-2cbe-463f-92b1-f11c349fc405","duid":"d1","dtm":"1795348800000","stm":"1795348800500"}]}"#;
    write("payload", payload);
    let request = format!(
        r#"{{"received_at":"2026-11-22T12:00:00Z","method":"POST","path":"/com.snowplowanalytics.snowplow/tp2","headers":{{"User-Agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"}},"body":{payload}}}"#
    );
    write("requests", &request);
    write(
        "pixel",
        r#"{"received_at":1795348800000,"path":"/i?e=pv&p=web&tv=js&eid=853f037b-2cbe-463f-92b1-f11c349fc405&duid=d1"}"#,
    );
    write(
        "segment",
        r#"{"type":"page","messageId":"m1","anonymousId":"d1","originalTimestamp":"2026-11-22T12:00:00Z","sentAt":"2026-11-22T12:00:00Z","receivedAt":"2026-11-22T12:00:01Z","timestamp":"2026-11-22T12:00:01Z"}"#,
    );
    write("native", r#"{"event_id":"e1","name":"page_view","visitor_id":"d1","occurred_at":"2026-11-22T12:00:00Z"}"#);
    write(
        "otto",
        r#"{"session":0,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"},{"aid":2,"ts":1659304904511,"type":"carts"},{"aid":2,"ts":1659304904512,"type":"orders"}]}"#,
    );
    write(
        "ecom",
        "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle\nuser_0000,sess_1,product_view,2024-03-13 10:21:14,mobile,email,2024-01,new\nuser_0000,sess_1,purchase,2024-03-13 10:22:14,mobile,email,2024-01,new\n",
    );
    for (name, who, views, device, arrival) in [
        ("tsv", "d1", 1, Value::Null, Value::Null),
        ("payload", "d1", 1, Value::Null, Value::Null),
        ("requests", "d1", 1, "mobile".into(), Value::Null),
        ("pixel", "d1", 1, Value::Null, Value::Null),
        ("segment", "d1", 1, Value::Null, Value::Null),
        ("native", "d1", 1, Value::Null, "assumed".into()),
        ("otto", "otto-0", 0, Value::Null, "assumed".into()),
        ("ecom", "user_0000", 0, "mobile".into(), "assumed".into()),
    ] {
        let found = rows(&["sessions", "--events", name], folder.path());
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let row = &found[0];
        let id = if row["visitor_id"].is_null() { &row["user_id"] } else { &row["visitor_id"] };
        assert_eq!(
            (id, &row["page_views"], &row["device_class"], &row["arrival"]),
            (&who.into(), &views.into(), &device, &arrival),
            "{name}: {row}"
        );
    }
    let otto = &rows(&["sessions", "--events", "otto"], folder.path())[0];
    assert_eq!((&otto["product_views"], &otto["add_to_carts"], &otto["orders"]), (&1.into(), &1.into(), &1.into()));
    // Segment has corrected it, the device was an hour ahead.
    write(
        "corrected",
        r#"{"type":"page","messageId":"m1","anonymousId":"d1","timestamp":"2026-11-22T12:00:00Z","sentAt":"2026-11-22T13:00:01Z","receivedAt":"2026-11-22T12:00:01Z"}"#,
    );
    let corrected = &rows(&["sessions", "--events", "corrected"], folder.path())[0];
    assert_eq!(corrected["started_at"], "2026-11-22T12:00:00Z");
    // Side by side they are one history.
    assert_eq!(rows(&["sessions", "--events", "tsv", "native", "otto"], folder.path()).len(), 2);
}

#[test]
fn what_goes_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("nonsense", "hello\n");
    write("uci", "Administrative,Administrative_Duration,Informational\n0,0,0\n");
    write("empty", "");
    write("blank", "\n");
    write(
        "good",
        "{\"event_id\":\"e1\",\"name\":\"page_view\",\"visitor_id\":\"d1\",\"occurred_at\":1795348800000}\n{\"event_id\":\"e2\"}\n{\n",
    );
    write("bad", "{\"event_id\":\"e1\",\"name\":\"page_view\"}\n");
    write("both.csv", "user,session,at\nd1,,1795348800000\n,d1,1795348800000\n");
    write("nobody.csv", "user,at\n");
    write("seconds.csv", "user,at\nd1,1795348800000\nd1,1795348800\n");
    write("field.toml", "[[feature]]\nname = \"sold\"\nkey = \"product\"\nfold = \"count\"\nwindows = [\"1h\"]\n");
    write("who.csv", "name,at\na,1\n");
    write("as_of.jsonl", "{\"user\":\"a\",\"as_of\":{\"partition\":0,\"offset\":1,\"now\":1}}\n");
    for (arguments, code, said) in [
        (&["sessions"][..], 2, "--events"),
        (&["sessions", "--events", "missing"], 1, "missing: No such file"),
        (&["sessions", "--events", "."], 1, "is not a file"),
        (&["sessions", "--events", "good", "./good"], 2, "./good is given twice"),
        (&["features"], 2, "<--events <FILE>...|--data <DIR>>"),
        (
            &["sessions", "--events", "nonsense", "--format", "native", "--output", "no/where.jsonl"],
            1,
            "no has to be a folder",
        ),
        (&["sessions", "--events", "nonsense"], 2, "looks like none of the formats; give --format"),
        (&["sessions", "--events", "uci"], 2, "no history in it"),
        (&["sessions", "--events", "empty"], 2, "empty: it is empty"),
        (&["sessions", "--events", "empty", "good"], 0, ""),
        (&["sessions", "--events", "empty", "blank"], 2, "all of the files are empty"),
        (&["sessions", "--events", "bad"], 1, "bad:1: time_missing"),
        (&["sessions", "--events", "good", "--output", "x.csv"], 2, "end it with .jsonl or .parquet"),
        (&["sessions", "--events", "good", "--source", "none"], 2, "there is no source `none`"),
        (&["sessions", "--events", "good", "--data", "."], 2, "cannot be used with"),
        (&["sessions", "--data", "nowhere"], 1, "nowhere is not there"),
        (&["features", "--events", "good", "--features", "product_view_count", "--key", "session"], 0, ""),
        (
            &["features", "--events", "good", "--features", "order_value"],
            2,
            "no feature `order_value` of users\nhint: did you mean order_value_5m, order_value_1h or order_value_24h?",
        ),
        (
            &[
                "features",
                "--events",
                "good",
                "--features",
                "order_value",
                "--user",
                "d1",
                "--at",
                "2026-11-22T12:00:00Z",
            ],
            2,
            "did you mean order_value_5m, order",
        ),
        (
            &["features", "--events", "good", "--features", "page_count"],
            2,
            "no feature `page_count` of users\nhint: there is one of sessions: ask for theirs",
        ),
        (
            &[
                "features",
                "--events",
                "good",
                "--features",
                "order_value_1h",
                "--session",
                "d1",
                "--at",
                "2026-11-22T12:00:00Z",
            ],
            2,
            "no feature `order_value_1h` of sessions\nhint: there is one of users: ask for theirs",
        ),
        (
            &[
                "features",
                "--config",
                "field.toml",
                "--events",
                "good",
                "--features",
                "sold",
                "--field",
                "product=p",
                "--at",
                "2026-11-22T12:00:00Z",
            ],
            2,
            "no feature `sold` by product\nhint: did you mean sold_1h?",
        ),
        (
            &["features", "--events", "good", "--entities", "both.csv", "--features", "order_value,order_value_1h"],
            0,
            "",
        ),
        (
            &["features", "--events", "good", "--entities", "both.csv", "--features", "zzzzzzzz"],
            2,
            "no feature `zzzzzzzz` of users or of sessions\nhint: midsession check lists them",
        ),
        (
            &["features", "--events", "good", "--entities", "seconds.csv"],
            1,
            "seconds.csv:3: `1795348800` is no epoch ms",
        ),
        (
            &["features", "--events", "good", "--features", "product_veiw_count_5m"],
            2,
            "did you mean product_view_count_5m?",
        ),
        (&["features", "--events", "good", "--profile", "none"], 1, "none"),
        (&["features", "--events", "good", "--entities", "who.csv"], 1, "who.csv:1: the header (name, at) lacks"),
        (&["features", "--events", "good", "--entities", "as_of.jsonl"], 2, "--data"),
        (&["features", "--events", "good", "--user", "d1"], 2, "as of when?"),
        (&["features", "--events", "good", "--at", "2026-11-22T12:00:00Z"], 2, "not whose"),
        (&["features", "--events", "good", "--user", "d1", "--at", "noon"], 2, "is not a time like"),
        (&["features", "--events", "good", "--user", "d1", "--at", "2026-11-22T12:00:00Z"], 0, "good:2: time_missing"),
        (&["features", "--events", "good", "--user", "d1", "--at", "2026-11-22T12:00:00Z"], 0, "good:3: invalid_json"),
    ] {
        let (found, text) = wrong(arguments, folder.path());
        assert_eq!(found, code, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    // What is refused costs its neighbours nothing.
    let found = rows(&["features", "--events", "good", "--user", "d1", "--at", "2026-11-22T12:00:00Z"], folder.path());
    assert_eq!((found.len(), &found[0]["user"], &found[0]["arrival"]), (1, &"d1".into(), &"assumed".into()));
    let before = rows(&["features", "--events", "good", "--user", "d1", "--at", "2026-11-22T11:59:59Z"], folder.path());
    assert_eq!((&before[0]["known"], &before[0]["features"]), (&false.into(), &serde_json::json!({})));
    assert!(!folder.path().join("x.csv").exists());
}

/// The profile of the command line is the first one, whether the configuration has it already or not.
#[test]
fn a_profile_is_named_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let feature = |name: &str| {
        let when = "event.name == \"product_view\"";
        format!(
            "[[feature]]\nname = \"{name}\"\nkey = \"user\"\nwhen = '{when}'\nfold = \"count\"\nwindows = [\"1h\"]\n"
        )
    };
    write("mine.toml", &feature("mine"));
    write("called.toml", &format!("profile = \"ours\"\n{}", feature("called")));
    write("edited.toml", &format!("profile = \"ours\"\n{}", feature("edited")));
    std::fs::create_dir(folder.path().join("else")).unwrap();
    write("else/called.toml", &format!("profile = \"theirs\"\n{}", feature("elsewhere")));
    write(
        "m.toml",
        "profile = \"native\"\nprofiles = [\"live-shopper\", \"mine.toml\", \"called.toml\"]\n\
         definitions = [\"beside.toml\"]\n[[intervention]]\nname = \"stalled\"\n\
         when = 'user.product_view_count_24h > 3 && user.own_1h > 1'\ntrigger = { idle = \"20s\" }\nslot = \"nudge\"\n\
         payload = { title = \"Still thinking?\" }\n",
    );
    write("beside.toml", &feature("own"));
    write(
        "alone.toml",
        "definitions = [\"beside.toml\"]\n[[intervention]]\nname = \"stalled\"\n\
         when = 'user.product_view_count_24h > 3'\ntrigger = { idle = \"20s\" }\nslot = \"nudge\"\n\
         payload = { title = \"Still thinking?\" }\n",
    );
    let event = r#"{"event_id":"1","name":"product_view","visitor_id":"v1","received_at":"2026-11-22T12:00:00Z","products":[{"id":"p1","price":20,"currency":"EUR"}]}"#;
    write("events", event);
    write("else/events", event);
    let log = ["--config", "m.toml", "--events", "events"];
    for (config, place, profile, has, lacks) in [
        ("m.toml", ".", "native", "product_view_count_24h", "price_range_viewed_1h"),
        ("m.toml", ".", "native", "own_1h", "mine_1h"),
        ("m.toml", ".", "live-shopper", "price_range_viewed_1h", "product_view_count_24h"),
        // A further profile is what it is served as, another one stands in the first one's place.
        ("m.toml", ".", "live-shopper", "price_range_viewed_1h", "own_1h"),
        ("alone.toml", ".", "live-shopper", "own_1h", "product_view_count_24h"),
        ("m.toml", ".", "mine.toml", "mine_1h", "called_1h"),
        ("m.toml", ".", "./mine.toml", "mine_1h", "called_1h"),
        ("m.toml", ".", "called.toml", "called_1h", "mine_1h"),
        ("m.toml", ".", "ours", "called_1h", "mine_1h"),
        ("m.toml", ".", "edited.toml", "edited_1h", "called_1h"),
        // A file is meant from here; what the configuration calls its own, from beside it.
        ("../m.toml", "else", "called.toml", "elsewhere_1h", "called_1h"),
        ("../m.toml", "else", "mine.toml", "mine_1h", "called_1h"),
        ("alone.toml", ".", "live-shopper", "price_range_viewed_1h", "product_view_count_24h"),
    ] {
        let arguments = ["features", "--config", config, "--events", "events", "--profile", profile];
        let found = rows(&arguments, &folder.path().join(place));
        let features = found[0]["features"].as_object().unwrap();
        assert!(features.contains_key(has) && !features.contains_key(lacks), "{place} {profile}: {features:?}");
        let sessions = [&["sessions"], &arguments[1..]].concat();
        assert_eq!(rows(&sessions, &folder.path().join(place)).len(), 1, "{place} {profile}");
    }
    let (_, text) = wrong(&[&["features"], &log[..], &["--profile", "elsewhere.toml"]].concat(), folder.path());
    assert!(text.contains("elsewhere.toml can't be read"), "{text}");
}
