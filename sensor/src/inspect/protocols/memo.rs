//! What several judges ask of the same conversation, found once: the hellos of TLS, and those that had to be decrypted.

use std::cell::OnceCell;

use sensor_ebpf::class::Evidence;

use super::tls::{Proof, hello::ClientHello};

/// The bit of a long header of QUIC (RFC 8999, section 5.1): only such packets can be opened.
const LONG_HEADER: u8 = 0x80;

/// Findings that hold until the conversation goes on.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Memo {
    /// Whether it is TLS.
    pub(super) tls: OnceCell<Option<Proof>>,
    /// Whether it is QUIC.
    pub(super) quic: OnceCell<Option<Evidence>>,
    /// The hello in what of QUIC opens.
    pub(super) opened: OnceCell<Option<ClientHello>>,
}

impl Memo {
    /// Forgets everything: a stream begins anew.
    pub(in crate::inspect) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets what one more packet may change, of UDP this datagram.
    pub(in crate::inspect) fn learn(&mut self, datagram: Option<&[u8]>) {
        self.tls.take();
        self.quic.take();
        let is_whole = self.opened.get().and_then(Option::as_ref).is_some_and(|hello| hello.complete);
        let may_open = datagram.and_then(<[u8]>::first).is_some_and(|first| first & LONG_HEADER != 0);
        if may_open && !is_whole {
            self.opened.take();
        }
    }

    /// Memory of what was found.
    pub(in crate::inspect) fn held_bytes(&self) -> usize {
        let proof = self.tls.get().and_then(Option::as_ref).and_then(|proof| proof.hello.as_ref());
        let opened = self.opened.get().and_then(Option::as_ref);
        proof.into_iter().chain(opened).map(ClientHello::held_bytes).sum()
    }
}
