//! The unsafe door to ethtool(8)'s ioctl: who drives an interface, and which of its offloads are on.
//!
//! Layouts and numbers of `linux/ethtool.h`. Everything is a row of 32-bit words in host byte order but the strings.

use std::{
    ffi::CString,
    io,
    mem::zeroed,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// String set with the names of the features, by bit number.
const ETH_SS_FEATURES: u32 = 4;

/// `struct ethtool_drvinfo`: 196 bytes, of which the driver's name stands behind the command.
const DRVINFO_WORDS: usize = 196 / 4;
/// Bytes of a driver's or feature's name, padded with zeros (`ETH_GSTRING_LEN`, and as much in `drvinfo`).
const NAME_LEN: usize = 32;
/// `struct ethtool_sset_info`: command, reserved, mask of 64 bits, the length of one set.
const SSET_WORDS: usize = 5;
/// Words before the strings: command, set, length.
const STRINGS_HEADER: usize = 3;
/// Words before the features: command, number of blocks.
const FEATURES_HEADER: usize = 2;
/// Words of `struct ethtool_get_features_block`: available, requested, active, never changed.
const BLOCK_WORDS: usize = 4;
const ACTIVE: usize = 2;
/// More features than any kernel has; 64 today.
const MAX_FEATURES: u32 = 4096;

/// Name of the driver of an interface of this network namespace.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    let mut words = vec![0; DRVINFO_WORDS];
    words[0] = ETHTOOL_GDRVINFO;
    // SAFETY: the buffer is as long as the structure that this command fills.
    unsafe { ethtool(interface, &mut words) }?;
    Ok(name(&bytes(&words[1..])))
}

/// Names of the features of an interface of this network namespace that are on, such as `rx-lro`.
pub(super) fn features(interface: &str) -> io::Result<Vec<String>> {
    let mut info = vec![0; SSET_WORDS];
    (info[0], info[2]) = (ETHTOOL_GSSET_INFO, 1 << ETH_SS_FEATURES);
    // SAFETY: the mask names one set, so one length is written, for which there is room.
    unsafe { ethtool(interface, &mut info) }?;
    let count = info[4];
    if info[2] == 0 || count > MAX_FEATURES {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut strings = vec![0; STRINGS_HEADER + count as usize * NAME_LEN / 4];
    (strings[0], strings[1], strings[2]) = (ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count);
    // SAFETY: the kernel writes as many strings as it has features, a constant of the running kernel that it just told.
    unsafe { ethtool(interface, &mut strings) }?;
    let blocks = count.div_ceil(u32::BITS);
    let mut features = vec![0; FEATURES_HEADER + blocks as usize * BLOCK_WORDS];
    (features[0], features[1]) = (ETHTOOL_GFEATURES, blocks);
    // SAFETY: the kernel writes no more blocks than the second word says there is room for.
    unsafe { ethtool(interface, &mut features) }?;
    let names = bytes(&strings[STRINGS_HEADER..]);
    let active = |number: usize| {
        let block = FEATURES_HEADER + number / u32::BITS as usize * BLOCK_WORDS;
        features.get(block + ACTIVE).is_some_and(|word| word >> (number % u32::BITS as usize) & 1 == 1)
    };
    let names = names.chunks_exact(NAME_LEN).enumerate();
    Ok(names.filter(|(number, _)| active(*number)).map(|(_, text)| name(text)).collect())
}

/// Runs the command in the first word of `words`.
///
/// # Safety
/// `words` has room for everything the kernel answers that command with.
unsafe fn ethtool(interface: &str, words: &mut [u32]) -> io::Result<()> {
    let interface = CString::new(interface)?;
    // Any socket will do; what counts is the network namespace it was made in, that of this thread.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: plain numbers and a union of such, for which all zero is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if interface.as_bytes_with_nul().len() > request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.as_bytes_with_nul()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the request is live and names a live buffer, which by contract is long enough.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A text up to its first zero.
fn name(bytes: &[u8]) -> String {
    let name = bytes.iter().take(NAME_LEN).take_while(|byte| **byte != 0).copied().collect::<Vec<_>>();
    String::from_utf8_lossy(&name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_features_and_no_driver() {
        let features = features("lo").unwrap();
        // Fixed in `drivers/net/loopback.c`.
        assert!(
            features.iter().any(|name| name == "loopback") && features.iter().any(|name| name == "vlan-challenged")
        );
        assert!(!features.iter().any(|name| name.is_empty() || name == "rx-lro"), "{features:?}");
        assert!(driver("lo").is_err());
        assert!(driver("nosuch0").is_err() && driver("a name that is too long").is_err());
    }
}
