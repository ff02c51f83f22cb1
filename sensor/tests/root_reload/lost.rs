//! A hand-over that fails, and whose old program cannot be put back either.

use std::process::Command;

use sensor::testing::netns::LINK;

use crate::{
    agent::{Agent, eventually},
    root::is_root,
    site::{PLAIN, Rest, Site},
    table::Model,
};

/// A port of a bridge takes no program, native or generic, while the bridge has one: neither the new one nor, again, the old one.
#[test]
fn what_cannot_be_put_back_is_named() {
    if !is_root("what_cannot_be_put_back_is_named") {
        return;
    }
    let (site, model) = (Site::new("lost"), Model::steady());
    site.write(&model, PLAIN);
    let mut agent = site.started();
    for arguments in [
        "link add br0 type bridge",
        &format!("link set {} master br0", LINK.inside),
        "link set br0 addrgenmode none up",
    ] {
        let mut ip = Command::new("ip");
        ip.args(["-n", &site.stage.wire.sensor]).args(arguments.split(' '));
        assert!(ip.status().unwrap().success(), "{arguments}");
    }
    let arguments = ["run", "-i", "br0", "--generic", "--no-egress", "--watch", "192.0.2.0/24", "--format", "jsonl"];
    let mut other = Agent::spawn(&mut site.stage.command(&arguments));
    other.wait_for_message("attached");
    site.write(&model, Rest { interfaces: &[(LINK.inside, "xdp = \"generic\"")], ..PLAIN });
    let reason = site.refused();
    let lost = format!("back in place, but not at {} (rx), {} (tx)", LINK.inside, LINK.inside);
    for part in [lost.as_str(), "nothing is counted there", "tried again"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    // The answer and the message take two ways.
    let is_said = || agent.messages().iter().any(|line| line.contains("not reloaded") && line.contains(&lost));
    assert!(eventually(is_said), "{:#?}", agent.messages());
    let ledger = |attached: bool| {
        let records = agent.records();
        let of = records.iter().filter(|record| record["record"] == "ledger" && record["attached"] == attached);
        of.filter(|record| record["blind_ms"].as_u64().unwrap() > 0).count()
    };
    assert!(eventually(|| ledger(false) > 1));
    drop(other);
    assert!(eventually(|| ledger(true) > 1), "tried again: {:#?}", agent.messages());
    agent.wait_for_message("attached");
    site.end(agent);
}
