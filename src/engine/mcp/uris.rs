//! Resource URIs that say which upstream they belong to (`resources.rewrite`; design: Resource URIs).
//!
//! The name of the upstream is put where the authority stands, the scheme stays: `ui://app/a` of `github` becomes
//! `ui://github/app/a`, `urn:x` becomes `urn:github/x`, and what has no scheme becomes `github/a`. Templates are put the
//! same way, so that what they expand to is revealed like any other URI. Names hold neither `/` nor `:`.

const AUTHORITY: &str = "//";

/// The exposed form of `uri`, a URI or a template of `upstream`.
#[must_use]
pub fn expose(upstream: &str, uri: &str) -> String {
    let (head, rest) = split(uri);
    [head, upstream, "/", rest].concat()
}

/// The upstream's own form of an exposed URI; `None` if that is not one of `upstream`.
#[must_use]
pub fn reveal(upstream: &str, exposed: &str) -> Option<String> {
    let (head, rest) = split(exposed);
    let own = rest.strip_prefix(upstream)?.strip_prefix('/')?;
    Some([head, own].concat())
}

/// Scheme, colon and the slashes of an authority; the rest. The first is empty where there is no scheme.
fn split(uri: &str) -> (&str, &str) {
    let Some((scheme, after)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return ("", uri);
    };
    let slashes = if after.starts_with(AUTHORITY) {
        AUTHORITY.len()
    } else {
        0
    };
    uri.split_at_checked(scheme.len() + 1 + slashes).unwrap_or(("", uri))
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic()) && text.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_scheme_is_kept_and_the_name_stands_behind_it() {
        for (own, exposed) in [
            ("ui://app/a", "ui://github/app/a"),
            ("file:///a/b", "file://github//a/b"),
            ("https://example.com", "https://github/example.com"),
            ("urn:isbn:1", "urn:github/isbn:1"),
            ("x:/a", "x:github//a"),
            ("notes/a:b", "github/notes/a:b"),
            ("", "github/"),
            ("repo://{owner}/{+path}", "repo://github/{owner}/{+path}"),
            ("{scheme}://a", "github/{scheme}://a"),
        ] {
            assert_eq!(expose("github", own), exposed);
            assert_eq!(reveal("github", exposed).as_deref(), Some(own));
        }
    }

    #[test]
    fn what_bears_another_name_or_none_is_not_revealed() {
        for foreign in [
            "ui://app/a",
            "ui://githubs/a",
            "ui://github",
            "github:a",
            "/github/a",
            "",
        ] {
            assert_eq!(reveal("github", foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_a_template_expands_to_is_revealed_as_what_the_upstreams_own_does() {
        for (template, value) in [
            ("ui://{x}", "a"),
            ("x:{x}", "//a"),
            ("{x}", "https://a/b"),
            ("x:/{x}", "/a"),
            ("a{x}://b", "b:c"),
        ] {
            let expanded = |template: &str| template.replace("{x}", value);
            let exposed = expanded(&expose("up", template));
            assert_eq!(reveal("up", &exposed), Some(expanded(template)), "{exposed}");
        }
    }

    proptest! {
        #[test]
        fn any_uri_comes_back(name in "[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", uri in "([a-z]{1,4}:)?(//)?.{0,20}") {
            let exposed = expose(&name, &uri);
            prop_assert_eq!(reveal(&name, &exposed), Some(uri));
        }

        #[test]
        fn the_upstreams_of_one_uri_are_told_apart(
            one in "[a-z]{1,3}", other in "[a-z]{1,3}", uri in "([a-z]{1,2}:)?(//)?[a-z/:]{0,8}",
        ) {
            prop_assume!(one != other);
            prop_assert_eq!(reveal(&other, &expose(&one, &uri)), None);
        }
    }
}
