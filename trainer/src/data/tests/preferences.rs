//! Pairs and judgements: who is compared with whom, by how much it counts, and what is read.

use std::collections::BTreeMap;

use galapagos_domain::recipe::train::{BtPair, Cpl, Dpo, DpoForm, Kto};
use proptest::prelude::*;

use super::*;

fn dpo() -> Loss {
    Loss::Dpo(Dpo { beta: 0.1, form: DpoForm::Sigmoid, smoothing: 0.0 })
}

fn kto() -> Loss {
    Loss::Kto(Kto { beta: 0.1, desirable: 1.0, undesirable: 1.0 })
}

/// Name and side of a record: of its pair, or, where no record names one, of its task.
fn side_of(records: &[Trajectory], record: &Trajectory) -> Option<(String, bool)> {
    if records.iter().any(|r| r.credit.pair.is_some()) {
        return record.credit.pair.as_ref().map(|side| (side.pair.clone(), side.chosen));
    }
    record.reward().map(|reward| (record.task.clone(), reward >= 0.5))
}

/// Weight and margin of every pair of records.
fn wanted(records: &[Trajectory]) -> BTreeMap<(usize, usize), (f64, f64)> {
    let sides: Vec<_> = records.iter().map(|record| side_of(records, record)).collect();
    let count = |name: &str, chosen| sides.iter().flatten().filter(|s| s.0 == name && s.1 == chosen).count() as f64;
    let mut pairs = BTreeMap::new();
    for (i, better) in records.iter().enumerate() {
        for (j, worse) in records.iter().enumerate() {
            if let (Some((a, true)), Some((b, false))) = (&sides[i], &sides[j])
                && a == b
            {
                let mean = f64::from(better.credit.weight + worse.credit.weight) / 2.0;
                let margin = better.reward().unwrap_or(1.0) - worse.reward().unwrap_or(0.0);
                pairs.insert((i, j), (mean / (count(a, true) * count(a, false)), margin));
            }
        }
    }
    pairs
}

/// Number of the record that a sequence is of.
fn number(sequence: &Sequence) -> usize {
    place(*sequence.tokens.last().unwrap()).0
}

proptest! {
    #[test]
    fn every_pair_of_a_name_or_task_counts_once_and_each_name_as_much_as_another(
        mut records in records(), named: bool, loss in proptest::sample::select(vec![dpo(), Loss::BtPair(BtPair { margin: true })]),
    ) {
        if !named {
            records.iter_mut().for_each(|record| record.credit.pair = None);
        }
        let wanted = wanted(&records);
        let weigh = |record: &Trajectory| {
            let name = side_of(&records, record).map(|side| side.0);
            let of = |(i, _): &(usize, usize)| side_of(&records, &records[*i]).map(|side| side.0);
            wanted.iter().filter(|(pair, _)| of(pair) == name).map(|(_, (weight, _))| weight).sum::<f64>() > 0.0
        };
        let Some(data) = dataset(&records, &train(loss.clone()), weigh) else { return Ok(()) };
        let mut found = BTreeMap::new();
        for item in items(&data) {
            let numbers: Vec<usize> = item.sequences.iter().map(number).collect();
            let rows: Vec<usize> = item.rows.iter().map(|row| *row as usize).collect();
            prop_assert_eq!(&numbers, &rows);
            prop_assert!(near(item.share, item.pairs.iter().map(|pair| f64::from(pair.weight)).sum()));
            for pair in &item.pairs {
                let key = (numbers[pair.chosen as usize], numbers[pair.rejected as usize]);
                let twice = found.insert(key, (f64::from(pair.weight), f64::from(pair.margin)));
                prop_assert!(twice.is_none());
            }
            for sequence in &item.sequences {
                let record = &records[number(sequence)];
                let tokens = [&record.prompt_tokens[..], &record.completion_tokens].concat();
                prop_assert_eq!(&sequence.tokens, &tokens);
                let positions: Vec<usize> = sequence.marks.iter().map(|mark| mark.position as usize).collect();
                let before = |k: &usize| record.prompt_tokens.len() + k - 1;
                match loss {
                    Loss::BtPair(_) => prop_assert_eq!(positions, [tokens.len() - 1]),
                    _ => prop_assert_eq!(positions, learned(record).iter().map(before).collect::<Vec<_>>()),
                }
            }
        }
        let weightless: f64 = wanted.iter().filter(|(pair, _)| !found.contains_key(pair)).map(|(_, (weight, _))| weight).sum();
        prop_assert_eq!(weightless, 0.0, "pairs are missing");
        for (pair, (weight, margin)) in found {
            let (wanted_weight, wanted_margin) = wanted[&pair];
            prop_assert!(near(weight, wanted_weight) && near(margin, wanted_margin), "{pair:?}");
        }
    }

    #[test]
    fn segments_are_discounted_from_their_first_learned_token(records in records(), gamma in 0.1..=1.0f64) {
        let loss = Loss::Cpl(Cpl { alpha: 0.1, lambda: 0.5, gamma });
        let Ok(data) = Dataset::new(&records, &train(loss), limits(), Seed(5)) else { return Ok(()) };
        for sequence in items(&data).iter().flat_map(|item| &item.sequences) {
            for (k, mark) in sequence.marks.iter().enumerate() {
                prop_assert!(near(f64::from(mark.weight), gamma.powi(k as i32)));
            }
        }
    }

    #[test]
    fn a_judged_record_has_the_next_answer_of_another_task_beside_it(records in records()) {
        let says = |r: &Trajectory| r.credit.pair.as_ref().map(|side| side.chosen).or_else(|| r.reward().map(|reward| reward >= 0.5));
        let judged: Vec<&Trajectory> = records.iter().filter(|r| says(r).is_some()).collect();
        if !judged.is_empty() && judged.iter().all(|r| r.task == judged[0].task) {
            let error = Dataset::new(&records, &train(kto()), limits(), Seed(5)).unwrap_err().to_string();
            let named = format!("numbers/{} sample {}", judged[0].task, judged[0].sample);
            prop_assert!(error.contains("another task") || error.contains("other task"), "{error}");
            prop_assert!(error.contains(&named), "{error}");
            return Ok(());
        }
        let Some(data) = dataset(&records, &train(kto()), |r| weighs(r) && says(r).is_some()) else { return Ok(()) };
        for item in items(&data) {
            let own = &records[item.rows[0] as usize];
            let at = judged.iter().position(|r| r.sample == own.sample).unwrap();
            let after = judged[at..].iter().chain(&judged[..at]).find(|r| r.task != own.task).unwrap();
            prop_assert_eq!(item.sequences.len(), 2);
            for (sequence, answer) in item.sequences.iter().zip([own, *after]) {
                let tokens = [&own.prompt_tokens[..], &answer.completion_tokens].concat();
                prop_assert_eq!(&sequence.tokens, &tokens);
                let targets: Vec<_> = sequence.marks.iter().map(|mark| place(mark.target)).collect();
                let wanted: Vec<_> = learned(answer).into_iter().map(|k| (answer.sample as usize, k)).collect();
                prop_assert_eq!(targets, wanted);
                let follows = |mark: &Mark| sequence.tokens[mark.position as usize + 1] == mark.target;
                prop_assert!(sequence.marks.iter().all(|mark| mark.weight == 1.0 && follows(mark)));
            }
            let (weight, value) = (own.credit.weight, f32::from(u8::from(says(own).unwrap())));
            prop_assert_eq!((item.sequences[0].weight, item.sequences[0].value), (weight, value));
            prop_assert_eq!((item.sequences[1].weight, item.sequences[1].sampled_by_start), (0.0, false));
            prop_assert!(near(item.share, f64::from(weight)));
        }
    }
}

#[test]
fn an_answer_that_does_not_fit_behind_a_prompt_is_passed_over() {
    let records = [record(0, &[], (5, 2)), record(1, &[], (1, 6)), record(2, &[], (2, 1))];
    let short = Limits { positions: 7, ..limits() };
    let data = Dataset::new(&records, &train(kto()), short, Seed(5)).unwrap();
    let beside = |row: u32| items(&data).iter().find(|item| item.rows == [row]).map(|item| number(&item.sequences[1]));
    assert_eq!([beside(0), beside(1), beside(2)], [Some(2), Some(2), Some(0)]);
    let shorter = Limits { positions: 7, ..limits() };
    let error = Dataset::new(&records[..2], &train(kto()), shorter, Seed(5)).unwrap_err().to_string();
    assert!(error.contains("numbers/train/0 sample 0") && error.contains("fits"), "{error}");
}
