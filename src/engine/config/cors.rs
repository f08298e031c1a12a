//! `cors:`: which web pages may call the gateway from a browser.

use super::file::{Findings, Sections};
use super::scalar::Span;
use super::{gateway, network};
use serde::Deserialize;
use std::time::Duration;

/// As the file has it.
#[derive(Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a mapping with origins, credentials, maxAge"
)]
struct Raw {
    #[serde(default)]
    origins: Vec<String>,
    credentials: Option<bool>,
    max_age: Option<Span>,
}

/// Which web pages may call the gateway, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// As browsers send them; never empty.
    pub origins: Vec<String>,
    /// Pages may send cookies and the like of the browser's own.
    pub credentials: bool,
    /// Browsers remember a preflight for so long.
    pub max_age: Duration,
}

/// `None`: no page of another origin may.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Option<Cors> {
    let raw: Raw = sections.take("cors", findings)?;
    if raw.origins.is_empty() && !findings.names("cors.origins") {
        findings.add("cors.origins", "name at least one, such as https://app.example.com");
    }
    let mut origins = Vec::with_capacity(raw.origins.len());
    for (index, text) in raw.origins.iter().enumerate() {
        match network::origin(text) {
            Ok(origin) => origins.push(origin),
            Err(message) => findings.add(format!("cors.origins[{index}]"), message),
        }
    }
    Some(Cors {
        origins,
        credentials: raw.credentials.unwrap_or(false),
        max_age: gateway::duration("cors.maxAge", raw.max_age, Duration::from_secs(60 * 60), findings),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_problems, mk_config};
    use std::time::Duration;

    #[test]
    fn origins_are_what_browsers_send() {
        let config = mk_config(
            "cors: {origins: ['https://App.example.com/', 'http://localhost:6274']}\nupstreams: [{name: a, url: 'http://a/'}]",
        );
        let cors = config.cors.expect("given");
        assert_eq!(cors.origins, ["https://app.example.com", "http://localhost:6274"]);
        assert_eq!((cors.credentials, cors.max_age), (false, Duration::from_secs(3600)));
    }

    #[test]
    fn nobody_and_anybody_are_mistakes() {
        let one = "\nupstreams: [{name: a, url: 'http://a/'}]";
        assert_problems(
            &format!("cors: {{origins: []}}{one}"),
            &["cors.origins: name at least one, such as https://app.example.com"],
        );
        assert_problems(
            &format!("cors: {{origins: ['*'], maxAge: 0s, headers: [x]}}{one}"),
            &[
                "cors.headers: unknown key; known here: origins, credentials, maxAge",
                "cors.origins[0]: any origin is not supported: name each one",
                "cors.maxAge: must be above 0",
            ],
        );
    }
}
