//! Who owns a resource, who may be asked, and what is unavailable rather than unknown.

use super::*;
use crate::engine::route::Owner;

fn owner(owner: Owner) -> u32 {
    match owner {
        Owner::One(target) => target.upstream.0,
        other @ (Owner::Ask(_) | Owner::None) => panic!("expected an owner, found {other:?}"),
    }
}

#[test]
fn a_resource_is_owned_by_its_lister_then_by_a_template_then_by_a_tool() {
    let tool = r#"{"name":"x","_meta":{"ui":{"resourceUri":"ui://app"}}}"#;
    let tool = crate::engine::catalog::Item::read(Kind::Tools, tool).unwrap();
    let endpoint = mk_endpoint(&[
        mk_upstream("a").legacy(mk_listing(&[]).templates(&["note://{id}", "broken://{"])),
        mk_upstream("b").legacy(mk_listing(&[]).resources(&["note://1"]).templates(&["note://{other}"])),
        mk_upstream("c").legacy(mk_listing(&[]).with(|listing| listing.tools.push(tool))),
    ]);
    let routes = &endpoint.legacy.routes;
    assert_eq!(owner(routes.resource("note://1")), 1, "listed");
    assert_eq!(owner(routes.resource("note://2")), 0, "the first template");
    assert_eq!(owner(routes.resource("ui://app")), 2, "named by a tool");
    assert_eq!(routes.resource("else://1"), Owner::None);
    assert_eq!(owner(routes.template("note://{other}")), 1, "the template itself");
    assert_eq!(owner(routes.template("broken://{")), 0);
    assert_eq!(owner(routes.template("note://7")), 0, "else as a URI");
}

#[test]
fn an_unknown_resource_is_asked_of_the_only_upstream_or_of_those_to_be_probed() {
    let ask = |upstreams: &[UpstreamBuilder]| mk_endpoint(upstreams).legacy.routes.resource("x:1");
    let a = mk_upstream("a").legacy(mk_listing(&[]));
    let b = mk_upstream("b").legacy(mk_listing(&[]));
    let modern = mk_upstream("m").modern(mk_modern(&[]));
    assert_eq!(ask(std::slice::from_ref(&a)), Owner::Ask(vec![UpstreamIndex(0)]));
    assert_eq!(ask(&[a.clone(), b.clone()]), Owner::None);
    assert_eq!(
        ask(&[a.clone().disabled(), b.clone()]),
        Owner::Ask(vec![UpstreamIndex(1)])
    );
    let probed = [a.clone().probe(), modern.clone().probe(), b.clone(), b.probe()];
    assert_eq!(
        ask(&probed),
        Owner::Ask(vec![UpstreamIndex(0), UpstreamIndex(1), UpstreamIndex(3)])
    );
    assert_eq!(ask(&[modern]), Owner::Ask(vec![UpstreamIndex(0)]), "of whatever era");
    assert_eq!(
        ask(&[mk_upstream("a")]),
        Owner::Ask(vec![UpstreamIndex(0)]),
        "unavailable rather than unknown"
    );
}

#[test]
fn a_name_that_begins_like_an_unlisted_upstream_is_unavailable_rather_than_unknown() {
    let endpoint = mk_endpoint(&[
        mk_upstream("git"),
        mk_upstream("git-hub").prefix("git_hub_"),
        mk_upstream("off").disabled(),
        mk_upstream("there").legacy(mk_listing(&["x"])),
    ]);
    for routes in [&endpoint.legacy.routes, &endpoint.modern.routes] {
        assert_eq!(
            routes.unlisted("git_hub_x"),
            Some(UpstreamIndex(1)),
            "the longest prefix"
        );
        assert_eq!(routes.unlisted("git_x"), Some(UpstreamIndex(0)));
        assert_eq!(routes.unlisted("off_x"), None);
        assert_eq!(routes.unlisted("there_y"), None);
    }
}

#[test]
fn an_upstream_that_rewrites_is_found_by_its_name_and_by_what_only_it_knows() {
    let mk = |name| {
        let listing = mk_listing(&[])
            .resources(&["doc://1"])
            .templates(&["{scheme}://t/{id}"]);
        mk_upstream(name).legacy(listing)
    };
    let one = |upstreams: &[UpstreamBuilder], uri: &str| match mk_endpoint(upstreams).legacy.routes.resource(uri) {
        Owner::One(target) => Some((target.upstream.0, target.name.to_string(), target.token.is_some())),
        Owner::Ask(_) | Owner::None => None,
    };
    let own = |at, uri: &str| Some((at, uri.to_owned(), false));
    let renamed = |at, uri: &str| Some((at, uri.to_owned(), true));
    let both = [mk("a").rewrite(), mk("b").rewrite()];
    assert_eq!(one(&both, "doc://a/1"), renamed(0, "doc://1"), "listed");
    assert_eq!(
        one(&both, "b/x://t/7"),
        renamed(1, "x://t/7"),
        "a template without a scheme of its own"
    );
    assert_eq!(one(&both, "new://b/1"), renamed(1, "new://1"), "by its name alone");
    assert_eq!(one(&both, "doc://1"), None, "either may be meant");
    let mixed = [mk("a").rewrite(), mk("b")];
    assert_eq!(one(&mixed, "doc://1"), own(1, "doc://1"), "what is exposed comes first");
    let alone = [
        mk("a").rewrite(),
        mk_upstream("b").legacy(mk_listing(&[])).rewrite().probe(),
    ];
    assert_eq!(
        one(&alone, "doc://1"),
        own(0, "doc://1"),
        "a link of the only one that knows it"
    );
    assert_eq!(one(&alone, "x://t/7"), own(0, "x://t/7"), "by its template");
    assert_eq!(one(&alone, "else://1"), None, "whoever rewrites is asked by name only");
    let only = [mk("a").rewrite()];
    assert_eq!(one(&only, "else://1"), own(0, "else://1"), "there is nobody else");
    let routes = &mk_endpoint(&only).legacy.routes;
    assert_eq!(
        routes.subscribable("else://1"),
        Owner::None,
        "its updates would bear another URI"
    );
    assert_eq!(owner(routes.subscribable("else://a/1")), 0);
    assert_eq!(owner(routes.template("{scheme}://t/{id}")), 0, "a link to a template");
}
