//! What one caller sees is what everybody would see if the upstreams showed it to everybody.

use crate::engine::catalog::{Catalog, Kind};
use crate::engine::config;
use crate::engine::mcp::Era;
use crate::engine::snapshot::fold::Folder;
use crate::engine::snapshot::testing::{
    UpstreamBuilder, mk_alone, mk_inputs, mk_listing, mk_modern, mk_settings, mk_upstream,
};
use crate::engine::snapshot::{Endpoint, Prepared, UpstreamIndex};
use proptest::prelude::*;
use std::sync::Arc;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// One upstream: what it lists in either era, whether it does so for each caller, whether its names stand alone.
#[derive(Clone, Debug)]
struct Plan {
    legacy: Vec<&'static str>,
    modern: Option<Vec<&'static str>>,
    own: bool,
    prefixed: bool,
    rewrites: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let names = || proptest::sample::subsequence(&NAMES[..], 0..=NAMES.len());
    let plan = (
        names(),
        proptest::option::of(names()),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let plan = plan.prop_map(|(legacy, modern, own, prefixed, rewrites)| Plan {
        legacy,
        modern,
        own,
        prefixed,
        rewrites,
    });
    proptest::collection::vec(plan, 1..5)
}

fn uris(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("x://{name}")).collect()
}

/// The upstreams, all of them shown to everybody.
fn mk_upstreams(plans: &[Plan]) -> Vec<UpstreamBuilder> {
    let upstream = |(at, plan): (usize, &Plan)| {
        let filled = |listing: crate::engine::snapshot::testing::ListingBuilder, names: &[&str]| {
            let uris = uris(names);
            let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
            let templates: Vec<String> = names.iter().map(|name| format!("x://{name}/{{+p}}")).collect();
            let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
            listing.prompts(names).resources(&uris).templates(&templates)
        };
        let mut upstream = mk_upstream(&format!("u{at}")).legacy(filled(mk_listing(&plan.legacy), &plan.legacy));
        if let Some(names) = &plan.modern {
            upstream = upstream.modern(filled(mk_modern(names), names));
        }
        if plan.rewrites {
            upstream = upstream.rewrite();
        }
        if plan.prefixed { upstream } else { upstream.prefix("") }
    };
    plans.iter().enumerate().map(upstream).collect()
}

fn fold(upstreams: &[UpstreamBuilder]) -> Arc<Endpoint> {
    Folder::default().fold(&mk_settings(), &mk_inputs(upstreams)).0
}

/// Those that are for callers, as they are configured.
fn for_callers(plans: &[Plan], upstreams: Vec<UpstreamBuilder>) -> Vec<UpstreamBuilder> {
    let both = plans.iter().zip(upstreams);
    both.map(|(plan, upstream)| match plan.own {
        true => upstream.config(|config| config.listing = config::Listing::PerPrincipal),
        false => upstream,
    })
    .collect()
}

fn items(list: &Prepared) -> Vec<u8> {
    list.segments[1..list.segments.len() - 1].concat()
}

fn catalogs(plans: &[Plan], upstreams: &[UpstreamBuilder]) -> Vec<(UpstreamIndex, Catalog)> {
    let inputs = mk_inputs(upstreams);
    let own = (0..).zip(plans).filter(|(_, plan)| plan.own).map(|(at, _)| at);
    own.map(|at: u32| (UpstreamIndex(at), inputs[at as usize].catalog.clone()))
        .collect()
}

fn assert_same(one: &Endpoint, other: &Endpoint) {
    for era in [Era::Legacy, Era::Modern] {
        let (one, other) = (one.face(era), other.face(era));
        for kind in Kind::ALL {
            let (mine, theirs) = (items(one.list(kind)), items(other.list(kind)));
            assert_eq!(
                String::from_utf8_lossy(&mine),
                String::from_utf8_lossy(&theirs),
                "{kind:?}"
            );
        }
        for name in NAMES {
            let prefixes = ["", "u0_", "u1_", "u2_", "u3_"];
            for name in prefixes.map(|prefix| format!("{prefix}{name}")) {
                assert_eq!(one.routes.tool(&name), other.routes.tool(&name), "{name}");
                assert_eq!(one.routes.prompt(&name), other.routes.prompt(&name), "{name}");
                assert_eq!(one.routes.unlisted(&name), other.routes.unlisted(&name), "{name}");
            }
            for uri in [
                format!("x://{name}"),
                format!("x://{name}/y"),
                format!("x://{name}/{{+p}}"),
                format!("x://u1/{name}"),
            ] {
                assert_eq!(one.routes.resource(&uri), other.routes.resource(&uri), "{uri}");
                assert_eq!(one.routes.template(&uri), other.routes.template(&uri), "{uri}");
                assert_eq!(one.routes.subscribable(&uri), other.routes.subscribable(&uri), "{uri}");
            }
        }
    }
    assert_eq!(one.initialize, other.initialize);
}

proptest! {
    #[test]
    fn a_caller_sees_what_everybody_would_see(plans in plans()) {
        let upstreams = mk_upstreams(&plans);
        let everybodys = fold(&upstreams);
        let listed = catalogs(&plans, &upstreams);
        let shared = fold(&for_callers(&plans, upstreams));
        match shared.of_caller(&listed, 1) {
            Some(own) => {
                prop_assert!(own.listed_for_callers().is_empty() && own.of_caller(&listed, 2).is_none());
                assert_same(&own, &everybodys);
                for upstream in 0..plans.len() {
                    let at = UpstreamIndex(u32::try_from(upstream).expect("few"));
                    let speech = |endpoint: &Endpoint| {
                        let upstream = Arc::clone(endpoint.upstream(at).expect("configured"));
                        (upstream.legacy, upstream.modern)
                    };
                    prop_assert_eq!(speech(&own), speech(&everybodys));
                }
            }
            None => prop_assert!(plans.iter().all(|plan| !plan.own)),
        }
    }

    #[test]
    fn what_others_see_has_nothing_of_it(plans in plans()) {
        let shared = fold(&for_callers(&plans, mk_upstreams(&plans)));
        for (at, plan) in plans.iter().enumerate().filter(|(_, plan)| plan.own) {
            let upstream = &shared.upstreams[at];
            prop_assert!(!upstream.is_listed());
            for era in [Era::Legacy, Era::Modern] {
                let routes = &shared.face(era).routes;
                for name in &plan.legacy {
                    let name = format!("u{at}_{name}");
                    let target = routes.tool(&name).map(|target| target.upstream);
                    prop_assert_ne!(target, Some(UpstreamIndex(u32::try_from(at).expect("few"))));
                    prop_assert_eq!(routes.unlisted(&name), None, "it is unknown, not unavailable");
                }
            }
        }
    }
}

#[test]
fn what_was_not_to_be_had_is_left_out_and_unavailable() {
    let own = |name| mk_upstream(name).config(|config| config.listing = config::Listing::PerPrincipal);
    let shared = fold(&[own("mine"), mk_upstream("all").legacy(mk_listing(&["x"])), own("gone")]);
    assert_eq!(shared.listed_for_callers(), [UpstreamIndex(0), UpstreamIndex(2)]);
    let listed = Catalog {
        legacy: Some(mk_listing(&["y"]).into()),
        modern: None,
    };
    let caller = shared
        .of_caller(&[(UpstreamIndex(0), listed)], 7)
        .expect("somebody's own");
    let routes = &caller.legacy.routes;
    assert_eq!(
        routes.tool("mine_y").map(|target| target.upstream),
        Some(UpstreamIndex(0))
    );
    assert_eq!(
        routes.tool("all_x").map(|target| target.upstream),
        Some(UpstreamIndex(1))
    );
    assert_eq!(routes.unlisted("gone_z"), Some(UpstreamIndex(2)));
    assert_eq!(routes.unlisted("mine_z"), None);
    assert!(String::from_utf8_lossy(&caller.modern.tools.segments.concat()).contains(r#""cacheScope":"private""#));
    assert!(String::from_utf8_lossy(&shared.modern.tools.segments.concat()).contains(r#""cacheScope":"private""#));
    let snapshot = mk_alone(shared);
    assert!(snapshot.endpoints[0].legacy.routes.tool("mine_y").is_none());
}

#[test]
fn what_is_not_the_callers_own_is_not_made_again() {
    let own = mk_upstream("mine").config(|config| config.listing = config::Listing::PerPrincipal);
    let shared = fold(&[mk_upstream("all").legacy(mk_listing(&["x", "y"])), own]);
    let listed = Catalog {
        legacy: Some(mk_listing(&["z"]).into()),
        modern: None,
    };
    let caller = shared
        .of_caller(&[(UpstreamIndex(1), listed)], 7)
        .expect("somebody's own");
    let everybodys = &shared.legacy.tools.segments[1];
    let same = caller
        .legacy
        .tools
        .segments
        .iter()
        .any(|segment| segment.as_ptr() == everybodys.as_ptr());
    assert!(same, "the very bytes");
}
