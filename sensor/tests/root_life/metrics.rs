//! The page for Prometheus: what it adds up to is what was sent, over a kill too, and Prometheus' own tool takes it.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use sensor::testing::{
    netns::{LINK, run, within},
    truth::{Table, Tally},
};

use crate::{
    agent::{Agent, eventually},
    root::is_root,
    stage::{Settings, Stage},
    traffic::{Sent, Traffic},
};

const ADDRESS: &str = "127.0.0.1:9477";
const SECTION: &str = "[metrics]\nlisten = \"127.0.0.1:9477\"\nprefixes = true\n";

/// Whether a prefix is one of the watched network of a stage.
fn is_own(prefix: &str) -> bool {
    ["192.0.2.", "2001:db8:"].iter().any(|start| prefix.starts_with(start))
}

/// Asks the agent of a stage; head and body, where one answers.
fn get(stage: &Stage, path: &str, accept: &str) -> Option<(String, String)> {
    let ask = || {
        let mut stream = TcpStream::connect(ADDRESS)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: edge\r\nAccept: {accept}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = within(&stage.wire.sensor, ask).ok()?;
    answer.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned()))
}

/// The series of a page: what stands before the number, and the number.
fn page(stage: &Stage) -> BTreeMap<String, f64> {
    let (_, body) = get(stage, "/metrics", "text/plain").unwrap_or_default();
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// The sum of a family over the series that have all of these labels.
fn sum(page: &BTreeMap<String, f64>, family: &str, labels: &[&str]) -> u64 {
    let is_it = |name: &&String| name.starts_with(&format!("{family}{{")) && labels.iter().all(|it| name.contains(it));
    page.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| *value as u64).sum()
}

/// Whether the page has what was sent, and nothing else.
fn differs(page: &BTreeMap<String, f64>, table: &Table, [rx, tx]: [&Sent; 2]) -> Option<String> {
    let mut all = rx.tally(table);
    all.add(&tx.tally(table));
    let side = |side: &str, family: &str| sum(page, family, &[&format!("direction=\"{side}\"")]);
    let mut pairs: Vec<(String, u64, u64)> = vec![];
    for (name, tally) in [("rx", rx.tally(table)), ("tx", tx.tally(table))] {
        let Tally { seen, other, unparsed, .. } = &tally;
        let mut pair = |family: &str, sent: u64| pairs.push((format!("{name} {family}"), side(name, family), sent));
        pair("edge_seen_packets_total", seen.packets);
        pair("edge_seen_frame_bytes_total", seen.frame_bytes);
        pair("edge_matched_packets_total", tally.matched().packets);
        pair("edge_matched_bytes_total", tally.matched().bytes);
        pair("edge_other_bytes_total", other.bytes);
        pair("edge_unparsed_packets_total", unparsed.values().sum());
    }
    for ((prefix, direction), sent) in &all.prefixes {
        let labels = [format!("prefix=\"{prefix}\""), format!("direction=\"{direction}\"")];
        let labels = labels.each_ref().map(String::as_str);
        pairs.push((format!("{labels:?}"), sum(page, "edge_prefix_bytes_total", &labels), sent.bytes));
        pairs.push((format!("{labels:?}"), sum(page, "edge_prefix_packets_total", &labels), sent.packets));
    }
    for direction in ["in", "out"] {
        // Each watched end is billed to the network once, as it is to a prefix of it.
        let own = all.prefixes.iter().filter(|((prefix, way), _)| way == direction && is_own(prefix));
        let sent = own.fold((0, 0), |(bytes, packets), (_, sum)| (bytes + sum.bytes, packets + sum.packets));
        let labels = ["network=\"own\"", &format!("direction=\"{direction}\"")];
        let net = |what: &str| {
            let part = |part: &str| sum(page, &format!("edge_network_{part}{what}_total"), &labels);
            part("").wrapping_sub(part("moved_"))
        };
        pairs.push((format!("{labels:?} net bytes"), net("bytes"), sent.0));
        pairs.push((format!("{labels:?} net packets"), net("packets"), sent.1));
    }
    assert!(pairs.len() > 20, "{pairs:?}");
    let wrong = pairs.into_iter().filter(|(_, shown, sent)| shown != sent);
    let wrong: Vec<String> = wrong.map(|(name, shown, sent)| format!("{name}: shown {shown}, sent {sent}")).collect();
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

/// Whether `promtool check metrics` takes the page as it is.
fn check(stage: &Stage) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("promtool").exists()) {
        println!("SKIP promtool: not installed (apt-get install prometheus)");
        return;
    }
    let (_, body) = get(stage, "/metrics", "text/plain").unwrap();
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
    println!("promtool takes {} series", body.lines().filter(|line| !line.starts_with('#')).count());
}

fn wait_until_ready(stage: &Stage, agent: &Agent) {
    let ready = || get(stage, "/readyz", "*/*").is_some_and(|(head, _)| head.starts_with("HTTP/1.1 200"));
    assert!(eventually(ready), "{:#?}", agent.messages());
}

/// Where the address is taken there is no start, not even half of one.
fn refuse(stage: &Stage, settings: &Settings) {
    let taken = within(&stage.wire.sensor, || Ok(TcpListener::bind(ADDRESS)?)).unwrap();
    let config = stage.configure(settings);
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    assert!(run.status == Some(1) && run.stdout.is_empty(), "{run:?}");
    assert!(run.stderr.contains("cannot listen on 127.0.0.1:9477; stop what listens there"), "{run:?}");
    stage.assert_gone(settings);
    drop(taken);
}

/// Two lives of an agent, killed in between: each page has what was sent since the one before.
#[test]
fn totals_on_the_page_are_what_was_sent() {
    if !is_root("totals_on_the_page_are_what_was_sent") {
        return;
    }
    let stage = Stage::new("metrics");
    run(&stage.wire.sensor, &["ip", "link", "set", "lo", "up"]).unwrap();
    let settings = Settings { text: SECTION, ..Settings::default() };
    let table = settings.table();
    refuse(&stage, &settings);
    let mut received = (0, 0);
    let mut names: Vec<String> = vec![];
    for seed in [1, 2] {
        // In the second turn nobody is there yet.
        let started = (seed == 1).then(|| stage.started(&settings));
        if started.is_some() {
            check(&stage);
        }
        let traffic = Traffic::start(&stage.wire, LINK, seed, &table);
        traffic.wait(10_000);
        let (truth, now) = traffic.stop_after(&stage.wire, received);
        received = now;
        let agent = started.unwrap_or_else(|| stage.start(&settings));
        wait_until_ready(&stage, &agent);
        let difference = || differs(&page(&stage), &table, [&truth.rx, &truth.tx]);
        assert!(eventually(|| difference().is_none()), "{}", difference().unwrap_or_default());
        check(&stage);
        let (head, body) = get(&stage, "/metrics", "application/openmetrics-text").unwrap();
        assert!(head.contains("openmetrics-text; version=1.0.0") && body.ends_with("# EOF\n"), "{head}");
        assert!(get(&stage, "/healthz", "*/*").is_some_and(|(head, body)| head.contains("200") && body == "ok\n"));
        let shown = page(&stage);
        assert!(names.iter().all(|name| shown.contains_key(name)), "what was known has a series");
        names = shown.into_keys().filter(|name| name.starts_with("edge_prefix_")).collect();
        // What was shown is noted as written, once another interval is.
        let intervals = || page(&stage)["edge_intervals_total"];
        let then = intervals();
        assert!(eventually(|| intervals() >= then + 2.0));
        if seed == 2 {
            let (config, other) =
                (stage.configure(&Settings::default()), "from the next start of the agent: [metrics]");
            let run = stage.finish(&["reload", "--config", &config]);
            assert!(run.stdout.contains(other), "{run:?}");
        }
        stage.stop(agent, "KILL");
    }
    stage.detach(&settings);
}
