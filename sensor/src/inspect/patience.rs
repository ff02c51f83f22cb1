//! How long a flow is listened to: each packet that is looked at is taken from the budget of another flow, so nobody listens longer than there is
//! something to learn.
//!
//! The figures are of the labelled captures: the verdict of none of their flows is another than without them.

use sensor_ebpf::class::Evidence;

use super::{
    Conversation, Verdict,
    conversation::MAX_MESSAGES,
    protocols::{self, Inside},
};

/// Packets with a payload of a flow that are looked at before it stays what it was found to be.
pub(super) const MAX_LOOKS: u32 = 48;
/// The same of flows whose names or announcements are followed. The captures need no more than of others; longer lives have more to say.
pub(super) const MAX_LONG_LOOKS: u32 = 1024;

/// Looks at a flow that nobody knows: as many as there are messages that are kept, and the last one to be known was at the 24th.
const UNKNOWN: u32 = MAX_MESSAGES as u32;
/// Further looks once one end says what it is: the other end's first answer came up to 21 looks later.
const PAYLOAD: u32 = 24;
/// Further looks at what both ends confirm and something inside of it may yet show itself: the cells of Tor did up to 8 looks later, and the first job
/// on a WebSocket may be behind as many texts as are read.
const INSIDE: u32 = 24;
/// Further looks at what both ends confirm and whose heads may not be there yet as a whole.
const HEADS: u32 = 4;

/// Looks past the last change of the verdict after which no other is to be expected.
pub(super) fn patience(conversation: &Conversation, verdict: Option<Verdict>) -> u32 {
    let Some(verdict) = verdict.filter(|verdict| verdict.evidence > Evidence::Port) else { return UNKNOWN };
    if protocols::is_by_number(conversation) {
        return 0;
    }
    if verdict.evidence < Evidence::Confirmed {
        return PAYLOAD;
    }
    match protocols::inside(conversation, verdict.class) {
        Inside::Known => 0,
        Inside::Cut => HEADS,
        Inside::MayCome => INSIDE,
    }
}
