//! List programs as an environment: hand in a program, read how it does on the two shown examples, hand in a better one.
//!
//! The hidden examples decide and are never shown; the score is their share of the best program so far.

use galapagos_domain::task::list_program::{GUIDE, Grade, ListTask, Shape, grade};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::Legal;
use super::builtin::{Game, Played, Refused};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    shape: Shape,
    /// Programs that may be handed in.
    attempts: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { shape: Shape::default(), attempts: 4 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ListProgram {
    task: ListTask,
    attempts: u32,
    best: f64,
}

impl Game for ListProgram {
    const NAME: &'static str = "list_program";
    const OPTIONS: &'static str = "`attempts` is 1 to 100, `shape` has `stages` (two of 1 to 6), `length` (two of 1 to 12), `values` (two of -99 to 99), `calculations` and `told` (true or false)";
    type Config = Config;
    type Move = String;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let task = ListTask::draw(rng, config.shape).filter(|_| (1..=100).contains(&config.attempts))?;
        Some(Self { task, attempts: config.attempts, best: 0.0 })
    }

    fn canonical(&self) -> String {
        self.task.canonical()
    }

    fn max_turns(&self) -> u32 {
        self.attempts
    }

    fn observe(&self, _player: usize) -> String {
        format!("{GUIDE}\nWrite the program that does this: {}", self.task.shown())
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::Form("a program on one line, for example `filter even | sort | take 2`".to_owned())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<String, Refused> {
        // A text that does not compile is an answer with a grade, not an action that was refused.
        Ok(text.to_owned())
    }

    fn play(&mut self, moves: Vec<Option<String>>, _chance: &mut ChaCha8Rng) -> Played {
        let Some(text) = moves.into_iter().flatten().next() else { return Played::default() };
        let (visible, hidden) = (grade(&text, &self.task.visible), grade(&text, &self.task.hidden));
        self.best = self.best.max(hidden.score());
        let kind = match &hidden {
            Grade::CompileError(_) => "compile_error",
            Grade::RuntimeError { .. } => "runtime_error",
            Grade::Failed { .. } => "failed",
            Grade::Passed => "passed",
        };
        let mut info = Map::new();
        info.insert("grade".to_owned(), json!(kind));
        info.insert("hidden".to_owned(), json!(hidden.to_string()));
        let over = hidden == Grade::Passed;
        let news = match visible {
            _ if over => "Right.".to_owned(),
            Grade::Passed => "The shown examples come out right, but hidden ones do not.".to_owned(),
            visible => format!("On the shown examples: {visible}."),
        };
        Played { over, info, ..Played::news(news) }
    }

    fn score(&self, _player: usize) -> f64 {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use serde_json::json;

    use super::super::End;
    use super::super::testing::{check, env, options, play};

    const PROGRAMS: [&str; 5] = ["sort", "filter even | sum", "max", "shuffle", "map +1 | reverse | take 2"];

    #[test]
    fn the_contract_with_programs_of_all_kinds() {
        check("list_program", &options(json!({})), |rng, _| PROGRAMS[rng.random_range(0..5)].to_owned());
    }

    #[test]
    fn grades_are_typed_and_hidden_examples_stay_hidden() {
        let turns = play("list_program", &options(json!({})), 1, &["shuffle", "drop 12 | max", "repeat 0"]);
        let kinds: Vec<&str> = turns.iter().map(|turn| turn.info["grade"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["compile_error", "runtime_error", "failed"]);
        assert!(turns[0].observations[0].starts_with("On the shown examples: compile error: stage 1 is no stage"));
        assert!(turns.iter().all(|turn| turn.observations[0].matches("->").count() == 2));
    }

    #[test]
    fn the_hidden_program_ends_the_episode_with_one() {
        let (mut game, start) = env("list_program", &options(json!({})), 5);
        game.reset(&start).unwrap();
        let snapshot = game.snapshot().unwrap().unwrap();
        let snapshot: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
        let program = snapshot["now"]["game"]["task"]["program"].as_str().unwrap();
        let turn = game.step(&[Some(program)]).unwrap();
        assert_eq!((turn.done, turn.rewards[0]), (Some(End::Terminated), 1.0));
    }
}
