//! Buffers at the ends of pipes and sockets that never block and never grow beyond a bound.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};

const PIECE: usize = 64 * 1024;

/// What a program writes, up to a bound.
#[derive(Debug)]
pub(super) struct Capture {
    fd: OwnedFd,
    bytes: Vec<u8>,
    most: usize,
    open: bool,
    full: bool,
}

impl Capture {
    pub(super) fn new(fd: OwnedFd, most: usize) -> Self {
        Self { fd, bytes: Vec::new(), most, open: true, full: false }
    }

    pub(super) const fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The descriptor while there may be more.
    pub(super) fn open(&self) -> Option<&OwnedFd> {
        self.open.then_some(&self.fd)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Reads what is there. True when this made it more than the bound; the rest is not read.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        while self.open {
            match read_some(&self.fd, &mut piece)? {
                None => break,
                Some(0) => self.open = false,
                Some(count) => {
                    let kept = count.min(self.most - self.bytes.len());
                    self.bytes.extend_from_slice(&piece[..kept]);
                    if kept < count {
                        self.full = true;
                        self.open = false;
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

/// Lines that arrive in pieces.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// From there, no line ends before this place.
    seen: usize,
    most: usize,
}

impl Lines {
    pub(super) const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, seen: 0, most }
    }

    /// Reads what is there, but not much more than one line of the greatest length. False at the end of the stream.
    pub(super) fn read(&mut self, fd: impl AsFd) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        let mut piece = vec![0; PIECE];
        while self.bytes.len() <= self.most {
            match read_some(&fd, &mut piece)? {
                None => break,
                Some(0) => return Ok(false),
                Some(count) => self.bytes.extend_from_slice(&piece[..count]),
            }
        }
        Ok(true)
    }

    /// The next whole line, without its end.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return None;
        };
        let line = self.bytes[self.start..self.seen + end].to_vec();
        self.start = self.seen + end + 1;
        self.seen = self.start;
        Some(line)
    }

    /// After a [`Lines::take`] of nothing: whether what is there is more than a line may be.
    pub(super) const fn is_too_long(&self) -> bool {
        self.seen - self.start > self.most
    }
}

/// What is still to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Writes what the other end takes. False if it takes no more for good.
    pub(super) fn write(&mut self, fd: impl AsFd) -> io::Result<bool> {
        while !self.is_empty() {
            match rustix::io::write(&fd, &self.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(true),
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                        self.sent = self.bytes.len();
                        return Ok(false);
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Ok(true)
    }
}

/// `None` if nothing is there now, 0 at the end.
fn read_some(fd: impl AsFd, piece: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::read(&fd, &mut *piece) {
            Ok(count) => return Ok(Some(count)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(None),
                ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset => return Ok(Some(0)),
                _ => return Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    fn pipe() -> (OwnedFd, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let reader = OwnedFd::from(reader);
        fcntl_setfl(&reader, OFlags::NONBLOCK).unwrap();
        (reader, writer)
    }

    #[test]
    fn a_capture_keeps_its_bound() {
        let (reader, mut writer) = pipe();
        let mut capture = Capture::new(reader, 5);
        writer.write_all(b"12345").unwrap();
        assert!(!capture.read().unwrap() && !capture.is_full());
        writer.write_all(b"6").unwrap();
        assert!(capture.read().unwrap() && capture.is_full() && capture.open().is_none());
        assert_eq!(capture.take(), b"12345");
    }

    #[test]
    fn lines_come_whole_and_not_too_long() {
        let (reader, mut writer) = pipe();
        let mut lines = Lines::new(8);
        writer.write_all(b"one\ntw").unwrap();
        assert!(lines.read(&reader).unwrap());
        assert_eq!((lines.take(), lines.take()), (Some(b"one".to_vec()), None));
        writer.write_all(b"o\n123456789").unwrap();
        drop(writer);
        assert!(lines.read(&reader).unwrap(), "too much for one line is not read on");
        assert_eq!((lines.take(), lines.take()), (Some(b"two".to_vec()), None));
        assert!(lines.is_too_long());
    }

    #[test]
    fn an_outbox_notices_that_nobody_reads() {
        let (reader, writer) = pipe();
        let mut outbox = Outbox::default();
        outbox.push(b"x");
        assert!(outbox.write(&writer).unwrap() && outbox.is_empty());
        drop(reader);
        outbox.push(b"y");
        assert!(!outbox.write(&writer).unwrap() && outbox.is_empty());
    }
}
