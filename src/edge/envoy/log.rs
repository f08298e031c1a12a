//! Envoy's log lines as events of our own log (target `envoy`), and the last of them for error messages.

use std::collections::VecDeque;

/// What Envoy is told to print: level, logger, message in one line.
pub(super) const FORMAT: &str = "%l|%n|%v";

/// How many lines an error may show.
const KEPT: usize = 5;

/// Says what Envoy said.
#[derive(Debug, Default)]
pub(super) struct Log {
    last: VecDeque<String>,
}

/// A line of Envoy's log, taken apart.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    level: tracing::Level,
    logger: &'a str,
    message: &'a str,
}

impl Log {
    /// Forwards one line.
    pub(super) fn take(&mut self, text: &str) {
        let Line { level, logger, message } = parse(text);
        match level {
            tracing::Level::ERROR => tracing::error!(target: "envoy", logger, "{message}"),
            tracing::Level::WARN => tracing::warn!(target: "envoy", logger, "{message}"),
            tracing::Level::INFO => tracing::info!(target: "envoy", logger, "{message}"),
            _ => tracing::debug!(target: "envoy", logger, "{message}"),
        }
        if level > tracing::Level::WARN {
            return;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(message.to_owned());
    }

    /// The last warnings and errors, oldest first.
    pub(super) fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

/// A line in another form was printed past Envoy's logger: by the loader, or by a sanitizer.
fn parse(text: &str) -> Line<'_> {
    let mut parts = text.splitn(3, '|');
    let level = parts.next().and_then(level);
    match (level, parts.next(), parts.next()) {
        (Some(level), Some(logger), Some(message)) => Line { level, logger, message },
        _ => Line {
            level: tracing::Level::WARN,
            logger: "",
            message: text,
        },
    }
}

fn level(word: &str) -> Option<tracing::Level> {
    match word {
        "critical" | "error" => Some(tracing::Level::ERROR),
        "warning" => Some(tracing::Level::WARN),
        "info" => Some(tracing::Level::INFO),
        "debug" => Some(tracing::Level::DEBUG),
        "trace" => Some(tracing::Level::TRACE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_level_logger_and_message() {
        let line = parse("warning|config|a | b");
        assert_eq!(
            (line.level, line.logger, line.message),
            (tracing::Level::WARN, "config", "a | b")
        );
        let line = parse("error while loading shared libraries");
        assert_eq!(line.message, "error while loading shared libraries");
    }

    #[test]
    fn only_the_last_warnings_are_kept() {
        let mut log = Log::default();
        for number in 0..9 {
            log.take(&format!("critical|main|{number}"));
            log.take("info|main|quiet");
        }
        assert_eq!(log.last().collect::<Vec<_>>(), ["4", "5", "6", "7", "8"]);
    }
}
