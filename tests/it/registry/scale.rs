//! A thousand upstreams, and a change of one: what it takes in time and bytes.

use super::proxy::Proxy;
use super::room::{Processor, Room, mk_assignment, mk_status};
use mcp_manifold::engine::assignment::Assignment;
use mcp_manifold::engine::status::Reason;
use std::sync::Arc;
use std::time::{Duration, Instant};

const UPSTREAMS: usize = 1_000;
/// Of TLS, gRPC and HTTP/2 around one message, and of what keeps the connection alive.
const AROUND: u64 = 2_000;

#[tokio::test]
async fn a_thousand_upstreams_arrive_at_once_and_a_change_of_one_is_small() {
    let mut room = Room::new().await;
    let names: Vec<String> = (0..UPSTREAMS).map(|index| format!("team-{index}.server")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let proxy = Proxy::to(room.address).await;
    let mut processor = super::through(&proxy, &room, "pod-1");
    room.hears("pod-1 connected").await;

    let whole = mk_assignment(&names);
    let (time, bytes) = measure(&room, &proxy, &mut processor, Arc::clone(&whole)).await;
    eprintln!("{UPSTREAMS} upstreams: {time:?}, {bytes} bytes");
    assert!(bytes < UPSTREAMS as u64 * 500, "{bytes}");
    assert!(time < Duration::from_secs(5), "{time:?}");

    let mut one = (*whole).clone();
    let changed = one.upstreams.get_mut("team-500.server").expect("there");
    Arc::make_mut(changed).enabled = false;
    let (time, bytes) = measure(&room, &proxy, &mut processor, Arc::new(one)).await;
    eprintln!("one of them: {time:?}, {bytes} bytes");
    assert!(bytes < 500 + AROUND, "{bytes}");
    assert!(time < Duration::from_millis(500), "{time:?}");

    let status: Vec<_> = names.iter().map(|name| mk_status(name, Reason::Ready)).collect();
    let begun = Instant::now();
    processor.report(status);
    room.hears(&format!("pod-1 reports {UPSTREAMS}")).await;
    eprintln!("their status: {:?}", begun.elapsed());
}

/// Until the processor has it.
async fn measure(room: &Room, proxy: &Proxy, processor: &mut Processor, new: Arc<Assignment>) -> (Duration, u64) {
    let (begun, before) = (Instant::now(), proxy.bytes());
    room.registry.assign("team/edge", Arc::clone(&new)).expect("fine");
    let next = processor.next().await;
    let time = begun.elapsed();
    assert!(next.assignment == new, "something is lost on the way");
    next.verdict.send(Ok(())).expect("awaited");
    (time, proxy.bytes() - before)
}
