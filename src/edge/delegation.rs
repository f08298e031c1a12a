//! Credentials of callers that somebody else has: a folder with a file for each principal, a token endpoint.
//!
//! Asked with what the configuration of the snapshot says, so that nothing has to be told of a reload. What is found is
//! kept for a while, bounded, in memory alone, and never printed.

mod files;
mod token_exchange;

use crate::edge::http::Voices;
use crate::engine::config::delegated::Source;
use crate::engine::config::{Confidential, Secret};
use crate::engine::policy::delegate::{Errand, Lack};
use crate::engine::session::Delegation;
use files::Files;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use token_exchange::TokenExchange;
use tokio::runtime::Handle;

/// Credentials of all callers at once; above that the oldest go.
const MOST: usize = 10_000;

/// How a secret of the gateway's own is read; `None`: it has no value.
pub type Resolve = Arc<dyn Fn(&Secret) -> Option<Confidential> + Send + Sync>;

/// What an errand brings.
pub type Outcome = Result<Confidential, Lack>;

/// An answer, now or later.
pub enum Look {
    /// It is known.
    Now(Outcome),
    /// It has to be read, or asked for.
    Later(BoxFuture<'static, Outcome>),
}

/// See the module.
#[derive(Clone)]
pub struct Delegations {
    files: Arc<Files>,
    exchange: Arc<TokenExchange>,
}

impl Delegations {
    /// Works on `runtime`, so that a client who leaves does not take down what others wait for.
    #[must_use]
    pub fn new(runtime: Handle, resolve: Resolve) -> Self {
        Self {
            files: Arc::new(Files::new(runtime.clone())),
            exchange: Arc::new(TokenExchange::new(runtime, resolve)),
        }
    }

    /// The credential that `errand` is about.
    #[must_use]
    pub fn find(&self, errand: Errand) -> Look {
        match &errand.from.source {
            Source::PerPrincipal(kept) => self.files.find(&errand, kept),
            Source::Exchange(_) => self.exchange.find(errand),
            // Worked out by whoever asks.
            Source::Template(_) | Source::Forward => Look::Now(Err(Lack::Unavailable)),
        }
    }
}

impl Voices for Delegations {
    fn find(&self, errand: Errand) -> BoxFuture<'static, Outcome> {
        match Self::find(self, errand) {
            Look::Now(outcome) => Box::pin(std::future::ready(outcome)),
            Look::Later(later) => later,
        }
    }

    /// What is kept of it is not used again; something else that took its place meanwhile is.
    fn spent(&self, delegation: &Delegation) {
        let Some(errand) = delegation.errand() else { return };
        let refused = |kept: &Confidential| delegation.bears(kept);
        match &errand.from.source {
            Source::PerPrincipal(kept) => self.files.forget(errand, kept, refused),
            Source::Exchange(_) => self.exchange.forget(errand, refused),
            Source::Template(_) | Source::Forward => {}
        }
    }
}

/// One line of visible ASCII, for a header.
fn is_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
