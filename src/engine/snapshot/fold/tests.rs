//! What the fold promises: complete lists in a fixed order, one owner per name, nothing rendered twice.

mod callers;
mod properties;
mod resources;
mod said;

use super::*;
use crate::engine::catalog::Listing;
use crate::engine::mcp::Version;
use crate::engine::snapshot::testing::*;
use crate::engine::snapshot::{Face, Prepared, Snapshot};
use serde_json::Value;

fn text(list: &Prepared) -> String {
    let bytes: Vec<u8> = list.segments.concat();
    assert_eq!(bytes.len(), list.len);
    String::from_utf8(bytes).unwrap()
}

fn value(list: &Prepared) -> Value {
    serde_json::from_str(&text(list)).unwrap()
}

/// The exposed names in a list.
fn names(list: &Prepared) -> Vec<String> {
    let value = value(list);
    let items = value.as_object().unwrap().values().find_map(Value::as_array).unwrap();
    let name = |item: &Value| {
        ["name", "uri", "uriTemplate"]
            .iter()
            .find_map(|key| item[key].as_str())
            .map(str::to_owned)
    };
    items.iter().filter_map(name).collect()
}

fn endpoint(snapshot: &Snapshot) -> &Endpoint {
    &snapshot.endpoints[0]
}

fn mk_endpoint(upstreams: &[UpstreamBuilder]) -> Arc<Endpoint> {
    Arc::clone(&mk_snapshot(upstreams).endpoints[0])
}

#[test]
fn lists_hold_every_upstream_in_configuration_order() {
    let snapshot = two_upstreams();
    let legacy = &endpoint(&snapshot).legacy;
    let expected = ["github_search", "github_fetch", "files_read", "files_write"];
    assert_eq!(names(&legacy.tools), expected);
    assert_eq!(names(&legacy.prompts), ["github_review"]);
    assert_eq!(names(&legacy.resources), ["github://readme", "file:///a.txt"]);
    assert_eq!(names(&legacy.templates), ["file:///{+path}"]);
    assert_eq!(value(&legacy.tools).as_object().unwrap().len(), 1);
}

#[test]
fn an_item_is_its_upstreams_but_for_the_name() {
    let snapshot = two_upstreams();
    let text = text(&endpoint(&snapshot).legacy.tools);
    let own = mk_item(Kind::Tools, "search").raw;
    let expected = own.replace(r#""search""#, r#""github_search""#);
    assert!(text.starts_with(&format!(r#"{{"tools":[{expected},"#)), "{text}");
    assert!(text.contains("90071992547409931"), "a number beyond 2^53 survives");
}

#[test]
fn a_list_of_nothing_is_an_empty_list() {
    let endpoint = mk_endpoint(&[mk_upstream("a"), mk_upstream("b")]);
    assert_eq!(text(&endpoint.legacy.templates), r#"{"resourceTemplates":[]}"#);
    assert_eq!(names(&endpoint.modern.tools), [""; 0]);
}

#[test]
fn a_modern_list_says_how_long_it_may_be_kept() {
    let shared = mk_upstream("a").modern(mk_modern(&["x"]));
    let brief = mk_upstream("b").modern(mk_modern(&["x"]).with(|listing| listing.ttl_ms = 5));
    let private = mk_upstream("c").modern(mk_modern(&[]).with(|listing| listing.public = false));
    let pending = mk_upstream("d");
    let freshness = |upstreams: &[UpstreamBuilder]| {
        let value = value(&mk_endpoint(upstreams).modern.tools);
        assert_eq!(value["resultType"], "complete");
        assert_eq!(
            value["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
            "mcp-manifold"
        );
        (
            value["ttlMs"].as_u64().unwrap(),
            value["cacheScope"].as_str().unwrap() == "public",
        )
    };
    assert_eq!(freshness(&[shared.clone(), brief.clone()]), (5, true));
    assert_eq!(freshness(&[shared.clone(), private]), (60_000, false));
    assert_eq!(
        freshness(&[shared.clone(), pending.clone()]),
        (0, true),
        "its items are still to come"
    );
    assert_eq!(freshness(&[shared, pending.disabled()]), (60_000, true));
}

#[test]
fn clients_of_both_eras_see_the_items_of_all_upstreams() {
    let endpoint = mk_endpoint(&[
        mk_upstream("a").legacy(mk_listing(&["x"])),
        mk_upstream("b").modern(mk_modern(&["x"])),
        mk_upstream("c")
            .legacy(mk_listing(&["old"]))
            .modern(mk_modern(&["new"])),
    ]);
    assert_eq!(names(&endpoint.legacy.tools), ["a_x", "b_x", "c_old"]);
    assert_eq!(
        names(&endpoint.modern.tools),
        ["a_x", "b_x", "c_new"],
        "their own era where there is a choice"
    );
    let spoken = |client: Era| {
        let era = |upstream: &Arc<crate::engine::snapshot::Upstream>| upstream.spoken_to(client).unwrap().0;
        endpoint.upstreams.iter().map(era).collect::<Vec<_>>()
    };
    assert_eq!(spoken(Era::Legacy), [Era::Legacy, Era::Modern, Era::Legacy]);
    assert_eq!(spoken(Era::Modern), [Era::Legacy, Era::Modern, Era::Modern]);
    let modern = value(&endpoint.modern.tools);
    assert_eq!(
        (&modern["ttlMs"], &modern["cacheScope"]),
        (&Value::from(0), &Value::from("private")),
        "nobody promised anything for the legacy part"
    );
    assert_eq!(value(&endpoint.legacy.tools).as_object().unwrap().len(), 1);
}

#[test]
fn a_tool_whose_mirrored_parameters_break_a_rule_is_left_out_where_it_matters() {
    let tool = |name: &str, header: &str| {
        let schema = format!(r#"{{"properties":{{"r":{{"type":"string","x-mcp-header":{header:?}}}}}}}"#);
        let raw = format!(r#"{{"name":{name:?},"inputSchema":{schema}}}"#);
        crate::engine::catalog::Item::read(Kind::Tools, &raw).unwrap()
    };
    let both = |listing: ListingBuilder| {
        listing.with(|listing| listing.tools.extend([tool("good", "Region"), tool("bad", "no header")]))
    };
    let upstreams = [
        mk_upstream("old").legacy(both(mk_listing(&["x"]))),
        mk_upstream("new").modern(both(mk_modern(&["x"]))),
    ];
    let mut folder = Folder::default();
    for _ in 0..2 {
        let (endpoint, warnings) = folder.fold(&mk_settings(), &mk_inputs(&upstreams));
        assert_eq!(
            names(&endpoint.legacy.tools),
            ["old_x", "old_good", "old_bad", "new_x", "new_good"],
            "it means nothing between a legacy client and a legacy upstream"
        );
        assert_eq!(
            names(&endpoint.modern.tools),
            ["old_x", "old_good", "new_x", "new_good"]
        );
        let params = |name| endpoint.legacy.routes.tool(name).unwrap().params.clone();
        assert_eq!(&*params("new_good").unwrap()[0].header, "mcp-param-region");
        assert_eq!(params("new_x"), None);
        let texts: Vec<_> = warnings
            .iter()
            .map(|(upstream, text)| format!("{upstream}: {text}"))
            .collect();
        let expected = [
            r#"old: tool "bad" is left out for modern clients: x-mcp-header must be the end of a header name"#,
            r#"new: tool "bad" is left out: x-mcp-header must be the end of a header name"#,
        ];
        assert_eq!(texts, expected);
    }
}

#[test]
fn a_listing_that_both_faces_show_is_rendered_once() {
    let endpoint = mk_endpoint(&[mk_upstream("a").legacy(mk_listing(&["x"]))]);
    let segment = |era| endpoint.face(era).tools.segments[1].as_ptr();
    assert_eq!(segment(Era::Legacy), segment(Era::Modern));
}

#[test]
fn a_call_finds_the_upstream_and_its_name_there() {
    let snapshot = two_upstreams();
    let routes = &endpoint(&snapshot).legacy.routes;
    let target = routes.tool("files_read").unwrap();
    assert_eq!((target.upstream, &*target.name), (UpstreamIndex(1), "read"));
    assert_eq!(target.token.as_deref(), Some(&b"\"read\""[..]));
    assert_eq!(routes.tool("read"), None);
    assert_eq!(&*routes.prompt("github_review").unwrap().name, "review");
}

#[test]
fn the_only_upstream_without_a_prefix_is_shown_as_it_is() {
    let odd = "a.b/c d \u{e9} and a name far beyond sixty-four characters, which no rule may touch";
    let single = mk_upstream("one").prefix("").legacy(mk_listing(&[odd]).prompts(&["p"]));
    let endpoint = mk_endpoint(std::slice::from_ref(&single));
    assert_eq!(names(&endpoint.legacy.tools), [odd]);
    assert_eq!(
        endpoint.legacy.routes.tool(odd).unwrap().token,
        None,
        "nothing to splice"
    );
    assert!(text(&endpoint.legacy.tools).contains(&*mk_item(Kind::Tools, odd).raw));

    let several = mk_endpoint(&[single, mk_upstream("two")]);
    let exposed = names(&several.legacy.tools).remove(0);
    assert_ne!(exposed, odd);
    assert_eq!(&*several.legacy.routes.tool(&exposed).unwrap().name, odd);
}

// === collisions ===

#[test]
fn a_collision_is_owned_by_the_first_upstream_and_reported() {
    let a = mk_upstream("a").prefix("").legacy(mk_listing(&["x", "y"]));
    let b = mk_upstream("b").prefix("").legacy(mk_listing(&["z", "x"]));
    let (endpoint, warnings) = Folder::default().fold(&mk_settings(), &mk_inputs(&[a, b]));
    assert_eq!(names(&endpoint.legacy.tools), ["x", "y", "z"]);
    assert_eq!(endpoint.legacy.routes.tool("x").unwrap().upstream, UpstreamIndex(0));
    let expected = r#"tool "x" is hidden: upstream "a" comes first and owns it"#;
    assert_eq!(warnings, [("b".to_owned(), expected.to_owned())]);
}

#[test]
fn an_owner_keeps_its_names_while_it_is_down_or_disabled_but_not_when_it_is_gone() {
    let a = mk_upstream("a").prefix("").legacy(mk_listing(&["x"]));
    let b = mk_upstream("b").prefix("").legacy(mk_listing(&["x", "y"]));
    let down = mk_upstream("a").prefix("");
    let moved = mk_upstream("a")
        .prefix("")
        .config(|config| config.url = "http://elsewhere.test/".parse().unwrap());
    let mut folder = Folder::default();
    let mut fold = |upstreams: &[UpstreamBuilder]| {
        let (endpoint, _) = folder.fold(&mk_settings(), &mk_inputs(upstreams));
        let legacy = &endpoint.legacy;
        let upstream = legacy.routes.tool("x").unwrap().upstream.0;
        let speech = endpoint.upstreams[upstream as usize].legacy;
        (names(&legacy.tools).join(" "), upstream, speech.is_some())
    };
    assert_eq!(fold(&[a.clone(), b.clone()]), ("x y".into(), 0, true));
    assert_eq!(
        fold(&[down.clone(), b.clone()]),
        ("y".into(), 0, false),
        "expired: unavailable, not another's"
    );
    assert_eq!(fold(&[down, b.clone()]), ("y".into(), 0, false), "and stays so");
    assert_eq!(fold(&[a.clone().disabled(), b.clone()]), ("y".into(), 0, true));
    assert_eq!(
        fold(&[moved, b.clone()]),
        ("x y".into(), 1, true),
        "another server under the same name"
    );
    assert_eq!(fold(&[a, b.clone()]), ("x y".into(), 0, true));
    assert_eq!(fold(&[b]), ("x y".into(), 0, true), "removed");
}

#[test]
fn a_disabled_upstream_stays_where_it_is() {
    let endpoint = mk_endpoint(&[
        mk_upstream("a").legacy(mk_listing(&["x"])).disabled(),
        mk_upstream("b").legacy(mk_listing(&["x"])),
    ]);
    assert_eq!(names(&endpoint.legacy.tools), ["b_x"]);
    assert!(!endpoint.upstreams[0].enabled);
    assert_eq!(endpoint.legacy.routes.tool("b_x").unwrap().upstream, UpstreamIndex(1));
    assert_eq!(endpoint.tools().count(), 1);
}

#[test]
fn a_name_listed_twice_by_one_upstream_is_shown_once() {
    let a = mk_upstream("a").legacy(mk_listing(&["x", "x"]).resources(&["r:1", "r:1"]));
    let (endpoint, warnings) = Folder::default().fold(&mk_settings(), &mk_inputs(&[a, mk_upstream("b")]));
    assert_eq!(names(&endpoint.legacy.tools), ["a_x"]);
    assert_eq!(names(&endpoint.legacy.resources), ["r:1"]);
    assert_eq!(warnings.len(), 2);
    assert_eq!(warnings[0].1, r#"tool "a_x" is listed twice: the second is hidden"#);
}

#[test]
fn many_warnings_of_one_upstream_are_counted() {
    let odd: Vec<String> = (0..30).map(|number| format!("odd.{number}")).collect();
    let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
    let a = mk_upstream("a").legacy(mk_listing(&odd)).modern(mk_modern(&odd));
    let (_, warnings) = Folder::default().fold(&mk_settings(), &mk_inputs(&[a]));
    assert_eq!(warnings.len(), MAX_WARNINGS + 1, "the same is said once of both eras");
    assert_eq!(warnings[MAX_WARNINGS].1, "and 10 more");
    assert!(
        warnings[0].1.starts_with(r#"tool "odd.0" is exposed as "a_odd_0_"#),
        "{}",
        warnings[0].1
    );
}

// === what is shared ===

#[test]
fn what_did_not_change_is_shared_with_the_last_snapshot() {
    let a: Arc<Listing> = mk_listing(&["x"]).into();
    let b: Arc<Listing> = mk_listing(&["y"]).into();
    let upstreams = |b: &Arc<Listing>| {
        mk_inputs(&[
            mk_upstream("a").legacy(Arc::clone(&a)),
            mk_upstream("b").legacy(Arc::clone(b)),
        ])
    };
    let mut folder = Folder::default();
    let first = folder.fold(&mk_settings(), &upstreams(&b)).0;
    let described =
        mk_listing(&["y"]).with(|listing| listing.tools[0].raw = listing.tools[0].raw.replace("Does", "Did").into());
    let second = folder.fold(&mk_settings(), &upstreams(&described.into())).0;
    let segments = |endpoint: &Endpoint| {
        endpoint
            .legacy
            .tools
            .segments
            .iter()
            .map(|bytes| bytes.as_ptr())
            .collect::<Vec<_>>()
    };
    assert_eq!(segments(&first)[1], segments(&second)[1], "a is not rendered again");
    assert_ne!(segments(&first)[2], segments(&second)[2]);
    assert!(
        Arc::ptr_eq(&first.legacy.routes.tools, &second.legacy.routes.tools),
        "no name changed"
    );
    assert!(Arc::ptr_eq(&first.upstreams[0], &second.upstreams[0]));
}

#[test]
fn equal_lists_of_both_eras_are_kept_once() {
    let snapshot = two_upstreams();
    let (legacy, modern) = (&endpoint(&snapshot).legacy.tools, &endpoint(&snapshot).modern.tools);
    assert_eq!(legacy.segments[2].as_ptr(), modern.segments[2].as_ptr());
    let [legacy, modern] =
        [Era::Legacy, Era::Modern].map(|era| Arc::clone(&endpoint(&snapshot).face(era).routes.tools));
    assert!(Arc::ptr_eq(&legacy, &modern), "and so are their names");
}

#[test]
fn an_upstream_that_moves_up_is_called_at_its_new_place_and_not_rendered_again() {
    let [a, b, c] = ["a", "b", "c"].map(|name| mk_upstream(name).legacy(mk_listing(&["x"])));
    let mut folder = Folder::default();
    let (before, _) = folder.fold(&mk_settings(), &mk_inputs(&[a, b.clone(), c.clone()]));
    let (endpoint, _) = folder.fold(&mk_settings(), &mk_inputs(&[b, c]));
    let segment = |endpoint: &Endpoint, at: usize| endpoint.legacy.tools.segments[at].as_ptr();
    assert_eq!(segment(&before, 3), segment(&endpoint, 2));
    assert_eq!(endpoint.legacy.routes.tool("b_x").unwrap().upstream, UpstreamIndex(0));
    assert_eq!(names(&endpoint.legacy.tools), ["b_x", "c_x"]);
}
