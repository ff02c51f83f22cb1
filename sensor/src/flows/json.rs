//! `nfdump -o json`: objects one by one, wherever they stand.
//!
//! An archive is one array of millions of objects, so it is never parsed as a whole: braces tell where an object begins and ends, and only that is handed to
//! the parser. Objects of nfdump have no objects inside, so a brace that opens within one says that it was cut, and begins another.

use std::{borrow::Cow, fmt, io::BufRead};

use anyhow::{Result, bail};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    MAX_RECORD, Read, Reading,
    csv::NO_FLOWS,
    field::{Field, Fields},
    record::{Damage, Flow},
};

/// Where the reader is.
enum Place {
    /// Between objects, with what stands there of a word.
    Between(Vec<u8>),
    /// In an object.
    Inside(Object),
}

/// An object as far as it was read.
struct Object {
    bytes: Vec<u8>,
    line: u64,
    is_text: bool,
    is_escaped: bool,
    is_too_long: bool,
}

impl Object {
    fn begin(mut bytes: Vec<u8>, line: u64) -> Self {
        bytes.clear();
        bytes.push(b'{');
        Self { bytes, line, is_text: false, is_escaped: false, is_too_long: false }
    }

    /// Takes a byte; whether the object ends with it.
    fn take(&mut self, byte: u8) -> bool {
        if self.bytes.len() < MAX_RECORD {
            self.bytes.push(byte);
        } else {
            self.is_too_long = true;
        }
        if self.is_text {
            // A text has no end of a line: this one was cut.
            match byte {
                b'\n' => self.is_text = false,
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_text = false,
                _ => {}
            }
            return false;
        }
        self.is_text = byte == b'"';
        byte == b'}'
    }

    fn read(&self, reading: &Reading) -> Option<Read> {
        let flow = if self.is_too_long {
            Err(Damage::TooLong)
        } else {
            match serde_json::from_slice::<Wire<'_>>(&self.bytes) {
                Ok(Wire(fields)) => Flow::of(&fields, reading),
                Err(_) => Err(Damage::Syntax),
            }
        };
        Some(Read { line: self.line, flow: flow.transpose()? })
    }
}

pub(super) fn records(
    reading: &Reading,
    from: &mut dyn BufRead,
    each: &mut dyn FnMut(Read) -> Result<()>,
) -> Result<()> {
    let (mut place, mut line) = (Place::Between(vec![]), 1_u64);
    let (mut has_objects, mut has_words) = (false, false);
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        let len = piece.len();
        for byte in piece {
            match &mut place {
                Place::Between(word) => match byte {
                    b'{' => {
                        has_objects = true;
                        place = Place::Inside(Object::begin(std::mem::take(word), line));
                    }
                    b'[' | b']' | b',' | b'\n' => {
                        if is_word(word) {
                            if !has_objects {
                                bail!(
                                    "line {line} is none of nfdump -o json; name the format that it has with --flows"
                                );
                            }
                            has_words = true;
                            each(Read { line, flow: Err(Damage::Syntax) })?;
                        }
                        word.clear();
                    }
                    _ if word.is_empty() && byte.is_ascii_whitespace() => {}
                    _ if word.len() <= NO_FLOWS.len() => word.push(*byte),
                    _ => {}
                },
                Place::Inside(object) if *byte == b'{' && !object.is_text => {
                    let begun = object.line;
                    *object = Object::begin(std::mem::take(&mut object.bytes), line);
                    each(Read { line: begun, flow: Err(Damage::Cut) })?;
                }
                Place::Inside(object) => {
                    if object.take(*byte) {
                        if let Some(read) = object.read(reading) {
                            each(read)?;
                        }
                        let mut bytes = std::mem::take(&mut object.bytes);
                        bytes.clear();
                        place = Place::Between(bytes);
                    }
                }
            }
            line += u64::from(*byte == b'\n');
        }
        from.consume(len);
    }
    match place {
        Place::Inside(object) => each(Read { line: object.line, flow: Err(Damage::Cut) }),
        Place::Between(word) if is_word(&word) && !has_objects && !has_words => {
            bail!("line {line} is none of nfdump -o json; name the format that it has with --flows")
        }
        Place::Between(_) => Ok(()),
    }
}

/// Whether that is a word which belongs nowhere.
fn is_word(word: &[u8]) -> bool {
    let word = word.trim_ascii();
    !word.is_empty() && word != NO_FLOWS.as_bytes()
}

/// An object, of which known fields are kept.
struct Wire<'a>(Fields<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Scalar(name)) = map.next_key()? {
                    match name.and_then(|name| Field::named(&name)) {
                        Some(field) => {
                            if let Scalar(Some(text)) = map.next_value()? {
                                fields.put(field, text);
                            }
                        }
                        None => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(Wire(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A text or a number as a text; nothing of anything else.
struct Scalar<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(text.to_owned().into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(number.to_string().into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(number.to_string().into())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(number.to_string().into())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar(None))
            }

            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
