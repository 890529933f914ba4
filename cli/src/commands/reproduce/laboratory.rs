//! Runs an experiment: every arm with every seed. Finished runs are read again, and an interrupted one is resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::cluster::view::Status;
use galapagos_domain::experiment::{Experiment, PlannedArm};
use galapagos_domain::recipe::Recipe;

use crate::args;
use crate::client;
use crate::commands::print;
use crate::commands::run::{Ended, Job, evolve};
use crate::error::Error;
use crate::experiment::{PlannedRun, Reading};
use crate::export::{self, Form};
use crate::local::{Layout, RunFolder, write_atomically};
use crate::outcome;
use crate::recipe_file::RecipeFile;
use crate::render::live::{Live, Mode};
use crate::report;

/// Readings in the order of the arms, each in the order of the seeds, and the time that all runs took.
pub type Measured = (Vec<Vec<Reading>>, u64);

/// What all runs of an experiment share.
pub struct Laboratory<'a> {
    pub root: &'a Path,
    pub args: &'a args::Reproduce,
    pub arms: &'a [PlannedArm],
    pub experiment: &'a Experiment,
    /// The recipe whose champion is every arm's base.
    pub warm: Option<&'a Recipe>,
    pub json: bool,
}

impl Laboratory<'_> {
    /// Runs everything, results in order; `None` if a person interrupts.
    pub async fn all(&self, runs: &[PlannedRun]) -> Result<Option<Measured>, Error> {
        let at_once = usize::from(self.args.at_once.max(1));
        let Some(bases) = self.bases(runs, at_once).await? else { return Ok(None) };
        let bases = &bases;
        let started = (1..).zip(runs).map(|(number, run)| async move {
            let run = match bases.get(&run.seed) {
                Some(base) => run.on_base(base),
                None => run.clone(),
            };
            self.announce(&run, &format!("{number}/{}", runs.len()))?;
            let view = self.one(&run.file, &run.folder, run.seed).await?;
            Ok::<_, Error>(view.map(|view| (run, view)))
        });
        let mut ended = futures::stream::iter(started).buffered(at_once);
        let mut readings = vec![Vec::new(); self.arms.len()];
        let mut elapsed_ms = 0;
        while let Some(ended) = ended.next().await {
            let Some((run, view)) = ended? else { return Ok(None) };
            elapsed_ms += view.steps.iter().map(|step| step.elapsed_ms).sum::<u64>();
            for &place in &run.arms {
                readings[place].push(self.read(&view, &self.arms[place], &run)?);
            }
        }
        Ok(Some((readings, elapsed_ms)))
    }

    /// The base of every seed that has one; `None` if a person interrupts.
    async fn bases(&self, runs: &[PlannedRun], at_once: usize) -> Result<Option<BTreeMap<u64, PathBuf>>, Error> {
        let Some(warm) = self.warm else { return Ok(Some(BTreeMap::new())) };
        let seeds: BTreeSet<u64> = runs.iter().map(|run| run.seed).collect();
        let warmed =
            seeds.into_iter().map(|seed| async move { Ok::<_, Error>((seed, self.warm_up(warm, seed).await?)) });
        let mut ended = futures::stream::iter(warmed).buffered(at_once);
        let mut bases = BTreeMap::new();
        while let Some(ended) = ended.next().await {
            let (seed, base) = ended?;
            let Some(base) = base else { return Ok(None) };
            bases.insert(seed, base);
        }
        Ok(Some(bases))
    }

    /// The folder with the champion of the warm recipe's run with `seed`.
    async fn warm_up(&self, warm: &Recipe, seed: u64) -> Result<Option<PathBuf>, Error> {
        let file = RecipeFile::of(warm.clone());
        let folder = format!("warm-s{seed}");
        let run = RunFolder::create(&self.root.join(&folder)).map_err(|source| Error::Folder { source })?;
        let to = run.export("champion");
        if to.is_dir() && read_again(&snapshot_file(&run), &file, seed)?.is_some() {
            return absolute(to).map(Some);
        }
        self.tell(&format!("base · seed {seed} · {}", run.root().display()))?;
        let Some(view) = self.one(&file, &folder, seed).await? else { return Ok(None) };
        let champion = outcome::champion(&view).ok_or_else(|| Error::Failed {
            message: format!("the run in `{}` has no champion to start from", run.root().display()),
        })?;
        let store = client::artifacts(None, Some(&run))?;
        export::member(&store, champion, &to, Form::Merged).await?;
        absolute(to).map(Some)
    }

    /// One line per run; on standard error where standard output is for the one JSON object.
    fn announce(&self, run: &PlannedRun, number: &str) -> Result<(), Error> {
        let names: Vec<&str> = run.arms.iter().map(|&place| self.arms[place].name.as_str()).collect();
        let folder = self.root.join(&run.folder);
        self.tell(&format!("[{number}] {} · seed {} · {}", names.join(", "), run.seed, folder.display()))
    }

    fn tell(&self, line: &str) -> Result<(), Error> {
        if self.json {
            let _ = writeln!(std::io::stderr(), "{line}");
            return Ok(());
        }
        print(&format!("\n{line}"))
    }

    /// The final snapshot of one run: of an earlier time, if it is there.
    async fn one(&self, file: &RecipeFile, folder: &str, seed: u64) -> Result<Option<EvolutionView>, Error> {
        let folder = RunFolder::create(&self.root.join(folder)).map_err(|source| Error::Folder { source })?;
        if let Some(view) = read_again(&snapshot_file(&folder), file, seed)? {
            return Ok(Some(view));
        }
        let layout = Layout {
            folder: folder.clone(),
            cluster: self.args.cluster.clone(),
            listen: "127.0.0.1:0".to_owned(),
            http: "127.0.0.1:0".to_owned(),
        };
        let job = Job { file, folder, seed, layout };
        // Several at once would write over each other.
        let silent = self.json || self.args.at_once > 1;
        let mut live = Live::new(if silent { Mode::Silent } else { Mode::of(false) });
        let ended = evolve(&job, &mut live).await?;
        live.end();
        let Ended::Final(view) = ended else { return Ok(None) };
        if view.status != Status::Done {
            let causes = view.failure.join("\n  caused by: ");
            let message = format!("the run in `{}` did not come to its end: {causes}", job.folder.root().display());
            return Err(Error::Failed { message });
        }
        keep(&job, &view)?;
        Ok(Some(*view))
    }

    fn read(&self, view: &EvolutionView, arm: &PlannedArm, run: &PlannedRun) -> Result<Reading, Error> {
        let figures = &self.experiment.header().figures;
        Reading::of(view, arm, figures).map_err(|missing| Error::Failed {
            message: format!(
                "the run in `{}` has not measured {missing} of `{}` for the arm `{}`",
                run.folder, arm.member, arm.name
            ),
        })
    }
}

/// The last snapshot of a run that is done.
const SNAPSHOT: &str = "final.json";

fn snapshot_file(folder: &RunFolder) -> PathBuf {
    folder.root().join(SNAPSHOT)
}

/// How many of `runs` are done below `root`; with a warm base their recipes name the folder that it lies in.
pub fn done(root: &Path, runs: &[PlannedRun], warmed: bool) -> usize {
    let is_done = |run: &&PlannedRun| {
        let file = if warmed {
            let base = absolute(root.join(format!("warm-s{}/export/champion", run.seed)));
            base.map_or_else(|_| run.file.clone(), |base| run.on_base(&base).file)
        } else {
            run.file.clone()
        };
        read_again(&root.join(&run.folder).join(SNAPSHOT), &file, run.seed).is_ok_and(|view| view.is_some())
    };
    runs.iter().filter(is_done).count()
}

fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path).map_err(|source| Error::Read { path, source })
}

/// The snapshot that [`keep`] left, if it is of the same recipe and seed; that of another is left for `evolve` to refuse.
fn read_again(path: &Path, file: &RecipeFile, seed: u64) -> Result<Option<EvolutionView>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    let view: EvolutionView = serde_json::from_slice(&text).map_err(|source| Error::Json { source })?;
    let same = view.recipe_digest == file.recipe.digest().hex() && view.seed.0 == seed;
    Ok(same.then_some(view))
}

/// Keeps what a later `reproduce` reads, and the page for people; the workers' cache has served its turn.
fn keep(job: &Job<'_>, view: &EvolutionView) -> Result<(), Error> {
    let page = job.folder.report();
    std::fs::write(&page, report::render(view, &job.file.yaml, &[]))
        .map_err(|source| Error::Write { path: page, source })?;
    let snapshot = serde_json::to_vec(view).map_err(|source| Error::Json { source })?;
    write_atomically(&snapshot_file(&job.folder), &snapshot).map_err(|source| Error::Folder { source })?;
    match std::fs::remove_dir_all(job.folder.cache()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write { path: job.folder.cache(), source }),
    }
}
