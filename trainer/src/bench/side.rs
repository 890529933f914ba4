//! One side of a comparison: its ranks as processes, told and heard together.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::child::{Child, ChildError, Program};
use super::cores;
use super::protocol::{Command, Listening, Load, Loaded, Memory, Parts, Stepped};
use super::rows::{Shape, Work};

const PROTOCOL: &str = include_str!("../../../scripts/bench/peer_protocol.py");
const TORCH: &str = include_str!("../../../scripts/bench/peer_torch.py");

/// AdamW and clipping, the same on both sides; nothing decays.
const LR: f64 = 1e-5;
const BETAS: [f64; 2] = [0.9, 0.95];
const EPS: f64 = 1e-8;
const CLIP: f64 = 1.0;

/// How processes of either side are started.
#[derive(Debug)]
pub struct Starter {
    runtime: Rc<Runtime>,
    /// Scripts and logs.
    folder: TempDir,
    python: PathBuf,
    ourselves: PathBuf,
    model: PathBuf,
    cores: Vec<usize>,
    started: u32,
}

/// The ranks of one side.
#[derive(Debug)]
pub struct Side {
    shape: Shape,
    ranks: Vec<Child>,
    /// What rank 0 says of itself.
    pub about: Loaded,
}

impl Starter {
    /// Writes the peer's scripts to a temporary folder.
    ///
    /// # Errors
    /// If that fails, or the system does not say which cores there are.
    pub fn new(model: PathBuf, python: PathBuf) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("galapagos-bench-").tempdir()?;
        std::fs::write(folder.path().join("peer_protocol.py"), PROTOCOL)?;
        std::fs::write(folder.path().join("peer.py"), TORCH)?;
        let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        let (ourselves, cores) = (std::env::current_exe()?, cores::allowed()?);
        Ok(Self { runtime, folder, python, ourselves, model, cores, started: 0 })
    }

    /// Cores that the processes may use.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// Starts the ranks of a side and loads model and batch.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn start(&mut self, shape: Shape, work: &Work) -> Result<Side, ChildError> {
        let mut ranks = Vec::new();
        for rank in 0..shape.ranks {
            let program = self.program(shape, rank);
            ranks.push(Child::start(&self.runtime, program)?);
        }
        let mut rendezvous = None;
        if let (Some(first), true) = (ranks.first_mut(), shape.ranks > 1) {
            first.tell(&Command::Listen)?;
            rendezvous = Some(first.answer::<Listening>(&Command::Listen)?.address);
        }
        let mut side = Side { shape, ranks, about: Loaded::default() };
        let load = |rank| Load {
            rank,
            world_size: shape.ranks,
            rendezvous: rendezvous.clone(),
            ..self.alone(shape, work.sequences.clone(), work.answer)
        };
        side.load(load)?;
        Ok(side)
    }

    /// Loads a started side anew, each rank on its part of the batch and without the others: what a step takes without communication.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn part(&self, side: &mut Side, work: &Work) -> Result<(), ChildError> {
        let (shape, each) = (side.shape, work.sequences.len() / side.shape.ranks.max(1) as usize);
        side.load(|rank| {
            let first = rank as usize * each;
            self.alone(shape, work.sequences[first..first + each].to_vec(), work.answer)
        })
    }

    fn alone(&self, shape: Shape, sequences: Vec<Vec<u32>>, answer: usize) -> Load {
        Load {
            model: self.model.clone(),
            precision: shape.precision,
            threads: shape.threads,
            rank: 0,
            world_size: 1,
            rendezvous: None,
            layout: shape.layout,
            micro_batch: shape.micro_batch,
            lr: LR,
            betas: BETAS,
            eps: EPS,
            clip: CLIP,
            sequences,
            answer,
        }
    }

    fn program(&mut self, shape: Shape, rank: u32) -> Program {
        self.started += 1;
        let (path, args): (_, Vec<OsString>) = if shape.ours {
            (self.ourselves.clone(), vec!["bench".into(), "rank".into()])
        } else {
            (self.python.clone(), vec![self.folder.path().join("peer.py").into()])
        };
        Program {
            who: format!("{} rank {rank}", if shape.ours { "our" } else { "the peer's" }),
            path,
            args,
            threads: shape.threads,
            cores: cores::of_rank(&self.cores, rank, shape.threads),
            log: self.folder.path().join(format!("{}.log", self.started)),
        }
    }
}

impl Side {
    fn load(&mut self, load: impl Fn(u32) -> Load) -> Result<(), ChildError> {
        let commands: Vec<Command> = (0..self.shape.ranks).map(|rank| Command::Load(Box::new(load(rank)))).collect();
        for (child, command) in self.ranks.iter_mut().zip(&commands) {
            child.tell(command)?;
        }
        for (index, (child, command)) in self.ranks.iter_mut().zip(&commands).enumerate() {
            let about = child.answer(command)?;
            if index == 0 {
                self.about = about;
            }
        }
        Ok(())
    }

    /// One step of all ranks: the wall time of the slowest, the processor time of all, the mean of their losses.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn step(&mut self) -> Result<Stepped, ChildError> {
        for child in &mut self.ranks {
            child.tell(&Command::Step)?;
        }
        let answers = self.ranks.iter_mut().map(|child| child.answer(&Command::Step));
        Ok(together(&answers.collect::<Result<Vec<_>, _>>()?))
    }

    /// The memory of rank 0.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn memory(&mut self) -> Result<Option<Memory>, ChildError> {
        let Some(first) = self.ranks.first_mut() else { return Ok(None) };
        first.tell(&Command::Memory)?;
        first.answer(&Command::Memory).map(Some)
    }
}

fn together(ranks: &[Stepped]) -> Stepped {
    let count = ranks.len().max(1) as f64;
    let parts: Vec<Parts> = ranks.iter().map(|rank| rank.time).collect();
    Stepped {
        seconds: ranks.iter().map(|rank| rank.seconds).fold(0.0, f64::max),
        cpu_seconds: ranks.iter().map(|rank| rank.cpu_seconds).sum(),
        loss: ranks.iter().map(|rank| rank.loss).sum::<f64>() / count,
        grad_norm: ranks.first().map_or(f64::NAN, |rank| rank.grad_norm),
        time: Parts::mean(&parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_wait_for_the_slowest_and_share_the_loss() {
        let rank = |seconds, loss| Stepped { seconds, cpu_seconds: 1.0, loss, grad_norm: 2.0, time: Parts::default() };
        let both = together(&[rank(1.0, 3.0), rank(4.0, 5.0)]);
        assert_eq!((both.seconds, both.cpu_seconds, both.loss, both.grad_norm), (4.0, 2.0, 4.0, 2.0));
    }
}
