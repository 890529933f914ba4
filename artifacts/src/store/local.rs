//! Files of this machine brought into the store's folder, and its blobs into other folders; every function blocks.
//!
//! A blob is checked whichever way it goes. Where the file system can, no bytes are copied: a clone shares them until one side
//! is written, a hard link is the store's own file and therefore read-only.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use galapagos_domain::ids::Digest;
use tempfile::NamedTempFile;

use super::ArtifactStore;
use crate::Error;
use crate::hashing::{hash_file, pump};

/// Files below this are copied in any case: they cost nothing, and people edit them.
const LINK_FROM_BYTES: u64 = 256 << 10;

/// Whether a file may share its bytes with the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The reader may write to it.
    Own,
    /// It may be a hard link to the store's file, and is read-only then.
    Linked,
}

/// Rights of files that are written once, and of those that are their owner's.
const READ_ONLY: u32 = 0o444;
const WRITABLE: u32 = 0o644;

/// A file of the store that has no name yet; removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    store: ArtifactStore,
}

impl Staged {
    /// An empty file in the folder of `store`.
    pub fn create(store: ArtifactStore) -> Result<Self, Error> {
        let staging = store.root.join("staging");
        std::fs::create_dir_all(&staging).map_err(Error::file("create", &staging))?;
        Ok(Self { file: partial(&staging.join("blob"))?, store })
    }

    /// Where its bytes go.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Makes it the blob `digest` of `length` bytes, flushed to disk; false if the store has that already.
    pub fn commit(self, digest: &Digest, length: u64) -> Result<bool, Error> {
        let Self { file, store } = self;
        let to = store.blob_file(digest);
        if std::fs::metadata(&to).is_ok_and(|there| there.len() == length) {
            return Ok(false);
        }
        file.as_file().sync_all().map_err(Error::file("flush", file.path()))?;
        let folder = to.parent().unwrap_or(&store.root);
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        name(file, &to, READ_ONLY)?;
        // The names last as long as the bytes: of the blob in its folder, and of that folder.
        for folder in folder.ancestors().take(2) {
            let flushed = File::open(folder).and_then(|folder| folder.sync_all());
            flushed.map_err(Error::file("flush", folder))?;
        }
        Ok(true)
    }
}

/// Copies a file into the store. Returns digest, length, and whether the store did not have it yet.
pub(super) fn store(from: &Path, store: ArtifactStore) -> Result<(Digest, u64, bool), Error> {
    let source = File::open(from).map_err(Error::file("open", from))?;
    let mut staged = Staged::create(store)?;
    let (digest, length) = copy(&mut staged.file, source, from)?;
    let new = staged.commit(&digest, length)?;
    Ok((digest, length, new))
}

/// Puts the blob `from` at `to`, whole and checked or not at all; returns its length.
pub(crate) fn bring(digest: Digest, from: &Path, to: &Path, sharing: Sharing) -> Result<u64, Error> {
    let source = match File::open(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::Absent { digest }),
        opened => opened.map_err(Error::file("open", from))?,
    };
    let length = source.metadata().map_err(Error::file("look at", from))?.len();
    let mut partial = partial(to)?;
    let (found, length) = if rustix::fs::ioctl_ficlone(partial.as_file(), &source).is_ok() {
        hash_file(partial.path())?
    } else if sharing == Sharing::Linked && length >= LINK_FROM_BYTES {
        let (found, length) = hash_file(from)?;
        check(digest, found)?;
        if link(from, to).is_ok() {
            return Ok(length);
        }
        copy(&mut partial, source, from)?
    } else {
        copy(&mut partial, source, from)?
    };
    check(digest, found)?;
    finish(partial, to)?;
    Ok(length)
}

/// A file beside `to` that has no name of its own yet; removed when dropped.
pub(crate) fn partial(to: &Path) -> Result<NamedTempFile, Error> {
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-").tempfile_in(folder).map_err(Error::file("create a file in", folder))
}

/// Gives a partial file its name.
pub(crate) fn finish(partial: NamedTempFile, to: &Path) -> Result<(), Error> {
    name(partial, to, WRITABLE)
}

fn name(partial: NamedTempFile, to: &Path, mode: u32) -> Result<(), Error> {
    let rights = std::fs::Permissions::from_mode(mode);
    partial.as_file().set_permissions(rights).map_err(Error::file("set the rights of", partial.path()))?;
    partial.persist(to).map_err(|e| Error::file("rename to", to)(e.error))?;
    Ok(())
}

pub(crate) fn check(digest: Digest, found: Digest) -> Result<(), Error> {
    if digest == found { Ok(()) } else { Err(Error::Damaged { digest, found }) }
}

/// A hard link that cannot be written through. The rights are the store file's own: the link goes if they cannot be set.
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::hard_link(from, to)?;
    let read_only = || {
        let mut rights = std::fs::metadata(to)?.permissions();
        if !rights.readonly() {
            rights.set_readonly(true);
            std::fs::set_permissions(to, rights)?;
        }
        Ok(())
    };
    read_only().inspect_err(|_| drop(std::fs::remove_file(to)))
}

fn copy(partial: &mut NamedTempFile, mut source: File, from: &Path) -> Result<(Digest, u64), Error> {
    let path = partial.path().to_owned();
    pump(&mut source, from, |chunk| partial.write_all(chunk).map_err(Error::file("write", &path)))
}
