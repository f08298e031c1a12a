//! What a gateway session costs: resident bytes with the journal on, time per use, time to load.
//!
//! `cargo run --release --example sessions [-- SESSIONS]`; exits 1 where a promise is broken: 512 bytes per session
//! without ties, 256 more per tie, no growth under churn.

#![allow(missing_docs, reason = "a program, not a library")]

use mcp_manifold::edge::store::MemoryStore;
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::session::{Binding, Claims, Client, EndpointHash, Keys, SessionKey, SessionStore, Timestamp};
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const EXPIRES: Timestamp = Timestamp(NOW.0 + 30 * 86_400_000);
const PER_SESSION: usize = 512;
const PER_TIE: usize = 256;

fn main() -> anyhow::Result<ExitCode> {
    let sessions = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 100_000,
    };
    let dir = tempfile::tempdir()?;
    let mut kept = promises(dir.path(), sessions)?;
    kept &= churn(dir.path(), sessions)?;
    time_ids();
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bytes per session and tie, then the time to load them all.
fn promises(dir: &Path, sessions: usize) -> anyhow::Result<bool> {
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
    println!("session       {session:7} bytes (at most {PER_SESSION})");
    println!("tie           {tie:7} bytes (at most {PER_TIE})");
    Ok(session <= PER_SESSION && tie <= PER_TIE)
}

/// An hour of clients that come and go: after each round everything has expired.
fn churn(dir: &Path, sessions: usize) -> anyhow::Result<bool> {
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
    Ok(last <= first + first / 10)
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
