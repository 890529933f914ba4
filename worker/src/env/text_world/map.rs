//! The rooms of a text world and how its state changes; draws worlds and searches their shortest solutions.
//!
//! Three parts hang together as a tree: before the door, behind it, and behind the obstacle. What is drawn is only used if it can be
//! solved in the wanted number of actions.

use std::collections::{BTreeSet, VecDeque};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Move;

/// Fewest and most actions of a shortest solution.
pub(super) const SOLUTION: std::ops::RangeInclusive<usize> = 6..=12;

const ROOMS: [&str; 12] = [
    "kitchen", "cellar", "library", "hall", "attic", "garden", "stable", "chapel", "workshop", "pantry", "gallery",
    "tower",
];
const KEYS: [&str; 4] = ["brass key", "iron key", "silver key", "rusty key"];
const TREASURES: [&str; 4] = ["golden idol", "ruby", "old crown", "pearl"];
/// Obstacle, tool, and what it is made of.
const THEMES: [(&str, &str, &str, &str); 4] = [
    ("river", "raft", "planks", "rope"),
    ("chasm", "ladder", "poles", "cord"),
    ("dark tunnel", "torch", "stick", "pitch"),
    ("wall of thorns", "sickle", "blade", "handle"),
];

/// Where one can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::env) enum Direction {
    North,
    East,
    South,
    West,
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::North, Self::East, Self::South, Self::West];

    pub(super) fn word(self) -> &'static str {
        ["north", "east", "south", "west"][self as usize]
    }

    fn from((x, y): (i32, i32), direction: Self) -> (i32, i32) {
        let (dx, dy) = [(0, 1), (1, 0), (0, -1), (-1, 0)][direction as usize];
        (x + dx, y + dy)
    }
}

/// The things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::env) enum Item {
    Key,
    First,
    Second,
    Tool,
    Treasure,
}

impl Item {
    pub(super) const ALL: [Self; 5] = [Self::Key, Self::First, Self::Second, Self::Tool, Self::Treasure];
}

/// Where a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Place {
    Room(usize),
    Held,
    /// Not made yet, used up or lost.
    Nowhere,
}

/// What does not change. Rooms are numbered; a room's neighbours are those beside it with a passage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Map {
    places: Vec<(i32, i32)>,
    passages: Vec<(usize, usize)>,
    door: (usize, usize),
    gap: (usize, usize),
    pub(super) bench: usize,
    pub(super) well: usize,
    pub(super) shaft: usize,
    names: Vec<usize>,
    /// Which key, treasure and theme.
    words: [usize; 3],
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) at: usize,
    pub(super) open: bool,
    pub(super) items: [Place; 5],
    pub(super) crossed: bool,
    pub(super) fallen: bool,
    /// Once had, by item.
    had: [bool; 5],
}

impl State {
    /// Of seven things that count, the share that was done; what was had and lost stays counted.
    pub(super) fn score(&self) -> f64 {
        let had = self.had.iter().filter(|had| **had).count();
        (had + usize::from(self.open) + usize::from(self.crossed)) as f64 / 7.0
    }

    fn take(&mut self, item: Item) {
        self.items[item as usize] = Place::Held;
        self.had[item as usize] = true;
    }
}

impl Map {
    /// A world that can be solved in the wanted number of actions; `None` if `more_rooms` is out of range.
    pub(super) fn draw(rng: &mut ChaCha8Rng, more_rooms: usize) -> Option<(Self, State)> {
        if more_rooms > 2 {
            return None;
        }
        loop {
            let (map, state) = Self::draft(rng, more_rooms);
            if map.solve(state).is_some_and(|solution| SOLUTION.contains(&solution.len())) {
                return Some((map, state));
            }
        }
    }

    fn draft(rng: &mut ChaCha8Rng, more_rooms: usize) -> (Self, State) {
        let before = 2 + rng.random_range(0..=more_rooms);
        let behind = 1 + rng.random_range(0..=1usize);
        let mut places = vec![(0, 0)];
        let (mut passages, mut first) = (Vec::new(), 0);
        for section in [before, before + behind, before + behind + 1] {
            while places.len() < section {
                // The first room of a section hangs on the section before it, the others on their own.
                let next = places.len();
                let range = if next == first { previous(first, before)..first } else { first..next };
                let beside = rng.random_range(range);
                let free = Direction::from(places[beside], Direction::ALL[rng.random_range(0..4)]);
                if !places.contains(&free) {
                    passages.push((beside, places.len()));
                    places.push(free);
                }
            }
            first = section;
        }
        let (door, gap) = (passages[before - 1], passages[before + behind - 1]);
        let reach = before + behind;
        let mut names: Vec<usize> = (0..ROOMS.len()).collect();
        for place in 0..names.len() {
            names.swap(place, rng.random_range(0..=place));
        }
        let map = Self {
            bench: rng.random_range(0..reach),
            well: rng.random_range(0..reach),
            shaft: rng.random_range(1..reach),
            words: [
                rng.random_range(0..KEYS.len()),
                rng.random_range(0..TREASURES.len()),
                rng.random_range(0..THEMES.len()),
            ],
            places,
            passages,
            door,
            gap,
            names,
        };
        let items = [
            Place::Room(rng.random_range(0..before)),
            Place::Room(rng.random_range(0..reach)),
            Place::Room(rng.random_range(before..reach)),
            Place::Nowhere,
            Place::Room(reach),
        ];
        (map, State { at: 0, open: false, items, crossed: false, fallen: false, had: [false; 5] })
    }

    /// The room in a direction.
    pub(super) fn exit(&self, at: usize, direction: Direction) -> Option<usize> {
        let to = Direction::from(self.places[at], direction);
        let to = self.places.iter().position(|place| *place == to)?;
        let joined = self.passages.iter().any(|passage| *passage == (at, to) || *passage == (to, at));
        joined.then_some(to)
    }

    pub(super) fn is_door(&self, a: usize, b: usize) -> bool {
        self.door == (a, b) || self.door == (b, a)
    }

    pub(super) fn is_gap(&self, a: usize, b: usize) -> bool {
        self.gap == (a, b) || self.gap == (b, a)
    }

    pub(super) fn door_at(&self, at: usize) -> bool {
        self.door.0 == at || self.door.1 == at
    }

    pub(super) fn room_name(&self, room: usize) -> &'static str {
        ROOMS[self.names[room]]
    }

    pub(super) fn theme(&self) -> (&'static str, &'static str, &'static str, &'static str) {
        THEMES[self.words[2]]
    }

    pub(super) fn name(&self, item: Item) -> &'static str {
        let (_, tool, first, second) = self.theme();
        match item {
            Item::Key => KEYS[self.words[0]],
            Item::First => first,
            Item::Second => second,
            Item::Tool => tool,
            Item::Treasure => TREASURES[self.words[1]],
        }
    }

    /// Does what is possible.
    pub(super) fn apply(&self, state: &mut State, action: Move) {
        match action {
            Move::Go(direction) => {
                if let Some(to) = self.exit(state.at, direction) {
                    state.crossed |= self.is_gap(state.at, to);
                    state.at = to;
                }
            }
            Move::Down => state.fallen = true,
            Move::Take(item) => state.take(item),
            Move::Unlock => state.open = true,
            Move::Craft => {
                state.items[Item::First as usize] = Place::Nowhere;
                state.items[Item::Second as usize] = Place::Nowhere;
                state.take(Item::Tool);
            }
            Move::Throw(item) => state.items[item as usize] = Place::Nowhere,
        }
    }

    /// A shortest solution, by breadth-first search; traps are left out, for they never help.
    pub(super) fn solve(&self, from: State) -> Option<Vec<Move>> {
        let mut world = super::TextWorld { map: self.clone(), now: from };
        let useful: Vec<Move> = Move::all().filter(|action| !matches!(action, Move::Throw(_) | Move::Down)).collect();
        let mut seen = BTreeSet::from([from]);
        let mut queue = VecDeque::from([(from, Vec::new())]);
        while let Some((state, way)) = queue.pop_front() {
            if state.items[Item::Treasure as usize] == Place::Held {
                return Some(way);
            }
            for action in &useful {
                world.now = state;
                if world.refusal(*action).is_none() {
                    self.apply(&mut world.now, *action);
                    if seen.insert(world.now) {
                        queue.push_back((world.now, way.iter().copied().chain([*action]).collect()));
                    }
                }
            }
        }
        None
    }

    /// The world without its names, whichever way it lies: rooms by number, their passages turned so that the first goes north.
    pub(super) fn canonical(&self, start: &State) -> String {
        let turned = |(x, y): (i32, i32), turns: usize| (0..turns).fold((x, y), |(x, y), _| (-y, x));
        let forms = (0..8).map(|form| {
            let mirrored = |(x, y): (i32, i32)| if form >= 4 { (-x, y) } else { (x, y) };
            let places: Vec<(i32, i32)> = self.places.iter().map(|place| turned(mirrored(*place), form % 4)).collect();
            format!("{places:?}")
        });
        let places = forms.min().unwrap_or_default();
        let marks = (self.door, self.gap, self.bench, self.well, self.shaft);
        format!("{places} {:?} {marks:?} {:?}", self.passages, start.items)
    }
}

/// The first room of the section before the one that begins at `first`.
fn previous(first: usize, before: usize) -> usize {
    if first > before { before } else { 0 }
}
