//! `mask`: for which parts the policy does not answer. A record without parts stays as it is.

use galapagos_domain::recipe::curate::Mask;
use galapagos_domain::trajectory::{Span, Trajectory};

use super::stage::{Each, Fate};

pub(super) fn mask<'a>(what: Mask) -> Each<'a> {
    Box::new(move |_, mut record| {
        hide(&mut record, what);
        Ok(Fate::Kept(record))
    })
}

fn hide(record: &mut Trajectory, what: Mask) {
    let Trajectory { credit, log_probs, .. } = record;
    let spans = &mut credit.spans;
    let below = |span: &Span, bound: f64| span.value.is_some_and(|value| f64::from(value) < bound);
    let hidden: Vec<bool> = match what {
        Mask::Bad(bound) => spans.iter().map(|span| below(span, bound)).collect(),
        Mask::Prefix(bound) => {
            let last = spans.iter().rposition(|span| below(span, bound));
            (0..spans.len()).map(|place| last.is_some_and(|last| place <= last)).collect()
        }
        Mask::Observations => {
            let written = |span: &Span| log_probs.get(span.start as usize..span.end as usize);
            spans
                .iter()
                .map(|span| written(span).is_some_and(|part| part.iter().all(|log_prob| *log_prob == 0.0)))
                .collect()
        }
        Mask::AllButLast => {
            let last = spans.iter().rposition(|span| span.learn);
            (0..spans.len()).map(|place| Some(place) != last).collect()
        }
    };
    for (span, hidden) in spans.iter_mut().zip(hidden) {
        span.learn &= !hidden;
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_records::{plain, span};
    use super::*;

    fn learned(what: Mask) -> Vec<bool> {
        let mut record = plain(0, 0, 0);
        record.completion_tokens = vec![1, 2, 3, 4];
        record.log_probs = vec![-0.5, 0.0, -0.25, 0.0];
        record.credit.spans =
            vec![span(0, 1, Some(0.75)), span(1, 2, Some(0.25)), span(2, 3, Some(0.5)), span(3, 4, None)];
        hide(&mut record, what);
        record.credit.spans.iter().map(|span| span.learn).collect()
    }

    #[test]
    fn four_parts_masked_in_four_ways() {
        assert_eq!(learned(Mask::Bad(0.5)), [true, false, true, true]);
        assert_eq!(learned(Mask::Prefix(0.5)), [false, false, true, true]);
        assert_eq!(learned(Mask::Observations), [true, false, true, false]);
        assert_eq!(learned(Mask::AllButLast), [false, false, false, true]);
    }
}
