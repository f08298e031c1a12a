//! What speaks for one caller at one upstream: header names and values, and how its credential is had anew.
//!
//! Lives in memory alone, and is never printed.

use crate::engine::config::Confidential;
use crate::engine::policy::delegate::{Errand, Header};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// See the module. Empty at upstreams that are told nothing of their callers.
#[derive(Clone, Default, PartialEq)]
pub struct Delegation(Option<Arc<Inside>>);

#[derive(PartialEq)]
struct Inside {
    headers: Vec<Header>,
    /// Who has the credential, where it grows old.
    errand: Option<Errand>,
}

// Nothing in it is unequal to itself.
impl Eq for Delegation {}

impl Hash for Delegation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.headers().hash(state);
    }
}

impl Delegation {
    /// Nothing.
    pub const NONE: Self = Self(None);

    /// These headers.
    #[must_use]
    pub fn new(headers: Vec<Header>) -> Self {
        let inside = Inside { headers, errand: None };
        Self((!inside.headers.is_empty()).then(|| Arc::new(inside)))
    }

    /// These headers, with a credential among them that `errand` has brought, or is to bring still.
    #[must_use]
    pub fn had_by(headers: Vec<Header>, errand: Errand) -> Self {
        let errand = Some(errand);
        Self(Some(Arc::new(Inside { headers, errand })))
    }

    /// True: nothing is said.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The headers; the credential is not among them as long as it was not had.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], |inside| &inside.headers)
    }

    /// By what the credential is had anew; `None`: it is what its caller has shown, or there is none.
    #[must_use]
    pub fn errand(&self) -> Option<&Errand> {
        self.0.as_deref()?.errand.as_ref()
    }

    /// The same with what its errand has brought now; `None`: that can stand in no header.
    #[must_use]
    pub fn renewed(&self, credential: &Confidential) -> Option<Self> {
        let errand = self.errand()?;
        let name = &errand.from.header;
        let value = errand.from.value(credential)?;
        let others = self.headers().iter().filter(|(other, _)| other != name);
        let mut headers: Vec<Header> = others.cloned().collect();
        headers.push((name.clone().into(), value));
        let renewed = Self::had_by(headers, errand.clone());
        // Equal ones stay one: sessions remember thousands.
        Some(if renewed == *self { self.clone() } else { renewed })
    }

    /// This is the credential that it bears.
    #[must_use]
    pub fn bears(&self, credential: &Confidential) -> bool {
        let Some(from) = self.errand().map(|errand| &errand.from) else {
            return false;
        };
        let mut headers = self.headers().iter();
        let borne = headers.find(|(name, _)| *name == from.header).map(|(_, value)| value);
        borne.is_some() && borne == from.value(credential).as_ref()
    }
}

impl fmt::Debug for Delegation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Delegation({} headers)", self.headers().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::delegated::{OfCaller, PerPrincipal, Source};
    use bytes::Bytes;

    fn mk_errand() -> Errand {
        Errand {
            upstream: "a".into(),
            from: Arc::new(OfCaller {
                header: "authorization".to_owned(),
                source: Source::PerPrincipal(PerPrincipal {
                    dir: "keys".into(),
                    scheme: Some("Bearer".to_owned()),
                }),
            }),
            principal: "i|alice".into(),
            token: None,
        }
    }

    #[test]
    fn it_is_never_printed() {
        let secret = Delegation::new(vec![("authorization".into(), Bytes::from_static(b"hunter2"))]);
        assert_eq!(format!("{secret:?}"), "Delegation(1 headers)");
        assert!(!secret.is_empty() && Delegation::new(Vec::new()).is_empty());
    }

    #[test]
    fn a_credential_takes_the_place_of_the_one_before_and_leaves_the_rest() {
        let (first, second) = (Confidential("first".into()), Confidential("second".into()));
        let beside = vec![("x-user".into(), Bytes::from_static(b"alice"))];
        let to_come = Delegation::had_by(beside, mk_errand());
        assert!(!to_come.is_empty() && !to_come.bears(&first));
        let had = to_come.renewed(&first).expect("it can be sent");
        assert!(had.bears(&first) && !had.bears(&second));
        let renewed = had.renewed(&second).expect("it can be sent");
        let expected: [Header; 2] = [
            ("x-user".into(), Bytes::from_static(b"alice")),
            ("authorization".into(), Bytes::from_static(b"Bearer second")),
        ];
        assert_eq!(renewed.headers(), expected);
        assert_eq!(
            renewed.renewed(&Confidential("a\r\nb".into())),
            None,
            "it would be two headers"
        );
        assert_eq!(Delegation::NONE.renewed(&first), None, "nobody has one");
    }
}
