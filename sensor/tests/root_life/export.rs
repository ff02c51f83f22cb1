//! Records go to exporters: over kills, collectors that come late, and a reader that does not read.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use sensor::testing::{netns::LINK, rng::Rng};
use serde_json::Value;

use crate::{
    agent::{Agent, eventually},
    ballast::{fill, free},
    clogged::Clogged,
    mount::Mount,
    root::is_root,
    stage::{Settings, Stage, number, seed},
    traffic::Traffic,
};

/// A part of the life of an agent that is killed: some deliver, some do not get that far.
const LIFE_MS: usize = 2_000;
/// How long a sensor may take to stop whose collector takes nothing.
const LONGEST_STOP: Duration = Duration::from_secs(12);

/// With these exporters.
pub(crate) fn settings(exporters: &str) -> Settings {
    Settings { text: Box::leak(exporters.to_owned().into_boxed_str()), ..Settings::default() }
}

pub(crate) fn file(path: &Path) -> String {
    format!(
        "[[exporter]]\ntype = \"jsonl\"\nname = \"file\"\nendpoint = \"file://{}\"\nrotate = \"1MiB\"\nkeep = 100\n",
        path.display()
    )
}

fn socket(path: &Path) -> String {
    format!("[[exporter]]\ntype = \"jsonl\"\nname = \"socket\"\nendpoint = \"unix://{}\"\n", path.display())
}

/// The records of a file and those that were moved aside.
pub(crate) fn records(path: &Path) -> Vec<Value> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let names = crate::stage::names(path.parent().unwrap()).into_iter().filter(|other| other.starts_with(name));
    let texts = names.map(|name| fs::read_to_string(path.with_file_name(name)).unwrap());
    let text: String = texts.collect();
    // The last line may be on its way.
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A collector that keeps what it is sent; a line that was not sent to its end is none.
fn collector(path: PathBuf) -> Arc<Mutex<Vec<Value>>> {
    let had = Arc::new(Mutex::new(vec![]));
    let keep = Arc::clone(&had);
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                if let Some(whole) = line.strip_suffix('\n') {
                    keep.lock().unwrap().push(serde_json::from_str(whole).unwrap());
                }
                line.clear();
            }
        }
    });
    had
}

fn unique(records: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(Value::to_string).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn spawn(stage: &Stage, settings: &Settings) -> Agent {
    let config = stage.configure(settings);
    Agent::spawn(&mut stage.command(&["run", "--config", &config]))
}

/// Killed at random moments, and one of two collectors is only there in the end: each has every record once, by its key.
#[test]
fn every_exporter_has_every_record_over_kills() {
    if !is_root("every_exporter_has_every_record_over_kills") {
        return;
    }
    let seed = seed("export");
    let stage = Stage::new("export");
    let (path, place) = (stage.folder().join("records"), stage.folder().join("collector"));
    let settings = settings(&(file(&path) + &socket(&place)));
    let mut rng = Rng::new(seed);
    let mut agent = spawn(&stage, &settings);
    agent.wait_for_message("attached");
    let traffic = Traffic::start(&stage.wire, LINK, seed, &settings.table());
    for _ in 0..number("SENSOR_KILLS", 20) {
        thread::sleep(Duration::from_millis(rng.below(LIFE_MS) as u64));
        assert!(agent.stop("KILL").records.is_empty(), "nothing goes to standard output");
        agent = spawn(&stage, &settings);
    }
    traffic.wait(1);
    assert!(eventually(|| !records(&path).is_empty()));
    let truth = traffic.stop(&stage.wire);
    let had = collector(place);
    let ended = agent.stop("TERM");
    assert!(ended.status.success(), "{:#?}", ended.messages);
    let told = |part: &str| ended.messages.iter().filter(|message| message.contains(part)).count();
    assert!(told("exporter \"socket\": cannot connect") <= 1, "one line for a state: {:#?}", ended.messages);
    let config = stage.configure(&settings);
    let run = stage.finish(&["detach", "--config", &config]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    stage.assert_gone(&settings);
    let file_had = records(&path);
    stage.keep(&file_had);
    let totals = stage.check(&settings, &truth);
    assert_eq!(totals.epochs.len(), 1, "one life of the counters");
    assert!(eventually(|| unique(&had.lock().unwrap()) == unique(&file_had)));
    let sequences: Vec<u64> = file_had.iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.iter().max().unwrap() + 1 == unique_count(&sequences), "no interval is missing");
}

fn unique_count(sequences: &[u64]) -> u64 {
    let mut sequences = sequences.to_vec();
    sequences.sort_unstable();
    sequences.dedup();
    sequences.len() as u64
}

/// A reader of standard output that does not read holds up neither the tick, nor the other exporter, nor the end.
#[test]
fn an_exporter_that_is_stuck_holds_up_nothing_else() {
    if !is_root("an_exporter_that_is_stuck_holds_up_nothing_else") {
        return;
    }
    let stage = Stage::new("stuck");
    let path = stage.folder().join("records");
    let settings = settings(&(file(&path) + "[[exporter]]\ntype = \"jsonl\"\n"));
    let (_clogged, end) = Clogged::new(stage.folder());
    let config = stage.configure(&settings);
    let mut child = stage.command(&["run", "--config", &config]).stdout(end).spawn().unwrap();
    assert!(eventually(|| unique_count(
        &records(&path).iter().map(|record| record["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    ) >= 4));
    let began = Instant::now();
    // SAFETY: a signal to a child that is not waited for yet.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    let status = child.wait().unwrap();
    assert!(status.success() && began.elapsed() < LONGEST_STOP, "{status}, {:?}", began.elapsed());
    // What it had not delivered is there for another start, and is said to be.
    let other = Settings { text: Box::leak(file(&path).into_boxed_str()), ..settings };
    let run = stage.finish(&["detach", "--config", &stage.configure(&other)]);
    assert_eq!(run.status, Some(0), "{run:?}");
    stage.assert_gone(&other);
}

/// A full disk takes neither interval nor cursor; once there is room again, everything is delivered.
#[test]
fn a_full_disk_keeps_records_back_and_loses_none() {
    if !is_root("a_full_disk_keeps_records_back_and_loses_none") {
        return;
    }
    let stage = Stage::new("fullexport");
    let _small = Mount::new("tmpfs", "size=2m,mode=0700", &stage.state_dir());
    let path = stage.folder().join("records");
    let settings = settings(&file(&path));
    let mut agent = spawn(&stage, &settings);
    assert!(eventually(|| !records(&path).is_empty()), "{:#?}", agent.messages());
    let traffic = Traffic::start(&stage.wire, LINK, 2, &settings.table());
    fill(&stage.state_dir());
    agent.wait_for_message("nothing is lost");
    // One that starts now goes on as well.
    agent.stop("KILL");
    let mut agent = spawn(&stage, &settings);
    agent.wait_for_message("nothing is lost");
    let before = records(&path).len();
    free(&stage.state_dir());
    assert!(eventually(|| records(&path).len() > before), "{:#?}", agent.messages());
    let truth = traffic.stop(&stage.wire);
    assert!(agent.stop("TERM").status.success());
    let run = stage.finish(&["detach", "--config", &stage.configure(&settings)]);
    assert_eq!(run.status, Some(0), "{run:?}");
    stage.assert_gone(&settings);
    stage.keep(&records(&path));
    assert_eq!(stage.check(&settings, &truth).epochs.len(), 1);
}

/// Intervals that the journal has handed over and the spool lost are told when the next agent starts; and what a reload cannot take is said.
#[test]
fn intervals_that_the_spool_lost_are_told() {
    if !is_root("intervals_that_the_spool_lost_are_told") {
        return;
    }
    let stage = Stage::new("lost");
    let path = stage.folder().join("records");
    // Nobody listens there: everything stays.
    let waiting = settings(&socket(&stage.folder().join("nobody")));
    let mut agent = spawn(&stage, &waiting);
    agent.wait_for_message("cannot connect");
    thread::sleep(Duration::from_secs(3));
    assert!(agent.stop("TERM").status.success());
    // The header of the last piece.
    let spool = stage.state_dir().join("spool");
    let open = crate::stage::names(&spool).into_iter().find(|name| name.ends_with(".open")).unwrap();
    let bytes = fs::read(spool.join(&open)).unwrap();
    let last = bytes.windows(4).rposition(|four| four == b"pie\xce").unwrap();
    fs::write(spool.join(&open), &bytes[..last]).unwrap();
    let both = settings(&(socket(&stage.folder().join("nobody")) + &file(&path)));
    let mut agent = spawn(&stage, &both);
    agent.wait_for_message("1 intervals were committed and are not in the spool");
    let is_told = |record: &Value| record["event"] == "loss" && record["what"] == "intervals that are not in the spool";
    assert!(eventually(|| records(&path).iter().any(|record| is_told(record) && record["count"] == 1)));
    let config = stage.configure(&waiting);
    let run = stage.finish(&["reload", "--config", &config]);
    assert!(run.stdout.contains("from the next start of the agent: [[exporter]]"), "{run:?}");
    assert!(agent.stop("TERM").status.success());
    let run = stage.finish(&["detach", "--config", &config]);
    assert_eq!(run.status, Some(0), "{run:?}");
}

/// Where records go cannot be said twice.
#[test]
fn a_format_and_exporters_do_not_go_together() {
    if !is_root("a_format_and_exporters_do_not_go_together") {
        return;
    }
    let stage = Stage::new("format");
    let config = stage.configure(&settings("[[exporter]]\ntype = \"jsonl\"\n"));
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    assert!(run.status == Some(1) && run.stderr.contains("endpoint = \"stdout\""), "{run:?}");
}
