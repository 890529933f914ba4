//! The donor game: in each round chance names a donor and a recipient; the donor may pay a cost so that the recipient gains a larger
//! benefit. All know everybody's image score, which giving raises and keeping lowers (Nowak and Sigmund 1998).
//!
//! A donor whose action is refused or missing keeps nothing and gives nothing: the round is lost without a change of image.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::Legal;
use super::builtin::{Game, Played, Refused, choose};

/// Images lie between minus this and this.
const MOST_IMAGE: i32 = 5;

const WORDS: [&str; 2] = ["give", "keep"];

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    players: usize,
    rounds: u32,
    /// Largest benefit that is drawn; the cost is smaller.
    largest_benefit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { players: 4, rounds: 12, largest_benefit: 12 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Donor {
    cost: u32,
    benefit: u32,
    rounds: u32,
    round: u32,
    donor: usize,
    recipient: usize,
    images: Vec<i32>,
    /// What each has got, less what each has paid.
    wealth: Vec<i64>,
    /// How often each was donor and recipient, this round not counted.
    asked: Vec<[u32; 2]>,
}

impl Donor {
    fn name_pair(&mut self, chance: &mut ChaCha8Rng) {
        let players = self.images.len();
        self.donor = chance.random_range(0..players);
        self.recipient = (self.donor + chance.random_range(1..players)) % players;
    }
}

impl Game for Donor {
    const NAME: &'static str = "donor";
    const OPTIONS: &'static str = "`players` is 2 to 16, `rounds` 1 to 1000, `largest_benefit` 3 to 100";
    type Config = Config;
    type Move = bool;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let Config { players, rounds, largest_benefit } = *config;
        if !(2..=16).contains(&players) || !(1..=1000).contains(&rounds) || !(3..=100).contains(&largest_benefit) {
            return None;
        }
        let benefit = rng.random_range(2..=largest_benefit);
        let cost = rng.random_range(1..benefit);
        let (images, wealth, asked) = (vec![0; players], vec![0; players], vec![[0; 2]; players]);
        Some(Self { cost, benefit, rounds, round: 1, donor: 0, recipient: 1, images, wealth, asked })
    }

    fn canonical(&self) -> String {
        format!("{} players, cost {}, benefit {}", self.images.len(), self.cost, self.benefit)
    }

    fn begin(&mut self, chance: &mut ChaCha8Rng) {
        self.name_pair(chance);
    }

    fn players(&self) -> usize {
        self.images.len()
    }

    fn max_turns(&self) -> u32 {
        self.rounds + 10
    }

    fn observe(&self, player: usize) -> String {
        let images: Vec<String> =
            self.images.iter().enumerate().map(|(other, image)| format!("{} {image:+}", other + 1)).collect();
        let state = format!(
            "You are player {}. Giving costs the donor {} and brings the recipient {}. Images: {}. Your wealth: {}.",
            player + 1,
            self.cost,
            self.benefit,
            images.join(", "),
            self.wealth[player]
        );
        if self.round > self.rounds {
            return format!("{state}\nThe game is over.");
        }
        let (round, rounds, recipient) = (self.round, self.rounds, self.recipient + 1);
        match player == self.donor {
            true => format!("{state}\nRound {round} of {rounds}: player {recipient} asks you: give or keep?"),
            false => format!(
                "{state}\nRound {round} of {rounds}: player {} decides about player {recipient}.",
                self.donor + 1
            ),
        }
    }

    fn legal(&self, player: usize) -> Legal {
        if player == self.donor { Legal::These(WORDS.map(str::to_owned).to_vec()) } else { Legal::NotAsked }
    }

    fn parse(&self, _player: usize, text: &str) -> Result<bool, Refused> {
        Ok(choose(text, &WORDS.map(str::to_owned))? == 0)
    }

    fn play(&mut self, moves: Vec<Option<bool>>, chance: &mut ChaCha8Rng) -> Played {
        let mut rewards = vec![0.0; self.images.len()];
        let Some(gives) = moves.get(self.donor).copied().flatten() else {
            return Played { rewards, ..Played::default() };
        };
        let (donor, recipient) = (self.donor, self.recipient);
        self.asked[donor][0] += 1;
        self.asked[recipient][1] += 1;
        if gives {
            rewards[donor] = -f64::from(self.cost);
            rewards[recipient] = f64::from(self.benefit);
            self.wealth[donor] -= i64::from(self.cost);
            self.wealth[recipient] += i64::from(self.benefit);
        }
        let change = if gives { 1 } else { -1 };
        self.images[donor] = (self.images[donor] + change).clamp(-MOST_IMAGE, MOST_IMAGE);
        let did = if gives { "gave to" } else { "kept from" };
        let news = format!("Player {} {did} player {}.", donor + 1, recipient + 1);
        let mut info = Map::new();
        info.insert("gave".to_owned(), json!(gives));
        self.round += 1;
        self.name_pair(chance);
        Played { rewards, over: self.round > self.rounds, news, info }
    }

    /// Wealth between the least that a player could have (always giving, never getting) and the most.
    fn score(&self, player: usize) -> f64 {
        let [gave, got] = self.asked[player].map(i64::from);
        let (least, most) = (-gave * i64::from(self.cost), got * i64::from(self.benefit));
        if most == least { 0.5 } else { (self.wealth[player] - least) as f64 / (most - least) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    #[test]
    fn the_contract_with_few_and_many_players() {
        check("donor", &options(json!({})), |_, _| String::new());
        check("donor", &options(json!({"players": 2, "rounds": 5})), |_, _| String::new());
    }

    #[test]
    fn money_and_images_by_the_rules() {
        let (mut game, start) = env("donor", &options(json!({"players": 3, "rounds": 4})), 2);
        game.reset(&start).unwrap();
        let mut images = [0; 3];
        let mut sums = [0.0; 3];
        for round in 0..4 {
            let donor = (0..3).find(|player| game.legal(*player).unwrap() != Legal::NotAsked).unwrap();
            let mut actions = [None; 3];
            actions[donor] = Some(WORDS[usize::from(round == 2)]);
            let turn = game.step(&actions).unwrap();
            images[donor] += if round == 2 { -1 } else { 1 };
            let paid: Vec<f64> = turn.rewards.iter().copied().filter(|reward| *reward < 0.0).collect();
            let got: Vec<f64> = turn.rewards.iter().copied().filter(|reward| *reward > 0.0).collect();
            assert_eq!((paid.len(), got.len()), if round == 2 { (0, 0) } else { (1, 1) });
            assert!(round == 2 || got[0] > -paid[0], "a gift is worth more than it costs");
            sums.iter_mut().zip(&turn.rewards).for_each(|(sum, reward)| *sum += reward);
            for (player, sum) in sums.iter().enumerate() {
                let shown =
                    format!("Images: 1 {:+}, 2 {:+}, 3 {:+}. Your wealth: {}.", images[0], images[1], images[2], sum);
                assert!(turn.observations[player].contains(&shown), "{shown}: {turn:?}");
            }
            assert_eq!(turn.done.is_some(), round == 3);
        }
    }

    #[test]
    fn only_the_donor_is_asked_and_a_refusal_costs_the_round_nothing() {
        let (mut game, start) = env("donor", &options(json!({})), 3);
        game.reset(&start).unwrap();
        let turn = game.step(&[Some("hello"); 4]).unwrap();
        let refused = turn.taken.iter().filter(|taken| matches!(taken, Taken::Illegal(_))).count();
        assert_eq!((refused, turn.rewards, turn.done), (3, vec![0.0; 4], None));
        let ends: Vec<_> = (0..21).map(|_| game.step(&[None; 4]).unwrap().done).collect();
        assert_eq!(ends.last().unwrap(), &Some(End::Truncated));
    }
}
