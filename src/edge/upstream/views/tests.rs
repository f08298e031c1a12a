//! Who is forgotten when, and for which credential something is known.

use super::Allowance;
use super::table::{Key, Listed, State, Table};
use crate::edge::http::Target;
use crate::engine::catalog::Catalog;
use crate::engine::session::Delegation;
use crate::engine::snapshot::testing::{mk_inputs, mk_listing, mk_upstream};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const TWO: Allowance = Allowance {
    first: Duration::from_secs(2),
    principals: 2,
    age: Duration::from_secs(60),
};

fn mk_target() -> Arc<Target> {
    let inputs = mk_inputs(&[mk_upstream("a")]);
    Arc::new(Target::new(&inputs[0].config, None).expect("it can be called"))
}

fn mk_key(principal: &str) -> Key {
    Key {
        principal: principal.into(),
        upstream: "a".into(),
    }
}

fn mk_delegation(token: &'static str) -> Delegation {
    Delegation::new(vec![("authorization".into(), Bytes::from_static(token.as_bytes()))])
}

/// Somebody comes with this token, and the upstream lists for them if it did not before. True: it did.
fn comes(table: &mut Table, target: &Arc<Target>, principal: &str, token: &'static str) -> bool {
    let number = table.number();
    let slot = table.slot(&mk_key(principal), target, &mk_delegation(token), &TWO);
    if matches!(slot.state, State::Listed(_)) {
        return true;
    }
    let catalog = Catalog {
        legacy: Some(mk_listing(&["x"]).into()),
        modern: None,
    };
    slot.state = State::Listed(Listed::new(catalog, number, Instant::now()));
    false
}

#[tokio::test]
async fn the_caller_who_was_not_seen_for_longest_is_forgotten() {
    let (mut table, target) = (Table::default(), mk_target());
    for (principal, known) in [
        ("ann", false),
        ("bob", false),
        ("ann", true),
        ("cyd", false),
        ("ann", true),
        ("bob", false),
    ] {
        assert_eq!(comes(&mut table, &target, principal, "t"), known, "{principal}");
        assert!(table.len() <= 2);
    }
}

#[tokio::test]
async fn what_was_listed_is_for_one_credential() {
    let (mut table, target) = (Table::default(), mk_target());
    assert!(!comes(&mut table, &target, "ann", "one"));
    assert!(
        !comes(&mut table, &target, "ann", "two"),
        "it may be shown something else"
    );
    assert!(
        comes(&mut table, &target, "ann", "one"),
        "two clients do not drive each other out"
    );
    assert!(
        !comes(&mut table, &mk_target(), "ann", "one"),
        "the server is configured anew"
    );
    table.forget("ann", "a");
    assert!(!comes(&mut table, &target, "ann", "two"), "it was refused");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_swept_out() {
    let (mut table, target) = (Table::default(), mk_target());
    comes(&mut table, &target, "ann", "t");
    tokio::time::advance(Duration::from_secs(40)).await;
    comes(&mut table, &target, "bob", "t");
    table.sweep(&TWO, Instant::now());
    assert_eq!(table.len(), 2);
    tokio::time::advance(Duration::from_secs(30)).await;
    table.sweep(&TWO, Instant::now());
    assert_eq!(table.len(), 1, "the older one is gone");
}
