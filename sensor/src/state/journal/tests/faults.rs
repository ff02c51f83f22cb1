//! Disks that fail: a commit is there or it is not, and one that was reported is there.

use super::{
    memory::{Memory, Step},
    *,
};

/// A journal with two committed batches.
fn journal() -> (Memory, Journal, State) {
    let disk = Memory::default();
    let mut journal = disk.journal();
    journal.commit(batch(epoch(0), 0, &[(2, 1)])).unwrap();
    journal.commit(batch(epoch(0), 1, &[(3, 1)])).unwrap();
    let state = State::of(&journal);
    (disk, journal, state)
}

/// Fails one commit by `faults`, then commits a longer interval under the same sequence.
fn fail_and_go_on(faults: &[Step]) {
    let (disk, mut journal, mut state) = journal();
    let failed = batch(epoch(0), 2, &[(2, 5)]);
    let mut ghost = state.clone();
    ghost.commit(&failed);

    let (bytes, rewrites) = (disk.bytes(), disk.rewrites());
    disk.fail(faults);
    let error = journal.commit(failed).unwrap_err();
    assert!(format!("{error:#}").starts_with("memory: cannot commit an interval; free disk space: "), "{error:#}");
    assert_eq!(State::of(&journal), state, "{faults:?}");
    if !faults.contains(&Step::Cut) {
        assert_eq!(disk.bytes(), bytes, "{faults:?}");
    }
    // Killed now, the next agent finds the interval whole or not at all. A power loss leaves what was synced.
    let found = State::of(&disk.reopened());
    assert!(found == state || found == ghost, "{faults:?}");
    assert_eq!(State::of(&Memory::of(&disk.durable()).journal()), state, "{faults:?}");

    disk.fail(&[]);
    let longer = batch(epoch(0), 2, &[(2, 7)]);
    journal.commit(longer.clone()).unwrap();
    state.commit(&longer);
    // A file that is not as it was is not appended to.
    assert_eq!(disk.rewrites() - rewrites, usize::from(!matches!(faults, [Step::Append(_)])), "{faults:?}");
    assert_eq!(State::of(&journal), state, "{faults:?}");
    assert_eq!(State::of(&disk.reopened()), state, "{faults:?}");
    assert_eq!(State::of(&Memory::of(&disk.durable()).journal()), state, "{faults:?}");
}

#[test]
fn a_disk_that_is_full_after_any_byte() {
    let len = frame::encode(Kind::Batch, &batch(epoch(0), 2, &[(2, 5)])).unwrap().len();
    for after in 0..=len {
        fail_and_go_on(&[Step::Append(after)]);
        fail_and_go_on(&[Step::Append(after), Step::Cut]);
    }
}

#[test]
fn a_sync_that_fails() {
    fail_and_go_on(&[Step::Sync]);
    fail_and_go_on(&[Step::Sync, Step::Cut]);
}

#[test]
fn after_a_failed_sync_the_whole_file_is_written_anew() {
    let (disk, mut journal, state) = journal();
    let rewrites = disk.rewrites();
    disk.fail(&[Step::Sync]);
    journal.commit(batch(epoch(0), 2, &[(2, 5)])).unwrap_err();
    // That fails too, at any step.
    for fault in [Step::WriteNew, Step::Rename, Step::SyncFolder] {
        disk.fail(&[fault]);
        journal.commit(batch(epoch(0), 2, &[(2, 6)])).unwrap_err();
        assert_eq!(State::of(&journal), state, "{fault:?}");
        assert_eq!(State::of(&Memory::of(&disk.durable()).journal()), state, "{fault:?}");
    }
    // Marks are no reason to touch the file that is not known to be whole.
    let before = disk.bytes();
    journal.delivered(epoch(0), 0).unwrap();
    journal.forget(epoch(0)).unwrap();
    assert_eq!(disk.bytes(), before);
    disk.fail(&[Step::Append(0)]);
    journal.commit(batch(epoch(1), 0, &[(2, 6)])).unwrap();
    assert_eq!(disk.rewrites(), rewrites + 2);
    assert_eq!(State::of(&Memory::of(&disk.durable()).journal()), State::of(&journal));
}

#[test]
fn a_first_commit_that_fails_leaves_nothing() {
    for fault in [Step::WriteNew, Step::Rename] {
        let disk = Memory::default();
        let mut journal = disk.journal();
        disk.fail(&[fault]);
        journal.commit(batch(epoch(0), 0, &[(2, 5)])).unwrap_err();
        assert_eq!((State::of(&journal), disk.bytes().len()), (State::default(), 0));
        disk.fail(&[]);
        journal.commit(batch(epoch(0), 0, &[(2, 6)])).unwrap();
        assert_eq!(State::of(&disk.reopened()), State::of(&journal));
    }
}

#[test]
fn a_mark_that_cannot_be_written_is_not_made() {
    for after in 0..20 {
        let (disk, mut journal, state) = journal();
        disk.fail(&[Step::Append(after)]);
        journal.delivered(epoch(0), 0).unwrap_err();
        journal.forget(epoch(0)).unwrap_err();
        assert_eq!(State::of(&journal), state);
        assert_eq!(State::of(&disk.reopened()), state);
        disk.fail(&[]);
        journal.delivered(epoch(0), 1).unwrap();
        assert_eq!(journal.undelivered().len(), 0);
        assert_eq!(disk.reopened().undelivered().len(), 0);
    }
}

#[test]
fn a_rewrite_that_fails_fails_no_commit_and_is_not_tried_every_time() {
    for fault in [Step::WriteNew, Step::Rename, Step::SyncFolder] {
        let (disk, mut journal, _) = journal();
        disk.fail(&[fault]);
        let mut state = State::of(&journal);
        for sequence in 2..12 {
            let mut batch = batch(epoch(0), sequence, &[(2, 1)]);
            batch.labels[0].interface = "x".repeat(200_000);
            state.commit(&batch);
            if journal.commit(batch).is_err() {
                // It was due with the mark before, and is now what the commit waits for.
                assert_ne!(fault, Step::WriteNew);
                break;
            }
            journal.delivered(epoch(0), sequence).unwrap();
            state.deliver(epoch(0), sequence);
            assert_eq!(State::of(&journal), state);
            assert_eq!(State::of(&disk.reopened()).baselines, state.baselines);
        }
        // The journal doubles before the next attempt.
        assert!((2..=4).contains(&disk.attempts()), "{fault:?}: {}", disk.attempts());
        disk.fail(&[]);
        let next = journal.baseline(epoch(0)).unwrap().next_sequence;
        journal.commit(batch(epoch(0), next, &[(2, 1)])).unwrap();
        assert_eq!(State::of(&disk.reopened()), State::of(&journal));
    }
}
