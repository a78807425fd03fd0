//! A connection that stays open.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

/// Longer than anything waited for here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open connection that is read as text.
pub struct Open {
    pub stream: TcpStream,
    pub text: String,
}

impl Open {
    pub async fn send(addr: std::net::SocketAddr, head: &str) -> Self {
        let mut stream = TcpStream::connect(addr).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("writes");
        Self { stream, text: String::new() }
    }

    /// Reads until the text holds this; false when the server closes before, or does not come to it.
    pub async fn until(&mut self, wanted: &str) -> bool {
        let reads = async {
            let mut buffer = [0; 4096];
            while !self.text.contains(wanted) {
                match self.stream.read(&mut buffer).await {
                    Ok(read) if read > 0 => self.text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                    _ => return false,
                }
            }
            true
        };
        timeout(PATIENCE, reads).await.unwrap_or(false)
    }
}
