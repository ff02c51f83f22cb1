//! One file for each protocol, and the order in which they are asked.

mod encrypted;
mod encrypted_dns;
mod http;
mod http_proxy;
mod ip;
#[cfg(test)]
mod noise;
mod quic;
mod reader;
mod tls;
mod tor;

use sensor_ebpf::class::Evidence;

use super::{Conversation, Verdict};

/// Says what a conversation is, where it knows.
type Judge = fn(&Conversation) -> Option<Verdict>;

/// Those who know after a few bytes. Where two are equally sure, the one before has it: the more particular comes first.
const JUDGES: &[Judge] =
    &[ip::judge, tor::judge, encrypted_dns::judge, tls::judge, quic::judge, http_proxy::judge, http::judge];

/// Those who only say something once nobody else does and nothing more comes: what is left over, and ports.
const AT_LAST: &[Judge] = &[tls::judge_upgraded, encrypted::judge];

/// What a conversation is by now.
pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    best(JUDGES, conversation)
}

/// What it is if nothing more comes.
pub(super) fn judge_at_last(conversation: &Conversation) -> Option<Verdict> {
    best(AT_LAST, conversation)
}

fn best(judges: &[Judge], conversation: &Conversation) -> Option<Verdict> {
    let verdicts = judges.iter().filter_map(|judge| judge(conversation));
    // The first of the surest; and nothing is confirmed by one end.
    verdicts
        .map(|verdict| bounded(verdict, conversation))
        .reduce(|best, other| if other.evidence > best.evidence { other } else { best })
}

fn bounded(verdict: Verdict, conversation: &Conversation) -> Verdict {
    let most = if conversation.is_two_way() { Evidence::Confirmed } else { Evidence::Payload };
    Verdict { evidence: verdict.evidence.min(most), ..verdict }
}
