//! Everybody sees what the server shows them, and reaches nothing else.

use super::*;

/// Servers for two callers: behind Envoy and called by the processor, of both eras and of either.
async fn gateway(keys: &str, policies: &str) -> ([Program; 3], Gateway) {
    let (both, url) = fixture(&["ann", "bob"], &["--tools", "1"]).await;
    let (modern, modern_url) = fixture(&["ann", "bob"], &["--eras", "modern"]).await;
    let (legacy, legacy_url) = fixture(&["ann", "bob"], &["--eras", "legacy"]).await;
    let setup = setup(&["ann", "bob"])
        .with(policies)
        .upstream_with("a", &url, &format!("via: envoy, {keys}"))
        .upstream("everybody", &url)
        .upstream_with("b", &url, &format!("via: direct, {keys}"))
        .upstream_with("c", &modern_url, keys)
        .upstream_with("d", &legacy_url, keys);
    for name in ["ann", "bob"] {
        let keys = setup.folder.path().join("keys");
        std::fs::create_dir_all(&keys).expect("made");
        std::fs::write(keys.join(hex(&format!("key:{name}"))), name).expect("written");
    }
    let gateway = setup.up().await;
    gateway
        .until_upstream("everybody", "listed", |upstream| upstream["tools"] == 1)
        .await;
    ([both, modern, legacy], gateway)
}

fn own(name: &str) -> Vec<String> {
    [
        "a_generated_0".to_owned(),
        format!("a_for_{name}_own"),
        "everybody_generated_0".to_owned(),
        "b_generated_0".to_owned(),
        format!("b_for_{name}_own"),
        format!("c_for_{name}_own"),
        format!("d_for_{name}_own"),
    ]
    .into()
}

async fn assert_each_sees_their_own(gateway: &Gateway) {
    for (name, other) in [("ann", "bob"), ("bob", "ann")] {
        let caller = Caller::connect(gateway, Some(name)).await;
        assert_eq!(caller.list("tools/list", "tools").await, own(name));
        for upstream in ["a", "b", "c", "d"] {
            let called = caller.call(&format!("{upstream}_for_{name}_own")).await;
            let said = called["result"]["content"][0]["text"].as_str();
            assert_eq!(said, Some(&*format!("for_{name}_own")), "{called}");
            let params = json!({"name": format!("{upstream}_for_{name}_own"), "arguments": {}});
            let called = caller.modern("tools/call", &params).await;
            let said = called["result"]["content"][0]["text"].as_str();
            assert_eq!(said, Some(&*format!("for_{name}_own")), "{called}");
            // The server itself would do it.
            let theirs = format!("{upstream}_for_{other}_own");
            assert_unknown(&caller.call(&theirs).await, &theirs);
            let params = json!({"name": theirs, "arguments": {}});
            assert_unknown(&caller.modern("tools/call", &params).await, &theirs);
            assert_unknown(&caller.rpc("prompts/get", &params).await, &theirs);
            let completion = json!({
                "ref": {"type": "ref/prompt", "name": theirs},
                "argument": {"name": "x", "value": "p"},
            });
            assert_unknown(&caller.rpc("completion/complete", &completion).await, &theirs);
        }
        let prompts = ["a", "b", "c", "d"].map(|upstream| format!("{upstream}_for_{name}_own"));
        assert_eq!(caller.list("prompts/list", "prompts").await, prompts);
        let uri = format!("test://for_{name}_own");
        assert_eq!(
            caller.list("resources/list", "resources").await,
            std::slice::from_ref(&uri),
            "of four that have it the first owns it"
        );
        let templates = caller.list("resources/templates/list", "resourceTemplates").await;
        assert_eq!(templates, [format!("{uri}/{{+path}}")]);
        for theirs in [format!("test://for_{other}_own"), format!("test://for_{other}_own/x")] {
            for method in ["resources/read", "resources/subscribe"] {
                let message = caller.rpc(method, &json!({"uri": theirs})).await;
                assert_eq!(message["error"]["code"], -32002, "{message}");
            }
        }
    }
}

async fn assert_nobody_sees_nothing(gateway: &Gateway) {
    let nobody = Caller::connect(gateway, None).await;
    assert_eq!(nobody.list("tools/list", "tools").await, ["everybody_generated_0"]);
    for method in [("prompts/list", "prompts"), ("resources/list", "resources")] {
        assert!(nobody.list(method.0, method.1).await.is_empty());
    }
    for name in ["a_for_ann_own", "a_generated_0", "b_generated_0", "c_for_bob_own"] {
        assert_unknown(&nobody.call(name).await, name);
    }
}

#[tokio::test]
async fn everybody_sees_their_own_and_calls_nothing_else() {
    let (_servers, mut gateway) = gateway(OWN, "").await;
    tokio::join!(
        assert_each_sees_their_own(&gateway),
        assert_nobody_sees_nothing(&gateway)
    );
    let ann = Caller::new(&gateway, Some("ann"));
    let list = ann.modern("tools/list", &json!({})).await;
    assert_eq!(list["result"]["cacheScope"], "private", "{list}");
    let nobody = Caller::new(&gateway, None);
    let list = nobody.modern("tools/list", &json!({})).await;
    assert_eq!(list["result"]["cacheScope"], "private", "others see more: {list}");
    assert_told_to_nobody(&mut gateway).await;
}

/// Nothing of what was listed for somebody stands anywhere else.
async fn assert_told_to_nobody(gateway: &mut Gateway) {
    let mut told = String::new();
    for path in ["/status", "/tools", "/metrics"] {
        told.push_str(&gateway.ask(path).await.text());
    }
    assert!(told.contains("mcp_manifold_callers_listed 2"), "{told}");
    let status = gateway.upstream("a").await;
    assert_eq!(
        (&status["reason"], &status["tools"]),
        (&json!("Ready"), &json!(0)),
        "{status}"
    );
    for entry in std::fs::read_dir(gateway.setup.folder.path().join("state/catalogs")).expect("a folder") {
        let file = entry.expect("an entry").path();
        told.push_str(&String::from_utf8_lossy(&std::fs::read(file).expect("a file")));
    }
    // What was called is in the audit log, as everything that is.
    assert!(!told.contains("_own"), "{told}");
    let _ = gateway.program();
}

#[tokio::test]
async fn credentials_of_callers_list_for_them() {
    let keys = "listing: perPrincipal, credential: { perPrincipal: { dir: keys } }";
    let (_servers, gateway) = gateway(keys, "").await;
    assert_each_sees_their_own(&gateway).await;
    assert_nobody_sees_nothing(&gateway).await;
}

#[tokio::test]
async fn rules_apply_to_what_is_a_callers_own() {
    let rules = r#"policies: { rules: [ { name: r, deny: "principal == 'key:bob' && tool.name.startsWith('a_for')" }, { name: s, deny: "tool.name == 'b_generated_0'" } ] }"#;
    let (_servers, gateway) = gateway(OWN, rules).await;
    let without = |name: &str, hidden: &[&str]| -> Vec<String> {
        let mut all = own(name);
        all.retain(|one| !hidden.contains(&one.as_str()));
        all
    };
    for _ in 0..2 {
        let (ann, bob) = (
            Caller::connect(&gateway, Some("ann")).await,
            Caller::connect(&gateway, Some("bob")).await,
        );
        assert_eq!(
            ann.list("tools/list", "tools").await,
            without("ann", &["b_generated_0"])
        );
        let hidden = ["a_for_bob_own", "b_generated_0"];
        assert_eq!(bob.list("tools/list", "tools").await, without("bob", &hidden));
        for name in hidden {
            assert_unknown(&bob.call(name).await, name);
        }
        assert_unknown(&ann.call("b_generated_0").await, "b_generated_0");
        let called = ann.call("a_for_ann_own").await;
        assert_eq!(called["result"]["content"][0]["text"], "for_ann_own");
    }
}

#[tokio::test]
async fn the_only_upstream_without_a_prefix_is_seen_as_it_is() {
    let (_server, url) = fixture(&["ann"], &[]).await;
    let setup = setup(&["ann", "bob"]).upstream_with("a", &url, &format!("prefix: '', {OWN}"));
    let gateway = setup.up().await;
    let (ann, bob) = (
        Caller::connect(&gateway, Some("ann")).await,
        Caller::connect(&gateway, Some("bob")).await,
    );
    assert_eq!(ann.list("tools/list", "tools").await, ["for_ann_own"]);
    assert!(bob.list("tools/list", "tools").await.is_empty());
    assert_eq!(
        ann.call("for_ann_own").await["result"]["content"][0]["text"],
        "for_ann_own"
    );
    assert_unknown(&bob.call("for_ann_own").await, "for_ann_own");
}
