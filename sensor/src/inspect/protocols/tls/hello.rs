//! The hellos of TLS (RFC 8446, section 4.1; RFC 5246, section 7.4.1), as far as they are there.

use super::super::reader::Reader;

/// `ClientHello` and `ServerHello` among the types of handshake messages.
const CLIENT_HELLO: usize = 1;
const SERVER_HELLO: usize = 2;
/// Session ids are no longer.
const MAX_SESSION_ID: usize = 32;
/// No hello is longer, the largest keys included.
const MAX_HELLO: usize = 1 << 16;
/// Extensions that are read.
const MAX_EXTENSIONS: usize = 64;

/// Numbers of extensions (IANA registry).
mod extension {
    pub(super) const SERVER_NAME: usize = 0;
    pub(super) const ALPN: usize = 16;
    pub(super) const SUPPORTED_VERSIONS: usize = 43;
}

/// What a client says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ClientHello {
    /// Cipher suites, two bytes each.
    pub(in super::super) ciphers: Vec<u8>,
    /// Name of the server.
    pub(in super::super) server_name: Option<Vec<u8>>,
    /// Protocols for what is inside, each behind the byte of its length.
    pub(in super::super) alpn: Option<Vec<u8>>,
    /// Numbers of the extensions, in order.
    pub(in super::super) extensions: Vec<u16>,
    /// Whether all of it was seen.
    pub(in super::super) complete: bool,
}

impl ClientHello {
    /// Memory that it takes.
    pub(in super::super) fn held_bytes(&self) -> usize {
        let bytes = [Some(&self.ciphers), self.server_name.as_ref(), self.alpn.as_ref()];
        let bytes = bytes.into_iter().flatten().map(Vec::capacity).sum::<usize>();
        bytes + self.extensions.capacity() * size_of::<u16>()
    }

    /// Reads a handshake message, of which the end may be missing.
    pub(in super::super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = start(message, CLIENT_HELLO)?;
        let mut hello = Self::default();
        // What is cut from here on is still a hello.
        hello.complete = hello.fill(&mut reader)?.is_some();
        Some(hello)
    }

    /// Outer `None`: no hello; inner: cut.
    fn fill(&mut self, reader: &mut Reader<'_>) -> Option<Option<()>> {
        let Some(length) = reader.number(2) else { return Some(None) };
        if length < 2 || length % 2 == 1 {
            return None;
        }
        self.ciphers = reader.take_up_to(length).to_vec();
        if self.ciphers.len() < length {
            return Some(None);
        }
        let Some(methods) = reader.vector(1) else { return Some(None) };
        if !methods.contains(&0) {
            return None;
        }
        if reader.0.is_empty() {
            return Some(Some(()));
        }
        Some(self.extensions(reader))
    }

    fn extensions(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let length = reader.number(2)?;
        let present = reader.take_up_to(length);
        let mut list = Reader(present);
        for _ in 0..MAX_EXTENSIONS {
            if list.0.is_empty() {
                break;
            }
            let number = list.number(2)?;
            let body = list.vector(2)?;
            self.extensions.push(number as u16);
            match number {
                extension::SERVER_NAME => self.server_name = server_name(body),
                extension::ALPN => self.alpn = Reader(body).vector(2).map(<[u8]>::to_vec),
                _ => {}
            }
        }
        (present.len() == length).then_some(())
    }

    /// Whether that is among the protocols for what is inside.
    pub(in super::super) fn offers(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        let mut list = Reader(self.alpn.as_deref().unwrap_or_default());
        while let Some(protocol) = list.vector(1) {
            if wanted(protocol) {
                return true;
            }
        }
        false
    }
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ServerHello {
    /// The cipher suite that was chosen.
    pub(in super::super) cipher: [u8; 2],
    /// The version that was agreed on.
    pub(in super::super) version: usize,
}

impl ServerHello {
    /// Reads a handshake message.
    pub(in super::super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = start(message, SERVER_HELLO)?;
        let cipher = *reader.take(2)?.first_chunk()?;
        reader.take(1)?;
        let mut version = Reader(message.get(4..)?).number(2)?;
        let mut list = Reader(reader.vector(2).unwrap_or_default());
        for _ in 0..MAX_EXTENSIONS {
            let (Some(number), Some(body)) = (list.number(2), list.vector(2)) else { break };
            if number == extension::SUPPORTED_VERSIONS {
                version = Reader(body).number(2)?;
            }
        }
        Some(Self { cipher, version })
    }
}

/// What both hellos begin with; the reader stands behind the session id.
fn start(message: &[u8], kind: usize) -> Option<Reader<'_>> {
    let mut reader = Reader(message);
    let is_it = reader.number(1)? == kind && (38..MAX_HELLO).contains(&reader.number(3)?);
    // The version of a hello was never above 3.3 since 1.3 says so elsewhere; drafts said 7F.
    let version = reader.number(2)?;
    reader.take(32)?;
    if !is_it || !(0x0300..=0x0304).contains(&version) && version >> 8 != 0x7f {
        return None;
    }
    // Drafts of 1.3 had no session id in the server's.
    if kind == SERVER_HELLO && version >> 8 == 0x7f {
        return Some(reader);
    }
    let session = reader.vector(1)?;
    (session.len() <= MAX_SESSION_ID).then_some(reader)
}

/// The host name in that extension (RFC 6066, section 3).
fn server_name(body: &[u8]) -> Option<Vec<u8>> {
    let mut names = Reader(Reader(body).vector(2)?);
    let is_host = names.number(1)? == 0;
    let name = names.vector(2)?;
    (is_host && name.len() <= 255).then(|| name.to_ascii_lowercase())
}
