//! The world around the state machine: a store that keeps what was persisted, workers, a clock. Carries out acts.

use std::collections::BTreeSet;

use galapagos_domain::cluster::worker_view::SlotView;
use galapagos_domain::cluster::{Action, ClusterState, Event, Limits, Record, RejectionKind, Write};
use galapagos_domain::fence::{FencingToken, Incarnation, LeaderEpoch};
use galapagos_domain::ids::{EvolutionId, WorkerId};
use galapagos_domain::job::FailureClass;
use galapagos_domain::recipe::Recipe;
use galapagos_domain::seed::Seed;
use galapagos_domain::session::WorkerMessage;
use galapagos_domain::time::Timestamp;

use crate::act::Act;
use crate::fairness::Patience;
use crate::invariants::{Store, Witness, load_equals_state};
use crate::recipes;
use crate::sim_worker::{How, SimWorker};

#[derive(Debug)]
pub struct World {
    pub state: ClusterState,
    pub store: Store,
    pub now: Timestamp,
    pub workers: Vec<SimWorker>,
    /// Sessions that the coordinator holds open.
    pub open: BTreeSet<(WorkerId, Incarnation)>,
    pub evolutions: Vec<EvolutionId>,
    /// Whether rejections are watched: a copy of the state before each event is dear, and healthy workers earn none.
    pub watched: bool,
    limits: Limits,
    epoch: u64,
    witness: Witness,
    patience: Patience,
}

impl World {
    pub fn new(limits: Limits) -> Self {
        let (state, _) = ClusterState::load([], LeaderEpoch(1), Timestamp(0), limits.clone()).unwrap();
        let worker = |(name, slots): (&str, u32)| SimWorker::new(WorkerId::new(name).unwrap(), slots, 100);
        Self {
            state,
            store: Store::new(),
            now: Timestamp(0),
            workers: [("w1", 1), ("w2", 2), ("w3", 1)].map(worker).into(),
            open: BTreeSet::new(),
            evolutions: Vec::new(),
            watched: true,
            limits,
            epoch: 1,
            witness: Witness::default(),
            patience: Patience::default(),
        }
    }

    /// One event; a rejection's kind is returned.
    pub fn event(&mut self, event: Event) -> Option<RejectionKind> {
        let before = self.watched.then(|| self.state.clone());
        match self.state.apply(self.now, event.clone()) {
            Err(rejection) => {
                assert!(before.is_none_or(|before| self.state == before), "REJECTION-CHANGES-NOTHING: {event:?}");
                assert!(!rejection.message.is_empty());
                Some(rejection.kind)
            }
            Ok(actions) => {
                self.note_session(&event);
                let written = self.execute(actions);
                self.witness.check(&self.state, &self.store, &written, &self.open);
                self.nobody_is_overloaded();
                self.a_slot_serves_one();
                let workers = self.state.workers(self.now);
                self.patience.check(&self.store, &written, &workers);
                None
            }
        }
    }

    fn note_session(&mut self, event: &Event) {
        match event {
            Event::Registered(registration) => self.open.retain(|(worker, _)| *worker != registration.worker),
            Event::SessionClosed { worker, incarnation } => drop(self.open.remove(&(worker.clone(), *incarnation))),
            Event::Submitted { .. }
            | Event::CancelRequested(_)
            | Event::PauseRequested(_)
            | Event::ResumeRequested(_)
            | Event::Said { .. }
            | Event::Tick => {}
        }
        if let Event::Registered(registration) = event {
            let view = self.state.workers(self.now).into_iter().find(|view| view.name == registration.worker).unwrap();
            self.open.insert((registration.worker.clone(), view.incarnation));
            let worker = self.workers.iter_mut().find(|worker| worker.id == registration.worker).unwrap();
            worker.session = Some(view.incarnation);
        }
    }

    /// SLOTS-NOT-OVERFILLED as the workers see it: what was given up is taken from them before they get more.
    fn nobody_is_overloaded(&self) {
        for worker in &self.workers {
            let heard = worker.session.is_some_and(|session| self.open.contains(&(worker.id.clone(), session)));
            let busy = worker.busy();
            assert!(!heard || busy <= worker.slots, "SLOTS-NOT-OVERFILLED: {} does {busy} things", worker.id);
        }
    }

    /// SLOT-SERVES-ONE: an attempt or a rank, and no two of them.
    fn a_slot_serves_one(&self) {
        for worker in self.state.workers(self.now) {
            let known = self.workers.iter().find(|known| known.id == worker.name).unwrap();
            let uses: Vec<(FencingToken, Option<u32>)> = worker
                .slots
                .iter()
                .filter_map(|slot| match slot {
                    SlotView::Free => None,
                    SlotView::Job { token, .. } => Some((*token, None)),
                    SlotView::Rank { token, rank, .. } => Some((*token, Some(*rank))),
                })
                .collect();
            let distinct: BTreeSet<_> = uses.iter().collect();
            assert!(uses.len() <= known.slots as usize, "SLOT-SERVES-ONE: {worker:?}");
            assert_eq!(distinct.len(), uses.len(), "SLOT-SERVES-ONE: {worker:?}");
            let both = |(token, rank): &(FencingToken, Option<u32>)| {
                rank.is_none() && uses.iter().any(|(t, r)| t == token && r.is_some())
            };
            assert!(!uses.iter().any(both), "SLOT-SERVES-ONE: a job and a rank under one token on {worker:?}");
        }
    }

    /// Does what the coordinator's shell does; returns the keys that were written.
    fn execute(&mut self, actions: Vec<Action>) -> Vec<String> {
        let mut written = Vec::new();
        for (place, action) in actions.into_iter().enumerate() {
            match action {
                Action::Persist(writes) => {
                    assert_eq!(place, 0, "PERSIST-FIRST");
                    for Write::Put(record) in writes {
                        written.push(record.key());
                        self.store.insert(record.key(), record);
                    }
                }
                Action::Send { worker, message } => {
                    let open = self.open.iter().find(|(name, _)| *name == worker).map(|(_, incarnation)| *incarnation);
                    let listener = self.workers.iter_mut().find(|listener| listener.id == worker).unwrap();
                    if listener.session.is_some() && listener.session == open {
                        listener.hear(message);
                    }
                }
                Action::CloseSession { worker, incarnation, .. } => {
                    self.open.remove(&(worker.clone(), incarnation));
                    let listener = self.workers.iter_mut().find(|listener| listener.id == worker).unwrap();
                    listener.session = listener.session.filter(|session| *session != incarnation);
                }
                Action::Submitted(id) => self.evolutions.push(id),
                Action::Changed(id) => assert!(self.state.view(self.now, &id).is_some(), "no view of {id}"),
            }
        }
        written
    }

    pub fn submit(&mut self, recipe: Recipe) -> EvolutionId {
        assert_eq!(self.event(Event::Submitted { recipe: Box::new(recipe), seed: Seed(11) }), None);
        self.evolutions.last().unwrap().clone()
    }

    pub fn register(&mut self, worker: usize) {
        let registration = self.workers[worker].registration();
        assert_eq!(self.event(Event::Registered(registration)), None);
    }

    /// Says something if the worker believes its session open.
    pub fn say(&mut self, worker: usize, message: WorkerMessage) {
        let speaker = &self.workers[worker];
        if let Some(incarnation) = speaker.session {
            self.event(Event::Said { worker: speaker.id.clone(), incarnation, message });
        }
    }

    /// The coordinator starts anew: it knows what was persisted, every stream is broken, its clock starts again.
    pub fn restart(&mut self) {
        self.epoch += 1;
        self.now = Timestamp(0);
        self.open.clear();
        for worker in &mut self.workers {
            worker.session = None;
        }
        load_equals_state(&self.state, &self.store);
        let records: Vec<Record> = self.store.values().cloned().collect();
        let (state, actions) =
            ClusterState::load(records, LeaderEpoch(self.epoch), self.now, self.limits.clone()).unwrap();
        self.state = state;
        self.execute(actions);
        self.patience = Patience::default();
    }

    fn evolution(&self, pick: u8) -> EvolutionId {
        self.evolutions[usize::from(pick) % self.evolutions.len()].clone()
    }

    pub fn advance(&mut self, worker: u8, pick: u8, how: How) {
        let index = self.index(worker);
        if let Some(report) = self.workers[index].advance(pick, how) {
            self.say(index, report);
        }
    }

    fn index(&self, worker: u8) -> usize {
        usize::from(worker) % self.workers.len()
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.event(Event::Tick);
    }

    pub fn act(&mut self, act: &Act) {
        match *act {
            Act::SubmitWide => drop(self.submit(recipes::wide())),
            Act::SubmitUrgent => drop(self.submit(Recipe { priority: 1, ..recipes::wide() })),
            Act::SubmitBroad => drop(self.submit(recipes::broad())),
            Act::SubmitSpread => drop(self.submit(recipes::spread())),
            Act::Pause(e) => drop(self.event(Event::PauseRequested(self.evolution(e)))),
            Act::Resume(e) => drop(self.event(Event::ResumeRequested(self.evolution(e)))),
            Act::Cancel(e) => drop(self.event(Event::CancelRequested(self.evolution(e)))),
            Act::Register(w) => self.register(self.index(w)),
            Act::RegisterWrongVersion(w) => {
                let mut registration = self.workers[self.index(w)].registration();
                registration.protocol_version += 1;
                assert_eq!(self.event(Event::Registered(registration)), Some(RejectionKind::WrongVersion));
            }
            Act::Disconnect(w) => self.disconnect(self.index(w)),
            Act::Vanish(w) => {
                let index = self.index(w);
                self.workers[index].session = None;
            }
            Act::Crash(w) => {
                let index = self.index(w);
                self.workers[index].crash();
            }
            Act::Heartbeats => self.heartbeats(),
            Act::Advance(w, n) => self.advance(w, n, How::Well),
            Act::Fail(w, n) => self.advance(w, n, How::Badly(FailureClass::Transient)),
            Act::FailForGood(w, n) => self.advance(w, n, How::Badly(FailureClass::Invalid)),
            Act::Garble(w, n) => self.advance(w, n, How::Garbled),
            Act::Progress(w, n) => {
                let index = self.index(w);
                if let Some(message) = self.workers[index].progress(n) {
                    self.say(index, message);
                }
            }
            Act::Resend(w, n) => {
                let index = self.index(w);
                let reports = &self.workers[index].reports;
                let again = usize::from(n).checked_rem(reports.len()).map(|at| reports[at].clone());
                again.into_iter().for_each(|report| self.say(index, report));
            }
            Act::Late(w) => self.late(self.index(w)),
            Act::Restart => self.restart(),
            Act::Wait(tenths) => self.wait(u64::from(tenths) * 100),
            Act::LongWait => self.wait(400_000),
        }
    }

    fn disconnect(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.session = None;
        let id = worker.id.clone();
        if let Some((worker, incarnation)) = self.open.iter().find(|(name, _)| *name == id).cloned() {
            assert_eq!(self.event(Event::SessionClosed { worker, incarnation }), None);
        }
    }

    pub fn heartbeats(&mut self) {
        for index in 0..self.workers.len() {
            self.say(index, WorkerMessage::Heartbeat);
        }
    }

    /// Something from before the present session: always fenced.
    fn late(&mut self, index: usize) {
        let worker = self.workers[index].id.clone();
        let incarnation = self.open.iter().find(|(name, _)| *name == worker).map_or(0, |(_, current)| current.0 - 1);
        let message = WorkerMessage::Heartbeat;
        let fenced = self.event(Event::Said { worker, incarnation: Incarnation(incarnation), message });
        assert_eq!(fenced, Some(RejectionKind::Fenced));
    }
}
