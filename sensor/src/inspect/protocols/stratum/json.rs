//! As much of JSON (RFC 8259) as tells which members an object has: nothing is unescaped, nothing is kept, whatever is cut ends it.

/// The objects of a text, each as far as it goes; between them stand spaces, and what holds a batch together.
pub(super) fn objects(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_between(*byte))?;
        let object = rest.get(start..).filter(|object| object.starts_with(b"{"))?;
        let (object, behind) = object.split_at_checked(length(object).unwrap_or(object.len()))?;
        rest = behind;
        Some(object)
    })
}

/// Members of an object: their keys without quotes, and their values.
pub(super) fn members(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = object.strip_prefix(b"{").unwrap_or_default();
    std::iter::from_fn(move || {
        let at_key = after_comma(rest);
        let (key, behind) = at_key.split_at_checked(length(at_key)?)?;
        let at_value = behind.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, behind) = at_value.split_at_checked(length(at_value)?)?;
        rest = behind;
        Some((text(key)?, value))
    })
}

/// Values of an array.
pub(super) fn items(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = array.strip_prefix(b"[").unwrap_or_default();
    std::iter::from_fn(move || {
        let at_value = after_comma(rest);
        let (value, behind) = at_value.split_at_checked(length(at_value)?)?;
        rest = behind;
        Some(value)
    })
}

/// The member of an object that has this key.
pub(super) fn member<'a>(object: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    members(object).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// A string without its quotes.
pub(super) fn text(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b'[' | b']' | 0)
}

fn after_comma(rest: &[u8]) -> &[u8] {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start()
}

/// Bytes of the value that a text begins with; `None` where it is cut or there is none.
fn length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_length(text),
        b'{' | b'[' => nested_length(text),
        b'}' | b']' | b',' | b':' => None,
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()),
    }
}

fn string_length(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (place, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

fn nested_length(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut place = 0;
    loop {
        let rest = text.get(place..)?;
        match rest.first()? {
            b'"' => {
                place += string_length(rest)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        place += 1;
        if depth == 0 {
            return Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_in_any_order_and_spacing() {
        let object = b"{ \"a\" : [1, {\"b\":\"]\\\"\"}] ,\"c\":null,\"d\":{ \"e\": \"f\" } }";
        let found: Vec<_> = members(object).collect();
        assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [b"a", b"c", b"d"]);
        assert_eq!(member(object, b"c"), Some(b"null".as_slice()));
        assert_eq!(member(found[2].1, b"e").and_then(text), Some(b"f".as_slice()));
        assert_eq!(items(found[0].1).count(), 2);
    }

    #[test]
    fn objects_on_a_line_and_a_cut_one() {
        let text = b"{\"a\":1}{\"b\":2} \r\n{\"c\":3,\"d\":[4";
        let found: Vec<_> = objects(text).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(member(found[2], b"c"), Some(b"3".as_slice()));
        assert_eq!(member(found[2], b"d"), None);
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes in "[\\[\\]{}\":,\\\\ a1]{0,200}")| {
            for object in objects(bytes.as_bytes()) {
                for (_, value) in members(object) {
                    items(value).count();
                }
            }
        });
    }
}
