//! Data operators that ask a role which of two answers is better.

use super::super::topic::{Form, Topic};
use super::{preset, required};

pub(super) const TOPICS: &[Topic] = &[JOIN_PAIRS, CERTAINTY];

const JOIN_PAIRS: Topic = Topic {
    word: "join_pairs",
    place: "curate.apply",
    about: "Writes each preference down as two records that hold both answers, one in each order, for a role with `head: {classes: 2}` to learn which is better (`loss: {pointwise: classes}`): class 1 where the first answer is the chosen one, else class 0. Answers are joined without what ended them. Records of no preference are left out.",
    form: Form::Map,
    entries: &[
        required("between", "text", "what stands between the answers"),
        preset("behind", "text", "", "what stands behind the second"),
    ],
    example: "apply: [{pair: {from: samples}}, {join_pairs: {between: \"\\nOr:\\n\", behind: \"\\nBetter:\"}}]",
};

const CERTAINTY: Topic = Topic {
    word: "certainty",
    place: "curate.apply",
    about: "Asks a role that was trained on `join_pairs` about each preference, in both orders and under masks of its last hidden state (Monte-Carlo dropout), and gives both sides three scores: `agrees`, the share of masks under which the chosen answer is the better one (1/2 is told by no mask); `preferred`, the mean probability of that; `bald`, what the masks disagree about, from 0 to 1: the entropy of the mean less the mean entropy, in bits. `filter: {by: {score: agrees}, at_least: 0.5}` then drops preferences that the role would turn around, `subsample: {by: {score: bald}, complement: true}` takes those that it is sure of, and without `complement` those that are hard for it (UPO). A preference that is too long for the role gets none of the scores.",
    form: Form::Map,
    entries: &[
        required(
            "role",
            "role",
            "a role with `head: {classes: 2}`, of which class 1 says that the first answer is better",
        ),
        required("between", "text", "as in `join_pairs`"),
        preset("behind", "text", "", "as in `join_pairs`"),
        preset("samples", "count", "10", "masks of each order"),
        preset("rate", "number", "0.1", "of the last hidden state the share that a mask leaves out"),
    ],
    example: "apply:\n  - {pair: {from: samples, by: {score: orm}}}\n  - {certainty: {role: estimator, between: \"\\nOr:\\n\", behind: \"\\nBetter:\"}}\n  - {filter: {by: {score: agrees}, at_least: 0.5}}\n  - {subsample: {n: 1000, by: {score: bald}, complement: true}}",
};
