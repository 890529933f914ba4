//! What became of a program, finer than pass or fail: the four outcome classes of CodeRL (arXiv 2207.01780). They are the classes that a
//! critic with `head: {classes: 4}` learns; what each is worth is the recipe's choice.

/// What became of a program. Its number is the class of [`Verdict`](super::Verdict).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramClass {
    /// It is no program of its language.
    CompileError,
    /// It stopped with an error.
    RuntimeError,
    /// It ran, and some test did not come out right.
    FailedTest,
    /// It passed every test.
    Passed,
}

impl ProgramClass {
    /// How many there are.
    pub const COUNT: u32 = 4;

    /// The number, from 0; higher is better.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::CompileError => 0,
            Self::RuntimeError => 1,
            Self::FailedTest => 2,
            Self::Passed => 3,
        }
    }
}
