//! Names that the targets of a backend object give: of targets, of their tools' prefixes, of upstreams.

use super::super::names;
use crate::edge::kube::resources::PrefixMode;
use k8s_openapi::api::core::v1::ServicePort;

/// The longest DNS subdomain.
const MAX_NAME: usize = 253;

/// Whether it is a DNS subdomain (RFC 1123), as object names are.
#[must_use]
pub(crate) fn is_subdomain(text: &str) -> bool {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = bytes.first().is_some_and(|byte| end(*byte)) && bytes.last().is_some_and(|byte| end(*byte));
        ends && bytes.iter().all(|byte| end(*byte) || *byte == b'-')
    };
    text.len() <= MAX_NAME && text.split('.').all(label)
}

/// What the port of a Service is called where no annotation says it.
#[must_use]
pub(crate) fn of_port(service: &str, port: &ServicePort) -> String {
    match port.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => format!("{service}-{name}"),
        None => format!("{service}-{}", port.port),
    }
}

/// What stands before names of a target's tools. Clients accept no dots there.
#[must_use]
pub(crate) fn prefix(mode: PrefixMode, targets: usize, target: &str) -> String {
    let wanted = match mode {
        PrefixMode::Always => true,
        PrefixMode::Never => false,
        PrefixMode::Conditional | PrefixMode::Other => targets > 1,
    };
    if wanted {
        format!("{}_", target.replace('.', "-"))
    } else {
        String::new()
    }
}

/// The upstream of a target at one endpoint. Its name is unique in the cluster: the first endpoint of a backend object
/// has the plain one, others, and those whose dots could be read in two ways, end in a hash.
#[must_use]
pub(crate) fn upstream(namespace: &str, backend: &str, target: &str, other_endpoint: Option<&str>) -> String {
    let ambiguous = backend.contains('.') || target.contains('.');
    match other_endpoint {
        None if !ambiguous => names::upstream(&[namespace, backend, target]),
        endpoint => {
            let hash = names::hash(&[endpoint.unwrap_or_default(), namespace, backend, target]);
            names::upstream(&[namespace, backend, target, &hash])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_port_names_its_target_and_a_nameless_one_gives_its_number() {
        let port = |name: Option<&str>| ServicePort {
            name: name.map(str::to_owned),
            port: 3001,
            ..ServicePort::default()
        };
        assert_eq!(of_port("weather", &port(Some("mcp"))), "weather-mcp");
        assert_eq!(of_port("weather", &port(None)), "weather-3001");
        assert_eq!(of_port("weather", &port(Some(""))), "weather-3001");
    }

    #[test]
    fn only_dns_subdomains_are_target_names() {
        for good in ["a", "a-b", "a.b-c.d9", "0"] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", ".a", "a b", &"x".repeat(254)] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }

    #[test]
    fn a_single_target_has_no_prefix_unless_it_is_always_wanted() {
        assert_eq!(prefix(PrefixMode::Conditional, 1, "a"), "");
        assert_eq!(prefix(PrefixMode::Conditional, 2, "a.b"), "a-b_");
        assert_eq!(prefix(PrefixMode::Always, 1, "a"), "a_");
        assert_eq!(prefix(PrefixMode::Never, 2, "a"), "");
    }

    #[test]
    fn upstreams_of_different_endpoints_and_with_shifted_dots_are_told_apart() {
        assert_eq!(upstream("ns", "mcp", "weather", None), "ns.mcp.weather");
        assert_ne!(
            upstream("ns", "mcp", "weather", Some("ns.r.1")),
            upstream("ns", "mcp", "weather", Some("ns.r.2"))
        );
        assert_ne!(upstream("ns", "a.b", "c", None), upstream("ns", "a", "b.c", None));
    }
}
