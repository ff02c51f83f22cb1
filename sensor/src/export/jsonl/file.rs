//! A file of lines that is moved aside when it is long.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::state::files::FILE_MODE;

/// Bytes that are looked through at a time for the end of the last whole line.
const BLOCK: u64 = 1 << 16;

/// The file, and those before it: `path.1` is the youngest of them.
pub(super) struct Rotated {
    path: PathBuf,
    rotate: u64,
    keep: u32,
    open: Option<Open>,
}

struct Open {
    file: File,
    len: u64,
}

impl Rotated {
    pub(super) fn new(path: PathBuf, rotate: u64, keep: u32) -> Self {
        Self { path, rotate, keep, open: None }
    }

    pub(super) fn name(&self) -> impl Display {
        self.path.display()
    }

    /// Writes lines, all or none of them; on disk when this returns.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take().filter(|open| is_same(&open.file, &self.path)) {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        if open.len > 0 && open.len + lines.len() as u64 > self.rotate {
            self.move_aside()?;
            open = Open::at(&self.path)?;
        }
        let written = open.file.write_all_at(lines, open.len).and_then(|()| open.file.sync_data());
        if let Err(error) = written {
            // What is left of it is cut off when the file is opened again, if not now.
            let _ = open.file.set_len(open.len);
            return Err(error);
        }
        open.len += lines.len() as u64;
        self.open = Some(open);
        Ok(())
    }

    fn move_aside(&self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            match fs::rename(older(number), older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, older(1))
    }
}

impl Open {
    /// Opens or makes a file. A line that was not written to its end is cut off: it comes again.
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let len = whole_lines(&file, metadata.len())?;
        file.set_len(len)?;
        Ok(Self { file, len })
    }
}

/// Where the last whole line ends.
fn whole_lines(file: &File, len: u64) -> io::Result<u64> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; (end - start) as usize];
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Whether the name still is this file's: another program may have moved it.
fn is_same(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_rotated_and_goes_on_behind_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        let mut file = Rotated::new(path.clone(), 10, 2);
        for line in ["one\n", "two\n", "three\n", "four four four\n", "five\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        assert_eq!([read("x"), read("x.1")], ["five\n", "four four four\n"].map(|text| Some(text.to_owned())));
        assert_eq!([read("x.2"), read("x.3")], [Some("three\n".to_owned()), None]);
        // As a crash leaves it.
        fs::write(&path, "whole\nhal").unwrap();
        let mut file = Rotated::new(path.clone(), 100, 2);
        file.write(b"half\n").unwrap();
        assert_eq!(read("x").unwrap(), "whole\nhalf\n");
        // Somebody moves it away, as logrotate does.
        fs::rename(&path, folder.path().join("y")).unwrap();
        file.write(b"next\n").unwrap();
        assert_eq!([read("x").unwrap(), read("y").unwrap()], ["next\n", "whole\nhalf\n"]);
        let mut nowhere = Rotated::new(folder.path().to_owned(), 100, 2);
        assert!(nowhere.write(b"x\n").is_err());
    }

    #[test]
    fn the_last_whole_line_is_found_in_any_block() {
        let mut file = tempfile::tempfile().unwrap();
        let text = [b"one\n".as_slice(), &vec![b'x'; 3 * BLOCK as usize]].concat();
        io::Write::write_all(&mut file, &text).unwrap();
        assert_eq!(whole_lines(&file, text.len() as u64).unwrap(), 4);
        assert_eq!((whole_lines(&file, 4).unwrap(), whole_lines(&file, 3).unwrap()), (4, 0));
    }
}
