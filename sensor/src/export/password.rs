//! Passwords of exporters, which stand in files of their own.

use std::{fs::File, io::Read as _};

use anyhow::{Context as _, Result, bail};

use crate::config::Login;

/// The longest file of a password, in bytes.
const MAX_LEN: u64 = 4 << 10;

/// The first line of the file of a user's password, without its end.
///
/// # Errors
/// The file cannot be read, or is too long.
pub(super) fn read(login: &Login) -> Result<Vec<u8>> {
    let path = login.password_file.display();
    let mut bytes = vec![];
    let file = File::open(&login.password_file);
    let read = file.and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes).map(|len| len as u64 > MAX_LEN));
    if read.with_context(|| format!("{path}: cannot read; correct password_file, or allow to read it"))? {
        bail!("{path}: no file of a password, with more than {MAX_LEN} bytes; correct password_file");
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let login = Login { username: "u".to_owned(), password_file: folder.path().join("p") };
        let with = |content: &[u8]| {
            fs::write(&login.password_file, content).unwrap();
            read(&login).map_err(|error| format!("{error:#}"))
        };
        for text in ["se cret", "se cret\n", "se cret\r\nother\n"] {
            assert_eq!(with(text.as_bytes()).as_deref(), Ok(b"se cret".as_slice()));
        }
        assert_eq!(with(b"").as_deref(), Ok(b"".as_slice()));
        assert!(with(&[b'x'; 4097]).unwrap_err().contains("more than 4096 bytes"));
        fs::remove_file(&login.password_file).unwrap();
        assert!(format!("{:#}", read(&login).unwrap_err()).contains("p: cannot read; correct password_file"));
    }
}
