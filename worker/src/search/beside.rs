//! Questions that take a while, answered on threads of their own, so that neither the engine nor a search without such questions waits
//! for them. What is asked and how it is answered is the caller's.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use galapagos_telemetry::{SpawnError, spawn_thread};

/// Questions that may wait to be taken, and answers likewise.
const WAITING: usize = 1024;

/// See the head of this file. Threads end with the last question.
pub(super) struct Beside<Q, A> {
    asked: SyncSender<(u64, Q)>,
    given: Receiver<(u64, A)>,
    /// Questions that found no room.
    waiting: VecDeque<(u64, Q)>,
    under_way: usize,
}

impl<Q: Send + 'static, A: Send + 'static> Beside<Q, A> {
    /// So many threads that answer by `answer`.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub(super) fn start(
        name: &'static str,
        threads: usize,
        answer: impl Fn(Q) -> A + Send + Sync + 'static,
    ) -> Result<Self, SpawnError> {
        let (asked, questions) = sync_channel::<(u64, Q)>(WAITING);
        let (give, given) = sync_channel(WAITING);
        let (questions, answer) = (Arc::new(Mutex::new(questions)), Arc::new(answer));
        for _ in 0..threads {
            let (questions, give, answer) = (Arc::clone(&questions), give.clone(), Arc::clone(&answer));
            let serve = move || {
                loop {
                    let question = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((id, question)) = question else { return };
                    if give.send((id, answer(question))).is_err() {
                        return;
                    }
                }
            };
            drop(spawn_thread(name, serve)?);
        }
        Ok(Self { asked, given, waiting: VecDeque::new(), under_way: 0 })
    }

    /// Hands a question in.
    pub(super) fn ask(&mut self, id: u64, question: Q) {
        self.under_way += 1;
        self.waiting.push_back((id, question));
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) = self.asked.try_send(next) {
                self.waiting.push_front(back);
                return;
            }
        }
    }

    /// Whether an answer is still to come.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// The next answer, if one comes in time. Only to be called while it is busy.
    pub(super) fn next(&mut self, within: Duration) -> Option<(u64, A)> {
        self.hand_over();
        match self.given.recv_timeout(within) {
            Ok(given) => {
                self.under_way -= 1;
                Some(given)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn more_questions_than_room_are_all_answered_and_several_at_once() {
        let both = Arc::new(Barrier::new(2));
        let wait = Arc::clone(&both);
        let answer = move |question: u32| {
            // Two threads must be in here together.
            wait.wait();
            question * 2
        };
        let mut beside = Beside::start("test", 2, answer).unwrap();
        let all = 2 * WAITING as u32 + 500;
        (0..all).for_each(|question| beside.ask(u64::from(question), question));
        let mut answers = Vec::new();
        while beside.is_busy() {
            answers.extend(beside.next(Duration::from_secs(60)));
        }
        answers.sort_unstable();
        assert_eq!(answers, (0..all).map(|question| (u64::from(question), question * 2)).collect::<Vec<_>>());
    }
}
