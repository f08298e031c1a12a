use super::*;
use crate::engine::mcp::Version;
use crate::engine::session::store::SUBSCRIPTIONS;

const NOW: Timestamp = Timestamp(1_000_000);
const LATER: Timestamp = Timestamp(2_000_000);
const EXPIRES: Timestamp = Timestamp(9_000_000);

fn mk_key(number: u64) -> SessionKey {
    SessionKey(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn mk_binding(id: &str) -> Binding {
    Binding {
        id: Some(id.into()),
        ..Binding::stateless(Version::V2025_11_25)
    }
}

fn mk_client(name: &str) -> Client {
    Client {
        capabilities: r#"{"roots":{}}"#.into(),
        info: format!(r#"{{"name":"{name}"}}"#).into(),
    }
}

fn mk_store(sessions: u64) -> MemoryStore {
    let store = MemoryStore::new(100);
    for number in 0..sessions {
        store.start(mk_key(number), EXPIRES, mk_client("test")).unwrap();
    }
    store
}

fn written(ended: Ended) -> bool {
    futures_util::FutureExt::now_or_never(ended.written).unwrap()
}

#[test]
fn a_session_with_a_call_under_way_is_not_idle() {
    let store = mk_store(1);
    let key = mk_key(0);
    assert!(store.bind(key, EXPIRES, "a", mk_binding("a"), NOW));
    store.hold(key, "a", b"1");
    store.hold(key, "a", b"2");
    store.release(key, 1, NOW);
    assert!(store.take_idle(LATER).is_empty());
    store.release(key, 1, NOW);
    assert_eq!(store.take_idle(LATER).len(), 1);
    store.release(key, 5, NOW);
    assert!(
        store.take_idle(LATER).is_empty(),
        "nothing is left, and nothing counts below zero"
    );
}

#[test]
fn a_tie_is_found_by_its_upstream() {
    let store = mk_store(1);
    let key = mk_key(0);
    for upstream in ["b", "a", "c"] {
        assert!(store.bind(key, EXPIRES, upstream, mk_binding(upstream), NOW));
    }
    assert!(store.bind(key, EXPIRES, "b", mk_binding("again"), NOW));
    assert_eq!(store.lookup(key, "a", NOW), Lookup::Bound(mk_binding("a")));
    assert_eq!(store.lookup(key, "b", NOW), Lookup::Bound(mk_binding("again")));
    assert_eq!(store.lookup(key, "d", NOW), Lookup::Unbound);
    assert_eq!(store.len(), 1);
}

#[test]
fn a_session_that_is_not_remembered_is_live_and_takes_no_room() {
    let store = mk_store(0);
    assert_eq!(store.recall(mk_key(0), NOW), Recall::Live);
    assert_eq!(store.lookup(mk_key(0), "a", NOW), Lookup::Unbound);
    assert_eq!(store.client(mk_key(0)), (Arc::default(), None));
    store.unbind(mk_key(0), "a", None);
    assert!(store.is_empty());
}

#[test]
fn a_session_that_was_not_remembered_is_from_its_first_tie_on() {
    let store = mk_store(0);
    assert!(store.bind(mk_key(0), EXPIRES, "a", mk_binding("one"), NOW));
    assert_eq!(store.lookup(mk_key(0), "a", NOW), Lookup::Bound(mk_binding("one")));
    assert_eq!(store.len(), 1);
}

#[test]
fn only_the_tie_that_was_meant_is_removed() {
    let store = mk_store(1);
    store.bind(mk_key(0), EXPIRES, "a", mk_binding("new"), NOW);
    store.unbind(mk_key(0), "a", Some("old"));
    assert_eq!(
        store.lookup(mk_key(0), "a", NOW),
        Lookup::Bound(mk_binding("new")),
        "somebody has reopened it meanwhile"
    );
    store.unbind(mk_key(0), "a", Some("new"));
    assert_eq!(store.lookup(mk_key(0), "a", NOW), Lookup::Unbound);
}

#[test]
fn client_and_level_are_remembered() {
    let store = mk_store(1);
    assert!(store.set_level(mk_key(0), EXPIRES, Level::Error));
    let (client, level) = store.client(mk_key(0));
    assert_eq!((&*client, level), (&mk_client("test"), Some(Level::Error)));
}

#[test]
fn a_session_whose_client_holds_a_stream_open_is_not_idle() {
    let store = mk_store(1);
    let (key, binding) = (mk_key(0), mk_binding("theirs"));
    assert!(store.bind(key, Timestamp(u64::MAX), "files", binding, NOW));
    store.attend(key);
    assert!(store.take_idle(LATER).is_empty());
    store.release(key, 1, NOW);
    assert_eq!(store.take_idle(LATER).len(), 1);
}

#[test]
fn subscriptions_are_remembered_until_they_end_and_are_bounded() {
    let store = mk_store(1);
    let subscription = |uri: &str| Subscription {
        upstream: "files".into(),
        uri: uri.into(),
    };
    let change = |uri: &str, wanted| store.subscribe(mk_key(0), Timestamp(1000), subscription(uri), wanted);
    change("a", Wanted::FromNowOn);
    change("b", Wanted::FromNowOn);
    change("a", Wanted::FromNowOn);
    assert_eq!(store.subscriptions(mk_key(0)), [subscription("b"), subscription("a")]);
    change("b", Wanted::NoLonger);
    assert_eq!(store.subscriptions(mk_key(0)), [subscription("a")]);
    for number in 0..2 * SUBSCRIPTIONS {
        change(&number.to_string(), Wanted::FromNowOn);
    }
    assert_eq!(store.subscriptions(mk_key(0)).len(), SUBSCRIPTIONS);
}

#[test]
fn sessions_of_one_client_share_what_it_said() {
    let store = mk_store(2);
    let (one, other) = (store.client(mk_key(0)).0, store.client(mk_key(1)).0);
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn an_ended_session_stays_ended() {
    let store = mk_store(1);
    store.bind(mk_key(0), EXPIRES, "a", mk_binding("one"), NOW);

    let ended = store.end(mk_key(0), EXPIRES);

    assert!(ended.first);
    assert_eq!(ended.bindings, [("a".to_owned(), mk_binding("one"))]);
    assert!(written(ended), "nothing to write without a journal");
    assert_eq!(store.recall(mk_key(0), NOW), Recall::Ended);
    assert_eq!(store.lookup(mk_key(0), "a", NOW), Lookup::Ended);
    assert!(!store.bind(mk_key(0), EXPIRES, "a", mk_binding("late"), NOW));
    assert!(!store.set_level(mk_key(0), EXPIRES, Level::Error));
    assert!(!store.end(mk_key(0), EXPIRES).first);
    assert_eq!(store.len(), 0);
}

#[test]
fn a_session_of_another_replica_can_be_ended() {
    let store = mk_store(0);
    assert!(store.end(mk_key(0), EXPIRES).first);
    assert_eq!(store.recall(mk_key(0), NOW), Recall::Ended);
}

#[test]
fn the_map_is_full_at_its_limit_until_a_session_ends() {
    let store = mk_store(100);
    assert_eq!(store.start(mk_key(100), EXPIRES, mk_client("test")), Err(Full));
    let _ = store.end(mk_key(0), EXPIRES);
    assert_eq!(store.start(mk_key(100), EXPIRES, mk_client("test")), Ok(()));
}

#[test]
fn an_idle_session_loses_its_ties_and_stays() {
    let store = mk_store(2);
    for number in 0..2 {
        store.bind(mk_key(number), EXPIRES, "a", mk_binding("one"), NOW);
    }
    store.lookup(mk_key(1), "a", LATER);

    let taken = store.take_idle(LATER);

    assert_eq!(taken, [("a".to_owned(), mk_binding("one"))]);
    assert_eq!(store.lookup(mk_key(0), "a", LATER), Lookup::Unbound);
    assert_eq!(store.lookup(mk_key(1), "a", LATER), Lookup::Bound(mk_binding("one")));
    assert_eq!(store.len(), 2);
    assert!(store.take_idle(LATER).is_empty());
}

#[test]
fn idle_sessions_make_room_when_the_map_is_nearly_full() {
    let store = mk_store(100);
    for number in 20..100 {
        store.recall(mk_key(number), LATER);
    }
    store.take_idle(LATER);
    assert_eq!(store.len(), 90, "a tenth is free again");
    assert!(store.start(mk_key(100), EXPIRES, mk_client("test")).is_ok());
    for number in 0..100 {
        assert_eq!(store.recall(mk_key(number), LATER), Recall::Live, "ids stay valid");
    }
}

#[test]
fn sessions_in_use_make_no_room() {
    let store = mk_store(100);
    for number in 0..100 {
        store.recall(mk_key(number), LATER);
    }
    store.take_idle(LATER);
    assert_eq!(store.len(), 100);
}

#[test]
fn expired_sessions_are_forgotten_with_all_that_belongs_to_them() {
    let store = mk_store(1);
    store.bind(mk_key(0), EXPIRES, "a", mk_binding("one"), NOW);
    store
        .start(mk_key(1), Timestamp(EXPIRES.0 + 1), mk_client("other"))
        .unwrap();
    let _ = store.end(mk_key(2), EXPIRES);

    let taken = store.expire(EXPIRES);

    assert_eq!(taken, [("a".to_owned(), mk_binding("one"))]);
    assert_eq!((store.len(), store.sessions.len()), (1, 1));
    assert_eq!(store.clients.len(), 1, "the other client still has a session");
}

#[test]
fn ended_ids_are_bounded() {
    let store = MemoryStore::new(1);
    for number in 0..100 {
        let _ = store.end(mk_key(number), Timestamp(EXPIRES.0 + number));
    }
    store.expire(NOW);
    assert_eq!(store.sessions.len(), ENDED_PER_SESSION);
    assert_eq!(
        store.recall(mk_key(99), NOW),
        Recall::Ended,
        "the last to expire are kept"
    );
}

#[test]
fn different_clients_are_bounded_in_bytes() {
    let mut store = MemoryStore::new(100);
    store.clients = Clients::with_room(64 << 10);
    let huge = |number: u64| Client {
        capabilities: "{}".into(),
        info: format!("{number}{}", " ".repeat(8 << 10)).into(),
    };
    let started = (0..10).take_while(|number| store.start(mk_key(*number), EXPIRES, huge(*number)).is_ok());
    assert_eq!(started.count(), 7, "64 KiB hold seven of 8 KiB and a little");
    let _ = store.end(mk_key(0), EXPIRES);
    store.expire(NOW);
    assert!(
        store.start(mk_key(10), EXPIRES, huge(10)).is_ok(),
        "its room was given back"
    );
}

#[test]
fn churn_leaves_nothing_behind() {
    let store = MemoryStore::new(100);
    for round in 0..200_u64 {
        let expires = Timestamp(NOW.0 + round + 1);
        for number in 0..50 {
            let key = mk_key(round * 50 + number);
            store.start(key, expires, mk_client(&round.to_string())).unwrap();
            store.bind(key, expires, &format!("upstream-{round}"), mk_binding("one"), NOW);
            if number % 2 == 0 {
                let _ = store.end(key, expires);
            }
        }
        store.expire(expires);
    }
    assert_eq!((store.len(), store.sessions.len(), store.clients.len()), (0, 0, 0));
    assert!(store.sessions.capacity() < 8192);
}

#[test]
fn threads_agree_on_the_number_of_sessions() {
    let store = MemoryStore::new(1_000);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..2_000 {
                    let key = mk_key((thread << 32) | (number % 300));
                    let _ = store.start(key, EXPIRES, mk_client("test"));
                    store.bind(key, EXPIRES, "a", mk_binding("one"), NOW);
                    store.lookup(key, "a", LATER);
                    if number % 3 == 0 {
                        let _ = store.end(key, Timestamp(NOW.0 + 1));
                    }
                    if number % 100 == 0 {
                        store.take_idle(LATER);
                        store.expire(LATER);
                    }
                }
            });
        }
    });
    let live = store.sessions.iter().filter(|entry| matches!(**entry, Entry::Live(_)));
    assert_eq!(store.len(), live.count());
}

#[test]
fn sessions_that_are_over_are_told_with_the_time_for_which_they_were_used() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let pasts = Arc::clone(&heard);
    let store = mk_store(0).told_to(move |past| pasts.lock().unwrap().push(past));
    let begun = Begun {
        at: NOW,
        version: Version::V2025_06_18,
    };
    for number in 0..2 {
        store.start(mk_key(number), EXPIRES, mk_client("test")).unwrap();
        store.begun(mk_key(number), begun);
    }
    store.start(mk_key(2), EXPIRES, mk_client("test")).unwrap();
    store.recall(mk_key(0), LATER);
    let _ = store.end(mk_key(0), EXPIRES);
    let _ = store.end(mk_key(0), EXPIRES);
    store.expire(EXPIRES);
    let lasted: Vec<_> = heard.lock().unwrap().iter().map(|past: &Past| past.lasted).collect();
    assert_eq!(
        lasted,
        [std::time::Duration::from_secs(1_000), std::time::Duration::ZERO],
        "once each; nobody knows when the third began"
    );
}
