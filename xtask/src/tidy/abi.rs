//! The record layouts and their description change together, or not at all.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// Where the layouts are, and where they are described.
const SOURCE: &str = "sensor-ebpf/src/abi.rs";
const SOURCE_FOLDER: &str = "sensor-ebpf/src/abi";
const DESCRIPTION: &str = "docs/abi.md";

/// What precedes the hash in the description.
const LABEL: &str = "abi-hash: ";

/// Constants of the 64-bit FNV-1a hash.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// What is wrong with the description, if anything.
pub(super) fn finding(root: &Path) -> Result<Option<String>> {
    let mut files = vec![root.join(SOURCE)];
    files.extend(super::files(&root.join(SOURCE_FOLDER))?);
    let mut source = Vec::new();
    for file in &files {
        source.extend(fs::read(file).with_context(|| format!("{}: cannot read", file.display()))?);
    }
    let description = root.join(DESCRIPTION);
    let text = fs::read_to_string(&description).with_context(|| format!("{}: cannot read", description.display()))?;
    Ok(compare(&source, &text))
}

fn compare(source: &[u8], description: &str) -> Option<String> {
    let expected = format!("{:016x}", fnv1a(source));
    let stated = (1..).zip(description.lines()).find_map(|(number, line)| {
        let hash = line.split_once(LABEL)?.1;
        Some((number, hash.chars().take_while(char::is_ascii_hexdigit).collect::<String>()))
    });
    let (line, stated) = stated.unwrap_or((1, "nothing".to_owned()));
    (stated != expected).then(|| {
        format!(
            "{DESCRIPTION}:{line}: describes {stated}, but {SOURCE} and {SOURCE_FOLDER}/ are {expected}: bring the tables \
             up to date, raise ABI_VERSION if a layout changed, then write `{LABEL}{expected}`"
        )
    })
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_stale_description_gets_the_new_hash() {
        let current = format!("# ABI\n\n`{LABEL}85944171f73967e8`\n");
        assert_eq!(compare(b"foobar", &current), None);
        let stale = compare(b"foobaz", &current).unwrap();
        assert!(stale.starts_with("docs/abi.md:3: describes 85944171f73967e8"), "{stale}");
        assert!(stale.contains(&format!("{:016x}", fnv1a(b"foobaz"))), "{stale}");
        assert!(compare(b"foobar", "# ABI\n").unwrap().starts_with("docs/abi.md:1: describes nothing"));
    }
}
