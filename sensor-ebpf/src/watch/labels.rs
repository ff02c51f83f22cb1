//! What the far end of a packet is: looked up where nobody knows, remembered with its flow, and counted.

use super::{Watched, flows, rows};
use crate::{
    abi::{Cell, Degraded, Direction, End, Entry, FlowState, LabelKey, NO_LABEL, NetworkId, OTHER_LABEL, PrefixId},
    lookup::{self, SMALL_ROOT_BITS_V4, SMALL_ROOT_BITS_V6, TrieMaps, root_len_v4, root_len_v6},
    state::{Rows, Watching},
};

/// Root entries of one half of the table of labels: its roots are always the small ones.
pub const LABEL_ROOTS: u32 = root_len_v4(SMALL_ROOT_BITS_V4) + root_len_v6(SMALL_ROOT_BITS_V6);

/// Counts the far end of a packet whose flow knows what that is; false, and nothing is counted, where it does not. With both ends watched there are two far
/// ends, of which a flow remembers none.
#[inline(always)]
pub(super) fn add_known<S: Watching>(state: &mut S, watched: &Watched, known: FlowState) -> bool {
    let [source, destination] = watched.networks;
    let labelling = state.control().labelling();
    if source != 0 && destination != 0 || !known.has_label(far_end(watched), labelling) {
        return false;
    }
    let direction = if source != 0 { Direction::Out } else { Direction::In };
    add(state, watched, (source | destination, direction), (known.label(), labelling));
    true
}

/// Finds out what the far ends of a packet are, counts them, and notes it for its flow.
#[inline(always)]
pub fn label<S: Watching>(state: &mut S, watched: &mut Watched) {
    let labelling = state.control().labelling();
    let [source, destination] = watched.networks;
    if source != 0 && destination != 0 {
        let far = [look_up(state, watched, 1, labelling), look_up(state, watched, 0, labelling)];
        add(state, watched, (source, Direction::Out), (far[0], labelling));
        add(state, watched, (destination, Direction::In), (far[1], labelling));
        return;
    }
    let direction = if source != 0 { Direction::Out } else { Direction::In };
    let far = far_end(watched);
    let (mut set, mut way, mut word) = (0, 0, 0);
    if watched.key.get() != 0 {
        let place = flows::find(state, watched.key);
        if place.is_there {
            (set, way) = (place.set, place.way);
            word = state.flow_way(set, way).1;
        }
    }
    let known = FlowState::from_word(word);
    let is_its = word != 0 && known.mark() == watched.key.mark();
    let label = if is_its && known.has_label(far, labelling) {
        known.label()
    } else {
        let label = look_up(state, watched, if source != 0 { 1 } else { 0 }, labelling);
        if is_its {
            state.change_flow_state(set, way, word, known.labelled(far, (label, labelling)).word());
        }
        label
    };
    watched.label = FlowState::new(0).labelled(far, (label, labelling)).about_label();
    add(state, watched, (source | destination, direction), (label, labelling));
}

/// The end that is not watched, of a packet of which one is.
#[inline(always)]
fn far_end(watched: &Watched) -> End {
    if watched.networks[0] != 0 { watched.end ^ 1 } else { watched.end }
}

/// The label of the source (0) or destination (1) of a packet.
#[inline(always)]
fn look_up<S: Watching>(state: &mut S, watched: &Watched, which: usize, labelling: u32) -> u32 {
    let label = state.find_label(watched.addresses[which], watched.is_v4(), labelling);
    if label == OTHER_LABEL {
        state.add_cell(Cell::degraded(Degraded::MapFault), watched.size);
    }
    label
}

/// Adds a packet to what a network has with far ends of that label.
#[inline(always)]
fn add<S: Watching>(state: &mut S, watched: &Watched, (network, direction): (u32, Direction), label: (u32, u32)) {
    let Some(network) = NetworkId::new(network) else { return };
    let key = if label.0 == OTHER_LABEL {
        LabelKey::spare(network, direction)
    } else {
        LabelKey::new(network, direction, label)
    };
    rows::add_to(state, Rows::Counterparts, key.word(), watched.size);
}

/// The label of an address in the table of that generation; [`OTHER_LABEL`] where the table points outside its maps.
#[inline(always)]
pub fn find_label<T: TrieMaps>(maps: &T, address: [u64; 2], is_v4: bool, labelling: u32) -> u32 {
    let half = if labelling & 1 == 0 { 0 } else { LABEL_ROOTS };
    let entry = if is_v4 { lookup::v4(maps, half, address[1] as u32) } else { lookup::v6(maps, half, address) };
    let entry = entry.unwrap_or(Entry::FAULT);
    if entry.word() == Entry::FAULT.word() {
        return OTHER_LABEL;
    }
    // Leaves are numbered from 1.
    entry.prefix().map_or(NO_LABEL, |leaf: PrefixId| (leaf.get() - 1) & OTHER_LABEL)
}
