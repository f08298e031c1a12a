//! The status page: one self-contained document, rendered anew for each view, refreshed by the browser. Pure.
//!
//! All text goes through [`Escaped`]; names and errors come from upstreams.

use crate::engine::mcp::Version;
use crate::engine::status::{GatewayStatus, Reason, UpstreamStatus};
use std::fmt::{self, Display, Write};

const STYLE: &str = include_str!("page.css");

/// The page of a gateway; `missing`: what readiness waits for.
pub(super) fn render(status: &GatewayStatus, missing: &[String]) -> String {
    let mut html = String::with_capacity(8 << 10);
    write_page(&mut html, status, missing).expect("a String takes any text");
    html
}

fn write_page(html: &mut String, status: &GatewayStatus, missing: &[String]) -> fmt::Result {
    write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta http-equiv=\"refresh\" content=\"5\">\
         <title>{title} · mcp-manifold</title><style>{STYLE}</style></head><body>",
        title = if missing.is_empty() { "Ready" } else { "Not ready" },
    )?;
    write_head(html, status, missing)?;
    write_figures(html, status)?;
    write_upstreams(html, &status.upstreams)?;
    html.write_str(
        "<footer><a href=\"/tools\">tools</a><a href=\"/status\">status</a><a href=\"/metrics\">metrics</a>\
         <a href=\"/readyz\">readiness</a></footer></body></html>",
    )
}

fn write_head(html: &mut String, status: &GatewayStatus, missing: &[String]) -> fmt::Result {
    let (class, word) = if missing.is_empty() {
        ("good", "Ready")
    } else {
        ("bad", "Not ready")
    };
    write!(
        html,
        "<header><h1>mcp-manifold <small>{version}</small></h1><span class=\"pill {class}\">{word}</span></header>",
        version = Escaped(&status.version),
    )?;
    if !missing.is_empty() {
        html.write_str("<section class=\"note\"><h2>Waiting for</h2><ul>")?;
        for line in missing {
            write!(html, "<li>{}</li>", Escaped(line))?;
        }
        html.write_str("</ul></section>")?;
    }
    if let Some(error) = &status.config_error {
        write!(
            html,
            "<section class=\"note\"><h2>The configuration on disk is not in force</h2><pre>{}</pre></section>",
            Escaped(error)
        )?;
    }
    for trouble in &status.state_errors {
        write!(
            html,
            "<section class=\"note\"><h2>The state folder cannot be written: {}</h2><pre>{}</pre></section>",
            trouble.part.as_str(),
            Escaped(&trouble.error)
        )?;
    }
    Ok(())
}

fn write_figures(html: &mut String, status: &GatewayStatus) -> fmt::Result {
    let enabled = status.upstreams.iter().filter(|upstream| upstream.enabled);
    let ready = enabled.clone().filter(|upstream| upstream.ready);
    let tools: usize = status.upstreams.iter().map(|upstream| upstream.tools).sum();
    write!(
        html,
        "<dl><div><dt>Upstreams ready</dt><dd>{ready} <small>of {enabled}</small></dd></div>\
         <div><dt>Tools</dt><dd>{tools}</dd></div><div><dt>Sessions</dt><dd>{sessions}</dd></div>\
         <div><dt>Generation</dt><dd>{generation}</dd></div></dl>",
        ready = ready.count(),
        enabled = enabled.count(),
        sessions = status.sessions,
        generation = status.generation,
    )
}

fn write_upstreams(html: &mut String, upstreams: &[UpstreamStatus]) -> fmt::Result {
    html.write_str(
        "<div class=\"wide\"><table><thead><tr><th>Upstream</th><th>State</th><th>Speaks</th><th>Prefix</th>\
         <th class=\"number\">Tools</th><th class=\"number\">Prompts</th><th class=\"number\">Resources</th>\
         <th>Last listed</th></tr></thead><tbody>",
    )?;
    for upstream in upstreams {
        write_upstream(html, upstream)?;
    }
    if upstreams.is_empty() {
        html.write_str("<tr><td colspan=\"8\">No upstreams are configured.</td></tr>")?;
    }
    html.write_str("</tbody></table></div>")
}

fn write_upstream(html: &mut String, upstream: &UpstreamStatus) -> fmt::Result {
    let listed = upstream.last_listed.as_deref().unwrap_or("never");
    let (date, time) = listed.split_once('T').unwrap_or(("", listed));
    write!(
        html,
        "<tr><td><b>{name}</b><span class=\"url\">{url}</span></td>\
         <td><span class=\"pill {class}\">{reason}</span></td><td>{eras}{version}</td><td><code>{prefix}</code></td>\
         <td class=\"number\">{tools}</td><td class=\"number\">{prompts}</td><td class=\"number\">{resources}</td>\
         <td>{time}{date}</td></tr>",
        name = Escaped(&upstream.name),
        url = Escaped(&upstream.url),
        class = class(upstream.reason),
        reason = upstream.reason.as_str(),
        eras = upstream
            .eras
            .iter()
            .map(|era| era.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        version = Small(upstream.protocol_version.map_or("", Version::as_str)),
        prefix = Escaped(&upstream.prefix),
        tools = upstream.tools,
        prompts = upstream.prompts,
        resources = upstream.resources,
        time = Escaped(time),
        date = Small(date),
    )?;
    if let Some(error) = &upstream.last_error {
        write_remark(html, "error", error)?;
    }
    for warning in &upstream.warnings {
        write_remark(html, "warning", warning)?;
    }
    Ok(())
}

fn write_remark(html: &mut String, class: &str, text: &str) -> fmt::Result {
    let text = Escaped(text);
    write!(html, "<tr class=\"remark {class}\"><td colspan=\"8\">{text}</td></tr>")
}

const fn class(reason: Reason) -> &'static str {
    match reason {
        Reason::Ready => "good",
        Reason::Pending | Reason::Disabled => "idle",
        Reason::Unreachable
        | Reason::Timeout
        | Reason::Unauthorized
        | Reason::ProtocolError
        | Reason::SecretMissing => "bad",
    }
}

/// A second line in small type; nothing if it is empty.
struct Small<'a>(&'a str);

impl Display for Small<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            text => write!(f, "<small>{}</small>", Escaped(text)),
        }
    }
}

/// Text that stays text in HTML, in elements and in quoted attributes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::mcp::Era;
    use proptest::prelude::*;

    fn mk_status(name: &str) -> GatewayStatus {
        GatewayStatus {
            version: "0.1.0".into(),
            ready: false,
            generation: 7,
            sessions: 12,
            config_error: Some(name.into()),
            state_errors: Vec::new(),
            upstreams: vec![UpstreamStatus {
                name: name.into(),
                prefix: name.into(),
                url: name.into(),
                enabled: true,
                ready: false,
                reason: Reason::Timeout,
                eras: vec![Era::Legacy, Era::Modern],
                protocol_version: Some(Version::NEWEST),
                tools: 26,
                prompts: 0,
                resources: 0,
                last_listed: Some(name.into()),
                last_error: Some(name.into()),
                warnings: vec![name.into()],
            }],
            issuers: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn no_name_changes_the_structure(name in "[<>&\"'a-z/ ]{0,40}") {
            let tags = |html: &str| html.matches('<').count();
            let plain = tags(&render(&mk_status("name"), &["name".into()]));
            prop_assert_eq!(tags(&render(&mk_status(&name), std::slice::from_ref(&name))), plain);
        }
    }

    #[test]
    fn a_page_says_what_is_missing_and_why() {
        let html = render(&mk_status("<github>"), &["<github>: not listed yet".into()]);
        assert!(html.contains("<li>&lt;github&gt;: not listed yet</li>"));
        assert!(html.contains("<span class=\"pill bad\">Timeout</span>"));
        assert!(html.contains("legacy, modern<small>2026-07-28</small>"));
        assert!(html.contains("<dd>0 <small>of 1</small></dd>"));
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let html = render(&mk_status("x"), &[]);
        for outside in ["http:", "https:", "src=", "url(", "@import", "<script", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
