//! A progress bar on a terminal, for what takes longer than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What is done within this needs no bar.
const SHORT: Duration = Duration::from_secs(1);

/// How far reading is, in bytes.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    is_shown: Rc<Cell<bool>>,
}

impl Progress {
    /// Nothing read so far.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let style = "{bar:40} {bytes} of {total_bytes}, {eta} to go";
        // Should the library not read the template: its own bar.
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, began: Instant::now(), is_shown: Rc::default() }
    }

    /// So many bytes more are to be read.
    pub fn add_length(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// So many bytes more have been read.
    pub fn add(&self, bytes: u64) {
        if !self.is_shown.get() && self.began.elapsed() > SHORT {
            self.is_shown.set(true);
            // Where stderr is no terminal this draws nothing.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(bytes);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A reader whose bytes are counted.
pub struct Watched<R> {
    inner: R,
    progress: Progress,
}

impl<R> Watched<R> {
    /// Counts what is read of it.
    pub fn new(inner: R, progress: Progress) -> Self {
        Self { inner, progress }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}
