//! Metrics in the older form of Prometheus, for readers that know no OpenMetrics. Pure.

/// The form's media type.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whoever accepts text, and does not say that it knows OpenMetrics.
pub(super) fn wants_text(accept: &str) -> bool {
    accept.contains("text/plain") && !accept.contains("application/openmetrics-text")
}

/// The same metrics: there counters are named with their suffix, an info is a gauge, units and an end are not known.
pub(super) fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // `# HELP` comes first, `# TYPE` says what it was about.
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), said) => help = said,
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                let help = help.take().unwrap_or_default();
                text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
            }
            (Some("#"), ..) => {}
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_are_named_as_their_samples() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_sum 1\n\
                    # HELP b Of \"b\".\n# TYPE b counter\nb_total{x=\"# \"} 7\n# HELP c Of c.\n# TYPE c info\nc_info{v=\"1\"} 1\n# EOF\n";
        assert_eq!(
            text(open),
            "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_sum 1\n\
             # HELP b_total Of \"b\".\n# TYPE b_total counter\nb_total{x=\"# \"} 7\n\
             # HELP c_info Of c.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n"
        );
    }

    #[test]
    fn prometheus_itself_gets_openmetrics() {
        assert!(wants_text("text/plain;version=0.0.4, */*;q=0.1"));
        assert!(!wants_text(""));
        assert!(!wants_text(
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        ));
    }
}
