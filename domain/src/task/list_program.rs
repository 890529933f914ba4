//! List programs: find the program behind input/output examples. Tasks, their hidden tests and the graded check.
//!
//! Two examples are shown, behind words that tell what the program does if the shape says so; eight are hidden. The hidden ones are a fixed function of the program and the shown ones, so a task is its
//! prompt and its program. The canonical form is the program's behaviour on fixed probes: two texts of one function never lie in
//! two splits.

mod language;
mod shape;
mod telling;

use std::fmt;
use std::sync::LazyLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use language::{CompileError, GUIDE, Limits, Program, RunError, Stage, Value};
pub use shape::Shape;

use super::split::Space;
use super::{Draft, Problem, check};
use crate::seed::Seed;
use crate::trajectory::{Outcome, ProgramClass, Verdict};

/// Examples that are shown, and that are hidden.
pub const VISIBLE: usize = 2;
/// Examples that decide.
pub const HIDDEN: usize = 8;

/// An input and what the program makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Read by the program.
    pub input: Vec<i64>,
    /// Made by it.
    pub output: Value,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", Value::List(self.input.clone()), self.output)
    }
}

/// A program with its examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTask {
    /// The hidden program.
    pub program: Program,
    /// What it does in words, if the question tells it.
    #[serde(default)]
    pub told: Option<String>,
    /// Shown.
    pub visible: Vec<Example>,
    /// Decide.
    pub hidden: Vec<Example>,
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
            let program = Program::draw(rng, shape.stages, shape.calculations);
            let shown = examples(&program, rng, (shape.length, shape.values), VISIBLE);
            let Some(visible) = shown.filter(|shown| tells(shown)) else { continue };
            let Some(hidden) = hidden(&program, &visible) else { continue };
            if tells(&hidden) && !is_shorter_still(&program) {
                let told = shape.told.then(|| telling::tell(&program, rng));
                return Some(Self { program, told, visible, hidden });
            }
        }
    }

    /// The program's behaviour on fixed probes, digested.
    #[must_use]
    pub fn canonical(&self) -> String {
        behaviour(&self.program)
    }

    /// What is told and the shown examples, on one line.
    #[must_use]
    pub fn shown(&self) -> String {
        let examples = self.visible.iter().map(Example::to_string).collect::<Vec<_>>().join("; ");
        self.told.as_ref().map_or_else(|| examples.clone(), |told| format!("{told}{}{examples}", telling::END))
    }
}

/// The hidden examples of a program and what is shown of it; `None` if too few inputs run without an error.
fn hidden(program: &Program, visible: &[Example]) -> Option<Vec<Example>> {
    let mut label = format!("list_program/hidden/{program}");
    visible.iter().for_each(|example| label.push_str(&Value::List(example.input.clone()).to_string()));
    let mut rng = Seed(0).derive(&label).stream();
    examples(program, &mut rng, ((2, 8), shape::VALUES), HIDDEN)
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
    let visible = examples_text(&problem.prompt)?.split("; ").map(|example| {
        let input = Value::read_list(example.split_once(" -> ")?.0)?;
        let output = program.run(&input, Limits::default()).ok()?;
        Some(Example { input, output })
    });
    let hidden = hidden(&program, &visible.collect::<Option<Vec<_>>>()?)?;
    Some(grade(text, &hidden))
}

/// The examples of a question as they stand there, without what it tells.
fn examples_text(prompt: &str) -> Option<&str> {
    let shown = prompt.strip_prefix("Q: ")?.strip_suffix("\nA:")?;
    Some(shown.split_once(telling::END).map_or(shown, |(_, examples)| examples))
}

/// What the question shows of the program: inputs with their outputs.
fn shown(prompt: &str) -> Option<Vec<Example>> {
    let read = |example: &str| {
        let (input, output) = example.split_once(" -> ")?;
        Some(Example { input: Value::read_list(input)?, output: Value::read(output)? })
    };
    examples_text(prompt)?.split("; ").map(read).collect()
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
mod tests;
