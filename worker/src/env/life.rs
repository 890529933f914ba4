//! The game of life as an environment: say the next state turn by turn, or change a few cells so that the board becomes a given pattern.
//!
//! Boards are compared by the share of living cells that they have in common (of all that live in either), so an empty board earns nothing.

use galapagos_domain::task::life::{Board, LONGEST_SIDE};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Legal;
use super::builtin::{Game, Played, Refused};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Say the next state.
    #[default]
    Predict,
    /// Flip cells, then let it run.
    Reach,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    mode: Mode,
    rows: usize,
    columns: usize,
    /// States to say, or steps that the board runs.
    steps: u32,
    /// Cells that differ at the beginning (`reach`).
    flips: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Predict, rows: 5, columns: 5, steps: 3, flips: 2 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Life {
    mode: Mode,
    steps: u32,
    flips: u32,
    first: Board,
    board: Board,
    /// What the board is to become (`reach`).
    pattern: Board,
    flipped: u32,
    said: u32,
    earned: f64,
}

#[derive(Debug)]
pub(super) enum Move {
    Say(Board),
    Flip(usize, usize),
    Run,
}

/// Living cells in common, of those that live in either; 1 if none lives.
fn common(a: &Board, b: &Board) -> f64 {
    let pairs = || a.cells().iter().zip(b.cells());
    let either = pairs().filter(|(a, b)| **a || **b).count();
    let both = pairs().filter(|(a, b)| **a && **b).count();
    match (a.size() == b.size(), either) {
        (false, _) => 0.0,
        (true, 0) => 1.0,
        (true, either) => both as f64 / either as f64,
    }
}

impl Game for Life {
    const NAME: &'static str = "life";
    const OPTIONS: &'static str =
        "`mode` is predict or reach, `rows` and `columns` are 3 to 16, `steps` 1 to 20, `flips` 1 to 5";
    type Config = Config;
    type Move = Move;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let Config { mode, rows, columns, steps, flips } = *config;
        let sides = 3..=LONGEST_SIDE;
        if !sides.contains(&rows)
            || !sides.contains(&columns)
            || !(1..=20).contains(&steps)
            || !(1..=5).contains(&flips)
        {
            return None;
        }
        // Where boards die out so fast that none is interesting, a dull one must do.
        let mut tries = 0..200;
        loop {
            let first = Board::draw(rng, rows, columns)?;
            let mut start = first.clone();
            let pattern = first.after(steps);
            for _ in 0..flips {
                start.flip(rng.random_range(0..rows), rng.random_range(0..columns));
            }
            let interesting = pattern.alive() > 0 && (mode == Mode::Predict || start.after(steps) != pattern);
            let board = if mode == Mode::Reach { start } else { first.clone() };
            if interesting || tries.next().is_none() {
                let first = board.clone();
                return Some(Self { mode, steps, flips, first, board, pattern, flipped: 0, said: 0, earned: 0.0 });
            }
        }
    }

    fn canonical(&self) -> String {
        self.first.canonical()
    }

    fn max_turns(&self) -> u32 {
        match self.mode {
            Mode::Predict => self.steps + 2,
            Mode::Reach => 3 * self.flips + 2,
        }
    }

    fn observe(&self, _player: usize) -> String {
        match self.mode {
            Mode::Predict => format!("{}\nO lives, . is dead. What is the next state?", self.board.drawn()),
            Mode::Reach => format!(
                "{}\nAfter {} steps the board must be:\n{}\nYou may flip {} more cells.",
                self.board.drawn(),
                self.steps,
                self.pattern.drawn(),
                self.flips - self.flipped
            ),
        }
    }

    fn legal(&self, _player: usize) -> Legal {
        match self.mode {
            Mode::Predict => {
                Legal::Form("a board, rows on lines or with `/` between them, for example `.O./.O./.O.`".to_owned())
            }
            Mode::Reach => {
                let (rows, columns) = self.board.size();
                let places = (1..=rows).flat_map(|row| (1..=columns).map(move |column| format!("flip {row} {column}")));
                let flips = places.filter(|_| self.flipped < self.flips);
                Legal::These(flips.chain(["run".to_owned()]).collect())
            }
        }
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Move, Refused> {
        if self.mode == Mode::Predict {
            let board = Board::parse(text).map_err(|error| Refused::Form(error.to_string()))?;
            let (rows, columns) = self.board.size();
            let fits = board.size() == (rows, columns);
            return if fits {
                Ok(Move::Say(board))
            } else {
                Err(Refused::Form(format!("the board has {rows} rows of {columns} cells")))
            };
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let (row, column) = match words[..] {
            ["run"] => return Ok(Move::Run),
            ["flip", row, column] => (row.parse::<usize>().ok(), column.parse::<usize>().ok()),
            _ => (None, None),
        };
        let (Some(row), Some(column)) = (row, column) else {
            return Err(Refused::Form("say `flip ROW COLUMN` or `run`".to_owned()));
        };
        let (rows, columns) = self.board.size();
        match () {
            () if !(1..=rows).contains(&row) || !(1..=columns).contains(&column) => {
                Err(Refused::Rule(format!("rows are 1 to {rows}, columns 1 to {columns}")))
            }
            () if self.flipped >= self.flips => Err(Refused::Rule("no flips are left; say `run`".to_owned())),
            () => Ok(Move::Flip(row - 1, column - 1)),
        }
    }

    fn play(&mut self, moves: Vec<Option<Move>>, _chance: &mut ChaCha8Rng) -> Played {
        match moves.into_iter().flatten().next() {
            None => Played::default(),
            Some(Move::Say(board)) => {
                self.board = self.board.next();
                self.earned += common(&board, &self.board);
                self.said += 1;
                let right = board == self.board;
                let news = if right { "Right." } else { "Wrong; this is the next state:" };
                Played { over: self.said >= self.steps, ..Played::news(news) }
            }
            Some(Move::Flip(row, column)) => {
                self.board.flip(row, column);
                self.flipped += 1;
                Played::default()
            }
            Some(Move::Run) => {
                let end = self.board.after(self.steps);
                Played { over: true, ..Played::news(format!("The board becomes:\n{}", end.drawn())) }
            }
        }
    }

    fn score(&self, _player: usize) -> f64 {
        match self.mode {
            Mode::Predict => self.earned / f64::from(self.steps),
            Mode::Reach => common(&self.board.after(self.steps), &self.pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    fn board(text: &str) -> Board {
        let rows: Vec<&str> = text.lines().filter(|line| line.chars().all(|c| c == 'O' || c == '.')).collect();
        Board::parse(&rows.join("/")).unwrap()
    }

    #[test]
    fn the_contract_of_both_modes() {
        check("life", &options(json!({})), |rng, text| match rng.random_range(0..3) {
            0 => "O./.O".to_owned(),
            1 => board(text).to_string(),
            _ => board(text).next().to_string(),
        });
        check("life", &options(json!({"mode": "reach"})), |_, _| String::new());
    }

    #[test]
    fn who_knows_the_rules_scores_one() {
        let (mut game, start) = env("life", &options(json!({})), 1);
        let mut text = game.reset(&start).unwrap().remove(0);
        let wrong_size = game.step(&[Some("O./.O")]).unwrap();
        assert!(matches!(wrong_size.taken[0], Taken::Unparsable(_)));
        for _ in 0..3 {
            text = game.step(&[Some(&board(&text).next().drawn())]).unwrap().observations.remove(0);
        }
        assert_eq!((game.score(0).unwrap(), text.starts_with("Right.")), (1.0, true));
        assert!(game.step(&[Some("O")]).is_err(), "it is over");
    }

    #[test]
    fn a_pattern_is_reached_by_the_right_flips_and_two_suffice() {
        let (mut game, start) = env("life", &options(json!({"mode": "reach", "steps": 1})), 2);
        let text = game.reset(&start).unwrap().remove(0);
        let (from, to) = text.split_once("After").unwrap();
        let (from, to) = (board(from), board(to.split_once("You").unwrap().0.split_once('\n').unwrap().1));
        let places = || (0..5).flat_map(|row| (0..5).map(move |column| (row, column)));
        let solved = |(a, b): &((usize, usize), (usize, usize))| {
            let mut tried = from.clone();
            tried.flip(a.0, a.1) && tried.flip(b.0, b.1) && tried.next() == to
        };
        let (a, b) = places().flat_map(|a| places().map(move |b| (a, b))).find(solved).expect("brute force finds it");
        for (row, column) in [a, b] {
            game.step(&[Some(&format!("flip {} {}", row + 1, column + 1))]).unwrap();
        }
        assert!(matches!(game.step(&[Some("flip 1 1")]).unwrap().taken[0], Taken::Illegal(_)));
        assert_eq!(game.legal(0).unwrap(), Legal::These(vec!["run".to_owned()]));
        let last = game.step(&[Some("run")]).unwrap();
        assert_eq!((last.done, game.score(0).unwrap()), (Some(End::Terminated), 1.0));
    }

    #[test]
    fn empty_boards_have_nothing_in_common_with_living_ones() {
        let boards = ["..", "O.", "OO"].map(|text| Board::parse(text).unwrap());
        assert_eq!(
            [common(&boards[0], &boards[1]), common(&boards[1], &boards[2]), common(&boards[0], &boards[0])],
            [0.0, 0.5, 1.0]
        );
    }
}
