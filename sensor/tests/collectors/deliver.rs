//! Records on their way from a new spool to ClickHouse.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sensor::{
    config::{ClickHouse, DEFAULT_SPOOL, Exporter, Host, Target},
    export::{Exporters, Progress},
    spool::Spool,
    summary::Summary,
};

use crate::running::PATIENCE;

/// Delivers these intervals, until they are or something fails.
pub(crate) fn deliver(port: u16, database: &str, summaries: &[Summary]) -> Progress {
    let folder = tempfile::tempdir().unwrap();
    let spool: Arc<Spool> = Spool::open(folder.path(), DEFAULT_SPOOL, &["c"]).unwrap();
    summaries.iter().for_each(|summary| spool.append(summary).unwrap());
    let host = Host { name: "127.0.0.1".to_owned(), port };
    let target = Target::ClickHouse(ClickHouse { host, tls: None, database: database.to_owned(), login: None });
    let exporter = Exporter { name: "c".parse().unwrap(), target };
    let exporters = Exporters::start(&[exporter], &spool).unwrap();
    let began = Instant::now();
    let progress = loop {
        let progress = exporters.statuses()[0].progress();
        if progress.pieces == summaries.len() as u64 || !progress.failures.is_empty() {
            break progress;
        }
        assert!(began.elapsed() < PATIENCE, "{progress:?}");
        thread::sleep(Duration::from_millis(10));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Records that are waiting would be tried for a while.
    runtime.block_on(exporters.finish());
    progress
}
