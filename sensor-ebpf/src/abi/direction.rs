//! Two words that are easily confused: the direction of a prefix and the side of an interface.

/// Which end of a packet a prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Direction {
    /// The prefix is the destination: traffic toward it.
    In = 0,
    /// The prefix is the source: traffic from it.
    Out = 1,
}

impl Direction {
    /// Number of directions.
    pub const COUNT: u32 = 2;
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The word in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Where at an interface a frame was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Side {
    /// Received: the XDP hook.
    Rx = 0,
    /// Sent: the TC hook.
    Tx = 1,
}

impl Side {
    /// Number of sides.
    pub const COUNT: u32 = 2;
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Rx, Self::Tx];

    /// The word in ledger records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}
