//! Rows as they are sent: what is taken, what is told of the rest, and where it stands.

use super::*;
use PropertyValue::{Bool, Float, Int, Text};

const LIMITS: RowLimits = RowLimits { row_bytes: 4_096 };

fn bulk(kind: ContextKind, format: RowFormat, body: &str) -> Bulk {
    read_rows(kind, format, body.as_bytes(), LIMITS).expect("a body")
}

fn told(bulk: &Bulk) -> Vec<(u64, &str)> {
    bulk.faults.iter().map(|fault| (fault.line, fault.fault.code)).collect()
}

#[test]
fn json_lines_and_csv_say_the_same() {
    let lines = "{\"id\": \"p1\", \"name\": \"Lamp, tall\", \"price\": 129, \"colour\": \"007\", \"gift\": true}\n\n{\"id\": 2, \"brand\": \"42\", \"weight\": 1.5, \"none\": null}";
    let csv =
        "\u{feff}id,name,price,colour,gift,brand,weight\r\np1,\"Lamp, tall\",129,007,true,,\r\n\r\n2,,,,,42,1.5\r\n";
    let json = bulk(ContextKind::Product, RowFormat::JsonLines, lines);
    let table = bulk(ContextKind::Product, RowFormat::Csv, csv);
    let rows = |bulk: &Bulk| bulk.rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&json), rows(&table));
    assert_eq!((told(&json), told(&table)), (vec![], vec![]));
    let (line, first) = &json.rows[0];
    assert_eq!((*line, first.id.as_str(), first.values.get("price")), (1, "p1", Some(&Int(129))));
    assert_eq!(first.values.get("colour"), Some(&Text("007".into())), "no number as JSON writes it");
    assert_eq!(first.values.get("gift"), Some(&Bool(true)));
    let (line, second) = &json.rows[1];
    assert_eq!((*line, table.rows[0].0, table.rows[1].0), (3, 2, 4));
    assert_eq!(
        (second.values.get("brand"), second.values.get("weight")),
        (Some(&Text("42".into())), Some(&Float(1.5)))
    );
}

#[test]
fn a_bad_line_is_told_and_costs_nothing_else() {
    let body = "{\"id\":\"a\",\"stock\":1}\n{\"id\":\"b\",\"stock\":-1}\nnonsense\n[1]\n{\"stock\":1}\n{\"id\":\"c\",\"in_stock\":false}\n{\"id\":\"d\",\"stock\":1.5}\n{\"id\":\"e\",\"at\":1,\"stock\":2}\n{\"id\":\"f\",\"stock\":{}}\n{\"id\":\"g\",\"colour\":\"red\"}\n{\"id\":\"\",\"stock\":1}\n{\"id\":\"h\",\"a b\":1}\n{\"id\":[],\"stock\":1}";
    let read = bulk(ContextKind::Inventory, RowFormat::JsonLines, body);
    assert_eq!(read.rows.iter().map(|(line, row)| (*line, row.id.as_str())).collect::<Vec<_>>(), [(1, "a"), (6, "c")]);
    assert_eq!(
        told(&read),
        [
            (2, "value_type"),
            (3, "json_invalid"),
            (4, "json_invalid"),
            (5, "id_missing"),
            (7, "value_type"),
            (8, "name_reserved"),
            (9, "value_nested"),
            (10, "row_empty"),
            (11, "id_missing"),
            (12, "name_invalid"),
            (13, "value_nested"),
        ]
    );
    let csv = "id,price,currency\na,9.5,eur\nb,9.5\nc,9.5,EUR,x\nd,cheap,EUR\n,1,EUR\ne,1,Euro\n\"f\n1\",2,EUR\ng,3,\n";
    let read = bulk(ContextKind::Price, RowFormat::Csv, csv);
    assert_eq!(read.rows[0].1.values.text("currency").map(Str::as_str), Some("EUR"));
    assert_eq!(read.rows.iter().map(|(line, row)| (*line, row.id.as_str())).collect::<Vec<_>>(), [(2, "a"), (10, "g")]);
    assert_eq!(
        told(&read),
        [
            (3, "csv_fields"),
            (4, "csv_fields"),
            (5, "value_type"),
            (6, "id_missing"),
            (7, "value_type"),
            (8, "id_invalid")
        ]
    );
}

#[test]
fn a_quote_that_is_not_closed_costs_its_own_line() {
    let row = |n: usize| match n {
        7 => "p7,nm,\"27 inch\n".to_owned(),
        9 => "p9,\"27 inch,nm\n".to_owned(),
        20 => "p20,\"two\nlines, and \"\"quotes\"\"\",nm\n".to_owned(),
        n => format!("p{n},product {n},\"of colour, {n}\"\n"),
    };
    let csv = format!("id,name,colour\n{}", (2..1_000).map(row).collect::<String>());
    let read = bulk(ContextKind::Product, RowFormat::Csv, &csv);
    assert_eq!(told(&read), [(7, "csv_quote"), (9, "csv_quote")]);
    assert_eq!(read.rows.len(), 996);
    assert!(read.faults[0].fault.hint.is_some_and(|hint| hint.contains("\"\"")));
    let (line, lines) = &read.rows[16];
    assert_eq!((*line, lines.values.text("name").map(Str::as_str)), (20, Some("two\nlines, and \"quotes\"")));
    let last = "id,name,colour\np1,x,y\np2,nm,\"27 inch";
    let read = bulk(ContextKind::Product, RowFormat::Csv, last);
    assert_eq!((told(&read), read.rows.len()), (vec![(3, "csv_quote")], 1));
}

#[test]
fn flags_have_any_capitals() {
    let csv = "id,in_stock,gift\na,TRUE,False\nb,False,true\nc,1,tRuE\nd,yes,\n";
    let read = bulk(ContextKind::Inventory, RowFormat::Csv, csv);
    let flags = |(_, row): &(u64, Context)| [row.values.get("in_stock").cloned(), row.values.get("gift").cloned()];
    let expected = [(true, false), (false, true), (true, true)].map(|(one, two)| [Some(Bool(one)), Some(Bool(two))]);
    assert_eq!(read.rows.iter().map(flags).collect::<Vec<_>>(), expected);
    assert_eq!(told(&read), [(5, "value_type")]);
}

#[test]
fn faults_of_a_whole_body_are_told_once_and_many_faults_are_counted() {
    for (format, body, code) in [
        (RowFormat::JsonLines, "[{\"id\":1}]", "json_lines_expected"),
        (RowFormat::Csv, "", "csv_header"),
        (RowFormat::Csv, "sku,price\na,1\n", "csv_header"),
        (RowFormat::Csv, "id,price,price\na,1,2\n", "csv_header"),
    ] {
        let fault = read_rows(ContextKind::Price, format, body.as_bytes(), LIMITS).expect_err(body);
        assert_eq!(fault.code, code, "{body}");
    }
    let read = bulk(ContextKind::Price, RowFormat::JsonLines, &"x\n".repeat(1_000));
    assert_eq!((read.faults.len(), read.refused), (FAULTS_MAX, 1_000));
    let damaged = [b"{\"id\":\"a\xff\",\"price\":1}\n".as_slice(), b"{\"id\":\"b\",\"price\":1}"].concat();
    let read = read_rows(ContextKind::Price, RowFormat::JsonLines, &damaged, LIMITS).expect("a body");
    assert_eq!((told(&read), read.rows.len()), (vec![(1, "json_invalid")], 1));
    let damaged = b"id,price\na\xff,1\nb,1\n";
    let read = read_rows(ContextKind::Price, RowFormat::Csv, damaged, LIMITS).expect("a body");
    assert_eq!((told(&read), read.rows.len()), (vec![(2, "utf8_invalid")], 1));
}

#[test]
fn rows_are_bounded() {
    let row = |body: &str| read_row(ContextKind::Product, "p", body.as_bytes(), LIMITS);
    let code = |body: &str| row(body).map_err(|fault| fault.code);
    assert_eq!(code(&format!("{{\"name\":\"{}\"}}", "x".repeat(4_091))).err(), None);
    assert_eq!(code(&format!("{{\"name\":\"{}\"}}", "x".repeat(4_092))), Err("row_too_large"));
    let many: Vec<String> = (0..65).map(|n| format!("\"v{n}\":1")).collect();
    assert_eq!(code(&format!("{{{}}}", many.join(","))), Err("too_many_values"));
    assert_eq!(code("{}"), Err("row_empty"));
    assert_eq!(code("{\"id\":\"q\",\"name\":\"x\"}"), Err("id_differs"));
    assert_eq!(code(&format!("{{\"{}\":1}}", "n".repeat(65))), Err("name_invalid"));
    let long = read_row(ContextKind::Product, &"x".repeat(257), b"{\"name\":\"x\"}", LIMITS);
    assert_eq!(long.map_err(|fault| fault.code), Err("id_invalid"));
}

#[test]
fn what_is_personal_stays_out_of_rows_about_people() {
    let code = |kind, id: &str, body: &str| read_row(kind, id, body.as_bytes(), LIMITS).err().map(|fault| fault.code);
    for kind in [ContextKind::Profile, ContextKind::Segment] {
        for body in [
            "{\"email\":\"h_1\"}",
            "{\"name\":\"Ada\"}",
            "{\"note\":\"ask ada@example.org\"}",
            "{\"note\":\"call +49 30 1234567\"}",
            "{\"city\":\"Utrecht\"}",
            "{\"phone\":491701234567}",
        ] {
            assert_eq!(code(kind, "u1", body), Some("value_personal"), "{body}");
        }
        assert_eq!(code(kind, "ada@example.org", "{\"tier\":\"gold\"}"), Some("id_personal"));
        assert_eq!(code(kind, "u1", "{\"tier\":\"gold\",\"points\":120,\"member\":true}"), None);
    }
    assert_eq!(code(ContextKind::Location, "NL", "{\"city\":\"Utrecht\",\"name\":\"Netherlands\"}"), None);
    assert_eq!(code(ContextKind::Product, "p", "{\"name\":\"Lamp\"}"), None);
}

#[test]
fn rows_of_the_past_say_from_when_on_they_held() {
    let read =
        |format, body: &str| read_past_rows(ContextKind::Price, format, body.as_bytes(), LIMITS).expect("a body");
    let csv =
        "id,at,price,version\na,2026-11-22T12:00:00.5Z,9.5,7\nb,1795348800000,8,\nc,,7,\nd,soon,6,\ne,1,5,\nf,,4,x\n";
    let lines = "{\"id\":\"a\",\"at\":\"2026-11-22T12:00:00.5Z\",\"price\":9.5,\"version\":7}\n\
                 {\"id\":\"b\",\"at\":1795348800000,\"price\":8}\n{\"id\":\"c\",\"price\":7}\n\
                 {\"id\":\"d\",\"at\":\"soon\",\"price\":6}\n{\"id\":\"e\",\"at\":true,\"price\":5}\n\
                 {\"id\":\"f\",\"version\":\"x\",\"price\":4}";
    let (table, json) = (read(RowFormat::Csv, csv), read(RowFormat::JsonLines, lines));
    let rows = |bulk: &Bulk<PastRow>| bulk.rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&table), rows(&json));
    let told: Vec<_> = rows(&json).into_iter().map(|past| (past.row.id, past.at_ms, past.version)).collect();
    let noon_ms = 1_795_348_800_000;
    assert_eq!(
        told,
        [("a".into(), Some(noon_ms + 500), Some(7)), ("b".into(), Some(noon_ms), None), ("c".into(), None, None)]
    );
    let codes = |bulk: &Bulk<PastRow>| bulk.faults.iter().map(|fault| fault.fault.code).collect::<Vec<_>>();
    assert_eq!(codes(&table), ["time_invalid", "time_invalid", "value_type"]);
    assert_eq!(codes(&json), codes(&table));
    assert!(rows(&json).iter().all(|past| past.row.values.get("at").is_none()));
}

#[test]
fn rows_of_the_past_say_that_they_were_taken_out() {
    let read =
        |format, body: &str| read_past_rows(ContextKind::Price, format, body.as_bytes(), LIMITS).expect("a body");
    let csv = "id,at,price,version,removed\na,1795348800000,,7,TRUE\nb,1795348800000,8,,False\nc,1795348800000,8,,true\n\
               d,,,,true\ne,1795348800000,,,gone\n,1795348800000,,,1\nf,1795348800000,,,\n";
    let lines = "{\"id\":\"a\",\"at\":1795348800000,\"version\":7,\"removed\":true}\n\
                 {\"id\":\"b\",\"at\":1795348800000,\"price\":8,\"removed\":false}\n\
                 {\"id\":\"c\",\"at\":1795348800000,\"price\":8,\"removed\":true}\n{\"id\":\"d\",\"removed\":true}\n\
                 {\"id\":\"e\",\"at\":1795348800000,\"removed\":\"gone\"}\n{\"id\":\"\",\"at\":1795348800000,\"removed\":true}\n\
                 {\"id\":\"f\",\"at\":1795348800000}";
    let (table, json) = (read(RowFormat::Csv, csv), read(RowFormat::JsonLines, lines));
    let rows = |bulk: &Bulk<PastRow>| bulk.rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&table), rows(&json));
    let told: Vec<_> = rows(&json).into_iter().map(|past| (past.row.id, past.is_removed, past.version)).collect();
    assert_eq!(told, [("a".into(), true, Some(7)), ("b".into(), false, None)]);
    let faults = |bulk: &Bulk<PastRow>| {
        bulk.faults.iter().map(|fault| (fault.fault.code, fault.fault.field.clone())).collect::<Vec<_>>()
    };
    let field = |name: &str| Some(name.into());
    assert_eq!(
        faults(&table),
        [
            ("removed_with_values", field("price")),
            ("removed_without_at", field("at")),
            ("value_type", field("removed")),
            ("id_missing", field("id")),
            ("row_empty", None),
        ]
    );
    assert_eq!(faults(&json), faults(&table));
    // Live, `DELETE` takes a row out.
    let live = read_rows(ContextKind::Price, RowFormat::JsonLines, lines.as_bytes(), LIMITS).expect("a body");
    assert!(live.rows.is_empty() && live.refused == 7, "{live:?}");
}
