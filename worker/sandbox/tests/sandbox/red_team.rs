//! Attempts to get out, each shown to work without the sandbox and to fail within. The strict floor must hold for all of them.

#![cfg(target_arch = "x86_64")]

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use galapagos_sandbox::{Floor, Layer, Limits};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;

use super::host::{run_limited, sandbox, text};

const SCRIPTS: &str = include_str!("escapes.py");

const PRELUDE: &str = r#"
import os, sys, ctypes, mmap, shutil, signal, socket, stat, struct, tempfile, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def syscall(number, *arguments):
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
def escaped_if(happened):
    if happened:
        print("ESCAPED", flush=True)
def in_child(attempt):
    child = os.fork()
    if child == 0:
        done = False
        try:
            done = bool(attempt())
        finally:
            os._exit(0 if done else 1)
    return os.waitpid(child, 0)[1] == 0
print("TRIED", flush=True)
"#;

/// What an attempt finds on the host; new for each run of each attempt.
struct Scene {
    folder: tempfile::TempDir,
    /// Runs under a process group of its own until it is killed.
    victim: Child,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_name: String,
    in_abstract: UnixListener,
    in_file: UnixListener,
    /// Open in this process without close-on-exec, as a careless library would have it.
    _inherited: File,
    number: usize,
}

const SECRET: &str = "the host's secret";
const INHERITED: &str = "what lies behind a descriptor";

impl Scene {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("secret.txt"), SECRET).unwrap();
        fs::write(at("inherited.txt"), INHERITED).unwrap();
        let inherited = File::open(at("inherited.txt")).unwrap();
        fcntl_setfd(&inherited, FdFlags::empty()).unwrap();
        let victim = std::os::unix::process::CommandExt::process_group(&mut Command::new("sleep"), 0)
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let abstract_name = format!("galapagos-red-team-{}-{number}", std::process::id());
        let in_abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
        let in_file = UnixListener::bind(at("socket")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        in_abstract.set_nonblocking(true).unwrap();
        in_file.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        Self { folder, victim, tcp, udp, abstract_name, in_abstract, in_file, _inherited: inherited, number }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn daemon(&self) -> String {
        format!("gal-{}-{}", std::process::id() % 100_000, self.number)
    }

    /// `long` are the seconds after which those that wait or compute have outlasted their deadline.
    fn script(&self, body: &str, long: f64) -> String {
        let scene = json!({
            "secret": self.path("secret.txt"),
            "folder": self.folder.path(),
            "victim": self.victim.id(),
            "tcp": self.tcp.local_addr().unwrap().port(),
            "udp": self.udp.local_addr().unwrap().port(),
            "abstract": self.abstract_name,
            "daemon": self.daemon(),
            "long": long,
        });
        format!("SCENE = {scene}\n{PRELUDE}\n{body}")
    }

    /// Whether the attempt had its effect, by what the host shows or what the script could only say then.
    fn escaped(&mut self, name: &str, out: &str) -> bool {
        match name {
            "read_a_secret_file" | "dot_dot_out_of_the_root" => out.contains(SECRET),
            "list_a_folder_of_the_host" => out.contains("secret.txt"),
            "use_an_inherited_descriptor" => out.contains(INHERITED),
            "write_outside" | "symbolic_link_out_of_tmp" | "hard_link_to_a_secret" => self.path("written").exists(),
            "overwrite_a_file_of_the_host" => fs::read_to_string(self.path("secret.txt")).unwrap() != SECRET,
            "kill_another_process"
            | "kill_a_process_group"
            | "kill_by_process_descriptor"
            | "find_a_process_by_trying_numbers" => self.victim.try_wait().unwrap().is_some(),
            "tcp_connection" => self.tcp.accept().is_ok(),
            "datagram_such_as_a_name_lookup" => self.udp.recv_from(&mut [0; 64]).is_ok(),
            "abstract_socket_of_the_host" => self.in_abstract.accept().is_ok(),
            "socket_file_of_the_host" => self.in_file.accept().is_ok(),
            "endless_output" => out.len() > 4 << 20,
            "daemon_that_survives" => alive(&self.daemon()),
            _ => out.contains("ESCAPED"),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// Whether a process has this name.
fn alive(name: &str) -> bool {
    let comm = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| comm(entry).trim() == name)
}

/// By plain Python, as any test runner would do it.
fn without(script: &str) -> String {
    let mut child = Command::new(sandbox().python().unwrap().executable())
        .args(["-I", "-S", "-B", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.wait().unwrap();
    text(&out)
}

/// In the sandbox, with a deadline that an attempt of `LONG` seconds outlasts.
fn within(script: &str) -> (String, String) {
    let report = run_limited(script, &Limits { wall_ms: DEADLINE_MS, ..Limits::default() });
    (text(&report.out), text(&report.err))
}

/// Long enough for Python to start on a machine that is busy with other things.
const DEADLINE_MS: u64 = 4_000;
const LONG: f64 = 60.0;

/// The attempts that are about deadlines, or all the others.
fn attempts(on_deadlines: bool) -> Vec<(&'static str, &'static str)> {
    let all = SCRIPTS.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap());
    all.filter(|(_, body)| body.contains("SCENE[\"long\"]") == on_deadlines).collect()
}

#[test]
fn no_attempt_gets_out_that_works_without_the_sandbox() {
    all_are_blocked(&attempts(false), 30);
}

#[test]
fn nothing_outlasts_its_deadline() {
    all_are_blocked(&attempts(true), 3);
}

/// Prints the table, and fails unless every attempt is blocked and at least `enough` of them are shown to work without the sandbox:
/// as root all, because others cannot do all of it anyway.
fn all_are_blocked(attempts: &[(&str, &str)], enough: usize) {
    sandbox().probe().check(&Floor::Strict).unwrap();
    let root = rustix::process::geteuid().is_root();
    let (mut wrong, mut proven) = (Vec::new(), 0);
    println!("{:<42} without    within", "attempt");
    for (name, body) in attempts {
        let mut scene = Scene::new();
        let out = without(&scene.script(body, 0.1));
        let works = scene.escaped(name, &out);
        drop(scene);
        let mut scene = Scene::new();
        let (out, err) = within(&scene.script(body, LONG));
        let tried = out.contains("TRIED");
        let blocked = tried && !scene.escaped(name, &out);
        let (left, right) = (if works { "works" } else { "FAILS" }, if blocked { "blocked" } else { "ESCAPED" });
        println!("{name:<42} {left:<10} {right}");
        proven += usize::from(works && blocked);
        if *name == "memory_bomb_of_many_processes" && !sandbox().probe().available().contains(&Layer::Cgroup) {
            println!("  (only a cgroup bounds the memory of all processes together, and this host gives none)");
        } else if !blocked || (root && !works) {
            wrong.push(format!("{name}: works without: {works}, tried within: {tried}; {}", err.trim()));
        }
    }
    println!("{proven} of {} work without and are blocked within", attempts.len());
    assert!(wrong.is_empty() && proven >= enough, "{}", wrong.join("\n"));
}

#[test]
fn the_worker_can_be_reached_by_no_attempt_while_it_waits() {
    // A program that holds every descriptor it can and stays silent ends with its deadline, and the next one runs.
    let limits = Limits { wall_ms: 300, ..Limits::default() };
    let report = run_limited(
        "import os, time\nfor n in range(3, 60):\n    try: os.write(n, b'{\"ended\":{\"code\":0}}')\n    except OSError: pass\ntime.sleep(60)",
        &limits,
    );
    assert_eq!(report.end, galapagos_sandbox::End::TimedOut);
    assert!(Duration::from_millis(report.wall_ms) < Duration::from_secs(20));
}
