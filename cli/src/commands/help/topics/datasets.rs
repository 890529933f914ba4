//! Data sets, of the field `tasks`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[FILES, FORMAT, COLUMNS, ANSWER, SPLITS, TESTS];

const FILES: Topic = Topic {
    word: "files",
    place: "tasks",
    about: "A data set: JSON lines, Parquet, or a folder of Hugging Face `datasets`. `run` and `submit` read it, check it and store its rows; jobs read those, by digest. Training rows with their solutions are the demonstrations. A prompt that stands in two splits is refused. See docs/datasets.md.",
    form: Form::Map,
    entries: &[
        required("path", "text", "a file or a folder, relative to the recipe's folder"),
        preset("format", "choice", "auto", "how the files are written"),
        preset("columns", "map", "{prompt: prompt, answer: answer}", "which columns mean what"),
        preset("answer", "choice", "plain", "how the answer stands in its column"),
        optional(
            "rule",
            "verifier",
            "what `rule` asks, of the verifiers that compare answers and unit_tests; without it exact for plain answers, numeric for gsm8k, math for boxed",
        ),
        preset(
            "template",
            "text",
            "{prompt}",
            "what the policy reads; names of columns in braces, two braces stand for one",
        ),
        preset("completion", "text", "{solution}", "a right completion, for demonstrations and solved examples"),
        preset(
            "end",
            "line, token or a character",
            "line",
            "what ends a completion: a line end, the model's own end of text, or a character",
        ),
        optional(
            "max_tokens",
            "count",
            "longest completion; without it the longest solution in characters, at most 512",
        ),
        preset("splits", "map", "{}", "which rows each split has"),
        preset("shots", "count", "0", "solved examples put before every question, taken out of the training rows"),
        optional("tests", "choice", "what the column of tests holds, for `unit_tests`"),
        optional(
            "rows",
            "{train: N, val: N, test: N}",
            "how many rows the splits have: `--dry-run` goes by it where the files are not at hand",
        ),
        optional("stored", "map", "what was read; written by `run` and `submit`"),
    ],
    example: "tasks:\n  gsm8k:\n    files: {path: gsm8k/main, columns: {prompt: question}, answer: gsm8k, template: \"Q: {prompt}\\nA:\", completion: \" {solution}\", end: token, max_tokens: 300}",
};

const FORMAT: Topic = Topic {
    word: "format",
    place: "files",
    about: "How the files of a data set are written.",
    form: Form::Choice,
    entries: &[
        word("auto", "", "by their names: .jsonl, .json, .parquet, .arrow"),
        word("jsonl", "", "one JSON object a line, or one list of objects"),
        word("parquet", "", "Parquet"),
        word("arrow", "", "Arrow, as a stream or as a file"),
    ],
    example: "",
};

const COLUMNS: Topic = Topic {
    word: "columns",
    place: "files",
    about: "Which columns mean what. `question.text` is a column within a column, `choices.0` the first of a list.",
    form: Form::Map,
    entries: &[
        preset("prompt", "column", "prompt", "the question, `{prompt}` in templates"),
        preset("answer", "column", "answer", "the right answer, read as `answer` says"),
        optional("solution", "column", "the worked solution; without it the whole text of the answer's column"),
        optional("id", "column", "what people call the row"),
        optional("tests", "column", "tests for programs"),
        optional("entry_point", "column", "the function that a test with `check(candidate)` is asked about"),
        optional("setup", "column", "a program that stands before every test program"),
    ],
    example: "columns: {prompt: question, answer: answer}",
};

const ANSWER: Topic = Topic {
    word: "answer",
    place: "files",
    about: "How the answer stands in its column.",
    form: Form::Choice,
    entries: &[
        word("plain", "", "all of the column, without white space around"),
        word("gsm8k", "", "behind the last `####`, without commas"),
        word("boxed", "", "in the last `\\boxed{...}`"),
    ],
    example: "",
};

const SPLITS: Topic = Topic {
    word: "splits",
    place: "files",
    about: "Which rows each split has: the name of a file or of a split of the folder, or a share of the training rows. Shares are chosen by what a prompt says, so they are the same whatever the seed and the order of rows. What is left out is looked for by name (train, validation, test and their like), and is a tenth of the training rows if it is not there.",
    form: Form::Map,
    entries: &[
        optional("train", "name", "rows that rollouts take"),
        optional("val", "name or share", "rows that gates and `evaluate` in `each` may read"),
        optional("test", "name or share", "rows that only `evaluate` in `finish` may read"),
    ],
    example: "splits: {train: train.jsonl, val: 0.1, test: test.jsonl}",
};

const TESTS: Topic = Topic {
    word: "tests",
    place: "files",
    about: "What the column of tests holds.",
    form: Form::Choice,
    entries: &[
        word("asserts", "", "a list of programs with assertions, or one that defines `check(candidate)`"),
        word("inputs", "", "texts for standard input and what should come out"),
        word("calls", "", "functions with arguments and what they should return"),
    ],
    example: "",
};
