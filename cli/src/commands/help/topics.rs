//! Every topic of the recipe language, in the order of the reference.

mod certain;
mod choices;
mod controllers;
mod datasets;
mod families;
mod growing;
mod header;
mod judging;
mod losses;
mod making;
mod operators;
mod opinions;
mod programs;
mod searching;
mod training;
mod verifying;
mod wrapping;
mod written;

use super::topic::{Entry, Preset, Topic};

/// All topics.
pub fn all() -> impl Iterator<Item = &'static Topic> {
    let parts = [
        header::TOPICS,
        families::TOPICS,
        controllers::TOPICS,
        datasets::TOPICS,
        making::TOPICS,
        searching::TOPICS,
        growing::TOPICS,
        written::TOPICS,
        searching::CHAINS,
        programs::TOPICS,
        verifying::TOPICS,
        opinions::TOPICS,
        wrapping::TOPICS,
        training::VERB,
        losses::TOPICS,
        training::TOPICS,
        judging::TOPICS,
        operators::TOPICS,
        certain::TOPICS,
        choices::TOPICS,
    ];
    parts.into_iter().flatten()
}

const fn required(word: &'static str, takes: &'static str, about: &'static str) -> Entry {
    Entry { word, takes, preset: Preset::Required, about }
}

const fn optional(word: &'static str, takes: &'static str, about: &'static str) -> Entry {
    Entry { word, takes, preset: Preset::Absent, about }
}

const fn preset(word: &'static str, takes: &'static str, default: &'static str, about: &'static str) -> Entry {
    Entry { word, takes, preset: Preset::Default(default), about }
}

const fn word(word: &'static str, takes: &'static str, about: &'static str) -> Entry {
    Entry { word, takes, preset: Preset::Word, about }
}
