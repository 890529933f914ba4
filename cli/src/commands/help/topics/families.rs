//! Families of generated problems, and their options.

use super::super::topic::{Entry, Form, Topic};
use super::{optional, preset, word};

pub const TOPICS: &[Topic] = &[FAMILY, ARITHMETIC_STEPS, COUNTDOWN, COUNTDOWN_STEPS, STYLE, BEGUN];

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
        word("list_program", "", "a program of the list language that does what two examples show"),
        word("life_step", "", "the next state of a small board of the game of life"),
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

const STYLE: Topic = Topic {
    word: "style",
    place: "builtin",
    about: "How demonstrations are worked. It changes neither problems nor what passes. Families but `countdown_steps` have `direct` alone.",
    form: Form::Choice,
    entries: &[
        word("direct", "", "without a detour"),
        word("search", "", "with 1 to 3 dead ends, each taken back by `undo`, and a `check` at the end"),
        word("wrong_search", "", "as `search`, to a wrong end: the demonstrations do not pass"),
        word("filler", "", "without a detour, behind lines of dots: as long as `search`"),
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
