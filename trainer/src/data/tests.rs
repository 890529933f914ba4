//! Properties of the data path over random trajectory lists.

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::recipe::train::{On, Pointwise, Precision, Start};
use galapagos_domain::trajectory::{Outcome, Verdict};
use proptest::prelude::*;

use super::shard::{marks, micro_batches, slice};
use super::*;

const LIMITS: Limits = Limits { positions: 10_000, vocabulary: 1_000_000 };

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn train(loss: Loss) -> Train {
    Train {
        name: None,
        role: name("policy"),
        on: On::One(name("samples")),
        loss,
        start: Start::Continue,
        data_epochs: 2,
        lr: 1e-3,
        ranks: 1,
        batch: 4,
        micro_batch: 2,
        pack: 1,
        shots: true,
        warmup: 0.1,
        floor: 0.1,
        weight_decay: 0.0,
        clip: 1.0,
        precision: Precision::F32,
    }
}

/// A record with its number in its tokens: `[prefix..] [1000 + n; question] [2000 + n; completion]`.
fn trajectory(n: u32, prefix: &[u32], lengths: (usize, usize), outcome: Outcome) -> Trajectory {
    let mut prompt_tokens = prefix.to_vec();
    prompt_tokens.extend(vec![1000 + n; lengths.0]);
    Trajectory {
        job: JobId::new("e/g1/samples/0").unwrap(),
        task_set: name("numbers"),
        task: format!("train/{n}"),
        sample: 0,
        policy: Digest::of(b"policy"),
        prompt_tokens,
        prefix_len: prefix.len() as u32,
        completion_tokens: vec![2000 + n; lengths.1],
        log_probs: Vec::new(),
        completion: String::new(),
        verdict: Verdict { outcome, reason: String::new() },
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    proptest::sample::select(vec![Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Timeout, Outcome::Suspect])
}

/// Up to 40 trajectories with one of two prefixes each.
fn trajectories() -> impl Strategy<Value = Vec<Trajectory>> {
    let one = (0..2usize, 1..6usize, 1..6usize, outcome());
    proptest::collection::vec(one, 1..40).prop_map(|shapes| {
        let prefixes: [&[u32]; 2] = [&[7, 7, 7], &[8]];
        shapes
            .into_iter()
            .enumerate()
            .map(|(n, (prefix, q, c, outcome))| trajectory(n as u32, prefixes[prefix], (q, c), outcome))
            .collect()
    })
}

/// `(record number, position, target)` of every mark, found through the tokens.
fn learned(sequence: &Sequence) -> Vec<(u32, u32)> {
    sequence.marks.iter().map(|mark| (sequence.tokens[mark.position + 1] - 2000, mark.target)).collect()
}

proptest! {
    #[test]
    fn nll_learns_each_completion_token_of_each_record_once_a_data_epoch(
        trajectories in trajectories(), pack in 1..5u32, batch in 1..6u32, shots: bool, seed: u64,
    ) {
        let train = Train { pack, batch, shots, ..train(Loss::Nll) };
        let data = Dataset::new(&trajectories, &train, LIMITS).unwrap();
        let batches: Vec<_> = data.batches(Seed(seed)).collect();
        prop_assert_eq!(batches.len() as u64, data.steps());
        let half = batches.len() / 2;
        for epoch in [&batches[..half], &batches[half..]] {
            let mut seen: Vec<_> = epoch.iter().flatten().flat_map(learned).collect();
            seen.sort_unstable();
            let wanted: Vec<_> = trajectories.iter().enumerate()
                .flat_map(|(n, t)| vec![(n as u32, 2000 + n as u32); t.completion_tokens.len()]).collect();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn a_sequence_is_one_prefix_and_then_whole_records_that_share_it(
        trajectories in trajectories(), pack in 1..5u32, shots: bool, seed: u64,
    ) {
        let train = Train { pack, shots, ..train(Loss::Nll) };
        let data = Dataset::new(&trajectories, &train, LIMITS).unwrap();
        for sequence in data.batches(Seed(seed)).flatten() {
            let mut numbers: Vec<usize> = Vec::new();
            for (n, _) in learned(&sequence) {
                if numbers.last() != Some(&(n as usize)) {
                    numbers.push(n as usize);
                }
            }
            prop_assert!(numbers.len() <= pack as usize);
            let first = &trajectories[numbers[0]];
            let prefix = &first.prompt_tokens[..first.prefix_len as usize];
            let mut wanted = if shots { prefix.to_vec() } else { Vec::new() };
            for n in numbers {
                let t = &trajectories[n];
                prop_assert!(!shots || &t.prompt_tokens[..t.prefix_len as usize] == prefix);
                wanted.extend(&t.prompt_tokens[t.prefix_len as usize..]);
                wanted.extend(&t.completion_tokens);
            }
            prop_assert_eq!(&sequence.tokens, &wanted);
        }
    }

    #[test]
    fn pointwise_reads_the_last_token_and_counts_what_it_cannot_use(trajectories in trajectories(), seed: u64) {
        let train = train(Loss::Pointwise(Pointwise::Bce));
        let usable = |t: &&Trajectory| matches!(t.verdict.outcome, Outcome::Pass | Outcome::Fail);
        let wanted = trajectories.iter().filter(usable).count();
        let data = match Dataset::new(&trajectories, &train, LIMITS) {
            Ok(data) => data,
            Err(error) => {
                prop_assert_eq!(wanted, 0);
                prop_assert_eq!(error, DataError::Empty { records_in: trajectories.len(), loss: train.loss });
                return Ok(());
            }
        };
        prop_assert_eq!(data.left_out() as usize, trajectories.len() - wanted);
        let sequences: Vec<_> = data.batches(Seed(seed)).flatten().collect();
        prop_assert_eq!(sequences.len(), 2 * wanted);
        for sequence in sequences {
            prop_assert_eq!(sequence.marks.len(), 1);
            prop_assert_eq!(sequence.marks[0].position, sequence.tokens.len() - 1);
            let number = sequence.tokens[sequence.tokens.len() - 1] - 2000;
            let pass = trajectories[number as usize].verdict.outcome == Outcome::Pass;
            prop_assert_eq!(sequence.marks[0].target, u32::from(pass));
        }
    }

    #[test]
    fn ranks_share_each_batch_exactly(trajectories in trajectories(), world in 1..7u32, size in 1..4usize, seed: u64) {
        let data = Dataset::new(&trajectories, &train(Loss::Nll), LIMITS).unwrap();
        for batch in data.batches(Seed(seed)) {
            let parts: Vec<_> = (0..world).map(|rank| slice(&batch, rank, world)).collect();
            prop_assert_eq!(parts.concat(), batch.clone());
            let sizes: Vec<_> = parts.iter().map(|part| part.len()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let mut read = 0;
            for (part, micro) in parts.iter().flat_map(|part| part.chunks(size).zip(micro_batches(part, size))) {
                prop_assert_eq!(micro.tokens.len(), micro.rows * micro.width);
                prop_assert_eq!(micro.rows, part.len());
                for (row, sequence) in part.iter().enumerate() {
                    let line = &micro.tokens[row * micro.width..(row + 1) * micro.width];
                    prop_assert!(line.iter().zip(&sequence.tokens).all(|(a, b)| *a == i64::from(*b)));
                    prop_assert!(line[sequence.tokens.len()..].iter().all(|token| *token == 0));
                }
                for (position, target) in micro.positions.iter().zip(&micro.targets) {
                    prop_assert_eq!(micro.tokens[*position as usize + 1], *target);
                    read += 1;
                }
            }
            prop_assert_eq!(read, marks(&batch));
        }
    }
}

#[test]
fn the_order_follows_the_seed_and_differs_between_data_epochs() {
    let many: Vec<_> = (0..50).map(|n| trajectory(n, &[], (2, 2), Outcome::Pass)).collect();
    let data = Dataset::new(&many, &train(Loss::Nll), LIMITS).unwrap();
    let order = |seed| data.batches(Seed(seed)).flatten().map(|s| s.tokens[0]).collect::<Vec<_>>();
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert_ne!(order(1)[..50], order(1)[50..]);
}

#[test]
fn what_cannot_be_trained_on_is_refused_by_name() {
    let good = || trajectory(3, &[7], (2, 2), Outcome::Pass);
    let refused = |t: Trajectory, train: &Train, limits| Dataset::new(&[t], train, limits).unwrap_err();
    let nll = train(Loss::Nll);
    let bce = train(Loss::Pointwise(Pointwise::Bce));

    let blank = Trajectory { completion_tokens: Vec::new(), ..good() };
    assert!(matches!(refused(blank, &nll, LIMITS), DataError::Blank { what: "completion tokens", .. }));
    let prefix = Trajectory { prefix_len: 9, ..good() };
    assert!(matches!(refused(prefix, &nll, LIMITS), DataError::Prefix { prefix: 9, prompt: 3, .. }));
    let small = Limits { vocabulary: 2003, ..LIMITS };
    let text = refused(good(), &nll, small).to_string();
    assert!(text.contains("numbers/train/3") && text.contains("2003") && text.contains("tokenizer"), "{text}");
    let short = Limits { positions: 4, ..LIMITS };
    assert_eq!(refused(good(), &nll, short), DataError::TooLong { pack: 1, tokens: 5, positions: 4 });
    assert!(Dataset::new(&[good()], &Train { shots: false, ..nll.clone() }, short).is_ok());

    let packed = Train { pack: 2, ..bce.clone() };
    assert_eq!(refused(good(), &packed, LIMITS), DataError::PointwisePack { pack: 2 });
    assert_eq!(refused(good(), &Train { batch: 0, ..nll }, LIMITS), DataError::Zero { field: "batch" });
    let text = Dataset::new(&[trajectory(1, &[], (1, 1), Outcome::Timeout)], &bce, LIMITS).unwrap_err().to_string();
    assert!(text.contains("none of the 1 records"), "{text}");
}
