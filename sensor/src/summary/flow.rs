//! What flows were found to be, as records.

use std::net::IpAddr;

use sensor_ebpf::class::Class;
use serde::Serialize;

use crate::inspect::{Flow, Verdict};

/// What a watched flow was found to be, of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowRecord {
    /// Protocol number of the outermost IP header's upper layer.
    pub protocol: u8,
    /// Source address of its first packet.
    pub src: IpAddr,
    /// Source port; 0 where there are none.
    pub src_port: u16,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port.
    pub dst_port: u16,
    /// Class, `unknown` where it is none that is known.
    pub class: &'static str,
    /// What it has in common with others.
    pub family: &'static str,
    /// How sure the class is; nothing of an unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<&'static str>,
    /// Packets from source to destination.
    pub packets: u64,
    /// Their L3 bytes.
    pub bytes: u64,
    /// Packets the other way.
    pub reverse_packets: u64,
    /// Their L3 bytes.
    pub reverse_bytes: u64,
}

impl FlowRecord {
    /// Of a flow as its first packet had it: what it was found to be, and packets and L3 bytes of who sent that packet and of the other end.
    pub fn new(flow: Flow, verdict: Option<Verdict>, packets: [u64; 2], bytes: [u64; 2]) -> Self {
        let class = verdict.map_or(Class::Unknown, |verdict| verdict.class);
        let Flow { protocol, source: (src, src_port), destination: (dst, dst_port) } = flow;
        Self {
            protocol,
            src,
            src_port,
            dst,
            dst_port,
            class: class.name(),
            family: class.family().name(),
            evidence: verdict.map(|verdict| verdict.evidence.name()),
            packets: packets[0],
            bytes: bytes[0],
            reverse_packets: packets[1],
            reverse_bytes: bytes[1],
        }
    }
}
