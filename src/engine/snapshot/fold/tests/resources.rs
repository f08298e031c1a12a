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
