//! What is measured: which program, driven by which traffic to which table.

use super::table::Spread;

/// Elements of a stream: more than the caches hold.
pub(crate) const ELEMENTS_V4: usize = 1 << 20;
/// As many bytes, nearly.
pub(crate) const ELEMENTS_V6: usize = 1 << 18;

/// How addresses come into the frame, and so what calls the program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    V4,
    V6,
    Mix,
    /// For the programs of one buffer.
    OneBufferV4,
    OneBufferV6,
}

/// The program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Null,
    Parse,
    /// That of the sensor.
    Full,
    /// The same over the kernel's trie.
    KernelLpm,
    /// The sensor's program where nothing is watched, and an entry of the kernel's LRU hash for the flow of each packet.
    Lru,
}

/// What is known of the flows of watched packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// What they are.
    Decided,
    /// Nothing, and the agent looks into them.
    Undecided,
    /// Nothing, and nobody looks: the agent is gone, or its budget is spent.
    Unattended,
    /// Nothing, and the agent wants to see every packet, within the budget it has by default.
    Flagged,
}

/// Which addresses packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Both in prefixes of the table.
    Both(Spread),
    /// The destination alone.
    Destination(Spread),
    /// None; as far apart as those of the rest of the Internet.
    Neither(Spread),
    /// Those of so many flows between the rest of the Internet and prefixes of the table.
    Flows(usize, Spread),
}

/// Prefixes of a table, by family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) v4: usize,
    pub(crate) v6: usize,
    /// Whether its prefixes are one watched network, and what is known of its flows.
    pub(crate) watched: Option<Known>,
    /// Whether far ends are labelled and counted.
    pub(crate) labelled: bool,
}

/// One line of the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) driver: Driver,
    pub(crate) target: Target,
    pub(crate) table: Table,
    pub(crate) addresses: Addresses,
}

const SMALL: Table = v4(100);
const ZIPF: Addresses = Addresses::Both(Spread::Zipf);
const UNIFORM: Addresses = Addresses::Both(Spread::Uniform);
const NOBODY: Addresses = Addresses::Neither(Spread::Zipf);

/// The empty program stands before what is compared with it.
pub(crate) const ROWS: &[Row] = &[
    row("null", Driver::V4, Target::Null, SMALL, ZIPF),
    row("null_v6", Driver::V6, Target::Null, v6(1_000), ZIPF),
    row("null_mix", Driver::Mix, Target::Null, MIX, ZIPF),
    row("null_one_buffer", Driver::OneBufferV4, Target::Null, SMALL, ZIPF),
    row("null_v6_one_buffer", Driver::OneBufferV6, Target::Null, v6(1_000), ZIPF),
    row("parse", Driver::V4, Target::Parse, SMALL, ZIPF),
    row("parse_v6", Driver::V6, Target::Parse, v6(1_000), ZIPF),
    row("miss_v4_10k", Driver::V4, Target::Full, v4(10_000), NOBODY),
    row("miss_v4_10k_one_buffer", Driver::OneBufferV4, Target::Full, v4(10_000), NOBODY),
    row("miss_v4_10k_uniform", Driver::V4, Target::Full, v4(10_000), Addresses::Neither(Spread::Uniform)),
    row("full_v4_100", Driver::V4, Target::Full, v4(100), ZIPF),
    row("full_v4_1k", Driver::V4, Target::Full, v4(1_000), ZIPF),
    row("full_v4_1k_one_buffer", Driver::OneBufferV4, Target::Full, v4(1_000), ZIPF),
    row("full_v4_10k", Driver::V4, Target::Full, v4(10_000), ZIPF),
    row("full_v4_100k", Driver::V4, Target::Full, v4(100_000), ZIPF),
    row("full_v4_1m_zipf", Driver::V4, Target::Full, v4(1_000_000), ZIPF),
    row("full_v4_1m_zipf_one_buffer", Driver::OneBufferV4, Target::Full, v4(1_000_000), ZIPF),
    row("full_v4_1m_zipf_dst_only", Driver::V4, Target::Full, v4(1_000_000), Addresses::Destination(Spread::Zipf)),
    row("full_v4_1m_uniform", Driver::V4, Target::Full, v4(1_000_000), UNIFORM),
    row(
        "full_v4_1m_uniform_dst_only",
        Driver::V4,
        Target::Full,
        v4(1_000_000),
        Addresses::Destination(Spread::Uniform),
    ),
    row("full_v6_1k", Driver::V6, Target::Full, v6(1_000), ZIPF),
    row("full_v6_1k_one_buffer", Driver::OneBufferV6, Target::Full, v6(1_000), ZIPF),
    row("full_v6_250k_zipf", Driver::V6, Target::Full, v6(250_000), ZIPF),
    row("full_v6_250k_uniform", Driver::V6, Target::Full, v6(250_000), UNIFORM),
    row("full_mix_1m_250k_zipf", Driver::Mix, Target::Full, MIX, ZIPF),
    row("watch_none_1k_flows", Driver::V4, Target::Full, v4(1_000), flows(1_000, Spread::Zipf)),
    row("watch_none_100k_flows", Driver::V4, Target::Full, v4(1_000), flows(100_000, Spread::Zipf)),
    row("watch_none_100k_flows_uniform", Driver::V4, Target::Full, v4(1_000), flows(100_000, Spread::Uniform)),
    row("watch_decided_1k_flows", Driver::V4, Target::Full, watched(Known::Decided), flows(1_000, Spread::Zipf)),
    row("watch_decided_100k_flows", Driver::V4, Target::Full, watched(Known::Decided), flows(100_000, Spread::Zipf)),
    row(
        "watch_decided_100k_flows_uniform",
        Driver::V4,
        Target::Full,
        watched(Known::Decided),
        flows(100_000, Spread::Uniform),
    ),
    row("watch_labelled_100k_flows", Driver::V4, Target::Full, LABELLED, flows(100_000, Spread::Zipf)),
    row("watch_undecided_10k_flows", Driver::V4, Target::Full, watched(Known::Undecided), flows(10_000, Spread::Zipf)),
    row(
        "watch_undecided_100k_flows",
        Driver::V4,
        Target::Full,
        watched(Known::Undecided),
        flows(100_000, Spread::Zipf),
    ),
    row(
        "watch_unattended_100k_flows",
        Driver::V4,
        Target::Full,
        watched(Known::Unattended),
        flows(100_000, Spread::Zipf),
    ),
    row("watch_flagged_100k_flows", Driver::V4, Target::Full, watched(Known::Flagged), flows(100_000, Spread::Zipf)),
    row("watch_lru_1k_flows", Driver::V4, Target::Lru, v4(1_000), flows(1_000, Spread::Zipf)),
    row("watch_lru_100k_flows", Driver::V4, Target::Lru, v4(1_000), flows(100_000, Spread::Zipf)),
    row("watch_lru_100k_flows_uniform", Driver::V4, Target::Lru, v4(1_000), flows(100_000, Spread::Uniform)),
    row("kernel_lpm_v4_100", Driver::V4, Target::KernelLpm, v4(100), ZIPF),
    row("kernel_lpm_v4_1k", Driver::V4, Target::KernelLpm, v4(1_000), ZIPF),
    row("kernel_lpm_v4_10k", Driver::V4, Target::KernelLpm, v4(10_000), ZIPF),
    row("kernel_lpm_v4_100k", Driver::V4, Target::KernelLpm, v4(100_000), ZIPF),
    row("kernel_lpm_v4_1m_zipf", Driver::V4, Target::KernelLpm, v4(1_000_000), ZIPF),
    row("kernel_lpm_v4_1m_uniform", Driver::V4, Target::KernelLpm, v4(1_000_000), UNIFORM),
    row("kernel_lpm_v6_250k_zipf", Driver::V6, Target::KernelLpm, v6(250_000), ZIPF),
    row("kernel_lpm_v6_250k_uniform", Driver::V6, Target::KernelLpm, v6(250_000), UNIFORM),
];

const MIX: Table = Table { v6: 250_000, ..v4(1_000_000) };
const LABELLED: Table = Table { labelled: true, ..watched(Known::Decided) };

const fn v4(count: usize) -> Table {
    Table { v4: count, v6: 0, watched: None, labelled: false }
}

const fn watched(known: Known) -> Table {
    Table { watched: Some(known), ..v4(1_000) }
}

const fn flows(count: usize, spread: Spread) -> Addresses {
    Addresses::Flows(count, spread)
}

const fn v6(count: usize) -> Table {
    Table { v6: count, ..v4(0) }
}

const fn row(name: &'static str, driver: Driver, target: Target, table: Table, addresses: Addresses) -> Row {
    Row { name, driver, target, table, addresses }
}

impl Driver {
    /// The row of the empty program called the same way.
    pub(crate) const fn null(self) -> &'static str {
        match self {
            Self::V4 => "null",
            Self::V6 => "null_v6",
            Self::Mix => "null_mix",
            Self::OneBufferV4 => "null_one_buffer",
            Self::OneBufferV6 => "null_v6_one_buffer",
        }
    }

    /// Its program.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::V4 => "drive_v4_frags",
            Self::V6 => "drive_v6_frags",
            Self::Mix => "drive_mix_frags",
            Self::OneBufferV4 => "drive_v4",
            Self::OneBufferV6 => "drive_v6",
        }
    }

    pub(crate) const fn takes_several_buffers(self) -> bool {
        matches!(self, Self::V4 | Self::V6 | Self::Mix)
    }

    /// Whether it reads the IPv4 stream.
    pub(crate) const fn is_v4(self) -> bool {
        matches!(self, Self::V4 | Self::OneBufferV4)
    }
}

impl Target {
    /// Its program in the object of the benchmark; that of the sensor is in its own.
    pub(crate) const fn program(self, several_buffers: bool) -> Option<&'static str> {
        match self {
            Self::Null if several_buffers => Some("null_frags"),
            Self::Null => Some("null"),
            Self::Parse => Some("parse_frags"),
            Self::KernelLpm => Some("kernel_lpm_frags"),
            Self::Lru => Some("lru_frags"),
            Self::Full => None,
        }
    }
}
