//! The verb `train`: data, how weights move, what guards a round.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

/// The verb itself, which [`super::losses`] follow.
pub(super) const VERB: &[Topic] = &[TRAIN];

pub(super) const TOPICS: &[Topic] =
    &[START, OPTIMISER, ADAMW, SGD, MUON, SCHEDULE, REFERENCE, KL, MIX, ADAPTER, FREEZE, GUARD, PRECISION, LAYOUT];

const TRAIN: Topic = Topic {
    word: "train",
    place: "recipe step",
    about: "One round of data-parallel training that makes one member of a role.",
    form: Form::Map,
    entries: &[
        optional(
            "as",
            "name",
            "name of the new member for later recipe steps; without it the new member takes the role at once",
        ),
        required("role", "role", "whose next member it is"),
        optional("promote", "true", "a member that `as` names takes its role at once, too"),
        required(
            "on",
            "dataset, {all: DATASET} or a list of them",
            "what it learns from; `all` takes the datasets of that name of all generations so far",
        ),
        required("loss", "choice", "what is minimised"),
        preset("start", "choice", "continue", "which weights it starts from"),
        preset("data_epochs", "count", "1", "passes over the data; every record is used exactly once in each"),
        required("lr", "number", "peak learning rate"),
        preset("ranks", "count", "1", "world size of the round; one that loses ranks goes on with fewer"),
        preset(
            "batch",
            "count",
            "8",
            "what one optimiser step is on, over all ranks: sequences, or prompts with all their pairs",
        ),
        preset(
            "micro_batch",
            "count",
            "4",
            "the same per rank in one forward pass; `batch` is reached by gradient accumulation",
        ),
        preset(
            "pack",
            "count",
            "1",
            "records joined behind one few-shot prefix to one sequence; a later record sees the earlier ones as examples",
        ),
        preset("shots", "true or false", "true", "whether the few-shot prefix stays before each sequence"),
        preset("warmup", "number", "0.1", "part of all optimiser steps over which the learning rate rises from 0"),
        preset("floor", "number", "0.1", "part of its peak to which the learning rate falls"),
        preset("schedule", "choice", "cosine", "how it falls"),
        preset("optimiser", "choice", "{adamw: {betas: [0.9, 0.95], eps: 0.00000001}}", "how weights move"),
        preset("weight_decay", "number", "0", "decoupled weight decay, of matrices only"),
        preset("clip", "number", "1", "largest global gradient norm"),
        preset("precision", "choice", "bf16", "arithmetic of the forward and backward pass"),
        preset(
            "reference",
            "choice",
            "start",
            "which checkpoint losses and penalties compare with; pinned for the round",
        ),
        optional("kl", "map", "penalty on the distance from the reference"),
        preset("entropy", "number", "0", "weight of the policy's entropy, which is rewarded"),
        optional("mix", "map", "steps on other data in between, by likelihood"),
        optional("adapter", "map", "train a low-rank adapter in place of the weights"),
        preset("freeze", "map", "{layers: 0, embeddings: false}", "what keeps its weights"),
        optional("ema", "number", "the member gets a moving average of the weights with this decay"),
        preset(
            "recompute",
            "true or false",
            "false",
            "compute layers again in the backward pass: less memory, more time",
        ),
        preset("layout", "choice", "packed", "how sequences lie in a forward pass"),
        preset(
            "shard_optimiser",
            "true or false",
            "false",
            "each rank keeps the optimiser's state of its own part of the weights (ZeRO-1)",
        ),
        preset(
            "save_every",
            "count",
            "25",
            "optimiser steps between checkpoints inside the round, from which an interrupted one goes on; 0: none",
        ),
        preset(
            "guard",
            "map",
            "{nonfinite: stop, on_spike: skip, patience: 3}",
            "what is done about steps that cannot be right",
        ),
        optional("generations", "map", "in `each`: the generations in which it runs; without it all of them"),
    ],
    example: "- train: {as: candidate, role: policy, on: correct, loss: nll, data_epochs: 2, lr: 5.0e-5, ranks: 2}\n- train: {role: critic, on: samples, loss: {pointwise: bce}, start: restart, lr: 2.0e-5, ranks: 2}\n- train: {as: tuned, role: policy, promote: true, on: samples, loss: {dpo: {beta: 0.1}}, adapter: {rank: 16}, lr: 1.0e-4}\n- train: {as: grpo, role: policy, promote: true, on: samples, loss: {pg: {}}, kl: {weight: 0.04}, lr: 1.0e-6}",
};

const START: Topic = Topic {
    word: "start",
    place: "train",
    about: "Which weights a round starts from. The optimiser starts anew, except where said.",
    form: Form::Choice,
    entries: &[
        word("continue", "", "the role's current member"),
        word("continue_optimiser", "", "the same, with the optimiser's state at the end of the round that made it"),
        word("restart", "", "the role's `init` as it is now"),
        word("base", "", "the base weights"),
    ],
    example: "",
};

const OPTIMISER: Topic = Topic {
    word: "optimiser",
    place: "train",
    about: "How weights move by their gradients.",
    form: Form::Choice,
    entries: &[
        word("adamw", "map", "Adam with decoupled weight decay"),
        word("sgd", "map", "stochastic gradient descent"),
        word("muon", "map", "orthogonalised momentum for matrices inside layers, AdamW for the rest"),
    ],
    example: "",
};

const ADAMW: Topic = Topic {
    word: "adamw",
    place: "optimiser",
    about: "Adam with decoupled weight decay.",
    form: Form::Map,
    entries: &[
        preset("betas", "[number, number]", "[0.9, 0.95]", "decay of the first and of the second moment"),
        preset("eps", "number", "0.00000001", "addend to the root of the second moment"),
    ],
    example: "",
};

const SGD: Topic = Topic {
    word: "sgd",
    place: "optimiser",
    about: "Stochastic gradient descent.",
    form: Form::Map,
    entries: &[
        preset("momentum", "number", "0", "part of the last update that goes on"),
        preset("nesterov", "true or false", "false", "look ahead by the momentum"),
    ],
    example: "",
};

const MUON: Topic = Topic {
    word: "muon",
    place: "optimiser",
    about: "Orthogonalised momentum; updates have the size of AdamW's, so one learning rate serves both.",
    form: Form::Map,
    entries: &[
        preset("momentum", "number", "0.95", "part of the last update that goes on"),
        preset("nesterov", "true or false", "true", "look ahead by the momentum"),
    ],
    example: "",
};

const SCHEDULE: Topic = Topic {
    word: "schedule",
    place: "train",
    about: "The learning rate after the warm-up.",
    form: Form::Choice,
    entries: &[
        word("cosine", "", "half a cosine down to the floor"),
        word("linear", "", "a line down to the floor"),
        word("constant", "", "its peak to the end"),
        word("wsd", "{decay: N}", "its peak, then a line down over this last part of all steps"),
    ],
    example: "",
};

const REFERENCE: Topic = Topic {
    word: "reference",
    place: "train",
    about: "Which checkpoint losses and penalties compare with.",
    form: Form::Choice,
    entries: &[
        word("start", "", "the weights that the round starts from"),
        word("base", "", "the base weights"),
        word("role", "role", "the role's current member"),
    ],
    example: "",
};

const KL: Topic = Topic {
    word: "kl",
    place: "train",
    about: "A penalty on the distance from the reference, estimated from the record's tokens.",
    form: Form::Map,
    entries: &[
        required("weight", "number", "how strongly"),
        optional(
            "first_turn",
            "number",
            "how strongly on the tokens of the first part of a record that is learned (of several turns the first answer); without it as all others",
        ),
        preset(
            "form",
            "k1, k2 or k3",
            "k3",
            "the estimator; k2 has the gradient of the divergence it is named after, k3 is GRPO's",
        ),
        preset("in", "loss or reward", "loss", "where it enters; `reward` needs a critic"),
    ],
    example: "kl: {weight: 0.01, first_turn: 0.1}     # the first answer stays near the reference, the second may move",
};

const MIX: Topic = Topic {
    word: "mix",
    place: "train",
    about: "Steps on other data in between, by likelihood: behaviour cloning mixed in.",
    form: Form::Map,
    entries: &[
        required("on", "dataset, {all: DATASET} or a list of them", "the other data"),
        preset("every", "count", "1", "one of its steps comes after so many of the loss"),
    ],
    example: "",
};

const ADAPTER: Topic = Topic {
    word: "adapter",
    place: "train",
    about: "A low-rank adapter (LoRA), stored without its base. A role whose member is an adapter trains it further.",
    form: Form::Map,
    entries: &[
        required("rank", "count", "rank of the updates"),
        optional("alpha", "count", "updates are scaled by alpha / rank; twice the rank when left out"),
        preset("on", "all, attention or mlp", "all", "which projections inside the layers"),
    ],
    example: "",
};

const FREEZE: Topic = Topic {
    word: "freeze",
    place: "train",
    about: "What keeps its weights.",
    form: Form::Map,
    entries: &[
        preset("layers", "count", "0", "so many layers, from the first"),
        preset("embeddings", "true or false", "false", "token and position embeddings"),
    ],
    example: "",
};

const GUARD: Topic = Topic {
    word: "guard",
    place: "train",
    about: "Steps that cannot be right. The offending records are named in each case.",
    form: Form::Map,
    entries: &[
        preset("nonfinite", "stop, skip or rewind", "stop", "after a loss or gradient that is no number"),
        optional("spike", "number", "a loss so many deviations above the mean of the last fifty is a spike"),
        preset(
            "on_spike",
            "stop, skip or rewind",
            "skip",
            "after a spike; rewind goes back to the last in-round checkpoint and leaves the batch out",
        ),
        preset("patience", "count", "3", "so many skipped or rewound steps are borne"),
    ],
    example: "",
};

const PRECISION: Topic = Topic {
    word: "precision",
    place: "train",
    about: "Arithmetic of the forward and backward pass; master weights and optimiser are always f32.",
    form: Form::Choice,
    entries: &[word("bf16", "", "16 bits, the range of f32"), word("f32", "", "32 bits")],
    example: "",
};

const LAYOUT: Topic = Topic {
    word: "layout",
    place: "train",
    about: "How sequences lie in a forward pass. The result is the same.",
    form: Form::Choice,
    entries: &[
        word("packed", "", "one after another without padding; none sees another"),
        word("padded", "", "a rectangle, padded to the longest"),
    ],
    example: "",
};
