//! An authority, and what it signs for both sides of a registry.

use mcp_manifold::edge::registry::Identity;
use mcp_manifold::engine::config::Confidential;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use std::path::Path;

pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    /// The controller, reached as 127.0.0.1.
    pub(super) fn server(&self) -> Identity {
        let name = SanType::IpAddress([127, 0, 0, 1].into());
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A processor of this gateway: the folder of a mounted Secret.
    pub(super) fn mount(&self, gateway: &str, folder: &Path) {
        let uri = format!("mcp-manifold://gateway/{gateway}");
        let name = SanType::URI(uri.try_into().expect("ASCII"));
        let identity = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::create_dir_all(folder).expect("a folder");
        for (file, text) in [
            ("ca.crt", &identity.ca),
            ("tls.crt", &identity.certificate),
            ("tls.key", &identity.key.0),
        ] {
            std::fs::write(folder.join(file), &**text).expect("written");
        }
    }

    fn issue(&self, name: SanType, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        Identity {
            ca: self.0.pem().into(),
            certificate: certificate.pem().into(),
            key: Confidential(key.serialize_pem().into()),
        }
    }
}
