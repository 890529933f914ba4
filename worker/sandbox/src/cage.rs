//! One sandboxed program from the worker's side: started, fed, listened to under a deadline, and always ended.
//!
//! Dropping a [`Cage`] ends every process in it and waits for that. It must not judge what the program says.

mod capture;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use galapagos_telemetry::clock::monotonic_ms;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::cgroup::Cgroup;
use crate::error::{SandboxError, While};
use crate::launch::OUTER;
use crate::layer::Tried;
use crate::plan::{Ended, Plan, Said};
use crate::wire;
use capture::{Capture, Lines, Outbox};

/// From the plan to the program's first instruction, on a machine under load.
const START_LIMIT_MS: u64 = 20_000;
/// From the kill to the end of the launcher.
const END_LIMIT_MS: u64 = 5_000;
/// Longest line of the channel.
const LINE_BYTES: usize = 8 << 20;

/// What happened next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line over the channel, without its end.
    Line(Vec<u8>),
    /// Everything inside has ended by itself.
    Ended(Ended),
    /// It wrote more than it may.
    TooMuch,
    /// The deadline has come.
    Late,
}

/// A running sandbox.
#[derive(Debug)]
pub(crate) struct Cage {
    child: Child,
    control: OwnedFd,
    /// Standard input; `None` once it is written and closed.
    input: Option<OwnedFd>,
    to_input: Outbox,
    out: Capture,
    err: Capture,
    channel: Option<OwnedFd>,
    to_channel: Outbox,
    lines: Lines,
    too_much: bool,
    ended: Option<Ended>,
    gone: bool,
    cgroup: Option<Cgroup>,
    layers: Vec<Tried>,
}

/// What a program wrote, and what it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remains {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub too_much: bool,
    pub cpu_ms: u64,
    pub out_of_memory: bool,
}

impl Cage {
    /// Starts the launcher with the plan and waits until the program runs.
    pub(crate) fn start(
        launcher: &Path,
        plan: &Plan,
        program: Option<&[u8]>,
        cgroup: bool,
    ) -> Result<Self, SandboxError> {
        let cgroup = cgroup.then(|| Cgroup::make(&plan.limits)).transpose().to("make a cgroup")?;
        let (control, for_launcher) = wire::pair().to("make a socket")?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).to("make a pipe");
        let ((input_end, input), (out, out_end), (err, err_end)) = (pipe()?, pipe()?, pipe()?);
        let child = Command::new(launcher)
            .arg(OUTER)
            .env_clear()
            .stdin(Stdio::from(for_launcher))
            .stdout(Stdio::from(out_end))
            .stderr(Stdio::from(err_end))
            .spawn()
            .map_err(|source| SandboxError::Launcher { launcher: launcher.to_path_buf(), source })?;
        let most = plan.limits.output_bytes;
        let mut cage = Self {
            child,
            control,
            input: Some(input),
            to_input: Outbox::default(),
            out: Capture::new(out, most),
            err: Capture::new(err, most),
            channel: None,
            to_channel: Outbox::default(),
            lines: Lines::new(LINE_BYTES),
            too_much: false,
            ended: None,
            gone: false,
            cgroup,
            layers: Vec::new(),
        };
        cage.hand_over(plan, input_end, program)?;
        cage.wait_for_start()?;
        Ok(cage)
    }

    fn hand_over(&mut self, plan: &Plan, input_end: OwnedFd, program: Option<&[u8]>) -> Result<(), SandboxError> {
        if let Some(cgroup) = &self.cgroup {
            cgroup.add(self.child.id()).to("move the launcher into its cgroup")?;
        }
        let mut fds = vec![input_end];
        if plan.channel {
            let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .to("make the channel")?;
            self.channel = Some(here);
            fds.push(there);
        }
        if let Some(bytes) = program {
            fds.push(in_memory(bytes)?);
        }
        for fd in
            [self.input.as_ref(), Some(self.out.fd()), Some(self.err.fd()), self.channel.as_ref()].into_iter().flatten()
        {
            let flags = fcntl_getfl(fd).to("read a descriptor's flags")?;
            fcntl_setfl(fd, flags | OFlags::NONBLOCK).to("set a descriptor's flags")?;
        }
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        wire::send(&self.control, plan, &fds).to("send the launcher its plan")
    }

    fn wait_for_start(&mut self) -> Result<(), SandboxError> {
        let deadline = monotonic_ms() + START_LIMIT_MS;
        match self.heard(deadline)? {
            Some(Said::Started(layers)) => {
                self.layers = layers;
                Ok(())
            }
            Some(Said::Refused(refusal)) => Err(SandboxError::PutUp { doing: refusal.doing, reason: refusal.reason }),
            Some(Said::Ended(_)) | None => {
                self.listen(monotonic_ms() + 100)?;
                let said = String::from_utf8_lossy(self.err.bytes()).trim().chars().take(500).collect();
                Err(SandboxError::PutUp { doing: "start the program: the launcher ended".to_owned(), reason: said })
            }
        }
    }

    /// The next message of the launcher; `None` once it has ended.
    fn heard(&self, deadline: u64) -> Result<Option<Said>, SandboxError> {
        let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
        if wait(&mut fds, deadline)? {
            return Ok(wire::receive::<Said>(&self.control).to("hear the launcher")?.map(|(said, _)| said));
        }
        Err(SandboxError::Slow { what: "put up the sandbox", limit_ms: START_LIMIT_MS })
    }

    /// The layers as they were put up.
    pub(crate) fn layers(&self) -> &[Tried] {
        &self.layers
    }

    /// The launcher's number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn write_input(&mut self, bytes: &[u8]) {
        self.to_input.push(bytes);
    }

    /// Sends a line over the channel, as fast as the other end reads it.
    pub(crate) fn send(&mut self, line: &[u8]) {
        self.to_channel.push(line);
        self.to_channel.push(b"\n");
    }

    /// Waits for what happens next, but not beyond `deadline` of the monotonic clock.
    pub(crate) fn next(&mut self, deadline: u64) -> Result<Event, SandboxError> {
        loop {
            // Taken one at a time, and nothing more is read before: a flood of lines stays in the socket.
            if let Some(line) = self.lines.take() {
                return Ok(Event::Line(line));
            }
            if self.too_much || self.lines.is_too_long() {
                return Ok(Event::TooMuch);
            }
            if let Some(ended) = self.ended {
                return Ok(Event::Ended(ended));
            }
            // Looked at each time: whoever says a little all the time is late too.
            if monotonic_ms() >= deadline || !self.listen(deadline)? {
                return Ok(Event::Late);
            }
        }
    }

    /// Moves bytes until something is there, at least once; false if nothing came until the deadline.
    fn listen(&mut self, deadline: u64) -> Result<bool, SandboxError> {
        if self.to_input.is_empty() {
            self.input = None;
        }
        let channel = if self.to_channel.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let wanted = [
            (Some(&self.control), PollFlags::IN),
            (self.out.open(), PollFlags::IN),
            (self.err.open(), PollFlags::IN),
            (self.channel.as_ref(), channel),
            (self.input.as_ref(), PollFlags::OUT),
        ];
        let open = wanted.iter().filter_map(|(fd, flags)| fd.map(|fd| PollFd::new(fd, *flags)));
        let mut fds: Vec<PollFd<'_>> = open.collect();
        if !wait(&mut fds, deadline)? {
            return Ok(false);
        }
        let mut ready = fds.iter().map(PollFd::revents);
        let happened = wanted.map(|(fd, _)| fd.and_then(|_| ready.next()).unwrap_or(PollFlags::empty()));
        let [control, out, err, line, input] = happened;
        self.move_bytes(out, err, line, input).to("move bytes between the sandbox and the worker")?;
        if !control.is_empty() {
            self.hear_end()?;
        }
        Ok(true)
    }

    fn move_bytes(&mut self, out: PollFlags, err: PollFlags, line: PollFlags, input: PollFlags) -> io::Result<()> {
        for (capture, ready) in [(&mut self.out, out), (&mut self.err, err)] {
            if !ready.is_empty() && capture.read()? {
                self.too_much = true;
            }
        }
        if let Some(fd) = self.input.as_ref().filter(|_| !input.is_empty())
            && !self.to_input.write(fd)?
        {
            self.input = None;
        }
        if let Some(fd) = self.channel.as_ref().filter(|_| !line.is_empty()) {
            let (open, more) = (self.to_channel.write(fd)?, self.lines.read(fd)?);
            if !open || !more {
                self.channel = None;
            }
        }
        Ok(())
    }

    /// Reads what the launcher says last, and everything that the program left in its pipes.
    fn hear_end(&mut self) -> Result<(), SandboxError> {
        match wire::receive::<Said>(&self.control).to("hear the launcher")? {
            Some((Said::Ended(ended), _)) => self.ended = Some(ended),
            Some((Said::Refused(refusal), _)) => {
                return Err(SandboxError::PutUp { doing: refusal.doing, reason: refusal.reason });
            }
            Some((Said::Started(_), _)) => {}
            None if self.ended.is_none() => {
                let reason = "it was killed from outside".to_owned();
                return Err(SandboxError::PutUp { doing: "go on: the launcher is gone".to_owned(), reason });
            }
            None => {}
        }
        if self.ended.is_some() {
            // All writers but the launcher are gone; what they wrote is in the pipes.
            self.move_bytes(PollFlags::IN, PollFlags::IN, PollFlags::IN, PollFlags::empty())
                .to("read what the program left")?;
        }
        Ok(())
    }

    /// Ends everything inside and returns what is left of it.
    pub(crate) fn end(mut self) -> Remains {
        self.kill();
        // What a killed program wrote before is worth reading; errors here change no verdict.
        drop(self.move_bytes(PollFlags::IN, PollFlags::IN, PollFlags::empty(), PollFlags::empty()));
        Remains {
            out: self.out.take(),
            err: self.err.take(),
            too_much: self.out.is_full() || self.err.is_full(),
            cpu_ms: self.ended.map_or(0, |ended| ended.cpu_ms),
            out_of_memory: self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory),
        }
    }

    /// Hangs up, which makes the launcher kill the first process inside, and waits until all is gone.
    fn kill(&mut self) {
        if std::mem::replace(&mut self.gone, true) {
            return;
        }
        // Fails if the other end is gone already, which is what is wanted.
        let _ = shutdown(&self.control, Shutdown::Write);
        let deadline = monotonic_ms() + END_LIMIT_MS;
        let mut fds = [PollFd::new(&self.control, PollFlags::IN)];
        while let Ok(true) = wait(&mut fds, deadline) {
            match wire::receive::<Said>(&self.control) {
                Ok(Some((Said::Ended(ended), _))) => self.ended = Some(ended),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if monotonic_ms() >= deadline {
            tracing::error!("a sandbox's launcher did not end within {END_LIMIT_MS} ms; killed");
        }
        // The launcher has ended; if it has not, its child dies with it.
        drop(self.child.kill());
        if let Err(error) = self.child.wait() {
            tracing::error!("the end of a sandbox's launcher cannot be waited for: {error}");
        }
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        self.kill();
    }
}

/// True if one of them is ready, false at the deadline.
fn wait(fds: &mut [PollFd<'_>], deadline: u64) -> Result<bool, SandboxError> {
    loop {
        let left = deadline.saturating_sub(monotonic_ms());
        let seconds = i64::try_from(left / 1000).unwrap_or(i64::MAX);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: i64::try_from(left % 1000 * 1_000_000).unwrap_or(0) };
        match poll(fds, Some(&timeout)) {
            Ok(0) if left == 0 => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error).to("wait for a sandbox"),
        }
    }
}

fn in_memory(bytes: &[u8]) -> Result<OwnedFd, SandboxError> {
    use std::io::Write;
    let fd = memfd_create("program", MemfdFlags::CLOEXEC).to("make a file in memory")?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).to("fill a file in memory")?;
    io::Seek::rewind(&mut file).to("rewind a file in memory")?;
    Ok(file.into())
}
