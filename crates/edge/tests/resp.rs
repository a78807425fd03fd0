//! Features over the Redis protocol: literal bytes, pipelines, scans, passwords.

use crate::support::*;
use midsession_edge::Unreadable;
use midsession_event::Str;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything that the server answers to these bytes, which must end with QUIT.
async fn talk(server: &Server, text: &str) -> String {
    let mut stream = TcpStream::connect(server.running.redis.expect("a listener")).await.expect("connects");
    stream.write_all(text.as_bytes()).await.expect("writes");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// One command per line, as typed.
async fn commands(server: &Server, lines: &str) -> String {
    let answer = talk(server, &format!("{}\r\nQUIT\r\n", lines.replace('\n', "\r\n"))).await;
    answer.strip_suffix("+OK\r\n").expect("QUIT is answered").to_owned()
}

#[tokio::test]
async fn commands_answer_as_redis_does() {
    let server = start().await;
    for (command, expected) in [
        ("PING", "+PONG\r\n"),
        ("ping hi", "$2\r\nhi\r\n"),
        ("GET user:u1:product_view_count_5m", "$1\r\n3\r\n"),
        ("GET user:u1:avg_viewed_price_1h", "$4\r\n19.5\r\n"),
        ("GET user:a%20b%3A%C3%BC:top_category_24h", "$5\r\nshoes\r\n"),
        ("GET session:s1:bounce", "$1\r\n0\r\n"),
        ("GET session:s1:cart_value", "$2\r\n90\r\n"),
        ("GET user:u1:nothing", "$-1\r\n"),
        ("GET user:nobody:product_view_count_5m", "$-1\r\n"),
        ("GET other:user:u1:product_view_count_5m", "$-1\r\n"),
        ("GET user:u1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        (
            "MGET user:u1:product_view_count_5m user:u1 user:x:y session:s1:bounce",
            "*4\r\n$1\r\n3\r\n$-1\r\n$-1\r\n$1\r\n0\r\n",
        ),
        ("EXISTS user:u1 user:u1:top_category_24h user:u1 user:nobody user:u1:nothing", ":3\r\n"),
        ("TTL user:u1", ":-1\r\n"),
        ("TTL user:nobody", ":-2\r\n"),
        ("TYPE user:u1", "+hash\r\n"),
        ("TYPE user:u1:top_category_24h", "+string\r\n"),
        ("TYPE user:u1:nothing", "+none\r\n"),
        ("HGETALL session:s1", "*4\r\n$10\r\ncart_value\r\n$2\r\n90\r\n$6\r\nbounce\r\n$1\r\n0\r\n"),
        ("HGETALL user:nobody", "*0\r\n"),
        ("HGETALL user:u1:top_category_24h", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("SELECT 1", "-ERR DB index is out of range\r\n"),
        ("CLIENT SETNAME x", "+OK\r\n"),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
        ("COMMAND COUNT", ":17\r\n"),
        ("SET a b", "-READONLY You can't write against a read only replica.\r\n"),
        ("flushall", "-READONLY You can't write against a read only replica.\r\n"),
        ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("NONSENSE a b", "-ERR unknown command 'nonsense', with args beginning with: 'a' 'b' \r\n"),
        ("SCAN x", "-ERR invalid cursor\r\n"),
        ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
        ("SCAN 0 MATCH", "-ERR syntax error\r\n"),
        ("KEYS nothing*", "*0\r\n"),
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
        ),
        ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
    ] {
        assert_eq!(commands(&server, command).await, expected, "{command}");
    }
    let info = commands(&server, "INFO").await;
    assert!(info.contains("redis_version:") && info.contains("db0:keys="), "{info}");
    assert!(commands(&server, "COMMAND").await.starts_with("*17\r\n"));
}

/// What can't be read now is not said to be absent: a client would take that for the truth.
#[tokio::test]
async fn what_is_unreadable_is_not_absent() {
    let server = start().await;
    for (cause, prefix) in [
        (Unreadable::Busy, "-BUSY "),
        (Unreadable::Loading, "-LOADING "),
        (Unreadable::Stopped("a disk\r\nfailed".into()), "-ERR the server reads nothing"),
    ] {
        *server.rows.unreadable.lock().expect("lock") = Some(cause);
        for command in [
            "GET user:u1:product_view_count_5m",
            "MGET user:u1:product_view_count_5m",
            "EXISTS user:u1",
            "TTL user:u1",
            "TYPE user:u1",
            "HGETALL user:u1",
            "SCAN 0",
            "KEYS *",
            "DBSIZE",
            "INFO",
        ] {
            let answer = commands(&server, command).await;
            assert!(answer.starts_with(prefix) && answer.matches("\r\n").count() == 1, "{command}: {answer}");
        }
        assert_eq!(commands(&server, "PING\nGET nothing").await, "+PONG\r\n$-1\r\n", "these need no reading");
    }
}

#[tokio::test]
async fn version_three_has_maps_and_nulls() {
    let server = start().await;
    let answer = commands(&server, "HELLO 3\nHGETALL session:s1\nGET user:nobody:x\nHELLO 2\nGET user:nobody:x").await;
    assert!(answer.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{answer}");
    assert!(
        answer.contains("%2\r\n$10\r\ncart_value\r\n$2\r\n90\r\n$6\r\nbounce\r\n$1\r\n0\r\n_\r\n*14\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("$-1\r\n"), "{answer}");
}

#[tokio::test]
async fn pipelines_keep_their_order() {
    let server = start().await;
    let mut text = String::new();
    let mut expected = String::new();
    for index in 0..1_500 {
        match index % 4 {
            0 => text.push_str("*2\r\n$3\r\nGET\r\n$32\r\nuser:u1:product_view_count_5mXYZ\r\n"),
            1 => text.push_str("*2\r\n$3\r\nGET\r\n$29\r\nuser:u1:product_view_count_5m\r\n"),
            2 => text.push_str(&format!("PING {index}\r\n")),
            _ => text.push_str("KEYS none\r\n"),
        }
        match index % 4 {
            0 => expected.push_str("$-1\r\n"),
            1 => expected.push_str("$1\r\n3\r\n"),
            2 => expected.push_str(&format!("${}\r\n{index}\r\n", index.to_string().len())),
            _ => expected.push_str("*0\r\n"),
        }
    }
    let answer = talk(&server, &format!("{text}QUIT\r\nPING after\r\n")).await;
    assert_eq!(answer, expected + "+OK\r\n");
}

#[tokio::test]
async fn broken_protocol_ends_the_connection() {
    let server = start().await;
    let nest = "*1\r\n".repeat(200_000);
    for text in ["*1\r\n*1\r\n$4\r\nPING\r\n", "*99999999\r\n", "*1\r\n$99999999\r\n", nest.as_str()] {
        let answer = talk(&server, text).await;
        assert!(answer.is_empty() || answer.starts_with("-ERR Protocol error"), "{answer}");
    }
    assert_eq!(commands(&server, "PING").await, "+PONG\r\n");
}

#[tokio::test]
async fn the_password_is_asked() {
    let server = start_with(|config| config.redis_password = Some("s3cret".into())).await;
    let refused = "-NOAUTH Authentication required.\r\n";
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    for (lines, expected) in [
        ("PING\nGET user:u1:x", format!("{refused}{refused}")),
        ("AUTH wrong\nPING", format!("{wrong}{refused}")),
        ("AUTH other s3cret\nPING", format!("{wrong}{refused}")),
        ("AUTH s3cret\nPING", "+OK\r\n+PONG\r\n".to_owned()),
        ("AUTH default s3cret\nPING", "+OK\r\n+PONG\r\n".to_owned()),
        ("AUTH s3cret\nAUTH wrong\nPING", format!("+OK\r\n{wrong}{refused}")),
    ] {
        assert_eq!(commands(&server, lines).await, expected, "{lines}");
    }
    assert!(commands(&server, "HELLO 3").await.starts_with("-NOAUTH HELLO must be called"));
    assert!(commands(&server, "HELLO 3 AUTH default s3cret").await.starts_with("%7\r\n"));
}

/// The keys of a scan with these options.
async fn scan(server: &Server, options: &str, mut between: impl FnMut(usize)) -> Vec<String> {
    let mut stream = TcpStream::connect(server.running.redis.expect("a listener")).await.expect("connects");
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    for step in 0.. {
        assert!(step < 10_000, "the scan does not end");
        stream.write_all(format!("SCAN {cursor} {options}\r\nPING end\r\n").as_bytes()).await.expect("writes");
        let mut text = String::new();
        while !text.ends_with("$3\r\nend\r\n") {
            let mut buffer = [0; 65_536];
            let read = stream.read(&mut buffer).await.expect("reads");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let words: Vec<&str> = text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
        cursor = words[0].to_owned();
        keys.extend(words[1..].iter().take_while(|word| **word != "end").map(|word| (*word).to_owned()));
        between(step);
        if cursor == "0" {
            return keys;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_scan_returns_everything_that_stays() {
    let server = start().await;
    let staying: Vec<Str> = (0..500).map(|index| Str::from(format!("stays:{index}"))).collect();
    *server.rows.users.lock().expect("lock") = staying.clone();
    for count in [1, 10, 100, 5_000] {
        // Users come and go meanwhile.
        let rows = server.rows.clone();
        let keys = scan(&server, &format!("COUNT {count}"), |step| {
            let mut users = rows.users.lock().expect("lock");
            users.truncate(500);
            users.extend((0..50).map(|index| Str::from(format!("passes{step}-{index}"))));
        })
        .await;
        let distinct: BTreeSet<&String> = keys.iter().collect();
        for user in &staying {
            let key = format!("user:{}", user.replace(':', "%3A"));
            assert!(distinct.contains(&key), "{key} is missing with COUNT {count}");
            for feature in FEATURES {
                assert!(distinct.contains(&format!("{key}:{feature}")), "{key}:{feature} is missing");
            }
        }
        assert!(distinct.contains(&"session:s1:cart_value".to_owned()));
    }
    *server.rows.users.lock().expect("lock") = staying;
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(scan(&server, "MATCH session:* COUNT 7", |_| ()).await.len(), 3);
    assert_eq!(sorted(scan(&server, "TYPE hash COUNT 1000", |_| ()).await).len(), 501);
    assert_eq!(scan(&server, "TYPE stream COUNT 1000", |_| ()).await, [""; 0]);
    let one = sorted(scan(&server, "MATCH user:stays%3A42* COUNT 1000", |_| ()).await);
    assert_eq!(one.len(), 4 * 11, "42 and 420 to 429: {one:?}");
    let keys = commands(&server, "KEYS user:stays%3A7:*").await;
    assert!(keys.starts_with("*3\r\n"), "{keys}");
}

/// DBSIZE and INFO count what SCAN and KEYS list; of very many it is an estimate.
#[tokio::test]
async fn the_counts_agree() {
    let server = start().await;
    for more in [false, true] {
        server.rows.more.store(more, std::sync::atomic::Ordering::Relaxed);
        let listed = scan(&server, "COUNT 100", |_| ()).await;
        assert!(listed.len() > 6, "{listed:?}");
        let distinct: BTreeSet<&String> = listed.iter().collect();
        assert_eq!(commands(&server, "DBSIZE").await, format!(":{}\r\n", distinct.len()), "more: {more}");
        let info = commands(&server, "INFO").await;
        assert!(info.contains(&format!("db0:keys={},", distinct.len())), "{info}");
        assert!(commands(&server, "KEYS *").await.starts_with(&format!("*{}\r\n", distinct.len())));
    }
    *server.rows.users.lock().expect("lock") = (0..5_000).map(|index| Str::from(format!("u{index}"))).collect();
    let listed = scan(&server, "COUNT 10000", |_| ()).await.len();
    let counted: f64 = commands(&server, "DBSIZE").await.trim_matches([':', '\r', '\n']).parse().expect("a number");
    assert!((counted / listed as f64 - 1.0).abs() < 0.01, "{counted} for {listed}");
}

/// A second profile answers under its name, with its own way to write values; a field's features go by its key.
#[tokio::test]
async fn other_profiles_and_other_keys() {
    let server = start().await;
    assert_eq!(commands(&server, "GET product:p1:views_1h").await, "$-1\r\n", "nothing goes by it yet");
    server.rows.more.store(true, std::sync::atomic::Ordering::Relaxed);
    for (command, expected) in [
        ("GET product:p1:views_1h", "$1\r\n2\r\n"),
        ("GET product:p2:views_1h", "$-1\r\n"),
        ("HGETALL product:p1", "*2\r\n$8\r\nviews_1h\r\n$1\r\n2\r\n"),
        ("EXISTS product:p1:score_1h", ":0\r\n"),
        ("GET product:p1:score_1h", "$-1\r\n"),
        ("GET java:product:p1:views_1h", "$1\r\n2\r\n"),
        ("GET session:s1:bounce", "$1\r\n0\r\n"),
        ("GET java:session:s1:bounce", "$5\r\nfalse\r\n"),
        ("GET java:session:s1:cart_value", "$4\r\n90.0\r\n"),
        ("GET java:session:s1:feature:cart_value", "$4\r\n90.0\r\n"),
        ("TTL session:s1:cart_value", ":-1\r\n"),
        ("TTL java:session:s1:cart_value", ":100\r\n"),
        ("TTL java:session:s1", ":100\r\n"),
        ("TTL java:session:s2:cart_value", ":-2\r\n"),
    ] {
        assert_eq!(commands(&server, command).await, expected, "{command}");
    }
    let keys: BTreeSet<String> = scan(&server, "COUNT 7", |_| ()).await.into_iter().collect();
    for key in ["product:p1", "product:p1:views_1h", "java:product:p1", "java:user:u1:top_category_24h", "session:s1"] {
        assert!(keys.contains(key), "{key}: {keys:?}");
    }
    assert!(!keys.contains("product:p1:score_1h"), "{keys:?}");
    assert_eq!(commands(&server, "KEYS java:session:s1:*").await.matches("java:").count(), 2);
}
