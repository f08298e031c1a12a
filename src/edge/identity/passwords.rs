//! Compares passwords with bcrypt hashes: on threads of their own, few at a time, and less and less often for a name whose
//! passwords are wrong.
//!
//! What fitted is remembered for a while, as a keyed hash of name, password and bcrypt hash together: a file that changes
//! needs no word about it. Who is remembered is let in at once, however many guess at the name meanwhile.

use crate::engine::exchange::event::Compared;
use crate::engine::policy::Claimed;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Comparisons at once: each takes a core.
const AT_ONCE: usize = 2;
/// Comparisons that wait for their turn.
const WAITING: usize = 32;
/// What is told when no more may wait.
const BUSY: Duration = Duration::from_secs(2);
/// A password that fitted is compared again after this long.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Of either kind.
const MAX_ENTRIES: usize = 10_000;
/// So many wrong ones cost nothing.
const FREE: u32 = 5;
/// A name is left alone at most this long.
const LONGEST: Duration = Duration::from_secs(60);

/// An answer, now or later.
pub enum Look {
    /// It was known.
    Now(Compared),
    /// It is being found out.
    Later(Pin<Box<dyn Future<Output = Compared> + Send>>),
}

/// See the module.
#[derive(Debug)]
pub struct Passwords {
    shared: Arc<Shared>,
    runtime: Handle,
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    key: [u8; 32],
    /// Short: a look-up each.
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Since when.
    good: HashMap<[u8; 32], Instant>,
    wrong: HashMap<Arc<str>, Wrong>,
    waiting: usize,
}

/// How often a name's passwords were wrong, and until when nothing is compared for it.
#[derive(Debug)]
struct Wrong {
    times: u32,
    until: Instant,
}

/// A comparison that waits or runs; dropped, its place is free.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.memory().waiting -= 1;
    }
}

impl Passwords {
    /// Nothing is remembered yet. `runtime` has the threads.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                key: rand::random(),
                memory: Mutex::default(),
            }),
            runtime,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Whether the password is the one of that name.
    #[must_use]
    pub fn compare(&self, claimed: Claimed) -> Look {
        let Some(hash) = claimed.hash.clone() else {
            return Look::Now(Compared::Wrong);
        };
        let print = self.shared.print(&claimed, &hash.0);
        let now = Instant::now();
        let mut memory = self.shared.memory();
        if memory.remembers(&print, now) {
            return Look::Now(Compared::Fits);
        }
        if let Some(wait) = memory.wait(&claimed.name, now) {
            return Look::Now(Compared::NotNow(wait));
        }
        if memory.waiting >= WAITING {
            return Look::Now(Compared::NotNow(BUSY));
        }
        memory.waiting += 1;
        drop(memory);
        let place = Place(Arc::clone(&self.shared));
        let (turns, runtime) = (Arc::clone(&self.turns), self.runtime.clone());
        Look::Later(Box::pin(async move {
            let Ok(turn) = turns.acquire_owned().await else {
                return Compared::Wrong;
            };
            // Goes on to its end even if nobody waits for it any more: what it costs is counted until then.
            let comparing = runtime.spawn_blocking(move || {
                let _turn = turn;
                let fits = bcrypt::verify(&*claimed.password.0, &hash.0).unwrap_or(false) && claimed.known;
                place.0.memory().note(fits, print, claimed.name, Instant::now());
                fits
            });
            match comparing.await {
                Ok(true) => Compared::Fits,
                Ok(false) | Err(_) => Compared::Wrong,
            }
        }))
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, claimed: &Claimed, hash: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length is a key");
        for part in [&*claimed.name, &*claimed.password.0, hash] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl Memory {
    fn remembers(&mut self, print: &[u8; 32], now: Instant) -> bool {
        let since = self.good.get(print);
        since.is_some_and(|since| now.duration_since(*since) < REMEMBERED)
    }

    /// How long nothing is compared for this name.
    fn wait(&self, name: &str, now: Instant) -> Option<Duration> {
        let wrong = self.wrong.get(name)?;
        wrong.until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn note(&mut self, fits: bool, print: [u8; 32], name: Arc<str>, now: Instant) {
        if fits {
            self.wrong.remove(&name);
            make_room(&mut self.good, |since| now.duration_since(*since) < REMEMBERED);
            self.good.insert(print, now);
            return;
        }
        make_room(&mut self.wrong, |wrong| wrong.until + LONGEST > now);
        let wrong = self.wrong.entry(name).or_insert(Wrong { times: 0, until: now });
        // Who has let it be for long begins anew.
        wrong.times = if wrong.until + LONGEST < now {
            1
        } else {
            wrong.times.saturating_add(1)
        };
        let pause = match wrong.times.saturating_sub(FREE) {
            0 => Duration::ZERO,
            more => Duration::from_secs(1 << more.min(6)).min(LONGEST),
        };
        wrong.until = now + pause;
    }
}

/// Bounded whoever knocks: what is old goes first, then everything.
fn make_room<K: Eq + Hash, V>(entries: &mut HashMap<K, V>, young: impl Fn(&V) -> bool) {
    if entries.len() < MAX_ENTRIES {
        return;
    }
    entries.retain(|_, value| young(value));
    if entries.len() >= MAX_ENTRIES {
        entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::Confidential;

    /// Of `right`, as cheap as can be.
    fn hash() -> Confidential {
        Confidential(
            bcrypt::hash_with_salt("right", 4, [7; 16])
                .expect("hashed")
                .to_string()
                .into(),
        )
    }

    fn mk_claimed(name: &str, password: &str) -> Claimed {
        Claimed {
            name: name.into(),
            password: Confidential(password.into()),
            hash: Some(hash()),
            known: name == "alice",
        }
    }

    async fn compare(passwords: &Passwords, claimed: Claimed) -> Compared {
        match passwords.compare(claimed) {
            Look::Now(compared) => compared,
            Look::Later(later) => later.await,
        }
    }

    #[tokio::test]
    async fn the_right_one_fits_and_is_remembered() {
        let passwords = Passwords::new(Handle::current());
        assert_eq!(compare(&passwords, mk_claimed("alice", "right")).await, Compared::Fits);
        assert!(matches!(
            passwords.compare(mk_claimed("alice", "right")),
            Look::Now(Compared::Fits)
        ));
        let mut changed = mk_claimed("alice", "right");
        changed.hash = Some(Confidential(
            bcrypt::hash_with_salt("new", 4, [8; 16])
                .expect("hashed")
                .to_string()
                .into(),
        ));
        assert_eq!(
            compare(&passwords, changed).await,
            Compared::Wrong,
            "not after a change"
        );
        assert_eq!(compare(&passwords, mk_claimed("bob", "right")).await, Compared::Wrong);
        assert_eq!(passwords.shared.memory().waiting, 0);
    }

    #[tokio::test]
    async fn who_guesses_has_to_wait_and_who_knows_has_not() {
        let passwords = Passwords::new(Handle::current());
        assert_eq!(compare(&passwords, mk_claimed("alice", "right")).await, Compared::Fits);
        let mut refused = None;
        for guess in 0..=FREE + 1 {
            refused = Some(compare(&passwords, mk_claimed("alice", &guess.to_string())).await);
        }
        assert!(matches!(refused, Some(Compared::NotNow(_))), "{refused:?}");
        assert_eq!(compare(&passwords, mk_claimed("alice", "right")).await, Compared::Fits);
        assert_eq!(
            compare(&passwords, mk_claimed("carol", "x")).await,
            Compared::Wrong,
            "others are not concerned"
        );
    }

    #[tokio::test]
    async fn no_more_than_a_few_wait() {
        let passwords = Passwords::new(Handle::current());
        let waiting: Vec<Look> = (0..WAITING)
            .map(|at| passwords.compare(mk_claimed(&at.to_string(), "x")))
            .collect();
        assert!(matches!(
            passwords.compare(mk_claimed("more", "x")),
            Look::Now(Compared::NotNow(_))
        ));
        drop(waiting);
        assert_eq!(compare(&passwords, mk_claimed("more", "x")).await, Compared::Wrong);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Memory::default();
        let now = Instant::now();
        for at in 0..MAX_ENTRIES * 2 {
            memory.note(false, [0; 32], at.to_string().into(), now);
        }
        assert!(memory.wrong.len() <= MAX_ENTRIES);
    }
}
