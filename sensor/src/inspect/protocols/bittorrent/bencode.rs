//! As much of bencoding (BEP 3) as tells which members a dictionary has; whatever is cut ends it.

/// Digits of a length: datagrams are not longer.
const MAX_LENGTH_DIGITS: usize = 5;
/// Digits of a number of 64 bits, and its sign.
const MAX_NUMBER: usize = 20;

/// Members of a dictionary.
pub(super) fn members(dictionary: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = dictionary.strip_prefix(b"d").unwrap_or_default();
    std::iter::from_fn(move || {
        let (key, behind) = string(rest)?;
        let (value, behind) = behind.split_at_checked(length(behind)?)?;
        rest = behind;
        Some((key, value))
    })
}

/// The member of a dictionary that has this key.
pub(super) fn member<'a>(dictionary: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    members(dictionary).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// A string, and what is behind it.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = bytes.iter().take(MAX_LENGTH_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=MAX_LENGTH_DIGITS).contains(&digits) {
        return None;
    }
    let (digits, rest) = bytes.split_at_checked(digits)?;
    let len = digits.iter().fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
    rest.strip_prefix(b":")?.split_at_checked(len)
}

/// Bytes of the value that these begin with; `None` where it is cut or there is none.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut rest = bytes;
    loop {
        match rest.first()? {
            b'd' | b'l' => {
                depth += 1;
                rest = &rest[1..];
                continue;
            }
            b'e' if depth > 0 => {
                depth -= 1;
                rest = &rest[1..];
            }
            b'i' => {
                let end = rest.iter().take(MAX_NUMBER + 2).position(|byte| *byte == b'e')?;
                rest = rest.get(end + 1..)?;
            }
            _ => rest = string(rest)?.1,
        }
        if depth == 0 {
            return Some(bytes.len() - rest.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_lengths() {
        for (bytes, len) in [
            (b"4:spamX".as_slice(), Some(6)),
            (b"i-3eX", Some(4)),
            (b"l4:spami7eeX", Some(11)),
            (b"d1:ad1:bleeeX", Some(12)),
            (b"dX", None),
            (b"4:spa", None),
            (b"123456:", None),
            (b"e", None),
            (b"", None),
        ] {
            assert_eq!(length(bytes), len, "{bytes:?}");
        }
        let dictionary = b"d1:ad2:id2:xye1:q4:ping1:ti7e";
        assert_eq!(member(dictionary, b"a"), Some(b"d2:id2:xye".as_slice()));
        assert_eq!(member(dictionary, b"t"), Some(b"i7e".as_slice()));
        assert_eq!(member(dictionary, b"z"), None);
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes in "[dlie0-9:a]{0,100}")| {
            length(bytes.as_bytes());
            members(bytes.as_bytes()).count();
        });
    }
}
