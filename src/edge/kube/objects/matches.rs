//! Matches that win: which of two routes Envoy Gateway picks for a request that fits both, and how ours is the one.
//!
//! It compares the path (exact, then regular expression, then prefix; longer before shorter), then the number of headers
//! (a method counts as one), then how many of them are exact, then query parameters, then age. So a match that asks for
//! one header more wins against the one it was made from. A header that every request has narrows nothing.

use gateway_api::httproutes::{
    HttpRouteRulesMatches, HttpRouteRulesMatchesHeaders, HttpRouteRulesMatchesHeadersType, HttpRouteRulesMatchesPath,
    HttpRouteRulesMatchesPathType,
};

/// Headers that every request has when its route is chosen: HTTP asks for the first, Envoy sets the others.
pub(super) const ALWAYS_THERE: [&str; 3] = ["host", "x-forwarded-proto", "x-request-id"];
/// Headers of one match, at most (Gateway API).
const MAX_HEADERS: usize = 16;
/// Matches of one rule, at most (Gateway API).
pub(super) const MAX_MATCHES: usize = 64;

/// Requests for exactly this path.
pub(super) fn exact_path(path: &str) -> HttpRouteRulesMatches {
    HttpRouteRulesMatches {
        path: Some(HttpRouteRulesMatchesPath {
            r#type: Some(HttpRouteRulesMatchesPathType::Exact),
            value: Some(path.to_owned()),
        }),
        ..HttpRouteRulesMatches::default()
    }
}

/// With one more header that has exactly this value.
pub(super) fn with_exact(found: HttpRouteRulesMatches, name: &str, value: &str) -> HttpRouteRulesMatches {
    with(found, name, value, HttpRouteRulesMatchesHeadersType::Exact)
}

/// With one more header whose value fits.
pub(super) fn with_pattern(found: HttpRouteRulesMatches, name: &str, pattern: &str) -> HttpRouteRulesMatches {
    with(
        found,
        name,
        pattern,
        HttpRouteRulesMatchesHeadersType::RegularExpression,
    )
}

/// The requests that `rule` has for `path`, won against it. Where `rule` does not ask for just this path, an exact path
/// wins as it is.
pub(super) fn instead_of(rule: &HttpRouteRulesMatches, path: &str) -> HttpRouteRulesMatches {
    let same = HttpRouteRulesMatches {
        path: exact_path(path).path,
        ..rule.clone()
    };
    if asks_for(rule, path) {
        one_more(&same).unwrap_or(same)
    } else {
        same
    }
}

/// The same requests, won against `rule`. `None`: it asks for so many headers that no more fits.
pub(super) fn one_more(rule: &HttpRouteRulesMatches) -> Option<HttpRouteRulesMatches> {
    let headers = rule.headers.as_deref().unwrap_or_default();
    let free = ALWAYS_THERE.iter().find(|name| !has_header(rule, name))?;
    (headers.len() < MAX_HEADERS).then(|| with_pattern(rule.clone(), free, ".+"))
}

/// The same requests, with more headers than `weight` says, as far as there are such.
pub(super) fn padded(mut found: HttpRouteRulesMatches, weight: usize) -> HttpRouteRulesMatches {
    while self::weight(&found) <= weight
        && let Some(more) = one_more(&found)
    {
        found = more;
    }
    found
}

/// What Envoy Gateway counts once paths are equal: headers, and a method as one of them.
pub(super) fn weight(found: &HttpRouteRulesMatches) -> usize {
    found.headers.as_deref().unwrap_or_default().len() + usize::from(found.method.is_some())
}

/// Whether a match asks for exactly this path.
pub(super) fn asks_for(rule: &HttpRouteRulesMatches, path: &str) -> bool {
    rule.path.as_ref().is_some_and(|wanted| {
        wanted.r#type == Some(HttpRouteRulesMatchesPathType::Exact) && wanted.value.as_deref() == Some(path)
    })
}

/// Whether a match asks for this header already; a second time would be invalid.
pub(super) fn has_header(rule: &HttpRouteRulesMatches, name: &str) -> bool {
    let headers = rule.headers.as_deref().unwrap_or_default();
    headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
}

fn with(
    mut found: HttpRouteRulesMatches,
    name: &str,
    value: &str,
    kind: HttpRouteRulesMatchesHeadersType,
) -> HttpRouteRulesMatches {
    found
        .headers
        .get_or_insert_default()
        .push(HttpRouteRulesMatchesHeaders {
            name: name.to_owned(),
            r#type: Some(kind),
            value: value.to_owned(),
        });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_loses_to_the_exact_path_as_it_is() {
        let rule = HttpRouteRulesMatches {
            path: Some(HttpRouteRulesMatchesPath {
                r#type: Some(HttpRouteRulesMatchesPathType::PathPrefix),
                value: Some("/".to_owned()),
            }),
            ..HttpRouteRulesMatches::default()
        };
        assert_eq!(instead_of(&rule, "/mcp"), exact_path("/mcp"));
    }

    #[test]
    fn the_same_path_is_won_by_one_header_more() {
        let won = instead_of(&with_exact(exact_path("/mcp"), "x-team", "tools"), "/mcp");
        assert!(has_header(&won, "x-team"), "other teams stay where they were");
        assert!(has_header(&won, "host"));
    }

    #[test]
    fn a_header_is_never_asked_for_twice() {
        let won = one_more(&with_exact(exact_path("/mcp"), "Host", "mcp.example")).expect("there is room");
        assert!(has_header(&won, "x-forwarded-proto"));
        assert_eq!(won.headers.map(|headers| headers.len()), Some(2));
    }

    #[test]
    fn a_match_that_is_full_cannot_be_won() {
        let full = (0..MAX_HEADERS).fold(exact_path("/mcp"), |found, at| {
            with_exact(found, &format!("x-{at}"), "y")
        });
        assert_eq!(one_more(&full), None);
    }
}
