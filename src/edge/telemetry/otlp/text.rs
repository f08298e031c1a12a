//! Reads metrics as Prometheus reads them (OpenMetrics text), which is what our own registry writes. Pure.
//!
//! So that every number is counted once, and the call path knows nothing of OTLP.

/// All samples of one metric.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Family<'a> {
    /// Without the suffix of its samples.
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) help: &'a str,
    /// Empty: it has none.
    pub(super) unit: &'a str,
    pub(super) samples: Vec<Sample<'a>>,
}

/// How samples are to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Anything else.
    #[default]
    Other,
}

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// What follows the family's name.
    pub(super) suffix: &'a str,
    pub(super) labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

/// All families, in order. A line that cannot be read is left out.
pub(super) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            describe(&mut families, comment);
        } else if let Some(family) = families.last_mut() {
            family.samples.extend(sample(line, family.name));
        }
    }
    families
}

fn describe<'a>(families: &mut Vec<Family<'a>>, comment: &'a str) {
    let mut words = comment.splitn(3, ' ');
    let (Some(what), Some(name)) = (words.next(), words.next()) else {
        return;
    };
    let said = words.next().unwrap_or_default();
    if families.last().is_none_or(|family| family.name != name) {
        families.push(Family {
            name,
            ..Family::default()
        });
    }
    let Some(family) = families.last_mut() else { return };
    match what {
        "HELP" => family.help = said.trim_end_matches('.'),
        "UNIT" => family.unit = said,
        "TYPE" => {
            family.kind = match said {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => Kind::Other,
            }
        }
        _ => {}
    }
}

/// `name_suffix{a="b",c="d"} 1.5`
fn sample<'a>(line: &'a str, family: &str) -> Option<Sample<'a>> {
    let rest = line.strip_prefix(family)?;
    let at = rest.find(['{', ' '])?;
    let (suffix, rest) = rest.split_at_checked(at)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.trim_start().split(' ').next()?.parse().ok()?;
    Some(Sample { suffix, labels, value })
}

/// Up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name, value));
        rest = after;
    }
}

/// Up to the closing quotation mark, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_found_under_their_family() {
        let text = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                    a_seconds_sum{m=\"x\"} 1.5\na_seconds_bucket{le=\"+Inf\",m=\"x\"} 3\n\
                    # HELP b Of \\\"b\\\".\n# TYPE b counter\nb_total 7\n# EOF\n";
        let families = families(text);
        let [a, b, ..] = families.as_slice() else {
            panic!("{families:?}")
        };
        assert_eq!(
            (a.name, a.kind, a.help, a.unit),
            ("a_seconds", Kind::Histogram, "How long", "seconds")
        );
        assert_eq!(a.samples[1].suffix, "_bucket");
        assert_eq!(a.samples[1].labels, [("le", "+Inf".to_owned()), ("m", "x".to_owned())]);
        assert_eq!((b.kind, b.samples[0].suffix), (Kind::Counter, "_total"));
        assert!((b.samples[0].value - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_label_may_hold_anything() {
        let text = "# TYPE a gauge\na{x=\"}\\\"\\\\\\n, y=\\\"\",z=\"\"} -2\n";
        let families = families(text);
        assert_eq!(
            families[0].samples[0].labels,
            [("x", "}\"\\\n, y=\"".to_owned()), ("z", String::new())]
        );
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_no_danger(text in "(# (TYPE|HELP|x) a( gauge)?|a[_{}=\"\\\\ ,0-9né]*|\n){0,30}") {
            let _ = families(&text);
        }
    }
}
