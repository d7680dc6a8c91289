//! How much of the server's certificate is looked at.

use std::path::Path;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::tls::certificates;

/// libpq's three depths of verification.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) check: Check,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What has to be true of a certificate.
#[derive(Debug)]
pub(super) enum Check {
    /// Nothing. `bound` says that log-in is bound to the certificate, so that the server must at least own its key.
    Nothing { bound: bool },
    /// A trusted authority signed it.
    Chain(Roots),
    /// A trusted authority signed it for that very host.
    ChainAndName(Roots),
}

/// Whom to trust.
#[derive(Debug)]
pub(super) struct Roots {
    authorities: RootCertStore,
    /// The certificates of the file themselves: a server's own self-signed certificate may stand there.
    pinned: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// The authorities of a PEM file.
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let pinned = certificates(path)?;
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(pinned.iter().cloned());
        if authorities.is_empty() {
            return Err(format!("{} holds no certificate that can be understood", path.display()));
        }
        Ok(Self { authorities, pinned })
    }

    /// The authorities that the operating system trusts.
    pub(super) fn of_the_system() -> Result<Self, String> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(loaded.certs);
        if authorities.is_empty() {
            let why = loaded.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("the system has no trusted authorities{why}"));
        }
        Ok(Self { authorities, pinned: Vec::new() })
    }

    fn signed(
        &self,
        certificate: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        let verified = verify_server_cert_signed_by_trust_anchor(
            parsed,
            &self.authorities,
            intermediates,
            now,
            algorithms.all,
        );
        match verified {
            // The library takes no authority's certificate as a server's, and no server's as an authority's; both are
            // judged after its time of validity. OpenSSL trusts what the file holds word for word, and so do we.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.pinned.iter().any(|pinned| pinned == certificate) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.check {
            Check::Nothing { .. } => {}
            Check::Chain(roots) => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                roots.signed(certificate, &parsed, intermediates, now, self.algorithms)?;
            }
            Check::ChainAndName(roots) => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                roots.signed(certificate, &parsed, intermediates, now, self.algorithms)?;
                verify_server_name(&parsed, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge(verify_tls12_signature(message, certificate, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge(verify_tls13_signature(message, certificate, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// Where nothing is to be verified, a certificate that cannot be read (X.509 v1 is still made by many recipes) is no
    /// reason to refuse.
    fn judge(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match (verified, &self.check) {
            (
                Err(Error::InvalidCertificate(CertificateError::BadEncoding | CertificateError::Other(_))),
                Check::Nothing { bound: false },
            ) => Ok(HandshakeSignatureValid::assertion()),
            (verified, Check::Nothing { .. } | Check::Chain(_) | Check::ChainAndName(_)) => verified,
        }
    }
}
