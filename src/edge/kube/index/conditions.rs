//! Conditions as the Kubernetes API has them: what is found now, with the times of what the object shows.

use super::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::borrow::Cow;

/// The API refuses longer messages.
const MAX_MESSAGE: usize = 32 * 1024;

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
}

impl Truth {
    /// The word in the condition.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
        }
    }
}

/// One condition, without the bookkeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `Ready` and the like.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// One word.
    pub reason: Cow<'static, str>,
    /// Sentences.
    pub message: String,
}

impl Verdict {
    /// Of this type.
    pub(crate) fn new(
        kind: &'static str,
        status: Truth,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// What the object should show: the verdicts. A transition time changes only with the status.
#[must_use]
pub(crate) fn fold(
    shown: &[Condition],
    verdicts: &[Verdict],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |verdict: &Verdict| {
        let before = shown.iter().find(|condition| condition.type_ == verdict.kind);
        let since = before
            .filter(|before| before.status == verdict.status.as_str())
            .map_or(Time(now), |before| before.last_transition_time.clone());
        Condition {
            type_: verdict.kind.to_owned(),
            status: verdict.status.as_str().to_owned(),
            reason: verdict.reason.clone().into_owned(),
            message: cut(&verdict.message),
            observed_generation: generation,
            last_transition_time: since,
        }
    };
    verdicts.iter().map(condition).collect()
}

fn cut(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE);
    message.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn ready(status: Truth, reason: &'static str) -> Verdict {
        Verdict::new("Ready", status, reason, "a sentence")
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let first = fold(&[], &[ready(Truth::False, "Pending")], Some(1), at(10));
        let second = fold(&first, &[ready(Truth::False, "Unreachable")], Some(2), at(20));
        let [condition] = second.as_slice() else {
            panic!("one condition")
        };
        assert_eq!(condition.last_transition_time, Time(at(10)));
        assert_eq!(
            (condition.reason.as_str(), condition.observed_generation),
            ("Unreachable", Some(2))
        );
        let third = fold(&second, &[ready(Truth::True, "Ready")], Some(2), at(30));
        assert_eq!(
            third.first().map(|condition| condition.last_transition_time.clone()),
            Some(Time(at(30)))
        );
    }
}
