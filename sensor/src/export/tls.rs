//! TLS as exporters speak it: 1.3 or 1.2, the collector known by its certificate, the sensor by its own where one is configured.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use x509_parser::parse_x509_certificate;

use super::Failure;
use crate::config::{Identity, Tls};

/// What connections are made with, as files said when it was read.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// For rustls.
    pub(super) client: Arc<ClientConfig>,
    /// When the first certificate of the files expires.
    pub(super) expires: Option<Timestamp>,
}

impl Trust {
    /// Reads the files.
    pub(super) fn read(tls: &Tls) -> Result<Self> {
        let read = || {
            let mut expires = None;
            let mut roots = RootCertStore::empty();
            match &tls.ca {
                Some(file) => {
                    for certificate in certificates(file, &mut expires)? {
                        let added = roots.add(certificate);
                        added.with_context(|| format!("{}: no certificate of an authority", file.display()))?;
                    }
                }
                None => {
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                    if roots.is_empty() {
                        bail!(
                            "this system trusts no authority; install the package ca-certificates, or add ca = \"...\""
                        );
                    }
                }
            }
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .context("no version of TLS")?
                .with_root_certificates(roots);
            let client = match &tls.identity {
                None => builder.with_no_client_auth(),
                Some(Identity { cert, key }) => {
                    let chain = certificates(cert, &mut expires)?;
                    let secret = PrivateKeyDer::from_pem_file(key);
                    let secret = secret
                        .with_context(|| format!("{}: no private key in PEM; correct the file", key.display()))?;
                    let built = builder.with_client_auth_cert(chain, secret);
                    built.with_context(|| format!("{} does not fit {}", key.display(), cert.display()))?
                }
            };
            Ok(Self { client: Arc::new(client), expires })
        };
        read().context(Failure::Tls)
    }
}

/// The certificates of a file, at least one. `expires` becomes when the first of them does.
fn certificates(file: &Path, expires: &mut Option<Timestamp>) -> Result<Vec<CertificateDer<'static>>> {
    let path = file.display();
    let text = fs::read(file).with_context(|| format!("{path}: cannot read; correct the path, or allow to read it"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.with_context(|| format!("{path}: no certificate in PEM; correct the file"))?;
    if chain.is_empty() {
        bail!("{path}: no certificate in PEM; correct the file");
    }
    for certificate in &chain {
        let parsed = parse_x509_certificate(certificate);
        let (_, parsed) = parsed.with_context(|| format!("{path}: no X.509 certificate; correct the file"))?;
        let end = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok();
        *expires = [*expires, end].into_iter().flatten().min();
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn files_are_read_and_the_first_to_expire_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = |year| {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, 1, 1);
            let key = KeyPair::generate().unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let ((ca, _), (cert, key), (_, other)) = (certificate(2050), certificate(2040), certificate(2040));
        let [ca, cert, key, other, bad] =
            [("ca", &ca), ("cert", &cert), ("key", &key), ("other", &other), ("bad", &"x".to_owned())]
                .map(|(name, text)| write(folder.path(), name, text));
        let identity = |cert: &PathBuf, key: &PathBuf| Some(Identity { cert: cert.clone(), key: key.clone() });
        let tls = |ca: &PathBuf, identity| Tls { ca: Some(ca.clone()), identity };
        let read = Trust::read(&tls(&ca, identity(&cert, &key))).unwrap();
        assert_eq!(read.expires, Some("2040-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(Trust::read(&tls(&ca, None)).unwrap().expires, Some("2050-01-01T00:00:00Z".parse().unwrap()));
        for (tls, expected) in [
            (tls(&bad, None), "bad: no certificate in PEM"),
            (tls(&folder.path().join("none"), None), "none: cannot read; correct the path"),
            (tls(&ca, identity(&cert, &bad)), "bad: no private key in PEM"),
            (tls(&ca, identity(&cert, &other)), "other does not fit"),
        ] {
            let error = Trust::read(&tls).unwrap_err();
            assert_eq!(Failure::of(&error), Failure::Tls);
            let text = format!("{error:#}");
            assert!(text.starts_with("cannot agree on TLS: ") && text.contains(expected), "{text}");
        }
    }
}
