//! Conway's game of life on a small board with dead cells around it. A living cell (`O`) lives on with two or three living
//! neighbours, a dead one (`.`) comes to life with three.

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Draft, check};
use crate::trajectory::Verdict;

/// Longest side of a board.
pub const LONGEST_SIDE: usize = 16;

/// Rows and columns of the task family's boards.
const SIDE: usize = 5;

/// A board. Written row by row with `/` between rows; read with `/` or line ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Board {
    columns: usize,
    cells: Vec<bool>,
}

/// Why a text is no board.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// Another character.
    #[error("{character:?} is no cell; cells are `O` (alive) and `.` (dead), rows end with `/` or a line end")]
    Cell {
        /// What was read.
        character: char,
    },
    /// No rectangle, or too large.
    #[error("a board is a rectangle of 1 to {LONGEST_SIDE} rows and columns")]
    Shape,
}

impl Board {
    /// A random board on which some cells live. Sides must be 1 to [`LONGEST_SIDE`], else `None`.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Option<Self> {
        if !(1..=LONGEST_SIDE).contains(&rows) || !(1..=LONGEST_SIDE).contains(&columns) {
            return None;
        }
        loop {
            let density = rng.random_range(0.25..0.6);
            let cells: Vec<bool> = (0..rows * columns).map(|_| rng.random_bool(density)).collect();
            if cells.contains(&true) {
                return Some(Self { columns, cells });
            }
        }
    }

    /// Reads a board.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn parse(text: &str) -> Result<Self, BoardError> {
        let rows: Vec<&str> = text.split(['/', '\n']).map(str::trim).filter(|row| !row.is_empty()).collect();
        let columns = rows.first().map_or(0, |row| row.chars().count());
        let rectangle = rows.iter().all(|row| row.chars().count() == columns);
        if !rectangle || !(1..=LONGEST_SIDE).contains(&columns) || rows.len() > LONGEST_SIDE {
            return Err(BoardError::Shape);
        }
        let cell = |character| match character {
            'O' | 'o' => Ok(true),
            '.' => Ok(false),
            character => Err(BoardError::Cell { character }),
        };
        let cells = rows.iter().flat_map(|row| row.chars()).map(cell).collect::<Result<_, _>>()?;
        Ok(Self { columns, cells })
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.cells.len() / self.columns, self.columns)
    }

    /// All cells, row by row.
    #[must_use]
    pub fn cells(&self) -> &[bool] {
        &self.cells
    }

    /// How many live.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.cells.iter().filter(|alive| **alive).count()
    }

    /// The next state.
    #[must_use]
    pub fn next(&self) -> Self {
        let (rows, columns) = self.size();
        let near = |at: usize, size: usize| at.saturating_sub(1)..(at + 2).min(size);
        let alive = |row: usize, column: usize| self.cells[row * columns + column];
        let cell = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            let around = near(row, rows).flat_map(|r| near(column, columns).map(move |c| (r, c)));
            let count = around.filter(|place| *place != (row, column) && alive(place.0, place.1)).count();
            count == 3 || (count == 2 && alive(row, column))
        };
        Self { columns, cells: (0..self.cells.len()).map(cell).collect() }
    }

    /// The state after so many steps.
    #[must_use]
    pub fn after(&self, steps: u32) -> Self {
        (0..steps).fold(self.clone(), |board, _| board.next())
    }

    /// Turns a living cell dead or a dead one alive; `false` outside the board. Places count from 0.
    pub fn flip(&mut self, row: usize, column: usize) -> bool {
        let (rows, columns) = self.size();
        let inside = row < rows && column < columns;
        if inside {
            self.cells[row * columns + column] ^= true;
        }
        inside
    }

    /// The share of cells that are as in `other`; 0 if the sizes differ.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> f64 {
        if self.size() != other.size() {
            return 0.0;
        }
        let same = self.cells.iter().zip(&other.cells).filter(|(a, b)| a == b).count();
        same as f64 / self.cells.len() as f64
    }

    /// Equal for boards that are turned or mirrored forms of each other.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut forms = Vec::with_capacity(8);
        let mut now = self.clone();
        for _ in 0..4 {
            now = now.turned();
            forms.extend([now.to_string(), now.mirrored().to_string()]);
        }
        forms.into_iter().min().unwrap_or_default()
    }

    /// Row by row on lines of their own.
    #[must_use]
    pub fn drawn(&self) -> String {
        self.to_string().replace('/', "\n")
    }

    fn turned(&self) -> Self {
        let (rows, columns) = self.size();
        let cells = (0..columns).flat_map(|c| (0..rows).rev().map(move |r| self.cells[r * columns + c])).collect();
        Self { columns: rows, cells }
    }

    fn mirrored(&self) -> Self {
        let cells = self.cells.chunks(self.columns).flat_map(|row| row.iter().rev().copied()).collect();
        Self { columns: self.columns, cells }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |row: &[bool]| row.iter().map(|alive| if *alive { 'O' } else { '.' }).collect::<String>();
        f.write_str(&self.cells.chunks(self.columns).map(row).collect::<Vec<_>>().join("/"))
    }
}

impl TryFrom<String> for Board {
    type Error = BoardError;

    fn try_from(text: String) -> Result<Self, BoardError> {
        Self::parse(&text)
    }
}

impl From<Board> for String {
    fn from(board: Board) -> Self {
        board.to_string()
    }
}

/// A problem of the task family.
pub(super) fn draw(rng: &mut ChaCha8Rng) -> Draft {
    loop {
        if let Some(board) = Board::draw(rng, SIDE, SIDE) {
            return Draft::question(&format!("Next of {board}"), &board.next().to_string(), board.canonical());
        }
    }
}

/// Passes if the first word of the completion is the next board.
pub(super) fn verify(answer: &str, completion: &str) -> Verdict {
    check::exact(answer, completion.split_whitespace().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    fn board(text: &str) -> Board {
        Board::parse(text).unwrap()
    }

    #[test]
    fn known_patterns_do_what_is_known_of_them() {
        let blinker = board("...../..O../..O../..O../.....");
        assert_eq!(blinker.next(), board("...../...../.OOO./...../....."));
        assert_eq!(blinker.after(2), blinker);
        let block = board("..../.OO./.OO./....");
        assert_eq!(block.next(), block);
        let glider = board(".O..../..O.../OOO.../....../....../......");
        assert_eq!(glider.after(4), board("....../..O.../...O../.OOO../....../......"));
        assert_eq!(board("O").next(), board("."), "alone it dies");
        assert_eq!(board("OOO/OOO/OOO").next(), board("O.O/.../O.O"));
    }

    #[test]
    fn turned_and_mirrored_boards_have_one_form() {
        let forms =
            ["OO./..O", "..O/OO.", "O../.OO", ".OO/O..", "O./O./.O", ".O/O./O."].map(|text| board(text).canonical());
        assert!(forms.iter().all(|form| *form == forms[0]), "{forms:?}");
        assert_ne!(board("OO./..O").canonical(), board("OOO/...").canonical());
    }

    #[test]
    fn what_is_no_board_is_told() {
        assert_eq!(Board::parse("O./O").unwrap_err(), BoardError::Shape);
        assert_eq!(Board::parse("").unwrap_err(), BoardError::Shape);
        assert_eq!(Board::parse(&".".repeat(17)).unwrap_err(), BoardError::Shape);
        assert_eq!(Board::parse("O#").unwrap_err(), BoardError::Cell { character: '#' });
        assert_eq!(board("O.\n.O\n"), board("O./.O"));
        let mut one = board("O.");
        assert!(one.flip(0, 1) && !one.flip(1, 0) && !one.flip(0, 2));
        assert_eq!((one.alive(), one.likeness(&board("O.")), one.likeness(&board("OOO"))), (2, 0.5, 0.0));
    }

    proptest! {
        #[test]
        fn the_rules_do_not_care_how_a_board_lies(seed in 0u64.., rows in 1usize..7, columns in 1usize..7) {
            let drawn = Board::draw(&mut Seed(seed).stream(), rows, columns).unwrap();
            prop_assert_eq!(drawn.turned().next(), drawn.next().turned());
            prop_assert_eq!(drawn.mirrored().canonical(), drawn.canonical());
            prop_assert_eq!(&board(&drawn.to_string()), &drawn);
            prop_assert_eq!(board(&drawn.drawn()), drawn);
        }
    }
}
