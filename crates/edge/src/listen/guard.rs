//! A connection with its guards: strict framing, and an end for clients that are too slow to ask or to listen.

use super::framing::{Framing, Verdict};
use super::rule::Rule;
use super::{Shared, Timeouts};
use bytes::Bytes;
use midsession_observe::Metric;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What the HTTP library gets instead of a refused head: a request that leads to the refusal's answer, in its turn
/// after the answers to what came before it, and is the last one. The library's own answers to broken heads have no
/// body, so it gets to see whole and sound heads only. Whoever sends this method without having been refused is told
/// that it is not allowed, like any other.
const POISON: &[u8] = b"REFUSED / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The method of that request.
pub(crate) const REFUSED: &str = "REFUSED";

/// Bytes read and thrown away before a connection is closed with a request unread; without it the answer is lost to
/// a reset.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// A guarded connection.
pub(crate) struct Guard {
    stream: TcpStream,
    framing: Framing,
    timeouts: Timeouts,
    shared: Arc<Shared>,
    /// Nothing has come yet.
    is_fresh: bool,
    /// The begin of a head whose end has not come yet.
    held: Vec<u8>,
    /// A head that has come in pieces, and what came with its end: to be handed on.
    whole: Bytes,
    /// What is left of [`POISON`] to hand on; after it, nothing.
    poison: Option<&'static [u8]>,
    /// The body being read is broken from here on; to be told.
    broken: Option<Rule>,
    reading: Deadline,
    writing: Deadline,
    linger_bytes: Option<usize>,
}

/// A deadline that is set when something is first waited for.
#[derive(Default)]
struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Deadline {
    /// Whether it has passed; sets it if it is not set.
    fn poll(&mut self, at: impl FnOnce() -> Instant, cx: &mut Context<'_>) -> bool {
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if !self.is_set {
                    sleep.as_mut().reset(at());
                }
                sleep
            }
            none => none.insert(Box::pin(sleep_until(at()))),
        };
        self.is_set = true;
        sleep.as_mut().poll(cx).is_ready()
    }

    fn clear(&mut self) {
        self.is_set = false;
    }
}

impl Guard {
    pub(crate) fn new(stream: TcpStream, timeouts: Timeouts, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            timeouts,
            shared,
            is_fresh: true,
            held: Vec::new(),
            whole: Bytes::new(),
            poison: None,
            broken: None,
            reading: Deadline::default(),
            writing: Deadline::default(),
            linger_bytes: None,
        }
    }

    fn too_slow(&self, phase: &'static str) -> io::Error {
        self.shared.observe.metrics.add_by(Metric::HttpTimeouts, phase, 1);
        io::Error::new(io::ErrorKind::TimedOut, phase)
    }

    /// The client has sent nothing: it may be idle between requests, but not before the first or within a head.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, within) = match () {
            () if self.is_fresh => ("first_byte", self.timeouts.first_byte),
            () if self.framing.is_in_head() => ("head", self.timeouts.head),
            () => return Poll::Pending,
        };
        if self.reading.poll(|| Instant::now() + within, cx) {
            return Poll::Ready(Err(self.too_slow(phase)));
        }
        Poll::Pending
    }

    /// Looks at what was read past `from`, and cuts it where a request is refused, or has not come to the end of its
    /// head.
    fn check(&mut self, buf: &mut ReadBuf<'_>, from: usize) {
        if std::mem::take(&mut self.is_fresh) {
            self.reading.clear();
        }
        if self.framing.is_idle() {
            self.shared.first_byte_us.store(crate::clock::now_us(), Relaxed);
        }
        match self.framing.feed(&buf.filled()[from..]) {
            Verdict::Pass { keep } => {
                if !self.framing.is_in_head() {
                    self.reading.clear();
                }
                self.keep(buf, from, keep);
            }
            Verdict::RefuseHead { keep, rule } => {
                self.shared.observe.metrics.add_by(Metric::HttpFramingRefused, rule.as_str(), 1);
                self.keep(buf, from, keep);
                self.held = Vec::new();
                // The first of a connection is its last.
                let _ = self.shared.refused.set(rule);
                self.poison = Some(POISON);
            }
            Verdict::RefuseBody { keep, rule } => {
                self.shared.observe.metrics.add_by(Metric::HttpFramingRefused, rule.as_str(), 1);
                self.keep(buf, from, keep);
                self.poison = Some(b"");
                self.broken = Some(rule);
            }
        }
    }

    /// Leaves `keep` bytes past `from`, behind what was held before them; holds the rest.
    fn keep(&mut self, buf: &mut ReadBuf<'_>, from: usize, keep: usize) {
        let (now, later) = buf.filled()[from..].split_at(keep);
        let had = std::mem::take(&mut self.held);
        if keep == 0 {
            self.held = had;
        } else if !had.is_empty() {
            self.whole = [had.as_slice(), now].concat().into();
        }
        self.held.extend_from_slice(later);
        let left = if self.whole.is_empty() { keep } else { 0 };
        buf.set_filled(from + left);
    }

    /// Hands on what waits.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.whole.split_to(self.whole.len().min(buf.remaining())));
        if let Some(poison) = self.poison.filter(|_| self.whole.is_empty()) {
            let (now, later) = poison.split_at(poison.len().min(buf.remaining()));
            buf.put_slice(now);
            self.poison = Some(later);
        }
    }

    /// A write went through, or waits for the client to read.
    fn minded<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.clear();
            return written;
        }
        let within = self.timeouts.write;
        if self.writing.poll(|| Instant::now() + within, cx) {
            return Poll::Ready(Err(self.too_slow("write")));
        }
        Poll::Pending
    }
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let from = buf.filled().len();
        // As long as all that comes is held: nothing handed on would be taken for the end.
        loop {
            this.hand_on(buf);
            if buf.filled().len() > from {
                return Poll::Ready(Ok(()));
            }
            if let Some(rule) = this.broken.take() {
                // Whoever reads the body answers, and says that it is broken.
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, rule.as_str())));
            }
            if this.poison.is_some() {
                // What was refused is the last that is read. An end here would be taken for a client that has gone, and
                // the answer would not be written; once it is, the library closes by itself.
                return Poll::Pending;
            }
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Pending => return this.poll_patience(cx),
                Poll::Ready(Ok(())) if buf.filled().len() > from => this.check(buf, from),
                ended => return ended,
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.minded(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.minded(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger_bytes.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.reading.clear();
            // Between requests nothing is unread.
            let nothing_unread = this.framing.is_idle() && this.poison.is_none();
            this.linger_bytes = Some(if nothing_unread { LINGER_BYTES_MAX } else { 0 });
        }
        let mut scratch = [0; 4_096];
        loop {
            if this.linger_bytes.is_none_or(|read| read >= LINGER_BYTES_MAX) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    let within = this.timeouts.linger;
                    let is_over = this.reading.poll(|| Instant::now() + within, cx);
                    return if is_over { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    this.linger_bytes = this.linger_bytes.map(|read| read + buf.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
