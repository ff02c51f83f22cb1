//! A history as bytes, so that what is known stays known over a restart.
//!
//! | bytes | |
//! |---|---|
//! | 8 | name |
//! | 4, little endian | version |
//! | 4, little endian | CRC-32 of all that follows |
//! | rest | [`History`] by postcard |
//!
//! Flows and the interval that had not ended are not in it. Bounded by [`Limits`]: with the usual ones 60 MB at most, of a site with some
//! thousand addresses some hundred kilobytes.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::{SignedDuration, Timestamp};
use sensor_ebpf::class::{Class, Evidence};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Limits, Sights,
    coverage::Coverage,
    networks::MAX_NAMES,
    services::{Service, Votes},
    sketch::Sketch,
};
use crate::summary::Bits;

/// What a snapshot begins with.
const MAGIC: [u8; 8] = *b"snssight";
/// Number of this format.
const VERSION: u32 = 1;
/// Longest snapshot that is read, in bytes.
const MAX_SNAPSHOT_LEN: usize = 256 << 20;

/// Bytes that are no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// They are not of this kind, or they changed.
    #[error("the history of addresses and services is damaged; remove it, and what is there is learned anew")]
    Damaged,
    /// Another version wrote them.
    #[error(
        "the history of addresses and services has format {0}, this version reads {VERSION}; start the version that wrote it, or remove it, and what is there is learned anew"
    )]
    Version(u32),
    /// More than any version writes.
    #[error(
        "the history of addresses and services has {0} bytes, more than {MAX_SNAPSHOT_LEN}; remove it, and what is there is learned anew"
    )]
    Length(usize),
}

/// A moment, in nanoseconds since 1970.
type Nanoseconds = i128;

#[derive(Serialize, Deserialize)]
struct History {
    seed: u64,
    /// Nanoseconds that were looked.
    measured: i128,
    /// By slot: name, and the suspicious classes that it ever spoke.
    networks: Vec<(String, Vec<String>)>,
    /// /24s with what was ever active in them.
    blocks: Vec<(u16, u32, Span, Bits)>,
    singles: Vec<(u16, u32, Span)>,
    wide: Vec<(u16, u64, Span)>,
    services: Vec<KnownService>,
    class_hosts: Vec<(u16, String, String, IpAddr, Span, u64)>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Span {
    first: Nanoseconds,
    last: Nanoseconds,
}

#[derive(Serialize, Deserialize)]
struct KnownService {
    slot: u16,
    address: IpAddr,
    port: u16,
    protocol: u8,
    span: Span,
    initial: bool,
    answers: u64,
    clients: Vec<(u8, u8)>,
    votes: Vec<(String, String, u32)>,
}

impl Sights {
    /// What is known, as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let networks = self.networks.iter().map(|(_, network)| {
            (network.name.to_string(), network.classes.iter().map(|class| class.name().to_owned()).collect())
        });
        let blocks = self.activity.blocks.iter();
        let services = self.services.table.iter().map(|((slot, address, port, protocol), row)| KnownService {
            slot,
            address,
            port,
            protocol,
            span: Span::of(row.first, row.last),
            initial: row.value.initial,
            answers: row.value.answers,
            clients: row.value.clients.registers().to_vec(),
            votes: row.value.votes.0.iter().map(|vote| (vote.0.name().into(), vote.1.name().into(), vote.2)).collect(),
        });
        let class_hosts = self.class_hosts.iter().map(|((slot, class, evidence, address), row)| {
            (slot, class.name().into(), evidence.name().into(), address, Span::of(row.first, row.last), row.value)
        });
        let history = History {
            seed: self.seed.0,
            measured: self.coverage.measured().as_nanos(),
            networks: networks.collect(),
            blocks: blocks
                .map(|((slot, block), row)| (slot, block, Span::of(row.first, row.last), row.value.lit))
                .collect(),
            singles: self
                .activity
                .singles
                .iter()
                .map(|((slot, at), row)| (slot, at, Span::of(row.first, row.last)))
                .collect(),
            wide: self
                .activity
                .wide
                .iter()
                .map(|((slot, at), row)| (slot, at, Span::of(row.first, row.last)))
                .collect(),
            services: services.collect(),
            class_hosts: class_hosts.collect(),
        };
        // Into memory, of numbers and texts: there is nothing that could fail.
        let body = postcard::to_stdvec(&history).unwrap_or_default();
        [&MAGIC[..], &VERSION.to_le_bytes(), &crc32fast::hash(&body).to_le_bytes(), &body].concat()
    }

    /// Goes on with a history, under limits and a learning time that may be others. What exceeds the limits is left out and counted as refused. The
    /// networks must be configured again.
    ///
    /// # Errors
    /// The bytes are damaged, or another version's. Nothing of them can be used then.
    pub fn restore(limits: Limits, learn: Option<SignedDuration>, bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() > MAX_SNAPSHOT_LEN {
            return Err(SnapshotError::Length(bytes.len()));
        }
        let history = History::read(bytes)?;
        let mut sights = Self::new(limits, learn, history.seed);
        sights.put_back(history, learn).ok_or(SnapshotError::Damaged)?;
        Ok(sights)
    }

    fn put_back(&mut self, history: History, learn: Option<SignedDuration>) -> Option<()> {
        let measured = i64::try_from(history.measured).ok().filter(|measured| *measured >= 0)?;
        self.coverage = Coverage::new(learn, SignedDuration::from_nanos(measured));
        let slots = history.networks.len();
        if slots > MAX_NAMES {
            return None;
        }
        for (name, classes) in history.networks {
            // A class that this version does not know is left out.
            let classes: BTreeSet<Class> = classes.iter().filter_map(|name| Class::named(name)).collect();
            self.networks.push(&name, classes)?;
        }
        let inside = |slot: u16| (usize::from(slot) < slots).then_some(slot);
        for (slot, block, span, lit) in history.blocks {
            let (slot, block) = (inside(slot)?, Some(block).filter(|block| block >> 24 == 0)?);
            let (first, last) = span.read()?;
            self.activity.put_back(slot, block, first, last, lit);
        }
        for (slot, address, span) in history.singles {
            let (first, last) = span.read()?;
            // Not beside a bitmap.
            self.activity.blocks.get((slot, address >> 8)).is_none().then_some(())?;
            self.activity.singles.put_back((inside(slot)?, address), first, last, ());
        }
        for (slot, upper, span) in history.wide {
            let (first, last) = span.read()?;
            self.activity.wide.put_back((inside(slot)?, upper), first, last, ());
        }
        for known in history.services {
            let (first, last) = known.span.read()?;
            let key = (inside(known.slot)?, known.address, known.port, known.protocol);
            let votes = known
                .votes
                .iter()
                .filter_map(|(name, sure, flows)| Some((Class::named(name)?, Evidence::named(sure)?, *flows)));
            let service = Service {
                initial: known.initial,
                answers: known.answers,
                clients: Sketch::from_registers(known.clients)?,
                votes: Votes::from_parts(votes),
            };
            self.services.table.put_back(key, first, last, service);
        }
        self.services.count_addresses();
        for (slot, name, sure, address, span, flows) in history.class_hosts {
            let (first, last) = span.read()?;
            let (Some(class), Some(evidence)) = (Class::named(&name), Evidence::named(&sure)) else { continue };
            self.class_hosts.put_back((inside(slot)?, class, evidence, address), first, last, flows);
        }
        Some(())
    }
}

impl History {
    fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(SnapshotError::Damaged)?;
        let (version, rest) = rest.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        let (crc, body) = rest.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(SnapshotError::Damaged);
        }
        match postcard::take_from_bytes(body) {
            Ok((history, [])) => Ok(history),
            _ => Err(SnapshotError::Damaged),
        }
    }
}

impl Span {
    fn of(first: Timestamp, last: Timestamp) -> Self {
        Self { first: first.as_nanosecond(), last: last.as_nanosecond() }
    }

    fn read(self) -> Option<(Timestamp, Timestamp)> {
        let moment = |at| Timestamp::from_nanosecond(at).ok();
        Some((moment(self.first)?, moment(self.last)?))
    }
}
