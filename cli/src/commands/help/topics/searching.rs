//! Searches of the verb `rollout` that have no branches, and what all searches have; trees are in `growing`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[SEARCH, SAMPLE_K, UNIT, MERGE, EDIT_DISTANCE, BEST_OF_N, VOTE, BALLOT, WEIGHTED];

/// Those behind the trees.
pub const CHAINS: &[Topic] = &[ID_SAMPLING, MULTI_TURN, REFINE_LOOP, DEBATE, ENV_ROLLOUT];

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
        word("critic_sampling", "map", "answers that are tested, then refined or repaired where a critic says"),
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
        preset(
            "greedy",
            "true or false",
            "false",
            "of rollouts: the task's most probable answer as well, marked, so that `baseline: greedy` can compare with it",
        ),
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
    about: "Several answers to one task, one after the other; the verifiers judge the last one. Each answer is a span (a turn); instructions are shown and not learnt. With `judge: every` the task's rule also judges each answer by itself, and its span has that as its value: the rule's score, else 1 for a pass and 0 for a fail. Credit turn by turn (`pg`) and `shape_turns` read it. If one of them is not decided, nothing is decided of the whole.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("turns", "count", "answers"),
        required("instruction", "text", "what is put between two answers"),
        preset("judge", "last or every", "last", "which answers the task's rule judges"),
    ],
    example: "search: {multi_turn: {propose: {n: 4}, turns: 2, instruction: \"There may be an error. Try again:\", judge: every}}",
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
        preset(
            "by",
            "list of evaluators",
            "[]",
            "keeps one episode of a task: that with the highest sum of their values, asked behind the last turn; ties go to the earliest. \
             Episodes that the environment failed are told beside it. Empty: all are kept",
        ),
    ],
    example: "search: {env_rollout: {propose: {n: 8, temperature: 1.0}, turns: 12}}",
};
