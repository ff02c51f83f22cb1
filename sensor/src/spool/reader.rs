//! What one exporter reads by.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use super::{Cursor, Lost, Piece, Spool, cursors::Cursors, log::Place};

/// Pieces that an exporter may be handed before that is on disk.
const HANDED_AHEAD: u64 = 64;
/// How often it is written how far exporters are: what a crash has delivered once more.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Reads the pieces that one exporter has not delivered.
#[derive(Debug)]
pub struct Reader {
    spool: Arc<Spool>,
    name: String,
    cursor: Cursor,
    place: Place,
    /// Position of the piece that was read, and where it ends.
    ahead: (u64, Place),
    end: watch::Receiver<u64>,
    saved: Instant,
    /// All of what was acknowledged is on disk as such.
    is_saved: bool,
}

impl Reader {
    pub(super) fn new(spool: Arc<Spool>, name: &str, cursor: Cursor, mut end: watch::Receiver<u64>) -> Self {
        end.mark_changed();
        Self {
            spool,
            name: name.to_owned(),
            cursor,
            place: Place::default(),
            ahead: (0, Place::default()),
            end,
            saved: Instant::now(),
            is_saved: true,
        }
    }

    /// The next piece that was not acknowledged, the same one until it is; `None`: there is none yet.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn peek(&mut self) -> Result<Option<Piece>> {
        self.end.mark_unchanged();
        let mut inner = self.spool.inner();
        // The place moves on with what is acknowledged alone.
        let mut place = self.place;
        let read = inner.log.read(&mut place, self.cursor.acknowledged);
        let read = read.with_context(|| format!("{}: cannot read; check the disk", inner.log.folder.display()))?;
        if let Some((header, _)) = &read {
            self.ahead = (header.position, place);
            if header.position > self.cursor.handed {
                self.cursor.handed = header.position + HANDED_AHEAD;
                put(&mut inner.cursors, &self.name, &mut self.cursor);
                if let Err(error) = inner.settle().and_then(|()| inner.save()) {
                    self.cursor.handed = header.position - 1;
                    return Err(error);
                }
            }
        }
        Ok(read.map(|(header, payload)| Piece { header, payload }))
    }

    /// What can no longer be read between what was acknowledged and a piece.
    pub fn lost_before(&self, piece: &Piece) -> Lost {
        let before = piece.header.total.saturating_sub(u64::from(piece.header.stands_for));
        Lost {
            pieces: piece.header.since.saturating_sub(1).saturating_sub(self.cursor.acknowledged),
            records: before.saturating_sub(self.cursor.total),
        }
    }

    /// Notes that a piece was delivered, and with it whatever was before. On disk with [`Reader::save`], or with the first piece after a second.
    pub fn acknowledge(&mut self, piece: &Piece) {
        let lost = self.lost_before(piece);
        self.cursor.acknowledged = piece.header.position;
        self.cursor.total = piece.header.total;
        self.cursor.lost.add(lost);
        let mut inner = self.spool.inner();
        if self.ahead.0 == piece.header.position {
            self.place = self.ahead.1;
        }
        put(&mut inner.cursors, &self.name, &mut self.cursor);
        drop(inner);
        self.is_saved = false;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save();
        }
    }

    /// Puts on disk how far it is, if that is not there already, and lets go of what nobody waits for. What cannot be written is tried again: a crash
    /// before that delivers pieces once more, under their keys.
    pub fn save(&mut self) {
        if self.is_saved {
            return;
        }
        self.saved = Instant::now();
        let mut inner = self.spool.inner();
        match inner.save() {
            Ok(()) => self.is_saved = true,
            Err(error) => tracing::warn!("{error:#}; trying again"),
        }
        inner.tidy();
    }

    /// The exporter's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Pieces that wait.
    pub fn waiting(&self) -> u64 {
        self.end.borrow().saturating_sub(self.cursor.acknowledged)
    }

    /// Waits until there may be a next piece.
    pub async fn changed(&mut self) {
        if self.end.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Notes how far an exporter is. What was told of its losses others note.
fn put(cursors: &mut Cursors, name: &str, cursor: &mut Cursor) {
    if let Some(known) = cursors.get_mut(name) {
        cursor.told = known.told;
        *known = *cursor;
    }
}
