//! Which rules a packet is compared with: chains of their numbers by service, and by first byte. All of it is computed by the compiler, which
//! refuses a rule that would make a chain longer than [`CHAIN`].

use core::hint::black_box;

use super::{
    CHAIN, Opening,
    rule::Rule,
    rules::GROUPS,
    service::{SERVICES, Service},
};
use crate::class::Class;

/// Numbers of rules, that of [`Rule::NEVER`] included: a power of two, so that a masked number is one.
pub(super) const LEN: usize = 256;
/// Chains by first byte: two transports, and where the first byte is zero, as it is in so many formats, by the second.
const BYTES: usize = 4 * 256;
/// Chains by service: two transports, and a power of two of services.
const BY_SERVICE: usize = 2 * 32;

const _: () = assert!(2 * SERVICES <= BY_SERVICE && LEN <= 1 << u8::BITS);

/// Numbers of rules in the order in which they are asked; behind the last of them zeros, the number of [`Rule::NEVER`].
pub(super) type Chain = [u8; CHAIN];

/// All rules, by number.
pub(super) static RULES: [Rule; LEN] = ALL;

const ALL: [Rule; LEN] = {
    let mut rules = [Rule::NEVER; LEN];
    let (mut next, mut group) = (1, 0);
    while group < GROUPS.len() {
        let mut of_group = 0;
        while of_group < GROUPS[group].len() {
            rules[next] = GROUPS[group][of_group];
            next += 1;
            of_group += 1;
        }
        group += 1;
    }
    rules
};

static CHAINS_BY_BYTE: [Chain; BYTES] = {
    let mut chains = [[0; CHAIN]; BYTES];
    let mut number = 1;
    while number < LEN && ALL[number].class as u8 != Class::Unknown as u8 {
        let rule = &ALL[number];
        let mut byte = 0;
        while matches!(rule.service, Service::None) && byte < 256 {
            let is_first = byte != 0 && rule.may_have(0, byte as u8);
            let is_second = rule.may_have(0, 0) && rule.may_have(1, byte as u8);
            let mut transport = 0;
            while (is_first || is_second) && transport < 2 {
                if rule.is_for(transport == 1) {
                    if is_first {
                        append(&mut chains[row(transport == 1, false) + byte], number);
                    }
                    if is_second {
                        append(&mut chains[row(transport == 1, true) + byte], number);
                    }
                }
                transport += 1;
            }
            byte += 1;
        }
        number += 1;
    }
    chains
};

static CHAINS_BY_SERVICE: [Chain; BY_SERVICE] = {
    let mut chains = [[0; CHAIN]; BY_SERVICE];
    let mut number = 1;
    while number < LEN && ALL[number].class as u8 != Class::Unknown as u8 {
        let rule = &ALL[number];
        if !matches!(rule.service, Service::None) {
            if rule.is_for(false) {
                append(&mut chains[place(rule.service, false)], number);
            }
            if rule.is_for(true) {
                append(&mut chains[place(rule.service, true)], number);
            }
        }
        number += 1;
    }
    chains
};

const fn append(chain: &mut Chain, number: usize) {
    let mut at = 0;
    while at < CHAIN && chain[at] != 0 {
        at += 1;
    }
    assert!(at < CHAIN, "a chain is longer than CHAIN: make a rule more particular, or look for it at a service");
    chain[at] = number as u8;
}

const fn row(is_udp: bool, is_second: bool) -> usize {
    (is_udp as usize * 2 + is_second as usize) * 256
}

const fn place(service: Service, is_udp: bool) -> usize {
    service as usize * 2 + is_udp as usize
}

/// The first rule of a service that fits.
#[inline(always)]
pub(super) fn by_service(opening: &Opening, is_udp: bool, service: Service) -> Option<Class> {
    first(CHAINS_BY_SERVICE[below::<BY_SERVICE>(place(service, is_udp))], opening)
}

/// The first rule of a first byte that fits.
#[inline(always)]
pub(super) fn by_first_byte(opening: &Opening, is_udp: bool) -> Option<Class> {
    let word = opening.head[0];
    let byte = if word >> 24 == 0 { word >> 16 } else { word >> 24 } & 0xff;
    first(CHAINS_BY_BYTE[below::<BYTES>(row(is_udp, word >> 24 == 0) + byte as usize)], opening)
}

#[inline(always)]
fn first(chain: Chain, opening: &Opening) -> Option<Class> {
    // A register, not an array, whose elements the verifier would look for on the stack.
    let mut rest = u32::from_le_bytes(chain);
    for _ in 0..CHAIN {
        if rest == 0 {
            break;
        }
        let rule = &RULES[below::<LEN>(rest as usize)];
        rest >>= 8;
        if rule.fits(opening) {
            return Some(rule.class);
        }
    }
    None
}

/// The same index, which is below a power of two, in a way that the verifier sees: the compiler knows it, too, and by other ways than the
/// verifier can follow, and would leave out the mask.
#[inline(always)]
fn below<const LEN: usize>(index: usize) -> usize {
    black_box(index) & (LEN - 1)
}
