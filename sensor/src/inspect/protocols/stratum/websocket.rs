//! Miners in web pages: the same jobs in frames of a WebSocket (RFC 6455), which a server sends unmasked.
//!
//! Source: the protocol of Coinhive's miner and what came after it (`{"type":"job","params":{"job_id":…,"blob":…}}`), and stratum as it is.

use super::{Said, json};

/// Start of the answer that accepts a WebSocket.
const ACCEPTED: &[u8] = b"HTTP/1.1 101 ";
/// Frames that are looked at.
const MAX_FRAMES: usize = 16;
/// Opcode of a text, with the bit of a last frame (RFC 6455, 5.2).
const TEXT: u8 = 0x81;
/// Length that says that two bytes of it follow; longer ones hold no job.
const LONG: u8 = 126;

/// Whether a server sends jobs.
pub(super) fn sends_jobs(stream: &[u8]) -> bool {
    if !stream.starts_with(ACCEPTED) {
        return false;
    }
    let Some(end) = stream.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let mut rest = stream.get(end + 4..).unwrap_or_default();
    for _ in 0..MAX_FRAMES {
        let Some((opcode, text, behind)) = frame(rest) else { return false };
        if opcode == TEXT && json::objects(text).next().is_some_and(is_job) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The first byte of a frame, what it holds, as far as it came, and what is behind it.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[opcode, length], behind) = bytes.split_first_chunk()?;
    let (length, behind) = match length {
        ..LONG => (usize::from(length), behind),
        LONG => {
            let (length, behind) = behind.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), behind)
        }
        // Longer, or masked.
        _ => return None,
    };
    let (text, behind) = behind.split_at_checked(length).unwrap_or((behind, &[]));
    Some((opcode, text, behind))
}

fn is_job(object: &[u8]) -> bool {
    let said = Said::of(object);
    let has_job = |object| [b"job_id".as_slice(), b"blob"].iter().all(|key| json::member(object, key).is_some());
    said.is_mining() || has_job(object) || said.params.is_some_and(has_job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(texts: &[&str]) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
        for text in texts {
            bytes.push(TEXT);
            match text.len() {
                len @ ..126 => bytes.push(len as u8),
                len => bytes.extend_from_slice(&[LONG, (len >> 8) as u8, len as u8]),
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn jobs_and_other_texts() {
        let job = format!(r#"{{"type":"job","params":{{"job_id":"7","target":"ff","blob":"{}"}}}}"#, "0".repeat(152));
        assert!(sends_jobs(&answer(&[&job])));
        assert!(sends_jobs(&answer(&[r#"{"type":"authed","params":{"hashes":0}}"#, &job])));
        assert!(sends_jobs(&answer(&[r#"{"id":null,"method":"mining.notify","params":[]}"#])));
        assert!(!sends_jobs(&answer(&[r#"{"type":"job","params":{"job_id":"7","title":"gardener"}}"#])));
        assert!(!sends_jobs(&answer(&["hello", r#"{"blob":"00"}"#])));
        assert!(!sends_jobs(&answer(&[&job])[10..]));
        let whole = answer(&["a", &job]);
        for cut in 0..whole.len() {
            sends_jobs(&whole[..cut]);
        }
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes: Vec<u8>)| assert!(!sends_jobs(&[&answer(&[])[..], &bytes].concat())));
    }
}
