//! Which assignments are served, and what of them.

use super::*;
use crate::engine::config::Confidential;
use crate::engine::snapshot::testing::mk_config;
use std::collections::BTreeMap;

fn mk_upstream(name: &str) -> config::Upstream {
    let text = format!("upstreams: [{{name: {name}, url: 'http://{name}.test/mcp'}}]");
    let state = std::path::Path::new("/state");
    let mut config = config::file::parse(&text, state, state).expect("valid");
    config.upstreams.remove(0)
}

fn mk_endpoint(id: &str, upstreams: &[&str]) -> assignment::Endpoint {
    assignment::Endpoint {
        id: id.into(),
        path: "/mcp".into(),
        hosts: vec!["mcp.example.com".into()],
        origins: Vec::new(),
        routes: vec![format!("team/{id}").into()],
        route_key: Confidential("route-key".into()),
        session_keys: vec![Confidential("session-key".into())],
        body_limit: Some(4711),
        upstreams: upstreams.iter().map(|name| (*name).into()).collect(),
    }
}

fn mk_assignment(endpoints: &[assignment::Endpoint], upstreams: &[&str]) -> Assignment {
    let by_id = |endpoint: &assignment::Endpoint| (Arc::clone(&endpoint.id), Arc::new(endpoint.clone()));
    let by_name = |name: &&str| (Arc::from(*name), Arc::new(mk_upstream(name)));
    Assignment {
        endpoints: endpoints.iter().map(by_id).collect(),
        upstreams: upstreams.iter().map(by_name).collect::<BTreeMap<_, _>>(),
    }
}

fn refusal(assignment: &Assignment) -> String {
    let refusal = of_assignment(assignment, &mk_config()).expect_err("it does not fit together");
    refusal.to_string()
}

#[test]
fn every_endpoint_gets_its_own_settings_and_upstreams() {
    let endpoints = [mk_endpoint("a", &["two", "one"]), mk_endpoint("b", &["three"])];
    let assignment = mk_assignment(&endpoints, &["one", "two", "three"]);
    let drafts = of_assignment(&assignment, &mk_config()).expect("it fits together");
    let names = |draft: &Draft| -> Vec<String> { draft.upstreams.iter().map(|one| one.name.clone()).collect() };
    let [a, b] = drafts.as_slice() else {
        panic!("two endpoints: {drafts:?}")
    };
    assert_eq!(names(a), ["two", "one"], "in the order that decides who owns a name");
    assert_eq!(names(b), ["three"]);
    assert_eq!(a.settings.config.limits.body, 4711);
    assert_eq!(a.settings.config.hosts, ["mcp.example.com"]);
    assert_eq!(a.settings.routing, Routing::Route);
    assert_eq!(a.settings.routes, ["team/a".into()]);
    assert!(a.settings.config.upstreams.is_empty());
}

#[test]
fn nothing_to_serve_is_served() {
    let drafts = of_assignment(&Assignment::default(), &mk_config()).expect("nothing contradicts itself");
    assert!(drafts.is_empty());
}

#[test]
fn what_does_not_fit_together_is_refused_with_its_reason() {
    let change = |change: fn(&mut assignment::Endpoint)| {
        let mut endpoint = mk_endpoint("a", &["one"]);
        change(&mut endpoint);
        refusal(&mk_assignment(&[endpoint], &["one"]))
    };
    let stories = [
        (change(|endpoint| endpoint.path = "mcp".into()), "path"),
        (change(|endpoint| endpoint.session_keys.clear()), "no session key"),
        (
            change(|endpoint| endpoint.session_keys = vec![Confidential("".into())]),
            "no session key",
        ),
        (
            change(|endpoint| endpoint.route_key = Confidential("".into())),
            "route key",
        ),
        (
            change(|endpoint| endpoint.route_key = Confidential("a\nb".into())),
            "route key",
        ),
        (
            change(|endpoint| endpoint.upstreams.push("gone".into())),
            r#""gone" is not in"#,
        ),
        (change(|endpoint| endpoint.upstreams.push("one".into())), "named twice"),
        (change(|endpoint| endpoint.upstreams.clear()), "belongs to no endpoint"),
    ];
    for (refusal, reason) in stories {
        assert!(refusal.contains(reason), "{refusal:?} says {reason:?}");
        assert!(!refusal.contains("-key\""), "{refusal:?} tells no secret");
    }
}

#[test]
fn endpoints_share_neither_upstreams_nor_routes() {
    let shared = mk_assignment(&[mk_endpoint("a", &["one"]), mk_endpoint("b", &["one"])], &["one"]);
    assert_eq!(refusal(&shared), r#"upstream "one" is named twice"#);
    let mut same = mk_endpoint("b", &["two"]);
    same.routes = vec!["team/a".into()];
    let shared = mk_assignment(&[mk_endpoint("a", &["one"]), same], &["one", "two"]);
    assert_eq!(refusal(&shared), r#"route "team/a" belongs to two endpoints"#);
}

#[test]
fn a_name_that_is_no_file_name_is_refused() {
    let mut upstream = mk_upstream("one");
    upstream.name = "../one".into();
    let mut assignment = mk_assignment(&[mk_endpoint("a", &["../one"])], &[]);
    assignment.upstreams.insert("../one".into(), Arc::new(upstream));
    assert_eq!(refusal(&assignment), r#""../one" is not the name of an upstream"#);
}
