//! Texts that searches have written on their way, and the choice among what trees found.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[FEEDBACK, WRITE, DISCRIMINATE, DISCRIMINATOR, ARGUE];

const FEEDBACK: Topic = Topic {
    word: "feedback",
    place: "mcts",
    about: "What the policy is shown before it goes on from a node that has children already: what came of them, as a list, or as advice of somebody who reads the list. It stands behind what was read last (in an environment behind `ask`, so end it alike), for all below the new child too; it is stored with the child (`guidance`), is no part of an answer or an action, and nobody learns it. Children that the environment failed are not listed, and what would leave no room for an action is not shown. Advice that could not be written is counted with the evaluators, and the child is drawn without.",
    form: Form::Map,
    entries: &[
        preset(
            "each",
            "text",
            "{step} -> {shown} (value {value})",
            "how a child is told, on a line of its own: `{step}` is what it wrote, `{shown}` what the environment showed behind it, `{value}` its Q",
        ),
        required("show", "text", "what the policy reads, with `{siblings}`, or with `{advice}` where it is written"),
        optional(
            "write",
            "map",
            "who writes the advice; its template has `{prompt}`, `{answer}` (what stands there so far), `{siblings}`",
        ),
    ],
    example: "search:\n  mcts:\n    propose: {n: 1, unit: turn}\n    width: {up_to: 4}\n    evaluate: [{verifier: {env_return: {}}, when: every}]\n    budget: {simulations: 40, depth: 12}\n    feedback:\n      show: \"(Advice: {advice})\\n> \"\n      write: {role: critic, ask: \"{prompt}{answer}\\nTried here:\\n{siblings}\\nWhat should be tried instead?\"}",
};

const WRITE: Topic = Topic {
    word: "write",
    place: "feedback, argue, repair",
    about: "Somebody who writes a text for a search: a role with `head: lm`, which reads the template alone. Its tokens count.",
    form: Form::Map,
    entries: &[
        optional("role", "role", "who writes; without it the policy itself"),
        required("ask", "text", "template; where it stands says which places it has"),
        preset(
            "chat",
            "true or false",
            "false",
            "the template is one message of a conversation, by the model's chat template",
        ),
        preset("temperature", "number", "0.7", "0 is greedy"),
        preset("max_tokens", "count", "256", "longest text"),
        optional("until", "text", "what ends the text, beside the end of sequence"),
    ],
    example: "",
};

const DISCRIMINATE: Topic = Topic {
    word: "discriminate",
    place: "extract",
    about: "Of the answers with the highest Q one, by somebody who looks at them when the tree has grown. What each was given (`discriminate/1`: a score, or votes) is among its `scores` in the tree. Where nobody decides, the answer with the highest Q stands. Before the end of a measured search, that is the one it would have answered with.",
    form: Form::Map,
    entries: &[
        preset("of", "count", "5", "answers that are looked at, from 2"),
        required("by", "choice", "who chooses"),
    ],
    example: "extract: {discriminate: {of: 5, by: {verifier: {orm: critic}}}}",
};

const DISCRIMINATOR: Topic = Topic {
    word: "discriminator",
    place: "discriminate",
    about: "Who chooses among answers; written under `by`.",
    form: Form::Choice,
    entries: &[
        word(
            "verifier",
            "verifier",
            "the highest score (1 for a pass and 0 for a fail without one); of equals the higher Q",
        ),
        word("argue", "map", "agents who read all answers and each other"),
    ],
    example: "",
};

const ARGUE: Topic = Topic {
    word: "argue",
    place: "discriminator",
    about: "Every agent writes for itself, in every round having read what the others wrote in the round before. The last line of what it writes last is `choice: N`; most votes win, of equals the higher Q. Answers stand between fences; one that would close its fence is not shown. An agent that wrote nothing that can be read has no vote.",
    form: Form::Map,
    entries: &[
        preset("agents", "count", "5", "how many"),
        preset("rounds", "count", "3", "texts of each"),
        required(
            "write",
            "map",
            "who they are; the template has `{prompt}`, `{solutions}`, `{others}` (empty in the first round)",
        ),
        optional(
            "conclude",
            "map",
            "who decides instead of the votes, as `write`: reads what all wrote last (`{others}`) and ends with `choice: N`",
        ),
    ],
    example: "extract: {discriminate: {of: 5, by: {argue: {agents: 5, rounds: 3, write: {role: critic, ask: \"{prompt}\\n{solutions}\\n{others}\\nWhich solution is right? End with a line `choice: N`.\"}}}}}",
};
