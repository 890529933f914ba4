//! Whole lists of requests: submitted as the queue has room, stepped until all have ended, given back in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Completion, Engine, Event, GenerateError, Request, RequestError, RequestId, ScoreRequest};

/// How a caller watches and stops a running call.
#[derive(Default)]
pub struct RunControl<'a> {
    /// When set to true, the call ends with [`GenerateError::Cancelled`] before the next step.
    pub cancel: Option<&'a AtomicBool>,
    /// Called after each step with what was made so far in this call.
    pub progress: Option<&'a mut dyn FnMut(Made)>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Completions or scores that ended.
    pub ended: u64,
    /// Tokens drawn.
    pub tokens: u64,
}

impl std::fmt::Debug for RunControl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunControl").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl RunControl<'_> {
    fn check(&self) -> Result<(), GenerateError> {
        match self.cancel {
            Some(cancel) if cancel.load(Ordering::Relaxed) => Err(GenerateError::Cancelled),
            Some(_) | None => Ok(()),
        }
    }

    fn report(&mut self, made: Made) {
        if let Some(progress) = &mut self.progress {
            progress(made);
        }
    }
}

/// The requests of one call.
#[derive(Debug)]
struct Call<T> {
    /// Place of each request that has not ended, and its samples that have not.
    open: BTreeMap<RequestId, (usize, usize)>,
    results: Vec<Vec<Option<T>>>,
    made: Made,
}

impl<T> Call<T> {
    fn end(&mut self, request: RequestId, sample: usize, result: T) {
        let Some((place, left)) = self.open.get_mut(&request) else { return };
        self.results[*place][sample] = Some(result);
        self.made.ended += 1;
        *left -= 1;
        if *left == 0 {
            self.open.remove(&request);
        }
    }
}

impl Engine {
    /// The completions of every request, in order of request and sample. Requests that were submitted before go on meanwhile; their
    /// events are kept for the next [`Engine::step`].
    ///
    /// # Errors
    /// [`GenerateError::Request`] names the first request that cannot be run, before anything is computed. After any error none of the
    /// requests is left in the engine.
    pub fn generate(
        &mut self,
        requests: &[Request],
        control: &mut RunControl<'_>,
    ) -> Result<Vec<Vec<Completion>>, GenerateError> {
        for (index, request) in requests.iter().enumerate() {
            let checked = self.check(request).and_then(|()| self.stop_strings(request).map(drop));
            checked.map_err(|source| GenerateError::Request { index, source })?;
        }
        let samples = requests.iter().map(|request| request.samples).collect();
        self.drive(samples, control, &mut |engine, index| engine.submit(requests[index].clone()), &mut |call, event| {
            match event {
                Event::Token(token) if call.open.contains_key(&token.request) => {
                    call.made.tokens += 1;
                    None
                }
                Event::Finished { request, sample, completion } if call.open.contains_key(&request) => {
                    call.end(request, sample, completion);
                    None
                }
                other => Some(other),
            }
        })
    }

    /// The values of every request, in order of request, position and label.
    ///
    /// # Errors
    /// As [`Engine::generate`].
    pub fn score(
        &mut self,
        requests: &[ScoreRequest],
        control: &mut RunControl<'_>,
    ) -> Result<Vec<Vec<f32>>, GenerateError> {
        for (index, request) in requests.iter().enumerate() {
            self.check_score(request).map_err(|source| GenerateError::Request { index, source })?;
        }
        let scored = self.drive(
            vec![1; requests.len()],
            control,
            &mut |engine, index| engine.submit_score(&requests[index]),
            &mut |call, event| match event {
                Event::Scored { request, values, .. } if call.open.contains_key(&request) => {
                    call.end(request, 0, values);
                    None
                }
                other => Some(other),
            },
        )?;
        Ok(scored.into_iter().flatten().collect())
    }

    /// Runs a call to its end; `take` keeps what belongs to it and gives back the rest.
    fn drive<T>(
        &mut self,
        samples: Vec<usize>,
        control: &mut RunControl<'_>,
        submit: &mut dyn FnMut(&mut Self, usize) -> Result<RequestId, RequestError>,
        take: &mut dyn FnMut(&mut Call<T>, Event) -> Option<Event>,
    ) -> Result<Vec<Vec<T>>, GenerateError> {
        let results = samples.iter().map(|samples| (0..*samples).map(|_| None).collect()).collect();
        let mut call = Call { open: BTreeMap::new(), results, made: Made::default() };
        let mut next = 0;
        let ended = loop {
            if let Err(error) = self.advance(&mut call, (&mut next, &samples), control, (submit, take)) {
                break Err(error);
            }
            if next == samples.len() && call.open.is_empty() {
                break Ok(());
            }
        };
        for request in call.open.keys() {
            self.cancel(*request);
        }
        ended?;
        Ok(call.results.into_iter().map(|samples| samples.into_iter().flatten().collect()).collect())
    }

    /// Submits what the queue has room for and steps once.
    #[expect(clippy::type_complexity, reason = "the two callbacks of `drive`")]
    fn advance<T>(
        &mut self,
        call: &mut Call<T>,
        (next, samples): (&mut usize, &[usize]),
        control: &mut RunControl<'_>,
        (submit, take): (
            &mut dyn FnMut(&mut Self, usize) -> Result<RequestId, RequestError>,
            &mut dyn FnMut(&mut Call<T>, Event) -> Option<Event>,
        ),
    ) -> Result<(), GenerateError> {
        control.check()?;
        while *next < samples.len() {
            match submit(self, *next) {
                Ok(id) => {
                    call.open.insert(id, (*next, samples[*next]));
                    *next += 1;
                }
                Err(RequestError::Full { .. }) => break,
                Err(source) => return Err(GenerateError::Request { index: *next, source }),
            }
        }
        let events = self.step().map_err(|source| GenerateError::Engine { source })?;
        for event in events {
            match take(call, event) {
                Some(Event::Failed { request, sample, error }) if call.open.contains_key(&request) => {
                    let index = call.open[&request].0;
                    return Err(GenerateError::Sample { index, sample, source: error });
                }
                Some(Event::Restarted { request, .. }) if call.open.contains_key(&request) => {}
                Some(other) => self.events.push(other),
                None => {}
            }
        }
        control.report(call.made);
        Ok(())
    }
}
