//! The guarded exchanges that are measured, each beside one without guards: what stands in the configuration, and what the
//! caller shows.

use crate::gateway::{Guard, Story};
use mcp_manifold::engine::config::credential_files::{api_keys, passwords};
use mcp_manifold::engine::policy::{Claims, Credentials};
use serde_json::json;
use std::collections::HashMap;

/// Rules of the scenes that have rules.
const RULES: usize = 100;
/// Tools of one of the two upstreams, where a list is measured.
const LISTED: usize = 500;
/// What the call is about.
const TOOL: &str = "two_tool_7";
const ISSUER: &str = "https://idp.example.com/realms/mcp";
const KEY: &str = "5c0a1b7e9f3d4a62b1e08d7c6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a";
/// SHA-256 of [`KEY`].
const KEY_HASH: &str = "2ac22986d227395b4f7b6625197bc3477139abf98cc17421ee03acf923a589c1";
const USER: &str = "ann";
const PASSWORD: &str = "correct horse battery staple";
/// Nobody reaches it.
const LIMITS: &str = "rateLimits: [{ name: calls, per: [principal, tool], limit: 1000000/s, burst: 1000000 }]\n";

/// One exchange under some guard.
pub(crate) struct Scene {
    /// For the command line.
    pub(crate) name: &'static str,
    /// For tables.
    pub(crate) title: &'static str,
    pub(crate) story: Story,
    pub(crate) guard: Guard,
}

/// All of them.
pub(crate) fn scenes() -> Vec<Scene> {
    let call = |name, title, guard| Scene {
        name,
        title,
        story: Story::ToolsCall,
        guard,
    };
    let list = |name, title, guard| Scene {
        name,
        title,
        story: Story::ToolsList,
        guard,
    };
    vec![
        call("plain", "call, no guard", Guard::default()),
        call("few", "call, 100 rules of which 5 can match", ruled(&few())),
        call("all", "call, 100 rules that all can match", ruled(&all())),
        call("token", "call, claims of a token that Envoy verified", token()),
        call("key", "call, API key", key()),
        call("basic", "call, password remembered", basic()),
        call(
            "limited",
            "call, API key, limit per principal and tool",
            with(LIMITS, key()),
        ),
        call("demo", "call, the demo's guards: token, 2 rules, a limit", demo()),
        list(
            "list",
            "list of 1,000 tools, no guard",
            listing(1000, Guard::default(), |_| true),
        ),
        list(
            "list-open",
            "list of 1,000 tools, 100 rules about calls",
            listing(1000, ruled(&open()), |_| true),
        ),
        list(
            "list-seen",
            "list of 900 of 1,000 tools, audience that was seen",
            listing(900, ruled(&hiding()), |_| true),
        ),
        list(
            "list-900",
            "list of the same 900 tools, no guard",
            listing(900, Guard::default(), |tool| tool % 10 != 7),
        ),
    ]
}

/// Five are about the tool of the call, each other one about another.
fn few() -> Vec<String> {
    rules(|at| match at % 20 {
        0 => format!("tool.name == '{TOOL}' && {}", condition(at)),
        _ => format!("tool.name == 'two_tool_{}' && {}", 1000 + at, condition(at)),
    })
}

fn all() -> Vec<String> {
    rules(condition)
}

/// They read arguments: lists do not go by them.
fn open() -> Vec<String> {
    rules(|at| format!("tool.name == 'two_tool_{at}' && arguments.city == 'town{at}'"))
}

/// One hides each tenth tool.
fn hiding() -> Vec<String> {
    let mut all = open();
    all.push("tool.name.endsWith('7') && !('admin' in roles)".to_owned());
    all
}

fn rules(rule: impl Fn(usize) -> String) -> Vec<String> {
    (0..RULES).map(rule).collect()
}

/// Not true of the call; half of them read its arguments, the other half its caller.
fn condition(at: usize) -> String {
    match at % 2 {
        0 => format!("arguments.city == 'town{at}'"),
        _ => format!("'role{at}' in roles"),
    }
}

/// Each denies.
fn ruled(rules: &[String]) -> Guard {
    let rule = |(at, rule): (usize, &String)| format!("    - {{ name: rule{at}, deny: \"{rule}\" }}\n");
    let rules: String = rules.iter().enumerate().map(rule).collect();
    with(&format!("policies:\n  rules:\n{rules}"), Guard::default())
}

fn with(section: &str, guard: Guard) -> Guard {
    Guard {
        sections: guard.sections + section,
        ..guard
    }
}

fn token() -> Guard {
    let audience = "https://mcp.example.com/mcp";
    let issuer =
        format!("{{ issuer: '{ISSUER}', audiences: ['{audience}'], jwks: {{ url: 'http://127.0.0.1:9000/jwks' }} }}");
    let claims = json!({
        "iss": ISSUER, "sub": "f3b1c2d4-ann", "aud": audience, "exp": 1_790_000_300, "iat": 1_790_000_000,
        "jti": "0a1b2c3d", "azp": "desktop", "scope": "openid mcp:tools", "preferred_username": USER,
        "realm_access": { "roles": ["user", "team-red"] },
    });
    let claims: Claims = serde_json::from_value(claims).expect("an object");
    Guard {
        sections: format!("authentication: {{ jwt: [ {issuer} ], scopes: [mcp:tools] }}\n"),
        principal: Some(format!("{ISSUER}|f3b1c2d4-ann").into()),
        claims,
        ..Guard::default()
    }
}

fn key() -> Guard {
    let keys = api_keys(&format!("- {{ name: ci, sha256: {KEY_HASH}, roles: [user] }}"));
    Guard {
        sections: "authentication: { apiKeys: { header: x-api-key, file: keys.yaml } }\n".to_owned(),
        credentials: Credentials {
            keys: keys.expect("a list of keys"),
            ..Credentials::default()
        },
        principal: Some("key:ci".into()),
        headers: vec![("x-api-key", KEY.to_owned())],
        ..Guard::default()
    }
}

fn basic() -> Guard {
    use base64::Engine as _;
    // As cheap as can be: it is compared once.
    let hash = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).expect("hashed");
    let known = passwords(&format!("{USER}:{hash}"));
    let shown = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    Guard {
        sections: "authentication: { basic: { file: htpasswd } }\n".to_owned(),
        credentials: Credentials {
            passwords: known.expect("lines of htpasswd"),
            ..Credentials::default()
        },
        principal: Some(format!("user:{USER}").into()),
        headers: vec![("authorization", format!("Basic {shown}"))],
        ..Guard::default()
    }
}

/// As `tests/demo/guarded.sh` has it, but that nothing is used up.
fn demo() -> Guard {
    let rules = format!(
        "policies:
  rules:
    - {{ name: environment, deny: \"tool.name == 'one_tool_1' && !('admin' in roles)\" }}
    - {{ name: small-sums, deny: \"tool.name == '{TOOL}' && arguments.city.size() > 100\", message: \"Sums above 100 need approval\" }}
rateLimits:
  - {{ name: reversing, per: [principal, tool], limit: 1000000/s, burst: 1000000, tools: {TOOL} }}
"
    );
    with(&rules, token())
}

fn listing(listed: usize, guard: Guard, shown: impl Fn(&usize) -> bool) -> Guard {
    Guard {
        tools: (0..LISTED).filter(shown).collect(),
        listed,
        ..guard
    }
}

/// By name.
pub(crate) fn scene(name: &str) -> Option<Scene> {
    scenes().into_iter().find(|scene| scene.name == name)
}

/// What Envoy says of a verified token.
pub(crate) fn metadata(claims: &Claims) -> HashMap<String, envoy_types::pb::google::protobuf::Struct> {
    use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
    fn value(json: &serde_json::Value) -> Value {
        let kind = match json {
            serde_json::Value::Null => Kind::NullValue(0),
            serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
            serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            serde_json::Value::String(text) => Kind::StringValue(text.clone()),
            serde_json::Value::Array(all) => Kind::ListValue(ListValue {
                values: all.iter().map(value).collect(),
            }),
            serde_json::Value::Object(members) => Kind::StructValue(of(members)),
        };
        Value { kind: Some(kind) }
    }
    fn of(members: &Claims) -> Struct {
        let fields = members.iter().map(|(name, member)| (name.clone(), value(member)));
        Struct {
            fields: fields.collect(),
        }
    }
    if claims.is_empty() {
        return HashMap::new();
    }
    let payload = Value {
        kind: Some(Kind::StructValue(of(claims))),
    };
    let signed = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "first"});
    let filter = Struct {
        fields: HashMap::from([
            ("payload".to_owned(), payload),
            ("token_header".to_owned(), value(&signed)),
        ]),
    };
    HashMap::from([("envoy.filters.http.jwt_authn".to_owned(), filter)])
}
