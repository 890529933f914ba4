//! Searches of the verb `rollout`, and the parts that they are made of.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[
    SEARCH,
    SAMPLE_K,
    UNIT,
    MERGE,
    EDIT_DISTANCE,
    BEST_OF_N,
    VOTE,
    BALLOT,
    WEIGHTED,
    STEP_BEAM,
    MCTS,
    SELECT,
    UCT,
    PUCT,
    BEST_FIRST,
    UNVISITED,
    EXTRA,
    EVALUATOR,
    BACKUP,
    BUDGET,
    WIDTH,
    SIMULATE,
    PARALLEL,
    SPREAD,
    EXTRACT,
    ID_SAMPLING,
    MULTI_TURN,
    REFINE_LOOP,
    DEBATE,
    ENV_ROLLOUT,
];

const SEARCH: Topic = Topic {
    word: "search",
    place: "rollout",
    about: "How a task is searched. Every search draws through `propose`, a map as that of `sample_k`. Tasks of a job are searched side by side, and none waits for another.",
    form: Form::Choice,
    entries: &[
        word("sample_k", "map", "independent samples"),
        word("best_of_n", "map", "of several answers the one that evaluators rank first"),
        word("vote", "map", "of several answers one of the class with the most votes"),
        word("step_beam", "map", "a tree of steps; at every depth the best nodes go on"),
        word("mcts", "map", "a tree of steps, by Monte-Carlo tree search or best-first"),
        word("id_sampling", "map", "token budgets that grow, with a trigger text between them"),
        word("multi_turn", "map", "several answers, one after the other, with an instruction between them"),
        word("refine_loop", "map", "answer, feedback, better answer"),
        word("debate", "map", "speakers who read what the others said before they answer again"),
        word("env_rollout", "map", "episodes: the policy acts in the task's environment, turn by turn"),
    ],
    example: "",
};

const SAMPLE_K: Topic = Topic {
    word: "sample_k",
    place: "rollout.search",
    about: "Independent samples of the policy. As `propose` it says how any search draws.",
    form: Form::Map,
    entries: &[
        required("n", "count", "samples per task; in trees, continuations of a node"),
        preset("temperature", "number or $name", "0.8", "0 is greedy"),
        preset("top_p", "number or $name", "1", "nucleus mass that is kept; 1 keeps all"),
        optional(
            "max_tokens",
            "count",
            "longest completion, in trees longest step, in tokens; without it the task family's own limit",
        ),
        optional("top_k", "count or $name", "so many most probable tokens are kept; without it all"),
        preset(
            "min_p",
            "number or $name",
            "0",
            "drops tokens less probable than this part of the most probable one; 0 keeps all",
        ),
        preset(
            "repetition_penalty",
            "number or $name",
            "1",
            "above 1, tokens of prompt and completion are less likely to come again; 1 changes nothing",
        ),
        optional("guide", "choice", "the form that every completion is held to; without it they are free"),
        preset("speculate", "choice", "off", "how tokens are guessed ahead; changes the speed alone"),
        preset("unit", "choice", "answer", "what a step is"),
        preset("merge", "choice", "none", "which continuations of a node count as one"),
    ],
    example: "- rollout:\n    as: samples\n    role: policy\n    tasks: {numbers: 200}\n    search: {sample_k: {n: 8, top_k: 50, guide: {regex: \" [0-9]{1,2}\"}, speculate: lookup}}",
};

const UNIT: Topic = Topic {
    word: "unit",
    place: "propose",
    about: "What ends a step of a tree. A step also ends where the answer does.",
    form: Form::Choice,
    entries: &[
        word("answer", "", "nothing before the answer's end; for searches without steps"),
        word("line", "", "the end of a line"),
        word("step", "text", "this text, which belongs to the step"),
        word("tokens", "count", "so many tokens"),
        word("turn", "", "a turn of a conversation"),
        word("code_block", "", "the fence that closes a block of code"),
    ],
    example: "",
};

const MERGE: Topic = Topic {
    word: "merge",
    place: "propose",
    about: "Siblings that count as one: the earliest stays and remembers how often it came.",
    form: Form::Choice,
    entries: &[
        word("none", "", "all are kept"),
        word("exact", "", "the same text"),
        word("edit_distance", "map", "texts that are nearly the same"),
    ],
    example: "",
};

const EDIT_DISTANCE: Topic = Topic {
    word: "edit_distance",
    place: "merge",
    about: "Merges siblings by the number of characters that must be changed.",
    form: Form::Map,
    entries: &[
        required("below", "count", "fewer edits than this are the same step"),
        preset("resample", "count", "0", "as often what was merged is drawn anew"),
    ],
    example: "merge: {edit_distance: {below: 20, resample: 5}}",
};

const BEST_OF_N: Topic = Topic {
    word: "best_of_n",
    place: "rollout.search",
    about: "Draws `propose.n` answers and keeps the one with the highest sum of the evaluators' values; ties go to the earliest.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("by", "list of evaluators", "what ranks the answers"),
    ],
    example: "search: {best_of_n: {propose: {n: 16}, by: [{verifier: {orm: critic}}]}}",
};

const VOTE: Topic = Topic {
    word: "vote",
    place: "rollout.search",
    about: "Draws `propose.n` answers and keeps one of the class with the most votes. Answers are the same if the task's rule reads the same in them.",
    form: Form::Map,
    entries: &[required("propose", "map", "as `sample_k`"), preset("by", "choice", "majority", "what a vote weighs")],
    example: "search: {vote: {propose: {n: 16}, by: {weighted: {verifier: {prm: critic}, steps: min, unit: line}}}}",
};

const BALLOT: Topic = Topic {
    word: "by",
    place: "vote",
    about: "What a vote weighs.",
    form: Form::Choice,
    entries: &[word("majority", "", "1"), word("weighted", "map", "what a verifier gives the steps of the answer")],
    example: "",
};

const WEIGHTED: Topic = Topic {
    word: "weighted",
    place: "vote.by",
    about: "Votes that weigh what a verifier gives; those of a class are added.",
    form: Form::Map,
    entries: &[
        required("verifier", "verifier", "asked behind every step of an answer"),
        required("steps", "sum, mean, product, min or last", "how the steps' scores become the answer's"),
        preset("unit", "choice", "answer", "what a step of an answer is"),
    ],
    example: "",
};

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
        word("adaptive", "{alpha: N, min: N, max: N}", "more where children's Q lie far from the node's (AlphaLLM)"),
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
    ],
    example: "",
};

const ID_SAMPLING: Topic = Topic {
    word: "id_sampling",
    place: "rollout.search",
    about: "Iterative deepening: when a budget is spent or an answer came, `trigger` is added and the policy goes on with a larger one.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("first", "count", "tokens of the first budget"),
        preset("factor", "number", "2", "each budget is so many times the one before"),
        required("most", "count", "tokens in all"),
        required("trigger", "text", "what is added behind each budget but the last"),
    ],
    example: "search: {id_sampling: {propose: {n: 4}, first: 32, most: 256, trigger: \" Wait, let me check.\"}}",
};

const MULTI_TURN: Topic = Topic {
    word: "multi_turn",
    place: "rollout.search",
    about: "Several answers to one task, one after the other; the last one is judged. Instructions are shown and not learnt.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("turns", "count", "answers"),
        required("instruction", "text", "what is put between two answers"),
    ],
    example: "search: {multi_turn: {propose: {n: 4}, turns: 2, instruction: \"There may be an error. Try again:\"}}",
};

const REFINE_LOOP: Topic = Topic {
    word: "refine_loop",
    place: "rollout.search",
    about: "The policy judges its answer and writes a better one.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("rounds", "count", "refinements at most"),
        required("feedback", "text", "what asks for feedback behind an answer"),
        required("revise", "text", "what asks for a better answer behind the feedback"),
        optional("content", "text", "a feedback that holds this ends the loop; the answer before it stands"),
    ],
    example: "",
};

const DEBATE: Topic = Topic {
    word: "debate",
    place: "rollout.search",
    about: "`propose.n` debates. Each speaker's last answer is a trajectory.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("speakers", "count", "speakers of a debate"),
        required("rounds", "count", "answers of each speaker"),
        required("others", "text", "put before what each of the others said"),
        required("again", "text", "put before a speaker's next answer"),
    ],
    example: "",
};

const ENV_ROLLOUT: Topic = Topic {
    word: "env_rollout",
    place: "rollout.search",
    about: "`propose.n` episodes of every instance of an environment. The policy reads all that was shown so far and writes an action, one line; what came of it is put behind it and is not learnt. An action that cannot be done costs its turn, and the policy reads why. An episode ends when the environment says so, with its last turn, or where no further action fits. Each turn is a span with its own reward.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`; `n` episodes, `max_tokens` an action"),
        required("turns", "count", "most actions of an episode"),
    ],
    example: "search: {env_rollout: {propose: {n: 8, temperature: 1.0}, turns: 12}}",
};
