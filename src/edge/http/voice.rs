//! What speaks for a caller in the moment when something is sent.
//!
//! Between a call and what is sent for its caller later (the end of its session, a stream that is opened again) hours may
//! lie: what spoke then may have grown old. Who has it is `app`'s to know; here is only who asks.

use super::{HttpError, Target};
use crate::engine::config::Confidential;
use crate::engine::policy::delegate::{Errand, Lack};
use crate::engine::session::Delegation;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// Whoever has the credentials of callers.
pub trait Voices: Send + Sync {
    /// What `errand` brings now; at once, if that is known.
    fn find(&self, errand: Errand) -> BoxFuture<'static, Result<Confidential, Lack>>;

    /// An upstream has refused this: it is not used again.
    fn spent(&self, delegation: &Delegation);
}

/// As it stands in a [`Target`].
#[derive(Clone, Default)]
pub(super) struct Voice(Option<Arc<dyn Voices>>);

impl fmt::Debug for Voice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Voice")
    }
}

impl Target {
    /// The same, whose callers are spoken for by `voices`.
    #[must_use]
    pub fn spoken_to_by(mut self, voices: Arc<dyn Voices>) -> Self {
        self.voice = Voice(Some(voices));
        self
    }

    /// The same delegation with what speaks for its caller now.
    ///
    /// # Errors
    /// [`HttpError::Unspoken`]: nothing does; nothing may be sent.
    pub async fn speaking(&self, delegation: Delegation) -> Result<Delegation, HttpError> {
        let Some(errand) = delegation.errand() else {
            return Ok(delegation);
        };
        let found = match &self.voice.0 {
            Some(voices) => voices.find(errand.clone()).await,
            None => Err(Lack::Unavailable),
        };
        let renewed = found.and_then(|credential| delegation.renewed(&credential).ok_or(Lack::Unreadable));
        renewed.map_err(HttpError::Unspoken)
    }

    /// The upstream has answered so to what spoke for a caller.
    pub fn heard(&self, delegation: &Delegation, status: u16) {
        // 403: the credential is good, for something else.
        if status == 401
            && delegation.errand().is_some()
            && let Some(voices) = &self.voice.0
        {
            voices.spent(delegation);
        }
    }
}
