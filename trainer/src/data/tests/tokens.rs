//! Likelihoods: which tokens are learned, how often and with what factor, alone, packed and masked.

use std::collections::BTreeMap;

use galapagos_domain::recipe::train::{Component, Masked};
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn each_token_that_the_policy_answers_for_is_learned_once_a_data_epoch(
        records in records(), weighted: bool, pack in 1..5u32, batch in 1..6u32, shots: bool,
    ) {
        let loss = if weighted { Loss::WeightedNll } else { Loss::Nll };
        let train = Train { pack, batch, shots, ..train(loss) };
        let used = |r: &Trajectory| weighs(r) && (!weighted || r.reward().is_some());
        let Some(data) = dataset(&records, &train, used) else { return Ok(()) };
        let batches: Vec<Vec<Item>> = data.batches(0).collect();
        prop_assert_eq!(batches.len() as u64, data.steps());
        let wanted: Vec<(usize, usize)> = (0..).zip(&records).filter(|(_, r)| used(r))
            .flat_map(|(n, r)| learned(r).into_iter().map(move |k| (n, k))).collect();
        for epoch in batches.chunks(data.steps_of_epoch() as usize) {
            let mut seen = Vec::new();
            for sequence in epoch.iter().flatten().flat_map(|item| &item.sequences) {
                for mark in &sequence.marks {
                    let (n, k) = place(mark.target);
                    let record = &records[n];
                    prop_assert_eq!(sequence.tokens[mark.position as usize + 1], mark.target);
                    prop_assert_eq!(f64::from(mark.value), if weighted { record.reward().unwrap() } else { 1.0 });
                    prop_assert_eq!(mark.weight, record.credit.weight);
                    match record.log_probs.get(k) {
                        Some(log_prob) => prop_assert_eq!(mark.behaviour, *log_prob),
                        None => prop_assert!(mark.behaviour.is_nan()),
                    }
                    seen.push((n, k));
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(&seen, &wanted);
            let share: f64 = epoch.iter().flatten().map(|item| item.share).sum();
            let weights: f64 = wanted.iter().map(|(n, _)| f64::from(records[*n].credit.weight)).sum();
            prop_assert!(near(share, weights));
        }
    }

    #[test]
    fn a_sequence_is_one_prefix_and_then_whole_records_that_share_it(
        records in records(), pack in 1..5u32, shots: bool,
    ) {
        let train = Train { pack, shots, ..train(Loss::Nll) };
        let Some(data) = dataset(&records, &train, weighs) else { return Ok(()) };
        let mut unfilled: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        for item in items(&data) {
            prop_assert!(!item.rows.is_empty() && item.rows.len() <= pack as usize && item.pairs.is_empty());
            prop_assert_eq!(item.sequences.len(), 1);
            let prefix_of = |n: u32| {
                let record = &records[n as usize];
                if shots { record.prompt_tokens[..record.prefix_len as usize].to_vec() } else { Vec::new() }
            };
            let prefix = prefix_of(item.rows[0]);
            let mut wanted = prefix.clone();
            for n in &item.rows {
                let record = &records[*n as usize];
                prop_assert_eq!(&prefix_of(*n), &prefix);
                wanted.extend(&record.prompt_tokens[record.prefix_len as usize..]);
                wanted.extend(&record.completion_tokens);
            }
            prop_assert_eq!(&item.sequences[0].tokens, &wanted);
            let comparable = |n: &u32| {
                let record = &records[*n as usize];
                record.policy == Digest::of(START) && !record.log_probs.is_empty() && (shots || record.prefix_len == 0)
            };
            let alone = item.rows.len() == 1;
            prop_assert_eq!(item.sequences[0].sampled_by_start, alone && item.rows.iter().all(comparable));
            if item.rows.len() < pack as usize {
                *unfilled.entry(prefix).or_default() += 1;
            }
        }
        prop_assert!(unfilled.values().all(|count| *count == 1), "records are joined as far as they go");
    }

    #[test]
    fn every_token_but_the_first_is_a_component(records in records(), shots: bool) {
        let train = Train { shots, ..train(Loss::Component(Component::Next)) };
        let Some(data) = dataset(&records, &train, weighs) else { return Ok(()) };
        for item in items(&data) {
            let (record, sequence) = (&records[item.rows[0] as usize], &item.sequences[0]);
            let from = if shots { 0 } else { record.prefix_len as usize };
            let tokens = [&record.prompt_tokens[from..], &record.completion_tokens].concat();
            prop_assert_eq!(&sequence.tokens, &tokens);
            let found: Vec<(u32, u32)> = sequence.marks.iter().map(|mark| (mark.position, mark.target)).collect();
            let wanted: Vec<(u32, u32)> = (0..).zip(tokens[1..].iter().copied()).collect();
            prop_assert_eq!(found, wanted);
            prop_assert!(!sequence.sampled_by_start, "the prompt's log-probabilities are not known");
            prop_assert!(sequence.marks.iter().all(|mark| mark.weight == record.credit.weight && mark.value == 1.0));
            prop_assert!(near(item.share, f64::from(record.credit.weight) * (tokens.len() - 1) as f64));
        }
    }

    #[test]
    fn masked_tokens_are_predicted_where_they_stand(records in records(), rate in 0.01..1.0f64) {
        let token = 3;
        let train = train(Loss::Component(Component::Masked(Masked { rate, token })));
        let Some(data) = dataset(&records, &train, weighs) else { return Ok(()) };
        for item in items(&data) {
            let (record, sequence) = (&records[item.rows[0] as usize], &item.sequences[0]);
            let tokens = [&record.prompt_tokens[..], &record.completion_tokens].concat();
            let hidden: Vec<usize> = sequence.marks.iter().map(|mark| mark.position as usize).collect();
            prop_assert!(!hidden.is_empty() && hidden.windows(2).all(|pair| pair[0] < pair[1]));
            for (at, (found, own)) in sequence.tokens.iter().zip(&tokens).enumerate() {
                prop_assert_eq!(*found, if hidden.contains(&at) { token } else { *own });
            }
            prop_assert_eq!(sequence.tokens.len(), tokens.len());
            prop_assert!(sequence.marks.iter().all(|mark| mark.target == tokens[mark.position as usize]));
            prop_assert!(near(item.share, f64::from(record.credit.weight) * hidden.len() as f64));
        }
    }
}

#[test]
fn about_the_asked_part_is_masked_and_other_records_have_other_masks() {
    let many: Vec<Trajectory> = (0..200).map(|n| record(n, &[7; 30], (30, 40))).collect();
    let train = train(Loss::Component(Component::Masked(Masked { rate: 0.15, token: 3 })));
    let data = Dataset::new(&many, &train, limits(), Seed(5)).unwrap();
    let marks: Vec<Vec<u32>> =
        items(&data).iter().map(|i| i.sequences[0].marks.iter().map(|m| m.position).collect()).collect();
    let rate = marks.iter().map(Vec::len).sum::<usize>() as f64 / (200.0 * 100.0);
    assert!((rate - 0.15).abs() < 0.01, "{rate}");
    assert!(marks.windows(2).filter(|pair| pair[0] == pair[1]).count() < 3);
    let all = Train { loss: Loss::Component(Component::Masked(Masked { rate: 1.0, token: 3 })), ..train };
    let data = Dataset::new(&many[..1], &all, limits(), Seed(5)).unwrap();
    assert_eq!(items(&data)[0].sequences[0].tokens, [3; 100]);
}
