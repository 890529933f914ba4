//! The search that tests, refines and repairs answers, and what a role learns that repairs.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required};

pub const TOPICS: &[Topic] = &[CRITIC_SAMPLING, REFINE, REPAIR, REPAIRS];

const CRITIC_SAMPLING: Topic = Topic {
    word: "critic_sampling",
    place: "rollout.search",
    about: "Draws `propose.n` answers and tests them. In each round more are made and tested: of those that pass, where one does (`refine`), else of those that fail (`repair`); what was not decided is neither. The answer is the one with the critic's highest score among those that pass, else among those that fail (CodeRL). All tokens count, those that are gone on from once.",
    form: Form::Map,
    entries: &[
        required("propose", "map", "as `sample_k`"),
        required("tests", "verifier", "what says whether an answer passes, for example `{unit_tests: {examples: 2}}`"),
        required(
            "critic",
            "verifier",
            "what scores an answer, and what was written of it up to a step: a role (`value`, `orm`, `prm`), `judge`, `principles`, `rules` or `self_log_prob`",
        ),
        preset("unit", "choice", "line", "what a step is: an answer may be cut behind each but the last"),
        optional("refine", "map", "what is done where some pass"),
        optional("repair", "map", "what is done where none passes"),
        preset("rounds", "count", "1", "how often more are made"),
    ],
    example: "search:\n  critic_sampling:\n    propose: {n: 20, temperature: 0.6}\n    tests: {unit_tests: {examples: 2}}\n    critic: {value: critic}\n    refine: {seeds: 5, n: 4}\n    repair: {programs: 5, n: 4, write: {role: fixer, ask: \"{prompt}\\n{answer}\\n# {error}\\n\"}}",
};

const REFINE: Topic = Topic {
    word: "refine",
    place: "critic_sampling",
    about: "Each answer that passes and was not cut before is cut where the critic's score is highest, and the policy goes on from what stands before.",
    form: Form::Map,
    entries: &[
        required(
            "seeds",
            "count",
            "most answers of a round that are cut: those with the highest score where they are cut",
        ),
        required("n", "count", "continuations of each"),
    ],
    example: "",
};

const REPAIR: Topic = Topic {
    word: "repair",
    place: "critic_sampling",
    about: "The failed answers with the highest score are written anew by somebody who reads what went wrong. A repaired answer is not the policy's own, so nobody learns it.",
    form: Form::Map,
    entries: &[
        required("programs", "count", "most answers of a round that are repaired"),
        preset("n", "count", "1", "repaired forms of each"),
        required(
            "write",
            "map",
            "who repairs; the template has `{prompt}`, `{answer}`, `{error}` (the class of the outcome and what the tests said)",
        ),
    ],
    example: "",
};

const REPAIRS: Topic = Topic {
    word: "repairs",
    place: "curate.apply",
    about: "Of each failed record makes one whose prompt is the template, filled in, and whose completion is the passed answer to the same question that is fewest characters apart (the earliest of equals); demonstrations of it count, too. Other records are left out, and failed ones of questions that nobody solved. A role that learns them with `loss: nll` can be the one that repairs in `critic_sampling`: write the same template there.",
    form: Form::Map,
    entries: &[
        required(
            "ask",
            "text",
            "template with `{prompt}` (the question as the policy reads it), `{answer}`, `{error}` (why it failed)",
        ),
        preset("chat", "true or false", "false", "whether the template is one message of a conversation"),
    ],
    example: "apply: [{mix: {with: {references: 1}}}, {repairs: {ask: \"{prompt}\\n{answer}\\n# {error}\\n\"}}]",
};
