//! Where messages are POSTed, as the event `endpoint` says. It may not lead off the origin of the event stream: the
//! credential goes with every message.

use http::Uri;
use url::Url;

/// Characters of an upstream's own words that we repeat.
const QUOTED: usize = 200;

/// An endpoint event that is not followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EndpointError {
    /// Nothing that can be called.
    #[error("its endpoint event names no URL: {0:?}")]
    NotUrl(String),
    /// Another scheme, host or port.
    #[error("its endpoint event leads off the origin of url, to {0}: that is not followed")]
    OffOrigin(String),
    /// `user:password@`
    #[error("its endpoint event carries credentials: that is not followed")]
    Credentials,
}

/// Resolves the data of an `endpoint` event against the URL of its stream, which carries no user info.
///
/// # Errors
/// See [`EndpointError`].
pub(super) fn resolve(stream: &Url, data: &[u8]) -> Result<Uri, EndpointError> {
    let text = String::from_utf8_lossy(data);
    let text = text.trim();
    let not_url = || EndpointError::NotUrl(text.chars().take(QUOTED).collect());
    if text.is_empty() {
        return Err(not_url());
    }
    let mut url = stream.join(text).map_err(|_| not_url())?;
    if url.origin() != stream.origin() {
        return Err(EndpointError::OffOrigin(shown(&url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::Credentials);
    }
    url.set_fragment(None);
    url.as_str().parse().map_err(|_| not_url())
}

/// Scheme, host and port; no more, for the rest may be secret.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let shown = format!("{}://{host}{port}", url.scheme());
    shown.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(stream: &str, data: &str) -> Result<String, EndpointError> {
        let stream = stream.parse().expect("a URL");
        resolve(&stream, data.as_bytes()).map(|uri| uri.to_string())
    }

    #[test]
    fn within_the_origin_every_form_is_followed() {
        let cases = [
            ("/messages/?session_id=1", "http://a:8000/messages/?session_id=1"),
            ("messages?id=1", "http://a:8000/v1/messages?id=1"),
            ("../m", "http://a:8000/m"),
            ("?id=1", "http://a:8000/v1/sse?id=1"),
            ("http://a:8000/m#there", "http://a:8000/m"),
            ("//a:8000/m", "http://a:8000/m"),
            ("HTTP://A:8000/m", "http://a:8000/m"),
            ("  /m \n", "http://a:8000/m"),
            ("/m/ä b", "http://a:8000/m/%C3%A4%20b"),
        ];
        for (data, expected) in cases {
            assert_eq!(
                resolved("http://a:8000/v1/sse", data).as_deref(),
                Ok(expected),
                "{data}"
            );
        }
    }

    #[test]
    fn the_usual_port_may_be_said_or_not() {
        assert_eq!(
            resolved("https://a/sse", "https://a:443/m").as_deref(),
            Ok("https://a/m")
        );
        assert_eq!(resolved("http://a:80/sse", "http://a/m").as_deref(), Ok("http://a/m"));
    }

    #[test]
    fn another_origin_is_never_followed() {
        let cases = [
            ("http://b:8000/m", "http://b:8000"),
            ("http://a/m", "http://a"),
            ("http://a:8001/m", "http://a:8001"),
            ("https://a:8000/m", "https://a:8000"),
            ("//b/m", "http://b"),
            ("/\\b/m", "http://b"),
            ("\\\\b\\m", "http://b"),
            ("http:\\\\b\\m", "http://b"),
            ("/\t/b/m", "http://b"),
            ("http://a:8000@b/m", "http://b"),
            ("http://a:8000%40b/m", ""),
            ("http://a.:8000/m", "http://a.:8000"),
            ("http://a:8000.b/m", ""),
            ("ws://a:8000/m", "ws://a:8000"),
            ("file:///etc/passwd", "file://nowhere"),
            ("javascript:alert(1)", "javascript://nowhere"),
        ];
        for (data, shown) in cases {
            let expected = if shown.is_empty() {
                EndpointError::NotUrl(data.to_owned())
            } else {
                EndpointError::OffOrigin(shown.to_owned())
            };
            assert_eq!(resolved("http://a:8000/v1/sse", data), Err(expected), "{data}");
        }
    }

    #[test]
    fn credentials_in_it_are_refused() {
        for data in ["http://user@a/m", "http://user:word@a/m", "//:word@a/m"] {
            assert_eq!(
                resolved("http://a/sse", data),
                Err(EndpointError::Credentials),
                "{data}"
            );
        }
    }

    #[test]
    fn nothing_is_no_endpoint() {
        for data in ["", "   ", "http://", "http://["] {
            let error = resolved("http://a/sse", data).expect_err("no URL");
            assert!(matches!(error, EndpointError::NotUrl(_)), "{data}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_says_the_origin_stays(data in r"(http:|https:|//|/\\|\\|@|:|a|b|\.|%2f|\?|#|/|[0-9]|[a-z]|\t){0,12}") {
            let stream: Url = "https://a:8443/sse".parse().expect("a URL");
            if let Ok(uri) = resolve(&stream, data.as_bytes()) {
                let authority = uri.authority().map(http::uri::Authority::as_str);
                prop_assert_eq!((uri.scheme_str(), authority), (Some("https"), Some("a:8443")));
            }
        }
    }
}
