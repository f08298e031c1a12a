//! Upstream sessions for clients that have none of their own: each is lent to one call at a time.
//!
//! Sessions are kept for callers who are equal in all that the upstream was told of them, see [`Borrower`]. Only free ones
//! are known here; one that is lent is its exchange's affair until it comes back. Each remembers the target that it was
//! opened at, so that it is never used at another, and can be closed at that one when its upstream is gone.

use crate::edge::http::Target;
use crate::engine::exchange::step::Borrower;
use crate::engine::session::Binding;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Free sessions at all upstreams together.
const MOST: usize = 4096;

/// A session that nobody uses.
#[derive(Debug)]
pub(super) struct Free {
    pub(super) binding: Binding,
    pub(super) target: Arc<Target>,
    since: Instant,
}

/// The free sessions.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Held for a look-up, an insertion or a sweep only. The last one returned is the last of its list.
    free: Mutex<HashMap<Arc<Borrower>, Vec<Free>>>,
}

impl Pool {
    /// Lends a free session at `target`, the one that was used last.
    pub(super) fn lend(&self, borrower: &Borrower, target: &Arc<Target>) -> Option<Binding> {
        let mut free = self.free();
        let of_borrower = free.get_mut(borrower)?;
        let at = of_borrower.iter().rposition(|free| Arc::ptr_eq(&free.target, target))?;
        let lent = of_borrower.remove(at);
        if of_borrower.is_empty() {
            free.remove(borrower);
        }
        Some(lent.binding)
    }

    /// Takes a session back. Returns the one that has to be closed for it, if there are too many.
    pub(super) fn take_back(&self, borrower: Arc<Borrower>, binding: Binding, target: Arc<Target>) -> Option<Free> {
        let mut free = self.free();
        let full = free.values().map(Vec::len).sum::<usize>() >= MOST;
        let oldest = full.then(|| oldest(&mut free)).flatten();
        free.entry(borrower).or_default().push(Free {
            binding,
            target,
            since: Instant::now(),
        });
        oldest
    }

    /// Takes the sessions at one upstream: it has lost one, so it has lost them all, or soon will.
    pub(super) fn forget(&self, upstream: &str) -> Vec<Free> {
        let mut free = self.free();
        let taken = free.extract_if(|borrower, _| *borrower.upstream == *upstream);
        taken.flat_map(|(_, of_borrower)| of_borrower).collect()
    }

    /// Takes the sessions that were not used for `idle`, or whose target is no longer `current`.
    pub(super) fn sweep(&self, idle: Duration, current: impl Fn(&Arc<Target>) -> bool) -> Vec<Free> {
        let mut over = Vec::new();
        self.free().retain(|_, of_borrower| {
            over.extend(of_borrower.extract_if(.., |free| free.since.elapsed() >= idle || !current(&free.target)));
            !of_borrower.is_empty()
        });
        over
    }
}

impl Pool {
    fn free(&self) -> MutexGuard<'_, HashMap<Arc<Borrower>, Vec<Free>>> {
        // Nothing panics while it is held; and if: the map is still a map.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn oldest(free: &mut HashMap<Arc<Borrower>, Vec<Free>>) -> Option<Free> {
    let oldest = free
        .iter()
        .filter_map(|(borrower, list)| Some((list.first()?.since, borrower)));
    let borrower = Arc::clone(oldest.min_by_key(|(since, _)| *since)?.1);
    let list = free.get_mut(&borrower)?;
    let taken = (!list.is_empty()).then(|| list.remove(0));
    if list.is_empty() {
        free.remove(&borrower);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config;
    use crate::engine::mcp::Version;
    use crate::engine::session::{Client, Delegation};
    use std::path::Path;

    fn mk_target() -> Arc<Target> {
        let text = "upstreams: [{ name: a, url: 'http://127.0.0.1:9/mcp' }]";
        let config = config::file::parse(text, Path::new("/"), Path::new("/")).expect("valid");
        Arc::new(Target::new(&config.upstreams[0], None).expect("a target"))
    }

    fn mk_borrower(capabilities: &str) -> Arc<Borrower> {
        Arc::new(Borrower {
            upstream: "a".into(),
            version: Version::V2025_11_25,
            principal: 0,
            client: Client {
                capabilities: capabilities.into(),
                ..Client::default()
            },
            level: None,
            delegation: Delegation::NONE,
        })
    }

    fn mk_binding(id: &str) -> Binding {
        Binding {
            id: Some(id.into()),
            ..Binding::stateless(Version::V2025_11_25)
        }
    }

    #[tokio::test]
    async fn a_session_is_lent_to_one_call_at_a_time_and_to_equals_only() {
        let (pool, target) = (Pool::default(), mk_target());
        assert!(
            pool.take_back(mk_borrower("{}"), mk_binding("1"), Arc::clone(&target))
                .is_none()
        );
        assert_eq!(
            pool.lend(&mk_borrower(r#"{"roots":{}}"#), &target),
            None,
            "it was told of another client"
        );
        assert_eq!(pool.lend(&mk_borrower("{}"), &mk_target()), None, "of another server");
        assert_eq!(pool.lend(&mk_borrower("{}"), &target), Some(mk_binding("1")));
        assert_eq!(pool.lend(&mk_borrower("{}"), &target), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_swept() {
        let (pool, target) = (Pool::default(), mk_target());
        let give = |id: &str| pool.take_back(mk_borrower("{}"), mk_binding(id), Arc::clone(&target));
        assert!(give("1").is_none());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(give("2").is_none());
        tokio::time::advance(Duration::from_secs(5)).await;
        let over = pool.sweep(Duration::from_secs(10), |_| true);
        assert_eq!(
            over.iter().map(|free| free.binding.clone()).collect::<Vec<_>>(),
            [mk_binding("1")]
        );
        assert_eq!(
            pool.sweep(Duration::from_secs(10), |_| false).len(),
            1,
            "its upstream is gone"
        );
        assert!(pool.free().is_empty());
    }

    #[tokio::test]
    async fn there_are_never_more_than_so_many() {
        let (pool, target) = (Pool::default(), mk_target());
        for at in 0..MOST {
            let borrower = mk_borrower(&format!("{{\"n\":{at}}}"));
            assert!(pool.take_back(borrower, mk_binding("x"), Arc::clone(&target)).is_none());
        }
        assert!(
            pool.take_back(mk_borrower("{}"), mk_binding("y"), Arc::clone(&target))
                .is_some()
        );
        assert_eq!(pool.sweep(Duration::ZERO, |_| true).len(), MOST);
    }
}
