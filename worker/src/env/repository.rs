//! A small repository of list programs, some of them faulty, and an issue that tells what each should do: view, edit, run the tests, submit.
//!
//! Few tests are shown and run; hidden ones decide, once, over what was submitted: the score is the share of the faulty functions that came
//! right, or 0 if one that was right no longer is (the two lists of SWE-bench, fail to pass and pass to pass).

use galapagos_domain::task::list_program::{Example, Grade, ListTask, Program, Shape, VISIBLE, grade};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::Legal;
use super::builtin::{Game, Played, Refused};

/// Most functions; each is called by a letter.
const MOST: u32 = 4;

/// Draws of a program that is not the right one: far more than it takes, since most programs fail the tests of another.
const DRAWS: usize = 200;

/// When the shown tests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Run {
    /// By the action `test`.
    #[default]
    Asked,
    /// Behind every edit as well.
    Edited,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Fewest and most functions.
    functions: (u32, u32),
    /// Fewest and most of them that are faulty.
    faults: (u32, u32),
    /// Shown tests of each.
    tests: usize,
    run: Run,
    shape: Shape,
}

impl Default for Config {
    fn default() -> Self {
        let shape = Shape { stages: (1, 2), told: true, ..Shape::DEFAULT };
        Self { functions: (2, 3), faults: (1, 2), tests: VISIBLE, run: Run::default(), shape }
    }
}

impl Config {
    fn is_fine(&self) -> bool {
        let ranges = [self.functions, self.faults].iter().all(|(few, most)| 1 <= *few && few <= most);
        let counts = self.functions.1 <= MOST && self.faults.1 <= self.functions.0;
        ranges && counts && (1..=VISIBLE).contains(&self.tests)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Function {
    right: ListTask,
    /// As it stands now.
    program: Program,
    /// Shown tests that passed when they were last run; `None` if it was changed since.
    passed: Option<usize>,
    was_right: bool,
}

impl Function {
    fn is_right(&self, tests: &[Example]) -> bool {
        grade(&self.program.to_string(), tests) == Grade::Passed
    }

    /// Whether everything that is known of it comes out right, what is shown and what is hidden.
    fn is_done(&self) -> bool {
        self.is_right(&self.right.visible) && self.is_right(&self.right.hidden)
    }

    fn passes(&self, tests: usize) -> usize {
        self.right.visible[..tests].iter().filter(|test| self.is_right(std::slice::from_ref(test))).count()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Repository {
    functions: Vec<Function>,
    tests: usize,
    run: Run,
    submitted: bool,
}

#[derive(Debug)]
pub(super) enum Move {
    View(usize),
    Edit(usize, Program),
    Test,
    Submit,
}

impl Game for Repository {
    const NAME: &'static str = "repository";
    const OPTIONS: &'static str = "`functions` is two of 1 to 4, `faults` two of 1 to the fewest functions, `tests` 1 or 2, `run` is asked or edited, `shape` has `stages` (two of 1 to 6), `length` (two of 1 to 12), `values` (two of -99 to 99), `calculations` and `told` (true or false)";
    type Config = Config;
    type Move = Move;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        if !config.is_fine() {
            return None;
        }
        let count = rng.random_range(config.functions.0..=config.functions.1);
        let faults = rng.random_range(config.faults.0..=config.faults.1) as usize;
        let mut faulty: Vec<bool> = (0..count as usize).map(|at| at < faults).collect();
        faulty.shuffle(rng);
        let shape = config.shape;
        let functions = faulty.into_iter().map(|faulty| {
            let right = ListTask::draw(rng, shape)?;
            let program = if faulty { wrong(&right, shape, rng)? } else { right.program.clone() };
            Some(Function { right, program, passed: None, was_right: !faulty })
        });
        let functions = functions.collect::<Option<Vec<_>>>()?;
        let mut drawn = Self { functions, tests: config.tests, run: config.run, submitted: false };
        drawn.run_tests();
        Some(drawn)
    }

    fn canonical(&self) -> String {
        let one = |function: &Function| format!("{} {}", function.right.canonical(), function.program);
        self.functions.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn max_turns(&self) -> u32 {
        12
    }

    fn introduce(&self) -> String {
        let one = |(at, function)| self.describe(at, function);
        self.functions.iter().enumerate().map(one).collect::<Vec<_>>().join("\n")
    }

    fn observe(&self, _player: usize) -> String {
        let one = |(at, function): (usize, &Function)| match function.passed {
            Some(passed) => format!("{} {passed}/{}", letter(at), self.tests),
            None => format!("{} not run", letter(at)),
        };
        format!("Tests: {}", self.functions.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::Form("`view a`, `edit a sort | take 2`, `test` or `submit`".to_owned())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Move, Refused> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let (name, program) = rest.split_once(' ').unwrap_or((rest, ""));
        match (verb, name, program) {
            ("test", "", "") => Ok(Move::Test),
            ("submit", "", "") => Ok(Move::Submit),
            ("view", name, "") => self.named(name).map(Move::View),
            ("edit", name, program) => {
                let at = self.named(name)?;
                let program = Program::compile(program).map_err(|error| Refused::Rule(error.to_string()))?;
                Ok(Move::Edit(at, program))
            }
            _ => Err(Refused::Form("write `view a`, `edit a sort | take 2`, `test` or `submit`".to_owned())),
        }
    }

    fn play(&mut self, moves: Vec<Option<Move>>, _chance: &mut ChaCha8Rng) -> Played {
        match moves.into_iter().flatten().next() {
            None => Played::default(),
            Some(Move::View(at)) => Played::news(self.describe(at, &self.functions[at])),
            Some(Move::Edit(at, program)) => self.edit(at, program),
            Some(Move::Test) => {
                self.run_tests();
                Played::news(self.failures())
            }
            Some(Move::Submit) => self.submit(),
        }
    }

    fn score(&self, _player: usize) -> f64 {
        let count = |done: bool, was: bool| {
            self.functions.iter().filter(|function| function.was_right == was && function.is_done() == done).count()
        };
        let (mended, broken) = (count(true, false), count(false, true));
        match self.submitted && broken == 0 {
            true => mended as f64 / (mended + count(false, false)) as f64,
            false => 0.0,
        }
    }
}

/// A program of the shape that does not do what the right one does, on what is shown and hidden.
fn wrong(right: &ListTask, shape: Shape, rng: &mut ChaCha8Rng) -> Option<Program> {
    (0..DRAWS).find_map(|_| {
        let program = ListTask::draw(rng, shape)?.program;
        let text = program.to_string();
        let fails = |tests: &[Example]| grade(&text, tests) != Grade::Passed;
        (fails(&right.visible) && fails(&right.hidden)).then_some(program)
    })
}

/// What a function is called.
fn letter(at: usize) -> char {
    char::from(b'a' + at as u8)
}

impl Repository {
    fn named(&self, name: &str) -> Result<usize, Refused> {
        let found = (0..self.functions.len()).find(|at| letter(*at).to_string() == name);
        let last = letter(self.functions.len().saturating_sub(1));
        found.ok_or_else(|| Refused::Rule(format!("there is no function {name:?}, they are a to {last}")))
    }

    /// What a function should do, with its shown tests, and what it is.
    fn describe(&self, at: usize, function: &Function) -> String {
        let told = function.right.told.as_ref().map(|told| format!(" {told}")).unwrap_or_default();
        let tests = &function.right.visible[..self.tests];
        let tests = tests.iter().map(Example::to_string).collect::<Vec<_>>().join("; ");
        let name = letter(at);
        format!("{name} should{told}: {tests}\n{name} = {}", function.program)
    }

    fn run_tests(&mut self) {
        let tests = self.tests;
        self.functions.iter_mut().for_each(|function| function.passed = Some(function.passes(tests)));
    }

    /// The first failing test of every function that has one.
    fn failures(&self) -> String {
        let one = |(at, function): (usize, &Function)| {
            let failing = function.right.visible[..self.tests]
                .iter()
                .find(|test| !function.is_right(std::slice::from_ref(test)))?;
            Some(format!("{} fails: {failing}", letter(at)))
        };
        let failing: Vec<String> = self.functions.iter().enumerate().filter_map(one).collect();
        if failing.is_empty() { "All pass.".to_owned() } else { failing.join("\n") }
    }

    fn edit(&mut self, at: usize, program: Program) -> Played {
        let tests = self.tests;
        let news = format!("{} = {program}", letter(at));
        let function = &mut self.functions[at];
        function.program = program;
        function.passed = (self.run == Run::Edited).then(|| function.passes(tests));
        Played::news(news)
    }

    fn submit(&mut self) -> Played {
        self.submitted = true;
        let right = self.functions.iter().filter(|function| function.is_done()).count();
        let mut info = Map::new();
        info.insert("right".to_owned(), json!(right));
        info.insert("functions".to_owned(), json!(self.functions.len()));
        Played { over: true, info, ..Played::news("Submitted.") }
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;
    use rand::RngExt;
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    const ACTIONS: [&str; 8] =
        ["view a", "edit a sort", "edit b reverse | take 2", "test", "edit a shuffle", "view q", "fix it", "submit"];

    #[test]
    fn the_contract_with_actions_of_all_kinds() {
        for config in [json!({}), json!({"functions": [2, 2], "tests": 1, "run": "edited", "faults": [2, 2]})] {
            check("repository", &options(config), |rng, _| ACTIONS[rng.random_range(0..ACTIONS.len())].to_owned());
        }
    }

    fn drawn(seed: u64) -> Repository {
        Repository::draw(&Config::default(), &mut Seed(seed).stream()).unwrap()
    }

    fn mend(repository: &mut Repository) {
        for function in &mut repository.functions {
            function.program = function.right.program.clone();
        }
    }

    #[test]
    fn only_what_is_submitted_counts_and_nothing_may_break() {
        for seed in 0..30 {
            let untouched = drawn(seed);
            let act = |repository: &Repository, action| {
                let mut played = repository.clone();
                let brought = played.play(vec![Some(action)], &mut Seed(0).stream());
                (brought.over, played.score(0))
            };
            assert_eq!(act(&untouched, Move::Submit), (true, 0.0), "what is faulty fails: {untouched:?}");
            let mut mended = untouched.clone();
            mend(&mut mended);
            assert_eq!(mended.score(0), 0.0, "nothing was submitted");
            assert_eq!(act(&mended, Move::Submit), (true, 1.0));
            let Some(at) = mended.functions.iter().position(|function| function.was_right) else { continue };
            mended.functions[at].program =
                wrong(&mended.functions[at].right, Config::default().shape, &mut Seed(1).stream()).unwrap();
            assert_eq!(act(&mended, Move::Submit), (true, 0.0), "one that was right no longer is");
        }
    }

    #[test]
    fn half_of_the_faults_is_half_of_the_score() {
        let two = Config { functions: (3, 3), faults: (2, 2), ..Config::default() };
        let mut repository = Repository::draw(&two, &mut Seed(4).stream()).unwrap();
        let at = repository.functions.iter().position(|function| !function.was_right).unwrap();
        repository.functions[at].program = repository.functions[at].right.program.clone();
        repository.submit();
        assert_eq!(repository.score(0), 0.5);
    }

    #[test]
    fn tests_are_told_when_they_were_run_and_never_the_hidden_ones() {
        let (mut game, start) = env("repository", &options(json!({"functions": [2, 2]})), 3);
        let first = game.reset(&start).unwrap().remove(0);
        assert_eq!(first.matches(" should ").count(), 2, "{first}");
        assert_eq!(first.matches("->").count(), 2 * VISIBLE, "{first}");
        let mut say = |action: &str| game.step(&[Some(action)]).unwrap();
        let edited = say("edit a repeat 2 | repeat 2").observations.remove(0);
        assert!(edited.starts_with("a = repeat 2 | repeat 2\nTests: a not run, b "), "{edited}");
        let tested = say("test").observations.remove(0);
        assert!(tested.starts_with("a fails: [") && tested.contains("Tests: a 0/2, b "), "{tested}");
        assert!(say("view b").observations[0].starts_with("b should "));
        assert!(matches!(&say("edit a shuffle").taken[0], Taken::Illegal(why) if why.contains("stage 1 is no stage")));
        assert!(matches!(&say("view c").taken[0], Taken::Illegal(why) if why.contains("they are a to b")));
        assert!(matches!(say("dance").taken[0], Taken::Unparsable(_)));
        let end = say("submit");
        assert_eq!((end.done, end.rewards[0]), (Some(End::Terminated), 0.0));
        assert!(!end.observations[0].contains("->"));
    }

    #[test]
    fn an_edit_may_run_its_tests_at_once() {
        let config = Config { functions: (2, 2), run: Run::Edited, tests: 1, ..Config::default() };
        let mut repository = Repository::draw(&config, &mut Seed(5).stream()).unwrap();
        for at in 0..2 {
            let right = repository.functions[at].right.program.clone();
            repository.play(vec![Some(Move::Edit(at, right))], &mut Seed(0).stream());
        }
        assert_eq!(repository.observe(0), "Tests: a 1/1, b 1/1");
        assert!(Repository::draw(&Config { faults: (1, 4), ..Config::default() }, &mut Seed(0).stream()).is_none());
    }
}
