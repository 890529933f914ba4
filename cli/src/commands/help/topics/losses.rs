//! The losses of the verb `train`.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub(super) const TOPICS: &[Topic] = &[
    LOSS,
    PG,
    BASELINE,
    CRITIC,
    SURROGATE,
    CLIP,
    DPO,
    KTO,
    DPO_REGRESSION,
    CPL,
    BT_PAIR,
    POINTWISE,
    VALUE,
    TD_CONSERVATIVE,
    CONTRASTIVE_MI,
    COMPONENT,
    MASKED,
];

const LOSS: Topic = Topic {
    word: "loss",
    place: "train",
    about: "What training minimises. Records that a loss cannot use are left out and counted.",
    form: Form::Choice,
    entries: &[
        word("nll", "", "negative log-likelihood of the completion's tokens"),
        word("weighted_nll", "", "the same, each record times its reward"),
        word("pg", "map", "policy gradient: REINFORCE, PPO, GRPO, RLOO and their kin"),
        word("dpo", "map", "preference pairs against the reference"),
        word("kto", "map", "desirable and undesirable records against the reference, unpaired"),
        word("dpo_regression", "map", "the pair's log-ratio margin against its reward margin, squared"),
        word("cpl", "map", "contrastive preference learning, without a reference"),
        word("bt_pair", "map", "Bradley-Terry on a scalar head, every prompt's pairs weighing 1/(n+ n-) each"),
        word("pointwise", "choice", "regression or classification of records or steps"),
        word("value", "map", "a critic's regression on returns at every token, as PPO trains it"),
        word("td_conservative", "map", "Q-learning from logged actions: CQL, Cal-QL"),
        word("contrastive_mi", "map", "InfoNCE between a prompt's and a completion's last hidden states"),
        word("component", "choice", "prediction of every component of a trajectory, prompt included"),
    ],
    example: "",
};

const PG: Topic = Topic {
    word: "pg",
    place: "loss",
    about: "Policy gradient on what a policy sampled. Groups are the samples of one task. `{pg: {}}` is GRPO with token averages.",
    form: Form::Map,
    entries: &[
        preset("baseline", "choice", "group", "what is subtracted from a reward"),
        preset("scale", "none, group_std or all_std", "group_std", "what advantages are divided by"),
        preset(
            "surrogate",
            "choice",
            "{clip: {low: 0.2, high: 0.2}}",
            "how a step away from the old policy is rewarded",
        ),
        preset(
            "credit",
            "whole, {per_turn: {gamma: N}} or {critic_class: {role: ROLE}}",
            "whole",
            "the reward that a token answers for; turn by turn, gamma 0 is its turn's own alone; or the record's times the probability that a critic with classes, trained before, gives the record's class behind the token (CodeRL)",
        ),
        preset("average", "token, sequence or {constant: N}", "token", "what a batch's loss is the mean of"),
        preset(
            "proximal",
            "behaviour or {start: {weight_cap: N}}",
            "behaviour",
            "the policy that ratios are taken against; with `start` the sampler enters as a capped weight, for stale data",
        ),
    ],
    example: "loss: {pg: {baseline: leave_one_out, scale: none, surrogate: reinforce}}\nloss: {pg: {baseline: greedy, scale: none, surrogate: reinforce, credit: {critic_class: {role: critic}}}}",
};

const BASELINE: Topic = Topic {
    word: "baseline",
    place: "pg",
    about: "What a policy gradient subtracts from a reward.",
    form: Form::Choice,
    entries: &[
        word("none", "", "nothing"),
        word("group", "", "the mean of the task's samples"),
        word("leave_one_out", "", "the mean of the task's other samples"),
        word(
            "greedy",
            "",
            "the reward of the task's greedy record (`greedy` of `sample_k`); tasks without one are left out, and greedy records are not learned from",
        ),
        word("critic", "map", "a critic's values at every token (GAE)"),
    ],
    example: "",
};

const CRITIC: Topic = Topic {
    word: "critic",
    place: "baseline",
    about: "Advantages from a critic's values by generalised advantage estimation.",
    form: Form::Map,
    entries: &[
        required("role", "role", "a role with a scalar head, trained before by `value`"),
        preset("gamma", "number", "1", "discount from token to token"),
        preset("lambda", "number", "0.95", "mixes temporal differences (0) and whole returns (1)"),
    ],
    example: "baseline: {critic: {role: critic}}",
};

const SURROGATE: Topic = Topic {
    word: "surrogate",
    place: "pg",
    about: "How a step away from the old policy is rewarded.",
    form: Form::Choice,
    entries: &[
        word("reinforce", "", "advantage times log-probability"),
        word("clip", "map", "advantage times the token's ratio, clipped (PPO)"),
        word("sequence_clip", "map", "advantage times the geometric mean of a record's ratios, clipped (GSPO)"),
    ],
    example: "",
};

const CLIP: Topic = Topic {
    word: "clip",
    place: "surrogate",
    about: "How far a ratio may move before its gradient ends. (`clip` of `train` is the largest gradient norm.)",
    form: Form::Map,
    entries: &[
        preset("low", "number", "0.2", "below 1"),
        preset("high", "number", "0.2", "above 1"),
        optional("dual", "number", "bound on the ratio where the advantage is negative"),
    ],
    example: "surrogate: {clip: {low: 0.2, high: 0.28}}",
};

const DPO: Topic = Topic {
    word: "dpo",
    place: "loss",
    about: "Direct preference optimisation. Pairs come from `pair` columns, else from the passes and fails of a task.",
    form: Form::Map,
    entries: &[
        preset("beta", "number", "0.1", "how strongly the reference holds"),
        preset("form", "sigmoid or ipo", "sigmoid", "ipo: squared, on means over tokens"),
        preset("smoothing", "number", "0", "probability that a pair's order is wrong"),
    ],
    example: "",
};

const KTO: Topic = Topic {
    word: "kto",
    place: "loss",
    about: "Judged records, unpaired; how far the policy is from the reference on mismatched completions is the zero.",
    form: Form::Map,
    entries: &[
        preset("beta", "number", "0.1", "how strongly the reference holds"),
        preset("desirable", "number", "1", "weight of passes"),
        preset("undesirable", "number", "1", "weight of fails"),
    ],
    example: "",
};

const DPO_REGRESSION: Topic = Topic {
    word: "dpo_regression",
    place: "loss",
    about: "Squared difference between the implied and the given reward margin of a pair.",
    form: Form::Map,
    entries: &[preset("beta", "number", "0.1", "how strongly the reference holds")],
    example: "",
};

const CPL: Topic = Topic {
    word: "cpl",
    place: "loss",
    about: "Contrastive preference learning on segments.",
    form: Form::Map,
    entries: &[
        preset("alpha", "number", "0.1", "scale of log-probabilities"),
        preset("lambda", "number", "0.5", "weight of the worse segment; below 1 is conservative"),
        preset("gamma", "number", "1", "discount from token to token"),
    ],
    example: "",
};

const BT_PAIR: Topic = Topic {
    word: "bt_pair",
    place: "loss",
    about: "Pairs of one prompt for reward models and process preference models.",
    form: Form::Map,
    entries: &[preset("margin", "true or false", "false", "whether the pair's reward difference must be exceeded")],
    example: "",
};

const POINTWISE: Topic = Topic {
    word: "pointwise",
    place: "loss",
    about: "A head's outputs against labels: the record's reward, else 1 for pass and 0 for fail.",
    form: Form::Choice,
    entries: &[
        word("bce", "", "binary cross-entropy with logits; labels from 0 to 1"),
        word("mse", "", "squared error"),
        word("huber", "", "squared up to 1, linear beyond"),
        word("classes", "", "cross-entropy over the head's classes"),
        word("pooled_classes", "", "the same on the greatest output over the completion's tokens"),
        word("steps", "bce, mse, huber or classes", "at the end of each step, against its own label"),
    ],
    example: "",
};

const VALUE: Topic = Topic {
    word: "value",
    place: "loss",
    about: "A critic's values against returns made of its values at the round's start.",
    form: Form::Map,
    entries: &[
        optional("clip", "number", "how far a value may move before its gradient ends"),
        preset("gamma", "number", "1", "discount from token to token"),
        preset("lambda", "number", "0.95", "mixes temporal differences (0) and whole returns (1)"),
    ],
    example: "",
};

const TD_CONSERVATIVE: Topic = Topic {
    word: "td_conservative",
    place: "loss",
    about: "Q-values of numbered actions (`class` of a record's parts), learned towards those of a target network.",
    form: Form::Map,
    entries: &[
        preset("gamma", "number", "0.99", "discount from action to action"),
        preset("alpha", "number", "1", "weight of the penalty on actions that were not taken"),
        preset("calibrated", "true or false", "true", "values are not pushed below the logged return (Cal-QL)"),
        preset(
            "target_rate",
            "number",
            "0.005",
            "how far the target network, at first the round's start, moves to the weights in each step; 0: not",
        ),
    ],
    example: "",
};

const CONTRASTIVE_MI: Topic = Topic {
    word: "contrastive_mi",
    place: "loss",
    about: "Each prompt against the completions of its micro-batch.",
    form: Form::Map,
    entries: &[
        preset("temperature", "number", "0.1", "scale of similarities"),
        preset("symmetric", "true or false", "false", "prompts among completions too"),
    ],
    example: "",
};

const COMPONENT: Topic = Topic {
    word: "component",
    place: "loss",
    about: "Trajectories as sequences of components, without rewards.",
    form: Form::Choice,
    entries: &[
        word("next", "", "each token from those before it"),
        word("masked", "map", "hidden tokens from all the others"),
    ],
    example: "",
};

const MASKED: Topic = Topic {
    word: "masked",
    place: "component",
    about: "Tokens hidden at random, predicted where they stand; every token sees the whole sequence.",
    form: Form::Map,
    entries: &[
        preset("rate", "number", "0.15", "part of the tokens"),
        required("token", "token id", "what stands in their place"),
    ],
    example: "",
};
