//! Operators that look at one record, or at its place in its task, and keep or drop it.

use galapagos_domain::recipe::Number;
use galapagos_domain::recipe::curate::Filter;
use galapagos_domain::trajectory::Outcome;

use super::error::OperatorError;
use super::measure::measure;
use super::stage::{Each, Fate, Group, Reverify, chosen};

/// `keep`: the records with one verdict.
pub(super) fn verdict<'a>(outcome: Outcome) -> Each<'a> {
    Box::new(move |_, record| Ok(if record.verdict.outcome == outcome { Fate::Kept(record) } else { Fate::Dropped }))
}

/// `drop`: not those that contain the text.
pub(super) fn without_text(text: &str) -> Each<'_> {
    Box::new(move |_, record| Ok(if record.completion.contains(text) { Fate::Dropped } else { Fate::Kept(record) }))
}

/// `filter`: those whose number lies within all bounds.
pub(super) fn within(filter: &Filter) -> Result<Each<'_>, OperatorError> {
    let bound = |number: &Option<Number>| match number {
        None => Ok(None),
        Some(Number::Value(value)) => Ok(Some(*value)),
        Some(Number::Variable(name)) => Err(OperatorError::Variable(name.clone())),
    };
    let (above, at_least) = (bound(&filter.above)?, bound(&filter.at_least)?);
    let (below, at_most) = (bound(&filter.below)?, bound(&filter.at_most)?);
    Ok(Box::new(move |_, record| {
        let Some(value) = measure(&record, &filter.by) else { return Ok(Fate::Without) };
        let within = above.is_none_or(|bound| value > bound)
            && at_least.is_none_or(|bound| value >= bound)
            && below.is_none_or(|bound| value < bound)
            && at_most.is_none_or(|bound| value <= bound);
        Ok(if within { Fate::Kept(record) } else { Fate::Dropped })
    }))
}

/// `cap`: the earliest of each task.
pub(super) fn earliest<'a>(max: u32) -> Group<'a> {
    Box::new(move |rows| Ok(chosen(rows, |place| place < max as usize)))
}

/// `repeat_verify`: those that pass at least `min_pass` of `times` times; no longer asked than it takes to know.
pub(super) fn again(times: u32, min_pass: u32, rules: &dyn Reverify) -> Each<'_> {
    Box::new(move |_, record| {
        let mut passed = 0;
        for time in 0..times {
            passed += u32::from(rules.passes(&record, time)?);
            if passed >= min_pass {
                return Ok(Fate::Kept(record));
            }
            if passed + (times - time - 1) < min_pass {
                break;
            }
        }
        Ok(Fate::Dropped)
    })
}
