//! What cannot be trained on is refused, and the record at fault is named.

use galapagos_domain::image::Patch;
use galapagos_domain::recipe::train::{
    Average, Baseline, Clip, Component, Cpl, Credit as Credited, Critic, CriticClass, Dpo, DpoForm, Kl, KlForm,
    KlPlace, Masked, PerTurn, Pointwise, PolicyGradient, Proximal, Scale, StepLoss, Surrogate, TdConservative,
};

use super::*;

fn good() -> Trajectory {
    record(3, &[7], (2, 2))
}

fn refused(records: &[Trajectory], train: &Train, limits: Limits) -> String {
    Dataset::new(records, train, limits, Seed(5)).unwrap_err().to_string()
}

fn span(start: u32, end: u32) -> Span {
    Span { start, end, learn: true, value: None, class: None }
}

fn with(spans: Vec<Span>) -> Trajectory {
    Trajectory { credit: Credit { spans, ..Credit::default() }, ..good() }
}

fn pg(credit: Credited, surrogate: Surrogate) -> PolicyGradient {
    PolicyGradient {
        baseline: Baseline::None,
        scale: Scale::None,
        surrogate,
        credit,
        average: Average::Token,
        proximal: Proximal::Behaviour,
    }
}

#[test]
fn a_record_that_is_wrong_is_named_whatever_the_loss() {
    let wrong: Vec<(Trajectory, &str)> = vec![
        (Trajectory { completion_tokens: Vec::new(), log_probs: Vec::new(), ..good() }, "no completion tokens"),
        (Trajectory { prefix_len: 9, ..good() }, "its first 9 tokens are the shared prefix, but its prompt has 3"),
        (Trajectory { prefix_len: 3, ..good() }, "no question tokens"),
        (Trajectory { log_probs: vec![-1.0], ..good() }, "1 log-probabilities for 2 completion tokens"),
        (Trajectory { log_probs: vec![-1.0, f32::NAN], ..good() }, "log-probability NaN at completion token 1"),
        (Trajectory { log_probs: vec![0.5, -1.0], ..good() }, "log-probability 0.5 at completion token 0"),
        (Trajectory { credit: Credit { weight: -1.0, ..Credit::default() }, ..good() }, "the weight -1"),
        (Trajectory { credit: Credit { weight: f32::NAN, ..Credit::default() }, ..good() }, "the weight NaN"),
        (
            Trajectory { credit: Credit { reward: Some(f32::INFINITY), ..Credit::default() }, ..good() },
            "a reward that is no number",
        ),
        (with(vec![span(1, 1)]), "part 0 at tokens 1..1"),
        (with(vec![span(0, 3)]), "part 0 at tokens 0..3"),
        (with(vec![span(1, 2), span(0, 1)]), "part 1 at tokens 0..1"),
        (with(vec![Span { value: Some(f32::NAN), ..span(0, 2) }]), "a value of part 0 that is no number"),
        (with(vec![Span { learn: false, ..span(0, 2) }]), "no token that the policy answers for"),
        (Trajectory { completion_tokens: vec![1, 200_000], ..good() }, "token 200000"),
    ];
    let fine = record(4, &[7], (2, 2));
    for (record, told) in wrong {
        for at in 0..2 {
            let mut records = vec![fine.clone(), fine.clone()];
            records[at] = record.clone();
            let error = refused(&records, &train(Loss::Nll), limits());
            assert!(error.contains("numbers/train/3 sample 3") && error.contains(told), "{error}");
        }
    }
}

#[test]
fn a_record_that_a_loss_cannot_read_is_named() {
    let clip = Surrogate::default();
    let labelled = |value| with(vec![Span { value: Some(value), ..span(0, 2) }]);
    let classed = |class| with(vec![Span { class: Some(class), ..span(0, 2) }]);
    let rewarded = Trajectory { credit: Credit { reward: Some(1.5), ..Credit::default() }, ..good() };
    let td = Loss::TdConservative(TdConservative { gamma: 1.0, alpha: 1.0, calibrated: false, target_rate: 0.0 });
    let wrong = [
        (Trajectory { log_probs: Vec::new(), ..good() }, Loss::Pg(pg(Credited::Whole, clip)), "no log-probabilities"),
        (good(), Loss::Pg(pg(Credited::PerTurn(PerTurn { gamma: 1.0 }), clip)), "no reward of turn 0"),
        (rewarded, Loss::Pointwise(Pointwise::Bce), "label 1.5"),
        (labelled(-0.5), Loss::Pointwise(Pointwise::Steps(StepLoss::Bce)), "label -0.5 of step 0"),
        (classed(4), Loss::Pointwise(Pointwise::Classes), "class 4, but the head's classes are 0 to 3"),
        (classed(4), Loss::Pointwise(Pointwise::PooledClasses), "class 4"),
        (classed(4), Loss::Pointwise(Pointwise::Steps(StepLoss::Classes)), "class 4"),
        (classed(4), td, "class 4"),
    ];
    for (record, loss, told) in wrong {
        let error = refused(&[record], &train(loss), limits());
        assert!(error.contains("numbers/train/3 sample 3") && error.contains(told), "{error}");
    }
}

#[test]
fn images_are_for_models_that_read_them_and_never_predicted() {
    let patch = Patch { pixels: 7, ends_row: true }.code();
    let shown = record(1, &[patch, 3], (2, 2));
    let seeing = Limits { images: true, ..limits() };
    assert!(Dataset::new(std::slice::from_ref(&shown), &train(Loss::Nll), seeing, Seed(5)).is_ok());
    let error = refused(std::slice::from_ref(&shown), &train(Loss::Nll), limits());
    assert!(error.contains(&format!("token {patch},")), "{error}");
    let error = refused(std::slice::from_ref(&shown), &train(Loss::Component(Component::Next)), seeing);
    assert!(error.contains("shows an image") && error.contains("component"), "{error}");
    let mut written = shown;
    written.completion_tokens[0] = patch;
    assert!(refused(&[written], &train(Loss::Nll), seeing).contains(&format!("token {patch}")));
}

#[test]
fn what_a_model_or_a_batch_cannot_hold_is_refused() {
    let nll = train(Loss::Nll);
    let small = Limits { vocabulary: 1_000, ..limits() };
    let error = refused(&[good()], &nll, small);
    assert!(error.contains("numbers/train/3 sample 3") && error.contains("tokenizer"), "{error}");
    let short = Limits { positions: 4, ..limits() };
    let error = Dataset::new(&[good()], &nll, short, Seed(5)).unwrap_err();
    assert_eq!(error, DataError::TooLong { records: 1, tokens: 5, positions: 4 });
    assert!(Dataset::new(&[good()], &Train { shots: false, ..nll.clone() }, short, Seed(5)).is_ok());
    let packed = Train { pack: 3, ..nll.clone() };
    let many = [record(1, &[7], (2, 2)), record(2, &[7], (1, 1)), record(3, &[7], (1, 2)), record(4, &[8], (3, 3))];
    let error = Dataset::new(&many, &packed, Limits { positions: 9, ..limits() }, Seed(5)).unwrap_err();
    assert_eq!(error, DataError::TooLong { records: 3, tokens: 10, positions: 9 });
    assert!(Dataset::new(&many, &packed, Limits { positions: 10, ..limits() }, Seed(5)).is_ok());
    let weightless = Trajectory { credit: Credit { weight: 0.0, ..Credit::default() }, ..good() };
    assert_eq!(Dataset::new(&[weightless], &nll, limits(), Seed(5)).unwrap_err(), DataError::Weightless);
    let mut silent = good();
    silent.verdict.outcome = Outcome::Timeout;
    let error = refused(&[silent], &train(Loss::WeightedNll), limits());
    assert!(error.contains("none of the 1 records") && error.contains("passed or failed"), "{error}");
    assert!(refused(&[], &nll, limits()).contains("none of the 0 records"));
}

#[test]
fn settings_that_mean_nothing_together_are_refused() {
    let clip = Clip { low: 0.2, high: 0.2, dual: None };
    let (by_records, start) = (Surrogate::SequenceClip(clip), Proximal::Start { weight_cap: 5.0 });
    let turns = Credited::PerTurn(PerTurn { gamma: 1.0 });
    let classes = Credited::CriticClass(CriticClass { role: name("critic") });
    let critic = Baseline::Critic(Critic { role: name("critic"), gamma: 1.0, lambda: 1.0 });
    let plain = pg(Credited::Whole, by_records);
    let masked = |rate, token| train(Loss::Component(Component::Masked(Masked { rate, token })));
    let of = |pg| train(Loss::Pg(pg));
    let dpo = train(Loss::Dpo(Dpo { beta: 0.1, form: DpoForm::Sigmoid, smoothing: 0.0 }));
    let cpl = train(Loss::Cpl(Cpl { alpha: 0.1, lambda: 0.5, gamma: 1.0 }));
    let bce = train(Loss::Pointwise(Pointwise::Bce));
    let kl = Some(Kl { weight: 0.1, first_turn: None, form: KlForm::K3, place: KlPlace::Loss });
    let nll = train(Loss::Nll);
    let wrong = [
        (Train { batch: 0, ..nll.clone() }, "`batch` is 0"),
        (Train { micro_batch: 0, ..nll.clone() }, "`micro_batch` is 0"),
        (Train { data_epochs: 0, ..nll.clone() }, "`data_epochs` is 0"),
        (Train { pack: 0, ..nll }, "`pack` is 0"),
        (Train { pack: 2, ..bce.clone() }, "`pack` must be 1"),
        (Train { kl, ..dpo.clone() }, "`dpo` has no place for"),
        (Train { kl, ..bce }, "`pointwise` has no place for"),
        (Train { entropy: 0.1, ..dpo }, "`entropy`"),
        (Train { entropy: 0.1, ..cpl }, "`entropy`"),
        (masked(0.0, 3), "`rate` must be above 0"),
        (masked(f64::NAN, 3), "`rate` must be above 0"),
        (masked(0.5, 100_000), "token 100000"),
        (of(PolicyGradient { baseline: critic.clone(), ..plain.clone() }), "a critic's advantages are of tokens"),
        (of(PolicyGradient { credit: turns.clone(), ..plain.clone() }), "`per_turn`"),
        (of(PolicyGradient { credit: classes.clone(), ..plain.clone() }), "`critic_class`"),
        (of(PolicyGradient { baseline: Baseline::Greedy, ..pg(turns.clone(), Surrogate::Clip(clip)) }), "as a whole"),
        (of(PolicyGradient { baseline: critic.clone(), ..pg(classes, Surrogate::Clip(clip)) }), "has one critic"),
        (of(PolicyGradient { proximal: start, ..plain }), "`proximal: start`"),
        (of(PolicyGradient { proximal: start, ..pg(Credited::Whole, Surrogate::Reinforce) }), "takes no ratios"),
        (of(PolicyGradient { baseline: critic, ..pg(turns, Surrogate::Clip(clip)) }), "leave `credit` out"),
    ];
    for (train, told) in wrong {
        let error = refused(&[good(), record(4, &[7], (2, 2))], &train, limits());
        assert!(error.contains(told), "{error}");
    }
}
