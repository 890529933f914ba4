//! Families of generated problems, and their options.

use super::super::topic::{Entry, Form, Topic};
use super::{optional, preset, word};

pub const TOPICS: &[Topic] = &[
    FAMILY,
    ARITHMETIC_STEPS,
    COUNTDOWN,
    COUNTDOWN_STEPS,
    LIST_PROGRAM,
    RENDERED_SUMS,
    SUM_REVIEW,
    ENUMERABLE,
    STYLE,
    TAKEN_BACK,
    BEGUN,
];

const FAMILY: Topic = Topic {
    word: "family",
    place: "builtin",
    about: "What generated problems are. Where there are options, the bare word stands for their defaults. See docs/families.md.",
    form: Form::Choice,
    entries: &[
        word("largest_of_five", "", "the largest of five numbers"),
        word("smallest_of_five", "", "the smallest of five numbers"),
        word("letters_in_word", "", "the number of letters in an English word"),
        word("first_in_alphabet", "", "the first in the alphabet of four letters"),
        word("odd_one_out", "", "the word that differs from three others"),
        word("sort_six_digits", "", "six digits in ascending order"),
        word("sort_three_digits", "", "three digits in ascending order"),
        word("countdown", "map", "an expression of given numbers that has a given value"),
        word("countdown_steps", "map", "the same, one line for each operation; a line may be taken back"),
        word("arithmetic_steps", "map", "the value of an expression, after one line for each operation"),
        word("list_program", "map", "a program of the list language that does what two examples show"),
        word("life_step", "", "the next state of a small board of the game of life"),
        word("rendered_sums", "map", "the value of a sum that an image shows, after one line for each operation"),
        word("sum_review", "map", "which of a few sums are wrong, and how many are right"),
        word("enumerable", "map", "a short string, by a known law of its context; all splits hold the same contexts"),
    ],
    example: "tasks:\n  sums: {builtin: {family: {arithmetic_steps: {count: [2, 3], digits: [1, 2], products: false}}, train: 400, val: 100, test: 100}}",
};

const ARITHMETIC_STEPS: Topic = Topic {
    word: "arithmetic_steps",
    place: "family",
    about: "Expressions of + - * whose working never goes below 0.",
    form: Form::Map,
    entries: &[
        preset("count", "list of 2 counts", "[2, 4]", "fewest and most numbers, 2 to 6"),
        preset("digits", "list of 2 counts", "[3, 5]", "fewest and most digits of a number, 1 to 9"),
        preset("products", "true or false", "true", "whether a number may be multiplied by 2 to 9"),
    ],
    example: "",
};

const COUNTDOWN: Topic = Topic {
    word: "countdown",
    place: "family",
    about: "Numbers and a target that whole steps of + - * / reach.",
    form: Form::Map,
    entries: NUMBERS,
    example: "",
};

const NUMBERS: &[Entry] = &[
    preset("count", "list of 2 counts", "[3, 4]", "fewest and most numbers, 2 to 5"),
    preset("largest", "count", "50", "largest number that is given, 3 to 1000"),
    preset("target", "count", "100", "largest target, 10 to 10000"),
    preset(
        "products",
        "true or false",
        "true",
        "whether problems are made with `*` and `/` too, and not with `+` and `-` alone",
    ),
    optional("largest_target", "count", "an older word for `target`"),
];

const COUNTDOWN_STEPS: Topic = Topic {
    word: "countdown_steps",
    place: "family",
    about: "`24: 3 5 9` is answered by `3*5=15` and `15+9=24` on a line each. `undo` takes the last operation back, `check` says nothing, lines of dots are passed over; all lines are replayed, and the first that cannot be done fails the answer.",
    form: Form::Map,
    entries: NUMBERS,
    example: "tasks:\n  game: {builtin: {family: {countdown_steps: {count: [3, 3], largest: 9, target: 30}}, train: 400, val: 100, test: 100, demonstrations: 100, style: search}}",
};

const LIST_PROGRAM: Topic = Topic {
    word: "list_program",
    place: "family",
    about: "`Q: [3, 1, 2] -> 6; [5] -> 5` is answered by `sum`: stages with `|` between, each of which makes of a list another or a number. Eight hidden examples decide; a verdict has the class of the outcome.",
    form: Form::Map,
    entries: &[
        preset("stages", "list of 2 counts", "[2, 3]", "fewest and most stages, 1 to 6"),
        preset("length", "list of 2 counts", "[3, 6]", "fewest and most numbers of a shown input, 1 to 12"),
        preset(
            "values",
            "list of 2 numbers",
            "[-9, 20]",
            "least and largest number of a shown input, -99 to 99; hidden ones have -9 to 20 in any case",
        ),
        preset(
            "calculations",
            "true or false",
            "true",
            "whether programs calculate and compare too (`map`, `sums`, `sum`, `filter >N`), or only rearrange, select and count; an answer may in any case",
        ),
        preset(
            "told",
            "true or false",
            "false",
            "whether a question tells in words what the program does, before its examples: `Q: keep the even ones, then give the total. [3, 2, 4] -> 6; [8] -> 8`",
        ),
    ],
    example: "",
};

const RENDERED_SUMS: Topic = Topic {
    word: "rendered_sums",
    place: "family",
    about: "An image of `12+7+30` in one of three fonts, with shifts and noise, is answered as by `arithmetic_steps`: a line for each operation. Splits are by the sum, never by the image, and shared with `arithmetic_steps`. The policy needs a vision encoder (`vision`).",
    form: Form::Map,
    entries: &[
        preset("count", "list of 2 counts", "[2, 3]", "fewest and most numbers, 2 to 4"),
        preset("digits", "list of 2 counts", "[1, 2]", "fewest and most digits of a number, 1 to 3"),
        preset("noise", "count", "1", "of a hundred pixels, how many are turned over, 0 to 20"),
        preset(
            "mismatched",
            "true or false",
            "false",
            "each image shows another sum, of another value, than is asked for: for negative controls",
        ),
    ],
    example: "tasks:\n  seen: {builtin: {family: {rendered_sums: {count: [2, 2], digits: [1, 1]}}, train: 400, val: 20, test: 20}}",
};

const SUM_REVIEW: Topic = Topic {
    word: "sum_review",
    place: "family",
    about: "`Q: a 3+4=7 b 2+9=12 c 8-5=3` is answered by `b 2`: the letters of the wrong sums, or `-`, and how many are right. The number decides. How many are wrong is drawn evenly from none to all.",
    form: Form::Map,
    entries: &[
        preset("count", "list of 2 counts", "[3, 5]", "fewest and most sums, 1 to 9"),
        preset("digits", "list of 2 counts", "[1, 2]", "fewest and most digits of a number, 1 to 6"),
        preset(
            "reasons",
            "true or false",
            "true",
            "whether demonstrations give the letters before the number; an answer may in any case",
        ),
    ],
    example: "",
};

const ENUMERABLE: Topic = Topic {
    word: "enumerable",
    place: "family",
    about: "Each context has a fixed law over at most eight strings; the most likely one, of probability 0.2 to 0.5, is right. Demonstrations are drawn by the law, every context in turn. All splits hold the same contexts, so results say nothing about new problems; there are no shots.",
    form: Form::Map,
    entries: &[
        preset("contexts", "count", "64", "how many, 1 to 10000; more do not change the laws of the first"),
        preset("letters", "count", "6", "letters of the alphabet, 4 to 10"),
        preset("length", "list of 2 counts", "[1, 3]", "fewest and most letters of an answer, 1 to 3"),
        optional(
            "runner_up",
            "list of 2 counts",
            "least and most percent of the right answer's probability that the next likely one has, 60 to 99, such as [90, 95] for near ties; 0.3 to 0.9 of the way from an even share when absent",
        ),
    ],
    example: "",
};

const STYLE: Topic = Topic {
    word: "style",
    place: "builtin",
    about: "How demonstrations are worked. It changes neither problems nor what passes. Families but `countdown_steps` have `direct` alone.",
    form: Form::Choice,
    entries: &[
        word("direct", "", "without a detour"),
        word("wrong", "", "drawn operations, without a detour, to a wrong end: the demonstrations do not pass"),
        word("search", "", "with 1 to 3 dead ends, each taken back by `undo`, and a `check` at the end"),
        word("wrong_search", "", "as `search`, to a wrong end: the demonstrations do not pass"),
        word("filler", "", "without a detour, behind lines of dots: as long as `search`"),
    ],
    example: "",
};

const TAKEN_BACK: Topic = Topic {
    word: "taken_back",
    place: "builtin",
    about: "When demonstrated searches, and the dots of `filler` that are as long, take a dead end back. For `countdown_steps`. With `when_played`, answers may be longer.",
    form: Form::Choice,
    entries: &[
        word("at_once", "", "as soon as the target is out of reach: its writer knows that, a policy can only guess it"),
        word(
            "when_played",
            "",
            "once it was worked to its wrong end, as the last number shows; there are 0 to 3, so that a first try may be right",
        ),
    ],
    example: "",
};

const BEGUN: Topic = Topic {
    word: "begun",
    place: "builtin",
    about: "What the prompt of every problem of the set has begun already, in all splits; keys and canonical forms stay. For `arithmetic_steps` and `countdown_steps`.",
    form: Form::Choice,
    entries: &[
        word("none", "", "nothing"),
        word(
            "wrong_steps",
            "count",
            "so many plausible wrong lines, fewer than the fewest numbers: of `arithmetic_steps` with a wrong result or out of order, and the right working may follow; of `countdown_steps` into a dead end, which must be undone",
        ),
    ],
    example: "",
};
