//! What the gateway says of itself, and what a snapshot says of its upstreams.

use super::*;
use crate::engine::snapshot::Speech;
use serde_json::json;

#[test]
fn several_upstreams_declare_everything_that_is_always_answered() {
    let snapshot = two_upstreams();
    let told = json!({"listChanged":true});
    let all = json!({"completions":{},"logging":{},"prompts":told,"resources":told,"tools":told});
    let oldest = json!({"logging":{},"prompts":told,"resources":told,"tools":told});
    for (bytes, version) in endpoint(&snapshot).initialize.iter().zip(Version::ALL) {
        let result: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(result["protocolVersion"], version.as_str());
        let expected = if version == Version::V2024_11_05 { &oldest } else { &all };
        assert_eq!(&result["capabilities"], expected);
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(result["instructions"], "github:\nSearch before you fetch.");
    }
    let discover: Value = serde_json::from_slice(&endpoint(&snapshot).discover).unwrap();
    let versions = json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]);
    assert_eq!(discover["supportedVersions"], versions);
    assert_eq!(discover["capabilities"], all);
    assert_eq!(discover["resultType"], "complete");
    assert_eq!(
        (&discover["ttlMs"], &discover["cacheScope"]),
        (&json!(60_000), &json!("public"))
    );
}

#[test]
fn the_only_upstream_declares_what_it_can_do_itself() {
    let capabilities = r#"{"tools":{"listChanged":true,"x":12345678901234567890},"resources":{"subscribe":true},
        "completions":{},"tasks":{"list":{}},"experimental":{"a/b":{}}}"#;
    let long = "ä".repeat(2000);
    let listing = mk_listing(&[])
        .instructions(&long)
        .with(|listing| listing.capabilities = capabilities.into());
    let endpoint = mk_endpoint(&[mk_upstream("a").legacy(listing)]);
    let said = |at: usize| std::str::from_utf8(&endpoint.initialize[at]).unwrap();
    let text = said(3);
    let expected = r#""capabilities":{"tools":{"listChanged":true,"x":12345678901234567890},"resources":{"subscribe":true},"completions":{},"tasks":{"list":{}},"experimental":{"a/b":{}}}"#;
    assert!(text.contains(expected), "{text}");
    assert!(!said(2).contains("tasks"), "they came with 2025-11-25");
    assert!(!said(0).contains("completions"), "they came with 2025-03-26");
    assert!(text.contains(&long), "its own instructions are not cut");
    let discover: Value = serde_json::from_slice(&endpoint.discover).unwrap();
    assert_eq!(
        discover["capabilities"],
        json!({"resources": {"subscribe": true}, "completions": {}, "tools": {"listChanged": true, "x": 12_345_678_901_234_567_890_u64}}),
        "what both eras know; tasks are another thing to modern clients"
    );
    assert_eq!(discover["instructions"], *long);
}

#[test]
fn tasks_and_extensions_are_declared_to_clients_of_their_era_if_any_upstream_brings_them() {
    let with = |listing: ListingBuilder, capabilities: &str| {
        let capabilities = capabilities.to_owned();
        listing.with(|listing| listing.capabilities = capabilities.into())
    };
    let a = mk_upstream("a")
        .legacy(with(
            mk_listing(&[]),
            r#"{"tasks":{"list":{},"cancel":null},"experimental":{"x":{}}}"#,
        ))
        .modern(with(
            mk_modern(&[]),
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{"a":1},"com.example/x":{}}}"#,
        ));
    let b = mk_upstream("b").legacy(with(mk_listing(&[]), r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#));
    let c = mk_upstream("c").modern(with(
        mk_modern(&[]),
        r#"{"tasks":{"cancel":{}},"extensions":{"io.modelcontextprotocol/ui":{}}}"#,
    ));
    let endpoint = mk_endpoint(&[a, b, c]);
    let capabilities = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["capabilities"].clone();
    let newest = capabilities(&endpoint.initialize[3]);
    assert_eq!(
        newest["tasks"],
        json!({"list": {}, "requests": {"tools": {"call": {}}}})
    );
    assert_eq!(newest.as_object().unwrap().len(), 6);
    assert_eq!(capabilities(&endpoint.initialize[2]).get("tasks"), None);
    let modern = capabilities(&endpoint.discover);
    let extensions = json!({"io.modelcontextprotocol/tasks": {"a": 1}, "io.modelcontextprotocol/ui": {}});
    assert_eq!(modern["extensions"], extensions, "what we cannot route is not declared");
    assert_eq!(modern.as_object().unwrap().len(), 6);
}

#[test]
fn merged_instructions_end_where_clients_would_cut_them() {
    let upstream = |name: &str| mk_upstream(name).legacy(mk_listing(&[]).instructions(&"ä".repeat(700)));
    let endpoint = mk_endpoint(&[upstream("a"), upstream("b"), upstream("c")]);
    let result: Value = serde_json::from_slice(&endpoint.initialize[0]).unwrap();
    let text = result["instructions"].as_str().unwrap();
    assert!(text.len() <= 2048 && text.len() > 2044, "{}", text.len());
    assert!(text.starts_with("a:\nä") && text.contains("ä\n\nb:\nä"));
}

// === upstreams ===

#[test]
fn an_upstream_carries_its_headers_and_how_it_speaks() {
    let headers = |config: &mut config::Upstream| {
        config.headers = vec![
            ("x-team".into(), "tools".into()),
            ("authorization".into(), "constant".into()),
        ];
        config.url = "https://h.test/a/mcp?k=v".parse().unwrap();
    };
    let a = mk_upstream("a")
        .config(headers)
        .credential(Some("Bearer t"))
        .legacy(mk_listing(&[]).stateless());
    let endpoint = mk_endpoint(&[a, mk_upstream("b").credential(None)]);
    let [a, b] = endpoint.upstreams.as_slice() else {
        panic!()
    };
    let expected =
        [("x-team", "tools"), ("authorization", "Bearer t")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(a.headers, expected, "the secret takes the place of a constant");
    assert_eq!(
        (&a.path[..], a.secret_missing, b.secret_missing),
        ("/a/mcp?k=v".as_bytes(), false, true)
    );
    let speech = Speech {
        version: Version::NEWEST_LEGACY,
        stateful: false,
        tasks: false,
        tasks_list: false,
    };
    assert_eq!((a.speech(Era::Legacy), a.speech(Era::Modern)), (Some(speech), None));
}

#[test]
fn an_endpoint_accepts_its_own_host_and_origin() {
    let mut settings = mk_settings();
    let mut config = mk_config();
    config.public_url = "https://MCP.Public.test:8443/mcp".into();
    settings.config = Arc::new(config);
    let (endpoint, _) = Folder::default().fold(&settings, &[]);
    assert_eq!(endpoint.hosts, ["mcp.example.com", "mcp.public.test"]);
    let origins = ["https://app.example.com", "https://mcp.public.test:8443"];
    assert_eq!(endpoint.origins, origins);
}

#[test]
fn tools_are_told_with_their_upstream_and_eras() {
    let endpoint = mk_endpoint(&[
        mk_upstream("a")
            .legacy(mk_listing(&["x"]))
            .modern(mk_modern(&["x", "y"])),
        mk_upstream("b").prefix("a_").legacy(mk_listing(&["x", "z"])),
    ]);
    let rows: Vec<_> = endpoint.tools().collect();
    let brief: Vec<_> = rows
        .iter()
        .map(|row| (&*row.name, &*row.upstream, &*row.upstream_name, row.eras.len()))
        .collect();
    let expected = [("a_x", "a", "x", 2), ("a_y", "a", "y", 1), ("a_z", "b", "z", 1)];
    assert_eq!(brief, expected, "what is hidden is not there");
    assert_eq!(rows[0].description.as_deref(), Some("Does tool."));
}
