//! Takes audit lines off the call path: into a buffer, which a thread writes out in batches.
//!
//! The buffer is bounded. While the disk (or whoever reads standard error) stalls, lines are lost rather than calls
//! held up; lost lines are counted and reported, in the log and in a line of their own: `{"lost":N}`. A file that is
//! moved away is followed by a new one. Dropping the log writes what is left.

mod file;

use super::line;
use crate::engine::config::AuditTarget;
use crate::engine::exchange::Record;
use file::Rotated;
use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Lines gather this long. What a hard kill can lose.
const GATHER: Duration = Duration::from_millis(20);
/// About 10,000 lines.
const MAX_BUFFER: usize = 4 << 20;
/// Between two lines of the log about lost lines.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// A buffer that grew beyond this in a burst is not kept.
const KEPT_BUFFER: usize = 256 << 10;

/// Where audit lines go.
#[derive(Debug)]
pub struct AuditLog(Option<Running>);

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Lines not written yet; held to append one, or to take all.
    pending: Mutex<Pending>,
    wake: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: u64,
    closing: bool,
}

// === impl AuditLog ===

impl AuditLog {
    /// Starts writing; a file is created or appended to.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread started.
    pub fn start(to: &AuditTarget) -> io::Result<Self> {
        match to {
            AuditTarget::Off => Ok(Self(None)),
            AuditTarget::Stderr => Self::start_writing(io::stderr()),
            AuditTarget::File(path) => Self::start_writing(Rotated::open(path)?),
        }
    }

    fn start_writing(target: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("audit-log".into()).spawn({
            let shared = Arc::clone(&shared);
            move || write_batches(&shared, target)
        })?;
        Ok(Self(Some(Running {
            shared,
            thread: Some(thread),
        })))
    }

    /// Takes one line.
    pub(super) fn record(&self, record: &Record, elapsed: Duration, now: SystemTime) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(Running { shared, .. }) = &self.0 else {
            return;
        };
        LINE.with_borrow_mut(|line| {
            line.clear();
            line::write(line, record, elapsed, now);
            shared.push(line);
        });
    }

    /// Lines lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |running| running.shared.lost.load(Relaxed))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // An error means that it panicked, which the panic hook has reported.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        if pending.bytes.len() + line.len() > MAX_BUFFER {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        let first = pending.bytes.is_empty();
        pending.bytes.extend_from_slice(line);
        pending.lines += 1;
        drop(pending);
        if first {
            self.wake.notify_one();
        }
    }

    /// Swaps the pending lines for `spare`, which is empty; their number. `None` when closing and all is written.
    fn next(&self, spare: &mut Vec<u8>) -> Option<u64> {
        let idle = |pending: &mut Pending| pending.bytes.is_empty() && !pending.closing;
        let pending = self.wake.wait_while(self.lock(), idle);
        let pending = pending.unwrap_or_else(PoisonError::into_inner);
        let gathering = |pending: &mut Pending| !pending.closing;
        let outcome = self.wake.wait_timeout_while(pending, GATHER, gathering);
        let mut pending = outcome.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(&mut pending.bytes, spare);
        let lines = std::mem::take(&mut pending.lines);
        (!spare.is_empty()).then_some(lines)
    }
}

fn write_batches(shared: &Shared, mut target: impl Write) {
    let mut batch = Vec::new();
    let mut losses = Losses::default();
    while let Some(lines) = shared.next(&mut batch) {
        let told = losses.tell(shared.lost.load(Relaxed), &mut target);
        let written = told.and_then(|()| target.write_all(&batch));
        if written.is_err() {
            shared.lost.fetch_add(lines, Relaxed);
            losses.torn = true;
        }
        losses.log(shared.lost.load(Relaxed), written.err());
        batch.clear();
        batch.shrink_to(KEPT_BUFFER);
    }
    // Where even this fails, the number stands in the metrics.
    let _ = losses.tell(shared.lost.load(Relaxed), &mut target);
}

/// What is known of lost lines, and where.
#[derive(Default)]
struct Losses {
    /// So many stand in the file.
    told: u64,
    /// So many stand in the log.
    logged: u64,
    logged_at: Option<Instant>,
    /// The file may end in the middle of a line.
    torn: bool,
}

impl Losses {
    /// Says in the file what is missing there, before what follows.
    fn tell(&mut self, lost: u64, target: &mut impl Write) -> io::Result<()> {
        if lost == self.told {
            return Ok(());
        }
        let end = if self.torn { "\n" } else { "" };
        target.write_all(format!("{end}{{\"lost\":{}}}\n", lost - self.told).as_bytes())?;
        (self.told, self.torn) = (lost, false);
        Ok(())
    }

    /// Says it in the log: at once, then now and then, however many batches fail.
    fn log(&mut self, lost: u64, error: Option<io::Error>) {
        let recently = self.logged_at.is_some_and(|at| at.elapsed() < LOG_PAUSE);
        if lost == self.logged || recently {
            return;
        }
        let lines = lost - self.logged;
        let error = error.map(|error| error.to_string());
        tracing::error!(lines, error, "Audit lines were lost.");
        (self.logged, self.logged_at) = (lost, Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests;
