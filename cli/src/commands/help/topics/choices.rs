//! Data operators and the negative control.

use super::super::topic::{Form, Topic};
use super::{required, word};

pub const TOPICS: &[Topic] = &[APPLY, KEEP, CAP, BALANCE, SUBSAMPLE, CONTROL, SHUFFLE];

const APPLY: Topic = Topic {
    word: "apply",
    place: "curate",
    about: "Data operators, applied in order. Each counts what goes in and what comes out.",
    form: Form::Choice,
    entries: &[
        word("keep", "map", "keep the records with one verdict"),
        word("dedupe", "", "drop a record whose task and completion stand earlier in the dataset"),
        word("cap", "map", "so many records per task, the earliest kept"),
        word("balance", "verdict", "as many passes as fails, taken at random by seed; other verdicts are dropped"),
        word("subsample", "map", "at most so many records, taken at random by seed"),
        word("shuffle", "verdicts", "permute the verdicts among all records; for negative controls"),
    ],
    example: "",
};

const KEEP: Topic = Topic {
    word: "keep",
    place: "curate.apply",
    about: "Keeps the records with one verdict.",
    form: Form::Map,
    entries: &[required("verdict", "pass, fail, error, timeout or suspect", "the verdict to keep")],
    example: "",
};

const CAP: Topic = Topic {
    word: "cap",
    place: "curate.apply",
    about: "Keeps the earliest records of each task.",
    form: Form::Map,
    entries: &[required("per", "task", "what is counted by"), required("max", "count", "how many are kept")],
    example: "",
};

const BALANCE: Topic = Topic {
    word: "balance",
    place: "curate.apply",
    about: "Keeps as many records of each value as the rarer has.",
    form: Form::Choice,
    entries: &[word("verdict", "", "pass against fail; other verdicts are dropped")],
    example: "",
};

const SUBSAMPLE: Topic = Topic {
    word: "subsample",
    place: "curate.apply",
    about: "Takes records at random by seed.",
    form: Form::Map,
    entries: &[required("n", "count", "at most so many are kept")],
    example: "",
};

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
    entries: &[word("verdicts", "", "the verdicts, among all records of the dataset")],
    example: "",
};
