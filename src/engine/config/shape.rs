//! Which keys there are: finds every unknown one, and those that a later version will have.
//!
//! Works on the tree, before types are looked at, so that a wrong type hides no unknown key. What it complains of it also
//! takes out: `raw` then sees known keys only. A test holds the two together.

use super::file::Findings;
use serde_json::Value;

/// What may stand at a place.
pub(super) enum Shape {
    /// A value; its type is `raw`'s matter.
    Leaf,
    /// A mapping with these keys. Other kinds of values pass: `raw` knows whether they may stand here.
    Keys(&'static [(&'static str, Shape)]),
    /// A sequence.
    List(&'static Shape),
    /// Named by the contract, not built yet.
    Later,
}

use Shape::{Keys, Later, Leaf, List};

const FILE_ONLY: Shape = Keys(&[("file", Leaf), ("secretRef", Later)]);
const SECRET: Shape = Keys(&[("env", Leaf), ("file", Leaf), ("secretRef", Later)]);

/// The whole file.
pub(super) const FILE: Shape = Keys(&[
    ("listen", Leaf),
    ("tls", Keys(&[("cert", FILE_ONLY), ("key", FILE_ONLY)])),
    ("path", Leaf),
    ("publicUrl", Leaf),
    ("hosts", Leaf),
    ("origins", Leaf),
    ("admin", Leaf),
    ("adminToken", SECRET),
    ("stateDir", Leaf),
    (
        "session",
        Keys(&[
            ("keys", List(&SECRET)),
            ("idle", Leaf),
            ("lifetime", Leaf),
            ("parked", Leaf),
            ("store", Leaf),
        ]),
    ),
    (
        "limits",
        Keys(&[
            ("body", Leaf),
            ("bodies", Leaf),
            ("receive", Leaf),
            ("replay", Leaf),
            ("depth", Leaf),
            ("streams", Leaf),
            ("sessions", Leaf),
            ("sessionsPerPrincipal", Leaf),
            ("callsPerSession", Leaf),
            ("callsPerPrincipal", Leaf),
            ("streamsPerPrincipal", Leaf),
            ("headers", Leaf),
        ]),
    ),
    (
        "lists",
        Keys(&[
            ("first", Leaf),
            ("keepLastGood", Leaf),
            ("refresh", Leaf),
            ("principals", Leaf),
            ("principalAge", Leaf),
        ]),
    ),
    (
        "envoy",
        Keys(&[
            ("concurrency", Leaf),
            ("admin", Leaf),
            ("responsePhase", Leaf),
            ("accessLog", Leaf),
            ("metadata", Leaf),
            ("routes", Leaf),
        ]),
    ),
    ("audit", Keys(&[("file", Leaf), ("arguments", Leaf)])),
    ("upstreams", List(&UPSTREAM)),
    ("transparent", List(&TRANSPARENT)),
    ("authentication", AUTHENTICATION),
    (
        "policies",
        Keys(&[
            ("default", Leaf),
            (
                "rules",
                List(&Keys(&[
                    ("name", Leaf),
                    ("allow", Leaf),
                    ("deny", Leaf),
                    ("require", Keys(&[("scopes", Leaf), ("roles", Leaf)])),
                    ("when", Leaf),
                    ("message", Leaf),
                ])),
            ),
        ]),
    ),
    ("rateLimits", List(&RATE_LIMIT)),
    (
        "rateLimitService",
        Keys(&[
            ("address", Leaf),
            ("domain", Leaf),
            ("timeout", Leaf),
            ("failureModeDeny", Leaf),
        ]),
    ),
    (
        "cors",
        Keys(&[("origins", Leaf), ("credentials", Leaf), ("maxAge", Leaf)]),
    ),
    (
        "ipFilter",
        Keys(&[("allow", Leaf), ("deny", Leaf), ("trustedProxies", Leaf)]),
    ),
    ("securityHeaders", Leaf),
    (
        "telemetry",
        Keys(&[
            ("otlp", Leaf),
            ("ca", FILE_ONLY),
            ("traces", Leaf),
            ("metrics", Leaf),
            ("interval", Leaf),
        ]),
    ),
]);

const AUTHENTICATION: Shape = Keys(&[
    ("required", Leaf),
    ("jwt", List(&ISSUER)),
    ("apiKeys", Keys(&[("header", Leaf), ("file", Leaf)])),
    ("basic", FILE_ONLY),
    ("scopes", Leaf),
]);

const ISSUER: Shape = Keys(&[
    ("issuer", Leaf),
    ("audiences", Leaf),
    (
        "jwks",
        Keys(&[
            ("url", Leaf),
            ("file", Leaf),
            ("refresh", Leaf),
            ("keepLastGood", Leaf),
            ("ca", FILE_ONLY),
        ]),
    ),
]);

const TRANSPARENT: Shape = Keys(&[
    ("path", Leaf),
    ("upstream", Leaf),
    ("inputHeaders", Leaf),
    ("opaque", Leaf),
]);

const UPSTREAM: Shape = Keys(&[
    ("name", Leaf),
    ("url", Leaf),
    ("prefix", Leaf),
    ("credential", CREDENTIAL),
    ("headers", Leaf),
    ("timeout", Keys(&[("connect", Leaf), ("call", Leaf), ("list", Leaf)])),
    ("tls", Keys(&[("ca", FILE_ONLY)])),
    ("enabled", Leaf),
    ("resources", Keys(&[("rewrite", Leaf), ("probe", Leaf)])),
    ("via", Leaf),
    ("protocol", Leaf),
    ("eras", Leaf),
    ("listing", Leaf),
    ("merge", Leaf),
    (
        "circuitBreaker",
        Keys(&[("connections", Leaf), ("pending", Leaf), ("requests", Leaf)]),
    ),
    (
        "outlierDetection",
        Keys(&[("consecutive5xx", Leaf), ("interval", Leaf), ("ejection", Leaf)]),
    ),
]);

const CREDENTIAL: Shape = Keys(&[
    ("header", Leaf),
    ("value", SECRET),
    ("forward", Leaf),
    (
        "perPrincipal",
        Keys(&[("dir", Leaf), ("header", Leaf), ("scheme", Leaf)]),
    ),
    ("exchange", EXCHANGE),
    ("discovery", SECRET),
]);

const EXCHANGE: Shape = Keys(&[
    ("tokenUrl", Leaf),
    ("clientId", Leaf),
    ("clientSecret", SECRET),
    ("audience", Leaf),
    ("resource", Leaf),
    ("scope", Leaf),
    ("ca", FILE_ONLY),
]);

const RATE_LIMIT: Shape = Keys(&[
    ("name", Leaf),
    ("per", Leaf),
    ("limit", Leaf),
    ("burst", Leaf),
    ("tools", Leaf),
    ("methods", Leaf),
    ("cost", Leaf),
]);

/// Removes from `value` what `shape` does not know, and says so.
pub(super) fn prune(value: &mut Value, shape: &Shape, path: &str, findings: &mut Findings) {
    match shape {
        Leaf | Later => {}
        Keys(known) => {
            if let Value::Object(map) = value {
                map.retain(|key, value| keep(key, value, known, path, findings));
            }
        }
        List(item) => {
            for (index, value) in value.as_array_mut().into_iter().flatten().enumerate() {
                prune(value, item, &format!("{path}[{index}]"), findings);
            }
        }
    }
}

fn keep(key: &str, value: &mut Value, known: &[(&'static str, Shape)], parent: &str, findings: &mut Findings) -> bool {
    let path = if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    };
    let Some((_, shape)) = known.iter().find(|(name, _)| *name == key) else {
        findings.add(path, unknown(key, known));
        return false;
    };
    match (shape, &value) {
        (Later, _) => findings.add(path, "not supported yet"),
        (Leaf, Value::Null) => findings.add(path, "has no value: give one or take the key out"),
        // A section whose keys are all commented out.
        (Keys(_) | List(_), Value::Null) => {}
        (Leaf | Keys(_) | List(_), _) => {
            prune(value, shape, &path, findings);
            return true;
        }
    }
    false
}

fn unknown(key: &str, known: &[(&'static str, Shape)]) -> String {
    match nearest(key, known.iter().map(|(name, _)| *name)) {
        Some(name) => format!("unknown key; did you mean {name:?}?"),
        None => {
            let names: Vec<&str> = known
                .iter()
                .filter(|(_, shape)| !matches!(shape, Later))
                .map(|(name, _)| *name)
                .collect();
            format!("unknown key; known here: {}", names.join(", "))
        }
    }
}

/// The candidate that `word` is probably a slip of.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let folded = fold(word);
    let allowed = (folded.len() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["prefix", "publicUrl", "name"];
        assert_eq!(nearest("prefx", known.into_iter()), Some("prefix"));
        assert_eq!(
            nearest("public_url", known.into_iter()),
            Some("publicUrl"),
            "another convention of writing"
        );
        assert_eq!(nearest("anme", known.into_iter()), Some("name"));
        assert_eq!(nearest("weather", known.into_iter()), None);
    }
}
