//! What goes wrong: controllers and connections that go, certificates, files, nonsense.

use super::pki::{Authority, mount};
use super::proxy::{Proxy, babbler};
use super::room::{Processor, Room, mk_assignment};
use super::{stranger, through};
use mcp_manifold::edge::registry::Identity;
use mcp_manifold::engine::assignment::Told;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_controller_that_comes_back_finds_its_processors_serving() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a", "b"]);
    let mut processor = room.processor("team/edge", "pod-1");
    let (_, before) = processor.accept().await;

    room.restart().await;
    room.assign("team/edge", &["a", "b"]);
    room.registry.lead();
    room.hears("pod-1 accepted 1").await;
    assert!(processor.is_idle(), "it serves that already");

    room.assign("team/edge", &["a", "c"]);
    let (version, after) = processor.accept().await;
    assert_eq!((version, &after), (2, &mk_assignment(&["a", "c"])));
    assert!(
        Arc::ptr_eq(&before.upstreams["a"], &after.upstreams["a"]),
        "it outlived the controller"
    );
}

#[tokio::test]
async fn a_processor_that_starts_without_a_controller_serves_what_it_kept() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;
    room.assign("team/edge", &["a", "b"]);
    processor.accept().await;
    room.leave().await;

    processor.restart().await;
    assert_eq!(processor.accept().await, (2, mk_assignment(&["a", "b"])));
    room.restart().await;
    room.assign("team/edge", &["b"]);
    room.registry.lead();
    assert_eq!(
        processor.accept().await,
        (1, mk_assignment(&["b"])),
        "an older number of a newer epoch"
    );
}

#[tokio::test]
async fn a_processor_that_held_the_newest_version_is_not_told_it_again() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;
    room.hears("pod-1 accepted 1").await;
    room.forget();

    processor.restart().await;
    assert_eq!(processor.accept().await, (1, mk_assignment(&["a"])), "the kept one");
    room.hears("pod-1 accepted 1").await;
    assert!(processor.is_idle());
}

#[tokio::test]
async fn a_kept_assignment_that_is_refused_is_asked_for_anew() {
    let room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;

    processor.restart().await;
    processor.refuse("of an older program").await;
    assert_eq!(processor.accept().await, (1, mk_assignment(&["a"])));
}

#[tokio::test]
async fn a_damaged_file_is_no_reason_not_to_start() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;
    room.hears("pod-1 accepted 1").await;
    processor.end().await;
    room.forget();
    let file = processor.follower.state.clone();
    let mut bytes = std::fs::read(&file).expect("it was kept");
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, bytes).expect("written");

    let mut again = Processor::start(processor.follower.clone());
    assert_eq!(again.accept().await, (1, mk_assignment(&["a"])), "the controller's");
    room.hears("pod-1 accepted 1").await;
}

#[tokio::test]
async fn a_killed_processor_is_told_as_gone() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;
    room.hears("pod-1 accepted 1").await;
    processor.kill().await;
    room.hears("pod-1 gone").await;
}

#[tokio::test]
async fn versions_that_come_before_the_verdict_are_told_as_one() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    let first = processor.next().await;
    room.assign("team/edge", &["a", "b"]);
    room.assign("team/edge", &["a", "b", "c"]);
    assert!(processor.is_idle(), "one at a time");
    first.verdict.send(Ok(())).expect("awaited");
    assert_eq!(processor.accept().await, (3, mk_assignment(&["a", "b", "c"])));
    room.hears("pod-1 accepted 3").await;
    assert!(!room.heard("pod-1 accepted 2"));
}

#[tokio::test]
async fn a_verdict_outlives_the_connection_that_it_was_asked_on() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    let first = processor.next().await;
    proxy.cut();
    first.verdict.send(Ok(())).expect("awaited");
    room.hears("pod-1 accepted 1").await;
    assert!(processor.is_idle(), "what it holds is known on both sides");
    assert!(!room.heard("pod-1 gone"), "it was away for a moment only");
    proxy.seen(2).await;
}

#[tokio::test]
async fn processors_wait_for_the_one_that_leads() {
    let mut room = Room::new().await;
    room.registry.rest();
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    proxy.seen(3).await;
    assert!(!room.heard_any(|_| true), "nobody was let in");
    room.assign("team/edge", &["a"]);
    room.registry.lead();
    assert_eq!(processor.accept().await, (1, mk_assignment(&["a"])));
}

#[tokio::test]
async fn whoever_shows_no_good_certificate_hears_nothing() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let ours = &room.authority;
    let theirs = Authority::new();
    let forged = Identity {
        ca: ours.pem().into(),
        ..theirs.client("team/edge")
    };
    let strangers = [
        ("another authority's", forged),
        ("another gateway's", ours.client("team/other")),
        ("expired", ours.expired("team/edge")),
        ("a server's", ours.server()),
        ("nobody's", ours.client_of(&[])),
        ("of two gateways", ours.client_of(&["team/edge", "team/other"])),
        ("half a name", ours.client("team")),
        ("a longer name", ours.client("team/edge/more")),
    ];
    let mut watched = Vec::new();
    for (name, identity) in strangers {
        let proxy = Proxy::to(room.address).await;
        let stranger = stranger(&proxy, &room, name, &identity);
        watched.push((name, proxy, stranger));
    }
    for (name, proxy, stranger) in &mut watched {
        // It comes again, so it was sent away.
        proxy.seen(2).await;
        assert!(stranger.is_idle(), "{name}");
    }
    assert!(!room.heard_any(|_| true), "nobody was let in");
}

#[tokio::test]
async fn a_controller_of_another_authority_is_not_believed() {
    let room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let identity = Identity {
        ca: Authority::new().pem().into(),
        ..room.authority.client("team/edge")
    };
    let proxy = Proxy::to(room.address).await;
    let mut processor = stranger(&proxy, &room, "pod-1", &identity);
    proxy.seen(2).await;
    assert!(processor.is_idle());
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_anybody_noticing() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    processor.accept().await;
    proxy.seen(1).await;

    mount(&processor.certificates(), &room.authority.client("team/edge"));
    proxy.seen(2).await;
    room.assign("team/edge", &["a", "b"]);
    assert_eq!(processor.accept().await.0, 2);
    assert!(!room.heard("pod-1 gone"));
}

#[tokio::test]
async fn half_written_certificates_do_not_cost_the_connection() {
    let room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    processor.accept().await;

    let other = room.authority.client("team/edge");
    std::fs::write(processor.certificates().join("tls.key"), &*other.key.0).expect("written");
    room.assign("team/edge", &["a", "b"]);
    assert_eq!(processor.accept().await.0, 2);
    // The second file makes a pair of it, and a new connection.
    std::fs::write(processor.certificates().join("tls.crt"), &*other.certificate).expect("written");
    proxy.seen(2).await;
    assert_eq!(proxy.connections(), 2, "never one with half of it");
}

#[tokio::test]
async fn an_authority_is_replaced_in_two_steps() {
    let room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    processor.accept().await;

    let new = Authority::new();
    let both = format!("{}{}", room.authority.pem(), new.pem());
    let of_both = |identity: Identity| Identity {
        ca: both.as_str().into(),
        ..identity
    };
    room.identity.send_replace(of_both(room.authority.server()));
    room.assign("team/edge", &["b"]);
    assert_eq!(processor.accept().await.0, 2, "both are trusted");
    assert_eq!(proxy.connections(), 1, "nothing was cut");

    mount(&processor.certificates(), &of_both(new.client("team/edge")));
    proxy.seen(2).await;
    room.identity.send_replace(new.server());
    room.assign("team/edge", &["c"]);
    assert_eq!(processor.accept().await.0, 3, "only the new one is trusted");
}

#[tokio::test]
async fn a_stream_ends_with_the_trust_in_its_certificate() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(room.address).await;
    let mut processor = through(&proxy, &room, "pod-1");
    processor.accept().await;
    room.hears("pod-1 accepted 1").await;

    let new = Authority::new();
    let trusts_others = Identity {
        ca: new.pem().into(),
        ..room.authority.server()
    };
    room.identity.send_replace(trusts_others);
    room.hears("pod-1 gone").await;
    room.assign("team/edge", &["secrets", "of", "tomorrow"]);
    proxy.seen(3).await;
    assert!(processor.is_idle());
}

#[tokio::test]
async fn nonsense_from_the_controllers_address_changes_nothing() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let proxy = Proxy::to(babbler().await).await;
    let mut processor = through(&proxy, &room, "pod-1");
    proxy.seen(3).await;
    assert!(processor.is_idle());
    proxy.turn(room.address);
    assert_eq!(processor.accept().await, (1, mk_assignment(&["a"])));
    room.hears("pod-1 accepted 1").await;
}

#[tokio::test]
async fn nonsense_from_strangers_holds_up_nobody() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut strangers = Vec::new();
    for index in 0..40u8 {
        let mut stranger = TcpStream::connect(room.address).await.expect("it listens");
        // Some say nothing at all, the others what is no TLS.
        let noise = vec![index; usize::from(index % 3) * 1000];
        let _ = stranger.write_all(&noise).await;
        strangers.push(stranger);
    }
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;
    room.hears("pod-1 accepted 1").await;
}

#[tokio::test]
async fn of_two_processors_with_one_name_the_later_one_counts() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut first = room.processor("team/edge", "pod-1");
    first.accept().await;
    room.hears("pod-1 accepted 1").await;
    let mut second = first.twin();
    assert_eq!(second.accept().await, (1, mk_assignment(&["a"])));
    room.hears_that("both", |told| matches!(told, Told::Accepted { .. }))
        .await;
    assert!(!room.heard("pod-1 gone"));
}
