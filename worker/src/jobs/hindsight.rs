//! Hindsight: a recorded episode is played again in its environment, whose goal is now what the episode reached. Observations and rewards
//! are the environment's own; the actions keep their tokens. An environment states what was reached in its turns' `info.achieved`, as the
//! options under which that is the goal; one that does not is refused. What cannot be played again as it was recorded is refused, too.

use std::collections::BTreeMap;

use galapagos_domain::ids::Name;
use galapagos_domain::job::TaskSlice;
use galapagos_domain::recipe::verify::EnvReturn;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Span, Trajectory, Verdict};
use galapagos_domain::tree::{PlayedTurn, TreeTurn};
use tokio::runtime::Handle;

use super::stage::world;
use crate::engine::Codec;
use crate::env::Start;
use crate::env::world::{Moved, World};
use crate::operators::{Again, OperatorError};
use crate::search::replica;
use crate::verify::episode::env_return;

/// Environments by task set and split.
pub(super) struct Worlds<'a> {
    worlds: BTreeMap<(Name, &'static str), (World, TaskSlice)>,
    codec: &'a dyn Codec,
}

/// A turn with the action's own tokens.
struct Turn {
    tokens: Vec<u32>,
    moved: Moved,
}

impl<'a> Worlds<'a> {
    /// Those among `slices`, which are without indices.
    pub(super) fn of(slices: &[TaskSlice], runtime: &Handle, codec: &'a dyn Codec) -> Self {
        let with = |slice: &TaskSlice| {
            let env = slice.source.env()?;
            Some(((slice.set.clone(), slice.split.name()), (world(env, runtime.clone()), slice.clone())))
        };
        Self { worlds: slices.iter().filter_map(with).collect(), codec }
    }

    fn start(&self, record: &Trajectory) -> Option<(&World, Start)> {
        let (split, index) = record.task.split_once('/')?;
        let of_it = |(set, known): &(Name, &str)| *set == record.task_set && *known == split;
        let (_, (world, slice)) = self.worlds.iter().find(|(of, _)| of_it(of))?;
        let index = index.parse().ok()?;
        let config = slice.source.env()?.config.clone();
        let replica = playing(record, slice.seed);
        Some((world, Start { seed: slice.seed, split: slice.split, index, replica, config }))
    }

    /// Plays actions from `start` until the environment ends the episode.
    fn play(&self, world: &World, start: &Start, actions: &[Vec<u32>]) -> Result<(String, Vec<Turn>), String> {
        let first = world.open(start).map_err(|error| error.to_string())?;
        let prompt = format!("{}{}", world.wording().instruction, world.wording().show(&first, false));
        let (mut done, mut turns) = (Vec::new(), Vec::new());
        for tokens in actions {
            let text = self.codec.decode(tokens).map_err(|error| error.to_string())?;
            done.push(text.split('\n').next().unwrap_or_default().trim().to_owned());
            let moved = world.act(start, &first.observation, &done).map_err(|verdict| verdict.reason)?;
            let over = moved.over;
            turns.push(Turn { tokens: tokens.clone(), moved });
            if over {
                break;
            }
        }
        Ok((prompt, turns))
    }

    /// The text of an episode, as records hold it.
    fn text(&self, world: &World, turns: &[Turn]) -> Result<String, String> {
        let mut text = String::new();
        for Turn { tokens, moved } in turns {
            let action = self.codec.decode(tokens).map_err(|error| error.to_string())?;
            text.push_str(action.split('\n').next().unwrap_or_default());
            text.push('\n');
            text.push_str(&world.wording().show(&moved.seen, moved.over));
        }
        Ok(text)
    }

    fn relabelled(&self, record: &Trajectory, gamma: f64) -> Result<Option<Trajectory>, String> {
        let (world, start) = self.start(record).ok_or("its task is none of an environment that the job knows")?;
        let actions: Vec<Vec<u32>> = record
            .credit
            .spans
            .iter()
            .filter(|span| span.learn)
            .map(|span| {
                record.completion_tokens.get(span.start as usize..span.end as usize).unwrap_or_default().to_vec()
            })
            .collect();
        let (_, before) = self.play(world, &start, &actions)?;
        if !self.text(world, &before)?.starts_with(&record.completion) {
            return Err("played again, it shows something else than was recorded".to_owned());
        }
        let Some(last) = before.last() else { return Ok(None) };
        let achieved = last.moved.achieved.as_ref();
        let achieved = achieved.ok_or("its environment does not state what was reached (`info.achieved`)")?;
        let mut meant = start.clone();
        meant.config.extend(achieved.clone());
        if meant == start || achieved.is_empty() {
            return Ok(None);
        }
        let (prompt, turns) = self.play(world, &meant, &actions)?;
        // Records are many, and each is seen once.
        world.forget();
        self.write(record, (world, &prompt), &turns, gamma).map(Some)
    }

    fn write(
        &self,
        record: &Trajectory,
        (world, prompt): (&World, &str),
        turns: &[Turn],
        gamma: f64,
    ) -> Result<Trajectory, String> {
        let encode = |text: &str| self.codec.encode(text).map_err(|error| error.to_string());
        let (mut tokens, mut spans, mut played) = (Vec::new(), Vec::new(), Vec::new());
        for Turn { tokens: action, moved } in turns {
            let shown = world.wording().show(&moved.seen, moved.over);
            let ended = self.codec.decode(action).map_err(|error| error.to_string())?.contains('\n');
            let shown = if ended { shown } else { format!("\n{shown}") };
            for (part, learn) in [(action.clone(), true), (encode(&shown)?, false)] {
                let start = tokens.len() as u32;
                tokens.extend(part);
                let value = learn.then_some(moved.reward as f32);
                spans.push(Span { start, end: tokens.len() as u32, learn, value, class: None });
            }
            let Moved { reward, score, refused, over, .. } = moved.clone();
            played.push(TreeTurn::Played(PlayedTurn { reward, score, refused, over, shown }));
        }
        spans.retain(|span| span.end > span.start);
        let said = env_return(&EnvReturn { gamma, pass_at: None }, &played);
        Ok(Trajectory {
            prompt_tokens: encode(prompt)?,
            prefix_len: 0,
            completion_tokens: tokens,
            // The policy acted before another goal.
            log_probs: Vec::new(),
            completion: self.text(world, turns)?,
            verdict: Verdict { reason: format!("in hindsight: {}", said.reason), ..said },
            scores: Vec::new(),
            leaf: None,
            credit: Credit { spans, ..Credit::default() },
            ..record.clone()
        })
    }
}

impl Again for Worlds<'_> {
    fn as_if_meant(&self, record: &Trajectory, gamma: f64) -> Result<Option<Trajectory>, OperatorError> {
        self.relabelled(record, gamma).map_err(|reason| OperatorError::Hindsight {
            task: format!("{}/{}", record.task_set, record.task),
            sample: record.sample,
            reason,
        })
    }
}

/// Which playing the record is of: its rollout drew it from the run's seed, the recipe step and the task. Trees see one playing, episodes
/// one each.
fn playing(record: &Trajectory, run: Seed) -> u32 {
    let job = record.job.to_string();
    let step: Vec<&str> = job.split('/').collect();
    let step = step.get(1..step.len().saturating_sub(1)).unwrap_or_default().join("/");
    let first = replica(run.derive(&step).derive(&format!("{}/{}", record.task_set, record.task)));
    if record.leaf.is_some() { first } else { first.wrapping_add(record.sample) }
}
