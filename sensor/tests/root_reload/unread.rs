//! Nobody reads the records: old maps wait for that, and neither too many of them nor one that was not closed goes.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sensor::{control::Answer, testing::netns::LINK};

use crate::{
    agent::eventually,
    bill::Bill,
    clogged::Clogged,
    root::is_root,
    site::{PLAIN, Rest, Site},
    stage::names,
    table::Model,
    wire::{Sending, packets},
};

const RECEIVE: Rest = Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN };
/// Epochs that a journal has room for.
const EPOCHS: usize = 8;

/// Reads while `work` does what it does, and returns what was written.
fn reading(mut clogged: Clogged, work: impl FnOnce(&dyn Fn(&str) -> usize)) -> Vec<u8> {
    let (done, written) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                clogged.read(&mut written.lock().unwrap());
                thread::yield_now();
            }
            clogged.read(&mut written.lock().unwrap());
        });
        // Ends the reader, too, where the work fails.
        let _done = Done(&done);
        work(&|part| String::from_utf8_lossy(&written.lock().unwrap()).matches(part).count());
    });
    written.into_inner().unwrap()
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn old_maps_without_number_are_refused() {
    if !is_root("old_maps_without_number_are_refused") {
        return;
    }
    let (site, model) = (Site::new("crowd"), Model::steady());
    site.write(&model, PLAIN);
    let (clogged, stdout) = Clogged::new(site.stage.folder());
    let mut agent = site.unread_to(stdout);
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    let sets = || names(&site.stage.pins()).len() - 1;
    for made in 1..EPOCHS {
        sending.send(200);
        site.write(&model, if made % 2 == 1 { RECEIVE } else { PLAIN });
        assert!(site.reloaded().new_maps.is_some());
        assert_eq!(sets(), made + 1);
    }
    site.write(&model, PLAIN);
    let reason = site.refused();
    for part in ["7 earlier sets of maps wait", "standard output is not being read", "try again", "sensor detach"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(sets(), EPOCHS);
    sending.send(200);
    // In place it goes on, and once somebody reads in new maps too.
    site.write(&model.with_more(3), RECEIVE);
    assert_eq!(site.reloaded().new_maps, None);
    site.write(&model, PLAIN);
    let written = reading(clogged, |_| {
        assert!(eventually(|| matches!(site.reload(), Answer::Reloaded(_))), "{}", sets());
        assert!(eventually(|| sets() == 1), "{}", sets());
        agent.stop("TERM");
    });
    site.keep_written(&written);
    let (_, records) = site.end(site.started());
    assert_eq!(Site::epochs(&records), EPOCHS + 1);
    bill.check(sending.sent(), &records);
}

/// The second of two old sets cannot be closed when the records of the first are written out: then neither goes, and later both.
#[test]
fn what_was_not_closed_is_not_swept() {
    if !is_root("what_was_not_closed_is_not_swept") {
        return;
    }
    let (site, model) = (Site::new("closing"), Model::steady());
    site.write(&model, PLAIN);
    let (clogged, stdout) = Clogged::new(site.stage.folder());
    let mut agent = site.unread_to(stdout);
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    let sets = || names(&site.stage.pins()).len() - 1;
    sending.go();
    sending.wait(300);
    site.write(&model, RECEIVE);
    assert!(site.reloaded().new_maps.is_some());
    sending.wait(300);
    // A pin that cannot be removed: closing fails before anything of the set is committed.
    let obstacle = site.stage.pins().join("links/obstacle");
    fs::create_dir(&obstacle).unwrap();
    site.write(&model, PLAIN);
    assert!(site.reloaded().new_maps.is_some());
    assert_eq!(sets(), 3);
    let newest = site.manifests().into_iter().map(|name| name.split('-').nth(1).unwrap().to_owned());
    let newest: Vec<String> = newest.collect();
    assert_eq!(newest.len(), 3, "{newest:?}");
    let written = reading(clogged, |count| {
        // Some intervals of the last one, behind everything that was to be written of the others.
        let records = |epoch: &String| count(&format!("{epoch}\",\"start\""));
        assert!(eventually(|| newest.iter().all(|epoch| records(epoch) > 1)), "{newest:?}");
        let before = count("\"record\":\"ledger\"");
        assert!(eventually(|| count("\"record\":\"ledger\"") > before + 8));
        assert_eq!(sets(), 3, "what was counted last is still in one of them");
        fs::remove_dir(&obstacle).unwrap();
        assert!(eventually(|| sets() == 1), "{}", sets());
        sending.pause();
        agent.stop("TERM");
    });
    site.keep_written(&written);
    let (_, records) = site.end(site.started());
    assert_eq!(Site::epochs(&records), 3);
    bill.check(sending.sent(), &records);
}
