//! Verifiers, of the verb `rollout` and of evaluators.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[
    VERIFY,
    EXACT,
    NUMERIC,
    LIST,
    MULTIPLE_CHOICE,
    REGEX,
    JSON_SCHEMA,
    MATH,
    STEP_EXECUTOR,
    UNIT_TESTS,
    MC_ROLLOUT,
    BEHAVIOUR,
    TURNS,
    CONSISTENCY,
    ENV_RETURN,
    SUCCESS_CLASSIFIER,
    READ,
];

const VERIFY: Topic = Topic {
    word: "verify",
    place: "rollout",
    about: "Verifiers: what decides about a trajectory, and what gives it numbers. A verdict is pass, fail, error, timeout or suspect; an error is never a fail. Of several the first that does not pass decides. A role is its name, or `{role: NAME, squash: none, sigmoid or tanh, pass_at: NUMBER}`; with `pass_at` it passes from that number on and decides, without it gives a number.",
    form: Form::Choice,
    entries: &[
        word("rule", "", "the task set's own checker"),
        word("exact", "map", "the answer is the expected text"),
        word("numeric", "map", "the answer is the expected number, or near it"),
        word("list", "map", "the answer has the expected elements"),
        word("multiple_choice", "map", "the answer is the expected letter"),
        word("regex", "map", "the completion matches"),
        word("json_schema", "map", "the completion has JSON that is valid for a schema"),
        word("math", "map", "the answer is the expected one in mathematics: LaTeX, fractions, units, expressions"),
        word(
            "working",
            "",
            "the steps so far can be done: of arithmetic_steps, countdown_steps, rendered_sums and the families that sort, a list_program does what is shown, and the letters of sum_review are those of wrong sums, with their F1 as its score; says nothing of where they lead",
        ),
        word("step_executor", "map", "the Python of every step runs, in the sandbox"),
        word("unit_tests", "map", "the answer, a program, passes the tests of its task, in the sandbox"),
        word(
            "value",
            "role",
            "a number: what a scalar head says behind what was written; of a head of classes the probability of the last class, the best one",
        ),
        word("orm", "role", "the same, of a role that was trained on outcomes"),
        word(
            "prm",
            "role",
            "the same, of a role that was trained on steps; with two classes the probability of the second",
        ),
        word(
            "mc_rollout",
            "map",
            "a number: the share of sampled continuations that the rule passes, or the mean of what a critic gives them",
        ),
        word("self_log_prob", "", "a number: the mean log-probability of the tokens under the policy"),
        word(
            "sequence_log_prob",
            "",
            "a number: the log-probability of the whole answer under the policy, the sum over its tokens",
        ),
        word("behaviour", "choice", "a number: how often the answer shows a behaviour, in 100 words"),
        word("env_return", "map", "of episodes: what the environment paid, and whether that is enough"),
        word("success_classifier", "map", "of episodes: a role that says behind the last turn whether it succeeded"),
        word(
            "turns",
            "choice",
            "a number: how the first and the last answer of several turns differ, by the task's rule",
        ),
        word("consistency", "choice", "a number: how the answers of a task agree; in `verify` only"),
        word("rules", "list or map", "symbolic rules, named by the verdict where they are broken"),
        word("judge", "map", "a language model says whether the answer is good: see `judging`"),
        word("judge_pair", "map", "a number: how the answer does against the others of its task; in `verify` only"),
        word("principles", "map", "a language model judges by one principle at a time"),
        word("first_error", "map", "no step is wrong; else which is the first"),
        word("combine", "map", "what several verifiers come to"),
        word("repeat", "map", "what a verifier that draws says when it is asked several times"),
        word("uncertainty", "map", "a role's number less its doubt"),
    ],
    example: "verify: [rule, {prm: {role: critic, squash: sigmoid}}, {consistency: share}]",
};

const READ_DEFAULT: &str = "[boxed, hashes, phrase, last_line]";
const READ_ABOUT: &str = "where the answer is looked for; the first place that has something counts";

const EXACT: Topic = Topic {
    word: "exact",
    place: "verify",
    about: "The answer is the expected text, space around it apart.",
    form: Form::Map,
    entries: &[
        preset("read", "list of places", "[whole]", READ_ABOUT),
        preset("fold_case", "true or false", "false", "upper and lower case are the same"),
        preset("strip_marks", "true or false", "false", "dots, quotes and their like around the answer do not count"),
    ],
    example: "",
};

const NUMERIC: Topic = Topic {
    word: "numeric",
    place: "verify",
    about: "The answer is the expected number: decimals, thousands separators, fractions, percentages, currency signs, scientific notation.",
    form: Form::Map,
    entries: &[
        preset("read", "list of places", READ_DEFAULT, READ_ABOUT),
        preset("which", "first or last", "last", "which number of what was read"),
        preset("absolute", "number", "0", "largest difference"),
        preset("relative", "number", "0", "largest difference as a part of the expected number"),
    ],
    example: "verify: [{numeric: {relative: 0.001}}]",
};

const LIST: Topic = Topic {
    word: "list",
    place: "verify",
    about: "The answer has the expected elements, without regard to case and to marks around them.",
    form: Form::Map,
    entries: &[
        preset("read", "list of places", READ_DEFAULT, READ_ABOUT),
        preset("separator", "text", ",", "what stands between elements"),
        preset("ordered", "true or false", "false", "whether their order counts"),
    ],
    example: "",
};

const MULTIPLE_CHOICE: Topic = Topic {
    word: "multiple_choice",
    place: "verify",
    about: "The answer is the expected letter: `(B)`, `B.`, `answer: B`. Two different letters are no answer.",
    form: Form::Map,
    entries: &[preset("read", "list of places", READ_DEFAULT, READ_ABOUT)],
    example: "",
};

/// What a verifier of texts reads.
const OVER: &str = "what is read of an episode: its last action, or all that was done and shown";

const REGEX: Topic = Topic {
    word: "regex",
    place: "verify",
    about: "The completion matches a regular expression (syntax of the Rust crate `regex`).",
    form: Form::Map,
    entries: &[
        required("pattern", "text", "the expression"),
        preset("whole", "true or false", "false", "the whole completion must match, not a part of it"),
        optional("capture", "name or number", "the group that must be the expected answer"),
        preset("over", "answer or episode", "answer", OVER),
    ],
    example: "",
};

const JSON_SCHEMA: Topic = Topic {
    word: "json_schema",
    place: "verify",
    about: "The first JSON of the completion is valid for a schema. References to other documents are refused.",
    form: Form::Map,
    entries: &[
        required("schema", "map", "JSON Schema"),
        preset("equal", "true or false", "false", "it must also be the expected answer"),
    ],
    example: "",
};

const MATH: Topic = Topic {
    word: "math",
    place: "verify",
    about: "The answer is the expected one in mathematics. What is too large to be compared is `suspect`, which is no fail.",
    form: Form::Map,
    entries: &[
        preset(
            "units",
            "drop, where_given or compare",
            "where_given",
            "what units count for: nothing, where both sides name one, always",
        ),
        preset("rounded_places", "count", "6", "a decimal with so many places also stands for what rounds to it"),
    ],
    example: "",
};

const STEP_EXECUTOR: Topic = Topic {
    word: "step_executor",
    place: "verify",
    about: "Runs the Python of all steps in one sandboxed process; passes if the last one runs. Code is what stands between fences, or the whole step. Workers whose host is below `--sandbox-floor` refuse such jobs.",
    form: Form::Map,
    entries: &[preset(
        "seconds",
        "count",
        "5",
        "what one step may take; one that takes longer is tried again, and then undecided",
    )],
    example: "",
};

const UNIT_TESTS: Topic = Topic {
    word: "unit_tests",
    place: "verify",
    about: "Runs the tests that a task brings (`tests` of a data set) against the program in an answer, in the sandbox. The score is the share of tests that passed; a program that did not answer in time is tried again, and then `timeout`. Code is what stands between fences, or the whole answer. Workers whose host is below `--sandbox-floor` refuse such jobs.",
    form: Form::Map,
    entries: &[
        preset("seconds", "count", "5", "what one test may take"),
        preset("all_seconds", "count", "30", "what all tests of an answer may take"),
        preset("behind_prompt", "true or false", "false", "the program is the question with the answer behind it"),
        optional(
            "examples",
            "count",
            "only the first so many tests of a task, which its text shows as examples: a search that asks them knows no more than a user",
        ),
    ],
    example: "verify: [{unit_tests: {seconds: 5}}]",
};

const MC_ROLLOUT: Topic = Topic {
    word: "mc_rollout",
    place: "verify",
    about: "Continues a path to an answer several times.",
    form: Form::Map,
    entries: &[
        required("samples", "count", "continuations"),
        preset("temperature", "number", "1", "of the continuations"),
        optional("max_tokens", "count", "longest continuation; without it the task family's own limit"),
        optional(
            "role",
            "role",
            "who continues, for example a smaller and faster policy; without it the policy that is searched",
        ),
        optional(
            "by",
            "verifier",
            "what judges each continuation, whose mean score counts; without it the task's rule, and the share that passes",
        ),
    ],
    example: "evaluate: [{verifier: {mc_rollout: {samples: 4, role: fast, by: {orm: critic}}}, when: leaf}]",
};

const BEHAVIOUR: Topic = Topic {
    word: "behaviour",
    place: "verify",
    about: "What is counted in an answer, by lists of phrases (\"Four Habits\", arXiv 2503.01307).",
    form: Form::Choice,
    entries: &[
        word("verification", "", "checking a result"),
        word("backtracking", "", "giving up a path"),
        word("sub_goal", "", "naming a step on the way"),
        word("backward_chaining", "", "reasoning from the goal"),
    ],
    example: "",
};

const TURNS: Topic = Topic {
    word: "turns",
    place: "verify",
    about: "Numbers of answers in several turns (`multi_turn`), for `numbers` of `evaluate`. The task's own rule is asked about the first answer and about the last one; a pass is 1, a fail 0.",
    form: Form::Choice,
    entries: &[
        word("first", "", "of the first answer"),
        word("last", "", "of the last answer"),
        word("gain", "", "the last less the first"),
        word("gained", "", "1 where the first fails and the last passes, else 0"),
        word("lost", "", "1 where the first passes and the last fails, else 0"),
        word(
            "edit",
            "",
            "the share of characters that changed between the two (Levenshtein over the longer length); the rule is not asked",
        ),
    ],
    example: "- evaluate:\n    members: [champion]\n    tasks: {sums: {split: val}}\n    numbers:\n      gain: {verifier: {turns: gain}, search: {multi_turn: {propose: {n: 1}, turns: 2, instruction: \" Again:\"}}}",
};

const CONSISTENCY: Topic = Topic {
    word: "consistency",
    place: "verify",
    about: "How the answers of one task agree. Answers are the same if the task's rule reads the same in them.",
    form: Form::Choice,
    entries: &[
        word("share", "", "the share of answers that are the same as this one"),
        word("entropy", "", "entropy of the classes of same answers, in nats"),
        word("contradiction", "", "1 if they are not all the same, else 0"),
    ],
    example: "",
};

const READ: Topic = Topic {
    word: "read",
    place: "exact, numeric, list, multiple_choice",
    about: "Where an answer is looked for.",
    form: Form::Choice,
    entries: &[
        word("boxed", "", "in the last \\boxed{...}"),
        word("hashes", "", "behind the last ####, as GSM8K writes answers"),
        word("phrase", "", "behind \"the answer is\", \"answer:\" and their like"),
        word("last_line", "", "in the last line that is not empty"),
        word("whole", "", "everywhere"),
    ],
    example: "",
};

const ENV_RETURN: Topic = Topic {
    word: "env_return",
    place: "verify",
    about: "The return of an episode: each turn's reward times `gamma` to the power of the turns before it. The score is the return. In a tree it may be asked `when: every`. What the environment failed is an error or a timeout, and never a return of zero.",
    form: Form::Map,
    entries: &[
        preset("gamma", "number", "1", "from 0 to 1"),
        optional(
            "pass_at",
            "number",
            "least return that passes; without it an episode passes that the environment scores 1",
        ),
    ],
    example: "verify: [{env_return: {gamma: 0.95}}]",
};

const SUCCESS_CLASSIFIER: Topic = Topic {
    word: "success_classifier",
    place: "verify",
    about: "A role with `head: scalar` or of classes, asked once behind the whole episode. It decides beside others; put `env_return` first to have the return as the reward.",
    form: Form::Map,
    entries: &[
        required("role", "role", "who is asked"),
        preset("pass_at", "number", "0.5", "least number that passes; of two classes the probability of the second"),
        preset("squash", "none, sigmoid or tanh", "sigmoid", "what becomes of a scalar head's number"),
    ],
    example: "",
};
