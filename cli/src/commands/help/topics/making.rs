//! The verbs that make data and members: `rollout`, `curate`, `train`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[ROLLOUT, GUIDE, SPECULATE, VERIFY, MC_ROLLOUT, CURATE];

const ROLLOUT: Topic = Topic {
    word: "rollout",
    place: "recipe step",
    about: "A role searches training tasks; every trajectory is verified and committed.",
    form: Form::Map,
    entries: &[
        required("as", "name", "name of the dataset it makes"),
        required("role", "role", "who generates"),
        required(
            "tasks",
            "map: task set to count or `all`",
            "how many training tasks of each set one generation takes; successive generations take successive ones",
        ),
        required("search", "choice", "how a task is searched"),
        preset("verify", "list", "[rule]", "what decides pass or fail"),
    ],
    example: "- rollout: {as: samples, role: policy, tasks: {numbers: 200}, search: {sample_k: {n: 8, temperature: $temperature}}}",
};

const GUIDE: Topic = Topic {
    word: "guide",
    place: "sample_k, tournament, evaluate",
    about: "The form that completions are held to: only tokens that can still lead to a match are drawn, by the model's own probabilities. It speaks of the whole answer, from right behind the prompt (often a space) up to the line break that ends it, which the model writes by itself. A completion that reaches `max_tokens` first is kept as it is.",
    form: Form::Choice,
    entries: &[
        word("regex", "text", "a text that the regular expression matches wholly; without anchors and look-around"),
        word(
            "json_schema",
            "map",
            "a JSON text on one line that is valid for the schema; properties come in the schema's order",
        ),
        word("lark", "text", "a text of the grammar in the Lark-like form of llguidance; its first rule is `start`"),
        word("choice", "list of texts", "one of these texts"),
    ],
    example: "search: {sample_k: {n: 8, guide: {choice: [\" yes\", \" no\"]}}}\nsearch: {sample_k: {n: 8, max_tokens: 60, guide: {json_schema: {type: object, properties: {answer: {type: integer}}, required: [answer], additionalProperties: false}}}}",
};

const SPECULATE: Topic = Topic {
    word: "speculate",
    place: "sample_k, tournament, evaluate",
    about: "How tokens are guessed ahead of the model, which then checks several in one step. No token depends on it. An inference server behind `--engine openai` speculates as it was started.",
    form: Form::Choice,
    entries: &[
        word("off", "", "not at all"),
        word("lookup", "", "by what followed the last tokens earlier in the sequence, and by what a guide forces"),
    ],
    example: "",
};

const VERIFY: Topic = Topic {
    word: "verify",
    place: "rollout",
    about: "Verifiers: what decides about a trajectory, and what gives it numbers. A verdict is pass, fail, error, timeout or suspect; an error is never a fail. Of several the first that does not pass decides. A role is its name, or `{role: NAME, squash: none, sigmoid or tanh}`.",
    form: Form::Choice,
    entries: &[
        word("rule", "", "the task family's exact checker"),
        word("value", "role", "a number: what a scalar head says behind what was written"),
        word("orm", "role", "the same, of a role that was trained on outcomes"),
        word(
            "prm",
            "role",
            "the same, of a role that was trained on steps; with two classes the probability of the second",
        ),
        word("mc_rollout", "map", "a number: the share of sampled continuations that the rule passes"),
        word("self_log_prob", "", "a number: the mean log-probability of the tokens under the policy"),
    ],
    example: "verify: [rule, {prm: {role: critic, squash: sigmoid}}]",
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
    ],
    example: "",
};

const CURATE: Topic = Topic {
    word: "curate",
    place: "recipe step",
    about: "Applies data operators in order; what each of them drops is counted.",
    form: Form::Map,
    entries: &[
        required("as", "name", "name of the dataset it makes"),
        required(
            "from",
            "dataset or {demonstrations: TASK_SET}",
            "what it reads; demonstrations are the solved training problems of a task set",
        ),
        preset("apply", "list of operators", "[]", "applied in order"),
    ],
    example: "- curate: {as: correct, from: samples, apply: [{keep: {verdict: pass}}, dedupe, {cap: {per: task, max: 4}}]}",
};
