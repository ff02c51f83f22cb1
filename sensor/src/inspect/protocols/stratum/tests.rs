//! Miners and pools of all kinds, and JSON that is none of theirs.

use super::*;
use crate::inspect::packet::protocol;

fn of(client: &str, server: &str) -> Option<Verdict> {
    let messages = [(End::Client, client.as_bytes()), (End::Server, server.as_bytes())];
    let messages: Vec<_> = messages.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    judge(&Conversation::of(protocol::TCP, [40_000, 3333], &messages))
}

const PAYLOAD: Option<Verdict> = Some(Verdict::payload(Class::Stratum));
const CONFIRMED: Option<Verdict> = Some(Verdict::confirmed(Class::Stratum));

#[test]
fn requests_alone() {
    for client in [
        r#"{"id":1,"method":"mining.subscribe","params":["cgminer/4.10"]}"#,
        r#"{ "params" : [ "a" , "b" ] , "method" : "mining.authorize" , "id" : 2 }"#,
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"#,
        r#"{"worker":"eth1.0","jsonrpc":"2.0","params":["0x1"],"id":2,"method":"eth_submitLogin"}"#,
        r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4A","pass":"x","agent":"XMRig/6","algo":["rx/0"]}}"#,
        r#"{"id":9,"method":"keepalived","params":{"id":"1b2c"}}"#,
        r#"{"id":"login","jsonrpc":"2.0","method":"login","api_key":"b"}"#,
        "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n{\"method\":\"getwork\",\"params\":[],\"id\":0}",
        "POST / HTTP/1.1\r\nX-Mining-Extensions: longpoll\r\n\r\n",
    ] {
        assert_eq!(of(client, ""), PAYLOAD, "{client}");
    }
}

#[test]
fn the_server_alone() {
    let hash = "0".repeat(64);
    let work = format!(r#"{{"id":0,"jsonrpc":"2.0","result":["0x{hash}","0x{hash}","0x{hash}"]}}"#);
    for server in [
        r#"{"id":null,"method":"mining.notify","params":["1","#,
        r#"{"jsonrpc":"2.0","method":"job","params":{"blob":"06","job_id":"7","target":"dc"}}"#,
        r#"{"id":1,"jsonrpc":"2.0","result":{"id":"1","job":{"blob":"06","job_id":"7"},"status":"OK"}}"#,
        r#"{"id":1,"result":[[["mining.notify","ae"]],"08000002",4],"error":null}"#,
        &work,
    ] {
        assert_eq!(of("", server), PAYLOAD, "{server}");
    }
}

#[test]
fn answers_confirm() {
    let subscribe =
        r#"{"id":1,"method":"mining.subscribe","params":[]}{"id":2,"method":"mining.authorize","params":["a","b"]}"#;
    assert_eq!(of(subscribe, r#"{"result":true, "error": null, "id":2}"#), CONFIRMED);
    assert_eq!(of(subscribe, r#"{"result":true, "error": null, "id":7}"#), PAYLOAD);
    let login = r#"{"method":"login","params":{"login":"4A","pass":"x"},"id":"a"}"#;
    assert_eq!(of(login, ""), None);
    assert_eq!(of(login, r#"{"id":"a","result":{"id":"4","job":{"blob":"06","job_id":"7"}}}"#), CONFIRMED);
    // Who is called client is a guess.
    assert_eq!(of(r#"{"result":true,"error":null,"id":2}"#, subscribe), CONFIRMED);
    let post = "POST / HTTP/1.1\r\n\r\n{\"method\":\"getblocktemplate\",\"id\":0}";
    assert_eq!(of(post, "HTTP/1.1 200 OK\r\n\r\n{\"result\":{},\"id\":0}"), CONFIRMED);
    assert_eq!(of("", "HTTP/1.1 401 Unauthorized\r\nX-Stratum: stratum+tcp://a:3333\r\n\r\n"), PAYLOAD);
}

#[test]
fn look_alikes() {
    for (client, server) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":1}}"#, r#"{"id":1,"result":{}}"#),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x1","latest"]}"#,
            r#"{"id":1,"result":"0x0"}"#,
        ),
        (r#"{"id":1,"method":"login","params":{"login":"me","pass":"x"}}"#, r#"{"id":1,"result":{"status":"OK"}}"#),
        (r#"{"id":1,"method":"submit","params":{"form":"a"}}"#, r#"{"id":1,"result":null,"error":"no"}"#),
        (r#"{"id":1,"method":"job","params":{"job_id":4}}"#, ""),
        (r#"{"text":"mining.subscribe"}"#, r#"{"id":1,"result":["0x12","0x34","0x56"]}"#),
        (r#"{"id":0,"method":"data.mining.notify","params":[]}"#, ""),
        ("POST / HTTP/1.1\r\n\r\n{\"method\":\"getblockcount\",\"id\":0}", "HTTP/1.1 200 OK\r\n\r\n{\"id\":0}"),
        ("POST / HTTP/1.1\r\n\r\n{\"method\":\"eth_call\",\"id\":0}", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nX-Mining-Extensions: in a body\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET /?q=mining.subscribe HTTP/1.1\r\n\r\n", ""),
    ] {
        assert_eq!(of(client, server), None, "{client}");
    }
    let udp = Conversation::of(protocol::UDP, [1, 2], &[(End::Client, br#"{"method":"mining.notify","params":[]}"#)]);
    assert_eq!(judge(&udp), None);
}

#[test]
fn any_bytes() {
    proptest::proptest!(|(client: Vec<u8>, server: Vec<u8>)| {
        let messages = [(End::Client, client.as_slice()), (End::Server, server.as_slice())];
        assert_eq!(judge(&Conversation::of(protocol::TCP, [40_000, 3333], &messages)), None);
    });
    let line = r#"{"id":1,"method":"mining.notify","params":["a",["b"]]}"#;
    for cut in 0..line.len() {
        of(&line[..cut], &line[cut..]);
        of(&line[cut..], "");
    }
}
