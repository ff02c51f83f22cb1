//! `[metrics]`.

use super::*;

#[test]
fn where_metrics_are() {
    let metrics = |text: &str| parse(&format!("{text}\n{LEAST}")).unwrap().metrics;
    let at = |listen: &str, prefixes| Some(Metrics { listen: listen.parse().unwrap(), prefixes });
    assert_eq!(metrics("[metrics]\nlisten = \"127.0.0.1:9477\""), at("127.0.0.1:9477", false));
    assert_eq!(metrics("[metrics]\nlisten = \"[::1]:9477\"\nprefixes = true"), at("[::1]:9477", true));
    assert_eq!(metrics(""), None, "without the section nothing listens");
}

#[test]
fn metrics_that_cannot_be() {
    let no_address = |text: &str| {
        format!(
            "s.toml:2:10: \"{text}\" is no address to listen on; write an IP address and a port, such as \"127.0.0.1:9477\" or \"[::1]:9477\""
        )
    };
    for text in ["9477", "localhost:9477", "127.0.0.1", "::1:9477", "127.0.0.1:0", "127.0.0.1:65536", ""] {
        assert_eq!(errors_before_least(&format!("[metrics]\nlisten = \"{text}\"")), no_address(text));
    }
    for (text, expected) in [
        ("[metrics]", "s.toml:1:1: the [metrics] has no listen; add listen = \"...\""),
        ("[metrics]\nlisten = 9477", "s.toml:2:10: listen in [metrics] is of type integer; write a string in quotes"),
        (
            "[metrics]\nlisten = \"[::]:1\"\nprefixes = \"yes\"",
            "s.toml:3:12: prefixes in [metrics] is of type string; write true or false, without quotes",
        ),
        (
            "[metrics]\nlisten = \"[::]:1\"\nprefix = true",
            "s.toml:3:1: unknown key \"prefix\" in [metrics]; did you mean \"prefixes\"?",
        ),
    ] {
        assert_eq!(errors_before_least(text), expected);
    }
}
