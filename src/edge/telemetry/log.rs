//! The log: lines on standard error, for people or as JSON, filtered.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
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
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|_| LogError::Filter(filter.to_owned()))?;
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
