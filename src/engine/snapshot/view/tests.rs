use super::*;
use crate::engine::config::file::parse;
use crate::engine::policy::Identity;
use crate::engine::snapshot::fold::{EndpointSettings, Folder};
use crate::engine::snapshot::testing::{UpstreamBuilder, mk_inputs, mk_listing, mk_settings, mk_upstream};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

/// Keeps everything.
#[derive(Debug, Default)]
struct All(Mutex<HashMap<ViewKey, Arc<Prepared>>>);

impl Views for All {
    fn get(&self, key: &ViewKey) -> Option<Arc<Prepared>> {
        self.0.lock().expect("whole").get(key).cloned()
    }

    fn keep(&self, key: ViewKey, view: &Arc<Prepared>, _own: usize) {
        self.0.lock().expect("whole").insert(key, Arc::clone(view));
    }
}

fn mk_endpoint(rules: &str, upstreams: &[UpstreamBuilder]) -> Arc<Endpoint> {
    let text = format!("upstreams: [{{name: a, url: 'http://a/'}}]\npolicies: {{ rules: [ {rules} ] }}");
    let policies = parse(&text, Path::new("/"), Path::new("/")).expect("good").policies;
    let mut settings = mk_settings();
    let config = crate::engine::config::Config {
        policies,
        ..(*settings.config).clone()
    };
    settings = EndpointSettings {
        config: Arc::new(config),
        views: || Arc::new(All::default()),
        ..settings
    };
    Folder::default().fold(&settings, &mk_inputs(upstreams)).0
}

fn mk_identity(roles: &[&str]) -> Identity {
    Identity {
        roles: roles.iter().map(|role| Arc::from(*role)).collect(),
        ..Identity::default()
    }
}

fn caller(identity: &Identity) -> Caller<'_> {
    Caller {
        identity,
        client_name: "",
        client_version: "",
        ip: "",
    }
}

fn names(view: &Prepared) -> Vec<String> {
    assert_eq!(view.len, view.segments.iter().map(Bytes::len).sum::<usize>());
    let list: serde_json::Value = serde_json::from_slice(&view.segments.concat()).expect("one JSON value");
    let tools = list["tools"].as_array().expect("tools").iter();
    tools
        .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
        .collect()
}

fn tools(endpoint: &Endpoint, identity: &Identity, takes_requests: bool) -> Vec<String> {
    names(&endpoint.view(Era::Legacy, Kind::Tools, takes_requests, &caller(identity)))
}

fn two() -> [UpstreamBuilder; 2] {
    let one = mk_listing(&["x", "y", "asks"]).with(|listing| {
        if let Some(tool) = listing.tools.last_mut() {
            tool.reserved = true;
        }
    });
    // Its first tool collides with one of the other.
    let two = mk_listing(&["x", "z"]);
    [
        mk_upstream("one").prefix("p_").legacy(one),
        mk_upstream("two").prefix("p_").legacy(two),
    ]
}

#[test]
fn rules_collisions_and_reservations_hide_together() {
    let endpoint = mk_endpoint(
        "{ name: r, deny: \"tool.upstreamName == 'y' && !('admin' in roles)\" }",
        &two(),
    );
    let (user, admin) = (mk_identity(&[]), mk_identity(&["admin"]));
    assert_eq!(tools(&endpoint, &admin, true), ["p_x", "p_y", "p_asks", "p_z"]);
    assert_eq!(tools(&endpoint, &admin, false), ["p_x", "p_y", "p_z"]);
    assert_eq!(tools(&endpoint, &user, true), ["p_x", "p_asks", "p_z"]);
    assert_eq!(tools(&endpoint, &user, false), ["p_x", "p_z"]);
}

#[test]
fn a_hidden_name_is_not_handed_to_the_next_upstream() {
    let endpoint = mk_endpoint("{ name: r, deny: \"tool.upstream == 'one'\" }", &two());
    assert_eq!(tools(&endpoint, &mk_identity(&[]), true), ["p_z"]);
}

#[test]
fn nobody_sees_anything_of_a_list_without_items() {
    let endpoint = mk_endpoint("{ name: r, deny: \"'x' in roles || has(tool.name)\" }", &two());
    assert_eq!(tools(&endpoint, &mk_identity(&[]), true), [""; 0]);
}

#[test]
fn callers_whom_no_rule_tells_apart_share_one_view() {
    let endpoint = mk_endpoint(
        "{ name: r, deny: \"tool.name == 'p_y' && !('admin' in roles)\" }",
        &two(),
    );
    let view = |identity: &Identity| match endpoint.view(Era::Legacy, Kind::Tools, true, &caller(identity)) {
        View::Part(view) => view,
        View::Whole(_) => panic!("rules can hide something"),
    };
    let (mut ann, mut bob) = (mk_identity(&[]), mk_identity(&[]));
    (ann.principal, bob.principal) = (Some("ann".into()), Some("bob".into()));
    assert!(Arc::ptr_eq(&view(&ann), &view(&bob)));
    assert!(!Arc::ptr_eq(&view(&ann), &view(&mk_identity(&["admin"]))));
}

#[test]
fn a_list_that_no_rule_touches_is_the_whole_list() {
    let endpoint = mk_endpoint("{ name: r, deny: \"prompt == 'p' || arguments.x == 1\" }", &two());
    let identity = mk_identity(&[]);
    let view = endpoint.view(Era::Legacy, Kind::Tools, true, &caller(&identity));
    assert!(matches!(view, View::Whole(_)));
}
