//! How a bucket stands, told in the headers of an answer.

use super::Answer;
use crate::engine::policy::rate::Quota;
use bytes::Bytes;

/// Tells the client how its bucket stands, in the headers that Envoy's own filters use (draft-ietf-httpapi-ratelimit-headers-03).
pub(in crate::engine::exchange) fn tell(answer: &mut Answer, quota: &Quota) {
    let Quota {
        limit,
        burst,
        count,
        window,
        remaining,
        reset,
    } = quota;
    let said = [
        (
            "x-ratelimit-limit",
            format!("{burst}, {count};w={window};name=\"{limit}\""),
        ),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ];
    let headers = said.map(|(name, value)| (name.into(), Bytes::from(value)));
    answer.headers.extend(headers);
}
