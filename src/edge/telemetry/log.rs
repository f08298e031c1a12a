//! The log: lines on standard error, for people or as JSON, filtered.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; colours only on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why the log did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is neither a level nor a list of `target=level`.
    #[error("{0:?} is not a level (error, warn, info, debug, trace) or a filter such as info,mcp_manifold::edge=debug")]
    Filter(String),
    /// There is one already.
    #[error("the log was started twice")]
    Twice,
}

/// Log lines go to standard error from here on; `filter` is a level or a list of `target=level`.
///
/// # Errors
/// The filter is not readable, or this was called before.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = quiet(parse(filter)?, filter);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .finish()
            .try_init(),
    };
    started.map_err(|_| LogError::Twice)
}

/// The client of the API server logs every failed request as an error, watches every failed list as a warning; whoever
/// made the request says what it means. A filter that names them has its way.
fn quiet(parsed: EnvFilter, filter: &str) -> EnvFilter {
    let loud = ["kube_client::client::builder", "kube_runtime::watcher"];
    loud.iter().fold(parsed, |parsed, target| {
        let named = target.split(':').next().is_some_and(|name| filter.contains(name));
        match format!("{target}=off").parse() {
            Ok(directive) if !named => parsed.add_directive(directive),
            Ok(_) | Err(_) => parsed,
        }
    })
}

/// Whether `filter` is one that [`start`] takes.
///
/// # Errors
/// It is not.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let wrong = || LogError::Filter(filter.to_owned());
    // A lone word that is no level would be the name of a target, and everything else would be silent.
    let lone = |part: &str| !part.contains(['=', ':', '[']);
    if filter
        .split(',')
        .map(str::trim)
        .any(|part| lone(part) && (part.is_empty() || part.parse::<LevelFilter>().is_err()))
    {
        return Err(wrong());
    }
    EnvFilter::builder().parse(filter).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_names_targets() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,mcp_manifold::edge=debug",
            "mcp_manifold::engine",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for wrong in ["verbose", "", "info,loud", "a=b=c"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
