//! Writes changed sessions down, in batches, on a thread of its own.
//!
//! Callers name what changed; the thread looks up what it is by then. So the queue is a set that is never larger than
//! the map, however slow the disk, and the order of changes cannot be lost. A batch gathers for [`GATHER`], or goes at
//! once when somebody waits for it. Dropping the journal writes the last batch.

mod file;

use super::entry::{MapKey, PassThrough, Sessions};
use super::intern::ClientHash;
use file::JournalFile;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) use file::Loaded;

/// A change waits this long for others to share its write. What a hard kill can lose: ties, which are then made anew.
const GATHER: Duration = Duration::from_millis(40);
/// After a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Two gateways would overwrite each other's sessions.
    #[error("stateDir: {0} is in use by another mcp-manifold")]
    Locked(PathBuf),
    /// No permission, no space, not a folder.
    #[error("stateDir: cannot open {0}: {1}")]
    Unusable(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The journal of one session map.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// What is not written yet; held for a few instructions only, never across I/O.
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Why the last write failed, if it did; held to be copied or replaced.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    closing: bool,
}

/// What one write brings up to date.
#[derive(Debug, Default)]
struct Batch {
    changed: HashSet<MapKey, BuildHasherDefault<PassThrough>>,
    /// Clients without a session. Removed before the sessions are written, which may bring one back.
    gone: HashSet<ClientHash>,
    waiters: Vec<oneshot::Sender<bool>>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty() && self.waiters.is_empty()
    }
}

// === impl Journal ===

impl Journal {
    /// Opens the journal in `dir`, hands what it holds to `loaded`, and writes changes of `sessions` from then on.
    ///
    /// # Errors
    /// Another process holds it, or the folder cannot be used. A broken file is no error: it is moved aside.
    pub(super) fn open(dir: PathBuf, sessions: Arc<Sessions>, loaded: &mut dyn Loaded) -> Result<Self, JournalError> {
        let file = JournalFile::open(&dir.join("sessions.redb"), loaded)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            trouble: Mutex::default(),
        });
        let thread = std::thread::Builder::new()
            .name("sessions-journal".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || write_batches(&shared, file, &sessions)
            })
            .map_err(|error| JournalError::Unusable(dir, Box::new(error)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// This session changed.
    pub(super) fn changed(&self, key: MapKey) {
        let mut queue = self.shared.lock();
        let first = queue.batch.is_empty();
        queue.batch.changed.insert(key);
        drop(queue);
        if first {
            self.shared.wake.notify_one();
        }
    }

    /// No session has this client any more.
    pub(super) fn gone(&self, client: ClientHash) {
        self.shared.lock().batch.gone.insert(client);
        self.shared.wake.notify_one();
    }

    /// Why the file is behind: the last write failed, and is tried again.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble().clone()
    }

    /// Resolves when everything up to now is on disk; false if that failed.
    pub(super) fn written(&self) -> impl Future<Output = bool> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().batch.waiters.push(sender);
        self.shared.wake.notify_one();
        async move { receiver.await.unwrap_or(false) }
    }
}

impl Drop for Journal {
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
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a write ended; a line of the log where that is new.
    fn note(&self, outcome: Result<(), String>) {
        let now = outcome.err();
        let before = std::mem::replace(&mut *self.trouble(), now.clone());
        match (before, now) {
            (before, Some(error)) if before.as_ref() != Some(&error) => {
                tracing::error!(
                    error,
                    "Session journal cannot be written; it is tried again every second."
                );
            }
            (Some(_), None) => tracing::info!("Session journal is written again."),
            (_, _) => {}
        }
    }

    /// The next batch; `None` when closing and all is written.
    fn next(&self) -> Option<Batch> {
        let idle = |queue: &mut Queue| queue.batch.is_empty() && !queue.closing;
        let queue = self.wake.wait_while(self.lock(), idle);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.wait_while_nobody_waits(queue, GATHER);
        let batch = std::mem::take(&mut queue.batch);
        (!batch.is_empty()).then_some(batch)
    }

    fn wait_while_nobody_waits<'a>(&self, queue: MutexGuard<'a, Queue>, time: Duration) -> MutexGuard<'a, Queue> {
        let patient = |queue: &mut Queue| queue.batch.waiters.is_empty() && !queue.closing;
        let outcome = self.wake.wait_timeout_while(queue, time, patient);
        outcome.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes a batch back that could not be written. True if it is to be tried again.
    fn give_back(&self, batch: Batch) -> bool {
        let mut queue = self.lock();
        queue.batch.changed.extend(batch.changed);
        queue.batch.gone.extend(batch.gone);
        let queue = self.wait_while_nobody_waits(queue, RETRY);
        !queue.closing
    }
}

fn write_batches(shared: &Shared, mut file: JournalFile, sessions: &Sessions) {
    while let Some(mut batch) = shared.next() {
        let waiters = std::mem::take(&mut batch.waiters);
        let outcome = file.write(&batch.changed, &batch.gone, sessions);
        for waiter in waiters {
            // Nobody there: the client that sent DELETE has left.
            let _ = waiter.send(outcome.is_ok());
        }
        let failed = outcome.is_err();
        shared.note(outcome.map_err(|error| error.to_string()));
        if failed && !shared.give_back(batch) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
