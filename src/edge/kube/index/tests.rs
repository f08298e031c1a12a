//! The index as its callers see it: objects and reports in, changes out.

mod backends;
mod fixtures;

use super::*;
use fixtures::{World, mk_report};

#[test]
fn the_objects_of_the_guide_make_one_upstream() {
    let mut world = World::guide();
    let changes = world.changes();
    let plan = changes
        .plan("gateway-system/mcp-gateway")
        .expect("Expected: the Gateway is served");
    let [endpoint] = plan.endpoints.as_slice() else {
        panic!("one endpoint")
    };
    assert_eq!(&*endpoint.id, "mcp-test.mcpge.mcp-extension");
    assert_eq!(
        endpoint.hosts.iter().map(|host| &**host).collect::<Vec<_>>(),
        ["mcp.127-0-0-1.sslip.io"]
    );
    let [upstream] = endpoint.upstreams.as_slice() else {
        panic!("one upstream")
    };
    assert_eq!(upstream.assigned.name, "mcp-test.my-mcp-server");
    assert_eq!(upstream.assigned.prefix, "myserver_");
    assert_eq!(upstream.assigned.url.as_str(), "http://my-mcp-server.mcp.local/mcp");
    assert_eq!(
        upstream.assigned.addresses,
        ["10.0.0.1:9090".parse().expect("an address")]
    );
    let guard = upstream.guard.as_ref().expect("direct requests are refused");
    assert_eq!(guard.hosts.first().map(|host| &**host), Some("my-mcp-server.mcp.local"));
}
