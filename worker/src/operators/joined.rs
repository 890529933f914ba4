//! `join_pairs`: preferences as records that hold both answers, for a role that learns to say which one is better (UPO; paper notes,
//! section 15). Tokens of answers are joined as they are, without what ended them; only the texts between and behind are written anew.

use std::collections::BTreeMap;

use galapagos_domain::recipe::curate::JoinPairs;
use galapagos_domain::trajectory::{Credit, Span, Trajectory, Verdict};

use super::error::OperatorError;
use super::splice::{read, written};
use super::stage::Group;
use crate::engine::Codec;

/// The places of a preference's records among those of a task.
pub(super) struct Sides {
    pub chosen: usize,
    pub rejected: usize,
}

/// The preferences among records of a task, in order of their first records; records of none are left out.
pub(super) fn sides(rows: &[Trajectory], operator: &'static str) -> Result<Vec<Sides>, OperatorError> {
    let mut names: Vec<&str> = Vec::new();
    let mut places: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        let Some(side) = &row.credit.pair else { continue };
        let of = places.entry(&side.pair).or_insert_with(|| {
            names.push(&side.pair);
            (Vec::new(), Vec::new())
        });
        if side.chosen { of.0.push(place) } else { of.1.push(place) }
    }
    let whole = |name: &str| match places.get(name) {
        Some((chosen, rejected)) if chosen.len() == 1 && rejected.len() == 1 => {
            Ok(Sides { chosen: chosen[0], rejected: rejected[0] })
        }
        Some(_) | None => Err(OperatorError::Sides(name.to_owned(), operator)),
    };
    names.into_iter().map(whole).collect()
}

/// How two answers become one text.
pub(super) struct Joint<'a> {
    codec: &'a dyn Codec,
    operator: &'static str,
    between: (&'a str, Vec<u32>),
    behind: (&'a str, Vec<u32>),
}

impl<'a> Joint<'a> {
    pub(super) fn new(
        codec: &'a dyn Codec,
        operator: &'static str,
        (between, behind): (&'a str, &'a str),
    ) -> Result<Self, OperatorError> {
        let text = |text: &'a str| Ok::<_, OperatorError>((text, written(codec, text, operator)?));
        Ok(Self { codec, operator, between: text(between)?, behind: text(behind)? })
    }

    /// The tokens of an answer without what ended it.
    fn unstopped<'b>(&self, record: &'b Trajectory) -> Result<&'b [u32], OperatorError> {
        let tokens = &record.completion_tokens;
        let shorter = &tokens[..tokens.len().saturating_sub(1)];
        let same = read(self.codec, shorter, self.operator)? == record.completion;
        Ok(if same { shorter } else { tokens })
    }

    /// Everything behind the question.
    pub(super) fn tokens(&self, first: &Trajectory, second: &Trajectory) -> Result<Vec<u32>, OperatorError> {
        Ok([self.unstopped(first)?, &self.between.1, self.unstopped(second)?, &self.behind.1].concat())
    }

    fn text(&self, first: &Trajectory, second: &Trajectory) -> String {
        [first.completion.as_str(), self.between.0, &second.completion, self.behind.0].concat()
    }
}

/// Two records of each preference, the chosen answer first and then second; records of no preference are left out.
pub(super) fn of_pairs<'a>(join: &'a JoinPairs, codec: &'a dyn Codec) -> Result<Group<'a>, OperatorError> {
    let joint = Joint::new(codec, "join_pairs", (&join.between, &join.behind))?;
    Ok(Box::new(move |rows| {
        let mut out = Vec::new();
        for Sides { chosen, rejected } in sides(&rows, "join_pairs")? {
            let (better, worse) = (&rows[chosen], &rows[rejected]);
            for (first, second, class) in [(better, worse, 1), (worse, better, 0)] {
                let tokens = joint.tokens(first, second)?;
                let end = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
                let verdict = if class == 1 {
                    Verdict::pass("the first is better")
                } else {
                    Verdict::fail("the second is better")
                };
                let span = Span { start: 0, end, learn: true, value: None, class: Some(class) };
                let credit = Credit { spans: vec![span], weight: better.credit.weight, ..Credit::default() };
                let record = Trajectory {
                    completion_tokens: tokens,
                    // No policy sampled the whole.
                    log_probs: Vec::new(),
                    completion: joint.text(first, second),
                    verdict,
                    scores: Vec::new(),
                    leaf: None,
                    credit,
                    ..better.clone()
                };
                out.push((chosen.min(rejected), record));
            }
        }
        Ok(out)
    }))
}
