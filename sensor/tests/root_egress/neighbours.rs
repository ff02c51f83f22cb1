//! Other programs on the same interface, and the life of an attachment.

use aya::programs::{SchedClassifier, TcAttachType};
use sensor::{
    bpf::{EgressHook, EgressLink, remove_egress_filter},
    testing::{
        classifier::{Act, Classifier, Place},
        frames::Mix,
        netns::{LINK, run, within},
        truth::Tally,
    },
};

use crate::{
    root::is_root,
    stage::{MTU, Stage, eventually, sent, sum},
};

const FEW: u64 = 2_000;

/// Filters on what the interface sends, as tc(8) lists them.
fn filters(stage: &Stage) -> Vec<String> {
    let text = stage.run(&["tc", "filter", "show", "dev", LINK.inside, "egress"]);
    // Of one filter several lines may tell: its list, then each of its handles.
    let is_filter = |line: &&str| line.contains(" handle ") || line.contains(" fh ");
    text.lines().filter(is_filter).map(str::to_owned).collect()
}

/// Programs that are on what the interface sends by TCX.
fn programs(stage: &Stage) -> usize {
    let query = || Ok(SchedClassifier::query_tcx(LINK.inside, TcAttachType::Egress)?.1.len());
    within(&stage.wire.sensor, query).unwrap()
}

/// Another program, behind which no other is called.
fn end_the_walk(stage: &Stage, place: Place) -> Classifier {
    within(&stage.wire.sensor, || Classifier::attach(LINK.inside, Act::EndTheWalk, place)).unwrap()
}

#[test]
fn a_program_behind_ours_sees_every_packet() {
    if !is_root("a_program_behind_ours_sees_every_packet") {
        return;
    }
    for how in [EgressHook::Tcx, EgressHook::Clsact] {
        let mut stage = Stage::new(&format!("behind-{how:?}").to_lowercase(), MTU, how);
        // The second comes before the first, and before any filter: TCX runs first.
        let mut other = stage.another();
        let attach = || other.instance(0)?.attach_egress(LINK.inside, EgressHook::Tcx);
        let _link = match how {
            EgressHook::Clsact => {
                // Which takes the place of our filter: it has to be attached once more.
                let link = within(&stage.wire.sensor, attach).unwrap();
                assert_eq!(filters(&stage), Vec::<String>::new());
                let again = || stage.sensor.instance(0)?.attach_egress(LINK.inside, EgressHook::Clsact);
                stage.link = Some(within(&stage.wire.sensor, again).unwrap());
                link
            }
            EgressHook::Best | EgressHook::Tcx => within(&stage.wire.sensor, attach).unwrap(),
        };
        let truth = stage.send(41, FEW, (MTU, Mix::Everything));
        stage.check(&truth);
        stage.check_other(&mut other, &truth.left);
    }
}

#[test]
fn a_program_that_ends_the_walk_hides_nothing() {
    if !is_root("a_program_that_ends_the_walk_hides_nothing") {
        return;
    }
    let mut stage = Stage::new("ends", MTU, EgressHook::Tcx);
    let _behind = end_the_walk(&stage, Place::Last);
    let mut truth = stage.send(42, FEW, (MTU, Mix::Everything));
    stage.check(&truth);
    // One that came before us hides them, so we go before it.
    let _before = end_the_walk(&stage, Place::First);
    let hidden = stage.send(43, FEW, (MTU, Mix::Everything));
    truth.arrived.add(&hidden.arrived);
    stage.check(&truth);
    let mut late = stage.another();
    let link = within(&stage.wire.sensor, || late.instance(0)?.attach_egress(LINK.inside, EgressHook::Best)).unwrap();
    assert_eq!(link.hook(), EgressHook::Tcx);
    let seen = stage.send(44, FEW, (MTU, Mix::Everything));
    stage.check_other(&mut late, &seen.left);
}

#[test]
fn a_link_detaches_when_dropped_and_is_updated_in_place() {
    if !is_root("a_link_detaches_when_dropped_and_is_updated_in_place") {
        return;
    }
    let mut stage = Stage::new("update", MTU, EgressHook::Tcx);
    let first = stage.send(45, FEW, (MTU, Mix::Everything));
    stage.check(&first);
    let mut next = stage.another();
    let link = stage.link.take().unwrap();
    let link = within(&stage.wire.sensor, || next.instance(0)?.replace_egress(link)).unwrap();
    assert!(matches!(link, EgressLink::Tcx(_)));
    assert_eq!(programs(&stage), 1);
    let second = stage.send(46, FEW, (MTU, Mix::Everything));
    stage.check_other(&mut next, &second.left);
    assert_eq!(sum(sent(&stage.counted()).seen()), first.left.seen, "the old program is no longer called");
    drop(link);
    // A program that another test starts holds a copy of the descriptor until it is itself.
    assert!(eventually(|| programs(&stage) == 0), "it stays attached");
    stage.send(47, FEW, (MTU, Mix::Everything));
    stage.check_other(&mut next, &second.left);
}

#[test]
fn a_filter_is_replaced_in_place_left_on_exit_and_removed() {
    if !is_root("a_filter_is_replaced_in_place_left_on_exit_and_removed") {
        return;
    }
    let mut stage = Stage::new("filter", MTU, EgressHook::Clsact);
    let first = stage.send(48, FEW, (MTU, Mix::Everything));
    stage.check(&first);
    let ours = filters(&stage);
    assert!(ours.len() == 1 && ours[0].contains("sensor_egress direct-action"), "{ours:?}");
    assert!(ours[0].contains("pref 1 ") && ours[0].contains("handle 0x53450001"), "{ours:?}");

    // An agent that takes over knows the link; one that starts anew finds the filter.
    let mut next = stage.another();
    let link = stage.link.take().unwrap();
    let link = within(&stage.wire.sensor, || next.instance(0)?.replace_egress(link)).unwrap();
    let second = stage.send(49, FEW, (MTU, Mix::Everything));
    stage.check_other(&mut next, &second.left);
    let mut last = stage.another();
    drop((
        link,
        within(&stage.wire.sensor, || last.instance(0)?.attach_egress(LINK.inside, EgressHook::Clsact)).unwrap(),
    ));
    assert_eq!(filters(&stage).len(), 1);
    let third = stage.send(50, FEW, (MTU, Mix::Everything));
    stage.check_other(&mut last, &third.left);
    stage.check_other(&mut next, &second.left);
    assert_eq!(sum(sent(&stage.counted()).seen()), first.left.seen);

    // Its links are dropped, its instances too: it goes on.
    drop(last);
    assert_eq!(filters(&stage).len(), 1, "left on exit");
    let remove = || within(&stage.wire.sensor, || remove_egress_filter(LINK.inside)).unwrap();
    assert!(remove());
    assert_eq!(filters(&stage), Vec::<String>::new());
    assert!(!remove(), "there is none any more");
}

/// Filters of others stay, whatever becomes of ours.
#[test]
fn a_filter_of_somebody_else_stays() {
    if !is_root("a_filter_of_somebody_else_stays") {
        return;
    }
    let mut stage = Stage::new("stranger", MTU, EgressHook::Clsact);
    let u32_filter = ["tc", "filter", "add", "dev", LINK.inside, "egress", "pref", "7", "protocol", "all", "u32"];
    stage.run(&[&u32_filter[..], &["match", "u32", "0", "0"]].concat());
    let truth = stage.send(51, FEW, (MTU, Mix::Everything));
    stage.check(&truth);
    assert!(within(&stage.wire.sensor, || remove_egress_filter(LINK.inside)).unwrap());
    let left = filters(&stage);
    assert!(!left.is_empty() && left.iter().all(|line| line.contains("u32")), "{left:?}");
    let link = within(&stage.wire.sensor, || stage.sensor.instance(0)?.attach_egress(LINK.inside, EgressHook::Tcx));
    stage.link = Some(link.unwrap());
    let more = stage.send(52, FEW, (MTU, Mix::Everything));
    let mut all = Tally::default();
    [&truth, &more].into_iter().for_each(|sent| all.add(&sent.left));
    assert_eq!(sum(sent(&stage.counted()).seen()), all.seen);
    assert_eq!(filters(&stage), left);
}

fn refusal(stage: &mut Stage, interface: &str, how: EgressHook) -> String {
    let namespace = stage.wire.sensor.clone();
    let result = within(&namespace, || stage.sensor.instance(0)?.attach_egress(interface, how));
    format!("{:#}", result.expect_err("this cannot be attached to"))
}

#[test]
fn what_cannot_be_attached_to_is_said() {
    if !is_root("what_cannot_be_attached_to_is_said") {
        return;
    }
    let mut stage = Stage::new("errors", MTU, EgressHook::Clsact);
    for how in [EgressHook::Best, EgressHook::Tcx, EgressHook::Clsact] {
        let said = refusal(&mut stage, "absent0", how);
        assert!(said.contains("no interface absent0") && said.contains("`ip link`"), "{said}");
    }
    let absent = within(&stage.wire.sensor, || remove_egress_filter("absent0")).unwrap_err();
    assert!(format!("{absent:#}").contains("no interface absent0"), "{absent:#}");

    // An ingress qdisc has the place of clsact, and takes no filter for what is sent.
    run(&stage.wire.sensor, &["tc", "qdisc", "del", "dev", LINK.inside, "clsact"]).unwrap();
    run(&stage.wire.sensor, &["tc", "qdisc", "add", "dev", LINK.inside, "ingress"]).unwrap();
    let said = refusal(&mut stage, LINK.inside, EgressHook::Clsact);
    assert!(said.contains("`tc qdisc show dev ingress`") && said.contains("can use clsact"), "{said}");
    let left = run(&stage.wire.sensor, &["tc", "filter", "show", "dev", LINK.inside, "ingress"]).unwrap();
    assert!(!left.contains("sensor"), "nothing of ours among the filters for received packets: {left}");

    // Somebody else's filter of our priority, of another kind.
    run(&stage.wire.sensor, &["tc", "qdisc", "del", "dev", LINK.inside, "ingress"]).unwrap();
    stage.run(&["tc", "qdisc", "add", "dev", LINK.inside, "clsact"]);
    let filter = ["tc", "filter", "add", "dev", LINK.inside, "egress", "pref", "1", "protocol", "all", "u32"];
    stage.run(&[&filter[..], &["match", "u32", "0", "0"]].concat());
    let said = refusal(&mut stage, LINK.inside, EgressHook::Clsact);
    assert!(said.contains("`tc filter show dev ingress egress`"), "{said}");
}
