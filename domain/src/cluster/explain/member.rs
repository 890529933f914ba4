//! What a member is and how it came to be.

use super::{Explanation, Subject};
use crate::cluster::ClusterState;
use crate::cluster::evolution::Evolution;
use crate::member::{Member, Origin, Standing};

impl ClusterState {
    /// The member of that id; of the newest evolution if several have it.
    pub(super) fn explain_member(&self, id: &str) -> Option<Explanation> {
        let has = |evolution: &&Evolution| evolution.members.iter().any(|member| member.id.as_str() == id);
        let evolution = self.evolutions.values().filter(has).max_by_key(|evolution| evolution.number)?;
        let member = evolution.members.iter().find(|member| member.id.as_str() == id)?;
        Some(Explanation {
            id: id.to_owned(),
            subject: Subject::Member,
            state: standing(evolution, member),
            facts: facts(evolution, member),
            waits_for: None,
            culprit: None,
            helps: None,
        })
    }
}

fn standing(evolution: &Evolution, member: &Member) -> String {
    let roles: Vec<&str> =
        evolution.champions.iter().filter(|(_, holder)| **holder == member.id).map(|(role, _)| role.as_str()).collect();
    let standing = match member.standing {
        Standing::Candidate => "candidate, not judged".to_owned(),
        Standing::Champion => format!("champion: holds {}", roles.join(", ")),
        Standing::Refused => "refused: not proven better than the champion of its time".to_owned(),
        Standing::Retired => "retired: held its role before".to_owned(),
    };
    format!("{standing} (evolution {})", evolution.id)
}

fn facts(evolution: &Evolution, member: &Member) -> Vec<String> {
    let mut facts = vec![format!("generation {}, checkpoint {}", member.generation, member.checkpoint)];
    match &member.origin {
        Origin::Base { source } => facts.push(format!("the base, from {source}")),
        Origin::Trained { round, datasets, steps, final_loss, optimiser: _, ledger, mismatch, worlds } => {
            let parents: Vec<&str> = member.parents.iter().map(|parent| parent.as_str()).collect();
            facts.push(format!("trained by round {round} from {}", parents.join(", ")));
            facts.push(format!("{steps} optimiser steps on {} files, final loss {final_loss:.4}", datasets.len()));
            if let [_, _, ..] = worlds.as_slice() {
                let worlds: Vec<String> = worlds.iter().map(u32::to_string).collect();
                facts.push(format!(
                    "by {} ranks in turn: the same batches, not the same bytes as by one world size",
                    worlds.join(", then ")
                ));
            }
            if let Some(mismatch) = mismatch {
                facts.push(format!("engine and trainer were {mismatch:.4} nats per token apart at its start"));
            }
            facts.extend(
                ledger.iter().map(|ledger| format!("ledger {ledger}: which record was trained on in which step")),
            );
        }
    }
    facts.extend(evolution.tournaments_of(&member.id).into_iter().map(|(step, ladder)| {
        let pairs: u64 = ladder.pentanomial.iter().sum();
        let side = if ladder.challenger == member.id { "challenger" } else { "holder" };
        let (low, high) = ladder.bounds;
        let decision = format!("{:?}", ladder.decision).to_lowercase();
        format!("{side} in {step}: {decision} after {pairs} pairs, LLR {:.2} within {low:.2} to {high:.2}", ladder.llr)
    }));
    facts
}
