//! What holds for any upstreams, in whatever order they are listed.

use super::*;
use proptest::prelude::*;

/// Prefix, legacy tools, modern tools, URIs, enabled.
type Shape = (String, Vec<String>, Vec<String>, Vec<String>, bool);

fn any_upstreams() -> impl Strategy<Value = Vec<UpstreamBuilder>> {
    let tools = || prop::collection::vec("[ab.é]{1,3}|[a-z]{70}", 0..5);
    let uris = prop::collection::vec("[ab]:[ab]", 0..3);
    let shape = ("(|p_|pa)", tools(), tools(), uris, any::<bool>());
    prop::collection::vec(shape, 1..5).prop_map(|shapes| shapes.into_iter().enumerate().map(built).collect())
}

fn built((place, (prefix, legacy, modern, uris, enabled)): (usize, Shape)) -> UpstreamBuilder {
    let [legacy, modern, uris] =
        [&legacy, &modern, &uris].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
    let upstream = mk_upstream(&format!("u{place}"))
        .prefix(&prefix)
        .legacy(mk_listing(&legacy).prompts(&modern).resources(&uris))
        .modern(mk_modern(&modern));
    if enabled { upstream } else { upstream.disabled() }
}

fn faces(endpoint: &Endpoint) -> Vec<String> {
    let lists = |face: &Face| Kind::ALL.map(|kind| text(face.list(kind)));
    [lists(&endpoint.legacy), lists(&endpoint.modern)].concat()
}

proptest! {
    #[test]
    fn the_merge_does_not_depend_on_which_listing_arrived_when(
        upstreams in any_upstreams(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let all = mk_inputs(&upstreams);
        let mut known = all.clone();
        for input in &mut known {
            input.catalog = Catalog::default();
        }
        let mut folder = Folder::default();
        for place in order {
            let place = place.index(all.len());
            known[place] = all[place].clone();
            folder.fold(&mk_settings(), &known);
        }
        let arrived = folder.fold(&mk_settings(), &all);
        let fresh = Folder::default().fold(&mk_settings(), &all);
        prop_assert_eq!(faces(&arrived.0), faces(&fresh.0));
        prop_assert_eq!(arrived.1, fresh.1);
    }

    #[test]
    fn every_listed_name_leads_to_exactly_one_item_and_back(upstreams in any_upstreams()) {
        let endpoint = mk_endpoint(&upstreams);
        for era in [Era::Legacy, Era::Modern] {
            let face = endpoint.face(era);
            let listed = names(&face.tools);
            let mut seen = std::collections::HashSet::new();
            let raws = raw_tools(&text(&face.tools));
            for (name, raw) in listed.iter().zip(&raws) {
                prop_assert!(seen.insert(name.clone()), "{} is listed twice", name);
                let target = face.routes.tool(name).unwrap();
                let upstream = &endpoint.upstreams[target.upstream.0 as usize];
                prop_assert!(upstream.enabled);
                let own = mk_item(Kind::Tools, &target.name).raw;
                let token = |name: &str| serde_json::to_string(name).unwrap();
                prop_assert_eq!(own.replacen(&token(&target.name), &token(name), 1), raw.get());
                prop_assert_eq!(target.token.is_none(), *target.name == **name);
            }
            let rows: Vec<_> = endpoint.tools().filter(|row| row.eras.contains(&era)).map(|row| row.name).collect();
            let set = |names: Vec<String>| names.into_iter().collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(set(rows), set(listed));
        }
    }
}

fn raw_tools(list: &str) -> Vec<Box<serde_json::value::RawValue>> {
    #[derive(serde::Deserialize)]
    struct List {
        tools: Vec<Box<serde_json::value::RawValue>>,
    }
    serde_json::from_str::<List>(list).unwrap().tools
}
