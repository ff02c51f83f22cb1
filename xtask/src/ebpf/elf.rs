//! Just enough of ELF to say what an object holds: the names and kinds of its sections.

use anyhow::{Context as _, Result, ensure};

/// `SHF_EXECINSTR`: the section holds instructions.
const FLAG_EXECUTABLE: u64 = 0x4;

/// Offsets in the 64-bit little-endian file header.
const HEADER_SECTION_TABLE: usize = 0x28;
const HEADER_SECTION_SIZE: usize = 0x3a;
const HEADER_SECTION_COUNT: usize = 0x3c;
const HEADER_NAMES_INDEX: usize = 0x3e;

/// Offsets in a section header.
const SECTION_NAME: usize = 0x00;
const SECTION_FLAGS: usize = 0x08;
const SECTION_OFFSET: usize = 0x18;
const SECTION_BYTES: usize = 0x20;

/// One section of an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Name, e.g. `xdp`, `.BTF`, `.maps`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Whether it holds instructions.
    pub executable: bool,
}

impl Section {
    /// Whether the kernel gets a program from it; `.text` holds what the programs call.
    pub fn is_program(&self) -> bool {
        self.executable && self.size > 0 && self.name != ".text"
    }
}

/// The sections of a 64-bit little-endian ELF file.
pub fn sections(file: &[u8]) -> Result<Vec<Section>> {
    ensure!(file.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF file");
    let table = index(number(file, HEADER_SECTION_TABLE, 8)?)?;
    let entry_size = index(number(file, HEADER_SECTION_SIZE, 2)?)?;
    let count = index(number(file, HEADER_SECTION_COUNT, 2)?)?;
    let names_index = index(number(file, HEADER_NAMES_INDEX, 2)?)?;
    let entry = |position: usize| table + position * entry_size;
    let names = index(number(file, entry(names_index) + SECTION_OFFSET, 8)?)?;
    (0..count)
        .map(|position| {
            let name = names + index(number(file, entry(position) + SECTION_NAME, 4)?)?;
            Ok(Section {
                name: text(file, name)?,
                size: number(file, entry(position) + SECTION_BYTES, 8)?,
                executable: number(file, entry(position) + SECTION_FLAGS, 8)? & FLAG_EXECUTABLE != 0,
            })
        })
        .collect()
}

fn number(file: &[u8], offset: usize, size: usize) -> Result<u64> {
    let end = offset.checked_add(size).context("ELF: offset beyond the address space")?;
    let bytes = file.get(offset..end).with_context(|| format!("ELF: file ends before offset {offset:#x}"))?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn index(value: u64) -> Result<usize> {
    // Half the address space: sums of a few of these cannot overflow.
    usize::try_from(value).ok().filter(|value| *value <= usize::MAX >> 18).context("ELF: offset beyond any file")
}

fn text(file: &[u8], offset: usize) -> Result<String> {
    let bytes = file.get(offset..).with_context(|| format!("ELF: no name at offset {offset:#x}"))?;
    Ok(bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[u8] = b"\0.names\0xdp\0.BTF\0";
    const NAMES_AT: usize = 0x40;
    const TABLE_AT: usize = 0x60;

    fn put(file: &mut Vec<u8>, offset: usize, value: &[u8]) {
        file.resize(file.len().max(offset + value.len()), 0);
        file[offset..offset + value.len()].copy_from_slice(value);
    }

    fn tiny_elf() -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        put(&mut file, HEADER_SECTION_TABLE, &(TABLE_AT as u64).to_le_bytes());
        put(&mut file, HEADER_SECTION_SIZE, &64u16.to_le_bytes());
        put(&mut file, HEADER_SECTION_COUNT, &3u16.to_le_bytes());
        put(&mut file, HEADER_NAMES_INDEX, &0u16.to_le_bytes());
        put(&mut file, NAMES_AT, NAMES);
        for (position, (name, flags, size)) in [(1u32, 0u64, 17u64), (8, 6, 16), (12, 0, 5)].into_iter().enumerate() {
            let entry = TABLE_AT + position * 64;
            put(&mut file, entry + SECTION_NAME, &name.to_le_bytes());
            put(&mut file, entry + SECTION_FLAGS, &flags.to_le_bytes());
            put(&mut file, entry + SECTION_OFFSET, &(NAMES_AT as u64).to_le_bytes());
            put(&mut file, entry + SECTION_BYTES, &size.to_le_bytes());
        }
        file
    }

    #[test]
    fn names_sizes_and_programs_are_read() {
        let sections = sections(&tiny_elf()).unwrap();
        let names: Vec<_> = sections.iter().map(|section| (section.name.as_str(), section.size)).collect();
        assert_eq!(names, [(".names", 17), ("xdp", 16), (".BTF", 5)]);
        let programs: Vec<_> = sections.iter().filter(|section| section.is_program()).collect();
        assert_eq!(programs, [&sections[1]]);
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error() {
        let whole = tiny_elf();
        for length in 0..whole.len() {
            assert!(sections(&whole[..length]).is_err(), "cut at {length}");
        }
        assert!(sections(b"#!/bin/sh").is_err());
    }
}
