//! One message, with file descriptors, between the worker and the stages of the launcher: a JSON text in one packet.
//!
//! Both ends are ours; foreign code never holds such a socket. It must not interpret what it carries.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest message in bytes; a plan is a tenth of it.
const MOST: usize = 64 * 1024;
/// Most descriptors with one message.
const MOST_FDS: usize = 4;

/// Two connected sockets that keep the borders of messages.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message. Blocks while the other end does not read.
pub(crate) fn send(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long for one packet"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    // A reader that is gone must be an error, never a signal.
    sendmsg(socket, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message; `None` at the end of the stream. Blocks.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut text = vec![0; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut"));
    }
    Ok(Some((serde_json::from_slice(&text[..got.bytes])?, fds)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptor_and_the_end_is_seen() {
        let (here, there) = pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send(&here, &vec!["a", "b"], &[reader.as_fd()]).unwrap();
        drop(reader);
        drop(here);
        let (words, fds) = receive::<Vec<String>>(&there).unwrap().unwrap();
        assert_eq!((words, fds.len()), (vec!["a".to_owned(), "b".to_owned()], 1));
        let mut writer = writer;
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(fds.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(receive::<Vec<String>>(&there).unwrap().is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (here, _there) = pair().unwrap();
        assert!(send(&here, &"x".repeat(MOST), &[]).is_err());
    }
}
