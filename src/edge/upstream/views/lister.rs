//! Lists one upstream once, in both eras, with what speaks for a caller.

use crate::edge::http::{HttpError, Target};
use crate::edge::upstream::handshake::{self, Handshake};
use crate::edge::upstream::notices::Errand;
use crate::edge::upstream::survey::{self, Agreed};
use crate::edge::upstream::{Failure, probe};
use crate::engine::catalog::{Catalog, Listing};
use crate::engine::exchange::step::Notice;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::{Binding, Delegation};
use futures_util::future::{Either, select};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Once one era is listed, the other one gets this long.
const OTHER_ERA: Duration = Duration::from_secs(1);
/// A listing has many pages, each within `timeout.list`: so many times that is enough.
const PAGES: u32 = 6;

/// What the upstream lists for the caller for whom `speaks` speaks; its sessions are ended by `notices`.
///
/// # Errors
/// Neither era was listed: the more telling reason.
pub(super) async fn list(
    target: &Arc<Target>,
    speaks: &Delegation,
    notices: &mpsc::UnboundedSender<Errand>,
) -> Result<Catalog, Failure> {
    let time = target.timeout().list * PAGES;
    let (legacy, modern) = (
        Box::pin(legacy(target, speaks, notices)),
        Box::pin(modern(target, speaks)),
    );
    let both = async {
        match select(legacy, modern).await {
            Either::Left((legacy, modern)) => {
                let modern = other(&legacy, modern).await;
                (legacy, modern)
            }
            Either::Right((modern, legacy)) => (other(&modern, legacy).await, modern),
        }
    };
    let (legacy, modern) = tokio::time::timeout(time, both)
        .await
        .map_err(|_| Failure::Http(HttpError::TimedOut(time)))?;
    match (legacy, modern) {
        (Err(legacy), Err(modern)) if legacy.not_spoken() => Err(modern),
        (Err(legacy), Err(_)) => Err(legacy),
        (legacy, modern) => Ok(Catalog {
            legacy: legacy.ok(),
            modern: modern.ok(),
        }),
    }
}

type Outcome = Result<Arc<Listing>, Failure>;

/// What comes of the other era.
async fn other(first: &Outcome, other: impl Future<Output = Outcome>) -> Outcome {
    match first {
        Ok(_) => tokio::time::timeout(OTHER_ERA, other)
            .await
            .unwrap_or(Err(Failure::Http(HttpError::TimedOut(OTHER_ERA)))),
        Err(_) => other.await,
    }
}

async fn legacy(target: &Arc<Target>, speaks: &Delegation, notices: &mpsc::UnboundedSender<Errand>) -> Outcome {
    if !target.is_asked_in(Era::Legacy) {
        return Err(Failure::NotAsked);
    }
    let capable = survey::capable();
    let session = handshake::open(target, &capable, Version::NEWEST_LEGACY, None, speaks).await?;
    let _own = Own {
        target,
        binding: session.binding.clone(),
        notices,
    };
    read(target, Agreed::legacy(target, &session), speaks, is_stateful(&session)).await
}

async fn modern(target: &Arc<Target>, speaks: &Delegation) -> Outcome {
    if !target.is_asked_in(Era::Modern) {
        return Err(Failure::NotAsked);
    }
    let discovered = probe::discover_for(target, speaks, target.timeout().list).await?;
    let version = discovered.version;
    read(
        target,
        Agreed::modern(target, discovered, speaks),
        speaks,
        Some(version),
    )
    .await
}

fn is_stateful(session: &Handshake) -> Option<Version> {
    session.binding.id.as_ref().map(|_| session.binding.version)
}

/// Reads both what clients see who take requests and, where that may be less (`plain`), what the others see, at once: a
/// caller waits.
async fn read(target: &Arc<Target>, agreed: Agreed, speaks: &Delegation, plain: Option<Version>) -> Outcome {
    let plain = async {
        match plain {
            Some(version) => survey::plain_tools(target, version, speaks).await.map(Some),
            None => Ok(None),
        }
    };
    let (listing, plain) = tokio::join!(agreed.read(target.timeout().list), plain);
    let (mut listing, _) = listing?;
    if let Ok(Some(plain)) = &plain {
        for tool in &mut listing.tools {
            tool.reserved = !plain.contains(&tool.key);
        }
    }
    Ok(Arc::new(listing))
}

/// A session for one listing: ended however that ends.
struct Own<'a> {
    target: &'a Arc<Target>,
    binding: Binding,
    notices: &'a mpsc::UnboundedSender<Errand>,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let notice = Notice::Close {
            upstream: Arc::clone(self.target.name()),
            binding: self.binding.clone(),
        };
        let _ = self.notices.send((Arc::clone(self.target), notice));
    }
}
