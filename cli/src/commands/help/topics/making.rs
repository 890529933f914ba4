//! The verbs that make data and members: `rollout`, `curate`, `train`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[ROLLOUT, GUIDE, SPECULATE, CURATE, PROPOSE];

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
            "how many training tasks of each set one generation takes; successive generations take successive ones; of tasks that a `propose` made, as many as are sure to be there, or `all`",
        ),
        required("search", "choice", "how a task is searched"),
        preset("verify", "list", "[rule]", "what decides pass or fail"),
        preset(
            "retry",
            "count",
            "2",
            "times that a verifier is asked again that erred or ran out of time and may do so by chance (it runs programs, or draws); then it stays an error",
        ),
        preset(
            "most_errors",
            "number",
            "0.5",
            "the share of errors among a job's verdicts above which it fails with the most frequent reason, if they are of 4 tasks or more; 1: never",
        ),
        optional(
            "canaries",
            "rate or map",
            "known answers among the real ones, which find verifiers that pass what is wrong",
        ),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
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

const CURATE: Topic = Topic {
    word: "curate",
    place: "recipe step",
    about: "Applies data operators in order; what each of them drops is counted. Several datasets are read one behind the other; `mix` takes them in proportion.",
    form: Form::Map,
    entries: &[
        required("as", "name", "name of the dataset it makes"),
        required(
            "from",
            "dataset, [dataset, ...], {demonstrations: TASK_SET} or {questions: TASK_SET}",
            "what it reads; of a list all records of the first, then those of the next; demonstrations are the solved training problems of a task set; questions are its training questions, each behind `seeds` others (4), as `propose` shows them: what a policy learns to ask from",
        ),
        preset("apply", "list of operators", "[]", "applied in order"),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
    ],
    example: "- curate: {as: correct, from: samples, apply: [{keep: {verdict: pass}}, dedupe, {cap: {per: task, max: 4}}]}",
};

const PROPOSE: Topic = Topic {
    word: "propose",
    place: "recipe step",
    about: "A role is shown a few training questions, a line each, and writes another one, again and again. What is no question of the kind, is known, is or may be held out, or came before is refused and counted. What is left is a set of tasks without known answers: `rollout` searches it where nothing asks for the right answer, and nothing is measured on it. Questions can be read back of sort_six_digits, sort_three_digits, countdown, countdown_steps, largest_of_five, smallest_of_five, letters_in_word, first_in_alphabet and odd_one_out; of `files` any line is one.",
    form: Form::Map,
    entries: &[
        required("as", "name", "name of the tasks it makes"),
        required("role", "role", "who writes"),
        required("kind", "tasks", "what is written"),
        required("like", "name", "the task set whose training questions are shown"),
        required("n", "count", "most questions that are kept"),
        optional("tries", "count", "questions that are written; without it twice `n`"),
        optional("at_least", "count", "with fewer the recipe step fails; without it `n`"),
        preset("seeds", "count", "4", "training questions that are shown each time, drawn anew"),
        preset("temperature", "number or $name", "1", "of sampling"),
        preset("top_p", "number or $name", "1", "nucleus mass kept; 1 keeps all"),
        optional(
            "max_tokens",
            "count",
            "longest question in tokens, its line end counted; without it the longest known prompt in characters, at most 512",
        ),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
    ],
    example: "- propose: {as: imagined, role: policy, kind: tasks, like: numbers, n: 50, tries: 400, at_least: 10}",
};
