//! `label_from`: labels of steps out of values, as MedS3 makes them (paper notes, section 2), and rewards of records out of votes.

use std::collections::{BTreeMap, HashSet};

use galapagos_domain::recipe::curate::{LabelFrom, LabelValue};
use galapagos_domain::trajectory::Span;

use super::likeness::answer;
use super::measure::score;
use super::stage::{Each, Fate, Fell, Group};
use super::wood::Wood;

/// The labels of a path of values; see [`LabelFrom`].
fn labels(values: &[f64], label: &LabelFrom) -> Vec<f64> {
    let penalised = |i: usize| {
        let Some(before) = i.checked_sub(1).map(|before| values[before]) else { return values[i] };
        if !label.soft_dip {
            return values[i] - label.drop_penalty * (before - values[i]);
        }
        match values.get(i + 1) {
            Some(after) if values[i] < before && values[i] < *after => {
                values[i] - label.drop_penalty * (before - after)
            }
            _ => values[i],
        }
    };
    (0..values.len()).map(|i| bounded(penalised(i), label)).collect()
}

/// Clipped, and 0 or 1 if there is a threshold.
fn bounded(value: f64, label: &LabelFrom) -> f64 {
    let value = label.clip.map_or(value, |(low, high)| value.clamp(low, high));
    match label.threshold {
        Some(threshold) => f64::from(u8::from(value > threshold)),
        None => value,
    }
}

/// Gives the parts with a value their labels.
fn put(spans: &mut [Span], values: &[Option<f64>], label: &LabelFrom) {
    let known: Vec<f64> = values.iter().filter_map(|value| *value).collect();
    let mut made = labels(&known, label).into_iter();
    for (span, value) in spans.iter_mut().zip(values) {
        let made = value.and_then(|_| made.next());
        span.value = made.map(|made| made as f32);
        if label.threshold.is_some() {
            span.class = made.map(|made| u32::from(made > 0.5));
        }
    }
}

/// The parts of a record, whose value is Q.
pub(super) fn of_record(label: &LabelFrom) -> Each<'_> {
    Box::new(move |_, mut record| {
        let values: Vec<_> = record.credit.spans.iter().map(|span| span.value.map(f64::from)).collect();
        if values.iter().all(Option::is_none) {
            return Ok(Fate::Without);
        }
        put(&mut record.credit.spans, &values, label);
        Ok(Fate::Kept(record))
    })
}

/// The class of the verdict at the record's last part, which is the whole where a record has none.
pub(super) fn of_outcome<'a>() -> Each<'a> {
    Box::new(|_, mut record| {
        let Some(class) = record.verdict.class else { return Ok(Fate::Without) };
        if record.credit.spans.is_empty() {
            let end = u32::try_from(record.completion_tokens.len()).unwrap_or(u32::MAX);
            record.credit.spans.push(Span { start: 0, end, learn: true, value: None, class: None });
        }
        if let Some(last) = record.credit.spans.last_mut() {
            last.class = Some(class);
        }
        Ok(Fate::Kept(record))
    })
}

/// Every path to an end, a node's label in the first of them alone; paths that would say nothing are left out.
pub(super) fn of_trees(label: &LabelFrom) -> Fell<'_> {
    Box::new(move |nodes| {
        let wood = Wood::of(nodes)?;
        let value = |node: usize| match label.value {
            LabelValue::Own => nodes[node].own,
            LabelValue::Q => wood.q(node),
            LabelValue::Rollout => score(&nodes[node].scores, "mc_rollout"),
            LabelValue::Vote | LabelValue::Outcome => None,
        };
        let mut said = HashSet::new();
        let mut out = Vec::new();
        for end in (1..nodes.len()).filter(|node| wood.children[*node].is_empty()) {
            let path: Vec<_> = wood.path(end).into_iter().filter(|node| !nodes[*node].tokens.is_empty()).collect();
            // Parts that were shown have no value of their own.
            let parts = path.iter().flat_map(|node| wood.spans(*node, 0).map(|span| (*node, span.learn)));
            let parts: Vec<_> = parts.collect();
            let values: Vec<_> =
                parts.iter().map(|(node, learn)| value(*node).filter(|_| *learn && wood.is_step(*node))).collect();
            let mut record = wood.record(&path, 0);
            put(&mut record.credit.spans, &values, label);
            for (span, (node, _)) in record.credit.spans.iter_mut().zip(&parts) {
                if span.value.is_some() && !said.insert(*node) {
                    (span.value, span.class) = (None, None);
                }
            }
            if record.credit.spans.iter().any(|span| span.value.is_some()) {
                out.push(record);
            }
        }
        Ok(out)
    })
}

/// The share of the task's records with the same answer becomes the reward.
pub(super) fn votes(label: &LabelFrom) -> Group<'_> {
    Box::new(move |mut rows| {
        let mut votes: BTreeMap<String, u32> = BTreeMap::new();
        rows.iter().for_each(|row| *votes.entry(answer(&row.completion).to_owned()).or_default() += 1);
        let all = rows.len() as f64;
        for row in &mut rows {
            let same = votes.get(answer(&row.completion)).copied().unwrap_or(0);
            row.credit.reward = Some(bounded(f64::from(same) / all, label) as f32);
        }
        Ok(rows.into_iter().enumerate().collect())
    })
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::curate::LabelSource;

    use super::*;

    fn label(drop_penalty: f64, soft_dip: bool) -> LabelFrom {
        let (value, from) = (LabelValue::Q, LabelSource::Records);
        LabelFrom { value, from, drop_penalty, soft_dip, threshold: None, clip: None }
    }

    #[test]
    fn drops_are_penalised_as_meds3_does() {
        let values = [0.5, 0.25, 0.75, 1.0];
        // 0.5; 0.25 - (0.5 - 0.25); 0.75 + 0.5; 1 + 0.25.
        assert_eq!(labels(&values, &label(1.0, false)), [0.5, 0.0, 1.25, 1.25]);
        // Only the second is below both neighbours: 0.25 - (0.5 - 0.75).
        assert_eq!(labels(&values, &label(1.0, true)), [0.5, 0.5, 0.75, 1.0]);
        assert_eq!(labels(&values, &label(0.0, false)), values);
        let cut = LabelFrom { threshold: Some(0.0), clip: Some((0.0, 1.0)), ..label(1.0, false) };
        assert_eq!(labels(&values, &cut), [1.0, 0.0, 1.0, 1.0]);
        assert!(labels(&[], &label(1.0, true)).is_empty());
    }
}
