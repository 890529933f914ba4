//! Items of losses on what a head says of a record or of its steps, on logged actions, and on hidden states.

use galapagos_domain::recipe::train::{Loss, Pointwise, StepLoss, TdConservative};

use super::item::{Item, Mark, Sequence};
use super::row::Row;
use super::{Built, DataError, Needs};

/// Which of the losses of this file a recipe names.
pub(super) fn build(rows: &[Row], needs: &Needs<'_>, loss: &Loss) -> Option<Result<Built, DataError>> {
    Some(match loss {
        Loss::Pointwise(Pointwise::Steps(step)) => steps(rows, needs, *step),
        Loss::Pointwise(Pointwise::PooledClasses) => pooled(rows, needs),
        Loss::Pointwise(pointwise) => whole(rows, needs, *pointwise),
        Loss::TdConservative(td) => actions(rows, needs, *td),
        Loss::ContrastiveMi(_) => views(rows, needs),
        _ => return None,
    })
}

/// The label of a record: its reward.
fn label(row: &Row, bounded: bool) -> Result<Option<f32>, DataError> {
    match row.reward {
        Some(reward) if bounded && !(0.0..=1.0).contains(&reward) => {
            Err(row.wrong(format!("has the label {reward}; `bce` needs one from 0 to 1")))
        }
        Some(reward) => Ok(Some(reward as f32)),
        None => Ok(None),
    }
}

/// The class of a record: what a span says of its whole, else 1 for a pass and 0 for a fail.
fn class(row: &Row) -> Option<u32> {
    row.class().or_else(|| row.reward.map(|reward| u32::from(reward >= 0.5)))
}

fn whole(rows: &[Row], needs: &Needs<'_>, pointwise: Pointwise) -> Result<Built, DataError> {
    let mut built = Built::default();
    let classes = pointwise == Pointwise::Classes;
    for row in rows {
        let value = if classes { None } else { label(row, pointwise == Pointwise::Bce)? };
        let target = if classes { class(row) } else { None };
        if value.is_none() && target.is_none() {
            built.left_out += 1;
            continue;
        }
        let target = needs.class(row, target.unwrap_or(0))?;
        let last = row.start() + row.completion.len() - 1;
        let mark = Mark { value: value.unwrap_or(0.0), ..Mark::new(last, target, row.weight) };
        built.add(single(row, needs, vec![mark]));
    }
    Ok(built)
}

/// All completion tokens, of which the greatest output counts; the sequence's value is the class.
fn pooled(rows: &[Row], needs: &Needs<'_>) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let Some(class) = class(row) else {
            built.left_out += 1;
            continue;
        };
        let class = needs.class(row, class)?;
        let marks = (0..row.completion.len()).map(|at| Mark::new(row.start() + at, class, 0.0)).collect();
        let sequence = Sequence { weight: row.weight, value: class as f32, ..needs.sequence(row, marks) };
        built.add(Item::of(row.number, 0, sequence, f64::from(row.weight)));
    }
    Ok(built)
}

/// The end of each part that has a label.
fn steps(rows: &[Row], needs: &Needs<'_>, step: StepLoss) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let mut marks = Vec::new();
        for (i, span) in row.spans.iter().enumerate() {
            let at = row.start() + span.end as usize - 1;
            match (step, span.value, span.class) {
                (StepLoss::Classes, _, Some(class)) => marks.push(Mark::new(at, needs.class(row, class)?, row.weight)),
                (StepLoss::Bce, Some(value), _) if !(0.0..=1.0).contains(&value) => {
                    return Err(row.wrong(format!("has the label {value} of step {i}; `bce` needs one from 0 to 1")));
                }
                (StepLoss::Bce | StepLoss::Mse | StepLoss::Huber, Some(value), _) => {
                    marks.push(Mark { value, ..Mark::new(at, 0, row.weight) });
                }
                (StepLoss::Classes, _, None) | (StepLoss::Bce | StepLoss::Mse | StepLoss::Huber, None, _) => {}
            }
        }
        if marks.is_empty() {
            built.left_out += 1;
        } else {
            built.add(single(row, needs, marks));
        }
    }
    Ok(built)
}

/// The state before each action: target is the action, value its reward, extra the return that followed, and the next mark of the
/// sequence the next state.
fn actions(rows: &[Row], needs: &Needs<'_>, td: TdConservative) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let taken: Vec<_> = row.spans.iter().filter_map(|span| Some((span, span.class?))).collect();
        let Some((last, _)) = taken.last() else {
            built.left_out += 1;
            continue;
        };
        let (end, said) = (last.end, taken.iter().any(|(span, _)| span.value.is_some()));
        let mut marks = Vec::with_capacity(taken.len());
        for (span, action) in &taken {
            let own = span.value.map(f64::from);
            // Without rewards of actions the record's is the last one's.
            let reward = own.or(if !said && span.end == end { row.reward } else { Some(0.0) });
            let Some(reward) = reward else { break };
            let target = needs.class(row, *action)?;
            let at = row.start() + span.start as usize - 1;
            marks.push(Mark { value: reward as f32, ..Mark::new(at, target, row.weight) });
        }
        if marks.len() < taken.len() {
            built.left_out += 1;
            continue;
        }
        let mut following = 0.0;
        for mark in marks.iter_mut().rev() {
            following = f64::from(mark.value) + td.gamma * following;
            mark.extra = following as f32;
        }
        built.add(single(row, needs, marks));
    }
    Ok(built)
}

/// The last hidden state of the question and that of the completion.
fn views(rows: &[Row], needs: &Needs<'_>) -> Result<Built, DataError> {
    let mut built = Built::default();
    for row in rows {
        let ends = [row.start() - 1, row.start() + row.completion.len() - 1];
        let marks = ends.iter().map(|at| Mark::new(*at, 0, 0.0)).collect();
        let sequence = Sequence { weight: row.weight, ..needs.sequence(row, marks) };
        built.add(Item::of(row.number, 0, sequence, f64::from(row.weight)));
    }
    Ok(built)
}

/// An item of one record, whose marks count alike.
fn single(row: &Row, needs: &Needs<'_>, marks: Vec<Mark>) -> Item {
    let share = marks.len() as f64 * f64::from(row.weight);
    Item::of(row.number, 0, needs.sequence(row, marks), share)
}
