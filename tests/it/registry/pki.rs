//! An authority and what it signs.

use mcp_manifold::edge::registry::Identity;
use mcp_manifold::engine::config::Confidential;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::fs;
use std::path::Path;

/// Signs certificates.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        Self { issuer }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For the controller, reached as 127.0.0.1.
    pub(super) fn server(&self) -> Identity {
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        self.issue(vec![address], ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// For a processor of this gateway.
    pub(super) fn client(&self, gateway: &str) -> Identity {
        self.issue(vec![uri(gateway)], ExtendedKeyUsagePurpose::ClientAuth, |_| {})
    }

    /// For a processor of several gateways, or of none.
    pub(super) fn client_of(&self, gateways: &[&str]) -> Identity {
        let names = gateways.iter().map(|gateway| uri(gateway)).collect();
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, |_| {})
    }

    /// For a processor, long ago.
    pub(super) fn expired(&self, gateway: &str) -> Identity {
        self.issue(vec![uri(gateway)], ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 4, 1);
        })
    }

    fn issue(
        &self,
        names: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = names;
        params.extended_key_usages = vec![purpose];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Identity {
            ca: self.pem().into(),
            certificate: certificate.pem().into(),
            key: Confidential(key.serialize_pem().into()),
        }
    }
}

/// Writes the files of a mounted Secret.
pub(super) fn mount(folder: &Path, identity: &Identity) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("ca.crt"), &*identity.ca).expect("written");
    fs::write(folder.join("tls.crt"), &*identity.certificate).expect("written");
    fs::write(folder.join("tls.key"), &*identity.key.0).expect("written");
}

fn uri(gateway: &str) -> SanType {
    SanType::URI(format!("mcp-manifold://gateway/{gateway}").try_into().expect("ASCII"))
}
