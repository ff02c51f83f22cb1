//! Certificates that are wrong, expired, and exchanged on disk, under an agent that runs.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sensor::testing::{
    ipfix::Session,
    netns::{LINK, run},
    truth::Sum,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use x509_parser::parse_x509_certificate;

use crate::{
    agent::{Agent, eventually},
    authority::{Authority, authority, certificate},
    ipfix::{Book, DOMAIN},
    root::is_root,
    server::{Connection, Server},
    stage::{Settings, Stage},
    traffic::Traffic,
};

const PORT: u16 = 4740;
const RATE: u64 = 2_000;
/// The longest pause between two attempts of an exporter, which SIGHUP is not to wait for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a collector shows, whom it knows, and what came of it.
struct Collector {
    config: Mutex<Arc<ServerConfig>>,
    book: Mutex<Book>,
    /// Records by the serial number of the sensor's certificate.
    serials: Mutex<BTreeMap<u64, usize>>,
    /// Connections that came to nothing.
    refused: Mutex<usize>,
}

impl Collector {
    fn new(shown: &[String; 2], clients: &Authority) -> Self {
        let config = Mutex::new(config(shown, clients));
        Self { config, book: Mutex::default(), serials: Mutex::default(), refused: Mutex::default() }
    }

    /// Shows another certificate, to whoever comes.
    fn show(&self, shown: &[String; 2], clients: &Authority) {
        *self.config.lock().unwrap() = config(shown, clients);
    }

    fn serve(&self, mut connection: Connection) {
        let mut tls = ServerConnection::new(Arc::clone(&self.config.lock().unwrap())).unwrap();
        let (mut session, mut bytes, mut buffer) = (Session::default(), vec![], [0; 4096]);
        connection.stream.set_nonblocking(false).unwrap();
        connection.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while connection.manner().is_some() {
            match Stream::new(&mut tls, &mut connection.stream).read(&mut buffer) {
                Ok(len) if len > 0 => bytes.extend_from_slice(&buffer[..len]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                // However it ends: what came before did come.
                Ok(_) | Err(_) => break,
            }
            let serial = serial(&tls.peer_certificates().unwrap()[0]);
            let records = session.stream(&mut bytes);
            *self.serials.lock().unwrap().entry(serial).or_default() += records.as_ref().map_or(0, Vec::len);
            self.book.lock().unwrap().keep(records, session.gaps + session.unknown_sets);
        }
        *self.refused.lock().unwrap() += usize::from(tls.peer_certificates().is_none());
    }

    /// The serial numbers by which anything came, in their order.
    fn serials(&self) -> Vec<u64> {
        self.serials.lock().unwrap().keys().copied().collect()
    }

    fn last_end(&self) -> Option<Timestamp> {
        self.book.lock().unwrap().seen.last_end()
    }

    /// Waits until there is an interval that ended after now, and so all before it; returns how long that took.
    fn wait(&self, agent: &Agent) -> Duration {
        let (from, began) = (Timestamp::now(), Instant::now());
        assert!(eventually(|| self.last_end().is_some_and(|end| end > from)), "{:#?}", agent.messages());
        began.elapsed()
    }

    /// Waits until so many more connections came to nothing.
    fn wait_for_refusals(&self, more: usize, agent: &Agent) {
        let refused = || *self.refused.lock().unwrap();
        let before = refused();
        assert!(eventually(|| refused() >= before + more), "{:#?}", agent.messages());
    }
}

fn config([chain, key]: &[String; 2], clients: &Authority) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap())
}

fn serial(certificate: &[u8]) -> u64 {
    parse_x509_certificate(certificate).unwrap().1.serial.to_u64_digits()[0]
}

/// Puts a file in place of another, at once, as those who renew certificates do.
fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join("draft"), text).unwrap();
    fs::rename(folder.join("draft"), folder.join(name)).unwrap();
}

#[test]
fn certificates_are_exchanged_under_an_agent_that_runs() {
    if !is_root("certificates_are_exchanged_under_an_agent_that_runs") {
        return;
    }
    let stage = Stage::new("tls");
    run(&stage.wire.sensor, &["ip", "link", "set", "lo", "up"]).unwrap();
    let (one, other) = (authority("one"), authority("other"));
    let shown = |authority: &Authority, year| certificate(authority, "localhost", 1, year);
    let own = |serial| certificate(&one, "edge-1", serial, 2090);
    let put_own = |[cert, key]: &[String; 2]| {
        put(stage.folder(), "cert.pem", cert);
        put(stage.folder(), "key.pem", key);
    };
    put(stage.folder(), "ca.pem", &one.pem());
    put_own(&own(11));
    let text = format!(
        "[[exporter]]\ntype = \"ipfix\"\nname = \"ipfix\"\nendpoint = \"tls://localhost:{PORT}\"\ndomain = {DOMAIN}\n\
         ca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n"
    );
    let settings = Settings { text: text.leak(), ..Settings::default() };

    let collector = Arc::new(Collector::new(&shown(&one, 2021), &one));
    let serving = Arc::clone(&collector);
    let server = Server::start(&stage.wire.sensor, PORT, 1, move |connection| serving.serve(connection));
    let configuration = stage.configure(&settings);
    let mut agent = Agent::spawn(&mut stage.command(&["run", "--config", &configuration]));
    agent.wait_for_message("attached");
    let traffic = Traffic::start_at(RATE, &stage.wire, LINK, 1, &settings.table());
    agent.wait_for_message("exporter \"ipfix\": cannot agree on TLS");
    collector.wait_for_refusals(2, &agent);
    // Another authority's is as bad, and SIGHUP makes the sensor try at once.
    collector.show(&shown(&other, 2090), &one);
    agent.signal("HUP");
    collector.wait_for_refusals(2, &agent);
    assert_eq!((collector.last_end(), collector.serials()), (None, vec![]), "nobody has anything");

    collector.show(&shown(&one, 2090), &one);
    agent.signal("HUP");
    let after = collector.wait(&agent);
    println!("delivered {after:?} after the collector's certificate was good");
    assert!(after < LONGEST_PAUSE, "{after:?}");
    assert_eq!(collector.serials(), [11]);

    // Files alone change nothing.
    put_own(&own(12));
    collector.wait(&agent);
    assert_eq!(collector.serials(), [11]);
    agent.signal("HUP");
    assert!(eventually(|| collector.serials() == [11, 12]), "{:#?}", agent.messages());

    // Whoever is faster than the one who exchanges them finds a key of another certificate, and tries again by itself.
    let [cert, key] = own(13);
    put(stage.folder(), "cert.pem", &cert);
    agent.signal("HUP");
    agent.wait_for_message("does not fit");
    put(stage.folder(), "key.pem", &key);
    assert!(eventually(|| collector.serials() == [11, 12, 13]), "{:#?}", agent.messages());

    // Both ends change their authority.
    collector.show(&shown(&other, 2090), &other);
    put(stage.folder(), "ca.pem", &other.pem());
    put_own(&certificate(&other, "edge-1", 14, 2090));
    agent.signal("HUP");
    assert!(eventually(|| collector.serials() == [11, 12, 13, 14]), "{:#?}", agent.messages());

    let truth = traffic.stop(&stage.wire);
    collector.wait(&agent);
    assert!(agent.stop("TERM").status.success());
    assert_eq!(stage.finish(&["detach", "--config", &configuration]).status, Some(0));
    stage.assert_gone(&settings);
    let mut sums = BTreeMap::<_, Sum>::new();
    let expected = truth.tally(&settings.table()).prefixes;
    let all = eventually(|| {
        sums.clear();
        for (key, sum) in &collector.book.lock().unwrap().prefixes {
            sums.entry((key.prefix.clone(), key.direction.clone())).or_default().add(*sum);
        }
        sums == expected
    });
    assert!(all, "{sums:?}, and {expected:?}");
    let book = collector.book.lock().unwrap();
    println!("{} records, {} came again; {:?}", book.prefixes.len(), book.repeated, collector.serials.lock().unwrap());
    assert!(book.wrong.is_empty(), "{:#?}", book.wrong);
    drop(server);
}
