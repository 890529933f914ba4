//! How members come to be and change their standing. Pure edits of an evolution; the caller persists them.

use super::evolution::Evolution;
use super::view::Phase;
use crate::ids::{Digest, InvalidId, MemberId, Name};
use crate::member::{Member, Origin, Standing};
use crate::recipe::Head;

/// A member about to be added.
#[derive(Debug)]
pub(super) struct Birth {
    pub role: Name,
    pub phase: Phase,
    pub checkpoint: Digest,
    pub weights: Digest,
    pub parents: Vec<MemberId>,
    pub origin: Origin,
}

impl Evolution {
    /// `ROLE-gN-DIGEST8`; a number is put behind when another member has that id already, as when two rounds of one
    /// generation end with the same checkpoint.
    pub(super) fn member_id(&self, birth: &Birth) -> Result<MemberId, InvalidId> {
        let plain = format!("{}-g{}-{}", birth.role, self.generation_of(birth.phase), birth.checkpoint.short());
        let mut id = MemberId::new(plain.clone())?;
        let mut number = 2;
        while self.member(&id).is_some() {
            id = MemberId::new(format!("{plain}-{number}"))?;
            number += 1;
        }
        Ok(id)
    }

    /// Adds a candidate.
    pub(super) fn add_member(&mut self, id: MemberId, birth: Birth) {
        let generation = self.generation_of(birth.phase);
        let Birth { role, phase: _, checkpoint, weights, parents, origin } = birth;
        let standing = Standing::Candidate;
        self.members.push(Member { id, role, generation, checkpoint, weights, parents, origin, standing });
    }

    /// The base takes every role with a language head that starts from it.
    pub(super) fn give_roles_to_base(&mut self, base: &MemberId) {
        let takes = |head: Head, init: &Name| head == Head::Lm && init.as_str() == "base";
        let roles: Vec<Name> = self
            .recipe
            .roles
            .iter()
            .filter(|(_, role)| takes(role.head, &role.init))
            .map(|(name, _)| name.clone())
            .collect();
        for role in roles {
            self.take_role(&role, base);
        }
    }

    /// Moves a role's pointer; the member that held it retires unless it holds another role.
    pub(super) fn take_role(&mut self, role: &Name, member: &MemberId) {
        let before = self.champions.insert(role.clone(), member.clone());
        if let Some(before) = before.filter(|before| !self.champions.values().any(|holder| holder == before)) {
            self.set_standing(&before, Standing::Retired);
        }
        self.set_standing(member, Standing::Champion);
    }

    /// A challenger that was not proven better; one that holds a role keeps its standing.
    pub(super) fn refuse(&mut self, member: &MemberId) {
        if self.member(member).is_some_and(|member| member.standing == Standing::Candidate) {
            self.set_standing(member, Standing::Refused);
        }
    }

    fn set_standing(&mut self, member: &MemberId, standing: Standing) {
        if let Some(member) = self.member_mut(member) {
            member.standing = standing;
        }
    }

    /// The generation that a phase counts for: 0 before the first, the last one that ran for `finish`.
    fn generation_of(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Base | Phase::First => 0,
            Phase::Generation(generation) => generation,
            Phase::Finish => self.steps.iter().filter_map(|step| generation(step.phase)).max().unwrap_or(0),
        }
    }
}

fn generation(phase: Phase) -> Option<u32> {
    match phase {
        Phase::Generation(generation) => Some(generation),
        Phase::Base | Phase::First | Phase::Finish => None,
    }
}
