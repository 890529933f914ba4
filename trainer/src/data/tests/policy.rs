//! Policy gradients and critics: every token's advantage or reward against a slow computation from the records.

use galapagos_domain::recipe::train::{
    Average, Baseline, Clip, Credit, Critic, CriticClass, PerTurn, PolicyGradient, Proximal, Scale, Surrogate,
    ValueLoss,
};
use proptest::prelude::*;

use super::*;

fn pg(baseline: Baseline, scale: Scale, average: Average) -> PolicyGradient {
    PolicyGradient {
        baseline,
        scale,
        average,
        surrogate: Surrogate::default(),
        credit: Credit::Whole,
        proximal: Proximal::Behaviour,
    }
}

fn critic() -> Baseline {
    Baseline::Critic(Critic { role: name("critic"), gamma: 1.0, lambda: 0.95 })
}

fn std(rewards: &[f64]) -> f64 {
    let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
    (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (rewards.len() as f64 - 1.0)).sqrt()
}

/// The advantage of each of `parts`, of which those with one key are compared.
fn advantages(parts: &[((String, usize), f64)], baseline: &Baseline, scale: Scale) -> Vec<f64> {
    let all: Vec<f64> = parts.iter().map(|part| part.1).collect();
    let one = |i: usize| {
        let (key, own) = &parts[i];
        let group: Vec<f64> = parts.iter().filter(|part| part.0 == *key).map(|part| part.1).collect();
        let others: Vec<f64> =
            parts.iter().enumerate().filter(|(j, part)| *j != i && part.0 == *key).map(|(_, part)| part.1).collect();
        let difference = match baseline {
            Baseline::Group => own - group.iter().sum::<f64>() / group.len() as f64,
            Baseline::LeaveOneOut if others.is_empty() => 0.0,
            Baseline::LeaveOneOut => own - others.iter().sum::<f64>() / others.len() as f64,
            Baseline::None | Baseline::Greedy | Baseline::Critic(_) => *own,
        };
        let deviation = match scale {
            Scale::None => return difference,
            Scale::GroupStd => std(&group),
            Scale::AllStd => std(&all),
        };
        // Of one reward, or of equal ones, there is none.
        if deviation.is_nan() || deviation < 1e-9 { 0.0 } else { difference / (deviation + 1e-6) }
    };
    (0..parts.len()).map(one).collect()
}

fn settings() -> impl Strategy<Value = (Baseline, Scale, Average)> {
    let baseline = proptest::sample::select(vec![Baseline::None, Baseline::Group, Baseline::LeaveOneOut]);
    let scale = proptest::sample::select(vec![Scale::None, Scale::GroupStd, Scale::AllStd]);
    (baseline, scale, proptest::sample::select(vec![Average::Token, Average::Sequence, Average::Constant(7)]))
}

/// Weight of each mark of a record of so many, and its share.
fn averaged(average: Average, weight: f64, marks: usize) -> (f64, f64) {
    match average {
        Average::Token => (weight, weight * marks as f64),
        Average::Sequence => (weight / marks as f64, weight),
        Average::Constant(tokens) => (weight, weight * f64::from(tokens)),
    }
}

fn judged(record: &Trajectory) -> bool {
    weighs(record) && record.reward().is_some()
}

fn task(record: &Trajectory, turn: usize) -> (String, usize) {
    (format!("{}/{}", record.task_set, record.task), turn)
}

#[test]
fn a_greedy_record_is_compared_with_and_not_learned_from() {
    let of = |n: u32, task: u32, reward: f32, greedy: bool| {
        let mut record = record(n, &[], (2, 3));
        record.task = format!("train/{task}");
        record.credit = galapagos_domain::trajectory::Credit {
            reward: Some(reward),
            spans: vec![Span { start: 0, end: 3, learn: true, value: None, class: Some(n) }],
            greedy,
            ..Default::default()
        };
        record
    };
    let records = [of(0, 0, 1.0, false), of(1, 0, -0.5, false), of(2, 0, 0.25, true), of(3, 1, 1.0, false)];
    let credit = Credit::CriticClass(CriticClass { role: name("critic") });
    let loss = Loss::Pg(PolicyGradient { credit, ..pg(Baseline::Greedy, Scale::None, Average::Token) });
    let data = Dataset::new(&records, &train(loss), limits(), Seed(1)).unwrap();
    assert_eq!((data.rows(), data.left_out()), (vec![0, 1], 2));
    let mut items: Vec<_> = data.batches(0).flatten().collect();
    items.sort_by_key(|item| item.rows[0]);
    items.dedup_by_key(|item| item.rows[0]);
    let marks: Vec<_> = items.iter().flat_map(|item| &item.sequences[0].marks).map(|m| (m.value, m.extra)).collect();
    assert_eq!(marks, [[(0.75, 0.0); 3], [(-0.75, 1.0); 3]].concat());
    let classless = Trajectory { credit: galapagos_domain::trajectory::Credit::default(), ..records[0].clone() };
    let loss = Loss::Pg(PolicyGradient {
        credit: Credit::CriticClass(CriticClass { role: name("critic") }),
        ..pg(Baseline::None, Scale::None, Average::Token)
    });
    let refused = Dataset::new(&[classless], &train(loss), limits(), Seed(1)).unwrap_err().to_string();
    assert!(refused.contains("has no class"), "{refused}");
}

proptest! {
    #[test]
    fn a_record_answers_for_its_reward_among_those_of_its_task(
        records in sampled(), (baseline, scale, average) in settings(), by_records: bool,
    ) {
        let clip = Clip { low: 0.1, high: 0.2, dual: None };
        let surrogate = if by_records { Surrogate::SequenceClip(clip) } else { Surrogate::Clip(clip) };
        let train = train(Loss::Pg(PolicyGradient { surrogate, ..pg(baseline.clone(), scale, average) }));
        let Some(data) = dataset(&records, &train, judged) else { return Ok(()) };
        // What weighs nothing is compared with all the same.
        let rewarded: Vec<&Trajectory> = records.iter().filter(|r| r.reward().is_some()).collect();
        let parts: Vec<_> = rewarded.iter().map(|r| (task(r, 0), r.reward().unwrap())).collect();
        let wanted = advantages(&parts, &baseline, scale);
        for item in items(&data) {
            let (sequence, record) = (&item.sequences[0], &records[item.rows[0] as usize]);
            let wanted = wanted[rewarded.iter().position(|r| r.sample == record.sample).unwrap()];
            let places: Vec<usize> = sequence.marks.iter().map(|mark| place(mark.target).1).collect();
            prop_assert_eq!(&places, &learned(record));
            let average = if by_records { Average::Sequence } else { average };
            let (weight, share) = averaged(average, f64::from(record.credit.weight), places.len());
            prop_assert!(near(item.share, share));
            prop_assert!(near(f64::from(sequence.value), wanted) && sequence.weight == record.credit.weight);
            for mark in &sequence.marks {
                prop_assert!(near(f64::from(mark.value), wanted), "{} and not {wanted}", mark.value);
                prop_assert!(near(f64::from(mark.weight), weight));
                prop_assert_eq!(mark.behaviour, record.log_probs[place(mark.target).1]);
            }
        }
    }

    #[test]
    fn a_turn_answers_for_its_own_and_later_rewards_among_the_same_turns(
        mut records in sampled(), (baseline, scale, average) in settings(), gamma in 0.0..=1.0f64,
    ) {
        for span in records.iter_mut().flat_map(|r| &mut r.credit.spans).filter(|s| s.learn) {
            span.value = Some(span.value.unwrap_or(0.6));
        }
        for record in &mut records {
            let end = record.completion_tokens.len() as u32;
            if record.credit.spans.is_empty() {
                record.credit.spans = vec![Span { start: 0, end, learn: true, value: Some(0.4), class: None }];
            }
        }
        let credit = Credit::PerTurn(PerTurn { gamma });
        let train = train(Loss::Pg(PolicyGradient { credit, ..pg(baseline.clone(), scale, average) }));
        let Some(data) = dataset(&records, &train, judged) else { return Ok(()) };
        let mut parts = Vec::new();
        let mut places = Vec::new();
        for record in records.iter().filter(|r| r.reward().is_some()) {
            let turns: Vec<&Span> = record.credit.spans.iter().filter(|s| s.learn).collect();
            for (turn, span) in turns.iter().enumerate() {
                let later = turns[turn..].iter().enumerate();
                let reward: f64 = later.map(|(k, s)| gamma.powi(k as i32) * f64::from(s.value.unwrap())).sum();
                parts.push((task(record, turn), reward));
                places.push((record.sample, span.start..span.end));
            }
        }
        let wanted = advantages(&parts, &baseline, scale);
        for item in items(&data) {
            for mark in &item.sequences[0].marks {
                let (n, k) = place(mark.target);
                let part = places.iter().position(|(of, range)| *of as usize == n && range.contains(&(k as u32)));
                let wanted = wanted[part.unwrap()];
                prop_assert!((f64::from(mark.value) - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{} {wanted}", mark.value);
            }
        }
    }

    #[test]
    fn rewards_stand_at_the_ends_of_what_earned_them(records in sampled(), value: bool) {
        let loss = if value {
            Loss::Value(ValueLoss { clip: None, gamma: 1.0, lambda: 0.95 })
        } else {
            Loss::Pg(pg(critic(), Scale::None, Average::Token))
        };
        let Some(data) = dataset(&records, &train(loss), judged) else { return Ok(()) };
        for item in items(&data) {
            let (sequence, record) = (&item.sequences[0], &records[item.rows[0] as usize]);
            let (learned, spans) = (learned(record), &record.credit.spans);
            let parts_say = spans.iter().any(|s| s.learn && s.value.is_some());
            prop_assert_eq!(sequence.marks.len(), learned.len());
            for (mark, k) in sequence.marks.iter().zip(&learned) {
                let ending = spans.iter().find(|s| s.learn && s.end as usize == k + 1).and_then(|s| s.value);
                let last = !parts_say && k == learned.last().unwrap();
                let wanted = if last { record.reward().unwrap() } else { f64::from(ending.unwrap_or(0.0)) };
                prop_assert!(near(f64::from(mark.value), wanted));
                prop_assert_eq!(place(mark.target), (record.sample as usize, *k));
                prop_assert_eq!(sequence.tokens[mark.position as usize + 1], mark.target);
            }
        }
    }
}
