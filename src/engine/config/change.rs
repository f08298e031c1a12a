//! What differs between two configurations, in the terms of what a reload has to do about it.

use super::{Authentication, Config, Issuer, RateLimit, Upstream};
use std::collections::HashMap;
use std::sync::Arc;

/// What a reload has to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Names of upstreams that are new.
    pub added: Vec<String>,
    /// Names of upstreams that are gone.
    pub removed: Vec<String>,
    /// Names of upstreams that differ.
    pub changed: Vec<String>,
    /// Keys that take effect only after a restart (`listen`, `admin`, `stateDir`, `envoy...`).
    pub needs_restart: Vec<&'static str>,
    /// Anything else differs (hosts, origins, limits, lists, the order of upstreams, ...).
    pub settings: bool,
}

/// Compares. Names stand in the order of the configuration that has them.
#[must_use]
pub fn between(old: &Config, new: &Config) -> Change {
    let (before, after) = (by_name(old), by_name(new));
    let changed = |upstream: &Upstream| {
        before
            .get(upstream.name.as_str())
            .is_some_and(|before| *before != upstream)
    };
    // The order decides which of two equal names is shown.
    let reordered = names(old, |upstream| after.contains_key(upstream.name.as_str()))
        != names(new, |upstream| before.contains_key(upstream.name.as_str()));
    Change {
        added: names(new, |upstream| !before.contains_key(upstream.name.as_str())),
        removed: names(old, |upstream| !after.contains_key(upstream.name.as_str())),
        changed: names(new, changed),
        needs_restart: needs_restart(old, new),
        settings: reordered || settings(old, new),
    }
}

/// What of `new` can be in force while the process runs: keys that need a restart keep their old values, and port 0
/// stands for the port that was taken at the start.
#[must_use]
pub fn in_force(old: &Config, new: Config) -> Config {
    Config {
        listen: old.listen,
        // Its default follows `listen`.
        public_url: if new.listen == old.listen {
            new.public_url
        } else {
            old.public_url.clone()
        },
        tls: old.tls.clone(),
        path: old.path.clone(),
        admin: old.admin,
        admin_token: old.admin_token.clone(),
        state_dir: old.state_dir.clone(),
        envoy: old.envoy.clone(),
        audit: old.audit.clone(),
        telemetry: old.telemetry.clone(),
        cors: old.cors.clone(),
        ip_filter: old.ip_filter.clone(),
        security_headers: old.security_headers,
        authentication: authentication(old, new.authentication),
        // Those of Envoy's stand in its bootstrap.
        rate_limits: by_address(old)
            .into_iter()
            .chain(new.rate_limits.iter().filter(|limit| !limit.is_by_address()))
            .cloned()
            .collect(),
        transparent: old.transparent.clone(),
        ..new
    }
}

/// Tokens are verified by Envoy as its bootstrap says.
fn authentication(old: &Config, new: Option<Authentication>) -> Option<Authentication> {
    new.map(|new| Authentication {
        jwt: issuers(old).to_vec(),
        ..new
    })
}

fn issuers(config: &Config) -> &[Issuer] {
    config
        .authentication
        .as_ref()
        .map_or(&[], |authentication| &authentication.jwt)
}

/// Whoever stops asking for tokens needs no Envoy that knows it.
fn other_issuers(old: &Config, new: &Config) -> bool {
    new.authentication.is_some() && issuers(old) != issuers(new)
}

fn by_address(config: &Config) -> Vec<&Arc<RateLimit>> {
    config
        .rate_limits
        .iter()
        .filter(|limit| limit.is_by_address())
        .collect()
}

fn listens_elsewhere(old: &Config, new: &Config) -> bool {
    old.listen.ip() != new.listen.ip() || (new.listen.port() != 0 && old.listen.port() != new.listen.port())
}

impl Change {
    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn by_name(config: &Config) -> HashMap<&str, &Upstream> {
    config
        .upstreams
        .iter()
        .map(|upstream| (upstream.name.as_str(), upstream))
        .collect()
}

fn names(config: &Config, wanted: impl Fn(&Upstream) -> bool) -> Vec<String> {
    config
        .upstreams
        .iter()
        .filter(|upstream| wanted(upstream))
        .map(|upstream| upstream.name.clone())
        .collect()
}

/// What was bound, opened or handed to Envoy's bootstrap at start.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let differs = [
        ("listen", listens_elsewhere(old, new)),
        ("tls", old.tls != new.tls),
        ("path", old.path != new.path),
        ("admin", old.admin != new.admin),
        ("adminToken", old.admin_token != new.admin_token),
        ("stateDir", old.state_dir != new.state_dir),
        ("envoy", old.envoy != new.envoy),
        ("audit", old.audit != new.audit),
        ("telemetry", old.telemetry != new.telemetry),
        ("cors", old.cors != new.cors),
        ("ipFilter", old.ip_filter != new.ip_filter),
        ("securityHeaders", old.security_headers != new.security_headers),
        ("authentication.jwt", other_issuers(old, new)),
        ("limits.headers", old.limits.headers != new.limits.headers),
        ("rateLimits (by ip alone)", by_address(old) != by_address(new)),
        ("transparent", old.transparent != new.transparent),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}

/// Everything else. The new one is taken apart, so that a new key must be thought of here.
fn settings(old: &Config, new: &Config) -> bool {
    let Config {
        listen,
        tls: _,
        path: _,
        public_url,
        hosts,
        origins,
        admin: _,
        admin_token: _,
        state_dir: _,
        session,
        limits,
        lists,
        envoy: _,
        audit: _,
        telemetry: _,
        cors: _,
        ip_filter: _,
        security_headers: _,
        authentication,
        rate_limits,
        policies,
        transparent: _,
        rate_limit_service,
        upstreams: _,
    } = new;
    // A default one differs where port 0 has become a real one.
    (*public_url != old.public_url && listen.port() != 0)
        || *hosts != old.hosts
        || *origins != old.origins
        || *session != old.session
        || *limits != old.limits
        || *lists != old.lists
        || *authentication != old.authentication
        || *rate_limits != old.rate_limits
        || *policies != old.policies
        || *rate_limit_service != old.rate_limit_service
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;
    use std::path::Path;

    fn mk_config(text: &str) -> Config {
        parse(text, Path::new("/etc"), Path::new("/state")).expect("valid")
    }

    const ONE: &str = "upstreams: [{name: a, url: 'http://a/'}, {name: b, url: 'http://b/'}]";

    #[test]
    fn the_same_file_is_no_change() {
        assert!(between(&mk_config(ONE), &mk_config(ONE)).is_empty());
    }

    #[test]
    fn upstreams_come_go_and_change_by_name() {
        let two = "upstreams: [{name: b, url: 'http://b/', enabled: false}, {name: c, url: 'http://c/'}]";
        let change = between(&mk_config(ONE), &mk_config(two));
        let expected = Change {
            added: vec!["c".into()],
            removed: vec!["a".into()],
            changed: vec!["b".into()],
            ..Change::default()
        };
        assert_eq!(change, expected);
    }

    #[test]
    fn what_was_bound_at_start_needs_a_restart() {
        let two = format!("listen: 127.0.0.1:9001\nadmin: 127.0.0.1:9002\nenvoy: {{concurrency: 4}}\n{ONE}");
        let change = between(&mk_config(ONE), &mk_config(&two));
        assert_eq!(change.needs_restart, ["listen", "admin", "envoy"]);
        assert!(change.settings, "the default publicUrl follows listen");
    }

    #[test]
    fn a_free_port_is_the_one_that_was_taken() {
        let zero = format!("listen: 127.0.0.1:0\n{ONE}");
        let mut running = mk_config(&zero);
        running.listen.set_port(4711);
        running.public_url = "http://127.0.0.1:4711/mcp".to_owned();
        assert!(between(&running, &mk_config(&zero)).is_empty());
        assert_eq!(in_force(&running, mk_config(&zero)), running);
    }

    #[test]
    fn only_the_issuers_of_authentication_need_a_restart() {
        let with = |section: &str| mk_config(&format!("authentication: {{ {section} }}\n{ONE}"));
        let jwt = "jwt: [{ issuer: i, jwks: { file: j } }]";
        let old = with(jwt);
        let more = between(
            &old,
            &with(&format!("{jwt}, required: false, basic: {{ file: h }}, scopes: [a]")),
        );
        assert!(more.settings && more.needs_restart.is_empty());
        let other = with("jwt: [{ issuer: other, jwks: { file: j } }], required: false");
        assert_eq!(between(&old, &other).needs_restart, ["authentication.jwt"]);
        let kept = in_force(&old, other).authentication.expect("there");
        assert_eq!((kept.jwt[0].issuer.as_str(), kept.required), ("i", false));
        assert!(
            between(&old, &mk_config(ONE)).needs_restart.is_empty(),
            "nobody is asked any more"
        );
    }

    #[test]
    fn the_first_upstream_that_wants_tokens_needs_no_restart() {
        let jwt = "authentication: { jwt: [{ issuer: i, audiences: [a], jwks: { file: j } }] }";
        let with = |keys: &str| mk_config(&format!("{jwt}\nupstreams: [{{name: a, url: 'http://a/'{keys}}}]"));
        let change = between(&with(""), &with(", credential: {forward: true}"));
        assert_eq!((change.changed, change.needs_restart), (vec!["a".to_owned()], vec![]));
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_is_until_then() {
        let new = mk_config(&format!("path: /other\nlimits: {{body: 1MiB}}\n{ONE}"));
        let kept = in_force(&mk_config(ONE), new);
        assert_eq!(kept.path, "/mcp", "Envoy's routes still say so");
        assert_eq!(kept.limits.body, 1 << 20);
    }

    #[test]
    fn limits_and_hosts_are_settings() {
        let two = format!("limits: {{body: 1MiB}}\nhosts: [mcp.example.com]\n{ONE}");
        let expected = Change {
            settings: true,
            ..Change::default()
        };
        assert_eq!(between(&mk_config(ONE), &mk_config(&two)), expected);
    }

    #[test]
    fn another_order_is_a_setting_because_it_decides_who_owns_a_name() {
        let two = "upstreams: [{name: b, url: 'http://b/'}, {name: a, url: 'http://a/'}]";
        let expected = Change {
            settings: true,
            ..Change::default()
        };
        assert_eq!(between(&mk_config(ONE), &mk_config(two)), expected);
    }
}
