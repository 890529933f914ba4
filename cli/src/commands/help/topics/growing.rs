//! Searches of the verb `rollout` that are trees, and the parts that they are made of.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[
    STEP_BEAM, MCTS, SELECT, UCT, PUCT, BEST_FIRST, UNVISITED, EXTRA, EVALUATOR, BACKUP, BUDGET, WIDTH, SIMULATE,
    PARALLEL, SPREAD, EXTRACT,
];

const STEP_BEAM: Topic = Topic {
    word: "step_beam",
    place: "rollout.search",
    about: "Grows all nodes of the beam, values what is new, and goes on with the best `beam` of them.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`; `unit` says what a step is"),
        required("beam", "count", "nodes of each depth that go on"),
        preset(
            "evaluate",
            "list of evaluators",
            "[{verifier: rule, when: terminal, weight: 1, backup: propagated, from_generation: 1}]",
            "what nodes are worth",
        ),
        required("budget", "map", "when it ends"),
        preset("extract", "choice", "answers", "what is taken from the tree"),
    ],
    example: "search: {step_beam: {propose: {n: 8, unit: line}, beam: 4, budget: {depth: 12}, evaluate: [{verifier: {prm: critic}, when: every}]}}",
};

const MCTS: Topic = Topic {
    word: "mcts",
    place: "rollout.search",
    about: "A tree that grows where the selector points. Trees are stored with the trajectories (`galapagos tree`) and go on from their last whole batch after a crash.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`; `unit` says what a step is"),
        preset("select", "choice", "{uct: {c: 1.414, unvisited: zero, extra: []}}", "which node grows next"),
        preset(
            "evaluate",
            "list of evaluators",
            "[{verifier: rule, when: terminal, weight: 1, backup: propagated, from_generation: 1}]",
            "what nodes are worth",
        ),
        preset("backup", "choice", "sum_mean", "what becomes of a value further up"),
        required("budget", "map", "when it ends"),
        preset("width", "choice", "fixed", "how many children a node may have"),
        preset("simulate", "choice", "to_end", "where a simulation ends"),
        preset("parallel", "map", "{leaves: 1, virtual_loss: 1}", "simulations of one tree at once"),
        optional("spread", "map", "one tree grown by several jobs"),
        optional("feedback", "map", "what the policy is shown before a further child of a node"),
        preset("extract", "choice", "answers", "what is taken from the tree"),
    ],
    example: "search:\n  mcts:\n    propose: {n: 6, temperature: 1.0, unit: line, merge: exact}\n    select: {uct: {c: 2.0, unvisited: zero}}\n    evaluate:\n      - {verifier: rule, map: {pass: 1.0, fail: -1.0}}\n      - {verifier: {prm: critic}, when: leaf, backup: local, from_generation: 2}\n    budget: {simulations: 48, depth: 16}",
};

const SELECT: Topic = Topic {
    word: "select",
    place: "mcts",
    about: "Which node grows next. N counts visits, Q is what the backup makes of values.",
    form: Form::Choice,
    entries: &[
        word("uct", "map", "down from the root by Q + c sqrt(ln N(parent) / N(child)); ties go to the earliest child"),
        word("puct", "map", "down from the root by Q + c P(child) sqrt(N(parent)) / (1 + N(child))"),
        word("best_first", "map", "the best node of the whole tree"),
    ],
    example: "",
};

const UCT: Topic = Topic {
    word: "uct",
    place: "mcts.select",
    about: "Upper confidence bounds for trees.",
    form: Form::Map,
    entries: &[
        preset("c", "number or $name", "1.414", "how much is explored"),
        preset("unvisited", "choice", "zero", "what a child without visits counts as"),
        preset("extra", "list", "[]", "terms that are added to a child's score"),
    ],
    example: "",
};

const PUCT: Topic = Topic {
    word: "puct",
    place: "mcts.select",
    about: "Exploration by what the policy holds likely.",
    form: Form::Map,
    entries: &[
        preset("c", "number or $name", "1.414", "how much is explored"),
        preset(
            "prior",
            "log_prob or uniform",
            "log_prob",
            "P(child): by the mean log-probability of its tokens, or all alike",
        ),
        preset("unvisited", "choice", "zero", "stands for the Q of a child without visits"),
        preset("extra", "list", "[]", "terms that are added to a child's score"),
    ],
    example: "",
};

const BEST_FIRST: Topic = Topic {
    word: "best_first",
    place: "mcts.select",
    about: "The node of the whole tree with the highest Q + c sqrt(ln N(parent) / N(node)); every growth is a simulation.",
    form: Form::Map,
    entries: &[
        preset("c", "number or $name", "0", "how much is explored"),
        preset("extra", "list", "[]", "terms that are added to a node's score"),
    ],
    example: "",
};

const UNVISITED: Topic = Topic {
    word: "unvisited",
    place: "uct, puct",
    about: "What a child without visits counts as. It changes the tree's shape a lot.",
    form: Form::Choice,
    entries: &[
        word("zero", "", "its Q, 0 unless a local value was given, and no exploration term (rStar-Math)"),
        word("infinity", "", "before every visited one (Agent-R)"),
        word("constant", "number", "this score, whatever else is known (MedS3: 5)"),
    ],
    example: "",
};

const EXTRA: Topic = Topic {
    word: "extra",
    place: "uct, puct, best_first",
    about: "Terms that are added to the score of a node when one is selected.",
    form: Form::Choice,
    entries: &[
        word("depth", "map", "alpha exp(-beta (d - 1)) - gamma sqrt(d) at depth d"),
        word("diversity", "number", "this times (1 - mean likeness to the siblings)"),
        word("finished", "number", "minus this if an answer was found below"),
        word("duplicate", "number", "minus this times the square of proposals below that came again"),
        word("hindsight", "number", "this times the fall from the node's own value to that of its only child"),
    ],
    example: "extra: [{depth: {alpha: 1.0, beta: 0.5, gamma: 0.1}}, {diversity: 0.2}]",
};

const EVALUATOR: Topic = Topic {
    word: "evaluator",
    place: "mcts, step_beam, best_of_n",
    about: "A verifier, when it is asked about new nodes, and what its answer is worth. An error or timeout gives no value at all.",
    form: Form::Map,
    entries: &[
        required("verifier", "verifier", "who is asked"),
        preset(
            "when",
            "terminal, every or leaf",
            "terminal",
            "at answers, at every new node, or at those that are no answer",
        ),
        optional("map", "{pass: N, fail: N}", "what verdicts are worth; without it the score, else 1 or 0"),
        preset("weight", "number", "1", "times the value"),
        preset("backup", "propagated or local", "propagated", "up to the root, or one visit of the node itself alone"),
        optional("kill_after", "count", "so many failed steps in a row end the path; then no value without `map`"),
        preset("from_generation", "count", "1", "not asked before"),
    ],
    example: "",
};

const BACKUP: Topic = Topic {
    word: "backup",
    place: "mcts",
    about: "What becomes of a new node's value further up.",
    form: Form::Choice,
    entries: &[
        word("sum_mean", "", "added to W of the node and all above; Q = W / N"),
        word("terminal_only", "", "the same for values of ends; others count no visit"),
        word("half_own_half_children", "", "Q = half of the own value, half of the children's Q by visits (MedS3)"),
        word("max", "", "Q = the best child's Q"),
        word("product", "", "Q = the product of own values from the root down"),
    ],
    example: "",
};

const BUDGET: Topic = Topic {
    word: "budget",
    place: "mcts, step_beam",
    about: "A search ends as soon as one of these is spent, or nothing is left to try. A batch that began is finished.",
    form: Form::Map,
    entries: &[
        optional("simulations", "count", "ways down the tree"),
        optional("nodes", "count", "nodes made"),
        optional("tokens", "count", "tokens sampled, by verifiers too"),
        optional("correct_leaves", "count", "answers that pass"),
        preset("depth", "count", "16", "steps from the root; a path that is as deep without an answer ends"),
        optional(
            "escalate_unsolved",
            "{from_generation: N, factor: N}",
            "so many times the budget for a tree without a right answer",
        ),
    ],
    example: "",
};

const WIDTH: Topic = Topic {
    word: "width",
    place: "mcts",
    about: "How many children a node may have.",
    form: Form::Choice,
    entries: &[
        word("fixed", "", "`propose.n`, asked for at once"),
        word("up_to", "count", "so many, in several growths of `propose.n` each"),
        word(
            "adaptive",
            "{alpha: N, min: N, max: N}",
            "more where children's Q lie far from the node's (AlphaLLM); with `root: N` the root has so many at least",
        ),
    ],
    example: "",
};

const SIMULATE: Topic = Topic {
    word: "simulate",
    place: "mcts",
    about: "Where a simulation ends.",
    form: Form::Choice,
    entries: &[
        word("to_end", "", "it grows its path until an answer is there (rStar-Math)"),
        word("one_growth", "", "with one growth of one node"),
    ],
    example: "",
};

const PARALLEL: Topic = Topic {
    word: "parallel",
    place: "mcts",
    about: "Several simulations of one tree at once; their batch ends together, so that a tree does not depend on timing.",
    form: Form::Map,
    entries: &[
        required("leaves", "count", "simulations at once"),
        preset("virtual_loss", "number", "1", "each counts as a visit of value minus this until it has ended"),
    ],
    example: "",
};

const SPREAD: Topic = Topic {
    word: "spread",
    place: "mcts",
    about: "One tree grown by several jobs, for trees that are too large for one worker: a first job grows the trunk, then in each wave `jobs` of them grow a part of it each, and what they found is put together. All have equal shares of the budget. What is found depends on these numbers, and on no worker.",
    form: Form::Map,
    entries: &[
        required("jobs", "count", "parts of the tree in a wave, from 2"),
        preset("waves", "count", "1", "how often the tree is put together and cut anew"),
    ],
    example: "search:\n  mcts:\n    propose: {n: 4, unit: line, merge: exact}\n    budget: {tokens: 200000, depth: 32}\n    spread: {jobs: 8, waves: 2}",
};

const EXTRACT: Topic = Topic {
    word: "extract",
    place: "mcts, step_beam",
    about: "What is taken from a tree as trajectories.",
    form: Form::Choice,
    entries: &[
        word("answers", "", "every answer"),
        word("ends", "", "every path that ended"),
        word("correct", "", "every answer that passes"),
        word("top", "count", "the answers with the highest Q"),
        word("discriminate", "map", "one of those, by somebody who looks at several"),
    ],
    example: "",
};
