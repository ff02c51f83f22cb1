//! Whether a page is well formed: tags are closed in order, attributes are quoted, ids are one each, links lead somewhere, tables have one width.

use std::collections::BTreeSet;

/// Elements that have no end (HTML, 13.1.2).
const VOID: [&str; 4] = ["meta", "link", "br", "img"];
/// Elements whose text is none of HTML's.
const RAW: [&str; 2] = ["style", "script"];

/// What is wrong with a page.
pub(super) fn problems(page: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut open, mut ids, mut links): (Vec<String>, BTreeSet<String>, Vec<String>) = Default::default();
    let mut headings: Vec<u8> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap_or_default();
    while let Some(start) = rest.find('<') {
        if rest[..start].contains('>') {
            problems.push(format!("a bare > in {:.60}", &rest[..start]));
        }
        let Some(end) = end_of_tag(&rest[start..]) else {
            problems.push(format!("no end of {:.60}", &rest[start..]));
            break;
        };
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(last) if last == name => {}
                last => problems.push(format!("</{name}> after <{}>", last.unwrap_or_default())),
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            problems.push(format!("<{name}>"));
        }
        for (attribute, value) in self::attributes(attributes, &mut problems) {
            match &*attribute {
                "id" if !ids.insert(value.clone()) => problems.push(format!("two of #{value}")),
                "href" => links.push(value.trim_start_matches('#').to_owned()),
                "aria-labelledby" => links.extend(value.split(' ').map(str::to_owned)),
                _ if attribute.starts_with("on") => problems.push(format!("{attribute} of <{name}>")),
                _ => {}
            }
        }
        if let ["h", level] = [&name[..1], &name[1..]]
            && let Ok(level) = level.parse()
        {
            headings.push(level);
        }
        if RAW.contains(&name) {
            rest = rest.split_once(&format!("</{name}>")).map_or("", |(_, after)| after);
        } else if !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    if rest.contains('>') {
        problems.push(format!("a bare > in {rest:.60}"));
    }
    problems.extend(open.into_iter().map(|name| format!("<{name}> is open")));
    problems.extend(links.into_iter().filter(|link| !ids.contains(link)).map(|link| format!("no #{link}")));
    if headings.first() != Some(&1) || headings.windows(2).any(|pair| pair[1] > pair[0] + 1 || pair[1] == 1) {
        problems.push(format!("headings {headings:?}"));
    }
    problems
}

/// Where a tag ends, outside of its quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(place, letter)| {
        is_quoted ^= letter == '"';
        (letter == '>' && !is_quoted).then_some(place)
    })
}

fn attributes(mut text: &str, problems: &mut Vec<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while !text.trim().is_empty() {
        let Some((name, (value, after))) =
            text.split_once("=\"").and_then(|(name, rest)| Some((name.trim(), rest.split_once('"')?)))
        else {
            problems.push(format!("attributes {text:.60}"));
            break;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || value.contains('<') {
            problems.push(format!("attribute {name:.40}={value:.40}"));
        }
        found.push((name.to_owned(), value.to_owned()));
        text = after;
    }
    found
}

#[test]
fn broken_pages_are_found() {
    let page = |body: &str| problems(&format!("<!DOCTYPE html><h1>a</h1>{body}"));
    assert_eq!(page("<p id=\"a\">b</p><a href=\"#a\">c</a><br><script>a < b</script>"), Vec::<String>::new());
    for broken in [
        "<p>",
        "<p><b></p></b>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<a href=\"#b\">c</a>",
        "<p id=a></p>",
        "<p title=\"a\" onclick=\"b\"></p>",
        "a > b",
        "<h3>a</h3>",
        "<p title=\"a\">",
    ] {
        assert!(!page(broken).is_empty(), "{broken}");
    }
}
