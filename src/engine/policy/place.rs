//! Which places an exchange takes for as long as it lasts: some limits are about how much goes on at once.

use crate::engine::config::Limits;

/// One place out of a bounded number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Of which limit.
    pub kind: Kind,
    /// Whose.
    pub key: u128,
    /// How many there are.
    pub most: usize,
}

/// A limit of what goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `limits.callsPerSession`
    CallsPerSession,
    /// `limits.callsPerPrincipal`
    CallsPerPrincipal,
    /// `limits.streamsPerPrincipal`
    StreamsPerPrincipal,
}

impl Kind {
    /// The key in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallsPerSession => "callsPerSession",
            Self::CallsPerPrincipal => "callsPerPrincipal",
            Self::StreamsPerPrincipal => "streamsPerPrincipal",
        }
    }
}

/// What takes places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// A call of an upstream.
    Call,
    /// A stream that a client holds open.
    Stream,
}

/// The places of one exchange. `session`: its key; `principal`: its hash, 0 for the anonymous, who have no places of their
/// own (`limits.streams` holds for all together).
#[must_use]
pub fn places(limits: &Limits, lasting: Lasting, session: Option<u128>, principal: u64) -> Vec<Place> {
    let principal = (principal != 0).then_some(u128::from(principal));
    let place = |kind, key: Option<u128>, most: Option<u32>| {
        Some(Place {
            kind,
            key: key?,
            most: most? as usize,
        })
    };
    let places = match lasting {
        Lasting::Call => [
            place(Kind::CallsPerSession, session, limits.calls_per_session),
            place(Kind::CallsPerPrincipal, principal, limits.calls_per_principal),
        ],
        Lasting::Stream => [
            place(Kind::StreamsPerPrincipal, principal, limits.streams_per_principal),
            None,
        ],
    };
    places.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;
    use std::path::Path;

    #[test]
    fn only_what_is_limited_and_known_takes_a_place() {
        let text = "limits: {callsPerSession: 2, callsPerPrincipal: 3}\nupstreams: [{name: a, url: 'http://a/'}]";
        let limits = parse(text, Path::new("/"), Path::new("/")).expect("valid").limits;
        let kinds = |lasting, session, principal| {
            let places = places(&limits, lasting, session, principal);
            places
                .iter()
                .map(|place| (place.kind.as_str(), place.most))
                .collect::<Vec<_>>()
        };
        let both = [("callsPerSession", 2), ("callsPerPrincipal", 3)];
        assert_eq!(kinds(Lasting::Call, Some(1), 7), both);
        assert_eq!(kinds(Lasting::Call, None, 7), both[1..]);
        assert!(kinds(Lasting::Call, None, 0).is_empty(), "nobody is known");
        assert!(kinds(Lasting::Stream, Some(1), 7).is_empty(), "not limited");
    }
}
