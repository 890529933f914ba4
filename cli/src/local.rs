//! A local cluster of real processes: one coordinator and some workers (which start the trainer ranks), supervised.
//!
//! A process that dies is started again; one that refuses its configuration, or dies at once again and again, ends the
//! cluster with the tail of its log. Every child holds a lifeline pipe, so that none survives this process.

mod folder;
mod process;

use std::time::Duration;

use galapagos_telemetry::{TaskHandle, spawn_task};
use tokio::sync::{mpsc, watch};

pub use folder::{FolderError, FolderLock, RunFolder, RunMark, write_atomically};
pub use process::{Error as ProcessError, sibling, tail};
use process::{Program, supervise};

use crate::args::Cluster;

/// How long children may take to end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(12);

/// What to start.
#[derive(Debug, Clone)]
pub struct Layout {
    pub folder: RunFolder,
    pub cluster: Cluster,
    /// `HOST:PORT` of the coordinator; port 0 takes a free one.
    pub listen: String,
    /// `HOST:PORT` of the metrics page; port 0 takes a free one.
    pub http: String,
}

/// A running local cluster. Dropping it kills every process at once; [`LocalCluster::stop`] is the gentle way.
#[derive(Debug)]
pub struct LocalCluster {
    stopping: watch::Sender<bool>,
    supervisors: Vec<TaskHandle<()>>,
    fatal: mpsc::Receiver<ProcessError>,
}

impl LocalCluster {
    /// Starts every process under supervision; returns at once.
    ///
    /// # Errors
    /// If an executable is missing.
    pub fn start(layout: &Layout) -> Result<Self, ProcessError> {
        let programs = programs(layout)?;
        let (stopping, watch_stop) = watch::channel(false);
        let (report, fatal) = mpsc::channel(programs.len());
        let supervisors = programs
            .into_iter()
            .map(|program| {
                let name = format!("supervise-{}", program.name);
                spawn_task(name, supervise(program, watch_stop.clone(), report.clone()))
            })
            .collect();
        Ok(Self { stopping, supervisors, fatal })
    }

    /// Waits until a process fails in a way that a restart cannot mend.
    pub async fn failed(&mut self) -> ProcessError {
        match self.fatal.recv().await {
            Some(error) => error,
            // Every supervisor ended without a failure, which only `stop` brings about: there is nothing to report, ever.
            None => std::future::pending().await,
        }
    }

    /// Asks every process to end, waits for it, and kills what is left after the grace time.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let all = futures::future::join_all(self.supervisors.drain(..));
        if tokio::time::timeout(STOP_GRACE, all).await.is_err() {
            tracing::warn!("some processes did not end within {} s and are killed", STOP_GRACE.as_secs());
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // The children die with their supervisor's handle (kill on drop) and, failing that, by their lifeline.
        self.supervisors.iter().for_each(TaskHandle::abort);
    }
}

/// How long a round waits for a lost rank's worker: the supervisor starts it again, and with as many ranks as before the bytes are the same.
const REGROUP_SECONDS: u32 = 60;

fn programs(layout: &Layout) -> Result<Vec<Program>, ProcessError> {
    let folder = &layout.folder;
    let announce = folder.announcement_file();
    let mut coordinator = Program::new("coordinator", process::sibling("galapagos")?, folder.log_file("coordinator"));
    coordinator
        .arg("coordinator")
        .option("--store", folder.store())
        .option("--listen", &layout.listen)
        .option("--http", &layout.http)
        .option("--announce", &announce)
        .option("--regroup", REGROUP_SECONDS.to_string())
        .arg("--lifeline");
    let mut all = vec![coordinator];
    let cluster = &layout.cluster;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for number in 1..=cluster.workers {
        let name = format!("w{number}");
        let mut worker = Program::new(&name, process::sibling("galapagos-worker")?, folder.log_file(&name));
        worker
            .arg("run")
            .option("--name", &name)
            .option("--coordinator", format!("@{}", announce.display()))
            .option("--artifacts", folder.artifacts())
            .option("--cache", folder.cache())
            .option("--models", &cluster.models)
            .option("--slots", cluster.slots.to_string())
            .option("--threads", cluster.threads_each(cores).to_string())
            .option("--trainer-bin", process::sibling("galapagos-trainer")?)
            .option("--runs", folder.runs())
            .arg("--lifeline");
        for (name, value) in cluster.engine.options() {
            worker.option(name, value);
        }
        all.push(worker);
    }
    Ok(all)
}
