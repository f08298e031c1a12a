//! What is kept of callers costs so much: of a gateway session resident bytes with the journal on, time per use, time to
//! load; of a rate limit resident bytes for each key.
//!
//! `sessions [SESSIONS]`; the last line is JSON, the goals: `[[what, value, limit, at least?], ...]`. See `memory.py`.

#![allow(missing_docs, reason = "a program, not a library")]

use anyhow::Context;
use mcp_manifold::edge::store::MemoryStore;
use mcp_manifold::edge::throttle::Throttle;
use mcp_manifold::engine::config::{RateLimit, file};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::policy::rate::Charge;
use mcp_manifold::engine::session::{Binding, Claims, Client, EndpointHash, Keys, SessionKey, SessionStore, Timestamp};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const EXPIRES: Timestamp = Timestamp(NOW.0 + 30 * 86_400_000);
const PER_SESSION: usize = 512;
const PER_TIE: usize = 256;

/// The buckets that one limit has at most.
const MOST_KEYS: usize = 100_000;
const PER_KEY: usize = 64;

/// What was measured, and the most it may be.
struct Goal(&'static str, f64, f64);

fn main() -> anyhow::Result<()> {
    let sessions = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 100_000,
    };
    let dir = tempfile::tempdir()?;
    let mut goals = Vec::from(limited()?);
    goals.extend(promises(dir.path(), sessions)?);
    goals.push(churn(dir.path(), sessions)?);
    time_ids();
    let rows = goals
        .into_iter()
        .map(|Goal(what, value, most)| (what, value, most, false));
    println!("{}", serde_json::to_string(&rows.collect::<Vec<_>>())?);
    Ok(())
}

/// Keys of a rate limit that nobody has shown before: what each costs, and that there is an end to them.
fn limited() -> anyhow::Result<[Goal; 2]> {
    let yaml =
        "rateLimits: [{ name: calls, per: [principal], limit: 1/h }]\nupstreams: [{ name: a, url: 'http://a/' }]";
    let config = file::parse(yaml, Path::new("/"), Path::new("/"))
        .ok()
        .context("the configuration is valid")?;
    let limits: Vec<Arc<RateLimit>> = config.rate_limits;
    let throttle = Throttle::default();
    throttle.follow(&limits, None)?;
    let take = |number: usize| {
        let limit = limits.first().map(Arc::clone)?;
        let bucket = vec![format!("user-{number}").into()];
        let cost = NonZeroU32::MIN;
        drop(throttle.admit(vec![Charge { limit, bucket, cost }]));
        Some(())
    };
    let buckets = || throttle.buckets().iter().map(|(_, count)| count).sum::<usize>();
    // What the first key needs that all share.
    take(usize::MAX).context("there is a limit")?;
    let before = resident()?;
    (1..10_000).try_for_each(take).context("there is a limit")?;
    let each = resident()?.saturating_sub(before) / 10_000;
    (10_000..3 * MOST_KEYS).try_for_each(take).context("there is a limit")?;
    let all = buckets();
    println!(
        "key           {each:7} bytes of each of 10,000; {all} are kept of {}",
        3 * MOST_KEYS
    );
    Ok([
        Goal(
            "bytes of memory for each of 10,000 keys of a rate limit",
            each as f64,
            PER_KEY as f64,
        ),
        Goal("keys kept of 300,000 of one rate limit", all as f64, MOST_KEYS as f64),
    ])
}

/// Bytes per session and tie, then the time to load them all.
fn promises(dir: &Path, sessions: usize) -> anyhow::Result<[Goal; 2]> {
    let store = open(dir, sessions, NOW)?;
    let empty = resident()?;
    for number in 0..sessions {
        store.start(key(number), EXPIRES, client())?;
    }
    flush(&store);
    let plain = resident()?;
    for (upstream, name) in ["everything", "github"].into_iter().enumerate() {
        for number in 0..sessions {
            store.bind(key(number), EXPIRES, name, binding(number * 2 + upstream), NOW);
        }
    }
    flush(&store);
    let tied = resident()?;
    time_lookups(&store, sessions);
    drop(store);

    let started = Instant::now();
    let store = open(dir, sessions, NOW)?;
    println!(
        "load          {:7.0} ms for {} sessions",
        started.elapsed().as_secs_f64() * 1e3,
        store.len()
    );
    drop(store);

    let session = plain.saturating_sub(empty) / sessions;
    let tie = tied.saturating_sub(plain) / (2 * sessions);
    println!("session       {session:7} bytes");
    println!("tie           {tie:7} bytes");
    Ok([
        Goal(
            "bytes of memory for a session, alone",
            session as f64,
            PER_SESSION as f64,
        ),
        Goal(
            "bytes of memory for a tie to an upstream, alone",
            tie as f64,
            PER_TIE as f64,
        ),
    ])
}

/// An hour of clients that come and go: after each round everything has expired.
fn churn(dir: &Path, sessions: usize) -> anyhow::Result<Goal> {
    let store = open(dir, sessions, EXPIRES)?;
    let mut after = Vec::new();
    for round in 0..10 {
        let now = Timestamp(EXPIRES.0 + round * 1000);
        let expires = Timestamp(now.0 + 500);
        for number in 0..sessions / 4 {
            let key = key(number + (usize::try_from(round)? + 1) * sessions);
            store.start(key, expires, client())?;
            store.bind(key, expires, "everything", binding(number), now);
            if number % 2 == 0 {
                drop(store.end(key, expires));
            }
        }
        store.expire(Timestamp(now.0 + 1000));
        flush(&store);
        after.push(resident()?);
    }
    let (first, last) = (after[2], after[9]);
    println!(
        "churn         {:7} KiB resident after 3 rounds, {} after 10",
        first >> 10,
        last >> 10
    );
    let growth = last as f64 / first as f64;
    Ok(Goal(
        "memory after 10 rounds of sessions that come and go, to after 3",
        growth,
        1.1,
    ))
}

fn time_lookups(store: &MemoryStore, sessions: usize) {
    let started = Instant::now();
    for number in 0..sessions {
        black_box(store.lookup(key(black_box(number)), "github", NOW));
    }
    println!(
        "lookup        {:7.0} ns",
        started.elapsed().as_nanos() as f64 / sessions as f64
    );
}

fn time_ids() {
    const ROUNDS: u32 = 200_000;
    let keys = Keys::derive(&[b"current".to_vec(), b"previous".to_vec()]).expect("two secrets");
    let endpoint = EndpointHash::of("default");
    let claims = Claims {
        flags: ClientFlags::default(),
        version: Version::V2025_11_25,
        endpoint,
        key: key(7),
        expires: EXPIRES,
        principal: 0,
    };
    let id = keys.sign(&claims);
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(keys.verify(black_box(id.as_bytes()), endpoint, NOW)).expect("genuine");
    }
    println!(
        "verify        {:7.0} ns",
        started.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    );
}

fn open(dir: &Path, sessions: usize, now: Timestamp) -> anyhow::Result<MemoryStore> {
    Ok(MemoryStore::open(dir.to_owned(), sessions, now)?)
}

/// Waits until everything is on disk: ending an unknown session is written at once.
fn flush(store: &MemoryStore) {
    let ended = store.end(SessionKey(0), Timestamp(EXPIRES.0 * 2));
    assert!(wait(ended.written), "the journal is written");
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

fn key(number: usize) -> SessionKey {
    SessionKey((number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn client() -> Client {
    Client {
        capabilities: r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{}}"#.into(),
        info: r#"{"name":"example-client","title":"Example Client","version":"1.2.3"}"#.into(),
    }
}

fn binding(number: usize) -> Binding {
    Binding {
        id: Some(format!("{number:08x}-7c15-4f39-8cc0-605cedc83500").into()),
        ..Binding::stateless(Version::V2025_11_25)
    }
}

/// Resident bytes of this process.
fn resident() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: usize = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or("0")
        .parse()?;
    Ok(kibibytes << 10)
}
