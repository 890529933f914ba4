//! Iterated games of two players with two moves each, played at once: prisoner's dilemma, stag hunt, chicken, matching pennies.
//!
//! Payoffs are drawn within the order that makes the game what it is, or given. A player whose move is missing or refused plays
//! one that chance draws, so that nobody can hold up a round. Rewards are payoffs; the score is their share of what was possible.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::builtin::{Game, Played, Refused, choose};
use super::{ExactPolicy, Legal};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    PrisonersDilemma,
    StagHunt,
    Chicken,
    MatchingPennies,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    game: Kind,
    rounds: u32,
    /// Of the first player for the moves (1, 1), (1, 2), (2, 1), (2, 2), 0 to 100; drawn when absent.
    payoffs: Option<[u32; 4]>,
}

impl Default for Config {
    fn default() -> Self {
        Self { game: Kind::default(), rounds: 8, payoffs: None }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Matrix {
    game: Kind,
    rounds: u32,
    payoffs: [u32; 4],
    /// All rounds' moves, 0 or 1.
    history: Vec<[usize; 2]>,
}

impl Kind {
    fn moves(self) -> [&'static str; 2] {
        match self {
            Self::PrisonersDilemma => ["cooperate", "defect"],
            Self::StagHunt => ["stag", "hare"],
            Self::Chicken => ["swerve", "straight"],
            Self::MatchingPennies => ["heads", "tails"],
        }
    }

    /// Whether payoffs have the order that the game is named for: of both first moves (reward), first against second (sucker), second
    /// against first (temptation), both second (punishment).
    fn fits(self, [reward, sucker, temptation, punishment]: [u32; 4]) -> bool {
        match self {
            Self::PrisonersDilemma => {
                temptation > reward && reward > punishment && punishment > sucker && 2 * reward > temptation + sucker
            }
            Self::StagHunt => reward > temptation && temptation >= punishment && punishment > sucker,
            Self::Chicken => temptation > reward && reward > sucker && sucker > punishment,
            Self::MatchingPennies => reward == punishment && sucker == temptation && reward > sucker,
        }
    }
}

impl Matrix {
    /// Payoffs of both players for their moves.
    fn pay(&self, [a, b]: [usize; 2]) -> [u32; 2] {
        let first = self.payoffs[2 * a + b];
        match self.game {
            // The second player wins what the first does not.
            Kind::MatchingPennies => [first, self.payoffs[0] + self.payoffs[1] - first],
            Kind::PrisonersDilemma | Kind::StagHunt | Kind::Chicken => [first, self.payoffs[2 * b + a]],
        }
    }

    fn lowest_and_highest(&self) -> (u32, u32) {
        self.payoffs.iter().fold((u32::MAX, 0), |(low, high), pay| (low.min(*pay), high.max(*pay)))
    }
}

impl Game for Matrix {
    const NAME: &'static str = "matrix";
    const OPTIONS: &'static str = "`game` is prisoners_dilemma, stag_hunt, chicken or matching_pennies, `rounds` 1 to 1000, `payoffs` four \
         numbers from 0 to 100 in the game's order";
    type Config = Config;
    type Move = usize;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let Config { game, rounds, payoffs } = *config;
        if !(1..=1000).contains(&rounds)
            || payoffs.is_some_and(|given| !game.fits(given) || given.iter().any(|pay| *pay > 100))
        {
            return None;
        }
        loop {
            let mut payoffs = payoffs.unwrap_or_else(|| std::array::from_fn(|_| rng.random_range(0..=12)));
            if game == Kind::MatchingPennies {
                (payoffs[2], payoffs[3]) = (payoffs[1], payoffs[0]);
            }
            if game.fits(payoffs) {
                return Some(Self { game, rounds, payoffs, history: Vec::new() });
            }
        }
    }

    fn canonical(&self) -> String {
        format!("{:?} {:?}", self.game, self.payoffs)
    }

    fn is_drawn(config: &Config) -> bool {
        config.payoffs.is_none()
    }

    fn players(&self) -> usize {
        2
    }

    fn max_turns(&self) -> u32 {
        // A turn in which nobody moves is no round; some are forgiven.
        self.rounds + 10
    }

    fn observe(&self, player: usize) -> String {
        let [one, two] = self.game.moves();
        let line = |mine: usize, other: usize| {
            let moves = if player == 0 { [mine, other] } else { [other, mine] };
            let pay = self.pay(moves);
            format!("you {}, other {}: {} / {}", [one, two][mine], [one, two][other], pay[player], pay[1 - player])
        };
        let table = [line(0, 0), line(0, 1), line(1, 0), line(1, 1)].join("; ");
        let past = self.history.iter().map(|moves| {
            let [mine, other] = [moves[player], moves[1 - player]].map(|played| [one, two][played]);
            format!("{mine}/{other}")
        });
        let past: Vec<String> = past.collect();
        let past = if past.is_empty() { "none".to_owned() } else { past.join(", ") };
        let round = self.history.len() + 1;
        let now = match round <= self.rounds as usize {
            true => format!("Round {round} of {}: {one} or {two}?", self.rounds),
            false => "The game is over.".to_owned(),
        };
        format!("Payoffs (you / other): {table}.\nRounds so far (you/other): {past}.\n{now}")
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::These(self.game.moves().map(str::to_owned).to_vec())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<usize, Refused> {
        choose(text, &self.game.moves().map(str::to_owned))
    }

    fn play(&mut self, moves: Vec<Option<usize>>, chance: &mut ChaCha8Rng) -> Played {
        let drawn = [chance.random_range(0..2), chance.random_range(0..2)];
        let made = [0, 1].map(|player| moves.get(player).copied().flatten().unwrap_or(drawn[player]));
        self.history.push(made);
        let mut info = Map::new();
        info.insert("moves".to_owned(), json!(made.map(|played| self.game.moves()[played])));
        let rewards = self.pay(made).map(f64::from).to_vec();
        Played { rewards, over: self.history.len() >= self.rounds as usize, info, news: String::new() }
    }

    fn score(&self, player: usize) -> f64 {
        let (low, high) = self.lowest_and_highest();
        let total: u32 = self.history.iter().map(|moves| self.pay(*moves)[player] - low).sum();
        f64::from(total) / (f64::from(high - low) * f64::from(self.rounds))
    }

    /// Of both players playing alike: `Uniform` only; the best depends on the other.
    fn exact_value(&self, policy: ExactPolicy) -> Option<f64> {
        let (low, high) = self.lowest_and_highest();
        let mean = self.payoffs.iter().map(|pay| f64::from(pay - low)).sum::<f64>() / 4.0;
        match policy {
            ExactPolicy::Uniform => Some(mean / f64::from(high - low)),
            ExactPolicy::Best | ExactPolicy::Learner => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    const KINDS: [&str; 4] = ["prisoners_dilemma", "stag_hunt", "chicken", "matching_pennies"];

    #[test]
    fn the_contract_of_all_four() {
        KINDS.iter().for_each(|kind| check("matrix", &options(json!({"game": kind})), |_, _| String::new()));
    }

    #[test]
    fn the_classical_dilemma_by_hand() {
        let config = options(json!({"rounds": 3, "payoffs": [3, 0, 5, 1]}));
        let (mut game, start) = env("matrix", &config, 1);
        let first = game.reset(&start).unwrap();
        assert!(
            first[0].contains("you cooperate, other defect: 0 / 5; you defect, other cooperate: 5 / 0"),
            "{first:?}"
        );
        assert_eq!(first[0], first[1]);
        assert_eq!(game.step(&[Some("cooperate"), Some("Defect")]).unwrap().rewards, [0.0, 5.0]);
        let second = game.step(&[Some("defect"), Some("defect")]).unwrap();
        assert_eq!(second.rewards, [1.0, 1.0]);
        assert!(second.observations[1].contains("(you/other): defect/cooperate, defect/defect."), "{second:?}");
        let last = game.step(&[Some("cooperate"), Some("cooperate")]).unwrap();
        assert_eq!((last.rewards, last.done), (vec![3.0, 3.0], Some(End::Terminated)));
        assert_eq!([game.score(0).unwrap(), game.score(1).unwrap()], [4.0 / 15.0, 9.0 / 15.0]);
    }

    #[test]
    fn the_matcher_wins_what_the_other_loses() {
        let (mut game, start) =
            env("matrix", &options(json!({"game": "matching_pennies", "payoffs": [1, 0, 0, 1]})), 1);
        game.reset(&start).unwrap();
        assert_eq!(game.step(&[Some("heads"), Some("heads")]).unwrap().rewards, [1.0, 0.0]);
        assert_eq!(game.step(&[Some("tails"), Some("heads")]).unwrap().rewards, [0.0, 1.0]);
    }

    #[test]
    fn who_is_refused_gets_a_drawn_move_and_nobody_can_stall_for_ever() {
        let (mut game, start) = env("matrix", &options(json!({"rounds": 2, "payoffs": [3, 0, 5, 1]})), 1);
        game.reset(&start).unwrap();
        let turn = game.step(&[Some("betray"), Some("defect")]).unwrap();
        assert!(matches!(turn.taken[..], [Taken::Unparsable(_), Taken::Played]));
        assert!(turn.info["moves"][1] == "defect" && turn.rewards[0] <= 1.0);
        let ends: Vec<_> = (0..11).map(|_| game.step(&[None, None]).unwrap().done).collect();
        assert_eq!(ends.iter().flatten().collect::<Vec<_>>(), [&End::Truncated]);
    }

    #[test]
    fn wrong_orders_of_payoffs_are_refused() {
        let (mut game, start) = env("matrix", &options(json!({"game": "chicken", "payoffs": [3, 0, 5, 1]})), 1);
        assert!(game.reset(&start).unwrap_err().to_string().contains("in the game's order"));
    }

    #[test]
    fn the_uniform_value_is_the_mean_of_all_plays() {
        let (mut game, start) = env("matrix", &options(json!({"rounds": 2, "payoffs": [3, 0, 5, 1]})), 1);
        let (mut total, moves) = (0.0, ["cooperate", "defect"]);
        for plays in 0..16usize {
            game.reset(&start).unwrap();
            for round in 0..2 {
                let of = |bit: usize| Some(moves[plays >> (2 * round + bit) & 1]);
                game.step(&[of(0), of(1)]).unwrap();
            }
            total += game.score(0).unwrap();
        }
        assert!((total / 16.0 - game.exact_value(ExactPolicy::Uniform).unwrap()).abs() < 1e-12);
    }
}
