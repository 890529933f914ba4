//! From a typed error to what the coordinator is told: a class (would another attempt help?) and the chain of causes.

use std::error::Error;

use galapagos_domain::job::{FailureClass, JobFailure};

/// The failure report for `error`, outermost cause first. A cause that the line above already ends with is left out.
#[must_use]
pub fn report(class: FailureClass, error: &dyn Error) -> JobFailure {
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !chain.last().is_some_and(|above| above.ends_with(&text)) {
            chain.push(text);
        }
        next = cause.source();
    }
    JobFailure { class, chain }
}

/// A failure of the place or the moment, in one sentence.
#[must_use]
pub fn transient(text: impl Into<String>) -> JobFailure {
    JobFailure { class: FailureClass::Transient, chain: vec![text.into()] }
}

/// The work's place went away, which says nothing about the work; in one sentence.
#[must_use]
pub fn lost(text: impl Into<String>) -> JobFailure {
    JobFailure { class: FailureClass::Lost, chain: vec![text.into()] }
}
