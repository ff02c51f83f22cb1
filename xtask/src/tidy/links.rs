//! Relative links in the documentation point at files that exist.

use std::path::Path;

pub(super) fn findings(root: &Path, name: &str, text: &str) -> Vec<String> {
    let folder = root.join(name).parent().unwrap_or(root).to_path_buf();
    let broken = targets(text).into_iter().filter(|(_, target)| !folder.join(target).exists());
    broken.map(|(number, target)| format!("{name}:{number}: link to {target}, which does not exist")).collect()
}

/// The files `text` links to, with line numbers; what leads out of the repository is left out.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (start, opening) in line.match_indices("](") {
            let rest = &line[start + opening.len()..];
            let target = rest.split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push((number, target));
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_targets_outside_code_count() {
        let text = "See [abi](docs/abi.md#layout) and [top](#top), [web](https://example.org/a.md).\n\
                    ```\n[not](a-link.md)\n```\n[two](a.md) [links](b.md \"title\")\n";
        assert_eq!(targets(text), [(1, "docs/abi.md"), (5, "a.md"), (5, "b.md")]);
    }

    #[test]
    fn a_broken_link_has_file_and_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let findings = findings(root, "README.md", "[here](Cargo.toml)\n[gone](no-such-file.md)\n");
        assert_eq!(findings, ["README.md:2: link to no-such-file.md, which does not exist"]);
    }
}
