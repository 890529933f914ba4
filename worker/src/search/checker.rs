//! Checks that take a while (code of models in the sandbox): how each is decided. They are run beside the engine (`beside`).

use std::sync::Arc;

use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_telemetry::{ErrorChain, SpawnError};

use super::beside::Beside;
use super::referee::{Check, Steps, share_of};
use crate::code::Code;
use crate::sandbox::check::{Budget, StepEnd, steps};
use crate::sandbox::{Pool, SandboxError};
use crate::verify::programs;

/// Checks at a time.
const THREADS: usize = 2;

/// Threads that check by `code`.
///
/// # Errors
/// If the operating system refuses a thread.
pub(super) fn start(code: &Arc<Code>) -> Result<Beside<Check, Verdict>, SpawnError> {
    let code = Arc::clone(code);
    Beside::start("checker", THREADS, move |check| judge(&code, &check))
}

fn judge(code: &Code, check: &Check) -> Verdict {
    match check {
        Check::Steps(steps) => decide(code, steps),
        Check::Program(tested) => programs::decide(code, tested),
        Check::Share(tested, cost) => {
            share_of(&tested.iter().map(|tested| programs::decide(code, tested)).collect::<Vec<_>>(), *cost)
        }
    }
}

/// The verdict on the last step. What went wrong with the sandbox, and a step that ran out of time, is said as it is: it is no fault of
/// the step, and whoever asked may ask again.
fn decide(code: &Code, check: &Steps) -> Verdict {
    let verdict = match code.pool() {
        Ok(pool) => run(&pool, check),
        Err(error) => Verdict::new(Outcome::Error, error.to_string()),
    };
    verdict.by(BY)
}

const BY: &str = "step_executor/1";

fn run(pool: &Pool, check: &Steps) -> Verdict {
    let each_ms = u64::from(check.seconds) * 1000;
    let budget = Budget { each_ms, wall_ms: each_ms * check.steps.len().max(1) as u64 };
    let ends: Result<Vec<StepEnd>, SandboxError> = steps(pool, &check.steps, budget);
    match ends {
        Err(error) => Verdict::new(Outcome::Error, ErrorChain::new(&error).to_string()),
        Ok(ends) => match ends.last() {
            Some(StepEnd::Ran) if ends.len() == check.steps.len() => Verdict::pass("all steps ran"),
            Some(StepEnd::Raised(why)) => Verdict::fail(format!("step {} raised {why}", ends.len())),
            Some(StepEnd::TimedOut) => {
                Verdict::new(Outcome::Timeout, format!("step {} took more than {} s", ends.len(), check.seconds))
            }
            Some(StepEnd::Ran) | None => Verdict::new(Outcome::Error, "the sandbox lost a step"),
        },
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::verify::UnitTests;
    use galapagos_domain::task::dataset::ProgramTests;

    use super::*;
    use crate::sandbox::{FloorName, Walls};
    use crate::verify::programs::Tested;

    /// The sandbox's launcher is built by `cargo build -p galapagos-sandbox` where the whole workspace is not.
    #[test]
    fn the_share_of_programs_that_pass_is_of_those_that_were_decided() {
        let code = Code::walled(&Walls { sandbox_floor: FloorName::Strict, sandbox_python: None });
        let tests = Arc::new(ProgramTests::Asserts { programs: vec!["assert two() == 2".to_owned()], names: None });
        let options = UnitTests { seconds: 1, all_seconds: 5, behind_prompt: false, examples: None };
        let tested =
            |body: &str| Tested { program: format!("def two(): {body}\n"), tests: Arc::clone(&tests), options };
        let share = |bodies: &[&str]| judge(&code, &Check::Share(bodies.iter().map(|body| tested(body)).collect(), 9));
        let some = share(&["return 2", "return 3", "1 / 0", "return 1 + 1", "return all(True for _ in iter(int, 1))"]);
        assert_eq!((some.outcome, some.score, some.cost), (Outcome::Pass, Some(0.5), 9), "{}", some.reason);
        assert_eq!(some.reason, "2 of 4 continuations pass");
        let none = share(&["return all(True for _ in iter(int, 1))"]);
        assert_eq!((none.outcome, none.score), (Outcome::Timeout, None), "{}", none.reason);
    }
}
