//! The top-level fields and what they hold, apart from the recipe steps.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[
    RECIPE,
    VERBS,
    GENERATIONS,
    SOURCE,
    GOVERNANCE,
    BASE,
    CHARACTERS,
    VISION,
    ROLES,
    HEAD,
    TASKS,
    BUILTIN,
    ENV,
    STOP,
    PLATEAU,
];

const RECIPE: Topic = Topic {
    word: "recipe",
    place: "the whole file",
    about: "What an evolution starts from, what each generation does, and what is measured at the end.",
    form: Form::Map,
    entries: &[
        required("galapagos", "1", "format version"),
        required("name", "name", "short name; part of ids and of the run folder"),
        required("about", "text", "one sentence for people"),
        optional("source", "map", "the published system that this implements"),
        required("governance", "map", "why it may run"),
        required("base", "choice", "the weights that everything starts from"),
        preset(
            "priority",
            "number",
            "0",
            "-100 to 100: where several evolutions share a cluster, higher ones get free slots first, and equal ones share them",
        ),
        required("roles", "map of roles", "the networks by name; `policy` is required"),
        required("tasks", "map of task sets", "where problems come from, by name"),
        required("generations", "count", "how many times `each` runs at most"),
        preset("vars", "map of numbers", "{}", "numbers that recipe steps refer to as `$name`"),
        preset("controllers", "list of controllers", "[]", "what moves them between generations, in order"),
        preset("first", "list of recipe steps", "[]", "run once, before the first generation"),
        required("each", "list of recipe steps", "the recipe steps of one generation, in order"),
        optional("stop", "choice", "when to stop before `generations` are done"),
        required(
            "finish",
            "list of recipe steps",
            "run once, at the end; `evaluate` only, and only here may it read the sealed test split",
        ),
        optional(
            "control",
            "choice",
            "the negative control that `reproduce` runs beside the recipe, at the same budget",
        ),
    ],
    example: "extends: quickstart.yaml     # or [one.yaml, other.yaml]: takes everything from there, later files over earlier ones,\n                             # and changes what follows: maps deeply, recipe steps by `as`, a `train` without one by its role\nname: hotter\nvars: {temperature: 1.0}\neach:\n  - train: {role: critic, omit: true}                                # takes a recipe step away\n  - curate: {as: few, from: samples, before: correct}    # puts one in front of another",
};

const VERBS: Topic = Topic {
    word: "each",
    place: "first, each, finish",
    about: "A recipe step is a map with one key, its verb. It reads what earlier recipe steps named with `as`.",
    form: Form::Choice,
    entries: &[
        word("rollout", "map", "a role searches tasks: makes verified trajectories"),
        word("curate", "map", "applies data operators: makes a dataset"),
        word("train", "map", "trains one member of a role in one round: makes a candidate"),
        word("tournament", "map", "bouts between two members behind a gate: may promote"),
        word("evaluate", "map", "measures members on tasks: makes scores with intervals"),
        word("propose", "map", "a role writes new questions: makes a set of tasks whose answers nobody knows"),
    ],
    example: "",
};

const GENERATIONS: Topic = Topic {
    word: "generations",
    place: "rollout, curate, train, tournament, evaluate, propose",
    about: "The generations in which a recipe step of `each` runs; in others it is passed over. What it reads must have been made in its first one or before: the newest that there is.",
    form: Form::Map,
    entries: &[
        preset("from", "count", "1", "the first one"),
        optional("to", "count", "the last one; without it all that follow"),
    ],
    example: "- train: {as: first-stage, role: policy, promote: true, on: turns, loss: {pg: {}}, lr: 1.0e-6, generations: {to: 5}}\n- train: {as: second-stage, role: policy, promote: true, on: shaped, loss: {pg: {}}, lr: 1.0e-6, generations: {from: 6}}",
};

const SOURCE: Topic = Topic {
    word: "source",
    place: "recipe",
    about: "The published system that the recipe implements.",
    form: Form::Map,
    entries: &[
        required("title", "text", "title of the publication"),
        optional("arxiv", "text", "its arXiv number, in quotes"),
    ],
    example: "",
};

const GOVERNANCE: Topic = Topic {
    word: "governance",
    place: "recipe",
    about: "Short answers about purpose and oversight; none may be empty.",
    form: Form::Map,
    entries: &[
        required("purpose", "text", "what it is for"),
        required("data", "text", "where the data comes from"),
        required("risks", "text", "what could go wrong"),
        required("oversight", "text", "who can stop it, and how"),
        required("contact", "text", "whom to ask"),
    ],
    example: "",
};

const BASE: Topic = Topic {
    word: "base",
    place: "recipe",
    about: "The weights that everything starts from.",
    form: Form::Choice,
    entries: &[
        word("model", "text", "a folder name in the model store, or the path of a Hugging Face folder"),
        word("characters", "map", "a character transformer with random weights drawn by the run's seed"),
    ],
    example: "",
};

const CHARACTERS: Topic = Topic {
    word: "characters",
    place: "base",
    about: "Shape of a Llama-style transformer that reads one character per token.",
    form: Form::Map,
    entries: &[
        required("alphabet", "text", "the characters, each one token; the newline is always in"),
        required("layers", "count", "transformer layers"),
        required("hidden", "count", "width; a multiple of twice the heads"),
        required("heads", "count", "attention heads"),
        required("ffn", "count", "width of the feed-forward part"),
        required("context", "count", "longest sequence in tokens, patches of images counted"),
        optional("vision", "map", "an encoder of images; without it the model reads text alone"),
    ],
    example: "",
};

const VISION: Topic = Topic {
    word: "vision",
    place: "characters",
    about: "A small encoder of one-bit images, trained with the model from random weights: each patch of 4 x 4 pixels is a token, and a perceptron with residual blocks makes the token's embedding of its pixels and its place. It loads no published vision model. See docs/models.md.",
    form: Form::Map,
    entries: &[
        required("hidden", "count", "width"),
        required("layers", "count", "blocks of two products with GELU between them"),
    ],
    example: "base: {characters: {alphabet: \" #+0123456789:=AQ\", layers: 2, hidden: 64, heads: 4, ffn: 128, context: 96, vision: {hidden: 64, layers: 2}}}",
};

const ROLES: Topic = Topic {
    word: "roles",
    place: "recipe",
    about: "Each role is a network: where its weights start, and what stands on top of them.",
    form: Form::Map,
    entries: &[
        required("init", "`base` or a role", "the weights it starts from"),
        preset("head", "choice", "lm", "what stands on top of the trunk"),
    ],
    example: "roles:\n  policy: {init: base}\n  critic: {init: base, head: scalar}",
};

const HEAD: Topic = Topic {
    word: "head",
    place: "roles",
    about: "What stands on top of a role's trunk.",
    form: Form::Choice,
    entries: &[
        word("lm", "", "next-token logits: it can generate"),
        word("scalar", "", "one number per position: it can rank"),
        word("classes", "count", "so many numbers per position: classes of a critic, actions of a Q-function"),
    ],
    example: "",
};

const TASKS: Topic = Topic {
    word: "tasks",
    place: "recipe",
    about: "Task sets by name. The test split is sealed until `finish`.",
    form: Form::Choice,
    entries: &[
        word("builtin", "map", "problems that are generated here and checked exactly"),
        word("files", "map", "problems from data files"),
        word("env", "map", "instances of an environment, played turn by turn"),
    ],
    example: "tasks:\n  numbers: {builtin: {family: largest_of_five, train: 400, val: 200, test: 200, shots: 4}}",
};

const BUILTIN: Topic = Topic {
    word: "builtin",
    place: "tasks",
    about: "A procedural task set. Its splits are disjoint by canonical problem: no test problem is a reordering of a training problem (but of `enumerable`, whose splits share their contexts).",
    form: Form::Map,
    entries: &[
        required("family", "family", "what the problems are"),
        required("train", "count", "problems that rollouts take"),
        required("val", "count", "problems that gates and `evaluate` in `each` may read"),
        required("test", "count", "problems that only `evaluate` in `finish` may read"),
        preset("demonstrations", "count", "0", "training problems given with their answers, apart from `train`"),
        preset("shots", "count", "0", "solved examples put before every question"),
        optional("style", "style", "how demonstrations are worked; `direct` when absent"),
        optional("taken_back", "taken_back", "when demonstrated searches take a dead end back; `at_once` when absent"),
        optional("begun", "begun", "what every prompt of the set has begun already; `none` when absent"),
    ],
    example: "",
};

const ENV: Topic = Topic {
    word: "env",
    place: "tasks",
    about: "Instances of an environment, which a policy plays turn by turn: one line of text an action. Built in by its `name` (countdown, arithmetic, list_program, repository, text_world, grid, life, bandit, chain), or behind HTTP by its `url`. Splits share no instance. See docs/environments.md.",
    form: Form::Map,
    entries: &[
        optional("name", "text", "of a built-in environment; of a served one for people only"),
        optional("url", "text", "a server of the protocol, for example http://127.0.0.1:8080"),
        preset("config", "map", "{}", "the environment's own options; `rules` for those of all built-in ones"),
        required("train", "count", "instances that rollouts take"),
        required("val", "count", "instances that gates and `evaluate` in `each` may read"),
        required("test", "count", "instances that only `evaluate` in `finish` may read"),
        required(
            "tokens",
            "count",
            "longest episode behind its first observation (with `begun`, behind what was done by then), other observations counted; it is cut before it is longer",
        ),
        preset("max_tokens", "count", "32", "longest action"),
        optional("instruction", "text", "what stands before the first observation"),
        optional(
            "ask",
            "text",
            "what stands behind each observation and asks for an action; a new line with `> ` when absent",
        ),
        preset("legal", "true or false", "false", "each observation is followed by what may be done"),
        preset("deadline", "seconds", "60", "of one call to a server, with its tries"),
        preset("retries", "count", "2", "how often a turn that the server failed is tried again, in a new session"),
        optional(
            "begun",
            "{actions: N}",
            "every episode begins behind so many actions that are not the policy's: drawn by the instance's seed among those that may be done, \
             bring no reward and do not end it. They stand in what the policy reads first",
        ),
    ],
    example: "tasks:\n  maze: {env: {name: grid, config: {rows: 4, columns: 4}, train: 200, val: 50, test: 50, tokens: 900}}",
};

const STOP: Topic = Topic {
    word: "stop",
    place: "recipe",
    about: "When an evolution ends before its last generation; `finish` runs all the same.",
    form: Form::Choice,
    entries: &[
        word("any", "list of rules", "as soon as one of these rules holds"),
        word("plateau", "map", "a metric did not rise for some generations"),
    ],
    example: "stop: {any: [{plateau: {metric: pass_at_1, generations: 2}}]}",
};

const PLATEAU: Topic = Topic {
    word: "plateau",
    place: "stop",
    about: "The metric of the last `evaluate` in `each` did not rise.",
    form: Form::Map,
    entries: &[
        required("metric", "metric", "what must rise"),
        required("generations", "count", "for how many generations it may stay"),
    ],
    example: "",
};
