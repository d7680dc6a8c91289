//! TLS as `sslmode` and the certificates' files ask for.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    failure::Who,
    socket::Socket,
    verify::{Check, Roots, Verifier},
};
use crate::{
    ConnectFailure, TlsProblem,
    libpq::{ChannelBinding, Host, Settings, SslMode, SslNegotiation, TlsVersion},
};

/// TLS's `ALPN` name of PostgreSQL, without which a server refuses direct TLS.
const ALPN: &[u8] = b"postgresql";

/// What all hosts share.
pub(super) struct Tls {
    config: ClientConfig,
    mode: SslMode,
    negotiation: SslNegotiation,
}

/// What starts TLS with one host.
#[derive(Clone)]
pub(super) struct Connector {
    make: MakeRustlsConnect,
    name: String,
    pub(super) negotiation: SslNegotiation,
}

type Starter = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

impl Tls {
    /// `None` where no host can need TLS. Reads the certificates' files.
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, ConnectFailure> {
        let over_tcp = settings.hosts.iter().any(|host| matches!(host, Host::Tcp { .. }));
        if settings.ssl_mode == SslMode::Disable || !over_tcp {
            return Ok(None);
        }
        let config = config(settings).map_err(|reason| ConnectFailure::Tls {
            server: settings.server(),
            reason,
            problem: TlsProblem::Files,
        })?;
        Ok(Some(Self { config, mode: settings.ssl_mode, negotiation: settings.ssl_negotiation }))
    }

    /// What starts TLS with a host of that name.
    pub(super) fn connector(&self, host: &str, who: &Who) -> Result<Connector, ConnectFailure> {
        let mut config = self.config.clone();
        let mut name = host.to_owned();
        if ServerName::try_from(host).is_err() {
            if self.mode == SslMode::VerifyFull {
                let reason = format!("`{host}` cannot be the name in a certificate");
                return Err(who.tls(reason, TlsProblem::WrongHost));
            }
            // The name is not looked at, but the library wants one.
            config.enable_sni = false;
            "unnamed.invalid".clone_into(&mut name);
        }
        Ok(Connector { make: MakeRustlsConnect::new(config), name, negotiation: self.negotiation })
    }
}

impl Connector {
    /// Starts one handshake.
    pub(super) fn start(&self) -> Starter {
        let Ok(starter) = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.make.clone(), &self.name);
        starter
    }
}

fn config(settings: &Settings) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let versions = match settings.ssl_versions {
        (TlsVersion::V12, TlsVersion::V12) => vec![&TLS12],
        (TlsVersion::V13, TlsVersion::V13 | TlsVersion::V12) => vec![&TLS13],
        (TlsVersion::V12, TlsVersion::V13) => vec![&TLS13, &TLS12],
    };
    let bound = settings.channel_binding == ChannelBinding::Require;
    let check = match (settings.ssl_mode, &settings.ssl_root_cert) {
        (SslMode::VerifyFull, Some(file)) => Check::ChainAndName(Roots::from_file(file)?),
        (SslMode::VerifyFull, None) => Check::ChainAndName(Roots::of_the_system()?),
        (_, Some(file)) => Check::Chain(Roots::from_file(file)?),
        (SslMode::VerifyCa, None) => Check::Chain(Roots::of_the_system()?),
        (SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require, None) => {
            Check::Nothing { bound }
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { check, algorithms }));
    let mut config = match (&settings.ssl_cert, &settings.ssl_key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| format!("{} and {} do not fit: {error}", cert.display(), key.display()))?,
        _ => builder.with_no_client_auth(),
    };
    config.enable_sni = settings.ssl_sni;
    if settings.ssl_negotiation == SslNegotiation::Direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(config)
}

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", path.display());
    let pem = fs::read(path).map_err(|error| unreadable(&error))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{} holds no certificate in PEM", path.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(unreadable(&error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("the key {} cannot be read: {error}", path.display());
    let data = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if too_open(&data) {
        return Err(format!("the key {} can be read by others: chmod 0600 it", path.display()));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(&error))
}

/// libpq's rule: 0600, or 0640 for a key of root's.
#[cfg(unix)]
fn too_open(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let forbidden = if data.uid() == 0 { 0o037 } else { 0o077 };
    data.mode() & forbidden != 0
}

#[cfg(not(unix))]
fn too_open(_data: &fs::Metadata) -> bool {
    false
}
