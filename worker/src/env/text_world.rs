//! A small text world: find a key, open a door, make a tool of two things, get over an obstacle, take the treasure.
//!
//! Seven things count, each a seventh of the score. Two traps cannot be undone: what is thrown into the well is lost, and who
//! goes down the shaft stays there. The shortest solution takes 6 to 12 actions (`map` searches for it before a world is used).

mod map;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::map::{Direction, Item, Map, Place, State};
use super::Legal;
use super::builtin::{Game, Played, Refused};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Rooms beyond the fewest, 0 to 2.
    more_rooms: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TextWorld {
    map: Map,
    now: State,
}

/// An action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Go(Direction),
    Down,
    Take(Item),
    Unlock,
    Craft,
    Throw(Item),
}

impl Move {
    fn all() -> impl Iterator<Item = Self> {
        let go = Direction::ALL.into_iter().map(Self::Go);
        let take = Item::ALL.into_iter().map(Self::Take);
        let throw = Item::ALL.into_iter().map(Self::Throw);
        go.chain(take).chain([Self::Unlock, Self::Craft]).chain(throw).chain([Self::Down])
    }
}

impl TextWorld {
    fn text(&self, action: Move) -> String {
        match action {
            Move::Go(direction) => format!("go {}", direction.word()),
            Move::Down => "go down".to_owned(),
            Move::Take(item) => format!("take {}", self.map.name(item)),
            Move::Unlock => "unlock door".to_owned(),
            Move::Craft => format!("craft {}", self.map.name(Item::Tool)),
            Move::Throw(item) => format!("throw {} into well", self.map.name(item)),
        }
    }

    /// Why the action cannot be done now.
    fn refusal(&self, action: Move) -> Option<String> {
        let (map, now) = (&self.map, &self.now);
        let held = |item: Item| now.items[item as usize] == Place::Held;
        match action {
            Move::Go(direction) => match map.exit(now.at, direction) {
                None => Some(format!("there is no way {}", direction.word())),
                Some(to) if map.is_door(now.at, to) && !now.open => Some("the door is locked".to_owned()),
                Some(to) if map.is_gap(now.at, to) && !held(Item::Tool) => {
                    Some(format!("a {} bars the way, and you have no {}", map.theme().0, map.name(Item::Tool)))
                }
                Some(_) => None,
            },
            Move::Down => (now.at != map.shaft).then(|| "there is no shaft here".to_owned()),
            Move::Take(item) => (now.items[item as usize] != Place::Room(now.at))
                .then(|| format!("there is no {} here", map.name(item))),
            Move::Unlock => match () {
                () if now.open || !map.door_at(now.at) => Some("there is no locked door here".to_owned()),
                () if !held(Item::Key) => Some("you have no key".to_owned()),
                () => None,
            },
            Move::Craft => match () {
                () if now.at != map.bench => Some("there is no workbench here".to_owned()),
                () if !held(Item::First) || !held(Item::Second) => {
                    Some(format!("you need {} and {}", map.name(Item::First), map.name(Item::Second)))
                }
                () => None,
            },
            Move::Throw(item) => match () {
                () if now.at != map.well => Some("there is no well here".to_owned()),
                () if !held(item) => Some(format!("you have no {}", map.name(item))),
                () => None,
            },
        }
    }

    fn describe_exits(&self) -> String {
        let (map, now) = (&self.map, &self.now);
        let exits = Direction::ALL.into_iter().filter_map(|direction| {
            let to = map.exit(now.at, direction)?;
            let word = direction.word();
            Some(match () {
                () if map.is_door(now.at, to) && !now.open => format!("{word} (a locked door)"),
                () if map.is_gap(now.at, to) => format!("{word} (a {})", map.theme().0),
                () => word.to_owned(),
            })
        });
        let down = (now.at == map.shaft).then(|| "down (a dark shaft)".to_owned());
        exits.chain(down).collect::<Vec<_>>().join(", ")
    }

    fn names(&self, place: Place) -> Vec<&'static str> {
        Item::ALL
            .into_iter()
            .filter(|item| self.now.items[*item as usize] == place)
            .map(|item| self.map.name(item))
            .collect()
    }
}

impl Game for TextWorld {
    const NAME: &'static str = "text_world";
    const OPTIONS: &'static str = "`more_rooms` is 0 to 2";
    type Config = Config;
    type Move = Move;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let (map, now) = Map::draw(rng, config.more_rooms)?;
        Some(Self { map, now })
    }

    fn canonical(&self) -> String {
        self.map.canonical(&self.now)
    }

    fn max_turns(&self) -> u32 {
        30
    }

    fn observe(&self, _player: usize) -> String {
        let (map, now) = (&self.map, &self.now);
        if now.fallen {
            return "You are at the bottom of a shaft. There is no way out.".to_owned();
        }
        let mut text = format!("You are in the {}.", map.room_name(now.at));
        if now.at == map.bench {
            let [first, second, tool] = [Item::First, Item::Second, Item::Tool].map(|item| map.name(item));
            text += &format!(" On a workbench {first} and {second} can be made into a {tool}.");
        }
        if now.at == map.well {
            text += " There is a deep well.";
        }
        let here = self.names(Place::Room(now.at));
        if !here.is_empty() {
            text += &format!(" You see: {}.", here.join(", "));
        }
        let held = self.names(Place::Held);
        let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
        let goal = map.name(Item::Treasure);
        format!(
            "{text}\nExits: {}. You carry: {held}.\nFind and take the {goal}. You can go, take, unlock, craft and throw.",
            self.describe_exits()
        )
    }

    fn legal(&self, _player: usize) -> Legal {
        let possible = Move::all().filter(|action| self.refusal(*action).is_none());
        Legal::These(possible.map(|action| self.text(action)).collect())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Move, Refused> {
        let plain = text.trim().trim_end_matches(['.', '!']).to_lowercase();
        let words: Vec<&str> =
            plain.split_whitespace().filter(|word| !["the", "a", "an", "some"].contains(word)).collect();
        let plain = words.join(" ");
        let action = Move::all().find(|action| self.text(*action) == plain);
        let form = "say for example `go north`, `take THING`, `unlock door`, `craft THING` or `throw THING into well`";
        let action = action.ok_or_else(|| Refused::Form(form.to_owned()))?;
        self.refusal(action).map_or(Ok(action), |why| Err(Refused::Rule(why)))
    }

    fn play(&mut self, moves: Vec<Option<Move>>, _chance: &mut ChaCha8Rng) -> Played {
        let Some(action) = moves.into_iter().flatten().next() else { return Played::default() };
        let name = |item: Item| self.map.name(item);
        let news = match action {
            Move::Go(direction) => format!("You go {}.", direction.word()),
            Move::Down => "You climb down; the ladder breaks behind you.".to_owned(),
            Move::Take(item) => format!("You take the {}.", name(item)),
            Move::Unlock => "The door is open.".to_owned(),
            Move::Craft => format!("You make a {}.", name(Item::Tool)),
            Move::Throw(item) => format!("The {} falls into the well and is lost.", name(item)),
        };
        self.map.apply(&mut self.now, action);
        let over = self.now.fallen || self.now.items[Item::Treasure as usize] == Place::Held;
        Played { over, ..Played::news(news) }
    }

    fn score(&self, _player: usize) -> f64 {
        self.now.score()
    }
}

#[cfg(test)]
mod tests;
