//! Items of losses on single tokens: likelihoods, policy gradients and component prediction.
//!
//! A mark's target is the token, its weight the record's, its value the factor of the token's loss (a reward or an advantage; with a
//! critic the token's own reward, from which advantages are made when the critic's values are known).

use std::collections::BTreeMap;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::train::{Average, Baseline, Component, Credit, Loss, PolicyGradient, Scale, Surrogate};
use galapagos_domain::seed::Seed;
use rand::RngExt;

use super::item::{Item, Mark};
use super::row::Row;
use super::{Built, DataError, Needs};
use crate::advantage::{self, Moments, Samples};

/// Addend to standard deviations.
const EPS: f64 = 1e-6;

/// `nll` and `weighted_nll`.
pub(super) fn likelihood(rows: &[Row], needs: &Needs<'_>, weighted: bool) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let Some(factor) = (if weighted { row.reward } else { Some(1.0) }) else {
            built.left_out += 1;
            continue;
        };
        let marks: Vec<Mark> =
            row.learned().map(|(at, _)| Mark { value: factor as f32, ..mark(row, at, row.weight) }).collect();
        built.add(item(row, needs, marks, Average::Token)?);
    }
    Ok(built)
}

/// `component: next`: every token but the first, prompt included.
pub(super) fn components(rows: &[Row], needs: &Needs<'_>) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let tokens = row.tokens();
        let marks = (1..tokens.len()).map(|at| Mark { value: 1.0, ..Mark::new(at - 1, tokens[at], row.weight) });
        let marks: Vec<Mark> = marks.collect();
        built.add(item(row, needs, marks, Average::Token)?);
    }
    Ok(built)
}

/// `component: masked`: tokens drawn from `seed` are hidden behind `mask` and predicted where they stand, from both sides.
pub(super) fn masked(
    rows: &[Row],
    needs: &Needs<'_>,
    (rate, token): (f64, u32),
    seed: Seed,
) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let mut stream = seed.derive(&format!("mask/{}", row.number)).stream();
        let mut tokens = row.tokens();
        let mut hidden: Vec<usize> = (0..tokens.len()).filter(|_| stream.random_bool(rate)).collect();
        if hidden.is_empty() {
            // Every record teaches something, however short.
            hidden.push(stream.random_range(0..tokens.len()));
        }
        let marks = hidden.iter().map(|at| Mark { value: 1.0, ..Mark::new(*at, tokens[*at], row.weight) }).collect();
        for at in hidden {
            tokens[at] = token;
        }
        let mut item = item(row, needs, marks, Average::Token)?;
        if let Some(sequence) = item.sequences.first_mut() {
            sequence.tokens = tokens;
        }
        built.add(item);
    }
    Ok(built)
}

/// `pg`.
pub(super) fn policy_gradient(rows: &[Row], needs: &Needs<'_>, pg: &PolicyGradient) -> Result<Built, DataError> {
    let greedy = greedy_rewards(rows);
    // A greedy record is no sample of the policy: it is compared with, and not learned from.
    let compares = |row: &Row| pg.baseline != Baseline::Greedy || greedy.contains_key(&(row.task.as_str(), row.policy));
    let used: Vec<&Row> = rows.iter().filter(|row| row.reward.is_some() && !row.greedy && compares(row)).collect();
    let mut built = Built { left_out: (rows.len() - used.len()) as u64, ..Built::default() };
    if let Some(row) = used.iter().find(|row| row.log_probs.is_empty()) {
        return Err(row.wrong("has no log-probabilities; a policy gradient learns from what a policy sampled"));
    }
    let values = match pg.baseline {
        Baseline::Critic(_) => used.iter().map(|row| token_rewards(row, row.reward.unwrap_or(0.0))).collect(),
        Baseline::None | Baseline::Group | Baseline::LeaveOneOut | Baseline::Greedy => compared(&used, pg, &greedy)?,
    };
    for (row, values) in used.iter().zip(values) {
        let first = values.first().copied().unwrap_or(0.0);
        let class = critic_class(row, &pg.credit)?;
        let learned = row.learned().zip(values);
        let marks = learned.map(|((at, _), value)| Mark {
            value: value as f32,
            extra: class as f32,
            ..mark(row, at, row.weight)
        });
        // With a ratio of whole records there is one term for each record.
        let of_records = matches!(pg.surrogate, Surrogate::SequenceClip(_));
        let average = if of_records { Average::Sequence } else { pg.average };
        let mut item = item(row, needs, marks.collect(), average)?;
        if let Some(sequence) = item.sequences.first_mut() {
            (sequence.value, sequence.weight) = (first as f32, row.weight);
        }
        built.add(item);
    }
    Ok(built)
}

/// The reward of the greedy record of each task and policy.
fn greedy_rewards(rows: &[Row]) -> BTreeMap<(&str, Digest), f64> {
    let greedy = rows.iter().filter(|row| row.greedy);
    greedy.filter_map(|row| Some(((row.task.as_str(), row.policy), row.reward?))).collect()
}

/// The class whose probability weighs a record's tokens; 0 where none does.
fn critic_class(row: &Row, credit: &Credit) -> Result<u32, DataError> {
    match credit {
        Credit::Whole | Credit::PerTurn(_) => Ok(0),
        Credit::CriticClass(_) => row.class().ok_or_else(|| {
            row.wrong(
                "has no class, which `credit: critic_class` asks for; `label_from: {value: outcome}` gives it one",
            )
        }),
    }
}

/// A part of a record that is credited on its own: its record, its number among those of the record, its tokens, its reward.
struct Credited {
    record: usize,
    turn: usize,
    tokens: usize,
    reward: f64,
}

/// The advantage of each learned token of each record: of the record among the records of its task, or of its turn among the same
/// turns of its task.
fn compared(
    rows: &[&Row],
    pg: &PolicyGradient,
    greedy: &BTreeMap<(&str, Digest), f64>,
) -> Result<Vec<Vec<f64>>, DataError> {
    let mut parts = Vec::new();
    for (record, row) in rows.iter().enumerate() {
        parts.extend(credited(record, row, &pg.credit)?);
    }
    let mut names: Vec<(&str, usize)> = parts.iter().map(|part| (rows[part.record].task.as_str(), part.turn)).collect();
    let all = names.clone();
    names.sort_unstable();
    names.dedup();
    let groups: Vec<usize> = all.iter().map(|name| names.binary_search(name).unwrap_or(0)).collect();
    let rewards: Vec<f64> = parts.iter().map(|part| part.reward).collect();
    let failed = |source| DataError::Advantage { source };
    let given = |part: &Credited| {
        let row = rows[part.record];
        greedy.get(&(row.task.as_str(), row.policy)).copied().unwrap_or(0.0)
    };
    let given: Vec<f64> = parts.iter().map(given).collect();
    let baseline = match pg.baseline {
        Baseline::Greedy => advantage::Baseline::Given(&given),
        Baseline::Group => advantage::Baseline::GroupMean,
        Baseline::LeaveOneOut => advantage::Baseline::LeaveOneOut,
        Baseline::None | Baseline::Critic(_) => advantage::Baseline::None,
    };
    let scale = match pg.scale {
        Scale::None => advantage::Scale::None,
        Scale::GroupStd => advantage::Scale::GroupStd { eps: EPS },
        Scale::AllStd => advantage::Scale::BatchStd { rewards: Moments::of(&rewards, None).map_err(failed)?, eps: EPS },
    };
    let samples = Samples { rewards: &rewards, groups: &groups, counted: None };
    let advantages = advantage::advantages(samples, baseline, scale).map_err(failed)?.values;
    let mut values = vec![Vec::new(); rows.len()];
    for (part, advantage) in parts.iter().zip(advantages) {
        values[part.record].extend(std::iter::repeat_n(advantage, part.tokens));
    }
    Ok(values)
}

/// The parts of a record that are credited each on its own.
fn credited(record: usize, row: &Row, credit: &Credit) -> Result<Vec<Credited>, DataError> {
    let Credit::PerTurn(turn) = credit else {
        let tokens = row.learned().count();
        return Ok(vec![Credited { record, turn: 0, tokens, reward: row.reward.unwrap_or(0.0) }]);
    };
    let turns: Vec<_> = row.parts().into_iter().filter(|part| part.learn).collect();
    if let Some(i) = turns.iter().position(|part| part.value.is_none()) {
        return Err(row.wrong(format!("has no reward of turn {i}, which `credit: per_turn` asks for")));
    }
    let rewards: Vec<f64> = turns.iter().filter_map(|part| part.value).map(f64::from).collect();
    let returns = advantage::turn_returns(&rewards, turn.gamma).map_err(|source| DataError::Advantage { source })?;
    let parts = turns.iter().zip(returns).enumerate();
    Ok(parts
        .map(|(turn, (part, reward))| Credited { record, turn, tokens: (part.end - part.start) as usize, reward })
        .collect())
}

/// The reward of each learned token: its part's at the part's end, and the record's, if no part has one, at the last token.
fn token_rewards(row: &Row, reward: f64) -> Vec<f64> {
    let parts = row.parts();
    let learned: Vec<(usize, usize)> = row.learned().collect();
    let said = parts.iter().any(|part| part.learn && part.value.is_some());
    let last = learned.len().saturating_sub(1);
    let of = |(i, (at, part)): (usize, &(usize, usize))| {
        let part = &parts[*part];
        match part.value {
            Some(value) if *at + 1 == part.end as usize => f64::from(value),
            None if !said && i == last => reward,
            _ => 0.0,
        }
    };
    learned.iter().enumerate().map(of).collect()
}

/// `value`: the same rewards, at the states before each learned token; the critic's targets are made of them when its values are known.
pub(super) fn values(rows: &[Row], needs: &Needs<'_>) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let Some(reward) = row.reward else {
            built.left_out += 1;
            continue;
        };
        let rewards = token_rewards(row, reward);
        let marks: Vec<Mark> = row
            .learned()
            .zip(rewards)
            .map(|((at, _), reward)| Mark { value: reward as f32, ..mark(row, at, row.weight) })
            .collect();
        built.add(item(row, needs, marks, Average::Token)?);
    }
    Ok(built)
}

/// The mark of completion token `at`, which the hidden state before it predicts; one exists because no question is empty.
pub(super) fn mark(row: &Row, at: usize, weight: f32) -> Mark {
    let behaviour = row.log_probs.get(at).copied().unwrap_or(f32::NAN);
    Mark { behaviour, ..Mark::new(row.start() + at - 1, row.completion[at], weight) }
}

/// A record's item, with the weights of its marks by the average.
fn item(row: &Row, needs: &Needs<'_>, mut marks: Vec<Mark>, average: Average) -> Result<Item, DataError> {
    if marks.is_empty() {
        return Err(row.wrong("has no token that the policy answers for"));
    }
    let (count, weight) = (marks.len() as f64, f64::from(row.weight));
    let share = match average {
        Average::Token => count * weight,
        Average::Sequence => weight,
        Average::Constant(tokens) => f64::from(tokens) * weight,
    };
    if average == Average::Sequence {
        for mark in &mut marks {
            mark.weight /= count as f32;
        }
    }
    if let Some(first) = row.parts().into_iter().find(|part| part.learn) {
        // The state before a token predicts it.
        let states = row.start() + first.start as usize - 1..row.start() + first.end as usize - 1;
        for mark in &mut marks {
            mark.first_turn = states.contains(&(mark.position as usize));
        }
    }
    Ok(Item::of(row.number, row.prefix.len(), needs.sequence(row, marks), share))
}

/// Which of the losses of this file a recipe names.
pub(super) fn build(rows: &[Row], needs: &Needs<'_>, loss: &Loss) -> Option<Result<Built, DataError>> {
    Some(match loss {
        Loss::Nll => likelihood(rows, needs, false),
        Loss::WeightedNll => likelihood(rows, needs, true),
        Loss::Pg(pg) => policy_gradient(rows, needs, pg),
        Loss::Value(_) => values(rows, needs),
        Loss::Component(Component::Next) => components(rows, needs),
        Loss::Component(Component::Masked(mask)) => masked(rows, needs, (mask.rate, mask.token), needs.seed),
        _ => return None,
    })
}
