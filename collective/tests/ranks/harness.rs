//! Runs one closure as several ranks, each a process: this test executable, started again for the same test with the rank
//! in its environment. Rank 0 serves the store and tells its address on standard output.
//!
//! In the starting process [`Ranks::run`] returns how the ranks ended; in a rank it never returns.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use galapagos_collective::{Group, GroupSpec, Store, exit_now};
use galapagos_telemetry::clock::monotonic_ms;
use galapagos_telemetry::spawn_thread;

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const RANK: &str = "GALAPAGOS_TEST_RANK";
const WORLD_SIZE: &str = "GALAPAGOS_TEST_WORLD_SIZE";
const STORE: &str = "GALAPAGOS_TEST_STORE";
const DEADLINE: Duration = Duration::from_secs(50);

/// What a rank's closure is given.
pub struct Rank {
    pub rank: u32,
    pub world_size: u32,
    pub store: Store,
}

impl Rank {
    /// The group of all ranks under `prefix`.
    pub fn group(&self, prefix: &str, timeout: Duration) -> Group {
        self.try_group(prefix, timeout).unwrap()
    }

    pub fn try_group(&self, prefix: &str, timeout: Duration) -> Result<Group, galapagos_collective::Error> {
        let spec = GroupSpec {
            prefix: prefix.to_owned(),
            rank: self.rank,
            world_size: self.world_size,
            host: LOOPBACK,
            timeout,
        };
        Group::gloo(&self.store, &spec)
    }

    pub fn die(&self) -> ! {
        kill_self()
    }
}

/// Ends this process as the kernel does when memory runs out.
pub fn kill_self() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    unreachable!("SIGKILL cannot be outlived")
}

/// How a rank ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stderr: String,
}

/// Whether this process is a rank, started by a test, rather than the test itself.
pub fn is_rank() -> bool {
    number(RANK).is_some()
}

/// Runs `body` as `world_size` ranks of the test `name` (its full path) and returns their outcomes in rank order.
pub fn run_ranks(name: &str, world_size: u32, body: impl FnOnce(&Rank)) -> Vec<Outcome> {
    if let Some(rank) = number(RANK) {
        be_rank(rank, body);
    }
    let logs = tempfile::tempdir().unwrap();
    let (tell, told) = sync_channel(1024);
    let launch = Launch { name, world_size, logs: logs.path(), tell };
    let mut ranks = Running { children: vec![launch.start(0, None)] };
    let until_ms = monotonic_ms() + u64::try_from(DEADLINE.as_millis()).unwrap();
    let mut open = world_size;
    while open > 0 {
        let (rank, line) = next(&told, until_ms, logs.path());
        match line {
            Some(line) if line.starts_with("STORE:") => {
                let addr = line.trim_start_matches("STORE:").to_owned();
                for rank in 1..world_size {
                    ranks.children.push(launch.start(rank, Some(&addr)));
                }
            }
            Some(_) => {}
            None if rank == 0 && ranks.children.len() < world_size as usize => {
                panic!("rank 0 ended before it served a store: {}", stderr(logs.path(), 0));
            }
            None => open -= 1,
        }
    }
    let ended = ranks.children.iter_mut().map(|child| child.wait().unwrap()).zip(0..);
    ended.map(|(status, rank)| Outcome { status, stderr: stderr(logs.path(), rank) }).collect()
}

/// As [`run_ranks`], for a body that is to end well on every rank.
pub fn all_ranks_pass(name: &str, world_size: u32, body: impl FnOnce(&Rank)) {
    let outcomes = run_ranks(name, world_size, body);
    for (rank, outcome) in outcomes.iter().enumerate() {
        assert!(outcome.status.success(), "rank {rank} of {world_size} ended with {outcome:#?}");
    }
}

/// Kills what still runs when a test gives up.
struct Running {
    children: Vec<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // An error says that it ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn be_rank(rank: u32, body: impl FnOnce(&Rank)) -> ! {
    tch::set_num_threads(1);
    let world_size = number(WORLD_SIZE).unwrap();
    let timeout = Duration::from_secs(20);
    let store = match std::env::var(STORE) {
        Ok(addr) => Store::connect(addr.parse::<SocketAddr>().unwrap(), timeout).unwrap(),
        Err(_) => {
            let store = Store::listen(LOOPBACK, timeout).unwrap();
            println!("\nSTORE:{}", store.addr());
            store
        }
    };
    // Processes start at different speeds, which the short deadlines of some tests are not about.
    store.set(&format!("started {rank}"), b"").unwrap();
    store.get_many(&(0..world_size).map(|rank| format!("started {rank}")).collect::<Vec<_>>(), timeout).unwrap();
    body(&Rank { rank, world_size, store });
    std::io::stdout().flush().unwrap();
    exit_now(0)
}

/// What the ranks of one run have in common.
struct Launch<'a> {
    name: &'a str,
    world_size: u32,
    logs: &'a Path,
    tell: SyncSender<(u32, Option<String>)>,
}

impl Launch<'_> {
    fn start(&self, rank: u32, store: Option<&str>) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([self.name, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(RANK, rank.to_string()).env(WORLD_SIZE, self.world_size.to_string());
        command.env("OMP_NUM_THREADS", "1").env("OMP_WAIT_POLICY", "PASSIVE").env("TORCH_CPP_LOG_LEVEL", "ERROR");
        if let Some(store) = store {
            command.env(STORE, store);
        }
        let stderr = std::fs::File::create(log(self.logs, rank)).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let tell = self.tell.clone();
        let reader = spawn_thread(format!("stdout-{rank}"), move || {
            for line in stdout.lines().map_while(Result::ok) {
                tell.send((rank, Some(line))).ok();
            }
            tell.send((rank, None)).ok();
        });
        drop(reader.unwrap());
        child
    }
}

fn next(told: &Receiver<(u32, Option<String>)>, until_ms: u64, logs: &Path) -> (u32, Option<String>) {
    let left = Duration::from_millis(until_ms.saturating_sub(monotonic_ms()));
    told.recv_timeout(left).unwrap_or_else(|_| {
        let logs: Vec<_> = (0..8).map(|rank| stderr(logs, rank)).filter(|log| !log.is_empty()).collect();
        panic!("ranks did not end within {DEADLINE:?}; they wrote: {logs:#?}")
    })
}

fn log(logs: &Path, rank: u32) -> std::path::PathBuf {
    logs.join(format!("{rank}.stderr"))
}

fn stderr(logs: &Path, rank: u32) -> String {
    std::fs::read_to_string(log(logs, rank)).unwrap_or_default()
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}
