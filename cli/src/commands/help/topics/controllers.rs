//! What moves variables between generations.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] =
    &[CONTROLLERS, GRID_ARGMAX, BOUNDS, GRID_METRIC, BALANCE_SCORE, REWARD_PASS, MOVES, GRID_BUDGET];

const CONTROLLERS: Topic = Topic {
    word: "controllers",
    place: "recipe",
    about: "What moves variables, in order, at the start of a generation and before its first recipe step. See docs/controllers.md.",
    form: Form::Choice,
    entries: &[word(
        "grid_argmax",
        "map",
        "measures every point of a grid of values on held-out tasks and takes the best",
    )],
    example: "controllers:\n  - grid_argmax:\n      on: {numbers: {split: val, n: 100}}\n      search: {sample_k: {n: 16, temperature: $temperature}}\n      filter: {above: $threshold}\n      metric: {balance_score: {n_star: 8}}\n      moves: {temperature: {from: 0.5, to: 1.2, step: 0.1}, threshold: {from: -1.0, to: 1.0, step: 0.1}}",
};

const GRID_ARGMAX: Topic = Topic {
    word: "grid_argmax",
    place: "controllers",
    about: "A moved variable that `search` names is sampled anew for each of its values; one that only `filter` names is swept over the same samples. Of equal points the one nearest to the present values is taken, then the earliest.",
    form: Form::Map,
    entries: &[
        optional("as", "name", "its name; `control-N` when absent"),
        required("on", "map of selections", "held-out tasks: `{split: val, n: 100}` by task set; never the test split"),
        preset("role", "role", "policy", "who samples"),
        required("search", "choice", "how each task is searched, as in a `rollout`"),
        preset("verify", "list of verifiers", "[rule]", "what says which samples are right, and gives numbers"),
        preset(
            "by",
            "measure",
            "reward",
            "the number that `filter` looks at and `reward_pass` ranks by: reward or {score: VERIFIER}, as in the operator `filter`",
        ),
        optional("filter", "map of bounds", "which samples are selected; all when absent"),
        required("metric", "choice", "what makes a point better than another"),
        required("moves", "map of ranges", "the variables and their values, by name; at most 10000 points in all"),
        preset("every", "count", "1", "generations from one decision to the next"),
        preset("budget", "choice", "full", "how much is sampled before a point is given up"),
    ],
    example: "",
};

const BOUNDS: Topic = Topic {
    word: "bounds",
    place: "grid_argmax.filter",
    about: "Bounds of a sample's number, as in the operator `filter`; all that are given hold. A sample without the number is not selected.",
    form: Form::Map,
    entries: &[
        optional("above", "number", "greater than this"),
        optional("at_least", "number", "this or greater"),
        optional("below", "number", "less than this"),
        optional("at_most", "number", "this or less"),
    ],
    example: "",
};

const GRID_METRIC: Topic = Topic {
    word: "grid_metric",
    place: "grid_argmax.metric",
    about: "What a point of the grid is worth: the mean over tasks.",
    form: Form::Choice,
    entries: &[
        word(
            "balance_score",
            "map",
            "how many of the unique selected samples are right, and how many are wished for (B-STaR)",
        ),
        word("reward_pass", "map", "whether a right answer is among the selected samples that rank first (M-STaR)"),
        word("pass_at", "count", "the chance that one of k samples is right; without `filter`"),
        word("random", "", "a negative control: drawn by seed, with as much sampled as for the others"),
    ],
    example: "",
};

const BALANCE_SCORE: Topic = Topic {
    word: "balance_score",
    place: "grid_argmax.metric",
    about: "With n unique selected samples of a task and c right ones among them: min(c / n_star, 1) * c / n.",
    form: Form::Map,
    entries: &[preset("n_star", "count", "8", "right samples that are wished for of each task")],
    example: "",
};

const REWARD_PASS: Topic = Topic {
    word: "reward_pass",
    place: "grid_argmax.metric",
    about: "The share of tasks with a right answer among the first selected samples, the greatest number first, the earliest of equals.",
    form: Form::Map,
    entries: &[preset("top", "count", "2", "how many samples count")],
    example: "",
};

const MOVES: Topic = Topic {
    word: "moves",
    place: "grid_argmax",
    about: "The values `from`, `from + step`, ... up to `to`, of a variable that `vars` declares and recipe steps read.",
    form: Form::Map,
    entries: &[
        required("from", "number", "the first value"),
        required("to", "number", "no value is greater"),
        required("step", "number", "what lies between two values; greater than 0"),
    ],
    example: "",
};

const GRID_BUDGET: Topic = Topic {
    word: "grid_budget",
    place: "grid_argmax.budget",
    about: "How much is sampled before a point is given up. Sampled points count here; what is swept costs nothing.",
    form: Form::Choice,
    entries: &[
        word("full", "", "every point on all tasks"),
        word(
            "successive_halving",
            "",
            "every point on the first quarter of the tasks, the better half of the points on the first half of the tasks, the best quarter on all",
        ),
    ],
    example: "",
};
