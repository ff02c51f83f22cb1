//! ClickHouse's own engine (chdb) in a process of its own, behind as much of HTTP as an exporter asks for.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::history::{Sums, add};

/// The engine; it ends with this.
pub(crate) struct Engine {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Engine {
    /// One with the tables of `schema.sql`, for a test; `None`: it is not here, and that was said.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let Some(folder) = env::var_os("SENSOR_COLLECTORS").map(PathBuf::from) else {
            println!(
                "SKIP {test}: SENSOR_COLLECTORS names no folder with collectors; run: cargo xtask test collectors"
            );
            return None;
        };
        let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/collectors/clickhouse_shim.py");
        let mut command = Command::new(folder.join("venv/bin/python"));
        let data = tempfile::tempdir().unwrap();
        let mut child =
            command.arg(shim).arg(data.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let engine = Self { child, port: line.trim().parse().unwrap(), _folder: data };
        engine.ask("CREATE DATABASE sensor;\nUSE sensor;\n");
        engine.ask(include_str!("../../../docs/clickhouse/schema.sql"));
        Some(engine)
    }

    /// What statements answer.
    pub(crate) fn ask(&self, statements: &str) -> String {
        let reply = self.post("/", statements);
        assert!(reply.starts_with("HTTP/1.1 200"), "{statements}\n{reply}");
        reply.split_once("\r\n\r\n").unwrap().1.trim().to_owned()
    }

    /// Plain sums of a query whose rows end with packets and bytes, what is before these joined as the name of each.
    pub(crate) fn sums(&self, query: &str) -> Sums {
        let mut sums = Sums::new();
        for row in self.ask(&format!("{query};\n")).lines() {
            let mut columns: Vec<&str> = row.split('\t').collect();
            let [bytes, packets] = [0; 2].map(|_: u64| columns.pop().unwrap().parse().unwrap());
            add(&mut sums, columns.join(" "), packets, bytes);
        }
        sums
    }

    /// What raw tables of a database hold of traffic, by plain sums, as [`said`](crate::history::said) names it; `of` stands behind the name of each table.
    pub(crate) fn traffic(&self, of: &str) -> Sums {
        let row = "network, direction, if(upstream = '', '-', upstream), class, if(evidence = '', '-', evidence)";
        let rest = "if(notEmpty(list), arrayStringConcat(list, ','), if(counterpart = '', '-', counterpart))";
        let far = format!("network, direction, if(country = '', '-', country), asn, {rest}");
        let queries = [
            format!(
                "SELECT 'prefix', prefix, direction, sum(packets), sum(bytes) FROM sensor.prefix {of} GROUP BY ALL"
            ),
            format!("SELECT 'network', {row}, sum(packets), sum(bytes) FROM sensor.network {of} GROUP BY ALL"),
            format!(
                "SELECT 'moved', {row}, sum(moved_packets), sum(moved_bytes) FROM sensor.network {of} GROUP BY ALL"
            ),
            format!("SELECT 'counterpart', {far}, sum(packets), sum(bytes) FROM sensor.counterpart {of} GROUP BY ALL"),
        ];
        queries.iter().flat_map(|query| self.sums(query)).collect()
    }

    /// Makes it forget all records.
    pub(crate) fn empty(&self) {
        for table in
            self.ask("SELECT name FROM system.tables WHERE database = 'sensor' AND engine LIKE '%MergeTree';\n").lines()
        {
            self.ask(&format!("TRUNCATE TABLE sensor.{table};\n"));
        }
    }

    /// Plain sums of minutes and hours.
    pub(crate) fn rolled(&self) -> Vec<String> {
        let tables =
            ["prefix", "network", "counterpart"].iter().flat_map(|kind| ["1m", "1h"].map(|of| format!("{kind}_{of}")));
        tables
            .map(|table| self.ask(&format!("SELECT sum(packets), sum(bytes), sum(frame_bytes) FROM sensor.{table};\n")))
            .collect()
    }

    /// What is answered to something posted.
    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let len = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: shim\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
