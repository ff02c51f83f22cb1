//! IPFIX (RFC 7011): each kind of records that add up in an observation domain of its own.
//!
//! Templates and options come first in a session. Over UDP templates come again every few messages, and what one datagram loses nobody knows but the
//! collector, by the sequence numbers: sent is delivered there. Over TCP and TLS delivered is what the collector's kernel has acknowledged; what the
//! collector had not read when it died is lost, at most what its socket holds. A session that breaks begins anew with the whole piece, so records may
//! come twice: epoch, interval and what they are about tell.

mod element;
mod message;
mod options;
mod row;
mod template;
#[cfg(test)]
mod tests;
mod wire;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;

use self::{
    message::{Packer, Stream},
    options::About,
    row::Row,
    wire::Wire,
};
use super::{Failure, lines, pulse::Pulse, records, tls::Trust};
use crate::{
    config::{Additive, Ipfix, Transport},
    spool::Piece,
};

/// Most bytes of a message over a stream; 65,535 is the most that there can be.
const STREAM_MESSAGE: usize = 16 << 10;
/// Messages over UDP after which templates come again.
const TEMPLATES_EVERY: usize = 20;
/// How long after which templates come again over UDP, and options over all transports.
const REFRESH: Duration = Duration::from_secs(60);

/// What delivers there.
pub(super) struct Sink {
    config: Ipfix,
    session: Option<Wire>,
    expires: Option<Timestamp>,
    domains: Vec<Domain>,
}

/// A kind of records and its observation domain, over all sessions.
struct Domain {
    kind: Additive,
    stream: Stream,
    /// Messages since its templates were sent.
    since_templates: usize,
    /// When its options were.
    told: Option<Instant>,
}

/// What all lines have.
#[derive(Deserialize)]
struct Head {
    sensor: String,
}

impl Sink {
    pub(super) fn new(config: &Ipfix) -> Self {
        let domain = |(index, kind): (usize, &Additive)| Domain {
            kind: *kind,
            stream: Stream::new(config.domain + index as u32),
            since_templates: 0,
            told: None,
        };
        let domains = config.records.iter().enumerate().map(domain).collect();
        Self { config: config.clone(), session: None, expires: None, domains }
    }

    /// Delivers a piece: see above.
    pub(super) async fn send(&mut self, piece: &Piece, lost: u64, pulse: &Pulse) -> Result<()> {
        let lines = lines(piece)?;
        // Half of a piece may have been taken: a session that broke does not go on.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let messages = self.pack(&lines, lost)?;
        let sent = session.send(&messages, pulse).await;
        let host = &self.config.host;
        sent.with_context(|| format!("{host}: see to the collector, and to the way there")).context(Failure::Broken)?;
        self.session = Some(session);
        Ok(())
    }

    /// Reads certificates again, with the next connection.
    pub(super) fn renew(&mut self) {
        self.session = None;
    }

    /// When the first certificate expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    async fn connect(&mut self) -> Result<Wire> {
        let host = &self.config.host;
        let wire = match &self.config.transport {
            Transport::Udp { .. } => Wire::udp(host).await?,
            Transport::Tcp => Wire::tcp(host).await?,
            Transport::Tls(tls) => {
                let trust = Trust::read(tls)?;
                self.expires = trust.expires;
                Wire::tls(host, &trust).await?
            }
        };
        let is_udp = self.is_udp();
        self.domains.iter_mut().for_each(|domain| domain.begin(is_udp));
        Ok(wire)
    }

    const fn is_udp(&self) -> bool {
        matches!(self.config.transport, Transport::Udp { .. })
    }

    /// The messages of all domains for the lines of a piece.
    fn pack(&mut self, lines: &[u8], lost: u64) -> Result<Vec<Vec<u8>>> {
        let limit = match self.config.transport {
            Transport::Udp { mtu } => mtu as usize,
            Transport::Tcp | Transport::Tls(_) => STREAM_MESSAGE,
        };
        let Some(first) = records(lines).next() else { return Ok(vec![]) };
        let no_record = "a line of the spool is no record; remove the spool if this goes on";
        let Head { sensor } = serde_json::from_slice(first).context(no_record)?;
        let mut rows = vec![];
        for line in records(lines) {
            rows.extend(Row::read(line).context(no_record)?);
        }
        let at = Timestamp::now().as_second().try_into().unwrap_or_default();
        let (is_udp, enterprise) = (self.is_udp(), self.config.enterprise);
        let mut messages = vec![];
        for (index, domain) in self.domains.iter_mut().enumerate() {
            // Of ledgers one domain is enough.
            let is_of = |row: &&Row<'_>| row.kind.map_or(index == 0, |kind| kind == domain.kind);
            let rows: Vec<&Row<'_>> = rows.iter().filter(is_of).collect();
            let about = About { kind: domain.kind, sensor: &sensor, enterprise, lost };
            messages.extend(domain.pack(&rows, &about, limit, at, is_udp));
        }
        Ok(messages)
    }
}

impl Domain {
    /// Begins a session: over UDP its numbers go on, so that a collector sees what is missing.
    fn begin(&mut self, is_udp: bool) {
        if !is_udp {
            self.stream.sequence = 0;
        }
        self.told = None;
    }

    /// Its messages of up to `limit` bytes, exported `at` that second.
    fn pack(&mut self, rows: &[&Row<'_>], about: &About<'_>, limit: usize, at: u32, is_udp: bool) -> Vec<Vec<u8>> {
        let (kind, domain, is_new) = (self.kind, self.stream.domain, self.told.is_none());
        let is_due = self.told.is_none_or(|told| told.elapsed() >= REFRESH);
        let mut packer = Packer::new(&mut self.stream, limit, about.enterprise, at);
        if is_new || is_due && is_udp {
            options::templates(kind, &mut packer);
            packer.close();
            self.since_templates = 0;
        }
        if is_due {
            options::options(about, &mut packer);
            packer.close();
            self.told = Some(Instant::now());
        }
        let mut begin = packer.closed();
        for row in rows {
            packer.record(&row.template, |element| row.value(element, domain));
            if is_udp && self.since_templates + packer.closed() - begin >= TEMPLATES_EVERY {
                packer.close();
                options::templates(kind, &mut packer);
                packer.close();
                (self.since_templates, begin) = (0, packer.closed());
            }
        }
        packer.close();
        self.since_templates += packer.closed() - begin;
        packer.finish()
    }
}
