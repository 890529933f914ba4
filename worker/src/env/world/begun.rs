//! Episodes that begin behind actions that are not the policy's and bring nothing, so that it shows whether a policy finds its way back.

use rand::seq::SliceRandom;

use super::{EnvError, Legal, Opened, Seen, Start, World, moved, seen};

impl World {
    /// An episode up to where the policy takes over. What may be done is tried in an order that the instance's seed draws, each in a
    /// playing of its own, until something brings no reward and does not end the episode.
    pub(super) fn opened(&self, start: &Start) -> Result<Opened, EnvError> {
        let mut episode = self.begin(start)?;
        let first = seen(&episode)?;
        let mut begun: Vec<(String, Seen)> = Vec::new();
        for turn in 0..self.begun {
            let Legal::These(mut legal) = episode.environment().legal(0)? else {
                let problem =
                    "`begun` takes actions from those that may be done, and this environment does not list them"
                        .to_owned();
                return Err(EnvError::Config { environment: self.name().to_owned(), problem });
            };
            let Start { split, index, .. } = start;
            legal.shuffle(&mut start.seed.derive(&format!("begun/{split}/{index}/{turn}")).stream());
            let mut found = None;
            for action in legal {
                let mut trial = self.begin(start)?;
                for (before, _) in &begun {
                    trial.step(&[Some(before)])?;
                }
                trial.step(&[Some(&action)])?;
                let brought = moved(&trial)?;
                if !brought.over && brought.refused.is_none() && brought.reward <= 0.0 {
                    found = Some((action, brought.seen, trial));
                    break;
                }
            }
            let Some((action, seen, trial)) = found else { break };
            begun.push((action, seen));
            episode = trial;
        }
        Ok(Opened { first, begun })
    }
}
