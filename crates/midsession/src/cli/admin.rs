//! A running server's admin listener, asked by commands.

use super::{Failure, Global, serve};
use crate::keys::Keys;
use crate::load::client::{Answer, Client};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A server that is busy is asked again so often, a second apart.
const TRIES: u32 = 60;

/// Which server.
#[derive(Args, Debug)]
pub(super) struct Server {
    /// Address of its admin listener; without it the configuration's
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    admin: Option<SocketAddr>,
    /// Its data folder, where the admin token is; MIDSESSION_ADMIN_TOKEN goes first
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// An address as people have it: also `localhost`, and as the server prints it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let plain = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let plain = plain.strip_prefix("localhost").map_or(plain.to_owned(), |rest| format!("127.0.0.1{rest}"));
    plain.parse().map_err(|_| "write an IP address and a port, like 127.0.0.1:8081".to_owned())
}

/// The admin listener of a running server.
pub(super) struct Admin {
    client: Client,
    authorization: String,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub(super) fn of(global: &Global, server: Server) -> Result<Self, Failure> {
        let config = global.load()?;
        let address = server.admin.unwrap_or(SocketAddr::new(config.admin_bind, config.admin_port));
        let token = Keys::admin_token(&server.data.unwrap_or(config.data))?;
        let (client, authorization) = (Client::new(address), format!("Bearer {token}"));
        Ok(Self { client, authorization, address, runtime: serve::runtime()? })
    }

    /// Asks until there is an answer that is not «try again».
    pub(super) fn ask(&mut self, method: &str, path: &str, content_type: &str, body: Bytes) -> Result<Value, Failure> {
        match self.ask_or(method, path, content_type, body)? {
            Ok(value) => Ok(value),
            Err((status, problem)) => Err(refused(status, &problem)),
        }
    }

    /// Likewise; what the server refuses comes with its status.
    pub(super) fn ask_or(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Result<Value, (u16, Value)>, Failure> {
        let Self { client, authorization, address, runtime } = self;
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        let mut last = String::new();
        for _ in 0..TRIES {
            match runtime.block_on(client.send(method, path, &headers, body.clone())) {
                Ok(Answer { status: 200, body }) => {
                    return Ok(Ok(serde_json::from_slice(&body).map_err(Failure::new)?));
                }
                Ok(Answer { status: status @ (429 | 503), body }) => last = said(status, &problem(&body)),
                Ok(Answer { status, body }) => return Ok(Err((status, problem(&body)))),
                Err(error) => {
                    let hint = "is the server running? --admin names its admin listener";
                    return Err(Failure::new(format!("{address} does not answer: {error}")).hint(hint));
                }
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        Err(Failure::new(last).hint("what was sent before is loaded; sending it again replaces it"))
    }
}

fn problem(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// What the server refuses; of a token, where it is from.
pub(super) fn refused(status: u16, problem: &Value) -> Failure {
    if status != 401 {
        return Failure::new(said(status, problem));
    }
    let hint = "set MIDSESSION_ADMIN_TOKEN to the server's, or name its data folder: --data DIR";
    Failure::new("the server answers 401: that is not its admin token").hint(hint)
}

/// What the server says, in one line.
fn said(status: u16, problem: &Value) -> String {
    format!("the server answers {status}: {}", problem["title"].as_str().unwrap_or("no reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_refused_is_told_as_it_is_given() {
        let title = serde_json::json!({"title": "send Authorization: Bearer ADMIN_TOKEN"});
        let failure = refused(401, &title);
        assert!(failure.hint.is_some_and(|hint| hint.contains("MIDSESSION_ADMIN_TOKEN") && hint.contains("--data")));
        assert!(refused(404, &title).cause.contains("the server answers 404: send"));
    }

    #[test]
    fn addresses_as_people_have_them() {
        for text in ["127.0.0.1:8081", "localhost:8081", "http://127.0.0.1:8081/", "http://localhost:8081"] {
            assert_eq!(address(text).map(|address| address.to_string()), Ok("127.0.0.1:8081".to_owned()), "{text}");
        }
        for text in ["8081", "localhost", "https://127.0.0.1:8081", "127.0.0.1:99999", ""] {
            assert!(address(text).is_err_and(|message| message.contains("like 127.0.0.1:8081")), "{text}");
        }
    }
}
