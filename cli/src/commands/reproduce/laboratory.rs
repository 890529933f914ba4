//! Runs an experiment: every arm with every seed. Finished runs are read again, and an interrupted one is resumed.

use std::io::Write;
use std::path::{Path, PathBuf};

use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::cluster::view::Status;
use galapagos_domain::experiment::{Experiment, PlannedArm};

use crate::args;
use crate::commands::print;
use crate::commands::run::{Ended, Job, evolve};
use crate::error::Error;
use crate::experiment::{PlannedRun, Reading};
use crate::local::{Layout, RunFolder, write_atomically};
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
    pub json: bool,
}

impl Laboratory<'_> {
    /// Runs everything in order; `None` if a person interrupts.
    pub async fn all(&self, runs: &[PlannedRun]) -> Result<Option<Measured>, Error> {
        let mut readings = vec![Vec::new(); self.arms.len()];
        let mut elapsed_ms = 0;
        for (number, run) in (1..).zip(runs) {
            self.announce(run, number, runs.len())?;
            let Some(view) = self.one(run).await? else { return Ok(None) };
            elapsed_ms += view.steps.iter().map(|step| step.elapsed_ms).sum::<u64>();
            for &place in &run.arms {
                readings[place].push(self.read(&view, &self.arms[place], run)?);
            }
        }
        Ok(Some((readings, elapsed_ms)))
    }

    /// One line per run; on standard error where standard output is for the one JSON object.
    fn announce(&self, run: &PlannedRun, number: usize, of: usize) -> Result<(), Error> {
        let names: Vec<&str> = run.arms.iter().map(|&place| self.arms[place].name.as_str()).collect();
        let line = format!(
            "[{number}/{of}] {} · seed {} · {}",
            names.join(", "),
            run.seed,
            self.root.join(&run.folder).display()
        );
        if self.json {
            let _ = writeln!(std::io::stderr(), "{line}");
            return Ok(());
        }
        print(&format!("\n{line}"))
    }

    /// The final snapshot of one run: of an earlier time, if it is there.
    async fn one(&self, run: &PlannedRun) -> Result<Option<EvolutionView>, Error> {
        let folder = RunFolder::create(&self.root.join(&run.folder)).map_err(|source| Error::Folder { source })?;
        if let Some(view) = finished(&folder, run)? {
            return Ok(Some(view));
        }
        let layout = Layout {
            folder: folder.clone(),
            cluster: self.args.cluster.clone(),
            listen: "127.0.0.1:0".to_owned(),
            http: "127.0.0.1:0".to_owned(),
        };
        let job = Job { file: &run.file, folder, seed: run.seed, layout };
        let mut live = Live::new(if self.json { Mode::Silent } else { Mode::of(false) });
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

/// How many of `runs` are done below `root`.
pub fn done(root: &Path, runs: &[PlannedRun]) -> usize {
    let is_done = |run: &&PlannedRun| read_again(&root.join(&run.folder).join(SNAPSHOT), run).is_ok_and(|v| v.is_some());
    runs.iter().filter(is_done).count()
}

/// The snapshot that [`keep`] left, if it is of the same recipe and seed; that of another is left for `evolve` to refuse.
fn finished(folder: &RunFolder, run: &PlannedRun) -> Result<Option<EvolutionView>, Error> {
    read_again(&snapshot_file(folder), run)
}

fn read_again(path: &Path, run: &PlannedRun) -> Result<Option<EvolutionView>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    let view: EvolutionView = serde_json::from_slice(&text).map_err(|source| Error::Json { source })?;
    let same = view.recipe_digest == run.file.recipe.digest().hex() && view.seed.0 == run.seed;
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
