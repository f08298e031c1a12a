//! Who calls: established from the request's head, before its body is read.

use super::event::RequestHead;
use super::reject::Reject;
use crate::engine::policy::Identity;
use crate::engine::snapshot::Endpoint;
use std::sync::Arc;

/// The caller, as the endpoint's `authentication` has it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "nobody is refused while nothing can be asked of callers"
)]
pub(super) fn identify(_endpoint: &Endpoint, _head: &RequestHead) -> Result<Arc<Identity>, Reject> {
    Ok(Arc::default())
}
