//! What ClickHouse does with an INSERT that has a token: all of it at once, and the same token no second time.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::{
    check::Seen,
    server::{Came, Connection, Manner},
};

/// A connection is reset within so many bytes, a few INSERTs.
const RESET_WITHIN: usize = 200_000;
const FINE: &str = "HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\nContent-Length: 0\r\n\r\n";
const FULL: &str = "HTTP/1.1 500 No\r\nX-ClickHouse-Exception-Code: 241\r\nContent-Length: 9\r\n\r\nCode: 241";
const GARBAGE: &[u8] = b"\x16\x03\x00 what?\r\n\r\n";

/// What was inserted.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Table and lines by token.
    inserts: BTreeMap<String, (String, Vec<u8>)>,
    /// INSERTs whose token was there already, and their lines.
    pub(crate) repeated: (usize, usize),
    pub(crate) seen: Seen,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

/// A whole request.
struct Insert {
    table: String,
    token: String,
    lines: Vec<u8>,
}

/// Serves a connection as the server behaves.
pub(crate) fn serve(mut connection: Connection, store: &Arc<Mutex<Store>>) {
    let (mut bytes, mut left) = (vec![], None);
    while let Some(manner) = connection.manner() {
        left = left.filter(|_| manner == Manner::Reset);
        if manner == Manner::Gone {
            return;
        }
        if manner == Manner::Reset {
            left = left.or_else(|| Some(connection.rng.between(1, RESET_WITHIN)));
        }
        match connection.read(left.unwrap_or(usize::MAX), &mut bytes) {
            Came::Bytes(len) => left = left.map(|left| left - len),
            Came::Nothing => {}
            Came::End => return,
        }
        while let Some(insert) = take(&mut bytes) {
            // Who does not answer well may have taken it all the same.
            let takes =
                matches!(manner, Manner::Well | Manner::Slow) || manner != Manner::Refuse && connection.rng.one_in(2);
            if takes {
                store.lock().unwrap().insert(insert);
            }
            if manner == Manner::Mute {
                return connection.wait_while(Manner::Mute);
            }
            if manner == Manner::Reset && connection.rng.one_in(2) {
                connection.die(true);
                return;
            }
            let answer = if takes { FINE } else { FULL }.as_bytes();
            let answer = if manner == Manner::Garbage { GARBAGE } else { answer };
            if connection.stream.write_all(answer).is_err() {
                return;
            }
        }
        if left == Some(0) {
            connection.die(true);
            return;
        }
    }
}

/// Takes a request off the front of what came; `None`: it is not whole.
fn take(bytes: &mut Vec<u8>) -> Option<Insert> {
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..body].to_vec()).unwrap().replace("%60", "`").replace("%3A", ":");
    let len = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
    let end = body + head.lines().find_map(len).unwrap();
    if bytes.len() < end {
        return None;
    }
    let between = |begin: &str, end: char| {
        let (_, rest) = head.split_once(begin).unwrap_or_else(|| panic!("no {begin}: {head}"));
        rest.split(end).next().unwrap().to_owned()
    };
    let (table, token) = (between("`.`", '`'), between("&insert_deduplication_token=", ' '));
    let lines = bytes[body..end].to_vec();
    bytes.drain(..end);
    Some(Insert { table, token, lines })
}

impl Store {
    fn insert(&mut self, Insert { table, token, lines }: Insert) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        let line: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        self.seen.note_line(&line);
        match self.inserts.get(&token) {
            None => {
                self.inserts.insert(token, (table, lines));
            }
            Some(earlier) => {
                self.repeated = (self.repeated.0 + 1, self.repeated.1 + count);
                if *earlier != (table, lines) {
                    self.wrong.push(format!("other lines under the same token: {token}"));
                }
            }
        }
    }

    /// All rows of all tables.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.inserts.values().flat_map(|(table, lines)| {
            let lines = std::str::from_utf8(lines).unwrap().lines();
            lines
                .inspect(move |line| assert!(line.starts_with(&format!("{{\"record\":\"{table}\"")), "{table}: {line}"))
        });
        lines.map(str::to_owned).collect()
    }
}
