//! The house rules a compiler does not know, each with file and line.
#![expect(clippy::print_stdout, reason = "the findings are what this task prints")]

mod abi;
mod links;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace_root;

/// One screenful of thought.
const MAX_LINES: usize = 400;

/// What the verifier must follow, a reader should hold in the head at once.
const MAX_KERNEL_LINES: usize = 200;

/// Where that stricter limit applies.
const KERNEL: &str = "sensor-ebpf/src/kernel";

/// The top level of the repository; besides these only dot-files.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "docs",
    "sensor",
    "sensor-ebpf",
    "target",
    "xtask",
];

/// Folders with nothing written by hand.
const NOT_OURS: &[&str] = &[".git", "target"];

/// Text files by extension; the hooks and runners without one are not checked.
const TEXT: &[&str] = &["css", "html", "js", "md", "rs", "sh", "toml"];

/// Open ends belong in an issue. Written in halves so that this file passes.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// `cargo xtask tidy`: prints every finding; returns how many files were read.
pub fn tidy() -> Result<usize> {
    let root = workspace_root();
    let mut findings = top_level(&root)?;
    let files = files(&root)?;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("{}: cannot read", file.display()))?;
        let name = file.strip_prefix(&root).unwrap_or(file).to_string_lossy();
        findings.extend(file_findings(&name, &text));
        if name.ends_with(".md") {
            findings.extend(links::findings(&root, &name, &text));
        }
    }
    findings.extend(abi::finding(&root).unwrap_or_else(|error| Some(format!("{error:#}"))));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings above; then again: cargo xtask tidy", findings.len());
    }
    Ok(files.len())
}

/// The rules that need nothing but a file's name and text.
fn file_findings(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if name.ends_with(".rs") {
        findings.extend(rust_findings(name, text));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(format!("{name}:{number}: white space at the end of the line"));
        }
        if let Some(marker) = MARKERS.iter().find(|marker| has_word(line, marker)) {
            findings.push(format!("{name}:{number}: {marker}: do it, or write an issue"));
        }
    }
    findings
}

fn rust_findings(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let limit = if name.starts_with(KERNEL) { MAX_KERNEL_LINES } else { MAX_LINES };
    let lines = text.lines().count();
    if lines > limit {
        findings.push(format!("{name}:{lines}: longer than {limit} lines; split it by topic"));
    }
    if !text.starts_with("//!") {
        findings.push(format!("{name}:1: must begin with a module doc (`//!`): what is here and why"));
    }
    if Path::new(name).file_name().is_some_and(|file| file == "mod.rs") {
        findings.push(format!("{name}:1: name the module file after the module: foo.rs beside foo/"));
    }
    findings
}

/// Whether `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, found)| {
        let before = line[..start].chars().next_back();
        let after = line[start + found.len()..].chars().next();
        [before, after].into_iter().flatten().all(|neighbour| !neighbour.is_alphanumeric() && neighbour != '_')
    })
}

fn top_level(root: &Path) -> Result<Vec<String>> {
    let names = list(root)?.into_iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let strangers = names.filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()));
    Ok(strangers.map(|name| format!("{name}:1: does not belong on the top level: {}", TOP_LEVEL.join(" "))).collect())
}

/// All text files below `folder`, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in list(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&name.as_ref()) {
            files.extend(self::files(&path)?);
        } else if path.is_file() && path.extension().is_some_and(|end| TEXT.iter().any(|text| end == *text)) {
            files.push(path);
        }
    }
    Ok(files)
}

/// The entries of `folder`, sorted; none when it does not exist.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot list", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_has_no_findings() {
        assert_eq!(file_findings("sensor/src/lib.rs", "//! Agent.\nfn main() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn length_counts_by_folder() {
        let long = format!("//! Doc.\n{}", "\n".repeat(MAX_KERNEL_LINES));
        assert_eq!(file_findings("sensor/src/bpf.rs", &long), Vec::<String>::new());
        let findings = file_findings("sensor-ebpf/src/kernel/maps.rs", &long);
        assert_eq!(findings, ["sensor-ebpf/src/kernel/maps.rs:201: longer than 200 lines; split it by topic"]);
    }

    #[test]
    fn module_docs_and_names_are_asked_for() {
        let findings = file_findings("sensor/src/bpf/mod.rs", "use std::fs;\n");
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn white_space_and_markers_have_a_line() {
        let text = format!("# Title\nend \n<!-- {}: more -->\n", MARKERS[0]);
        let findings = file_findings("README.md", &text);
        assert!(findings[0].starts_with("README.md:2: white space"), "{findings:?}");
        assert!(findings[1].starts_with("README.md:3: "), "{findings:?}");
    }

    #[test]
    fn a_marker_inside_a_word_is_none() {
        let marker = MARKERS[2];
        assert!(!has_word(&format!("mktemp sensor.{marker}{marker}"), marker));
        assert!(has_word(&format!("({marker})"), marker));
    }
}
