//! Assignments to and fro.

use super::*;
use crate::engine::assignment::Endpoint;
use crate::engine::config::{self, Confidential, Upstream};
use proptest::prelude::*;
use std::time::Duration;

/// With one endpoint for all; a number makes an upstream another one of the same name.
pub(in crate::edge::registry) fn mk_assignment(upstreams: &[(&str, u16)]) -> Assignment {
    let mut assignment = Assignment::default();
    for (name, port) in upstreams {
        assignment
            .upstreams
            .insert((*name).into(), Arc::new(mk_upstream(name, *port)));
    }
    let endpoint = Endpoint {
        id: "team.ext".into(),
        path: "/mcp".into(),
        hosts: vec!["mcp.example.com".into()],
        origins: vec!["https://app.example.com".into()],
        routes: vec!["team/mcp".into()],
        route_key: Confidential("key".into()),
        session_keys: vec![Confidential("now".into()), Confidential("before".into())],
        body_limit: Some(1 << 20),
        upstreams: assignment.upstreams.keys().cloned().collect(),
    };
    assignment
        .endpoints
        .insert(Arc::clone(&endpoint.id), Arc::new(endpoint));
    assignment
}

pub(in crate::edge::registry) fn mk_upstream(name: &str, port: u16) -> Upstream {
    Upstream {
        name: name.to_owned(),
        url: format!("http://{name}:{port}/mcp?tenant=1").parse().expect("a URL"),
        prefix: String::new(),
        credential: Some(config::Credential {
            header: "authorization".to_owned(),
            value: config::Secret::Value(Confidential("Bearer secret".into())),
        }),
        headers: vec![("x-team".to_owned(), "tools".to_owned())],
        timeout: config::Timeouts {
            connect: Duration::from_millis(1),
            call: Duration::from_secs(60),
            list: Duration::from_secs(10),
        },
        ca: Some(config::Authority::Pem("pem".into())),
        enabled: true,
        resources_rewrite: false,
        resources_probe: true,
        via: config::Via::Direct,
        protocol: config::Protocol::Sse,
        eras: config::Eras::Legacy,
        merge: true,
        addresses: vec!["[::1]:9".parse().expect("an address")],
        protection: crate::engine::config::Protection::default(),
        delegated: crate::engine::config::Delegated::default(),
        listing: crate::engine::config::Listing::Shared,
    }
}

fn at(version: u64) -> proto::Position {
    proto::Position {
        epoch: "e".to_owned(),
        version,
    }
}

fn mk_pieces(old: Option<&Assignment>, new: &Assignment) -> Vec<proto::Update> {
    pieces(old.map(|old| (1, old)), new, &at(2))
        .expect("values only")
        .into()
}

#[test]
fn an_update_tells_only_what_changed() {
    let old = mk_assignment(&[("a", 1), ("b", 1), ("c", 1)]);
    let new = mk_assignment(&[("a", 1), ("b", 2), ("d", 1)]);
    let pieces = mk_pieces(Some(&old), &new);
    assert_eq!(pieces.len(), 1);
    let names: Vec<&str> = pieces[0]
        .upstreams
        .iter()
        .map(|upstream| upstream.name.as_str())
        .collect();
    assert_eq!(names, ["b", "d"]);
    assert_eq!(pieces[0].upstreams_gone, ["c"]);
    let applied = apply(&old, pieces).expect("applies");
    assert_eq!(applied, new);
    assert!(Arc::ptr_eq(&applied.upstreams["a"], &old.upstreams["a"]), "untouched");
}

#[test]
fn what_a_whole_update_repeats_keeps_its_value() {
    let old = mk_assignment(&[("a", 1), ("b", 1)]);
    let applied = apply(&old, mk_pieces(None, &mk_assignment(&[("a", 1), ("b", 2)]))).expect("applies");
    assert!(Arc::ptr_eq(&applied.upstreams["a"], &old.upstreams["a"]));
    assert!(!Arc::ptr_eq(&applied.upstreams["b"], &old.upstreams["b"]));
}

#[test]
fn a_large_update_comes_in_pieces_of_bounded_size() {
    let names: Vec<String> = (0..20).map(|index| format!("u{index}")).collect();
    let mut new = mk_assignment(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
    for upstream in new.upstreams.values_mut() {
        Arc::make_mut(upstream).ca = Some(config::Authority::Pem("x".repeat(200 << 10).into()));
    }
    let pieces = mk_pieces(None, &new);
    assert!(pieces.len() > 5, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.encoded_len() < PIECE + 1024));
    let more: Vec<bool> = pieces.iter().map(|piece| piece.more).collect();
    assert_eq!(more.iter().filter(|more| !**more).count(), 1, "only the last one");
    assert_eq!(apply(&Assignment::default(), pieces).expect("applies"), new);
}

#[test]
fn nothing_is_one_empty_piece() {
    let pieces = mk_pieces(None, &Assignment::default());
    assert_eq!(pieces.len(), 1);
    assert_eq!(apply(&mk_assignment(&[("a", 1)]), pieces), Ok(Assignment::default()));
}

#[test]
fn an_assignment_that_does_not_hold_together_is_not_applied() {
    type Harm = fn(&mut proto::Update);
    let whole = mk_assignment(&[("a", 1), ("b", 1)]);
    let cases: [(&str, Harm); 4] = [
        (
            "endpoint \"team.ext\" names upstream \"a\", which is not there",
            |piece| {
                piece.upstreams.remove(0);
            },
        ),
        ("no endpoint names upstream \"b\"", |piece| {
            piece.endpoints[0].upstreams.pop();
        }),
        (
            "endpoint \"team.ext\" names upstream \"a\", which is somebody's already",
            |piece| {
                piece.endpoints[0].upstreams.push("a".to_owned());
            },
        ),
        ("upstream \"a\": url is not an HTTP URL", |piece| {
            piece.upstreams[0].url = "file:///etc/passwd".to_owned();
        }),
    ];
    for (expected, change) in cases {
        let mut pieces = mk_pieces(None, &whole);
        change(&mut pieces[0]);
        let error = apply(&Assignment::default(), pieces).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_upstream_of_no_use_does_not_cost_the_others_their_change() {
    let old = mk_assignment(&[("a", 1)]);
    let mut new = mk_assignment(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    let change = |new: &mut Assignment, name: &str, change: fn(&mut Upstream)| {
        change(Arc::make_mut(new.upstreams.get_mut(name).expect("there")));
    };
    change(&mut new, "b", |upstream| upstream.prefix = "b b".to_owned());
    change(&mut new, "d", |upstream| {
        upstream.ca = Some(config::Authority::File("/ca.pem".into()))
    });
    let (fit, unfit) = fit(&old, Arc::new(new)).expect("the endpoint is fine");
    assert_eq!(*fit, mk_assignment(&[("a", 1), ("c", 1)]));
    let why: Vec<String> = unfit.iter().map(|(_, error)| error.to_string()).collect();
    assert_eq!(
        why,
        [
            "upstream \"b\": prefix holds other characters than letters, digits, _ and -",
            "upstream d: its certificate authority is a reference, not a value",
        ]
    );
}

fn some_assignment() -> impl Strategy<Value = Assignment> {
    proptest::collection::btree_map("[a-h]", 1..4u16, 0..8).prop_map(|upstreams| {
        let upstreams: Vec<(&str, u16)> = upstreams.iter().map(|(name, port)| (name.as_str(), *port)).collect();
        mk_assignment(&upstreams)
    })
}

proptest! {
    #[test]
    fn a_difference_makes_the_new_one_of_the_old_one(old in some_assignment(), new in some_assignment()) {
        prop_assert_eq!(apply(&old, mk_pieces(Some(&old), &new)), Ok(new.clone()));
        prop_assert_eq!(apply(&old, mk_pieces(None, &new)), Ok(new.clone()));
    }
}
