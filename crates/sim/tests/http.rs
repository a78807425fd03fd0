//! As much HTTP as the tests need: requests with answers over one connection, and a stream of pushes.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that is kept for the next request.
pub struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_owned(), stream: BufReader::new(stream) })
    }

    /// Status and body.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<(u16, String)> {
        self.send(method, path, headers, body)?;
        let (status, length) = self.head()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<()> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.address, body.len());
        head += "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n";
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())
    }

    /// Status and content length.
    fn head(&mut self) -> io::Result<(u16, usize)> {
        let status = self.line()?.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status.ok_or_else(|| io::Error::other("no status"))?, length));
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The JSON of an answer with status 200; else the status.
    pub fn json(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Result<Value, u16>> {
        let (status, body) = self.ask("GET", path, headers, "")?;
        Ok(if status == 200 { Ok(serde_json::from_str(&body)?) } else { Err(status) })
    }

    /// Listens for pushes: calls `seen` with each frame's id and data, until the connection ends.
    pub fn listen(mut self, path: &str, mut seen: impl FnMut(String, Value)) -> io::Result<()> {
        self.send("GET", path, &[], "")?;
        self.head()?;
        self.stream.get_ref().set_read_timeout(None)?;
        let mut id = None;
        loop {
            let line = self.line()?;
            if let Some(new) = line.strip_prefix("id: ") {
                // All that was written here; this one is the last of them.
                id = new.rsplit(',').next().map(str::to_owned);
            } else if let (Some(data), Some(id)) = (line.strip_prefix("data: "), id.take()) {
                seen(id, serde_json::from_str(data)?);
            }
        }
    }
}
