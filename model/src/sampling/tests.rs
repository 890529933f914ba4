//! Cut-offs, penalties, masks and frequencies of the sampler, against plain definitions.

use galapagos_kernels::Pool;
use proptest::prelude::*;

use super::*;

const ROW: [f32; 5] = [0.1, 0.3, 0.05, 0.3, 0.25];

fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln()).collect()
}

fn sampler(sampling: Sampling, seed: u64, prompt: &[u32]) -> Sampler {
    sampling.validate().unwrap();
    Sampler::new(Arc::new(sampling), (seed, 0), prompt)
}

/// The tokens the cut-offs leave, with their weights.
fn kept(sampling: &Sampling, row: &[f32]) -> Vec<(u32, f32)> {
    let mut scratch = Scratch::default();
    let max = vocabulary::scan(row, &mut scratch.maxima).max;
    let scale = Scale { max, inverse_temperature: sampling.inverse_temperature() };
    vocabulary::block_sums(row, scale, &mut scratch.sums);
    let kept = scratch.cut.kept(sampling, row, (&scratch.maxima, &scratch.sums), scale);
    kept.iter().map(|candidate| (candidate.token, candidate.weight)).collect()
}

fn tokens(sampling: &Sampling, row: &[f32]) -> Vec<u32> {
    kept(sampling, row).into_iter().map(|(token, _)| token).collect()
}

fn token(sampler: &Sampler, row: &[f32], allowed: Option<&TokenMask>) -> u32 {
    sampler.choose(row, allowed, 0, &mut Scratch::default()).unwrap().token
}

#[test]
fn cuts_keep_the_most_probable_and_prefer_lower_ids() {
    let cut = |top_k, top_p| tokens(&Sampling { top_p, top_k, ..Sampling::at(1.0) }, &logits(&ROW));
    assert_eq!(cut(Some(1), 1.0), [1]);
    assert_eq!(cut(Some(3), 1.0), [1, 3, 4]);
    assert_eq!(cut(None, 0.59), [1, 3]);
    assert_eq!(cut(None, 0.61), [1, 3, 4]);
    assert_eq!(cut(None, 1e-9), [1]);
    // top_p counts within what top_k left: 0.3 of 0.6 is half.
    assert_eq!(cut(Some(2), 0.49), [1]);
    assert_eq!(cut(Some(2), 0.51), [1, 3]);
    assert_eq!(cut(Some(9), 1.0), [0, 1, 2, 3, 4]);
    let min_p = |min_p| tokens(&Sampling { min_p, ..Sampling::at(1.0) }, &logits(&ROW));
    assert_eq!(min_p(0.8), [1, 3, 4]);
    assert_eq!(min_p(0.9), [1, 3]);
    assert_eq!(min_p(1.0), [1, 3]);
    assert_eq!(min_p(0.3), [0, 1, 3, 4]);
}

/// The definition, by sorting everything.
fn plainly_kept(sampling: &Sampling, row: &[f32]) -> Vec<u32> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = Scale { max, inverse_temperature: sampling.inverse_temperature() };
    let mut order: Vec<usize> = (0..row.len()).filter(|token| row[*token] > f32::NEG_INFINITY).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
    order.truncate(sampling.top_k.unwrap_or(row.len()));
    let total: f64 = order.iter().map(|token| f64::from(scale.weight(row[*token]))).sum();
    let mut before = 0.0;
    let mut kept = Vec::new();
    for token in order {
        let weight = f64::from(scale.weight(row[token]));
        if !kept.is_empty() && (sampling.top_p < 1.0 && before >= sampling.top_p * total) {
            break;
        }
        before += weight;
        if weight >= sampling.min_p {
            kept.push(token as u32);
        }
    }
    kept.sort_unstable();
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn cuts_agree_with_their_definition(
        row in prop::collection::vec(prop_oneof![9 => -12.0f32..12.0, 1 => Just(2.5f32)], 1..900),
        top_k in prop::option::of(1usize..1000),
        top_p in prop_oneof![Just(1.0), 0.01f64..1.0],
        min_p in prop_oneof![Just(0.0), 0.0f64..1.0],
        temperature in 0.2f64..3.0,
    ) {
        let sampling = Sampling { top_k, top_p, min_p, ..Sampling::at(temperature) };
        let mut allowed = row;
        allowed.push(f32::NEG_INFINITY);
        let (found, expected) = (tokens(&sampling, &allowed), plainly_kept(&sampling, &allowed));
        // Sums in another order may decide differently about one token at the very edge of top_p.
        prop_assert!(found == expected || found.len().abs_diff(expected.len()) == 1 && top_p < 1.0
            && edge(&sampling, &allowed), "{:?}\n{:?}", found, expected);
    }

    #[test]
    fn only_kept_and_allowed_tokens_come(
        row in prop::collection::vec(-4.0f32..4.0, 2..400),
        seed in any::<u64>(),
        top_k in prop::option::of(1usize..50),
        top_p in 0.05f64..1.0,
        stride in 1u32..5,
    ) {
        let allowed: TokenMask = (0..row.len() as u32).step_by(stride as usize).collect();
        let sampler = sampler(Sampling { top_k, top_p, ..Sampling::at(1.3) }, seed, &[]);
        let mut masked = row.clone();
        vocabulary::mask(&mut masked, allowed.words());
        let left = tokens(&sampler.sampling, &masked);
        let chosen = sampler.choose(&row, Some(&allowed), 3, &mut Scratch::default()).unwrap();
        prop_assert!(left.contains(&chosen.token) && allowed.allows(chosen.token));
        // The log-probability is the model's own.
        let normaliser: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
        let own = |token: u32| f64::from(row[token as usize]) - normaliser;
        prop_assert!((f64::from(chosen.log_prob) - own(chosen.token)).abs() < 1e-5);
        let mut order: Vec<u32> = (0..row.len() as u32).collect();
        order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
        order.truncate(3);
        prop_assert_eq!(chosen.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), order);
        prop_assert!(chosen.top.iter().all(|(token, log_prob)| (f64::from(*log_prob) - own(*token)).abs() < 1e-5));
    }

    #[test]
    fn rows_are_independent_of_the_batch(
        rows in prop::collection::vec(prop::collection::vec(-4.0f32..4.0, 300), 1..9),
        threads in 1usize..5,
    ) {
        let samplers: Vec<Sampler> = (0..rows.len())
            .map(|row| sampler(Sampling { top_p: 0.9, presence_penalty: 0.5, ..Sampling::at(0.8) }, row as u64, &[]))
            .collect();
        let choices: Vec<RowChoice<'_>> =
            samplers.iter().map(|sampler| RowChoice { sampler, allowed: None, top: 2 }).collect();
        let together = choose_rows(&Pool::new(threads), &rows.concat(), &choices, &mut Vec::new());
        let alone: Vec<_> =
            samplers.iter().zip(&rows).map(|(s, row)| s.choose(row, None, 2, &mut Scratch::default())).collect();
        prop_assert_eq!(together, alone);
    }
}

/// Whether some token's falling sum is within rounding of the bound of `top_p`.
fn edge(sampling: &Sampling, row: &[f32]) -> bool {
    let near = |factor: f64| {
        plainly_kept(&Sampling { top_p: (sampling.top_p * factor).min(1.0), ..sampling.clone() }, row).len()
    };
    near(1.0 - 1e-6) != near(1.0 + 1e-6)
}

#[test]
fn frequencies_follow_the_probabilities() {
    let mut sampler = sampler(Sampling::at(1.0), 7, &[]);
    let row = logits(&ROW);
    let mut counts = [0u32; 5];
    for _ in 0..20_000 {
        let token = token(&sampler, &row, None);
        counts[token as usize] += 1;
        sampler.push(token);
    }
    for (count, probability) in counts.iter().zip(ROW) {
        // Five standard deviations of a binomial at most.
        assert!((f64::from(*count) / 20_000.0 - f64::from(probability)).abs() < 0.017, "{counts:?}");
    }
}

#[test]
fn a_mask_renormalises_what_it_leaves() {
    let mut sampler = sampler(Sampling::at(1.0), 9, &[]);
    let allowed: TokenMask = [0, 1].into_iter().collect();
    let mut ones = 0;
    for _ in 0..20_000 {
        let token = token(&sampler, &logits(&ROW), Some(&allowed));
        assert!(token < 2);
        ones += token;
        sampler.push(token);
    }
    assert!((f64::from(ones) / 20_000.0 - 0.75).abs() < 0.016, "{ones}");
}

#[test]
fn greedy_takes_the_lowest_id_among_equals() {
    let mut row = vec![0.0f32; 700];
    (row[300], row[310], row[650]) = (1.5, 1.5, 1.5);
    assert_eq!(token(&sampler(Sampling::GREEDY, 0, &[]), &row, None), 300);
    let allowed: TokenMask = [5, 310, 650].into_iter().collect();
    assert_eq!(token(&sampler(Sampling::GREEDY, 0, &[]), &row, Some(&allowed)), 310);
}

#[test]
fn penalties_count_where_their_definition_says() {
    let row = [2.0, -1.0, 1.9, 0.0];
    let penalised = |sampling: Sampling, prompt: &[u32], completion: &[u32]| {
        let mut sampler = sampler(sampling, 0, prompt);
        completion.iter().for_each(|token| sampler.push(*token));
        let mut processed = Vec::new();
        sampler.process(&row, None, &mut processed).unwrap();
        processed
    };
    let plain = Sampling::GREEDY;
    let repetition = Sampling { repetition_penalty: 2.0, ..plain.clone() };
    assert_eq!(penalised(repetition, &[0, 0, 9], &[1, 1]), [1.0, -2.0, 1.9, 0.0]);
    let presence = Sampling { presence_penalty: 0.5, ..plain.clone() };
    assert_eq!(penalised(presence, &[0], &[2, 2, 1]), [2.0, -1.5, 1.4, 0.0]);
    let frequency = Sampling { frequency_penalty: 0.5, ..plain.clone() };
    assert_eq!(penalised(frequency, &[0], &[2, 2, 1]), [2.0, -1.5, 0.9, 0.0]);
    let bias = Sampling { logit_bias: [(3, 4.0), (77, 1.0)].into(), ..plain };
    assert_eq!(token(&sampler(bias, 0, &[]), &row, None), 3);
}

#[test]
fn what_is_no_number_is_an_error_and_never_token_0() {
    for (bad, setting) in [(f32::NAN, Sampling::GREEDY), (f32::INFINITY, Sampling::at(1.0))] {
        let mut row = vec![0.0; 200];
        row[150] = bad;
        let error = sampler(setting, 0, &[]).choose(&row, None, 0, &mut Scratch::default()).unwrap_err();
        assert!(matches!(error, ChooseError::NotFinite { token: 150, .. }), "{error}");
    }
    let nothing =
        sampler(Sampling::at(1.0), 0, &[]).choose(&[0.0; 9], Some(&TokenMask::default()), 0, &mut Scratch::default());
    assert_eq!(nothing, Err(ChooseError::NothingAllowed));
    let overflow = Sampling { logit_bias: [(1, f32::MAX)].into(), ..Sampling::GREEDY };
    let error = sampler(overflow, 0, &[]).choose(&[0.0, f32::MAX], None, 0, &mut Scratch::default()).unwrap_err();
    assert!(matches!(error, ChooseError::NotFinite { token: 1, .. }), "{error}");
}

#[test]
fn a_tiny_temperature_is_greedy() {
    let row = [0.3f32, 0.301, 0.2999];
    for temperature in [1e-9, 1e-40, f64::MIN_POSITIVE] {
        assert_eq!(token(&sampler(Sampling::at(temperature), 3, &[]), &row, None), 1);
        let cut = Sampling { top_p: 0.9, min_p: 0.1, top_k: Some(2), ..Sampling::at(temperature) };
        assert_eq!(token(&sampler(cut, 3, &[]), &row, None), 1);
    }
}

#[test]
fn invalid_settings_name_field_value_and_range() {
    let plain = Sampling::default;
    let cases = [
        (Sampling { temperature: -0.5, ..plain() }, "`temperature` is -0.5; it must be 0 or more"),
        (Sampling { temperature: f64::INFINITY, ..plain() }, "`temperature` is inf; it must be 0 or more"),
        (Sampling { top_p: 0.0, ..plain() }, "`top_p` is 0; it must be above 0 and at most 1"),
        (Sampling { top_p: f64::NAN, ..plain() }, "`top_p` is NaN; it must be above 0 and at most 1"),
        (Sampling { top_k: Some(0), ..plain() }, "`top_k` is 0; it must be at least 1"),
        (Sampling { min_p: 1.5, ..plain() }, "`min_p` is 1.5; it must be from 0 to 1"),
        (Sampling { repetition_penalty: 0.0, ..plain() }, "`repetition_penalty` is 0; it must be above 0"),
        (Sampling { presence_penalty: 3.0, ..plain() }, "`presence_penalty` is 3; it must be from -2 to 2"),
        (Sampling { frequency_penalty: -3.0, ..plain() }, "`frequency_penalty` is -3; it must be from -2 to 2"),
        (
            Sampling { logit_bias: [(5, f32::NAN)].into(), ..plain() },
            "`logit_bias of token 5` is NaN; it must be a finite number",
        ),
    ];
    for (sampling, expected) in cases {
        assert_eq!(sampling.validate().unwrap_err().to_string(), expected);
    }
}
