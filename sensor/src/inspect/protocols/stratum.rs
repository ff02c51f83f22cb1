//! A miner and its pool: lines of JSON over TCP, and the older getwork and getblocktemplate over HTTP.
//!
//! Source: Stratum mining protocol (Slush Pool; BIP 310 for `mining.configure`), EthereumStratum/1.0.0 (NiceHash), EIP-1571 (EthereumStratum/2.0.0),
//! the stratum of XMRig (doc/STRATUM.md, doc/STRATUM_EXT.md), of Grin and of Beam, `eth_submitLogin` of eth-proxy and ethminer, getwork
//! (Bitcoin wiki) and BIP 22.
//!
//! What proves it is a method with the members it must have, or an answer that holds a job; keys may come in any order. Confirmed: the other end
//! answers a request by its id, or speaks of mining itself.
//!
//! False alarms: whoever asks a node for `getblocktemplate` or `eth_getWork` without mining; other calls to nodes and other JSON-RPC (language
//! servers, wallets) have none of these methods. Not seen: pools over TLS, Stratum version 2, whose bytes are encrypted; keys or methods
//! that are spelled with escapes.

mod json;
mod websocket;

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// Objects of each direction that are looked at.
const MAX_OBJECTS: usize = 32;

/// Bytes in which a line ends where the capture began within one.
const MAX_LINE: usize = 4096;

/// Methods over TCP that nobody else has; all of those that begin with `mining.` besides.
const METHODS: &[&[u8]] =
    &[b"eth_submitLogin", b"eth_getWork", b"eth_submitWork", b"eth_submitHashrate", b"eth_login", b"getwork"];

/// Methods over HTTP: getwork, BIP 22 and BIP 23, their like in Ethereum and Monero.
const HTTP_METHODS: &[&[u8]] = &[
    b"getwork",
    b"getblocktemplate",
    b"get_block_template",
    b"submitblock",
    b"submit_block",
    b"eth_getWork",
    b"eth_submitWork",
    b"eth_submitHashrate",
];

/// Members that the parameters of a method have, where the method alone is a common word: all of a row.
const WITH_PARAMS: &[(&[u8], &[&[u8]])] = &[
    (b"login", &[b"login", b"agent"]),
    (b"job", &[b"job_id", b"blob"]),
    (b"job", &[b"job_id", b"pre_pow"]),
    (b"submit", &[b"job_id", b"nonce", b"result"]),
    (b"submit", &[b"job_id", b"nonce", b"pow"]),
];

/// The same of Beam, whose members stand beside the method.
const WITH_MEMBERS: &[(&[u8], &[&[u8]])] =
    &[(b"login", &[b"api_key"]), (b"job", &[b"input", b"difficulty"]), (b"solution", &[b"id", b"nonce", b"output"])];

/// Digits of a hash in hexadecimal, with its `0x`.
const HASH_DIGITS: usize = 66;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let is_miner = |stream: &[u8]| asks_over_http(stream) || has_mining_field(stream) || websocket::sends_jobs(stream);
    // A miner, or the pool by what it answers.
    if let Some(miner) = End::ALL.into_iter().find(|end| is_miner(conversation.stream(*end))) {
        let other = conversation.stream(miner.other());
        let is_answered = [b"HTTP/".as_slice(), b"POST ", b"GET "].iter().any(|start| other.starts_with(start));
        return Some(if is_answered { Verdict::confirmed } else { Verdict::payload }(Class::Stratum));
    }
    let [client, server] = End::ALL.map(|end| said(conversation, end));
    let is_known = [&client, &server].map(|said| said.iter().any(Said::is_mining));
    if is_known == [true; 2] || is_answer(&client, &server) || is_answer(&server, &client) {
        return Some(Verdict::confirmed(Class::Stratum));
    }
    is_known.contains(&true).then_some(Verdict::payload(Class::Stratum))
}

/// Whether a request that has to do with mining, by itself or by its answer, was answered.
fn is_answer(requests: &[Said<'_>], answers: &[Said<'_>]) -> bool {
    requests.iter().any(|request| {
        request.method.is_some()
            && request.id.is_some()
            && answers.iter().any(|answer| {
                answer.is_answer() && answer.id == request.id && (request.is_mining() || answer.is_mining())
            })
    })
}

/// What an end said, as far as it is lines of JSON.
fn said(conversation: &Conversation, end: End) -> Vec<Said<'_>> {
    let stream = conversation.stream(end);
    let text = match stream.trim_ascii_start() {
        text @ [b'{', ..] => text,
        // The capture began within a line.
        _ if !conversation.from_start(end) => {
            let mut places = stream.windows(2).take(MAX_LINE);
            places.position(|two| two == b"\n{").and_then(|place| stream.get(place..)).unwrap_or_default()
        }
        _ => return Vec::new(),
    };
    json::objects(text).take(MAX_OBJECTS).map(Said::of).collect()
}

/// Whether a head of HTTP has a field that only miners and their pools send (Bitcoin wiki, getwork).
fn has_mining_field(stream: &[u8]) -> bool {
    const REQUEST: &[&[u8]] = &[b"\r\nX-Mining-Extensions:", b"\r\nX-Mining-Hashrate:"];
    const ANSWER: &[&[u8]] = &[b"\r\nX-Stratum:", b"\r\nX-Roll-NTime:"];
    let fields = match stream {
        [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', b' ', ..] => REQUEST,
        [b'H', b'T', b'T', b'P', b'/', ..] => ANSWER,
        _ => return false,
    };
    let end = stream.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(stream.len());
    let has = |field: &&[u8]| stream[..end].windows(field.len()).any(|window| window.eq_ignore_ascii_case(field));
    fields.iter().any(has)
}

/// Whether requests over HTTP ask for work.
fn asks_over_http(stream: &[u8]) -> bool {
    if !stream.starts_with(b"POST ") {
        return false;
    }
    // One request, or the first of a batch.
    let bodies =
        stream.windows(5).enumerate().filter(|(_, window)| matches!(window, [b'\r', b'\n', b'\r', b'\n', b'{' | b'[']));
    bodies.take(MAX_OBJECTS).any(|(place, _)| {
        let method = json::objects(&stream[place..]).next().and_then(|object| Said::of(object).method);
        method.is_some_and(|method| HTTP_METHODS.contains(&method) || is_mining_method(method))
    })
}

/// What an object says, as far as it concerns a miner.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    object: &'a [u8],
    method: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    params: Option<&'a [u8]>,
    result: Option<&'a [u8]>,
    has_error: bool,
}

impl<'a> Said<'a> {
    fn of(object: &'a [u8]) -> Self {
        let mut said = Self { object, ..Self::default() };
        for (key, value) in json::members(object) {
            match key {
                b"method" => said.method = json::text(value),
                b"id" => said.id = Some(value).filter(|id| *id != b"null"),
                b"params" => said.params = Some(value),
                b"result" => said.result = Some(value),
                b"error" => said.has_error = value != b"null",
                _ => {}
            }
        }
        said
    }

    fn is_answer(&self) -> bool {
        self.method.is_none() && (self.result.is_some() || self.has_error)
    }

    fn is_mining(&self) -> bool {
        match self.method {
            Some(method) => self.is_mining_request(method),
            None => self.result.is_some_and(is_mining_result),
        }
    }

    fn is_mining_request(&self, method: &[u8]) -> bool {
        let has_all = |object: &[u8], keys: &[&[u8]]| keys.iter().all(|key| json::member(object, key).is_some());
        is_mining_method(method)
            || METHODS.contains(&method)
            || WITH_PARAMS
                .iter()
                .any(|(name, keys)| *name == method && self.params.is_some_and(|params| has_all(params, keys)))
            || WITH_MEMBERS.iter().any(|(name, keys)| *name == method && has_all(self.object, keys))
            // XMRig's sign of life has the id that its login was given.
            || method == b"keepalived" && self.params.is_some_and(|params| json::member(params, b"id").is_some())
    }
}

fn is_mining_method(method: &[u8]) -> bool {
    method.strip_prefix(b"mining.").is_some_and(|name| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'))
    })
}

/// Whether an answer holds a job: XMRig's and Grin's login, `mining.subscribe`, `eth_getWork`.
fn is_mining_result(result: &[u8]) -> bool {
    if let Some(job) = json::member(result, b"job") {
        return json::member(job, b"job_id").is_some()
            && [b"blob".as_slice(), b"pre_pow"].iter().any(|key| json::member(job, key).is_some());
    }
    if !result.starts_with(b"[") {
        return false;
    }
    const NOTIFY: &[u8] = b"\"mining.notify\"";
    let mut items = json::items(result).map(json::text);
    let mut is_hash = |least| items.next().flatten().is_some_and(|text| is_hex(text) && text.len() >= least);
    result.windows(NOTIFY.len()).any(|window| window == NOTIFY)
        // Hash of the header, seed, boundary: the last may be without its leading zeros.
        || is_hash(HASH_DIGITS) && is_hash(HASH_DIGITS) && is_hash(HASH_DIGITS / 2)
}

fn is_hex(text: &[u8]) -> bool {
    text.len() <= HASH_DIGITS && text.strip_prefix(b"0x").is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests;
