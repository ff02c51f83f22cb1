//! What a day of the history has.

use super::{super::rng::Rng, DAYS, FAR, Period, talk::Talk};

/// Neighbours that the network is reached by.
const UPSTREAMS: [[u8; 6]; 2] = [[2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 1, 2]];

/// The frames of a day, each with its second.
pub(super) fn frames(period: &Period, number: i64, is_weekend: bool, rng: &mut Rng) -> Vec<(i64, Vec<u8>)> {
    let half = usize::from(number >= DAYS / 2);
    let mut frames = Vec::new();
    let mut add = |second: i64, talk: Vec<Vec<u8>>| {
        frames.extend(talk.into_iter().enumerate().map(|(place, frame)| (second + place as i64 / 10, frame)));
    };
    let moment = |rng: &mut Rng| {
        let [from, to] = period.busy;
        let hour = if rng.below(10) < 7 { from + rng.below(to - from) } else { rng.below(24) };
        (hour * 3600 + rng.below(3590)) as i64
    };
    let talk = |rng: &mut Rng, watched: [u8; 4], port: u16, far_port: u16| {
        let ([a, b], _) = FAR[rng.below(FAR.len())];
        let far = ([a, b, rng.below(20) as u8, 1 + rng.below(200) as u8], far_port);
        let upstream = UPSTREAMS[usize::from(rng.below(100) >= period.northern[half])];
        Talk { watched: (watched, port), far, upstream }
    };
    let high = |rng: &mut Rng| 20_000 + rng.below(40_000) as u16;
    let page = [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n".as_slice(), &[b'.'; 9000]].concat();
    for _ in 0..period.daily[usize::from(is_weekend)] {
        let host = rng.below(period.hosts[0] + period.hosts[1]);
        let watched = match host.checked_sub(period.hosts[0]) {
            None => [192, 0, 2, 10 + host as u8],
            Some(host) => [198, 51, 100, 10 + host as u8],
        };
        let (port, second) = (high(rng), moment(rng));
        if rng.below(100) < period.hidden {
            let wireguard = talk(rng, watched, port, 51_820).wireguard(rng);
            add(second, wireguard);
        } else {
            add(second, talk(rng, watched, port, 80).tcp(true, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", &page));
        }
    }
    for _ in 0..period.mining[half] {
        let (port, second) = (high(rng), moment(rng));
        let login =
            br#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"demo","pass":"x","agent":"XMRig/6.21.0"}}"#;
        let job = br#"{"id":1,"jsonrpc":"2.0","error":null,"result":{"id":"1","job":{"blob":"0e0e","job_id":"1","target":"b88d0600","algo":"rx/0"},"status":"OK"}}"#;
        let lines = |text: &[u8]| [text, b"\n"].concat();
        add(second, talk(rng, [192, 0, 2, 19], port, 3333).tcp(true, &lines(login), &lines(job).repeat(30)));
    }
    if period.has_servers {
        let second = moment(rng);
        let far_port = high(rng);
        add(
            second,
            talk(rng, [198, 51, 100, 25], 25, far_port).tcp(
                false,
                b"EHLO a.example\r\n",
                b"220 mail.example ESMTP\r\n250 OK\r\n",
            ),
        );
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01";
        let answer = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x01";
        let names = talk(rng, [198, 51, 100, 53], 53, far_port);
        add(second + 60, vec![names.udp(false, question), names.udp(true, answer)]);
    }
    frames.sort_by_key(|(second, _)| *second);
    frames
}
