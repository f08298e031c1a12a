//! Event ids that name the upstream stream they come from, so that `Last-Event-ID` finds its way back.
//!
//! With one upstream behind the endpoint an id goes through as it is. With several it becomes `me:<upstream>:<id>`;
//! names of upstreams hold no colon.

const MARK: &str = "me:";

/// The id that a client sees of the event `id` of `upstream`.
#[must_use]
pub fn expose(upstream: &str, id: &str) -> String {
    [MARK, upstream, ":", id].concat()
}

/// Takes a client's `Last-Event-ID` apart: upstream and its own id. `None` if [`expose`] cannot have made it.
#[must_use]
pub fn reveal(id: &str) -> Option<(&str, &str)> {
    let (upstream, own) = id.strip_prefix(MARK)?.split_once(':')?;
    (!upstream.is_empty()).then_some((upstream, own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_others_made_up_names_no_upstream() {
        for id in ["", "7", "me:", "me::1", "me:up", "mm:up:1"] {
            assert_eq!(reveal(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_upstream(upstream in "[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", id in ".{0,20}") {
            let exposed = expose(&upstream, &id);
            prop_assert_eq!(reveal(&exposed), Some((upstream.as_str(), id.as_str())));
        }
    }
}
