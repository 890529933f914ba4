//! The negative control.

use super::super::topic::{Form, Topic};
use super::word;

pub const TOPICS: &[Topic] = &[CONTROL, SHUFFLE];

const CONTROL: Topic = Topic {
    word: "control",
    place: "recipe",
    about: "What `reproduce` and `run --control` destroy, so that the method must fail at the same budget.",
    form: Form::Choice,
    entries: &[word("shuffle", "choice", "permute something among the records of every rollout before its first use")],
    example: "control: {shuffle: verdicts}",
};

const SHUFFLE: Topic = Topic {
    word: "shuffle",
    place: "control, curate.apply",
    about: "What is permuted.",
    form: Form::Choice,
    entries: &[
        word("verdicts", "", "the verdicts, among all records of the dataset"),
        word("scores", "", "what verifiers gave beside pass and fail, and rewards, among all records of the dataset"),
        word("labels", "", "values and classes of parts, among all parts of the dataset that have a value"),
        word(
            "prompts",
            "",
            "the prompts, each with its task, among all records of the dataset: for records that all pass, whose verdicts say nothing",
        ),
    ],
    example: "",
};
