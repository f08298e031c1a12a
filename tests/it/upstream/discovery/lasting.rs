//! Upstreams and gateways that go and come back: what is kept of them, and how soon they are found.

use super::*;

/// An upstream that can be switched off.
async fn mk_mortal() -> (Puppet, Arc<AtomicBool>) {
    let dead = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&dead);
    let puppet = Puppet::start(move |seen| {
        if dead.load(Ordering::SeqCst) {
            Reply::Raw(503, "", String::new())
        } else {
            legacy(seen)
        }
    })
    .await;
    (puppet, switch)
}

#[tokio::test]
async fn a_dead_upstream_keeps_its_items_for_a_while_and_comes_back() {
    let (puppet, dead) = mk_mortal().await;
    let settings = Settings {
        refresh: Duration::from_millis(50),
        keep_last_good: Duration::from_millis(700),
        pulse: None,
    };
    let mut running = Running::start(puppet.target(), settings, None);
    running.until(|report| report.ready).await;
    dead.store(true, Ordering::SeqCst);
    let marked = running.until(|report| !report.ready).await;
    assert_eq!((marked.tools, marked.reason), (1, Reason::Unreachable));
    assert_eq!(marked.warnings, ["what it listed last is still shown"]);
    assert!(marked.last_listed.is_some());
    let withdrawn = running.until(|report| report.tools == 0).await;
    assert!(withdrawn.catalog.is_empty());
    assert_eq!(withdrawn.warnings, [""; 0]);
    dead.store(false, Ordering::SeqCst);
    let back = running.until(|report| report.ready).await;
    assert_eq!((back.tools, back.last_error), (1, None));
    running.end().await;
}

#[tokio::test]
async fn an_upstream_that_dies_while_nobody_says_so_is_noticed_and_so_is_its_return() {
    let (puppet, dead) = mk_mortal().await;
    let settings = Settings {
        pulse: Some(Duration::from_millis(50)),
        ..mk_settings()
    };
    let mut running = Running::start(puppet.target(), settings, None);
    running.until(|report| report.ready).await;
    puppet.wait_for("ping", 2).await;
    assert_eq!(
        puppet.count("tools/list"),
        2,
        "for two kinds of clients, and not again while it is there"
    );
    dead.store(true, Ordering::SeqCst);
    let gone = running.until(|report| !report.ready).await;
    assert_eq!((gone.tools, gone.reason), (1, Reason::Unreachable));
    dead.store(false, Ordering::SeqCst);
    running.until(|report| report.ready).await;
    running.end().await;
}

#[tokio::test]
async fn an_upstream_that_changes_its_era_is_shown_in_the_new_one_only() {
    let changed = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&changed);
    let puppet =
        Puppet::start(
            move |seen| match (changed.load(Ordering::SeqCst), seen.headers.contains_key("mcp-method")) {
                (false, false) => legacy(seen),
                (true, true) => modern(seen),
                (false, true) | (true, false) => Reply::Error(400, -32000),
            },
        )
        .await;
    let mut running = Running::start(puppet.target(), mk_hurried(), None);
    let before = running.until(|report| report.settled && report.ready).await;
    assert_eq!(before.eras, [Era::Legacy]);
    switch.store(true, Ordering::SeqCst);
    let after = running.until(|report| report.eras == [Era::Modern]).await;
    assert_eq!(
        (after.reason, &*after.warnings),
        (Reason::Ready, &[][..]),
        "nothing is odd about it"
    );
    running.end().await;
}

#[tokio::test]
async fn a_restarted_gateway_shows_what_was_listed_last() {
    let folder = tempfile::tempdir().expect("tempdir");
    let shelf = Shelf::new(folder.path().to_owned());
    let (puppet, dead) = mk_mortal().await;
    let mut running = Running::start(puppet.target(), mk_settings(), Some(shelf.clone()));
    running.until(|report| report.ready).await;
    let saved = async {
        while !matches!(shelf.load(&puppet.target()), Ok(Some(_))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, saved).await.expect("saved");
    running.end().await;

    dead.store(true, Ordering::SeqCst);
    let mut running = Running::start(puppet.target(), mk_settings(), Some(shelf));
    let first = running.reports.recv().await.expect("a report");
    assert_eq!((first.reason, first.ready, first.tools), (Reason::Pending, false, 1));
    assert!(first.last_listed.is_some());
    let tried = running.settled().await;
    assert_eq!((tried.reason, tried.tools), (Reason::Unreachable, 1));
    running.end().await;
}

#[tokio::test]
async fn a_discovery_that_ends_closes_its_session() {
    let puppet = Puppet::start(legacy).await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    running.until(|report| report.ready).await;
    running.end().await;
    let delete = puppet.all("DELETE").remove(0);
    assert_eq!(delete.session.as_deref(), Some("session-1"));
}

#[tokio::test]
async fn an_upstream_that_comes_up_is_found_without_waiting_for_the_refresh() {
    let refused = Arc::new(AtomicUsize::new(0));
    let puppet = Puppet::start(move |seen| match seen.method.as_str() {
        "initialize" if refused.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Error(400, -32600),
        _ => legacy(seen),
    })
    .await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(|report| report.ready).await;
    assert_eq!(
        report.tools, 1,
        "an upstream that comes up is found without waiting for the refresh"
    );
    running.end().await;
}

#[tokio::test]
async fn an_era_that_failed_is_tried_again_as_soon_as_the_other_is_back() {
    let probes = Arc::new(AtomicUsize::new(0));
    let seen_probes = Arc::clone(&probes);
    let puppet = Puppet::start(move |seen| match seen.method.as_str() {
        "server/discover" if seen_probes.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Raw(503, "", String::new()),
        // The legacy listing comes after the failed probe.
        "initialize" if seen_probes.load(Ordering::SeqCst) == 0 => Reply::Raw(503, "", String::new()),
        _ if seen.headers.contains_key("mcp-method") => modern(seen),
        _ => legacy(seen),
    })
    .await;
    let report = discover_both(&puppet).await;
    assert!(report.ready, "{report:?}");
    assert!(probes.load(Ordering::SeqCst) >= 2);
}

async fn discover_both(puppet: &Puppet) -> Report {
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(|report| report.eras.len() == 2).await;
    running.end().await;
    report
}
