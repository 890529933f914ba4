//! Files that are there completely or not at all: written beside their place, flushed to disk, then renamed. And the error of
//! whatever the system refuses about a file.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The system refused something about a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {} failed", path.display())]
pub struct FileError {
    /// What we tried.
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The error of `doing` something with the file at `path`.
pub(crate) fn file_error<E: From<FileError>>(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> E {
    move |source| FileError { doing, path: path.to_owned(), source }.into()
}

/// Lets `fill` write a new file and puts it at `path`. On an error the old file, if any, is untouched.
pub(crate) fn write_atomically(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_name(path);
    let result = fill_and_rename(&temporary, path, fill);
    if result.is_err() {
        // The first error is the one to report; a left-over file is replaced by the next try.
        drop(std::fs::remove_file(&temporary));
    }
    result
}

fn fill_and_rename(temporary: &Path, path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    fill(&mut file)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(temporary, path)?;
    // The rename itself lasts only when the folder is on disk.
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// A name no other process uses, so that two writers do not fill one file.
fn temporary_name(path: &Path) -> std::path::PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
