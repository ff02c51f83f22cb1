//! Opening a journal: whatever is in the file, its readable beginning is the history.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Batch, Damage, Journal,
    disk::{Disk, Folder},
    frame::{self, HEADER_LEN, Header, Kind},
    history::History,
};
use crate::{
    epoch::Epoch,
    state::{StateDir, files},
};

/// What names of saved ends begin with; the time follows, in seconds since the Unix epoch.
const DAMAGED: &str = "journal.damaged-";
/// Bytes that are looked at together.
const CHUNK: usize = 4096;
/// Saved ends that are kept; the oldest goes first.
pub(super) const MAX_DAMAGED: usize = 4;

/// How far a file could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    pub(super) history: History,
    /// Bytes that the history was read from, header included.
    pub(super) len: u64,
    pub(super) baselines_len: u64,
}

impl StateDir {
    /// Opens the journal, once for each lock; where there is none, the first commit makes it.
    ///
    /// What cannot be read at its end is saved as `journal.damaged-<seconds>`, cut off and told by [`Journal::damage`]; a file
    /// that does not begin like a journal is moved there whole.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is of another version.
    pub fn journal(&self) -> Result<Journal> {
        let disk = Folder::open(self.path());
        let mut disk = disk.with_context(|| {
            format!("cannot open the journal in {}; move it away to begin anew", self.path().display())
        })?;
        let name = disk.file_path();
        let Some((file, total)) = disk.file()? else { return Ok(Journal::new(Box::new(disk), None)) };
        let mut reader = BufReader::new(file);
        let reading = || format!("cannot read {}; check the disk, or move the file away to begin anew", name.display());
        match frame::read_header(&mut reader).with_context(reading)? {
            Header::Known => {}
            Header::Other(version) => bail!(
                "{} is a journal of version {version}, and this sensor writes version {}: run the sensor that wrote it, or \
                 move the file away to begin anew",
                name.display(),
                frame::VERSION
            ),
            Header::Damaged => {
                let saved = files::spare_name(disk.path(), DAMAGED, MAX_DAMAGED)?;
                disk.set_aside(&saved).with_context(|| format!("cannot move {} away", name.display()))?;
                tracing::warn!("{} is no journal; it was moved to {}", name.display(), saved.display());
                let mut journal = Journal::new(Box::new(disk), None);
                journal.damage = Some(Damage { bytes: total, interrupted: false, saved: Some(saved) });
                return Ok(journal);
            }
        }
        let recovered = recover(&mut reader, total).with_context(reading)?;
        let interrupted = is_interrupted(file, recovered.len, total).with_context(reading)?;
        let damage = (recovered.len < total).then(|| {
            let saved = save(file, recovered.len, disk.path());
            let saved = saved.inspect_err(|error| tracing::warn!("what is cut off cannot be saved: {error:#}")).ok();
            Damage { bytes: total - recovered.len, interrupted, saved }
        });
        let mut journal = Journal::new(Box::new(disk), Some(recovered));
        if let Some(Damage { bytes, saved, interrupted }) = &damage {
            let saved = saved.as_deref().unwrap_or(Path::new("nowhere"));
            tracing::warn!(
                "{}: the last {bytes} bytes are no whole entry: cut off, saved as {}",
                name.display(),
                saved.display()
            );
            // What was committed and is lost stays to be seen until a new file takes the place of this one: whoever is killed before
            // that must find it again.
            journal.rewrite |= !interrupted || journal.disk.cut(journal.len).is_err();
        }
        journal.damage = damage;
        Ok(journal)
    }
}

impl Journal {
    /// A journal that goes on behind what was recovered; without that, its first commit writes a new file.
    pub(super) fn new(disk: Box<dyn Disk>, recovered: Option<Recovered>) -> Self {
        let rewrite = recovered.is_none();
        let Recovered { history, len, baselines_len } = recovered.unwrap_or_default();
        Self { disk, history, len, baselines_len, rewrite, patience: 0, damage: None }
    }
}

/// Reads the frames behind the header up to the first that is damaged, incomplete or contradicts those before it.
///
/// `total` is the length of the file in bytes. Fails only where the file cannot be read.
pub(super) fn recover(mut file: impl Read, total: u64) -> io::Result<Recovered> {
    let mut recovered = Recovered { len: HEADER_LEN as u64, ..Recovered::default() };
    while recovered.len < total {
        let (kind, payload, len) = match frame::read(&mut file, total - recovered.len) {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            // Shorter than it said.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        };
        if let Err(error) = recovered.apply(kind, &payload, len) {
            tracing::warn!("the journal contradicts itself: {error:#}");
            break;
        }
        recovered.len += len;
    }
    Ok(recovered)
}

impl Recovered {
    /// Applies a frame of `len` bytes, or nothing of it.
    fn apply(&mut self, kind: Kind, payload: &[u8], len: u64) -> Result<()> {
        match kind {
            Kind::Snapshot if self.len == HEADER_LEN as u64 => {
                (self.history, self.baselines_len) = History::restore(payload)?;
            }
            Kind::Snapshot => bail!("a snapshot behind other entries"),
            Kind::Batch => self.history.commit(frame::decode::<Batch>(payload)?, len)?,
            Kind::Delivered => {
                let (epoch, sequence) = frame::decode(payload)?;
                self.history.deliver(epoch, sequence);
            }
            Kind::Begin => self.history.begin(&frame::decode(payload)?)?,
            Kind::Forget => self.history.forget(frame::decode::<Epoch>(payload)?),
        }
        Ok(())
    }
}

/// Whether what is behind `from` in a file of `total` bytes is less than one frame, or was never written: where the power fails, a file may have the
/// length of what was appended to its last block and not synced, with zeros in the place of it. No entry is of zeros.
fn is_interrupted(file: &File, from: u64, total: u64) -> io::Result<bool> {
    let mut head = [0; frame::FRAME_HEADER_LEN];
    let read = file.read_at(&mut head, from)?;
    Ok(frame::is_cut(&head[..read], total.saturating_sub(from)) || is_zero(file, from)?)
}

/// Whether there is nothing but zeros from there to the end.
fn is_zero(mut file: &File, from: u64) -> io::Result<bool> {
    let mut chunk = [0; CHUNK];
    file.seek(SeekFrom::Start(from))?;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Copies the end of a file beside it.
fn save(mut file: &File, from: u64, folder: &Path) -> Result<PathBuf> {
    let name = files::spare_name(folder, DAMAGED, MAX_DAMAGED)?;
    let mut copy = files::create(&name)?;
    file.seek(SeekFrom::Start(from))?;
    let copied = io::copy(&mut file, &mut copy).and_then(|_| copy.sync_all());
    if let Err(error) = copied {
        // A part of it helps nobody, and the disk may be full.
        let _ = fs::remove_file(&name);
        return Err(error.into());
    }
    Ok(name)
}
