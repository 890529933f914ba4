//! Symbolic rules and judges, of `verify` and of evaluators.

use super::super::topic::{Form, Topic};
use super::{optional, preset, required, word};

pub const TOPICS: &[Topic] = &[RULES, MUST, JUDGING, LOGITS, RATIONALE, JUDGE_PAIR, PRINCIPLES, GENERATE, FIRST_ERROR];

const ROLE: &str = "a role with a language-model head; without it the policy itself judges";
const CHAT: &str = "the template is one message of a conversation, by the model's chat template";
const FENCE: &str =
    "texts around what a policy wrote; an answer that holds one of them is suspect and is not shown to the judge";
const FENCES: &str = "[<answer-to-judge>, </answer-to-judge>]";
const FLOOR: &str =
    "the least probability of both words together; below it the judge did not answer, which is an error and no fail";
const CALIBRATE: &str = "known answers, half of them right, on which the judge is tried before its verdicts count, and the least balanced accuracy; below it they are suspect and have no number. `none`: it is not tried";
const TRIED: &str = "{items: 16, at_least: 0.7}";
const UNTIL: &str = "a text that ends what it writes, beside the end of sequence";

const RULES: Topic = Topic {
    word: "rules",
    place: "verify",
    about: "Symbolic rules: a list, or `{list: [...], pass_at: 0.8, over: answer}`. The verdict names the rules that are broken; the score is the weighted share of rules kept, and it passes from `pass_at` on (1 without it; 0 gives the score alone). Of an episode they read the last action, and with `over: episode` all that was done and shown; its steps are the actions either way. Each rule is:",
    form: Form::Map,
    entries: &[
        required("id", "text", "what verdicts call it"),
        required("must", "choice", "what is true of an answer that keeps it"),
        preset("weight", "number", "1", "how much it counts beside the others"),
    ],
    example: "verify:\n  - rules:\n    - {id: short, must: {max_words: 80}}\n    - {id: no-guess, must: {not: {match: \"(?i)i guess\"}}, weight: 2}\n    - {id: sums, must: {every_step: {equations: hold}}}",
};

const MUST: Topic = Topic {
    word: "must",
    place: "rules",
    about: "What is true of an answer that keeps a rule. Words are what stands between spaces.",
    form: Form::Choice,
    entries: &[
        word("match", "text", "a part matches the regular expression (syntax of the Rust crate `regex`)"),
        word("contain", "text", "it holds the text"),
        word("min_words", "count", "so many words at least"),
        word("max_words", "count", "at most"),
        word("min_steps", "count", "so many steps at least"),
        word("max_steps", "count", "at most"),
        word(
            "equations",
            "hold",
            "every line that is an equation between numbers is true; other lines are not looked at",
        ),
        word("not", "choice", "the requirement is not kept"),
        word("all", "list of choices", "all of them are kept"),
        word("any", "list of choices", "one of them is"),
        word("every_step", "choice", "every step keeps it by itself"),
        word("first_step", "choice", "the first step does"),
        word("last_step", "choice", "the last step does"),
    ],
    example: "",
};

const JUDGING: Topic = Topic {
    word: "judging",
    place: "verify.judge",
    about: "`judge`: a language model says whether an answer is good. It is shown the task and the answer, and nothing of who wrote it. An answer that it cannot be shown, and a judge that does not answer, are no fail.",
    form: Form::Map,
    entries: &[
        optional("role", "role", ROLE),
        required("ask", "text", "with {prompt}, {answer} (so far), {step} (the last), {expected}; `{{` is a brace"),
        preset("chat", "true or false", "false", CHAT),
        preset(
            "mode",
            "logits or rationale, or a map of one",
            "{logits: {yes:  Yes, no:  No, floor: 0.05}}",
            "by the probabilities of two words that come next, or in writing",
        ),
        preset("fence", "[text, text]", FENCES, FENCE),
        preset("pass_at", "number", "0.5", "the least score, from 0 to 1, that passes"),
        preset("calibrate", "map or `none`", TRIED, CALIBRATE),
    ],
    example: "verify:\n  - judge:\n      role: umpire\n      ask: \"{prompt}\\nAnswer: {answer}\\nIs it right? Yes or No:\"\n      mode: {logits: {floor: 0.2}}\n      calibrate: {items: 32, at_least: 0.8}",
};

const LOGITS: Topic = Topic {
    word: "logits",
    place: "verify.judge.mode",
    about: "One forward pass: the score is p(yes) / (p(yes) + p(no)) of the words' first tokens, which must differ; the confidence is p(yes) + p(no).",
    form: Form::Map,
    entries: &[
        preset("yes", "text", " Yes", "the word for a good answer"),
        preset("no", "text", " No", "the word for another"),
        preset("floor", "number", "0.05", FLOOR),
    ],
    example: "",
};

const RATIONALE: Topic = Topic {
    word: "rationale",
    place: "verify.judge.mode",
    about: "The judge writes. Its last line `verdict: pass` or `verdict: fail` counts, or with a scale `score: N`. Of several texts verdicts are averaged, of scores the median is taken; the confidence is the share of texts that agree, unreadable ones among all. If none can be read, the verdict is an error.",
    form: Form::Map,
    entries: &[
        preset("samples", "count", "3", "texts"),
        preset("temperature", "number", "1", "of the texts"),
        preset("max_tokens", "count", "256", "longest text"),
        optional("until", "text", UNTIL),
        optional("scale", "[number, number]", "the worst score and the best one"),
    ],
    example: "mode: {rationale: {samples: 5, scale: [1, 10]}}",
};

const JUDGE_PAIR: Topic = Topic {
    word: "judge_pair",
    place: "verify",
    about: "A number: the share of comparisons that an answer wins against the others of its task, each in both orders; where the orders disagree, both get half. The confidence is the share of comparisons in which they agreed. An answer that was compared with no other has no number. In `verify` only.",
    form: Form::Map,
    entries: &[
        optional("role", "role", ROLE),
        required("ask", "text", "with {prompt}, {first}, {second}, {expected}"),
        preset("chat", "true or false", "false", CHAT),
        preset("first", "text", " A", "the word for: the first is better"),
        preset("second", "text", " B", "the word for: the second is"),
        preset("floor", "number", "0.05", FLOOR),
        preset("fence", "[text, text]", FENCES, FENCE),
        preset(
            "pairs",
            "count",
            "64",
            "most pairs of one task; every answer is in as many as the others, give or take",
        ),
        preset("calibrate", "map or `none`", TRIED, CALIBRATE),
    ],
    example: "verify: [rule, {judge_pair: {ask: \"{prompt}\\nA: {first}\\nB: {second}\\nThe better one is\"}}]",
};

const PRINCIPLES: Topic = Topic {
    word: "principles",
    place: "verify",
    about: "An answer is judged by one principle at a time, by the probabilities of two words; the score is the weighted mean. If more than half of the weight is unanswered, the verdict is an error.",
    form: Form::Map,
    entries: &[
        optional("role", "role", ROLE),
        required("ask", "text", "with {principle}, {prompt}, {answer}, {step}, {expected}"),
        preset("chat", "true or false", "false", CHAT),
        required(
            "from",
            "list or generate",
            "{list: [text or {text, weight, negate}]}, where what keeps a negated one is worse; or {generate: ...}: the judge writes them for each task",
        ),
        preset("yes", "text", " Yes", "the word for an answer that keeps it"),
        preset("no", "text", " No", "the word for another"),
        preset("floor", "number", "0.05", FLOOR),
        preset("fence", "[text, text]", FENCES, FENCE),
        preset("pass_at", "number", "0.5", "the least score, from 0 to 1, that passes"),
        preset("calibrate", "map or `none`", TRIED, CALIBRATE),
    ],
    example: "verify:\n  - principles:\n      ask: \"{prompt}\\n{answer}\\nDoes it keep this: {principle} Yes or No:\"\n      from: {list: [\"It is short.\", {text: \"It guesses.\", negate: true}]}",
};

const GENERATE: Topic = Topic {
    word: "generate",
    place: "verify.principles.from",
    about: "The judge writes principles for a task, one a line behind `-`, before it judges (SPCT, arXiv 2504.02495). Every list has one vote, shared among its principles.",
    form: Form::Map,
    entries: &[
        required("ask", "text", "with {prompt}"),
        preset("samples", "count", "3", "lists"),
        preset("most", "count", "5", "principles that are read of a list"),
        preset("temperature", "number", "1", "of the lists"),
        preset("max_tokens", "count", "256", "longest list"),
        optional("until", "text", UNTIL),
    ],
    example: "",
};

const FIRST_ERROR: Topic = Topic {
    word: "first_error",
    place: "verify",
    about: "The first step that is wrong: fails if there is one, and the score is the share of steps before it. Steps are those of the search; of an answer in one piece its lines, where a judge is asked.",
    form: Form::Map,
    entries: &[
        required(
            "by",
            "verifier",
            "what judges the answer up to a step: prm, value, orm, judge, principles, rules or mc_rollout",
        ),
        preset("below", "number", "0.5", "a step is wrong if its score is below this"),
        preset(
            "how",
            "scan, bisect or walk",
            "scan",
            "ask about every step; about the middle of what is left, again and again, which is right if what is once wrong stays wrong; or about one after the other up to the first that is wrong",
        ),
        optional(
            "decides",
            "true or false",
            "false: the step is named, and others decide; without it an answer with a wrong step fails",
        ),
    ],
    example: "verify: [rule, {first_error: {by: {mc_rollout: {samples: 8}}, below: 0.1, how: bisect}}]",
};
