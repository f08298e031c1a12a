//! What all sessions of this server share. Each lock guards one list and is never held across an `await`.

use crate::Options;
use crate::catalog::Catalog;
use crate::control::Seen;
use crate::subscriptions::Watchers;
use rmcp::task_manager::TaskManager;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct State {
    pub(crate) options: Options,
    /// Changed by `/control/tools/...`.
    pub(crate) catalog: Mutex<Catalog>,
    /// Who wants to hear of changes.
    pub(crate) watchers: Watchers,
    /// What was asked of this server, and what it shall answer instead of the truth.
    pub(crate) seen: Mutex<Seen>,
    pub(crate) tasks: TaskManager,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            catalog: Mutex::new(Catalog::new(&options)),
            options,
            watchers: Watchers::default(),
            seen: Mutex::default(),
            tasks: TaskManager::new(),
        }
    }
}

/// The value of a lock; a panic elsewhere does not matter to a fixture.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
