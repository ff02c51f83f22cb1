//! Who hands packets over: the neighbours on a link, by what their frames say.

/// Neighbours of a slice; those beyond are billed together.
pub const MAX_NEIGHBOURS: u32 = 256;
/// Entries that one is looked for in.
pub const NEIGHBOUR_PROBES: u32 = 8;

/// A neighbour that the CPUs of a slice met. Its number is its place in the slice + 1, and stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Neighbour {
    /// Bits 16..64 MAC address, first byte on top; bit 15 whether its frames are tagged; 0..12 their VLAN (IEEE 802.1Q).
    pub address: u64,
    /// Interface, by its place in the configuration, + 1; 0: a free entry.
    pub interface: u64,
}

impl Neighbour {
    const TAGGED: u64 = 1 << 15;
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The neighbour with that MAC address, as a number of 48 bits, and VLAN at an interface.
    #[inline(always)]
    pub const fn new(mac: u64, vlan: Option<u16>, interface: u32) -> Self {
        let tag = match vlan {
            Some(vlan) => Self::TAGGED | (vlan & 0xfff) as u64,
            None => 0,
        };
        Self { address: mac << 16 | tag, interface: interface as u64 + 1 }
    }

    /// MAC address.
    pub const fn mac(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.address.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// VLAN.
    pub const fn vlan(&self) -> Option<u16> {
        if self.address & Self::TAGGED == 0 { None } else { Some((self.address & 0xfff) as u16) }
    }

    /// Interface, by its place in the configuration; `None` of a free entry.
    pub const fn interface(&self) -> Option<u32> {
        (self.interface as u32).checked_sub(1)
    }

    /// Where it is looked for first, below [`MAX_NEIGHBOURS`].
    #[inline(always)]
    pub const fn place(&self) -> u32 {
        ((self.address ^ self.interface << 56).wrapping_mul(Self::SPREAD) >> 32) as u32 & (MAX_NEIGHBOURS - 1)
    }
}

const _: () = assert!(MAX_NEIGHBOURS.is_power_of_two() && core::mem::size_of::<Neighbour>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_keep_what_they_are_given() {
        let tagged = Neighbour::new(0x0200_0002_0485, Some(4094), 7);
        assert_eq!(tagged.mac(), [2, 0, 0, 2, 4, 0x85]);
        assert_eq!((tagged.vlan(), tagged.interface()), (Some(4094), Some(7)));
        let untagged = Neighbour::new(0xffff_ffff_ffff, None, 0);
        assert_eq!((untagged.mac(), untagged.vlan(), untagged.interface()), ([255; 6], None, Some(0)));
        assert_ne!(Neighbour::new(0, Some(0), 0), Neighbour::new(0, None, 0));
        assert_eq!(Neighbour::default().interface(), None);
    }
}
