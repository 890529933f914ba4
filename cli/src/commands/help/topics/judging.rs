//! The verbs that judge: `tournament`, `evaluate`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] =
    &[TOURNAMENT, SPLIT, BOUT, JUDGE, GATE, SPRT, EVALUATE, METRICS, BEST_OF, PAIR_ACCURACY, NUMBERS, RERANK];

const TOURNAMENT: Topic = Topic {
    word: "tournament",
    place: "recipe step",
    about: "Bouts between the holder of a role and a challenger; the challenger is promoted only if the gate proves it better.",
    form: Form::Map,
    entries: &[
        optional("as", "name", "name of the ladder"),
        required("between", "[member, member]", "the holder (`champion`) and the challenger that a `train` named"),
        required("tasks", "map: task set to {split, n}", "what is played on; never the test split"),
        preset("bout", "choice", "mirrored", "how a bout is played"),
        preset("judge", "choice", "verifier", "who decides a bout"),
        required("gate", "choice", "what must be proven before a promotion"),
        required("promote", "role", "the role that a proven challenger takes"),
        preset("max_pairs", "count", "400", "mirrored pairs after which an undecided gate refuses"),
        preset("temperature", "number or $name", "0.8", "temperature of the bouts' samples"),
        optional("max_tokens", "count", "longest completion in tokens; without it the task family's own limit"),
        optional("guide", "choice", "the form that the completions of both sides are held to"),
        preset("speculate", "choice", "off", "how tokens are guessed ahead; changes the speed alone"),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
    ],
    example: "- tournament:\n    between: [champion, candidate]\n    tasks: {numbers: {split: val}}\n    gate: {sprt: {elo: [0, 30], alpha: 0.05, beta: 0.05}}\n    promote: policy",
};

const SPLIT: Topic = Topic {
    word: "split",
    place: "tournament.tasks, evaluate.tasks",
    about: "Which tasks of a set are read: {split: val, n: 100}.",
    form: Form::Map,
    entries: &[
        required("split", "train, val, test or demonstrations", "the part of the set; `test` only in `finish`"),
        preset("n", "count or `all`", "all", "how many of them, from the first"),
    ],
    example: "",
};

const BOUT: Topic = Topic {
    word: "bout",
    place: "tournament",
    about: "How a bout is played.",
    form: Form::Choice,
    entries: &[word(
        "mirrored",
        "",
        "two bouts on one task with the random streams swapped between the sides; the pair is one observation",
    )],
    example: "",
};

const JUDGE: Topic = Topic {
    word: "judge",
    place: "tournament",
    about: "Who decides a bout. The verifier `judge` is explained under `judging`.",
    form: Form::Choice,
    entries: &[word("verifier", "", "a side that passes beats one that fails; otherwise a draw")],
    example: "",
};

const GATE: Topic = Topic {
    word: "gate",
    place: "tournament",
    about: "What must be proven before a promotion.",
    form: Form::Choice,
    entries: &[word("sprt", "map", "sequential probability ratio test on mirrored pairs")],
    example: "",
};

const SPRT: Topic = Topic {
    word: "sprt",
    place: "tournament.gate",
    about: "Plays until one of two Elo differences is as good as refuted.",
    form: Form::Map,
    entries: &[
        required("elo", "[number, number]", "Elo difference under the null and under the alternative hypothesis"),
        required("alpha", "number", "chance of a promotion under the null"),
        required("beta", "number", "chance of a refusal under the alternative"),
    ],
    example: "",
};

const EVALUATE: Topic = Topic {
    word: "evaluate",
    place: "recipe step",
    about: "Measures members on tasks; every value has a 95% interval. What it reads from the test split is never used to select.",
    form: Form::Map,
    entries: &[
        optional("as", "name", "name of the scores"),
        required(
            "members",
            "list of members",
            "`base`, `champion` (the policy role's current member), a role, or a member that a `train` named",
        ),
        required("tasks", "map: task set to {split, n}", "what is measured on"),
        preset("metrics", "list of metrics", "[]", "what is measured"),
        preset(
            "searches",
            "map: name to search",
            "{}",
            "searches that are measured: the share of tasks solved against the tokens sampled; trees with `extract: {top: 1}`. One that \
             asks for the right answer on its way, or for what an environment pays, is marked `told`. Of environments: `env_rollout`, and \
             `mcts` and `step_beam` with `unit: turn`; an `evaluate` for them, and another for tasks that are answered",
        ),
        preset("rerank", "map", "{n: 8}", "the baseline that stands beside them"),
        optional(
            "numbers",
            "map: name to number",
            "what a verifier gives completions, in the mean: its score, else 1 for a pass and 0 for a fail",
        ),
        preset(
            "temperature",
            "number or $name",
            "0.8",
            "of the samples behind `pass_at`, `best_of` and `pair_accuracy`; `pass_at_1` is greedy",
        ),
        optional("max_tokens", "count", "longest completion in tokens; without it the task family's own limit"),
        optional("guide", "choice", "the form that all completions are held to, the greedy one too"),
        preset("speculate", "choice", "off", "how tokens are guessed ahead; changes the speed alone"),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
    ],
    example: "- evaluate: {members: [champion], tasks: {numbers: {split: val, n: 50}}, metrics: [pass_at_1, {pass_at: 8}, {best_of: {n: 8, by: critic}}]}",
};

const METRICS: Topic = Topic {
    word: "metrics",
    place: "evaluate",
    about: "A metric over tasks.",
    form: Form::Choice,
    entries: &[
        word("pass_at_1", "", "share of tasks whose greedy completion passes"),
        word("pass_at", "count", "expected share of tasks with a pass among so many samples (unbiased estimator)"),
        word("best_of", "map", "share of tasks whose best sample, as a scalar role ranks them, passes"),
        word(
            "pair_accuracy",
            "map",
            "of two samples of a task, one that passes and one that fails, how often a scalar role gives the passed one the higher score; a tie is half, tasks without both do not count",
        ),
        word("number", "name", "not to be written: one of `numbers`"),
        word("search", "name", "not to be written: what a search of `searches` is measured by"),
        word("rerank", "count", "not to be written: the same of the baseline"),
    ],
    example: "",
};

const NUMBERS: Topic = Topic {
    word: "numbers",
    place: "evaluate",
    about: "Numbers by a name of the reader's choice, which experiments read as `{number: NAME}`. Each is of a verifier and a search; a verdict that decides nothing ends the job.",
    form: Form::Map,
    entries: &[
        required("verifier", "verifier", "whose score counts"),
        optional("search", "choice", "how completions are made; without it one greedy answer"),
    ],
    example: "- evaluate:\n    members: [champion]\n    tasks: {sums: {split: val}}\n    numbers:\n      \
              checks: {verifier: {behaviour: verification}, search: {sample_k: {n: 4, temperature: 1.0}}}",
};

const RERANK: Topic = Topic {
    word: "rerank",
    place: "evaluate",
    about: "The baseline of `searches`: of n whole answers, sampled as the first search samples, the one that a verifier ranks first; \
            of environments of n whole episodes, with as many turns as that search has (`turns`, of a tree `depth`). It is always \
            measured with them, and for fewer tokens too. What knows the right answer or the outcome cannot rank.",
    form: Form::Map,
    entries: &[
        preset("n", "count", "8", "answers or episodes per task"),
        optional(
            "by",
            "verifier",
            "who ranks; without it the first verifier of the searches that asks a role, else `self_log_prob`",
        ),
    ],
    example: "- evaluate:\n    members: [champion]\n    tasks: {numbers: {split: val, n: 50}}\n    searches:\n      vote: {vote: {propose: {n: 8}}}\n    rerank: {n: 8, by: self_log_prob}",
};

const BEST_OF: Topic = Topic {
    word: "best_of",
    place: "evaluate.metrics",
    about: "Best of some samples, as a critic ranks them.",
    form: Form::Map,
    entries: &[
        required("n", "count", "samples per task"),
        required("by", "role", "a trained role with `head: scalar`"),
    ],
    example: "",
};

const PAIR_ACCURACY: Topic = Topic {
    word: "pair_accuracy",
    place: "evaluate.metrics",
    about: "How well a critic tells right from wrong: of two samples of a task, one that passes and one that fails, how often the passed one has the higher score. A tie is half. The mean over tasks that have both; 0.5 is chance.",
    form: Form::Map,
    entries: &[
        required("n", "count", "samples per task, two or more"),
        required("by", "role", "a trained role with `head: scalar`"),
    ],
    example: "",
};
