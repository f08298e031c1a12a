//! The controller's own certificate authority: what it issues to itself and to processors, and whether what was issued
//! is still good. Time is an argument.
//!
//! Every certificate names its holder once: a server by DNS names, a processor by the URI of its Gateway. Issued ones
//! live [`LIFETIME`] and are replaced once [`MARGIN`] of it is left, the authority's own [`AUTHORITY_LIFETIME`].

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, crypto};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Of a certificate.
pub(super) const LIFETIME: Duration = DAY.saturating_mul(90);
/// A certificate with less left than this is replaced.
pub(super) const MARGIN: Duration = DAY.saturating_mul(30);
/// Of the authority.
pub(super) const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3650);
/// Clocks of other machines may be this far behind.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// What the authority calls itself; certificates are issued without reading its own one.
const NAME: &str = "mcp-manifold controller";

/// Why nothing could be issued or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    /// The key or a certificate cannot be made.
    #[error("the certificate cannot be made")]
    Issue(#[from] rcgen::Error),
    /// A PEM text is none.
    #[error("no PEM text")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Text that should be trusted is not usable.
    #[error("the authority's certificate is not usable")]
    Unusable,
}

/// Signs certificates.
pub(super) struct Authority {
    key: KeyPair,
    /// PEM of the certificate that signs.
    certificate: String,
    /// PEM of every certificate that is trusted: the one that signs, and the one before it.
    trusted: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Who holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The controller, under its DNS names. Never empty.
    Server(Vec<String>),
    /// The processors of a Gateway, named by a URI.
    Client(String),
}

/// An instant, as the time since 1970.
pub(super) type Moment = Duration;

// === impl Authority ===

impl Authority {
    /// A new one.
    pub(super) fn generate(now: Moment) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = authority(now).self_signed(&key)?.pem();
        let trusted = certificate.clone();
        Ok(Self {
            key,
            certificate,
            trusted,
        })
    }

    /// A new one that takes over: what the old one issued stays trusted.
    pub(super) fn succeed(old: &Self, now: Moment) -> Result<Self, AuthorityError> {
        let new = Self::generate(now)?;
        let trusted = format!("{}{}", new.certificate, old.certificate);
        Ok(Self { trusted, ..new })
    }

    /// One that was kept.
    pub(super) fn read(certificate: &str, key: &str, trusted: &str) -> Result<Self, AuthorityError> {
        let read = Self {
            key: KeyPair::from_pem(key)?,
            certificate: certificate.to_owned(),
            trusted: trusted.to_owned(),
        };
        CertificateDer::from_pem_slice(certificate.as_bytes())?;
        roots(trusted)?;
        Ok(read)
    }

    /// To be kept.
    pub(super) fn pair(&self) -> Pair {
        Pair {
            certificate: self.certificate.clone(),
            key: self.key.serialize_pem(),
        }
    }

    /// What holders of its certificates trust.
    pub(super) fn trusted(&self) -> &str {
        &self.trusted
    }

    /// A certificate with a new key.
    pub(super) fn issue(&self, holder: &Holder, now: Moment) -> Result<Pair, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut parameters = parameters(now, LIFETIME);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match holder {
            Holder::Server(names) => {
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                for name in names {
                    let name = name.as_str().try_into()?;
                    parameters.subject_alt_names.push(SanType::DnsName(name));
                }
            }
            Holder::Client(uri) => {
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                parameters.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
            }
        }
        // What was kept was made by `authority`, whenever that was: only the name goes into what is issued.
        let issuer = Issuer::new(authority(now), &self.key);
        let certificate = parameters.signed_by(&key, &issuer)?.pem();
        Ok(Pair {
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// True where a pair was issued by this authority to this holder and stays valid for longer than [`MARGIN`].
    pub(super) fn vouches(&self, holder: &Holder, pair: &Pair, now: Moment) -> bool {
        self.examine(holder, pair, now + MARGIN).is_some()
    }

    fn examine(&self, holder: &Holder, pair: &Pair, at: Moment) -> Option<()> {
        let provider = Arc::new(crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).ok()?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).ok()?;
        CertifiedKey::from_der(vec![certificate.clone()], key, &provider).ok()?;
        // Not by the one before it: that one is on its way out.
        let roots = Arc::new(roots(&self.certificate).ok()?);
        let at = UnixTime::since_unix_epoch(at);
        match holder {
            Holder::Server(names) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .ok()?;
                for name in names {
                    let name = ServerName::try_from(name.as_str()).ok()?;
                    verifier.verify_server_cert(&certificate, &[], &name, &[], at).ok()?;
                }
            }
            Holder::Client(uri) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .ok()?;
                verifier.verify_client_cert(&certificate, &[], at).ok()?;
                // The signature holds, so the bytes are ours: a name that we wrote is found as we wrote it, behind the
                // last byte of its length.
                let length = uri.len().to_be_bytes();
                let name = [&length[length.len() - 1..], uri.as_bytes()].concat();
                certificate.windows(name.len()).find(|window| *window == name)?;
            }
        }
        Some(())
    }
}

/// Not the key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pair").finish_non_exhaustive()
    }
}

fn authority(now: Moment) -> CertificateParams {
    let mut parameters = parameters(now, AUTHORITY_LIFETIME);
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn parameters(now: Moment, lifetime: Duration) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.not_before = epoch + now.saturating_sub(SKEW);
    parameters.not_after = epoch + now + lifetime;
    parameters
}

fn roots(pem: &str) -> Result<RootCertStore, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?).map_err(|_| AuthorityError::Unusable)?;
    }
    match roots.is_empty() {
        true => Err(AuthorityError::Unusable),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Duration::from_secs(1_790_000_000);

    fn client() -> Holder {
        Holder::Client("mcp-manifold://gateway/team-a/main".to_owned())
    }

    fn server() -> Holder {
        Holder::Server(vec!["one.example.svc".to_owned(), "two".to_owned()])
    }

    #[test]
    fn a_new_certificate_is_good_until_its_margin_begins() {
        let authority = Authority::generate(NOW).unwrap();
        for holder in [client(), server()] {
            let pair = authority.issue(&holder, NOW).unwrap();
            assert!(authority.vouches(&holder, &pair, NOW));
            let last = NOW + LIFETIME - MARGIN;
            assert!(authority.vouches(&holder, &pair, last - DAY));
            assert!(!authority.vouches(&holder, &pair, last + DAY), "two thirds are over");
        }
    }

    #[test]
    fn a_certificate_counts_for_its_holder_only() {
        let authority = Authority::generate(NOW).unwrap();
        let pair = authority.issue(&client(), NOW).unwrap();
        let other = Holder::Client("mcp-manifold://gateway/team-b/main".to_owned());
        assert!(!authority.vouches(&other, &pair, NOW));
        assert!(
            !authority.vouches(&server(), &pair, NOW),
            "a client's certificate serves nobody"
        );
        let renamed = Holder::Server(vec!["three".to_owned()]);
        let pair = authority.issue(&server(), NOW).unwrap();
        assert!(!authority.vouches(&renamed, &pair, NOW));
    }

    #[test]
    fn what_another_authority_issued_does_not_count() {
        let (ours, other) = (Authority::generate(NOW).unwrap(), Authority::generate(NOW).unwrap());
        let pair = other.issue(&client(), NOW).unwrap();
        assert!(!ours.vouches(&client(), &pair, NOW));
    }

    #[test]
    fn a_key_that_is_not_the_certificates_does_not_count() {
        let authority = Authority::generate(NOW).unwrap();
        let (one, two) = (
            authority.issue(&client(), NOW).unwrap(),
            authority.issue(&client(), NOW).unwrap(),
        );
        let mixed = Pair { key: two.key, ..one };
        assert!(!authority.vouches(&client(), &mixed, NOW));
    }

    #[test]
    fn an_authority_that_was_kept_issues_as_before() {
        let made = Authority::generate(NOW).unwrap();
        let kept = made.pair();
        let read = Authority::read(&kept.certificate, &kept.key, made.trusted()).unwrap();
        let pair = read.issue(&client(), NOW + DAY).unwrap();
        assert!(made.vouches(&client(), &pair, NOW + DAY));
        assert!(Authority::read("nothing", &kept.key, made.trusted()).is_err());
        assert!(Authority::read(&kept.certificate, "nothing", made.trusted()).is_err());
    }

    #[test]
    fn a_successor_trusts_what_the_old_one_issued_and_replaces_it() {
        let old = Authority::generate(NOW).unwrap();
        let new = Authority::succeed(&old, NOW).unwrap();
        let pair = old.issue(&client(), NOW).unwrap();
        assert!(!new.vouches(&client(), &pair, NOW), "to be replaced");
        let trusted = Authority {
            certificate: new.trusted().to_owned(),
            ..new
        };
        assert!(trusted.vouches(&client(), &pair, NOW), "but still trusted");
    }

    #[test]
    fn keys_are_not_printed() {
        let pair = Authority::generate(NOW).unwrap().pair();
        assert!(!format!("{pair:?}").contains("KEY"));
    }
}
