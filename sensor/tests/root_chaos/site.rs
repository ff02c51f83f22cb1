//! A sensor under traffic, its collectors, and a small disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use sensor::testing::netns::{run, within};

#[cfg(feature = "kafka")]
use crate::kafka::Kafka;
use crate::{
    agent::{self, Agent, eventually},
    clickhouse::{self, Store},
    disk::Disk,
    ipfix::{self, Book},
    server::{Manner, Server},
    stage::{Settings, Stage},
};

/// Ports in the namespace of the sensor.
const IPFIX: u16 = 4739;
const CLICKHOUSE: u16 = 8123;
const METRICS: &str = "127.0.0.1:9477";
/// Prefixes beside those of every stage, so that an interval is longer than what a socket holds.
const MORE: u8 = 100;
/// How long a sensor may take to become ready before it is looked at again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that can fail, and what must not.
pub(crate) struct Site {
    agent: Option<Agent>,
    pub(crate) ipfix: Server,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) clickhouse: Server,
    pub(crate) store: Arc<Mutex<Store>>,
    #[cfg(feature = "kafka")]
    pub(crate) kafka: Kafka,
    /// What agents said that are gone.
    pub(crate) messages: Vec<String>,
    /// The last words of agents that nobody killed.
    pub(crate) ended: Vec<String>,
    pub(crate) lives: usize,
    pub(crate) settings: Settings,
    /// Before the folder that it is mounted in.
    pub(crate) disk: Disk,
    pub(crate) stage: Stage,
}

impl Site {
    /// With a sensor that counts.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let stage = Stage::new(name);
        let namespace = stage.wire.sensor.clone();
        run(&namespace, &["ip", "link", "set", "lo", "up"]).unwrap();
        let disk = Disk::new(&stage.state_dir());
        let (book, store) = (Arc::<Mutex<Book>>::default(), Arc::<Mutex<Store>>::default());
        let (kept, stored) = (Arc::clone(&book), Arc::clone(&store));
        let ipfix = Server::start(&namespace, IPFIX, seed, move |connection| ipfix::serve(connection, &kept));
        let clickhouse =
            Server::start(&namespace, CLICKHOUSE, !seed, move |connection| clickhouse::serve(connection, &stored));
        #[cfg_attr(not(feature = "kafka"), expect(unused_mut, reason = "there are more collectors with Kafka"))]
        let mut text = format!(
            "[metrics]\nlisten = {METRICS:?}\n[spool]\nmax_size = \"16MiB\"\n\
             [[exporter]]\ntype = \"ipfix\"\nname = \"ipfix\"\nendpoint = \"tcp://127.0.0.1:{IPFIX}\"\ndomain = {}\n\
             [[exporter]]\ntype = \"clickhouse\"\nname = \"clickhouse\"\nendpoint = \"http://127.0.0.1:{CLICKHOUSE}\"\n",
            ipfix::DOMAIN
        );
        #[cfg(feature = "kafka")]
        let kafka = Kafka::start(&namespace);
        #[cfg(feature = "kafka")]
        {
            text += "[[exporter]]\ntype = \"kafka\"\nname = \"kafka\"\ntopic = \"records\"\n";
            text += &format!("endpoint = \"kafka://{}\"\n", kafka.brokers);
        }
        let more = (0..MORE).map(|last| &*format!("198.51.100.{last}").leak()).collect();
        let settings = Settings { text: text.leak(), more, ..Settings::default() };
        let mut site = Self {
            stage,
            settings,
            ipfix,
            book,
            clickhouse,
            store,
            #[cfg(feature = "kafka")]
            kafka,
            agent: None,
            messages: vec![],
            ended: vec![],
            lives: 0,
            disk,
        };
        site.start();
        site.agent.as_mut().unwrap().wait_for_message("attached");
        site
    }

    pub(crate) fn start(&mut self) {
        let config = self.stage.configure(&self.settings);
        self.agent = Some(Agent::spawn(&mut self.stage.command(&["run", "--config", &config])));
        self.lives += 1;
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.finish("KILL");
    }

    /// Ends the agent by a signal, if it has not ended by itself.
    pub(crate) fn finish(&mut self, signal: &str) {
        let Some(agent) = self.agent.take() else { return };
        let had_ended = is_over(agent.id());
        let ended = agent.stop(signal);
        assert!(ended.records.is_empty(), "nothing goes to standard output");
        if had_ended {
            self.ended.push(ended.messages.last().cloned().unwrap_or_default());
        } else {
            assert_eq!(ended.status.success(), signal != "KILL", "{signal}: {:#?}", ended.messages);
        }
        self.messages.extend(ended.messages);
    }

    /// Starts another agent where one has ended by itself, as systemd does.
    pub(crate) fn look_after(&mut self) {
        if self.agent.as_ref().is_none_or(|agent| is_over(agent.id())) {
            self.finish("KILL");
            self.start();
        }
    }

    pub(crate) fn heal(&mut self) {
        self.ipfix.behave(Manner::Well);
        self.clickhouse.behave(Manner::Well);
        #[cfg(feature = "kafka")]
        self.kafka.behave(crate::kafka::Trouble::Well);
    }

    /// Waits until each collector has an interval that ended after `moment`, and so whatever was before it.
    pub(crate) fn wait_until_all_have(&mut self, moment: Timestamp) {
        let mut have = BTreeMap::new();
        let all = eventually(|| {
            self.look_after();
            have = self.last_ends();
            have.values().all(|end| end.is_some_and(|end| end > moment))
        });
        assert!(all, "{moment}: {have:?}\n{:#?}", self.agent.as_ref().map(Agent::messages));
    }

    /// The end of the last interval that each collector has.
    fn last_ends(&self) -> BTreeMap<&'static str, Option<Timestamp>> {
        #[cfg_attr(not(feature = "kafka"), expect(unused_mut, reason = "there are more collectors with Kafka"))]
        let mut ends = BTreeMap::from([
            ("ipfix", self.book.lock().unwrap().seen.last_end()),
            ("clickhouse", self.store.lock().unwrap().seen.last_end()),
        ]);
        #[cfg(feature = "kafka")]
        ends.insert("kafka", self.kafka.last_end());
        ends
    }

    /// What the page for Prometheus says of the records that exporters lost, ever.
    pub(crate) fn lost(&self) -> Vec<String> {
        let ask = || {
            let mut stream = TcpStream::connect(METRICS)?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let mut page = String::new();
        let namespace = &self.stage.wire.sensor;
        let is_there = agent::within(PATIENCE, || {
            page = within(namespace, ask).unwrap_or_default();
            page.contains("edge_export_lost_records_total{")
        });
        assert!(is_there, "{page}");
        page.lines().filter(|line| line.starts_with("edge_export_lost_records_total{")).map(str::to_owned).collect()
    }
}

/// Whether a child has ended that nobody waited for.
fn is_over(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}
