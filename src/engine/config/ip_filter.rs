//! `ipFilter:`: which addresses may call, and whose word on a client's address is taken.

use super::file::{Findings, Sections};
use serde::Deserialize;
use std::net::IpAddr;

/// As the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a mapping with allow, deny, trustedProxies"
)]
struct Raw {
    allow: Vec<String>,
    deny: Vec<String>,
    trusted_proxies: Vec<String>,
}

/// Who may call, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpFilter {
    /// Empty: everybody who is not denied.
    pub allow: Vec<Network>,
    /// Refused, even if allowed.
    pub deny: Vec<Network>,
    /// What these say in `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Addresses with the same beginning, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Nothing is set behind the beginning.
    pub address: IpAddr,
    /// Bits that are the same.
    pub bits: u8,
}

/// Nothing but the defaults: addresses decide nothing.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> IpFilter {
    let raw: Raw = sections.take("ipFilter", findings).unwrap_or_default();
    let mut each = |key: &str, texts: &[String]| {
        let networks = texts.iter().enumerate().filter_map(|(index, text)| {
            Network::parse(text)
                .map_err(|message| findings.add(format!("ipFilter.{key}[{index}]"), message))
                .ok()
        });
        networks.collect()
    };
    IpFilter {
        allow: each("allow", &raw.allow),
        deny: each("deny", &raw.deny),
        trusted_proxies: each("trustedProxies", &raw.trusted_proxies),
    }
}

impl Network {
    /// `10.0.0.0/8`, or one address.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "not a network: write it such as 10.0.0.0/8, 2001:db8::/32 or one address".to_owned();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
        };
        let network = Self { address, bits };
        if network.beginning() == address {
            Ok(network)
        } else {
            // Somebody meant another length, or one address: which, nobody can tell.
            Err(format!(
                "has bits set behind the first {bits}: write {}/{bits}, or the address alone",
                network.beginning()
            ))
        }
    }

    /// The address with zeros behind the beginning.
    fn beginning(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_network(address: &str, bits: u8) -> Network {
        let address = address.parse().expect("an address");
        Network { address, bits }
    }

    #[test]
    fn a_network_is_a_beginning_and_its_length_or_one_address() {
        for (text, expected) in [
            ("10.0.0.0/8", mk_network("10.0.0.0", 8)),
            ("192.0.2.1", mk_network("192.0.2.1", 32)),
            ("0.0.0.0/0", mk_network("0.0.0.0", 0)),
            ("2001:db8::/32", mk_network("2001:db8::", 32)),
            ("::1", mk_network("::1", 128)),
        ] {
            assert_eq!(Network::parse(text), Ok(expected), "{text}");
        }
        for wrong in [
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.1/8",
            "::1/129",
            "10.0.0",
            "",
            "a/8",
            "10.0.0.0/-1",
        ] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f.:/]{0,20}") {
            let _ = Network::parse(&text);
        }

        #[test]
        fn what_is_read_begins_with_itself(address in any::<u32>(), bits in 0u8..=32) {
            let network = Network { address: IpAddr::V4(address.into()), bits };
            let text = format!("{}/{bits}", network.beginning());
            prop_assert_eq!(Network::parse(&text), Ok(Network { address: network.beginning(), bits }));
        }
    }
}
