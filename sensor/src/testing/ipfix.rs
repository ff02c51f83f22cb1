//! Messages of IPFIX taken apart, written from RFC 7011 alone.

use std::collections::HashMap;

/// Bytes of a message's header, and of a set's.
const MESSAGE_HEADER: usize = 16;
const SET_HEADER: usize = 4;
/// Set IDs of templates and of options templates; data begins at 256.
const TEMPLATES: u16 = 2;
const OPTIONS_TEMPLATES: u16 = 3;
/// What marks an element number that an enterprise number follows.
const ENTERPRISE_BIT: u16 = 1 << 15;

/// What a collector knows of one session.
#[derive(Debug, Default)]
pub struct Session {
    templates: HashMap<(u32, u16), Template>,
    /// Sequence numbers that are due, by domain.
    due: HashMap<u32, u32>,
    /// Sequence numbers that were not what came before.
    pub gaps: u32,
    /// Sets without a template.
    pub unknown_sets: u32,
}

/// Which fields records have.
#[derive(Clone, Debug)]
struct Template {
    /// Element and bytes; own elements as well by their number alone.
    fields: Vec<(u16, usize)>,
    is_options: bool,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Observation domain.
    pub domain: u32,
    /// It is about the exporter.
    pub is_options: bool,
    /// Elements and what they hold, in their order.
    pub fields: Vec<(u16, Vec<u8>)>,
}

impl Session {
    /// Takes the whole messages off the front of a stream.
    ///
    /// # Errors
    /// It is no IPFIX.
    pub fn stream(&mut self, bytes: &mut Vec<u8>) -> Result<Vec<Record>, String> {
        let mut records = vec![];
        while let Some(len) = bytes.get(2..4).map(|len| number(len) as usize)
            && bytes.len() >= len.max(MESSAGE_HEADER)
        {
            let message: Vec<u8> = bytes.drain(..len).collect();
            records.extend(self.message(&message)?);
        }
        Ok(records)
    }

    /// Takes a message.
    ///
    /// # Errors
    /// It is no IPFIX.
    pub fn message(&mut self, message: &[u8]) -> Result<Vec<Record>, String> {
        let (header, mut rest) = message.split_at_checked(MESSAGE_HEADER).ok_or("half a header of a message")?;
        if (number(&header[..2]), number(&header[2..4]) as usize) != (10, message.len()) {
            return Err(format!("no message of {} bytes: {header:?}", message.len()));
        }
        let (sequence, domain) = (number(&header[8..12]) as u32, number(&header[12..]) as u32);
        self.gaps += u32::from(self.due.get(&domain).is_some_and(|due| *due != sequence));
        let mut records = vec![];
        while !rest.is_empty() {
            let (id, len) = (number(rest.get(..2).unwrap_or_default()) as u16, rest.get(2..SET_HEADER));
            let len = len.map_or(0, |len| number(len) as usize);
            let set = rest.get(SET_HEADER..len).ok_or("a set that is longer than its message")?;
            match id {
                TEMPLATES | OPTIONS_TEMPLATES => {
                    self.template(domain, set, id == OPTIONS_TEMPLATES).ok_or("half a template")?;
                }
                _ => self.data(domain, id, set, &mut records),
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        self.due.insert(domain, sequence.wrapping_add(records.len() as u32));
        Ok(records)
    }

    fn template(&mut self, domain: u32, mut set: &[u8], is_options: bool) -> Option<()> {
        let mut take = |len: usize| {
            let (taken, rest) = set.split_at_checked(len)?;
            set = rest;
            Some((number(taken), rest.len()))
        };
        loop {
            let ((id, _), (count, mut left)) = (take(2)?, take(2)?);
            if is_options {
                take(2)?;
            }
            let mut fields = vec![];
            for _ in 0..count {
                let ((element, _), (len, _)) = (take(2)?, take(2)?);
                if element as u16 & ENTERPRISE_BIT > 0 {
                    take(4)?;
                }
                left = take(0)?.1;
                fields.push((element as u16 & !ENTERPRISE_BIT, len as usize));
            }
            self.templates.insert((domain, id as u16), Template { fields, is_options });
            // Less than a header is padding.
            if left < SET_HEADER {
                return Some(());
            }
        }
    }

    fn data(&mut self, domain: u32, id: u16, mut set: &[u8], records: &mut Vec<Record>) {
        let Some(Template { fields, is_options }) = self.templates.get(&(domain, id)) else {
            self.unknown_sets += 1;
            return;
        };
        let len = fields.iter().map(|(_, len)| len).sum::<usize>().max(1);
        while let Some((mut record, rest)) = set.split_at_checked(len) {
            let mut held = vec![];
            for (element, len) in fields {
                let (value, behind) = record.split_at(*len);
                held.push((*element, value.to_vec()));
                record = behind;
            }
            records.push(Record { domain, is_options: *is_options, fields: held });
            set = rest;
        }
    }
}

impl Record {
    /// What an element holds.
    pub fn bytes(&self, element: u16) -> Option<&[u8]> {
        self.fields.iter().find(|(id, _)| *id == element).map(|(_, value)| value.as_slice())
    }

    /// The number that an element holds; 0 where there is none.
    pub fn number(&self, element: u16) -> u64 {
        self.bytes(element).map_or(0, number)
    }

    /// The text that an element holds, up to the first NUL.
    pub fn text(&self, element: u16) -> String {
        let bytes = self.bytes(element).unwrap_or_default();
        text(bytes).unwrap_or_default()
    }
}

/// The text in a field, up to the first NUL.
pub fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(field.split(|byte| *byte == 0).next()?.to_vec()).ok()
}

/// The number in a field.
pub fn number(field: &[u8]) -> u64 {
    field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of domain 7 with this sequence number and these sets.
    fn message(sequence: u32, sets: &[(u16, &[u8])]) -> Vec<u8> {
        let sets: Vec<u8> = sets
            .iter()
            .flat_map(|(id, set)| [&id.to_be_bytes()[..], &(4 + set.len() as u16).to_be_bytes(), set].concat())
            .collect();
        let len = 16 + sets.len() as u16;
        [&[0, 10], &len.to_be_bytes()[..], &[0; 4], &sequence.to_be_bytes(), &7_u32.to_be_bytes(), &sets].concat()
    }

    #[test]
    fn messages_are_taken_apart() {
        let template = [1, 0, 0, 2, 0, 1, 0, 2, 0x83, 0xe8, 0, 3, 0, 0, 0, 9, 1, 1, 0, 1, 0, 2, 0, 1];
        let one = message(5, &[(2, &template), (256, &[1, 2, b'a', 0, b'x', 3, 4, b'b', b'c', b'd'])]);
        let two = message(7, &[(257, &[9]), (300, &[0])]);
        let mut stream = [one.as_slice(), &two, &two[..9]].concat();
        let mut session = Session::default();
        let records = session.stream(&mut stream).unwrap();
        assert_eq!((stream.len(), session.gaps, session.unknown_sets), (9, 0, 1));
        let shown: Vec<_> =
            records.iter().map(|record| (record.number(1), record.text(1000), record.number(2))).collect();
        assert_eq!(shown, [(258, "a".to_owned(), 0), (772, "bcd".to_owned(), 0), (0, String::new(), 9)]);
        session.message(&message(9, &[])).unwrap();
        assert_eq!(session.gaps, 1);
        for bad in [&one[..15], &one[..40], &[b'H'; 30], &message(0, &[(2, &template[..7])])] {
            assert!(session.message(bad).is_err());
        }
    }
}
