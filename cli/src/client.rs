//! Finds a coordinator and talks to it. A run folder whose coordinator does not run is opened in this process for the time
//! of the command, so that every question can be asked of a finished run too.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use galapagos_artifacts::ArtifactStore;
use galapagos_coordinator::Config;
use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::member::Member;
use galapagos_proto::announce::Announcement;
use galapagos_proto::client::{Address, admin, connect};
use galapagos_proto::convert::{EvolutionSummary, parse_document};
use galapagos_proto::status::Refusal;
use galapagos_proto::v1;
use galapagos_proto::v1::admin_service_client::AdminServiceClient;
use galapagos_telemetry::{TaskHandle, spawn_task};
use tokio::sync::oneshot;
use tonic::transport::Channel;

use crate::args::Target;
use crate::error::Error;
use crate::local::{FolderError, FolderLock, RunFolder};

/// Where run folders lie unless told otherwise.
pub const RUNS: &str = ".galapagos";
/// How long a coordinator in this process may take to open its store.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Pause between looks for its announcement.
const POLL: Duration = Duration::from_millis(20);

/// A connection for questions and orders.
#[derive(Debug)]
pub struct Client {
    pub admin: AdminServiceClient<Channel>,
    /// The run folder, if it was found through one.
    pub folder: Option<RunFolder>,
    /// Serves this command alone; ends with it.
    embedded: Option<Embedded>,
}

/// A coordinator inside this process.
#[derive(Debug)]
struct Embedded {
    stop: oneshot::Sender<()>,
    task: TaskHandle<Result<(), galapagos_coordinator::Error>>,
    /// Keeps a `run` from starting its own coordinator on the same store meanwhile.
    lock: FolderLock,
}

impl Client {
    /// Finds the coordinator that `target` means.
    ///
    /// # Errors
    /// If there is no such run folder, or nobody answers and the store cannot be opened.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        if let Some(address) = &target.coordinator {
            let channel = connect(&Address::new(address)).await.map_err(|source| Error::Connect { source })?;
            return Ok(Self { admin: admin(channel), folder: None, embedded: None });
        }
        let folder = run_folder(target)?;
        if let Some(channel) = announced(&folder).await {
            return Ok(Self { admin: admin(channel), folder: Some(folder), embedded: None });
        }
        // The lock of the folder tells a run whose coordinator is just being restarted from one that is over.
        match folder.lock() {
            Ok(lock) => {
                let (channel, embedded) = open_store(&folder, lock).await?;
                Ok(Self { admin: admin(channel), folder: Some(folder), embedded: Some(embedded) })
            }
            Err(FolderError::InUse { .. }) => {
                let channel = returned(&folder).await?;
                Ok(Self { admin: admin(channel), folder: Some(folder), embedded: None })
            }
            Err(source) => Err(Error::Folder { source }),
        }
    }

    /// Ends what this command started.
    ///
    /// # Errors
    /// If the store could not be closed in order.
    pub async fn close(self) -> Result<(), Error> {
        let Some(Embedded { stop, task, lock }) = self.embedded else { return Ok(()) };
        drop(self.admin);
        // A receiver that is gone belongs to a coordinator that has ended already: its result is read below.
        let _ = stop.send(());
        ended(task).await?;
        drop(lock);
        Ok(())
    }

    /// All evolutions.
    ///
    /// # Errors
    /// If the coordinator does not answer.
    pub async fn list(&mut self) -> Result<Vec<EvolutionSummary>, Error> {
        let answer = self.admin.list(v1::ListRequest {}).await.map_err(call("list evolutions"))?;
        let all = answer.into_inner().evolutions.into_iter().map(EvolutionSummary::try_from);
        all.collect::<Result<_, _>>().map_err(|source| Error::Answer { source })
    }

    /// The evolution that was named, or the only one.
    ///
    /// # Errors
    /// If none is named and there is none or several.
    pub async fn resolve(&mut self, named: Option<&str>) -> Result<String, Error> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let all = self.list().await?;
        match all.as_slice() {
            [only] => Ok(only.id.to_string()),
            [] => Err(Error::Usage { message: "there is no evolution yet; submit one with `galapagos submit`".into() }),
            several => {
                let ids: Vec<&str> = several.iter().map(|e| e.id.as_str()).collect();
                Err(Error::Usage {
                    message: format!("there are {} evolutions; name one of: {}", ids.len(), ids.join(", ")),
                })
            }
        }
    }

    /// A snapshot of one evolution.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn get(&mut self, evolution_id: &str) -> Result<EvolutionView, Error> {
        let request = v1::GetRequest { evolution_id: evolution_id.to_owned() };
        let answer = self.admin.get(request).await.map_err(call("show the evolution"))?.into_inner();
        view(answer.evolution)
    }

    /// The member that `named` means: an id, a role, `champion` or `base`.
    ///
    /// # Errors
    /// If the evolution has no such member.
    pub async fn member(&mut self, evolution_id: &str, named: &str) -> Result<Member, Error> {
        let view = self.get(evolution_id).await?;
        find_member(&view, named)
    }
}

/// Wraps a failed call.
pub fn call(what: &'static str) -> impl FnOnce(tonic::Status) -> Error {
    move |status| Error::Call { what, source: Refusal::from(status) }
}

/// Reads an evolution view off an answer.
///
/// # Errors
/// If it is missing or of another version.
pub fn view(document: Option<v1::VersionedJson>) -> Result<EvolutionView, Error> {
    document.unwrap_or_default().try_into().map_err(|source| Error::Answer { source })
}

/// Reads any other versioned document off an answer.
///
/// # Errors
/// If it is missing or of another version.
pub fn document<T: serde::de::DeserializeOwned>(
    what: &'static str,
    version: u32,
    document: Option<v1::VersionedJson>,
) -> Result<T, Error> {
    parse_document(what, version, &document.unwrap_or_default()).map_err(|source| Error::Answer { source })
}

/// The artifact store that was named, or that of the run folder.
///
/// # Errors
/// [`Error::Usage`] if neither is known, [`Error::Artifact`] if it cannot be opened.
pub fn artifacts(named: Option<&str>, folder: Option<&RunFolder>) -> Result<ArtifactStore, Error> {
    let location = match (named, folder) {
        (Some(location), _) => location.to_owned(),
        (None, Some(folder)) => folder.artifacts().display().to_string(),
        (None, None) => return Err(Error::Usage { message: "name the artifact store with --artifacts".into() }),
    };
    ArtifactStore::open(&location).map_err(|source| Error::Artifact { source: Box::new(source) })
}

/// The run folder that `target` means: the given one, or the newest.
///
/// # Errors
/// If there is none.
pub fn run_folder(target: &Target) -> Result<RunFolder, Error> {
    let root = match &target.dir {
        Some(dir) => dir.clone(),
        None => newest_run(Path::new(RUNS)).ok_or_else(|| Error::Usage {
            message: format!("no run folder in `{RUNS}`; name one with --dir, or a coordinator with --coordinator"),
        })?,
    };
    if !root.join("store").is_dir() {
        let message = format!(
            "`{}` is not a run folder: it has no `store`; give the folder of a `galapagos run`",
            root.display()
        );
        return Err(Error::Usage { message });
    }
    RunFolder::create(&root).map_err(|source| Error::Folder { source })
}

/// A connection to the coordinator that the folder announces, if it answers.
pub async fn announced(folder: &RunFolder) -> Option<Channel> {
    let announcement = Announcement::read(&folder.announcement_file()).ok()?;
    connect(&Address::from(announcement.addr)).await.ok()
}

/// Waits for the coordinator of a folder that a `run` holds.
async fn returned(folder: &RunFolder) -> Result<Channel, Error> {
    let found = async {
        loop {
            if let Some(channel) = announced(folder).await {
                return channel;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let late = |_| {
        let message = format!(
            "a `galapagos run` holds `{}`, but its coordinator has not answered for {} s; see `{}`",
            folder.root().display(),
            OPEN_LIMIT.as_secs(),
            folder.log_file("coordinator").display()
        );
        Error::Failed { message }
    };
    tokio::time::timeout(OPEN_LIMIT, found).await.map_err(late)
}

/// Starts a coordinator on the folder's store, in this process, and waits until it serves.
async fn open_store(folder: &RunFolder, lock: FolderLock) -> Result<(Channel, Embedded), Error> {
    let mut config = Config::new(folder.store());
    config.announce = Some(folder.announcement_file());
    let (stop, stopped) = oneshot::channel();
    let until = async move { drop(stopped.await) };
    let task = spawn_task("embedded-coordinator", galapagos_coordinator::run(config, until));
    let serving = async {
        while !task.is_finished() {
            if let Some(channel) = announced(folder).await {
                return Some(channel);
            }
            tokio::time::sleep(POLL).await;
        }
        None
    };
    match tokio::time::timeout(OPEN_LIMIT, serving).await {
        Ok(Some(channel)) => Ok((channel, Embedded { stop, task, lock })),
        Ok(None) => {
            ended(task).await?;
            Err(Error::Failed { message: "the store was closed before it could be asked".into() })
        }
        Err(_late) => {
            Err(Error::Failed { message: format!("the store did not open within {} s", OPEN_LIMIT.as_secs()) })
        }
    }
}

async fn ended(task: TaskHandle<Result<(), galapagos_coordinator::Error>>) -> Result<(), Error> {
    let result = task.await.map_err(|error| Error::Failed { message: error.to_string() })?;
    result.map_err(|source| Error::Coordinator { source })
}

fn newest_run(runs: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(runs).ok()?;
    let folders = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.join("store").is_dir());
    folders.max_by_key(|path| {
        std::fs::metadata(path.join("run.json")).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

/// The member of `view` that `named` means.
///
/// # Errors
/// If there is none; the message lists what there is.
pub fn find_member(view: &EvolutionView, named: &str) -> Result<Member, Error> {
    let role = if named == "champion" { "policy" } else { named };
    let held = view.champions.iter().find(|(name, _)| name.as_str() == role).map(|(_, id)| id);
    let base = || view.members.first().filter(|_| named == "base").map(|member| &member.id);
    let id = held.or_else(base);
    let found = view.members.iter().find(|member| Some(&member.id) == id || member.id.as_str() == named);
    found.cloned().ok_or_else(|| {
        let ids: Vec<&str> = view.members.iter().map(|m| m.id.as_str()).collect();
        Error::Usage { message: format!("{} has no member `{named}`; it has: {}", view.id, ids.join(", ")) }
    })
}
