//! Whether two numbers are a point of secp256k1 (SEC 2, 2.4.1): y² = x³ + 7 modulo 2²⁵⁶ − 2³² − 977. Nothing here is secret.

/// The modulus, least significant word first.
const MODULUS: Number = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];
/// 2²⁵⁶ modulo the modulus.
const FOLD: u64 = 0x1_0000_03d1;
/// First byte of a point that is written with both numbers (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A number of 256 bits, least significant word first.
type Number = [u64; 4];

/// Whether bytes begin with an uncompressed point.
pub(super) fn starts_with_point(bytes: &[u8]) -> bool {
    let Some((&UNCOMPRESSED, rest)) = bytes.split_first() else { return false };
    let Some((x, rest)) = rest.split_first_chunk() else { return false };
    let Some((y, _)) = rest.split_first_chunk() else { return false };
    let [x, y] = [x, y].map(number);
    if !is_reduced(&x) || !is_reduced(&y) {
        return false;
    }
    let cube = product(&product(&x, &x), &x);
    product(&y, &y) == sum(&cube, 7)
}

fn number(bytes: &[u8; 32]) -> Number {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().rev().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

fn is_reduced(number: &Number) -> bool {
    number.iter().rev().lt(MODULUS.iter().rev())
}

/// Two words in one: the lower, and what is carried.
fn split(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

/// A number and a small one, below the modulus.
fn sum(number: &Number, small: u64) -> Number {
    let mut total = *number;
    let mut carry = small;
    for word in &mut total {
        (*word, carry) = split(u128::from(*word) + u128::from(carry));
    }
    // What is carried out is 2²⁵⁶, once at most.
    if carry > 0 {
        return sum(&total, FOLD);
    }
    if is_reduced(&total) { total } else { total_without_modulus(&total) }
}

/// A number that is at least the modulus, less the modulus: adding 2²⁵⁶ less the modulus and dropping the carry.
fn total_without_modulus(number: &Number) -> Number {
    let mut rest = *number;
    let mut carry = FOLD;
    for word in &mut rest {
        (*word, carry) = split(u128::from(*word) + u128::from(carry));
    }
    rest
}

fn product(left: &Number, right: &Number) -> Number {
    let mut wide = [0_u64; 8];
    for (at, left) in left.iter().enumerate() {
        let mut carry = 0;
        for (word, right) in wide[at..].iter_mut().zip(right) {
            (*word, carry) = split(u128::from(*left) * u128::from(*right) + u128::from(*word) + u128::from(carry));
        }
        wide[at + 4] = carry;
    }
    // The upper half counts 2²⁵⁶ each.
    let (mut low, mut carry) = ([0; 4], 0);
    for (at, word) in low.iter_mut().enumerate() {
        (*word, carry) = split(u128::from(wide[at + 4]) * u128::from(FOLD) + u128::from(wide[at]) + u128::from(carry));
    }
    // So does what is carried out of it: fewer than 2³⁴ of them.
    let mut more = u128::from(carry) * u128::from(FOLD);
    for word in &mut low {
        let (total, is_over) = word.overflowing_add(more as u64);
        *word = total;
        more = (more >> 64) + u128::from(is_over);
    }
    sum(&low, if more > 0 { FOLD } else { 0 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The generator (SEC 2, 2.4.1).
    pub(in super::super) const GENERATOR: [u8; 65] =
        hex(b"0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
          483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    /// Twice the generator.
    const TWICE: [u8; 65] = hex(b"04c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5\
          1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a");

    const fn hex(digits: &[u8; 130]) -> [u8; 65] {
        const fn value(digit: u8) -> u8 {
            if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
        }
        let mut bytes = [0; 65];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = value(digits[2 * at]) << 4 | value(digits[2 * at + 1]);
            at += 1;
        }
        bytes
    }

    #[test]
    fn points() {
        assert!(starts_with_point(&GENERATOR));
        assert!(starts_with_point(&TWICE));
        for place in 0..GENERATOR.len() {
            let mut other = GENERATOR;
            other[place] ^= 1;
            assert!(!starts_with_point(&other), "byte {place}");
        }
        assert!(!starts_with_point(&GENERATOR[..64]));
        assert!(!starts_with_point(&[4; 65]));
        assert!(!starts_with_point(&[&[4][..], &[0xff; 64]].concat()));
    }

    #[test]
    fn arithmetic_at_its_edges() {
        // -1 times -1, and -1 plus something.
        let less = [MODULUS[0] - 1, u64::MAX, u64::MAX, u64::MAX];
        assert_eq!(product(&less, &less), [1, 0, 0, 0]);
        assert_eq!(sum(&less, 1), [0; 4]);
        assert_eq!(sum(&less, 8), [7, 0, 0, 0]);
        // 2¹²⁸ squared.
        assert_eq!(product(&[0, 0, 1, 0], &[0, 0, 1, 0]), [FOLD, 0, 0, 0]);
        // The negative of a point is one, too: p - y.
        let mut negative = GENERATOR;
        let mut borrow = 0;
        for (at, byte) in negative[33..].iter_mut().enumerate().rev() {
            let modulus = MODULUS[3 - at / 8].to_be_bytes()[at % 8];
            let rest = i32::from(modulus) - i32::from(*byte) - borrow;
            borrow = i32::from(rest < 0);
            *byte = rest.rem_euclid(256) as u8;
        }
        assert!(starts_with_point(&negative));
    }
}
