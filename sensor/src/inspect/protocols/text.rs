//! Lines, words and answers of protocols that speak in text. Who is called client is a guess where no SYN was seen, so roles are tried both
//! ways.

use crate::inspect::{Conversation, End, Verdict};

/// Lines that are looked at, and bytes.
const MAX_LINES: usize = 32;
const MAX_TEXT: usize = 4096;

/// The first lines, without what ends them; the last one may be incomplete.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    text.split(|byte| *byte == b'\n').take(MAX_LINES).map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// Whether a word is one of these; case does not matter.
pub(super) fn is_one_of(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether the first word of a line is one of these.
pub(super) fn starts_with_one_of(line: &[u8], list: &[&str]) -> bool {
    words(line).next().is_some_and(|word| is_one_of(word, list))
}

/// Whether a line begins with this; case does not matter.
pub(super) fn starts_with(line: &[u8], what: &str) -> bool {
    line.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what.as_bytes()))
}

/// Whether this is somewhere in a line; case does not matter.
pub(super) fn has(line: &[u8], what: &str) -> bool {
    line.windows(what.len()).any(|part| part.eq_ignore_ascii_case(what.as_bytes()))
}

/// The code of an answer (RFC 959 section 4.2, RFC 5321 section 4.2): three digits, then a space, a hyphen or nothing.
pub(super) fn code(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let is_code = matches!(digits[0], b'1'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    let ends = matches!(rest.first(), None | Some(b' ' | b'-'));
    (is_code && ends).then(|| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
}

/// The surest of what is said with either end as the client: first its bytes, then those of the server.
pub(super) fn in_either_role(
    conversation: &Conversation,
    judge: impl Fn(&[u8], &[u8]) -> Option<Verdict>,
) -> Option<Verdict> {
    let [client, server] = End::ALL.map(|end| conversation.stream(end));
    let verdicts = [judge(client, server), judge(server, client)];
    verdicts.into_iter().flatten().max_by_key(|verdict| verdict.evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words() {
        assert_eq!(
            [code(b"220 a"), code(b"250-a"), code(b"354"), code(b"2200 a")],
            [Some(220), Some(250), Some(354), None]
        );
        assert_eq!([code(b"620 a"), code(b"22"), code(b"")], [None; 3]);
        assert_eq!(lines(b"a\r\nb\nc").collect::<Vec<_>>(), [&b"a"[..], b"b", b"c"]);
        assert_eq!(lines(&[b'\n'; 99]).count() + lines(&[0; 9999]).next().unwrap().len(), MAX_LINES + MAX_TEXT);
        assert!(starts_with_one_of(b"  user x", &["USER"]) && !starts_with_one_of(b"users x", &["USER"]));
        assert!(has(b"220 x eSmTp y", "SMTP") && !has(b"SMT", "SMTP") && starts_with(b"mail from:<", "MAIL FROM:"));
    }
}
