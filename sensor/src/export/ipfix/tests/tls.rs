//! Collectors over TLS that are not whom they should be, or do not know the sensor.

use std::{
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use self::authority::{Authority, authority};
use super::*;
use crate::config::{Identity, Tls};

#[path = "../../../../tests/support/authority.rs"]
mod authority;

/// Reads what comes over TLS from whoever `authority` vouches for; in the end, the sum of octets.
struct TlsCollector {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Decoder>,
}

impl TlsCollector {
    fn start([certificate, key]: &[String; 2], authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (port, stop) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let run = move || {
            let mut decoder = Decoder::default();
            while !stopped.load(Ordering::Relaxed) {
                let Ok((mut tcp, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                tcp.set_nonblocking(false).unwrap();
                tcp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let (mut stream, mut bytes, mut buffer) = (Stream::new(&mut tls, &mut tcp), vec![], [0; 4096]);
                while !stopped.load(Ordering::Relaxed) {
                    match stream.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(len) => bytes.extend_from_slice(&buffer[..len]),
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(_) => break,
                    }
                }
                decoder.stream(&mut bytes);
            }
            decoder
        };
        Self { port, stop, thread: thread::spawn(run) }
    }

    fn finish(self) -> Decoder {
        thread::sleep(Duration::from_millis(200));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Delivers an interval to a collector with these certificates; what it read, and how the exporter did until something was delivered or failed.
fn deliver(collector: &[String; 2], clients: &Authority, ca: &Authority, own: &[String; 2]) -> (u64, Progress) {
    let folder = tempfile::tempdir().unwrap();
    let collector = TlsCollector::start(collector, clients);
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let identity = Identity { cert: file("cert", &own[0]), key: file("key", &own[1]) };
    let tls = Tls { ca: Some(file("ca", &ca.pem())), identity: Some(identity) };
    let mut config = config(Transport::Tls(tls), collector.port, &[Additive::Prefix]);
    config.host.name = "localhost".to_owned();
    let spool = spool(&folder.path().join("state"), 1, 50);
    let exporters = start(&config, &spool);
    wait("it is delivered, or fails", || {
        let progress = exporters.statuses()[0].progress();
        progress.pieces > 0 || !progress.failures.is_empty()
    });
    let progress = exporters.statuses()[0].progress();
    finish(exporters);
    (collector.finish().sum(5, 1), progress)
}

#[test]
fn only_who_is_known_is_sent_anything() {
    let (one, other) = (authority("one"), authority("other"));
    let certificate = |authority: &Authority, host: &str, year| authority::certificate(authority, host, 1, year);
    let collector = certificate(&one, "localhost", 2090);
    let own = certificate(&one, "edge-1", 2080);
    let (octets, progress) = deliver(&collector, &one, &one, &own);
    assert_eq!((octets, progress.failures.len()), (expected(1, 50), 0), "{progress:?}");
    assert!(progress.expires.is_some());

    for (what, collector, clients, ca, own) in [
        ("another authority", &collector, &one, &other, &own),
        ("an expired collector", &certificate(&one, "localhost", 2021), &one, &one, &own),
        ("another host", &certificate(&one, "elsewhere", 2090), &one, &one, &own),
        ("a sensor that it does not know", &collector, &other, &one, &own),
        ("an expired sensor", &collector, &one, &one, &certificate(&one, "edge-1", 2021)),
    ] {
        let (octets, progress) = deliver(collector, clients, ca, own);
        assert_eq!((octets, progress.pieces), (0, 0), "{what}");
        assert_eq!(progress.failures.keys().collect::<Vec<_>>(), [&Failure::Tls], "{what}");
    }
}
