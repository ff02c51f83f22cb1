//! What programs remember of watched traffic, in the kernel or in this process, as its reader sees it.

use anyhow::Result;
use sensor_ebpf::abi::{Clock, FlowKey, FlowState, Neighbour, Open, Row, Sample, Spending};

/// What programs billed.
pub trait Rows {
    /// Slices of what CPUs have each for themselves.
    fn slices(&self) -> u32;

    /// Rows of the breakdown of a slice that count something.
    fn rows(&self, slice: u32, each: &mut dyn FnMut(&Row));

    /// Rows of counterparts of a slice that count something; none where they are not told apart.
    fn counterparts(&self, slice: u32, each: &mut dyn FnMut(&Row));

    /// A neighbour of a slice, by its number; `None` where there is none.
    fn neighbour(&self, slice: u32, number: u32) -> Option<Neighbour>;
}

/// The maps of watched traffic. Programs go on with them meanwhile.
pub trait Memory: Rows {
    /// Sets the clock of the programs.
    fn set_clock(&mut self, clock: Clock);

    /// Allows so many records more of a network, or of all together where that is 0, on top of what is left; never more than `most` at a time.
    fn allow(&mut self, network: u32, spending: Spending, more: u64, most: u64);

    /// Hands over the records that wait, the oldest first, at most so many, each with its payload; how many those were.
    ///
    /// # Errors
    /// `each` failed; the record counts as read.
    fn samples(&mut self, most: usize, each: &mut dyn FnMut(&Sample, &[u8]) -> Result<()>) -> Result<usize>;

    /// Changes what is known of a flow; false where the programs do not remember it.
    fn know(&mut self, key: FlowKey, change: &dyn Fn(FlowState) -> FlowState) -> bool;

    /// Hands over the entries of open flows of a slice that changed since the last call, by number; all of them where more changed than the
    /// list holds.
    fn changes(&mut self, slice: u32, each: &mut dyn FnMut(u32));

    /// Entries of open flows of each slice.
    fn open_entries(&self) -> u32;

    /// An entry of open flows, by slice and number, of one moment; `None` where there is none, or it is becoming another.
    fn open(&self, slice: u32, number: u32) -> Option<Open>;
}
