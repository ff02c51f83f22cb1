//! TLS before a server that speaks none, and what a sensor says that it does not let in.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::Arc,
    thread,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use crate::{history::History, running::Running};

/// Whom a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    Anyone,
    /// Those whom the authority vouches for.
    Known,
}

/// Speaks TLS, with the certificates of a folder, for whoever listens at an address; its port.
pub(crate) fn terminate(folder: &Path, clients: Clients, behind: String) -> u16 {
    let certificate = |name: &str| CertificateDer::from_pem_file(folder.join(name)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = match clients {
        Clients::Anyone => config.unwrap().with_no_client_auth(),
        Clients::Known => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate("ca.pem")).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.unwrap().with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_file(folder.join("collector.key")).unwrap();
    let config = config.with_single_cert(vec![certificate("collector.pem")], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = async move {
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), tokio::net::TcpListener::from_std(listener).unwrap());
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut server) = tokio::net::TcpStream::connect(behind).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    };
    thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(proxy));
    port
}

/// The first thing that is said of an exporter while a history is replayed to it; then it is given up.
pub(crate) fn complaint(history: &History, exporter: &str) -> String {
    let mut command = history.command(exporter, &["--export"]);
    let mut child = Running::start(command.stderr(Stdio::piped()));
    let lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut of_exporters = lines.filter(|line| line.contains("exporter"));
    of_exporters.next().expect("a line about an exporter")
}
