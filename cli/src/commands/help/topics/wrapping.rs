//! Verifiers that are made of others, and how far verifiers are believed.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[COMBINE, HOW, REPEAT, UNCERTAINTY, MC_DROPOUT, CANARIES];

const COMBINE: Topic = Topic {
    word: "combine",
    place: "verify",
    about: "Several verifiers, asked the same. What one of them does not decide (error, timeout, suspect) never counts as a fail: the whole is undecided in the same way if its outcome depends on it. Tokens that they sample add up.",
    form: Form::Map,
    entries: &[
        required(
            "of",
            "list",
            "from 2 to 16 of `{verify: VERIFIER, weight: 1}`; `weight` counts in `majority` and `mean`",
        ),
        required("how", "choice", "what their verdicts come to"),
        optional(
            "pass_at",
            "number",
            "the score from which it passes, of `mean`, `min`, `product` and `noisy_or`; without it these give a number",
        ),
    ],
    example: "verify: [{combine: {how: majority, of: [{verify: rule, weight: 2}, {verify: {math: {}}}, {verify: {numeric: {}}}]}}]",
};

const HOW: Topic = Topic {
    word: "how",
    place: "combine",
    about: "What several verdicts come to. The first three count who passes; the others read scores (1 for a pass and 0 for a fail without one) and need all of them.",
    form: Form::Choice,
    entries: &[
        word("all", "", "passes if all pass; one fail decides"),
        word("any", "", "passes if one passes; one pass decides"),
        word(
            "majority",
            "",
            "passes if more than half of the weight passes; fails as soon as it cannot; as sure as the share that says so",
        ),
        word("mean", "", "weighted mean"),
        word("min", "", "the lowest"),
        word("product", "", "the product"),
        word("equal", "", "1 if all give the same number, else 0: whether they name the same step, or count alike"),
        word("noisy_or", "", "1 - product of (1 - score), of scores from 0 to 1; another score is an error"),
    ],
    example: "",
};

const REPEAT: Topic = Topic {
    word: "repeat",
    place: "verify",
    about: "One verifier, asked several times, each time with a seed of its own; its confidence is how far it agrees with itself. A verifier that says the same every time is refused. `how` is majority, all or mean; a mean is that of the times that decided, and passes if more than half of these pass.",
    form: Form::Map,
    entries: &[
        required("verify", "verifier", "one that draws"),
        required("times", "count", "from 2 to 64"),
        preset("how", "majority, mean or all", "majority", "what the verdicts come to"),
    ],
    example: "verify: [rule, {repeat: {times: 3, how: mean, verify: {mc_rollout: {samples: 4}}}}]",
};

const UNCERTAINTY: Topic = Topic {
    word: "uncertainty",
    place: "verify",
    about: "A role's number as the mean of several less `penalty` standard deviations (of a sample); its confidence is 1/(1 + deviation).",
    form: Form::Map,
    entries: &[
        required("verify", "verifier", "`value`, `orm` or `prm`"),
        required(
            "how",
            "choice",
            "`{mc_dropout: {samples: 8, rate: 0.1}}`, or `{ensemble: [ROLE, ...]}`: from 1 to 15 roles asked beside the verifier's own (a search asks at most 16 roles beside the policy)",
        ),
        preset("penalty", "number", "1", "standard deviations taken from the mean"),
        optional("suspect_above", "number", "the standard deviation above which the verdict is `suspect`"),
        optional("pass_at", "number", "the score from which it passes; without it, it gives a number"),
    ],
    example: "verify: [rule, {uncertainty: {verify: {orm: critic}, how: {mc_dropout: {samples: 8, rate: 0.1}}, suspect_above: 0.5}}]",
};

const MC_DROPOUT: Topic = Topic {
    word: "mc_dropout",
    place: "uncertainty",
    about: "The role's head reads the last hidden state several times, each time with another part of it left out, at random by the question's seed. Built-in engine only.",
    form: Form::Map,
    entries: &[
        required("samples", "count", "from 2 to 256"),
        required("rate", "number", "the share that is left out; greater than 0 and less than 1"),
    ],
    example: "",
};

const CANARIES: Topic = Topic {
    word: "canaries",
    place: "rollout",
    about: "Known answers among the real ones: for every trajectory and every verifier of `verify`, or of the search, that compares answers or tests programs, one at the rate `rate`. A verifier that passes a wrong one, or fails more than `tolerance` of the last `window` right ones, is suspended for the rest of its job, and its verdicts since it was last seen to be right become suspect: no reward. So do trajectories of searches that went by it. A number alone is the rate.",
    form: Form::Map,
    entries: &[
        required("rate", "number", "known answers for each trajectory and verifier; greater than 0 and at most 1"),
        preset("right", "number", "0.5", "the share of them that is right; 0: only wrong ones"),
        preset("floor", "count", "1", "tasks of every job that begin with a wrong and a right one"),
        preset("tolerance", "number", "0.2", "the share of `window` that a verifier may fail of right ones"),
        preset("window", "count", "10", "how many right ones are looked at together"),
    ],
    example: "- rollout: {as: samples, role: policy, tasks: {numbers: 200}, search: {sample_k: {n: 8}}, verify: [{math: {}}], canaries: 0.05}",
};
