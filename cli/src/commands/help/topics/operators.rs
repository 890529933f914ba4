//! Data operators.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub(super) const TOPICS: &[Topic] = &[
    APPLY,
    KEEP,
    DROP,
    FILTER,
    TOP_K,
    DEDUPE_BY,
    NEAR,
    CAP,
    BALANCE,
    SUBSAMPLE,
    PAIR,
    LABEL_FROM,
    SPLICE,
    LINEARISE,
    MASK,
    RELABEL,
    NOISE,
    REPEAT_VERIFY,
    NORMALISE,
    HINDSIGHT,
    SHAPE_TURNS,
    REWARD,
    SUM,
];

/// What a number of a record may be.
const NUMBERS: &str = "reward, verdict, confidence, length, shortest, mean_q, min_q, last_q or {score: VERIFIER}";

const APPLY: Topic = Topic {
    word: "apply",
    place: "curate",
    about: "Data operators, applied in order. Each counts what goes in and what comes out; one that chooses by something else than the verdict also shows the share of passes before and after (its precision). Records that are kept keep their order.",
    form: Form::Choice,
    entries: &[
        word("keep", "map", "keep the records with one verdict"),
        word("drop", "map", "drop the records whose completion contains a text"),
        word("filter", "map", "keep the records whose number lies within bounds"),
        word("top_k", "map", "keep the best records"),
        word("dedupe", "", "drop a record whose task and completion stand earlier in the dataset"),
        word("dedupe_by", "choice", "drop a record that is like an earlier one of its task"),
        word("cap", "map", "so many records per task, the earliest kept"),
        word("balance", "verdict or task", "as many records of each, taken at random by seed"),
        word("subsample", "map", "at most so many records, taken at random by seed"),
        word(
            "shuffle",
            "verdicts, scores, labels or prompts",
            "permute the verdicts, the scores or the prompts among all records, or the labels among all parts; for negative controls",
        ),
        word(
            "pair",
            "map",
            "make preferences of siblings, leaves or nodes of one depth of search trees, or of the records of a task",
        ),
        word("label_from", "map", "make labels of steps, or rewards of records, out of values"),
        word("splice", "map", "make of a failed and a passed record one that errs, says so, and goes on right"),
        word(
            "linearise",
            "map",
            "write a search tree as one completion that visits wrong branches before the right one",
        ),
        word("join_pairs", "map", "write preferences down as records that hold both answers"),
        word("certainty", "map", "ask a role under masks how sure it is of each preference"),
        word("repairs", "map", "of failed records make ones that ask for them to be mended"),
        word("mask", "choice", "say for which parts of the completion the policy does not answer"),
        word(
            "mix",
            "{with: {DATASET: ratio}}",
            "for each record at hand so many of the other datasets, in exact proportion: as many as fit, drawn at random by seed, the others behind the own",
        ),
        word("relabel", "map", "give passes and fails, or classes, other rewards"),
        word("noise", "map", "turn rewards and preferences around, at random by seed"),
        word("repeat_verify", "map", "keep a record that its task's rule passes often enough"),
        word("normalise", "choice", "put rewards or values of parts on one scale"),
        word("hindsight", "map", "of failed episodes make ones that wanted what they reached"),
        word("shape_turns", "map", "reward what a turn is better than the one before it"),
        word("reward", "map", "make the reward out of several numbers"),
    ],
    example: "",
};

const KEEP: Topic = Topic {
    word: "keep",
    place: "curate.apply",
    about: "Keeps the records with one verdict.",
    form: Form::Map,
    entries: &[required("verdict", "pass, fail, error, timeout or suspect", "the verdict to keep")],
    example: "",
};

const DROP: Topic = Topic {
    word: "drop",
    place: "curate.apply",
    about: "Drops records by what they say.",
    form: Form::Map,
    entries: &[required("contains", "text", "what a completion must not contain")],
    example: "",
};

const FILTER: Topic = Topic {
    word: "filter",
    place: "curate.apply",
    about: "Keeps the records whose number lies within all bounds; those without the number are dropped and counted apart.",
    form: Form::Map,
    entries: &[
        required(
            "by",
            NUMBERS,
            "the number; `verdict` is 1 for a pass and 0 for a fail, `length` is in tokens, `shortest` its negative, `mean_q`, `min_q` and `last_q` are of the values of the parts",
        ),
        optional("above", "number or $name", "it is greater than this"),
        optional("at_least", "number or $name", "it is not less"),
        optional("below", "number or $name", "it is less than this"),
        optional("at_most", "number or $name", "it is not greater"),
    ],
    example: "apply: [{filter: {by: {score: prm}, at_least: $threshold}}]",
};

const TOP_K: Topic = Topic {
    word: "top_k",
    place: "curate.apply",
    about: "Keeps the best records. The first number counts, the next where it ties, and last of all the earlier record is the better one. A record without a number is behind all that have it.",
    form: Form::Map,
    entries: &[
        required("k", "count", "how many are kept"),
        preset("per", "task or dataset", "task", "among which records"),
        required("by", NUMBERS, "a list of them"),
    ],
    example: "apply: [{keep: {verdict: pass}}, {top_k: {k: 2, by: [mean_q, min_q]}}]",
};

const DEDUPE_BY: Topic = Topic {
    word: "dedupe_by",
    place: "curate.apply",
    about: "What makes two records of one task alike; the earlier one stays.",
    form: Form::Choice,
    entries: &[
        word("answer", "", "equal last lines of the completion, without the spaces around them"),
        word("near", "map", "completions that have much in common"),
    ],
    example: "",
};

const NEAR: Topic = Topic {
    word: "near",
    place: "dedupe_by",
    about: "Completions as sets of runs of tokens.",
    form: Form::Map,
    entries: &[
        required("ngram", "count", "tokens in a run"),
        required("threshold", "number", "from this share of common runs on (Jaccard) two are alike"),
    ],
    example: "",
};

const CAP: Topic = Topic {
    word: "cap",
    place: "curate.apply",
    about: "Keeps the earliest records of each task.",
    form: Form::Map,
    entries: &[required("per", "task", "what is counted by"), required("max", "count", "how many are kept")],
    example: "",
};

const BALANCE: Topic = Topic {
    word: "balance",
    place: "curate.apply",
    about: "Keeps as many records of each value as the rarest has.",
    form: Form::Choice,
    entries: &[
        word("verdict", "", "pass against fail; other verdicts are dropped"),
        word("task", "", "task against task"),
    ],
    example: "",
};

const SUBSAMPLE: Topic = Topic {
    word: "subsample",
    place: "curate.apply",
    about: "Takes records at random by seed, without replacement, the two of a preference as one; all alike, or with chances in proportion to a number (Efraimidis and Spirakis 2006).",
    form: Form::Map,
    entries: &[
        required("n", "count", "at most so many records or preferences are kept"),
        optional(
            "by",
            NUMBERS,
            "chances in proportion to it; numbers of 0 and below are never taken, records without it dropped and counted apart",
        ),
        preset("complement", "true or false", "false", "in proportion to 1 minus the number"),
    ],
    example: "apply: [{subsample: {n: 100, by: {score: uncertainty}, complement: true}}]",
};

const PAIR: Topic = Topic {
    word: "pair",
    place: "curate.apply",
    about: "Makes preferences for losses on pairs: two records each, which weigh one over the number of preferences at their prompt. From trees it comes first and reads those of the `rollout` that `from` names. `siblings` are children of one node, as rStar-Math pairs them: a right answer lies below the chosen one, a wrong one below the other. `same_depth` takes two nodes of one depth whose parents differ and have other children (MedS3), `leaves` two answers of one tree (Agent-R), `samples` two records of one task.",
    form: Form::Map,
    entries: &[
        required("from", "siblings, leaves, same_depth or samples", "what is paired"),
        optional(
            "by",
            "q, own, reward or {score: VERIFIER}",
            "the value that is compared; without it `q` of trees and `reward` of samples",
        ),
        preset(
            "each_side",
            "count",
            "2",
            "so many of the best and so many of the worst are paired; a lone sibling with its square",
        ),
        preset(
            "margin",
            "number",
            "0",
            "the better value is above the other by more than this; of siblings the mean Q of the best right path through the one above that of the worst wrong path through the other",
        ),
        preset(
            "step_margin",
            "number",
            "0",
            "of siblings: the better step's own value is above the other's by at least this",
        ),
        optional("above", "number", "of leaves: the chosen one's value is above this"),
        preset("edit_distance", "count", "0", "the two texts are at least so many characters apart"),
    ],
    example: "apply: [{pair: {from: siblings, step_margin: 0.5, edit_distance: 20}}]",
};

const LABEL_FROM: Topic = Topic {
    word: "label_from",
    place: "curate.apply",
    about: "Makes the labels that step models are trained on: the value of a step less `drop_penalty` times its fall from the step before. A `vote` makes the reward of a record: the share of its task's records with the same answer. An `outcome` makes its class: of programs (`list_program`, `unit_tests`) 0 for a compile error, 1 for a runtime error, 2 for a failed test, 3 for a pass; it stands at the record's last part, and records whose verdict has no class are left out.",
    form: Form::Map,
    entries: &[
        required(
            "value",
            "own, q, rollout, vote or outcome",
            "what a label is made of; `rollout` is what `mc_rollout` gave",
        ),
        preset(
            "from",
            "records or trees",
            "records",
            "what is labelled; of trees every path to an end becomes a record, each node labelled once",
        ),
        preset("drop_penalty", "number", "0", "how much a fall costs, and a rise earns"),
        preset(
            "soft_dip",
            "true or false",
            "false",
            "only a step below both its neighbours is penalised, by the difference of these",
        ),
        optional("threshold", "number", "a label above it becomes 1, another 0, with the class of that number"),
        optional("clip", "[number, number]", "labels are held between these"),
    ],
    example: "apply: [{label_from: {value: q, from: trees, drop_penalty: 1, threshold: 0}}]",
};

const SPLICE: Topic = Topic {
    word: "splice",
    place: "curate.apply",
    about: "Gives for each failed record one that goes on right behind its first error, as Agent-R does: the failed record up to there, a text, and the passed record of the same task that has most in common with it, from where the two part. Other records are left out.",
    form: Form::Map,
    entries: &[
        required(
            "first_error",
            "lowest_q, {below: number}, verdict, judged or random",
            "the step behind the parting with the lowest value, the first below a value, the end, the one that the verifier `first_error` named (class 0), or any, by seed (a control)",
        ),
        required("revision", "text", "what the policy is to say then"),
        optional(
            "per_step",
            "text",
            "what stands behind that, once for every further step that the failed record took behind the parting",
        ),
        preset("mask_bad", "true or false", "true", "whether the policy does not learn the failed record's part"),
        optional(
            "shown",
            "true or false",
            "whether what an environment showed behind the error still belongs to the failed part; without it not",
        ),
    ],
    example: "",
};

const LINEARISE: Topic = Topic {
    word: "linearise",
    place: "curate.apply",
    about: "Gives for each search tree with a right answer one record: the right path with the highest mean Q, before each of its steps some wrong branches down to a wrong answer. It comes first and reads the trees of the `rollout` that `from` names.",
    form: Form::Map,
    entries: &[
        preset("dead_ends", "count", "1", "most wrong branches at one node"),
        required("text_back", "text", "what stands behind a wrong branch"),
        optional("per_step", "text", "what stands behind that, once for every further step of the branch"),
        preset(
            "killed",
            "true or false",
            "true",
            "whether a step that `kill_after` ended is shown; without, the branch ends with the step before",
        ),
    ],
    example: "",
};

const MASK: Topic = Topic {
    word: "mask",
    place: "curate.apply",
    about: "Parts that the policy does not learn.",
    form: Form::Choice,
    entries: &[
        word("bad", "number", "those with a value below this"),
        word("prefix", "number", "all up to the last one with a value below this"),
        word("observations", "", "those of which every token has the log-probability 0: they were shown or forced"),
        word("all_but_last", "", "all but the last that it answers for"),
    ],
    example: "",
};

const RELABEL: Topic = Topic {
    word: "relabel",
    place: "curate.apply",
    about: "Rewards by verdict.",
    form: Form::Map,
    entries: &[
        optional("pass", "number", "reward of a pass; `pass` and `fail` are given together"),
        optional("fail", "number", "reward of a fail"),
        preset(
            "by_score",
            "true or false",
            "false",
            "a verdict with a score gives what lies so far between `fail` (0) and `pass` (1)",
        ),
        optional(
            "classes",
            "list of numbers",
            "instead of both: the reward of each class of verdicts (see `label_from`), from class 0; records without one of them are left out",
        ),
    ],
    example: "apply: [{relabel: {classes: [-1.0, -0.6, -0.3, 1.0]}}]",
};

const NOISE: Topic = Topic {
    word: "noise",
    place: "curate.apply",
    about: "A preference changes sides, the reward r of another record becomes 1 - r. With `flip: 0.5` preferences are random.",
    form: Form::Map,
    entries: &[required("flip", "number", "the chance of each")],
    example: "",
};

const REPEAT_VERIFY: Topic = Topic {
    word: "repeat_verify",
    place: "curate.apply",
    about: "Asks the rule of a record's task again, for outcomes that owe something to luck. The rules of built-in tasks always say the same.",
    form: Form::Map,
    entries: &[
        required("times", "count", "how often it is asked at most"),
        required("min_pass", "count", "so many passes keep the record"),
    ],
    example: "",
};

const NORMALISE: Topic = Topic {
    word: "normalise",
    place: "curate.apply",
    about: "Puts numbers on one scale: the reward of records, or the values of their parts.",
    form: Form::Choice,
    entries: &[
        word("sibling_center", "", "from a step's value the mean over its siblings is taken away"),
        word("per_prompt", "reward or values", "the mean over the task is taken away"),
        word("per_tree", "reward or values", "the least of a tree becomes 0, the greatest 1"),
        word("whiten", "reward or values", "the dataset's mean becomes 0, its standard deviation 1"),
    ],
    example: "",
};

const HINDSIGHT: Topic = Topic {
    word: "hindsight",
    place: "curate.apply",
    about: "Gives for each failed episode one that wanted what it reached: the environment is played again with that goal, so that what is shown, rewards and verdict are its own; actions keep their tokens, log-probabilities are left out. Only environments can that state what was reached: `grid`, and servers that say `achieved` in their turns' info; others are refused. An episode that reached nothing gives nothing.",
    form: Form::Map,
    entries: &[
        preset("gamma", "number", "1", "of the new return"),
        preset("keep", "true or false", "true", "whether records stay as they were, too"),
    ],
    example: "apply: [{hindsight: {}}, {keep: {verdict: pass}}]",
};

const SHAPE_TURNS: Topic = Topic {
    word: "shape_turns",
    place: "curate.apply",
    about: "Adds `bonus` times (r_k - r_(k-1)) to the value of every learned turn k after the first, r being the turns' values (SCoRe, arXiv 2409.12917). Records with a learned turn without a value are dropped and counted apart.",
    form: Form::Map,
    entries: &[
        required("bonus", "number", "how much a turn gets for being better than the one before it"),
        preset("first", "number", "1", "times the first turn's own value; 0 leaves it without a reward"),
    ],
    example: "- curate: {as: shaped, from: turns, apply: [{shape_turns: {bonus: 10}}]}",
};

const REWARD: Topic = Topic {
    word: "reward",
    place: "curate.apply",
    about: "The record's reward becomes a weighted sum of numbers. Records that lack one of them are dropped and counted apart.",
    form: Form::Map,
    entries: &[required("sum", "list", "its terms")],
    example: "apply:\n  - reward:\n      sum:\n        - {of: verdict, weight: 0.8, fail: -0.5}\n        - {of: length, weight: 0.2, saturate: 40}",
};

const SUM: Topic = Topic {
    word: "sum",
    place: "curate.apply.reward",
    about: "A term: `weight` times a number.",
    form: Form::Map,
    entries: &[
        required(
            "of",
            NUMBERS,
            "the number; `length` is in tokens, `{score: VERIFIER}` what a verifier of the rollout gave",
        ),
        preset("weight", "number", "1", "times the number; below 0 it is taken away"),
        optional("pass", "number", "of `verdict`: what a pass is worth; without it 1"),
        optional("fail", "number", "of `verdict`: what a fail is worth; without it 0"),
        optional(
            "saturate",
            "number",
            "the number x becomes x / (x + saturate): 0 at 0 and below, a half at `saturate`, never more than 1",
        ),
    ],
    example: "",
};
