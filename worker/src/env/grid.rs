//! A grid with walls: walk to the goal. Some cells may be slippery, where a step goes sideways with a given chance; some may be pits,
//! where a walk ends for good.
//!
//! The score grows with the nearest distance to the goal that was reached, is 1 at the goal, and 0 in a pit.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Legal;
use super::builtin::{Game, Played, Refused, choose};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    rows: usize,
    columns: usize,
    /// Share of cells that are walls.
    walls: f64,
    /// Share of the other cells that are slippery.
    slippery: f64,
    /// Chance that a step from a slippery cell goes sideways.
    slip: f64,
    /// Share of the cells that are neither walls nor slippery that are pits.
    pits: f64,
    /// Row and column of another goal than the one that is drawn, from 0.
    goal: Option<[usize; 2]>,
    /// Whether `back` takes the last turn back.
    back: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { rows: 6, columns: 6, walls: 0.25, slippery: 0.0, slip: 0.4, pits: 0.0, goal: None, back: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Cell {
    Free,
    Wall,
    Slippery,
    Pit,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grid {
    columns: usize,
    cells: Vec<Cell>,
    slip: f64,
    at: usize,
    /// Where the walk begins.
    from: usize,
    goal: usize,
    /// The goal that was drawn: what tells instances apart.
    drawn: usize,
    first_distance: u32,
    nearest: u32,
    /// Where each turn that can be taken back began; `None` if none can.
    #[serde(default)]
    trail: Option<Vec<usize>>,
}

const WORDS: [&str; 4] = ["up", "right", "down", "left"];

/// The action that takes the last turn back.
const BACK: &str = "back";

/// An action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// A direction, counted clockwise from up.
    Go(usize),
    Back,
}

impl Grid {
    /// The cell next to `from`, counted clockwise from up; `None` at the edge and into a wall.
    fn next(&self, from: usize, direction: usize) -> Option<usize> {
        let (row, column) = (from / self.columns, from % self.columns);
        let (row, column) = match direction {
            0 => (row.checked_sub(1)?, column),
            1 => (row, column + 1),
            2 => (row + 1, column),
            _ => (row, column.checked_sub(1)?),
        };
        let inside = column < self.columns && row < self.cells.len() / self.columns;
        let to = row * self.columns + column;
        (inside && self.cells[to] != Cell::Wall).then_some(to)
    }

    /// What was reached, as the options that make it the goal; nothing if the player is where the walk began.
    fn achieved(&self) -> Map<String, Value> {
        let place = [self.at / self.columns, self.at % self.columns];
        let reached = (self.at != self.from).then(|| ("goal".to_owned(), json!(place)));
        Map::from_iter([("achieved".to_owned(), Value::Object(reached.into_iter().collect()))])
    }

    /// Steps from every cell to the goal.
    fn distances(&self) -> Vec<Option<u32>> {
        let mut found = vec![None; self.cells.len()];
        let mut queue = VecDeque::from([(self.goal, 0)]);
        while let Some((cell, distance)) = queue.pop_front() {
            // No way leads through a pit.
            let passable = self.cells[cell] != Cell::Pit || cell == self.goal;
            if passable && found[cell].is_none() {
                found[cell] = Some(distance);
                queue.extend((0..4).filter_map(|way| self.next(cell, way)).map(|next| (next, distance + 1)));
            }
        }
        found
    }

    /// The map with a player and a goal.
    fn map(&self, player: usize, goal: usize) -> String {
        let sign = |(at, cell): (usize, &Cell)| match cell {
            _ if at == player => '@',
            _ if at == goal => 'G',
            Cell::Wall => '#',
            Cell::Slippery => '~',
            Cell::Pit => '^',
            Cell::Free => '.',
        };
        let signs: Vec<char> = self.cells.iter().enumerate().map(sign).collect();
        signs.chunks(self.columns).map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}

impl Game for Grid {
    const NAME: &'static str = "grid";
    const OPTIONS: &'static str = "`rows` and `columns` are 3 to 20, `walls` 0 to 0.5, `slippery` 0 to 1, `slip` (a chance) 0 to 0.9, `pits` 0 to 0.5, `goal` a row and a column, `back` true or false";
    type Config = Config;
    type Move = Move;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let sides = 3..=20;
        let shares = (0.0..=0.5).contains(&config.walls)
            && (0.0..=1.0).contains(&config.slippery)
            && (0.0..=0.9).contains(&config.slip)
            && (0.0..=0.5).contains(&config.pits);
        let goal = config.goal.is_none_or(|[row, column]| row < config.rows && column < config.columns);
        if !goal || !sides.contains(&config.rows) || !sides.contains(&config.columns) || !shares {
            return None;
        }
        loop {
            let cell = |_| match () {
                () if rng.random_bool(config.walls) => Cell::Wall,
                () if rng.random_bool(config.slippery) => Cell::Slippery,
                // Nothing is drawn where there are none, so that such maps stay as they were.
                () if config.pits > 0.0 && rng.random_bool(config.pits) => Cell::Pit,
                () => Cell::Free,
            };
            let cells: Vec<Cell> = (0..config.rows * config.columns).map(cell).collect();
            let (at, goal) = (rng.random_range(0..cells.len()), rng.random_range(0..cells.len()));
            let free = [at, goal].iter().all(|at| !matches!(cells[*at], Cell::Wall | Cell::Pit));
            let mut grid = Self {
                columns: config.columns,
                cells,
                slip: config.slip,
                at,
                from: at,
                goal,
                drawn: goal,
                first_distance: 0,
                nearest: 0,
                trail: config.back.then(Vec::new),
            };
            // Far enough to have to look for the way.
            let Some(mut distance) = grid.distances()[at].filter(|distance| free && *distance >= 3) else { continue };
            if let Some([row, column]) = config.goal {
                grid.goal = row * config.columns + column;
                // Options may name a cell that this map does not lead to: nobody gets there then.
                distance = grid.distances()[at].unwrap_or(u32::MAX);
            }
            (grid.first_distance, grid.nearest) = (distance, distance);
            return Some(grid);
        }
    }

    fn canonical(&self) -> String {
        self.map(self.from, self.drawn)
    }

    fn max_turns(&self) -> u32 {
        self.first_distance.saturating_mul(4).saturating_add(8)
    }

    fn observe(&self, _player: usize) -> String {
        let legend = "You are @, the goal is G, walls are #";
        let slippery = if self.cells.contains(&Cell::Slippery) { ", ~ is slippery" } else { "" };
        let pits = if self.cells.contains(&Cell::Pit) { ", ^ is a pit" } else { "" };
        format!("{}\n{legend}{slippery}{pits}.", self.map(self.at, self.goal))
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::These(self.words())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Move, Refused> {
        choose(text, &self.words()).map(|at| if at < WORDS.len() { Move::Go(at) } else { Move::Back })
    }

    fn play(&mut self, moves: Vec<Option<Move>>, chance: &mut ChaCha8Rng) -> Played {
        match moves.into_iter().flatten().next() {
            None => Played::default(),
            Some(Move::Back) => self.go_back(),
            Some(Move::Go(wanted)) => self.go(wanted, chance),
        }
    }

    fn score(&self, _player: usize) -> f64 {
        let fallen = self.cells[self.at] == Cell::Pit && self.at != self.goal;
        match self.first_distance {
            _ if fallen => 0.0,
            0 => 1.0,
            first => 1.0 - f64::from(self.nearest) / f64::from(first),
        }
    }
}

impl Grid {
    /// What may be done, in words.
    fn words(&self) -> Vec<String> {
        let back = self.trail.is_some().then_some(BACK);
        WORDS.into_iter().chain(back).map(str::to_owned).collect()
    }

    fn go_back(&mut self) -> Played {
        let before = self.trail.as_mut().and_then(Vec::pop);
        let news = if before.is_some() { "You go back." } else { "There is nothing to go back on." };
        self.at = before.unwrap_or(self.at);
        Played { info: self.achieved(), ..Played::news(news.to_owned()) }
    }

    fn go(&mut self, wanted: usize, chance: &mut ChaCha8Rng) -> Played {
        if let Some(trail) = &mut self.trail {
            trail.push(self.at);
        }
        let slips = self.cells[self.at] == Cell::Slippery && chance.random_bool(self.slip);
        let way = if slips { (wanted + [1, 3][chance.random_range(0..2)]) % 4 } else { wanted };
        let slipped = if slips { "You slip. " } else { "" };
        let Some(to) = self.next(self.at, way) else {
            let news = format!("{slipped}There is no way {}.", WORDS[way]);
            return Played { info: self.achieved(), ..Played::news(news) };
        };
        self.at = to;
        self.nearest = self.nearest.min(self.distances()[to].unwrap_or(u32::MAX));
        let (over, end) = match self.cells[to] {
            _ if to == self.goal => (true, " You are at the goal."),
            Cell::Pit => (true, " You fall into a pit."),
            _ => (false, ""),
        };
        Played { over, info: self.achieved(), ..Played::news(format!("{slipped}You go {}.{end}", WORDS[way])) }
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    #[test]
    fn the_contract_on_dry_and_slippery_ground() {
        check("grid", &options(json!({})), |_, _| String::new());
        check("grid", &options(json!({"slippery": 0.6, "rows": 4})), |_, _| String::new());
    }

    /// Two rows of three, where the way from the first cell to the third leads around the one between.
    fn around(between: Cell) -> Grid {
        Grid {
            columns: 3,
            cells: vec![Cell::Free, between, Cell::Free, Cell::Free, Cell::Free, Cell::Free],
            slip: 0.0,
            at: 0,
            from: 0,
            goal: 2,
            drawn: 2,
            first_distance: 4,
            nearest: 4,
            trail: None,
        }
    }

    #[test]
    fn a_pit_ends_a_walk_and_no_way_leads_through_it() {
        check("grid", &options(json!({"pits": 0.3, "rows": 4})), |_, _| String::new());
        let mut grid = around(Cell::Pit);
        assert_eq!(grid.distances(), [Some(4), None, Some(0), Some(3), Some(2), Some(1)]);
        assert_eq!(grid.observe(0), "@^G\n...\nYou are @, the goal is G, walls are #, ^ is a pit.");
        for way in [2, 1] {
            assert!(!grid.play(vec![Some(Move::Go(way))], &mut Seed(0).stream()).over);
        }
        assert_eq!(grid.score(0), 0.5);
        let fallen = grid.play(vec![Some(Move::Go(0))], &mut Seed(0).stream());
        assert_eq!((fallen.over, fallen.news.as_str()), (true, "You go up. You fall into a pit."));
        assert_eq!(grid.score(0), 0.0, "what was reached before the fall is lost");
    }

    #[test]
    fn the_shortest_way_scores_one_in_as_many_turns() {
        for seed in 0..10 {
            let mut grid = Grid::draw(&Config::default(), &mut Seed(seed).stream()).unwrap();
            let distances = grid.distances();
            let mut steps = 0;
            while grid.at != grid.goal {
                let here = distances[grid.at].unwrap();
                let way = (0..4).find(|way| grid.next(grid.at, *way).and_then(|to| distances[to]) == Some(here - 1));
                grid.play(vec![way.map(Move::Go)], &mut Seed(0).stream());
                steps += 1;
            }
            assert_eq!((steps, grid.score(0)), (grid.first_distance, 1.0));
        }
    }

    #[test]
    fn a_small_map_by_hand() {
        let mut grid = around(Cell::Wall);
        assert_eq!(grid.map(grid.at, grid.goal), "@#G\n...");
        assert_eq!(grid.distances(), [Some(4), None, Some(0), Some(3), Some(2), Some(1)]);
        assert_eq!(grid.play(vec![Some(Move::Go(1))], &mut Seed(0).stream()).news, "There is no way right.");
        grid.play(vec![Some(Move::Go(2))], &mut Seed(0).stream());
        assert_eq!((grid.map(grid.at, grid.goal).as_str(), grid.score(0)), (".#G\n@..", 0.25));
        assert_eq!(grid.achieved()["achieved"], json!({"goal": [1, 0]}));
        grid.play(vec![Some(Move::Go(0))], &mut Seed(0).stream());
        assert_eq!(grid.achieved()["achieved"], json!({}), "back at the start, nothing is reached");
    }

    #[test]
    fn back_takes_turns_back_one_by_one_where_it_may() {
        check("grid", &options(json!({"back": true, "rows": 4})), |_, _| String::new());
        let mut grid = Grid::draw(&Config { back: true, ..Config::default() }, &mut Seed(3).stream()).unwrap();
        let (start, mut news) = (grid.at, Vec::new());
        let play = |grid: &mut Grid, action: Move| grid.play(vec![Some(action)], &mut Seed(0).stream()).news;
        let mut places = Vec::new();
        for way in [0, 1, 1, 2, 3, 0] {
            places.push(grid.at);
            play(&mut grid, Move::Go(way));
        }
        while let Some(place) = places.pop() {
            news.push(play(&mut grid, Move::Back));
            assert_eq!(grid.at, place, "a turn against a wall counts, too");
        }
        assert!(news.iter().all(|text| text == "You go back."), "{news:?}");
        assert_eq!((grid.at, play(&mut grid, Move::Back).as_str()), (start, "There is nothing to go back on."));
        let without = Grid::draw(&Config::default(), &mut Seed(3).stream()).unwrap();
        assert_eq!(without.legal(0), Legal::These(WORDS.map(str::to_owned).to_vec()));
        assert!(without.parse(0, "back").is_err() && grid.parse(0, "back").is_ok());
    }

    #[test]
    fn replicas_slip_differently_on_the_same_map() {
        let config = options(json!({"slippery": 1.0, "slip": 0.9, "rows": 8, "columns": 8, "walls": 0.0}));
        let ways = [0, 1].map(|replica| {
            let (mut game, mut start) = env("grid", &config, 4);
            start.replica = replica;
            let mut texts = game.reset(&start).unwrap();
            for _ in 0..12 {
                let turn = game.step(&[Some("up.")]).unwrap();
                assert_eq!(turn.taken, [Taken::Played]);
                texts.extend(turn.observations);
                if turn.done == Some(End::Terminated) {
                    break;
                }
            }
            texts
        });
        assert_eq!(ways[0][0], ways[1][0]);
        assert_ne!(ways[0], ways[1]);
    }
}
