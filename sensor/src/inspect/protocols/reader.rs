//! Reads fields one behind another; whoever reads beyond the end gets `None`.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next bytes, as many as asked for.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// As many of them as there are.
    pub(super) fn take_up_to(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number of `count` bytes, at most eight, in network byte order.
    pub(super) fn number(&mut self, count: usize) -> Option<usize> {
        let bytes = self.take(count)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Bytes behind their length, itself of `count` bytes.
    pub(super) fn vector(&mut self, count: usize) -> Option<&'a [u8]> {
        let length = self.number(count)?;
        self.take(length)
    }

    /// A number of QUIC's variable length (RFC 9000, section 16).
    pub(super) fn varint(&mut self) -> Option<usize> {
        let first = *self.0.first()?;
        let count = 1_usize << (first >> 6);
        let number = self.number(count)?;
        // The two bits that say how long it is are not part of it.
        Some(number & (usize::MAX >> (usize::BITS as usize + 2 - 8 * count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        // The examples of RFC 9000, appendix A.1.
        assert_eq!(Reader(&[0x25]).varint(), Some(37));
        assert_eq!(Reader(&[0x7b, 0xbd]).varint(), Some(15_293));
        assert_eq!(Reader(&[0x9d, 0x7f, 0x3e, 0x7d]).varint(), Some(494_878_333));
        assert_eq!(Reader(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]).varint(), Some(151_288_809_941_952_652));
        assert_eq!(Reader(&[0x9d, 0x7f]).varint(), None);
        assert_eq!(Reader(&[]).varint(), None);
        let mut reader = Reader(&[2, 7, 8, 9]);
        assert_eq!(reader.vector(1), Some(&[7, 8][..]));
        assert_eq!(reader.vector(1), None);
    }
}
