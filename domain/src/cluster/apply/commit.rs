//! A round's votes agree: the member is born, its pointer moves, the round is committed and the next recipe step starts, all
//! in one turn and so in one write.

use crate::cluster::evolution::Outcome;
use crate::cluster::members::Birth;
use crate::cluster::turn::Turn;
use crate::cluster::view::{Phase, Summary};
use crate::ids::{Digest, InvalidId, MemberId, RoundId};
use crate::member::Origin;
use crate::round::{RankProgress, RoundSpec, Vote};

impl Turn<'_> {
    pub(super) fn commit(&mut self, round: &RoundId, checkpoint: Digest, vote: Vote) {
        let found = self.round(round).and_then(|round| {
            round.note_world();
            Some((round.spec.clone(), round.table()?.clone(), round.worlds.clone()))
        });
        let Some((spec, table, worlds)) = found else { return };
        let lease = self.state.leases.round_try(table.token);
        let said: Vec<RankProgress> =
            lease.map(|lease| lease.ranks.iter().filter_map(|rank| rank.progress).collect()).unwrap_or_default();
        let member = match self.give_birth(&spec, (checkpoint, worlds), &vote) {
            Some(Ok(member)) => member,
            Some(Err(error)) => {
                let chain = vec![format!("round {round} made a member that cannot be named"), error.to_string()];
                return self.fail_evolution(&spec.evolution, chain);
            }
            None => return,
        };
        let summary = Summary::Train {
            role: spec.role.clone(),
            member: Some(member.clone()),
            step: vote.steps,
            loss: vote.final_loss,
            // Only progress reports carry it; absent after a restart of the coordinator between the last one and the vote.
            grad_norm: said.first().map_or(0.0, |progress| progress.grad_norm),
            ranks: table.workers.len() as u32,
            left_out: vote.left_out,
            guarded: vote.guarded,
            mismatch: vote.mismatch,
            lr: None,
            tokens_per_second: None,
        };
        let tokens = said.iter().map(|progress| progress.tokens).sum();
        self.close(
            &spec.evolution,
            Outcome { summary, dataset: Vec::new(), trees: Vec::new(), units: vote.steps, tokens },
        );
        self.drop_states(round);
        self.state.leases.end(table.token);
        if let Some(round) = self.round(round) {
            round.commit(table.token, member, vote);
        }
        self.go_on(&spec.evolution);
    }

    /// The new member waits for a tournament if the recipe step named it and does not promote it, and takes its role at once otherwise.
    fn give_birth(
        &mut self,
        spec: &RoundSpec,
        (checkpoint, worlds): (Digest, Vec<u32>),
        vote: &Vote,
    ) -> Option<Result<MemberId, InvalidId>> {
        let evolution = self.evolution(&spec.evolution)?;
        let origin = Origin::Trained {
            round: spec.id.clone(),
            datasets: spec.datasets.iter().map(|file| file.digest).collect(),
            steps: vote.steps,
            final_loss: vote.final_loss,
            optimiser: vote.optimiser,
            ledger: vote.ledger,
            mismatch: vote.mismatch,
            worlds,
        };
        let parents = evolution.start_of(&spec.train).map(|start| vec![start.id.clone()]).unwrap_or_default();
        let phase = evolution.steps.last().map_or(Phase::Base, |run| run.phase);
        let birth = Birth { role: spec.role.clone(), phase, checkpoint, weights: vote.weights, parents, origin };
        let member = match evolution.member_id(&birth) {
            Ok(member) => member,
            Err(error) => return Some(Err(error)),
        };
        evolution.add_member(member.clone(), birth);
        if let Some(name) = &spec.train.name {
            evolution.named.insert(name.clone(), member.clone());
        }
        if spec.train.takes_role() {
            evolution.take_role(&spec.role, &member);
        }
        Some(Ok(member))
    }
}
