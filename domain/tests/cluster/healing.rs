//! Healthy workers afterwards, and what an evolution amounts to in the end.

use galapagos_domain::cluster::Event;
use galapagos_domain::cluster::view::{EvolutionView, Phase, Status, Summary};
use galapagos_domain::ids::{EvolutionId, MemberId, Name};
use galapagos_domain::member::{Member, Origin};

use crate::sim_worker::How;
use crate::world::World;

/// Seconds in which healthy workers must bring every evolution to its end.
const SECONDS: u32 = 2_000;

/// What must not depend on the faults on the way: everything but times and counts of retries.
#[derive(Debug, PartialEq)]
pub struct Ending {
    pub status: Status,
    members: Vec<Member>,
    champions: Vec<(Name, MemberId)>,
    steps: Vec<(Phase, Name, Option<Summary>)>,
}

impl World {
    /// Everybody registers, works and is heard, until all evolutions are final or `SECONDS` have passed.
    pub fn heal(&mut self) {
        for index in 0..self.workers.len() {
            self.register(index);
        }
        for id in self.evolutions.clone() {
            self.event(Event::ResumeRequested(id));
        }
        self.watched = false;
        for _ in 0..SECONDS {
            if self.evolutions.iter().all(|id| self.status(id).is_final()) {
                return;
            }
            for index in 0..self.workers.len() {
                if self.workers[index].session.is_none() {
                    self.register(index);
                }
                for report in self.workers[index].reports.clone() {
                    self.say(index, report);
                }
                for _ in 0..self.workers[index].slots {
                    self.advance(u8::try_from(index).unwrap(), 0, How::Well);
                }
            }
            self.heartbeats();
            self.wait(1_000);
        }
    }

    fn status(&self, id: &EvolutionId) -> Status {
        self.view(id).status
    }

    fn view(&self, id: &EvolutionId) -> EvolutionView {
        self.state.view(self.now, id).unwrap()
    }

    pub fn assert_all_final(&self) {
        for id in &self.evolutions {
            let why = || serde_json::to_string_pretty(&self.state.explain(self.now, id.as_str())).unwrap();
            assert!(self.status(id).is_final(), "PROGRESS: {id} hangs: {}", why());
        }
    }

    pub fn result(&self, id: &EvolutionId) -> Ending {
        let mut view = self.view(id);
        // A round that lost ranks goes on with fewer, which lineage tells; nothing else may differ.
        for member in &mut view.members {
            if let Origin::Trained { worlds, .. } = &mut member.origin {
                assert!(!worlds.is_empty());
                worlds.clear();
            }
        }
        for step in &mut view.steps {
            if let Some(Summary::Train { ranks, .. }) = &mut step.summary {
                *ranks = 0;
            }
        }
        let steps = view.steps.into_iter().map(|step| (step.phase, step.name, step.summary)).collect();
        Ending { status: view.status, members: view.members, champions: view.champions, steps }
    }
}
