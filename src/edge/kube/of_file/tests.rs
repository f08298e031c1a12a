//! What is rendered for the fixture is kept in `tests/fixtures/kube/of-file/`;
//! `MCP_MANIFOLD_BLESS=1 cargo test --lib kube::of_file` writes it anew.

use super::*;
use crate::edge::kube::manifests::values;
use crate::engine::config::file;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kube/of-file")
}

fn mk_rendered(text: &str) -> Result<Rendered, Vec<Remark>> {
    let config = file::parse(text, Path::new("/etc/mcp"), Path::new("/state")).expect("the file is right");
    let tree: Value = serde_saphyr::from_str(text).expect("it is YAML");
    let gateway = Place {
        namespace: "infra".into(),
        name: "main".into(),
    };
    let site = Site {
        gateway: &gateway,
        class: None,
        values: &values(&[], &[], &[]).expect("the defaults are good"),
        route_key: None,
        read: &|path| std::fs::read_to_string(folder().join(path.file_name().unwrap_or_default())),
    };
    render(&config, &tree, Path::new("/etc/mcp"), &site)
}

fn mk_one(more: &str) -> Result<Rendered, Vec<Remark>> {
    mk_rendered(&format!(
        "publicUrl: http://mcp.example.com/mcp\nupstreams: [{{name: a, url: 'http://a.example/mcp'}}]\n{more}"
    ))
}

fn of_kind<'a>(rendered: &'a Rendered, kind: &str) -> Vec<&'a Value> {
    rendered
        .documents
        .iter()
        .filter(|document| document["kind"] == kind)
        .collect()
}

fn keys(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.key.as_str()).collect()
}

#[test]
fn the_fixture_is_rendered_as_it_is_kept() {
    let text = std::fs::read_to_string(folder().join("manifold.yaml")).expect("the fixture is there");
    let made = mk_rendered(&text).expect("Envoy Gateway can do all of it");
    let told: String = made.remarks.iter().map(|remark| format!("# {remark}\n")).collect();
    let text = told + &made.yaml(&[]);
    let path = folder().join("objects.yaml");
    if std::env::var_os("MCP_MANIFOLD_BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(known.lines()).position(|(made, known)| made != known);
    assert!(
        text == known,
        "objects.yaml differs at line {:?}: bless it",
        first.map(|line| line + 1)
    );
}

#[test]
fn the_processors_part_is_a_file_that_it_takes() {
    let text = std::fs::read_to_string(folder().join("manifold.yaml")).expect("the fixture is there");
    let made = mk_rendered(&text).expect("Envoy Gateway can do all of it");
    let map = of_kind(&made, "ConfigMap")
        .into_iter()
        .find(|map| map["data"]["manifold.yaml"].is_string());
    let part = map
        .and_then(|map| map["data"]["manifold.yaml"].as_str())
        .expect("it is there");
    let config = file::parse(part, Path::new("/etc/mcp-manifold"), Path::new("/nowhere")).expect("it is taken");
    assert_eq!(config.state_dir, Path::new("/var/lib/mcp-manifold"));
    let routes: Vec<&str> = config.envoy.routes.iter().map(|route| &**route).collect();
    let wanted = [
        "infra/main-public",
        "infra/main-inspected",
        "infra/main-transparent.search",
        "infra/main-transparent.raw",
    ];
    assert_eq!(routes, wanted);
    assert!(config.tls.is_none(), "the listener is the Gateway's");
}

#[test]
fn no_route_is_without_a_policy_that_brings_the_processor() {
    let text = std::fs::read_to_string(folder().join("manifold.yaml")).expect("the fixture is there");
    let made = mk_rendered(&text).expect("Envoy Gateway can do all of it");
    let policies = of_kind(&made, "EnvoyExtensionPolicy");
    let covered: Vec<&Value> = policies
        .iter()
        .map(|policy| &policy["spec"]["targetSelectors"][0]["matchLabels"])
        .collect();
    for route in of_kind(&made, "HTTPRoute") {
        assert!(covered.contains(&&route["metadata"]["labels"]), "{route}");
    }
}

#[test]
fn the_processor_stands_behind_everything_that_decides_by_identity_and_address() {
    let order = |more: &str| {
        let made = mk_one(more).expect("possible");
        of_kind(&made, "EnvoyProxy")[0]["spec"]["filterOrder"][0]["after"].clone()
    };
    assert_eq!(order(""), "envoy.filters.http.rbac");
    assert_eq!(
        order("rateLimits: [{name: a, per: [principal], limit: 1/s}]"),
        "envoy.filters.http.rbac"
    );
    assert_eq!(
        order("rateLimits: [{name: a, per: [ip], limit: 1/s}]"),
        "envoy.filters.http.local_ratelimit"
    );
}

#[test]
fn what_envoy_gateway_cannot_express_stops_and_names_the_key() {
    let stops = |text: &str| {
        mk_rendered(text)
            .err()
            .map(|remarks| keys(&remarks).join(" "))
            .unwrap_or_default()
    };
    assert_eq!(
        stops("upstreams: [{name: a, url: 'http://a.example/mcp'}]"),
        "publicUrl"
    );
    let one = "publicUrl: http://mcp.example.com/mcp\nupstreams:\n";
    for url in [
        "http://localhost:1/mcp",
        "http://127.0.0.1:1/mcp",
        "http://[::1]:1/mcp",
        "http://a.example/mcp?x=1",
        "https://192.0.2.1/mcp",
    ] {
        assert_eq!(
            stops(&format!("{one}- {{name: a, url: '{url}'}}")),
            "upstreams[0].url",
            "{url}"
        );
    }
    let direct = format!("{one}- {{name: a, url: 'http://a.example/mcp?x=1', via: direct}}");
    assert_eq!(stops(&direct), "", "the processor calls it itself");
}

#[test]
fn what_comes_out_otherwise_is_told_by_its_key() {
    let told = |more: &str| keys(&mk_one(more).expect("possible").remarks).join(" ");
    assert_eq!(told(""), "");
    assert_eq!(told("limits: {headers: 16KiB}"), "", "the processor keeps it");
    assert_eq!(told("limits: {headers: 64KiB}"), "limits.headers");
    assert_eq!(
        told("rateLimits: [{name: a, per: [ip], limit: 5/s, burst: 9}]"),
        "",
        "the processor counts, burst and all"
    );
    assert_eq!(
        told("cors: {origins: [https://a.example], credentials: true}"),
        "cors.credentials"
    );
    assert_eq!(
        told("envoy: {admin: 127.0.0.1:1, accessLog: access.log}"),
        "envoy.admin envoy.accessLog"
    );
}

#[test]
fn no_secret_is_among_the_objects() {
    let made = mk_one("adminToken: {env: PATH}").expect("possible");
    assert!(of_kind(&made, "Secret").is_empty());
    let container = &of_kind(&made, "EnvoyProxy")[0]["spec"]["provider"]["kubernetes"]["envoyDeployment"]["patch"]["value"]
        ["spec"]["template"]["spec"]["initContainers"][0];
    assert_eq!(container["env"][1]["valueFrom"]["secretKeyRef"]["key"], "PATH");
    let secret = made.secrets[0].document(|source| Ok::<_, ()>(format!("{source:?}").into_bytes()));
    assert!(secret.is_ok_and(|secret| secret["data"]["PATH"].is_string()));
}

#[test]
fn durations_have_at_most_five_digits_of_a_unit() {
    let spans =
        [500, 90_000, 100_000_000, 400_000_000_500].map(|milliseconds| span(Duration::from_millis(milliseconds)));
    assert_eq!(spans, ["500ms", "90s", "27h46m40s", "99999h6m40s500ms"]);
}
