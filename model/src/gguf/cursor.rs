//! Little-endian reading that never trusts a length: every length is compared with what is left of the file before
//! anything is read or reserved, and an error names the part being read and its byte.

use std::io::Read;

use super::GgufError;

/// Longest text in a header: chat templates and licences are far shorter.
const MAX_TEXT_BYTES: u64 = 1 << 24;

/// A reader that knows where it is and how much is left.
pub(super) struct Cursor<R> {
    reader: R,
    offset: u64,
    length: u64,
    what: String,
}

impl<R: Read> Cursor<R> {
    /// Reads `reader`, which holds `length` bytes.
    pub(super) fn new(reader: R, length: u64) -> Self {
        Self { reader, offset: 0, length, what: "the header".to_owned() }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Names the part that is read next, for errors.
    pub(super) fn enter(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// An error at this place.
    pub(super) fn error(&self, problem: impl Into<String>) -> GgufError {
        GgufError::Format { what: self.what.clone(), offset: self.offset, problem: problem.into() }
    }

    /// Checks a count of things of at least `least_bytes` each against the rest of the file, and against `most`.
    pub(super) fn count(&mut self, things: &str, least_bytes: u64, most: u64) -> Result<usize, GgufError> {
        let count = self.u64()?;
        let left = self.length - self.offset;
        if count > left / least_bytes {
            return Err(self.error(format!(
                "says {count} {things}, but only {left} bytes of the file follow: it is damaged or cut off"
            )));
        }
        match usize::try_from(count) {
            Ok(small) if count <= most => Ok(small),
            _ => Err(self.error(format!("says {count} {things}; at most {most} are accepted"))),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Result<String, GgufError> {
        let length = self.count("bytes of text", 1, MAX_TEXT_BYTES)?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.error("the text before this byte is not UTF-8"))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        let (wanted, left) = (bytes.len() as u64, self.length - self.offset);
        if wanted > left {
            return Err(self.error(format!("{wanted} bytes are needed, {left} are left: the file is cut off")));
        }
        self.reader.read_exact(bytes).map_err(|source| self.error(format!("reading failed: {source}")))?;
        self.offset += wanted;
        Ok(())
    }
}
