//! Whatever happens to the file, its readable beginning is the history.

use std::{fs, io::Cursor, os::unix::fs::PermissionsExt as _, path::Path};

use super::{super::frame::HEADER_LEN, memory::Memory, *};

/// A file, and what it says up to each length at which an entry ends.
fn history() -> (Vec<u8>, Vec<(usize, State)>) {
    let disk = Memory::default();
    let mut journal = disk.journal();
    let (one, two) = (epoch(0), epoch(1));
    journal.commit(batch(one, 0, &[(2, 1), (3, 500)])).unwrap();
    journal.commit(batch(two, 0, &[(9, 4)])).unwrap();
    // A snapshot with two baselines and two batches first, then one entry of each kind.
    journal.replace(&[]).unwrap();
    let mut ends = vec![(HEADER_LEN, State::default())];
    let mut end = |journal: &Journal| ends.push((disk.bytes().len(), State::of(journal)));
    end(&journal);
    journal.commit(batch(one, 1, &[(2, 70_000), (69, 1)])).unwrap();
    end(&journal);
    journal.delivered(one, 0).unwrap();
    end(&journal);
    journal.commit(batch(one, 2, &[])).unwrap();
    end(&journal);
    journal.forget(two).unwrap();
    end(&journal);
    journal.commit(batch(two, 5, &[(2, 2)])).unwrap();
    end(&journal);
    (disk.bytes(), ends)
}

/// What it says when only so many bytes are good.
fn state_at(ends: &[(usize, State)], good: usize) -> &State {
    &ends.iter().rfind(|(end, _)| *end <= good).unwrap().1
}

#[test]
fn cut_anywhere_it_says_what_the_whole_entries_say() {
    let (bytes, ends) = history();
    for len in HEADER_LEN..=bytes.len() {
        let disk = Memory::of(&bytes[..len]);
        let mut journal = disk.journal();
        assert_eq!(&State::of(&journal), state_at(&ends, len), "cut to {len} bytes");
        // It goes on from there.
        journal.commit(batch(epoch(2), 0, &[(4, 4)])).unwrap();
        let state = State::of(&journal);
        assert_eq!(State::of(&disk.reopened()), state, "cut to {len} bytes");
    }
}

#[test]
fn with_any_byte_flipped_it_says_what_the_entries_before_it_say() {
    let (bytes, ends) = history();
    for place in HEADER_LEN..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let state = State::of(&Memory::of(&damaged).journal());
            assert_eq!(&state, state_at(&ends, place), "byte {place} ^ {flip}");
        }
    }
}

#[test]
fn a_tail_of_zeros_or_of_an_older_file_is_cut_off() {
    let (bytes, ends) = history();
    let whole = &ends.last().unwrap().1;
    let snapshot = bytes[HEADER_LEN..ends[1].0].to_vec();
    for tail in [vec![0; 4096], bytes.clone(), snapshot, vec![0xff; 9]] {
        let state = State::of(&Memory::of(&[bytes.as_slice(), &tail].concat()).journal());
        assert_eq!(&state, whole);
    }
}

#[test]
fn a_length_beyond_the_file_allocates_nothing() {
    for len in [1_u32, 1 << 30, u32::MAX] {
        let frame = [&[2][..], &len.to_le_bytes(), &[0; 4]].concat();
        let read = frame::read(Cursor::new(&frame), frame.len() as u64).unwrap();
        assert_eq!(read, None, "{len}");
    }
}

#[test]
fn a_file_shorter_than_it_was_said_to_be_is_damaged_and_no_error() {
    let (bytes, ends) = history();
    let recovered = recover::recover(&bytes[HEADER_LEN..], bytes.len() as u64 + 1000).unwrap();
    assert_eq!(recovered.len, bytes.len() as u64);
    assert_eq!(recovered.history.undelivered().len(), ends.last().unwrap().1.undelivered.len());
}

#[test]
fn a_whole_entry_that_cannot_be_is_refused() {
    let says = |kind, payload: Vec<u8>| {
        let frame = frame::seal(kind, [frame::begin(), payload].concat()).unwrap();
        State::of(&Memory::of(&[&frame::header(), frame.as_slice()].concat()).journal())
    };
    let checkpoints = |epochs: &[u8]| {
        let checkpoint = |number: &u8| {
            (epoch(*number), Reading::zero(2, 2).sparse(), Breakdown::default(), 1_u64, Timestamp::UNIX_EPOCH)
        };
        postcard::to_stdvec(&epochs.iter().map(checkpoint).collect::<Vec<_>>()).unwrap()
    };
    let most = history::MAX_EPOCHS as u8;
    let kept = |epochs: &[u8]| says(Kind::Snapshot, checkpoints(epochs)).baselines.len();
    assert_eq!(kept(&(0..most).collect::<Vec<_>>()), history::MAX_EPOCHS);
    assert_eq!(kept(&(0..=most).collect::<Vec<_>>()), 0);
    assert_eq!(kept(&[0, 0]), 0);

    let whole = postcard::to_stdvec(&batch(epoch(0), 0, &[(2, 2)])).unwrap();
    assert_eq!(says(Kind::Batch, whole.clone()).undelivered.len(), 1);
    assert_eq!(says(Kind::Batch, [whole, vec![0]].concat()).undelivered.len(), 0);
}

/// The files of a folder whose names begin so.
fn named(folder: &Path, start: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
    names.sort();
    names
}

#[test]
fn what_is_cut_off_is_saved_beside_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let file = folder.path().join("journal");
    let (bytes, ends) = history();
    let last = ends[ends.len() - 2].0;
    for round in 0..=recover::MAX_DAMAGED as u8 {
        let mut damaged = bytes.clone();
        damaged[last + 20] ^= 1;
        damaged.push(round);
        fs::write(&file, &damaged).unwrap();
        let journal = dir.journal().unwrap();
        assert_eq!(&State::of(&journal), &ends[ends.len() - 2].1);
        let Damage { bytes, interrupted, saved } = journal.damage().unwrap().clone();
        assert!(!interrupted, "a whole entry with a wrong checksum had been committed");
        assert_eq!(bytes as usize, damaged.len() - last);
        assert_eq!(fs::read(saved.as_ref().unwrap()).unwrap(), damaged[last..]);
        assert_eq!(fs::metadata(saved.unwrap()).unwrap().permissions().mode() & 0o777, 0o600);
        // Whoever is killed now must find it again.
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }
    let saved = named(folder.path(), "journal.damaged-");
    assert_eq!(saved.len(), recover::MAX_DAMAGED);
    // The oldest is gone.
    let rounds = saved.iter().map(|name| *fs::read(folder.path().join(name)).unwrap().last().unwrap());
    assert_eq!(rounds.collect::<Vec<_>>(), [1, 2, 3, 4]);
    // The next entry takes the place of all of it.
    let mut journal = dir.journal().unwrap();
    journal.begin(Epoch::draw().unwrap(), &Reading::zero(1, 2), Timestamp::now()).unwrap();
    let state = State::of(&journal);
    let journal = dir.journal().unwrap();
    assert_eq!((journal.damage(), State::of(&journal)), (None, state));
}

/// Where the power fails, what was appended and not synced may be zeros: nothing that was committed is lost by it.
#[test]
fn zeros_behind_it_were_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let (bytes, ends) = history();
    let file = folder.path().join("journal");
    for (zeros, last, interrupted) in [(43, 0, true), (10_000, 0, true), (43, 1, false)] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + zeros, 0);
        *longer.last_mut().unwrap() = last;
        fs::write(&file, &longer).unwrap();
        let journal = dir.journal().unwrap();
        assert_eq!(&State::of(&journal), &ends.last().unwrap().1);
        let damage = journal.damage().unwrap();
        assert_eq!((damage.bytes, damage.interrupted), (zeros as u64, interrupted));
    }
}

#[test]
fn a_file_that_begins_like_no_journal_is_moved_away_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let (bytes, _) = history();
    let flipped = (0..HEADER_LEN).map(|place| {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        damaged
    });
    for damaged in flipped.chain((0..HEADER_LEN).map(|len| bytes[..len].to_vec())) {
        fs::write(folder.path().join("journal"), &damaged).unwrap();
        let mut journal = dir.journal().unwrap();
        assert_eq!(State::of(&journal), State::default());
        let saved = journal.damage().unwrap().saved.clone().unwrap();
        assert_eq!(fs::read(saved).unwrap(), damaged);
        journal.commit(batch(epoch(0), 0, &[(2, 1)])).unwrap();
        assert_eq!(State::of(&dir.journal().unwrap()), State::of(&journal));
    }
}

#[test]
fn a_journal_of_another_version_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let mut header = frame::header();
    header[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    let file = folder.path().join("journal");
    fs::write(&file, header).unwrap();
    let expected = format!(
        "{} is a journal of version 7, and this sensor writes version 3: run the sensor that wrote it, or move the file away to \
         begin anew",
        file.display()
    );
    assert_eq!(dir.journal().unwrap_err().to_string(), expected);
    assert_eq!(fs::read(&file).unwrap(), header);
}

proptest! {
    /// A right checksum proves that nobody damaged it, not that it is sound.
    #[test]
    fn any_payload_is_read_or_refused(payload: Vec<u8>, kind in 0..4_usize, sound: bool) {
        let kind = [Kind::Snapshot, Kind::Batch, Kind::Delivered, Kind::Forget][kind];
        let payload = if sound {
            // The beginning of something real, and then anything.
            [postcard::to_stdvec(&batch(epoch(0), 0, &[(2, 2)])).unwrap(), payload].concat()
        } else {
            payload
        };
        let frame = frame::seal(kind, [frame::begin(), payload].concat()).unwrap();
        let bytes = [&frame::header(), frame.as_slice()].concat();
        let journal = Memory::of(&bytes).journal();
        prop_assert!(journal.len == bytes.len() as u64 || journal.len == HEADER_LEN as u64);
    }
}
