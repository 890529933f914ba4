//! List programs: find the program behind input/output examples. Tasks, their hidden tests and the graded check.
//!
//! Two examples are shown, eight are hidden. The hidden ones are a fixed function of the program and the shown ones, so a task is its
//! prompt and its program. The canonical form is the program's behaviour on fixed probes: two texts of one function never lie in
//! two splits.

mod language;

use std::fmt;
use std::sync::LazyLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use language::{CompileError, GUIDE, Limits, Program, RunError, Stage, Value};

use super::shape::{self, ShapeFault};
use super::split::Space;
use super::{Draft, Problem, check};
use crate::seed::Seed;
use crate::trajectory::{Outcome, ProgramClass, Verdict};

/// Examples that are shown, and that are hidden.
pub const VISIBLE: usize = 2;
/// Examples that decide.
pub const HIDDEN: usize = 8;

/// Least and largest number of an input, where nothing else is said.
const VALUES: (i64, i64) = (-9, 20);

/// By how much the least and the largest number of an input differ at least.
const NARROWEST: i64 = 4;

/// Longest shown part of the family's prompts in characters.
const LONGEST_EXAMPLES: u32 = 150;
/// Longest program of the family in characters.
const LONGEST_PROGRAM: u32 = 48;

/// An input and what the program makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Read by the program.
    pub input: Vec<i64>,
    /// Made by it.
    pub output: Value,
}

/// A program with its examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTask {
    /// The hidden program.
    pub program: Program,
    /// Shown.
    pub visible: Vec<Example>,
    /// Decide.
    pub hidden: Vec<Example>,
}

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most stages, 1 to 6.
    pub stages: (u32, u32),
    /// Fewest and most numbers of an input, 1 to 12.
    pub length: (u32, u32),
    /// Least and largest number of a shown input, -99 to 99. Hidden inputs have numbers from -9 to 20 whatever is shown.
    pub values: (i64, i64),
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { stages: (2, 3), length: (3, 6), values: VALUES };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::range("stages", self.stages, &(1..=6)),
            shape::range("length", self.length, &(1..=12)),
            shape::range("values", self.values, &(-99..=99)),
        ];
        // Two shown inputs must differ, and what a program does must show in them.
        let narrow = (self.values.1.saturating_sub(self.values.0) < NARROWEST).then(|| ShapeFault {
            field: "values",
            message: format!("[{}, {}] has too few numbers", self.values.0, self.values.1),
            help: format!("let the largest be at least {NARROWEST} above the least"),
        });
        faults.into_iter().flatten().chain(narrow).collect()
    }

    /// The shape, or the default if it is out of range.
    fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Longest shown part of a prompt and longest program in characters; longer draws are left out.
    pub(super) fn longest(self) -> (u32, u32) {
        let shape = self.or_default();
        let Self { stages, length, .. } = shape;
        if shape == Self::DEFAULT {
            return (LONGEST_EXAMPLES, LONGEST_PROGRAM);
        }
        // Two lists of numbers of up to three characters, each with ", " behind, brackets and arrows; a stage has a name, a number and " | ".
        (2 * (2 * (5 * length.1 + 2) + 6), 16 * stages.1)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How a program text does on examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grade {
    /// It is no program.
    CompileError(CompileError),
    /// It stopped with an error on some example; the first is told.
    RuntimeError {
        /// What stopped it.
        error: RunError,
        /// Examples it got right all the same.
        passed: usize,
        /// Examples in all.
        of: usize,
    },
    /// It ran, but some outputs are wrong.
    Failed {
        /// Examples it got right.
        passed: usize,
        /// Examples in all.
        of: usize,
    },
    /// All are right.
    Passed,
}

impl Grade {
    /// The share of examples that came out right.
    #[must_use]
    pub fn score(&self) -> f64 {
        match self {
            Self::CompileError(_) => 0.0,
            Self::RuntimeError { passed, of, .. } | Self::Failed { passed, of } => *passed as f64 / (*of).max(1) as f64,
            Self::Passed => 1.0,
        }
    }

    /// The class of outcome.
    #[must_use]
    pub fn class(&self) -> ProgramClass {
        match self {
            Self::CompileError(_) => ProgramClass::CompileError,
            Self::RuntimeError { .. } => ProgramClass::RuntimeError,
            Self::Failed { .. } => ProgramClass::FailedTest,
            Self::Passed => ProgramClass::Passed,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CompileError(error) => write!(f, "compile error: {error}"),
            Self::RuntimeError { error, passed, of } => write!(f, "runtime error: {error}; {passed} of {of} right"),
            Self::Failed { passed, of } => write!(f, "failed: {passed} of {of} right"),
            Self::Passed => f.write_str("passed"),
        }
    }
}

/// Runs `text` on `examples`.
#[must_use]
pub fn grade(text: &str, examples: &[Example]) -> Grade {
    let program = match Program::compile(text) {
        Ok(program) => program,
        Err(error) => return Grade::CompileError(error),
    };
    let (mut passed, mut first_error) = (0, None);
    for example in examples {
        match program.run(&example.input, Limits::default()) {
            Ok(output) => passed += usize::from(output == example.output),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let of = examples.len();
    match first_error {
        Some(error) => Grade::RuntimeError { error, passed, of },
        None if passed == of => Grade::Passed,
        None => Grade::Failed { passed, of },
    }
}

impl ListTask {
    /// A random program with examples that show something of it. `None` if the shape is out of range.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Option<Self> {
        if !shape.faults().is_empty() {
            return None;
        }
        loop {
            let program = Program::draw(rng, shape.stages);
            let shown = examples(&program, rng, (shape.length, shape.values), VISIBLE);
            let Some(visible) = shown.filter(|shown| tells(shown)) else { continue };
            let Some(hidden) = hidden(&program, &visible) else { continue };
            if tells(&hidden) && !is_shorter_still(&program) {
                return Some(Self { program, visible, hidden });
            }
        }
    }

    /// The program's behaviour on fixed probes, digested.
    #[must_use]
    pub fn canonical(&self) -> String {
        behaviour(&self.program)
    }

    /// The shown examples on one line.
    #[must_use]
    pub fn shown(&self) -> String {
        let one = |example: &Example| format!("{} -> {}", Value::List(example.input.clone()), example.output);
        self.visible.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// The hidden examples of a program and what is shown of it; `None` if too few inputs run without an error.
fn hidden(program: &Program, visible: &[Example]) -> Option<Vec<Example>> {
    let mut label = format!("list_program/hidden/{program}");
    visible.iter().for_each(|example| label.push_str(&Value::List(example.input.clone()).to_string()));
    let mut rng = Seed(0).derive(&label).stream();
    examples(program, &mut rng, ((2, 8), VALUES), HIDDEN)
}

/// Of inputs with so many numbers from least to largest.
fn examples(
    program: &Program,
    rng: &mut ChaCha8Rng,
    (length, values): ((u32, u32), (i64, i64)),
    count: usize,
) -> Option<Vec<Example>> {
    let mut found: Vec<Example> = Vec::with_capacity(count);
    for _ in 0..8 * count {
        let length = rng.random_range(length.0..=length.1);
        let input: Vec<i64> = (0..length).map(|_| rng.random_range(values.0..=values.1)).collect();
        let new = found.iter().all(|example| example.input != input);
        if let Some(output) = program.run(&input, Limits::default()).ok().filter(|_| new) {
            found.push(Example { input, output });
        }
        if found.len() == count {
            return Some(found);
        }
    }
    None
}

/// Whether examples show that the program does something: some output differs from its input, and not all are the same.
fn tells(examples: &[Example]) -> bool {
    let changes = examples.iter().any(|example| example.output != Value::List(example.input.clone()));
    let differ = examples.windows(2).any(|pair| pair[0].output != pair[1].output);
    let shows = examples.iter().any(|example| example.output != Value::List(Vec::new()));
    changes && differ && shows
}

/// Inputs that tell programs apart.
static PROBES: LazyLock<Vec<Vec<i64>>> = LazyLock::new(|| {
    let mut rng = Seed(0).derive("list_program/probes").stream();
    let mut probe = |_| (0..rng.random_range(0..=8)).map(|_| rng.random_range(-9..=20)).collect();
    (0..24).map(&mut probe).collect()
});

/// Whether a stage can be left out without a difference on the probes.
fn is_shorter_still(program: &Program) -> bool {
    let run = |program: &Program, probe: &[i64]| program.run(probe, Limits::default()).ok();
    program.without_one().any(|shorter| PROBES.iter().all(|probe| run(&shorter, probe) == run(program, probe)))
}

fn behaviour(program: &Program) -> String {
    let mut hasher = blake3::Hasher::new();
    for probe in PROBES.iter() {
        let (mark, numbers) = match program.run(probe, Limits::default()) {
            Ok(Value::Number(number)) => (b'n', vec![number]),
            Ok(Value::List(numbers)) => (b'l', numbers),
            Err(_) => (b'e', Vec::new()),
        };
        hasher.update(&[mark]);
        hasher.update(&(numbers.len() as u64).to_le_bytes());
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
    }
    hasher.finalize().to_hex()[..24].to_owned()
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(shape: Shape, rng: &mut ChaCha8Rng) -> Draft {
    let (longest_shown, longest_program) = shape.longest();
    loop {
        let Some(task) = ListTask::draw(rng, shape.or_default()) else { continue };
        let (shown, program) = (task.shown(), task.program.to_string());
        if shown.len() <= longest_shown as usize && program.len() <= longest_program as usize {
            return Draft::question(&shown, &program, task.canonical());
        }
    }
}

/// At least so many forms are in each part (a test counts them); prompts beyond any split's size.
pub(super) fn space() -> Space {
    Space::Counted { forms: 1000, prompts: u64::from(super::MAX_SPLIT) }
}

/// Grades a program text against the hidden examples of a problem of this family; `None` if the problem is none of it.
#[must_use]
pub fn grade_problem(problem: &Problem, text: &str) -> Option<Grade> {
    let program = Program::compile(&problem.answer).ok()?;
    let shown = problem.prompt.strip_prefix("Q: ")?.strip_suffix("\nA:")?;
    let visible = shown.split("; ").map(|example| {
        let input = Value::read_list(example.split_once(" -> ")?.0)?;
        let output = program.run(&input, Limits::default()).ok()?;
        Some(Example { input, output })
    });
    let hidden = hidden(&program, &visible.collect::<Option<Vec<_>>>()?)?;
    Some(grade(text, &hidden))
}

/// What the question shows of the program: inputs with their outputs.
fn shown(prompt: &str) -> Option<Vec<Example>> {
    let shown = prompt.strip_prefix("Q: ")?.strip_suffix("\nA:")?;
    let read = |example: &str| {
        let (input, output) = example.split_once(" -> ")?;
        Some(Example { input: Value::read_list(input)?, output: Value::read(output)? })
    };
    shown.split("; ").map(read).collect()
}

/// Passes if the examples that the question shows come out right: what anybody may run, and says nothing of the hidden ones.
pub(super) fn check_shown(problem: &Problem, text: &str) -> Verdict {
    let Some(examples) = shown(&problem.prompt) else {
        return Verdict::new(Outcome::Error, format!("{} is no task of list_program", problem.key));
    };
    let grade = grade(text, &examples);
    let outcome = if grade == Grade::Passed { Outcome::Pass } else { Outcome::Fail };
    Verdict::new(outcome, format!("on the shown examples: {grade}")).graded(grade.class())
}

/// Passes if all hidden examples come out right.
pub(super) fn verify(problem: &Problem, completion: &str) -> Verdict {
    let Some(grade) = grade_problem(problem, completion) else {
        let reason = format!("{} is no task of list_program", problem.key);
        return Verdict::new(Outcome::Error, reason);
    };
    let outcome = if grade == Grade::Passed { Outcome::Pass } else { Outcome::Fail };
    Verdict::new(outcome, format!("{grade}; read {:?}", check::clip(completion.trim()))).graded(grade.class())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::split::Part;
    use super::*;
    use crate::task::Family;

    fn example(input: &[i64], output: Value) -> Example {
        Example { input: input.to_vec(), output }
    }

    #[test]
    fn the_four_grades() {
        let examples = [example(&[3, 1, 2], Value::Number(3)), example(&[5], Value::Number(5))];
        assert_eq!(grade("max", &examples), Grade::Passed);
        assert_eq!(grade("first", &examples), Grade::Passed, "not told apart by these two");
        assert_eq!(grade("last", &examples), Grade::Failed { passed: 1, of: 2 });
        assert_eq!(grade("last", &examples).score(), 0.5);
        assert!(matches!(grade("maximum", &examples), Grade::CompileError(_)));
        let stopped = grade("drop 1 | max", &[example(&[1, 3], Value::Number(3)), example(&[5], Value::Number(5))]);
        assert_eq!(stopped.to_string(), "runtime error: `max` of an empty list; 1 of 2 right");
        let classes = ["maximum", "drop 1 | max", "last", "max"].map(|text| grade(text, &examples).class().number());
        assert_eq!(classes, [0, 1, 2, 3]);
        assert_eq!(ProgramClass::COUNT, 4);
    }

    #[test]
    fn a_problem_is_graded_by_its_hidden_examples_alone() {
        let mut rng = Seed(3).stream();
        let (mut overfitted, mut drawn) = (0, 0);
        while drawn < 40 {
            let draft = draw(Shape::DEFAULT, &mut rng);
            let problem = Problem {
                key: "t/0".to_owned(),
                prompt: draft.prompt,
                answer: draft.answer,
                canonical: draft.canonical,
            };
            assert_eq!(grade_problem(&problem, &problem.answer), Some(Grade::Passed));
            assert_eq!(verify(&problem, &problem.answer).class, Some(3));
            assert_eq!(verify(&problem, " no program").class, Some(0));
            assert_eq!(check_shown(&problem, &problem.answer).outcome, Outcome::Pass);
            assert_eq!(check_shown(&problem, " no program").class, Some(0));
            for wrong in ["sort", "reverse", "take 1"].iter().filter(|wrong| !problem.answer.contains(*wrong)) {
                overfitted += usize::from(grade_problem(&problem, wrong) == Some(Grade::Passed));
            }
            drawn += 1;
        }
        assert_eq!(overfitted, 0, "no one-stage program passes for another program");
        let foreign = Problem {
            key: "t/1".to_owned(),
            prompt: "Q: x\nA:".to_owned(),
            answer: " sort".to_owned(),
            canonical: String::new(),
        };
        assert_eq!((verify(&foreign, " sort").outcome, verify(&foreign, " sort").class), (Outcome::Error, None));
    }

    #[test]
    fn the_option_says_which_numbers_are_shown_and_hidden_ones_stay() {
        let small = Shape { values: (0, 9), ..Shape::DEFAULT };
        let mut rng = Seed(5).stream();
        let task = ListTask::draw(&mut rng, small).unwrap();
        let numbers =
            |examples: &[Example]| examples.iter().flat_map(|example| example.input.clone()).collect::<Vec<_>>();
        assert!(numbers(&task.visible).iter().all(|number| (0..=9).contains(number)));
        assert!(numbers(&task.hidden).iter().any(|number| !(0..=9).contains(number)));
        for (values, message) in [((0, 100), "out of range"), ((3, 3), "too few numbers"), ((4, 1), "out of range")] {
            let faults = Shape { values, ..Shape::DEFAULT }.faults();
            assert!(
                faults.iter().any(|fault| fault.field == "values" && fault.message.contains(message)),
                "{faults:?}"
            );
            assert!(ListTask::draw(&mut rng, Shape { values, ..Shape::DEFAULT }).is_none());
        }
    }

    #[test]
    fn every_part_holds_the_forms_that_its_space_says() {
        let mut rng = Seed(1).stream();
        let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let Space::Counted { forms, .. } = space() else { panic!("counted") };
        for _ in 0..200_000 {
            let canonical = draw(Shape::DEFAULT, &mut rng).canonical;
            parts
                .entry(Part::of_form(Family::ListProgram(Shape::DEFAULT), &canonical).label())
                .or_default()
                .insert(canonical);
            if parts.len() == 4 && parts.values().all(|part| part.len() as u64 >= forms) {
                return;
            }
        }
        panic!("{:?}", parts.iter().map(|(part, forms)| (*part, forms.len())).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn tasks_hold_together(seed in 0u64..) {
            let task = ListTask::draw(&mut Seed(seed).stream(), Shape::default()).unwrap();
            prop_assert_eq!((task.visible.len(), task.hidden.len()), (VISIBLE, HIDDEN));
            let text = task.program.to_string();
            prop_assert_eq!(grade(&text, &task.visible), Grade::Passed);
            prop_assert_eq!(grade(&text, &task.hidden), Grade::Passed);
            let again = ListTask { program: Program::compile(&text).unwrap(), ..task.clone() };
            prop_assert_eq!(again.canonical(), task.canonical());
        }
    }
}
