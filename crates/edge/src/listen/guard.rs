//! A connection with its guards: strict framing, and an end for clients that are too slow to ask or to listen.

use super::framing::{Framing, Verdict};
use super::{Shared, Timeouts};
use midsession_observe::Metric;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What the HTTP library gets instead of a refused head: nothing it could take for a request, so it answers 400 and
/// closes.
const POISON: &[u8] = b"\0\r\n\r\n";

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
    /// What is left of [`POISON`] to hand on; after it, the end of the stream.
    poison: Option<&'static [u8]>,
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
            poison: None,
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

    /// Looks at what was read past `from`, and cuts it where a request is refused.
    fn check(&mut self, buf: &mut ReadBuf<'_>, from: usize) -> io::Result<()> {
        if std::mem::take(&mut self.is_fresh) {
            self.reading.clear();
        }
        if self.framing.is_idle() {
            self.shared.first_byte_us.store(crate::clock::now_us(), Relaxed);
        }
        match self.framing.feed(&buf.filled()[from..]) {
            Verdict::Pass => {
                if !self.framing.is_in_head() {
                    self.reading.clear();
                }
                Ok(())
            }
            Verdict::RefuseHead { keep, rule } => {
                self.shared.observe.metrics.add_by(Metric::HttpFramingRefused, rule.as_str(), 1);
                buf.set_filled(from + keep);
                self.poison = Some(POISON);
                self.hand_on_poison(buf);
                Ok(())
            }
            Verdict::RefuseBody { rule } => {
                self.shared.observe.metrics.add_by(Metric::HttpFramingRefused, rule.as_str(), 1);
                self.poison = Some(b"");
                Err(io::Error::new(io::ErrorKind::InvalidData, rule.as_str()))
            }
        }
    }

    fn hand_on_poison(&mut self, buf: &mut ReadBuf<'_>) {
        if let Some(poison) = self.poison {
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
        if this.poison.is_some() {
            this.hand_on_poison(buf);
            return Poll::Ready(Ok(()));
        }
        let from = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.poll_patience(cx),
            Poll::Ready(Ok(())) if buf.filled().len() > from => Poll::Ready(this.check(buf, from)),
            ended => ended,
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
