//! `midsession demo` takes the keys that it prints, and no other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Best effort.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of an event that is posted with a key.
fn post(address: &str, key: &str) -> (u16, String) {
    let body = r#"{"event_id":"e1","name":"page_view","visitor_id":"v1"}"#;
    let mut stream = TcpStream::connect(address).expect("connects");
    let head =
        format!("POST /v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is answered");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

fn demo(more: &[&str]) -> (Demo, serde_json::Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_midsession"));
    command
        .args(["demo", "--json", "--shoppers", "1", "--replay-speed", "0", "--data"])
        .arg(folder.path().join("data"));
    command.args(["--port", "0", "--admin-port", "0", "--redis-port", "0"]).args(more);
    command.env_remove("MIDSESSION_WRITE_KEY").current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("says where it is");
    (Demo(child), serde_json::from_str(&line).expect("JSON"), folder)
}

#[test]
fn the_demo_takes_its_own_keys_alone() {
    for (more, wrong) in [(&[][..], (401, "key_unknown")), (&["--accept-any-key"], (200, ""))] {
        let (_demo, said, _folder) = demo(more);
        let address = said["collector"].as_str().expect("text").trim_start_matches("http://");
        let (status, body) = post(address, "not-the-key");
        assert_eq!(status, wrong.0, "{body}");
        assert!(body.contains(wrong.1), "{body}");
        let (status, body) = post(address, said["write_key"].as_str().expect("text"));
        assert_eq!(status, 200, "{body}");
        let (status, body) = post(address, &format!("{}-simulated", said["write_key"].as_str().expect("text")));
        assert_eq!(status, 200, "the simulated shoppers have theirs: {body}");
    }
}
