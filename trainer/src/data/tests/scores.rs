//! What heads learn: labels of records and of their steps, logged actions with their returns, and views to be contrasted.

use galapagos_domain::recipe::train::{ContrastiveMi, Pointwise, StepLoss, TdConservative};
use proptest::prelude::*;

use super::*;

fn pointwise(kind: Pointwise) -> Train {
    train(Loss::Pointwise(kind))
}

/// The class of a record: its last part's that has one, else whether it passed.
fn class(record: &Trajectory) -> Option<u32> {
    let said = record.credit.spans.iter().filter_map(|span| span.class).next_back();
    said.or_else(|| record.reward().map(|reward| u32::from(reward >= 0.5)))
}

fn end(record: &Trajectory) -> usize {
    record.prompt_tokens.len() + record.completion_tokens.len() - 1
}

proptest! {
    #[test]
    fn a_record_is_judged_at_its_last_token(
        records in records(), kind in proptest::sample::select(vec![Pointwise::Bce, Pointwise::Mse, Pointwise::Huber]),
    ) {
        let used = |r: &Trajectory| weighs(r) && r.reward().is_some();
        let Some(data) = dataset(&records, &pointwise(kind), used) else { return Ok(()) };
        for item in items(&data) {
            let record = &records[item.rows[0] as usize];
            let [mark] = item.sequences[0].marks[..] else { panic!("not one mark") };
            prop_assert_eq!(mark.position as usize, end(record));
            prop_assert_eq!(f64::from(mark.value), record.reward().unwrap());
            prop_assert_eq!(mark.weight, record.credit.weight);
            prop_assert!(near(item.share, f64::from(record.credit.weight)));
        }
    }

    #[test]
    fn a_record_has_the_class_it_says(records in records(), pooled: bool) {
        let kind = if pooled { Pointwise::PooledClasses } else { Pointwise::Classes };
        let used = |r: &Trajectory| weighs(r) && class(r).is_some();
        let Some(data) = dataset(&records, &pointwise(kind), used) else { return Ok(()) };
        for item in items(&data) {
            let (record, sequence) = (&records[item.rows[0] as usize], &item.sequences[0]);
            let class = class(record).unwrap();
            let from = if pooled { record.prompt_tokens.len() } else { end(record) };
            let positions: Vec<usize> = sequence.marks.iter().map(|mark| mark.position as usize).collect();
            prop_assert_eq!(positions, (from..=end(record)).collect::<Vec<_>>());
            prop_assert!(near(item.share, f64::from(record.credit.weight)));
            if pooled {
                prop_assert_eq!((sequence.value, sequence.weight), (class as f32, record.credit.weight));
            } else {
                prop_assert_eq!((sequence.marks[0].target, sequence.marks[0].weight), (class, record.credit.weight));
            }
        }
    }

    #[test]
    fn a_step_is_judged_at_its_end_if_it_has_a_label(
        records in records(),
        kind in proptest::sample::select(vec![StepLoss::Bce, StepLoss::Mse, StepLoss::Huber, StepLoss::Classes]),
    ) {
        let labelled = |record: &Trajectory| -> Vec<(usize, Option<f32>, Option<u32>)> {
            let spans = record.credit.spans.iter();
            let of = |s: &Span| (record.prompt_tokens.len() + s.end as usize - 1, s.value, s.class);
            spans.map(of).filter(|(_, value, class)| if kind == StepLoss::Classes { class.is_some() } else { value.is_some() }).collect()
        };
        let used = |r: &Trajectory| weighs(r) && !labelled(r).is_empty();
        let Some(data) = dataset(&records, &pointwise(Pointwise::Steps(kind)), used) else { return Ok(()) };
        for item in items(&data) {
            let (record, marks) = (&records[item.rows[0] as usize], &item.sequences[0].marks);
            let wanted = labelled(record);
            prop_assert_eq!(marks.len(), wanted.len());
            for (mark, (at, value, class)) in marks.iter().zip(wanted) {
                prop_assert_eq!(mark.position as usize, at);
                if kind == StepLoss::Classes {
                    prop_assert_eq!(mark.target, class.unwrap());
                } else {
                    prop_assert_eq!(mark.value, value.unwrap());
                }
                prop_assert_eq!(mark.weight, record.credit.weight);
            }
            prop_assert!(near(item.share, f64::from(record.credit.weight) * marks.len() as f64));
        }
    }

    #[test]
    fn an_action_is_logged_before_its_first_token_with_its_reward_and_return(records in records(), gamma in 0.0..=1.0f64) {
        let actions = |record: &Trajectory| -> Vec<Span> {
            record.credit.spans.iter().filter(|s| s.class.is_some()).copied().collect()
        };
        let rewards = |record: &Trajectory| -> Option<Vec<f64>> {
            let taken = actions(record);
            if taken.iter().any(|s| s.value.is_some()) {
                return Some(taken.iter().map(|s| f64::from(s.value.unwrap_or(0.0))).collect());
            }
            let mut rewards = vec![0.0; taken.len()];
            *rewards.last_mut()? = record.reward()?;
            Some(rewards)
        };
        let train = train(Loss::TdConservative(TdConservative { gamma, alpha: 1.0, calibrated: true, target_rate: 0.0 }));
        let used = |r: &Trajectory| weighs(r) && rewards(r).is_some_and(|rewards| !rewards.is_empty());
        let Some(data) = dataset(&records, &train, used) else { return Ok(()) };
        for item in items(&data) {
            let (record, marks) = (&records[item.rows[0] as usize], &item.sequences[0].marks);
            let (taken, rewards) = (actions(record), rewards(record).unwrap());
            prop_assert_eq!(marks.len(), taken.len());
            for (i, (mark, action)) in marks.iter().zip(&taken).enumerate() {
                prop_assert_eq!(mark.position as usize + 1, record.prompt_tokens.len() + action.start as usize);
                prop_assert_eq!(mark.target, action.class.unwrap());
                prop_assert!(near(f64::from(mark.value), rewards[i]));
                let following: f64 = rewards[i..].iter().enumerate().map(|(k, r)| gamma.powi(k as i32) * r).sum();
                prop_assert!(near(f64::from(mark.extra), following));
            }
            prop_assert!(near(item.share, f64::from(record.credit.weight) * marks.len() as f64));
        }
    }

    #[test]
    fn views_are_the_ends_of_prompt_and_completion_and_never_stand_alone(
        records in records(), batch in 1..6u32, micro_batch in 1..4usize,
    ) {
        let train = Train { batch, ..train(Loss::ContrastiveMi(ContrastiveMi { temperature: 0.1, symmetric: false })) };
        let count = records.iter().filter(|r| weighs(r)).count();
        if count < 2 {
            let refused = Dataset::new(&records, &train, limits(), Seed(5));
            let rightly = matches!(refused, Err(DataError::Empty { .. } | DataError::Weightless));
            prop_assert!(rightly);
            return Ok(());
        }
        let data = dataset(&records, &train, weighs).unwrap();
        for item in items(&data) {
            let (record, sequence) = (&records[item.rows[0] as usize], &item.sequences[0]);
            let positions: Vec<usize> = sequence.marks.iter().map(|mark| mark.position as usize).collect();
            prop_assert_eq!(positions, [record.prompt_tokens.len() - 1, end(record)]);
            prop_assert_eq!(sequence.weight, record.credit.weight);
        }
        for batch in data.batches(0) {
            prop_assert!(batch.len() >= 2);
            let micro = batch::micro_batches(&batch, micro_batch, data.least());
            prop_assert!(micro.iter().all(|micro| micro.lengths.len() >= 2));
        }
    }
}
