//! Who a certificate names (RFC 5280, section 4.1): as much of DER as that takes.

use super::super::reader::Reader;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// Kinds of strings: UTF-8, printable, T61, IA5.
const STRINGS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// `commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 4, 3];
/// `Certificate` among the types of handshake messages, and how many of those are looked at.
const CERTIFICATE: usize = 11;
const MAX_HANDSHAKES: usize = 8;

/// Common names of issuer and subject of the first certificate in a server's handshake messages (RFC 5246, section 7.4.2).
pub(super) fn names(handshake: &[u8]) -> Option<[&[u8]; 2]> {
    let mut messages = Reader(handshake);
    for _ in 0..MAX_HANDSHAKES {
        let kind = messages.number(1)?;
        let length = messages.number(3)?;
        // The message may be cut behind what is needed.
        let mut body = Reader(messages.take_up_to(length));
        if kind == CERTIFICATE {
            body.take(3)?;
            let length = body.number(3)?;
            return of_certificate(body.take_up_to(length));
        }
    }
    None
}

fn of_certificate(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let mut outer = Reader(bytes);
    let mut fields = Reader(value(&mut Reader(value(&mut outer, SEQUENCE)?), SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        value(&mut fields, VERSION)?;
    }
    value(&mut fields, INTEGER)?;
    value(&mut fields, SEQUENCE)?;
    let issuer = only_common_name(value(&mut fields, SEQUENCE)?)?;
    value(&mut fields, SEQUENCE)?;
    let subject = only_common_name(value(&mut fields, SEQUENCE)?)?;
    Some([issuer, subject])
}

/// The common name of a name that consists of nothing else.
fn only_common_name(name: &[u8]) -> Option<&[u8]> {
    let mut name = Reader(name);
    let mut attribute = Reader(value(&mut Reader(value(&mut name, SET)?), SEQUENCE)?);
    let kind = value(&mut attribute, OID)?;
    let tag = *attribute.0.first()?;
    let text = value(&mut attribute, tag)?;
    (name.0.is_empty() && kind == COMMON_NAME && STRINGS.contains(&tag)).then_some(text)
}

/// The value behind a tag; cut where its end is missing.
fn value<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    if *reader.take(1)?.first()? != tag {
        return None;
    }
    let length = match reader.number(1)? {
        short @ ..=0x7f => short,
        long @ 0x81..=0x83 => reader.number(long & 3)?,
        _ => return None,
    };
    Some(reader.take_up_to(length))
}
