//! Many small values, read back by number: few in memory, more in a nameless scratch file.

use std::fs::File;
use std::io::Write as _;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::OperatorError;

/// Bytes that stay in memory.
const HELD: usize = 8 << 20;

/// Values by number, from 0.
#[derive(Debug)]
pub(super) struct Pool<T> {
    /// Where each value ends.
    ends: Vec<u64>,
    held: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    filed: u64,
    folder: Option<PathBuf>,
    values: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Pool<T> {
    /// Without a folder all stay in memory.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let folder = folder.map(Path::to_owned);
        Self { ends: Vec::new(), held: Vec::new(), file: None, filed: 0, folder, values: PhantomData }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn push(&mut self, value: &T) -> Result<(), OperatorError> {
        let bytes = postcard::to_stdvec(value).map_err(OperatorError::Spill)?;
        self.held.extend(bytes);
        self.ends.push(self.filed + self.held.len() as u64);
        if let Some(folder) = self.folder.as_ref().filter(|_| self.held.len() >= HELD) {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile_in(folder).map_err(OperatorError::Scratch)?),
            };
            file.write_all(&self.held).map_err(OperatorError::Scratch)?;
            self.filed += self.held.len() as u64;
            self.held.clear();
        }
        Ok(())
    }

    pub(super) fn get(&self, number: u32) -> Result<T, OperatorError> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut bytes = vec![0; usize::try_from(self.ends[number] - start).unwrap_or(usize::MAX)];
        match &self.file {
            Some(file) if start < self.filed => {
                file.read_exact_at(&mut bytes, start).map_err(OperatorError::Scratch)?
            }
            _ => {
                let start = usize::try_from(start - self.filed).unwrap_or(usize::MAX);
                let length = bytes.len();
                bytes.copy_from_slice(&self.held[start..start + length]);
            }
        }
        postcard::from_bytes(&bytes).map_err(OperatorError::Spill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_the_file_and_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::new(Some(folder.path()));
        let text = |i: u32| format!("{i} {}", "x".repeat(i as usize * 1000));
        (0..200).for_each(|i| pool.push(&text(i)).unwrap());
        assert!(pool.file.is_some() && !pool.held.is_empty(), "some of 20 MB in the file, some not");
        for i in [0, 199, 7, 128, 129, 130] {
            assert_eq!(pool.get(i).unwrap(), text(i));
        }
    }
}
