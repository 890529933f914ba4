//! Turns of environments, played on threads beside the engine.

use std::sync::Arc;

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::{Pending, Play, Purpose, Running};
use crate::env::world::Moved;
use crate::search::beside::Beside;
use crate::search::forest::ForestError;
use crate::search::forest::inquiry::Place;
use crate::search::strategy::{Act, Acted, Answer};

/// What ends an action.
const LINE: char = '\n';

impl Running<'_> {
    /// Has the environment play a turn.
    pub(super) fn act(&mut self, task: usize, want: Place, act: Act) -> Result<(), ForestError> {
        let Act { replica, actions, last } = act;
        let stage = self.forest.tasks.stage.as_ref();
        let Some((stage, (start, first, begun))) = stage.and_then(|stage| Some((stage, stage.start(task, replica)?)))
        else {
            let verdict = Verdict::new(Outcome::Error, "the tasks have no environment");
            self.fill(task, want, Answer::Acted(Err(verdict)));
            return Ok(());
        };
        let players = match self.players.take() {
            Some(players) => players,
            None => {
                let world = Arc::clone(&stage.world);
                let play = move |(start, first, actions): Play| world.act(&start, &first, &actions);
                Beside::start("player", stage.world.at_once(), play).map_err(ForestError::Spawn)?
            }
        };
        let ended = match last {
            Some(last) => self.forest.codec.decode(&[last])?.contains(LINE),
            None => false,
        };
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { task, want, purpose: Purpose::Act { ended }, unit: Unit::Turn });
        self.players.insert(players).ask(id, (start, first, [begun, actions].concat()));
        Ok(())
    }

    /// What an action brought, as the policy reads it.
    pub(super) fn acted(
        &self,
        moved: Result<Moved, Verdict>,
        ended: bool,
    ) -> Result<Result<Acted, Verdict>, ForestError> {
        let Moved { reward, score, refused, over, seen, .. } = match moved {
            Ok(moved) => moved,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let shown = match &self.forest.tasks.stage {
            Some(stage) => stage.world.wording().show(&seen, over),
            None => seen.observation,
        };
        let text = format!("{LINE}{shown}");
        let unread = if ended { shown.as_str() } else { &text };
        let tokens = self.forest.codec.encode(unread)?;
        Ok(Ok(Acted { reward, score, refused, over, text, tokens }))
    }
}
