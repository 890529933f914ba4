//! Random jobs and outputs.

use std::collections::BTreeMap;

use galapagos_domain::calibration::Calibration;
use galapagos_domain::ids::Name;
use galapagos_domain::job::{
    BoutSpec, Critic, CurateFrom, CurateSpec, EvaluateSpec, GrowSpec, JobKind, JobOutput, JobSpec, MeasureSpec, Moment,
    OperatorCount, Oracle, PairOutcome, ProposePart, ProposeSpec, RolloutSpec, Sifted, SweepSpec, TaskCurve,
    TaskOutcome,
};
use galapagos_domain::recipe::controller::{self, BalanceScore, Bounds, Range, RewardPass, Sweep};
use galapagos_domain::recipe::curate::{
    BalanceBy, Filter, Linearise, Measure, Mix, Operator, Pair, PairBy, PairFrom, Per, Subsample,
};
use galapagos_domain::recipe::evaluate::Metric;
use galapagos_domain::recipe::search::{
    Canaries, Evaluate, IdSampling, Mcts, Merge, Propose, Search, Spread, Trust, Unit,
};
use galapagos_domain::recipe::verify::{McRollout, Model, Squash, Verifier};
use galapagos_domain::recipe::{Head, Number, Shuffled};
use galapagos_domain::trajectory::{Agreed, Audit, Heard, Outcome, Scored, Tested, Trouble, VerdictCounts};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::strategies::{artifact, base, digest, id, number, sampling, seed, slice, text};

fn operator() -> BoxedStrategy<Operator> {
    let outcome = prop_oneof![
        Just(Outcome::Pass),
        Just(Outcome::Fail),
        Just(Outcome::Error),
        Just(Outcome::Timeout),
        Just(Outcome::Suspect)
    ];
    prop_oneof![
        outcome.prop_map(|verdict| Operator::Keep { verdict }),
        Just(Operator::Dedupe),
        any::<u32>().prop_map(|max| Operator::Cap { per: Per::Task, max }),
        Just(Operator::Balance(BalanceBy::Verdict)),
        (any::<u32>(), any::<bool>()).prop_map(|(n, complement)| {
            let by = complement.then_some(Measure::Length);
            Operator::Subsample(Subsample { n, by, complement })
        }),
        Just(Operator::Shuffle(Shuffled::Verdicts)),
        Just(Operator::Shuffle(Shuffled::Scores)),
        Just(Operator::Shuffle(Shuffled::Prompts)),
        number().prop_map(|bound| {
            let (above, below) = (Some(Number::Value(bound)), None);
            Operator::Filter(Filter { by: Measure::LastQ, above, at_least: None, below, at_most: None })
        }),
        (any::<u32>(), text()).prop_map(|(each_side, name)| {
            let (from, by) = (PairFrom::Siblings, Some(PairBy::Score(name)));
            Operator::Pair(Pair { from, by, each_side, margin: 0.5, step_margin: 0.5, above: None, edit_distance: 20 })
        }),
        (role_name(), number())
            .prop_map(|(name, ratio)| Operator::Mix(Mix { with: std::iter::once((name, ratio)).collect() })),
        text().prop_map(|text_back| Operator::Linearise(Linearise {
            dead_ends: 1,
            text_back,
            per_step: None,
            killed: true
        })),
    ]
    .boxed()
}

fn rollout() -> BoxedStrategy<JobKind> {
    let grown = vec(vec(artifact(), 0..3), 0..3);
    (digest(), slice(), search().prop_map(Box::new), vec(verifier(), 0..3), critics(), (trust(), grown))
        .prop_map(|(policy, tasks, search, verify, critics, (trust, grown))| {
            JobKind::Rollout(RolloutSpec { policy, tasks, search, verify, critics, trust, grown })
        })
        .boxed()
}

fn trust() -> BoxedStrategy<Trust> {
    let canaries = (number(), number(), any::<[u32; 2]>(), number())
        .prop_map(|(rate, right, [floor, window], tolerance)| Canaries { rate, right, floor, tolerance, window });
    (any::<u32>(), number(), option::of(canaries))
        .prop_map(|(retry, most_errors, canaries)| Trust { retry, most_errors, canaries })
        .boxed()
}

fn audit() -> BoxedStrategy<Box<Audit>> {
    let outcome = prop_oneof![Just(Outcome::Error), Just(Outcome::Timeout), Just(Outcome::Suspect)];
    let trouble = (text(), outcome, any::<u64>(), text()).prop_map(|(verifier, outcome, count, reason)| Trouble {
        verifier,
        outcome,
        count,
        reason,
    });
    let tested = (text(), any::<[u64; 8]>(), option::of(text())).prop_map(|(verifier, counts, reason)| {
        let [wrong, passed_wrong, right, failed_right, undecided, suspended, marked, misled] = counts;
        Tested { verifier, wrong, passed_wrong, right, failed_right, undecided, suspended, marked, misled, reason }
    });
    let scored = (text(), any::<u64>(), number(), number()).prop_map(|(verifier, count, sum, squares)| Scored {
        verifier,
        count,
        sum,
        squares,
    });
    let heard = (text(), any::<[u64; 5]>(), option::of(text())).prop_map(|(verifier, counts, reason)| {
        let [verdicts, error, timeout, suspect, retried] = counts;
        Heard { verifier, verdicts, error, timeout, suspect, retried, reason }
    });
    let agreed = (text(), text(), any::<[u64; 4]>()).prop_map(|(verifier, with, counts)| {
        let [right_passed, right_failed, wrong_passed, wrong_failed] = counts;
        Agreed { verifier, with, right_passed, right_failed, wrong_passed, wrong_failed }
    });
    let seen = (vec(trouble, 0..3), vec(tested, 0..3), vec(scored, 0..3));
    (any::<u64>(), seen, vec(agreed, 0..3), vec(heard, 0..3))
        .prop_map(|(retried, (troubles, tested, scored), agreed, evaluators)| {
            Box::new(Audit { retried, troubles, tested, scored, agreed, evaluators })
        })
        .boxed()
}

fn role_name() -> BoxedStrategy<Name> {
    prop_oneof![Just("critic"), Just("ppm")].prop_map(|name| Name::new(name).unwrap()).boxed()
}

fn verifier() -> BoxedStrategy<Verifier> {
    let squash = prop_oneof![Just(Squash::None), Just(Squash::Sigmoid)];
    let model = (role_name(), squash).prop_map(|(role, squash)| Model { role, squash, pass_at: None });
    let judged = (role_name(), option::of(number()))
        .prop_map(|(role, pass_at)| Box::new(Verifier::Orm(Model { role, squash: Squash::None, pass_at })));
    let mc = (any::<u32>(), number(), option::of(role_name()), option::of(judged)).prop_map(
        |(samples, temperature, role, by)| {
            Verifier::McRollout(McRollout { samples, temperature, max_tokens: None, role, by })
        },
    );
    prop_oneof![Just(Verifier::Rule), Just(Verifier::SelfLogProb), model.prop_map(Verifier::Prm), mc, opinion()].boxed()
}

/// Judges and symbolic rules, in every form that they have.
fn opinion() -> BoxedStrategy<Verifier> {
    let read = |text: &str| serde_json::from_str::<Verifier>(text).unwrap();
    let forms = [
        r#"{"rules": [{"id": "R1", "must": {"every_step": {"not": {"match": "a"}}}, "weight": 2.5}]}"#,
        r#"{"judge": {"ask": "{answer}", "role": "ppm", "chat": true, "mode": {"rationale": {"scale": [1, 10]}}}}"#,
        r#"{"judge_pair": {"ask": "{first} {second}", "calibrate": "none"}}"#,
        r#"{"principles": {"ask": "{principle} {answer}", "from": {"list": ["a", {"text": "b", "negate": true}]}}}"#,
        r#"{"first_error": {"by": {"judge": {"ask": "{step}"}}, "how": "bisect"}}"#,
    ];
    proptest::sample::select(forms.map(read).to_vec()).boxed()
}

fn calibration() -> BoxedStrategy<Calibration> {
    let side = || (0u32..100, 0u32..100).prop_map(|(hits, others)| (hits + others, hits));
    let figures = (option::of(number()), option::of(number()), option::of(number()), number(), any::<bool>());
    (text(), side(), side(), any::<u32>(), figures)
        .prop_map(|(verifier, (right, right_passed), (wrong, wrong_failed), undecided, figures)| {
            let (brier, ece, order_bias, at_least, trusted) = figures;
            Calibration {
                verifier,
                right,
                right_passed,
                wrong,
                wrong_failed,
                undecided,
                brier,
                ece,
                order_bias,
                at_least,
                trusted,
            }
        })
        .boxed()
}

fn critics() -> BoxedStrategy<BTreeMap<Name, Critic>> {
    let head = prop_oneof![Just(Head::Scalar), Just(Head::Classes(2))];
    let critic = (digest(), head, any::<bool>());
    let critic = critic.prop_map(|(checkpoint, head, shots)| Critic { checkpoint, head, shots });
    proptest::collection::btree_map(role_name(), critic, 0..3).boxed()
}

fn search() -> BoxedStrategy<Search> {
    let unit =
        prop_oneof![Just(Unit::Answer), Just(Unit::Line), Just(Unit::Step(";".to_owned())), Just(Unit::Tokens(4))];
    let merge = prop_oneof![Just(Merge::None), Just(Merge::EditDistance { below: 20, resample: 5 })];
    let propose = (any::<u32>(), number(), unit, merge)
        .prop_map(|(n, temperature, unit, merge)| Propose { unit, merge, ..Propose::answers(n, temperature) })
        .boxed();
    let spread = option::of((any::<u32>(), any::<u32>()).prop_map(|(jobs, waves)| Spread { jobs, waves }));
    let mcts = (propose.clone(), vec(verifier(), 1..3), spread).prop_map(|(propose, verifiers, spread)| {
        let fields = r#"{"propose": {"n": 1}, "budget": {"nodes": 9}}"#;
        let plain: Mcts = serde_json::from_str(fields).unwrap();
        let evaluate = verifiers.into_iter().map(Evaluate::terminal).collect();
        Search::Mcts(Mcts { propose, evaluate, spread, ..plain })
    });
    let deep = (propose.clone(), any::<u32>(), number(), ".*").prop_map(|(propose, most, factor, trigger)| {
        Search::IdSampling(IdSampling { propose, first: 1, factor, most, trigger })
    });
    prop_oneof![propose.prop_map(Search::SampleK), mcts, deep].boxed()
}

fn curate() -> BoxedStrategy<JobKind> {
    let from = prop_oneof![
        vec(artifact(), 0..3).prop_map(CurateFrom::Trajectories),
        (digest(), slice()).prop_map(|(base, tasks)| CurateFrom::Demonstrations { base, tasks: Box::new(tasks) }),
        (digest(), slice(), any::<u32>()).prop_map(|(base, tasks, seeds)| CurateFrom::Questions {
            base,
            tasks: Box::new(tasks),
            seeds
        }),
    ];
    let with = proptest::collection::btree_map(role_name(), vec(artifact(), 0..3), 0..3);
    (from, vec(operator(), 0..7), vec(artifact(), 0..3), option::of(digest()), (vec(slice(), 0..3), with, critics()))
        .prop_map(|(from, apply, trees, text, (tasks, with, critics))| {
            JobKind::Curate(CurateSpec { from, apply, trees, text, tasks, with, critics })
        })
        .boxed()
}

fn propose() -> BoxedStrategy<JobKind> {
    let part = prop_oneof![
        any::<[u32; 2]>().prop_map(|[from, to]| ProposePart::Write { from, to }),
        vec(artifact(), 0..3).prop_map(ProposePart::Gather),
    ];
    (digest(), role_name(), (slice(), vec(slice(), 0..3)), (any::<[u32; 2]>(), sampling(), text()), part)
        .prop_map(|(policy, set, (tasks, held_out), ([seeds, n], sampling, keys), part)| {
            JobKind::Propose(Box::new(ProposeSpec { policy, set, tasks, held_out, seeds, sampling, n, keys, part }))
        })
        .boxed()
}

fn bout() -> BoxedStrategy<JobKind> {
    (digest(), digest(), slice(), sampling())
        .prop_map(|(holder, challenger, tasks, sampling)| {
            JobKind::Bout(BoutSpec { holder, challenger, tasks, sampling })
        })
        .boxed()
}

fn evaluate() -> BoxedStrategy<JobKind> {
    (digest(), option::of(digest()), any::<bool>(), slice(), any::<u32>(), sampling())
        .prop_map(|(policy, critic, critic_shots, tasks, samples, sampling)| {
            JobKind::Evaluate(EvaluateSpec { policy, critic, critic_shots, tasks, samples, sampling })
        })
        .boxed()
}

fn grow() -> BoxedStrategy<JobKind> {
    (rollout(), any::<u32>())
        .prop_map(|(rollout, part)| match rollout {
            JobKind::Rollout(rollout) => JobKind::Grow(GrowSpec { rollout, part }),
            other => other,
        })
        .boxed()
}

fn measure() -> BoxedStrategy<JobKind> {
    let metric = prop_oneof![role_name().prop_map(Metric::Search), any::<u32>().prop_map(Metric::Rerank)];
    (rollout(), metric)
        .prop_map(|(rollout, metric)| match rollout {
            JobKind::Rollout(RolloutSpec { policy, tasks, search, critics, .. }) => {
                JobKind::Measure(MeasureSpec { policy, tasks, metric, search, critics })
            }
            other => other,
        })
        .boxed()
}

fn sweep() -> BoxedStrategy<JobKind> {
    let metric = prop_oneof![
        any::<u32>().prop_map(|n_star| controller::Metric::BalanceScore(BalanceScore { n_star })),
        any::<u32>().prop_map(|top| controller::Metric::RewardPass(RewardPass { top })),
        any::<u32>().prop_map(controller::Metric::PassAt),
        Just(controller::Metric::Random),
    ];
    let bounds = (role_name(), number()).prop_map(|(name, value)| {
        let (above, at_most) = (Some(Number::Variable(format!("${name}"))), Some(Number::Value(value)));
        Bounds { above, at_least: None, below: None, at_most }
    });
    let range = (number(), number(), number()).prop_map(|(from, to, step)| Range { from, to, step });
    let by = prop_oneof![Just(Measure::Reward), text().prop_map(Measure::Score)];
    let variables = (role_name(), number(), role_name(), range);
    (rollout(), metric, by, option::of(bounds), variables)
        .prop_map(|(rollout, metric, by, filter, (var, value, moved, range))| {
            let (vars, swept) = (BTreeMap::from([(var, value)]), BTreeMap::from([(moved, range)]));
            let sweep = Box::new(Sweep { metric, by, filter, vars, swept });
            match rollout {
                JobKind::Rollout(rollout) => JobKind::Sweep(SweepSpec { rollout, sweep }),
                other => other,
            }
        })
        .boxed()
}

fn curve() -> impl Strategy<Value = TaskCurve> {
    let moment = (any::<u64>(), any::<u32>(), any::<u32>());
    let moment = moment.prop_map(|(tokens, a, b)| Moment { tokens, answers: a.max(b), passes: a.min(b) });
    (any::<u32>(), vec(moment, 0..4)).prop_map(|(task, moments)| TaskCurve { task, moments })
}

pub fn job() -> BoxedStrategy<JobSpec> {
    let kind = prop_oneof![
        base().prop_map(JobKind::Base),
        rollout(),
        grow(),
        curate(),
        bout(),
        evaluate(),
        measure(),
        sweep(),
        propose()
    ];
    (id(), id(), seed(), any::<u64>(), kind)
        .prop_map(|(id, evolution, seed, time_limit_ms, kind)| JobSpec { id, evolution, seed, time_limit_ms, kind })
        .boxed()
}

fn counts() -> impl Strategy<Value = VerdictCounts> {
    any::<[u64; 5]>().prop_map(|[pass, fail, error, timeout, suspect]| VerdictCounts {
        pass,
        fail,
        error,
        timeout,
        suspect,
    })
}

fn task_outcome() -> impl Strategy<Value = TaskOutcome> {
    (any::<u32>(), any::<bool>(), any::<u32>(), option::of(any::<bool>()), option::of(any::<u64>())).prop_map(
        |(task, greedy_pass, samples, best_pass, half_pairs)| TaskOutcome {
            task,
            greedy_pass,
            samples,
            passes: samples / 2,
            best_pass,
            half_pairs,
        },
    )
}

pub fn output() -> BoxedStrategy<JobOutput> {
    let oracle = option::of(any::<[u64; 4]>().prop_map(|[passes_in, decided_in, passes_out, decided_out]| Oracle {
        passes_in,
        decided_in,
        passes_out,
        decided_out,
    }));
    let operators = (any::<[u64; 4]>(), oracle).prop_map(|([records_in, records_out, without, doubted], oracle)| {
        OperatorCount { operator: "filter".to_owned(), records_in, records_out, without, doubted, oracle }
    });
    let pair = (any::<u32>(), 0u8..=4).prop_map(|(task, half_points)| PairOutcome { task, half_points });
    prop_oneof![
        (digest(), digest(), text()).prop_map(|(checkpoint, weights, source)| JobOutput::Base {
            checkpoint,
            weights,
            source
        }),
        (artifact(), option::of(artifact()), counts(), (audit(), any::<u64>()), vec(calibration(), 0..3)).prop_map(
            |(trajectories, trees, counts, (audit, tokens), judges)| JobOutput::Rollout {
                trajectories,
                trees,
                counts,
                audit,
                tokens,
                judges
            }
        ),
        (artifact(), any::<u64>()).prop_map(|(trees, tokens)| JobOutput::Grow { trees, tokens }),
        (artifact(), vec(operators, 0..3)).prop_map(|(dataset, operators)| JobOutput::Curate { dataset, operators }),
        (vec(pair, 0..4), any::<u64>()).prop_map(|(pairs, tokens)| JobOutput::Bout { pairs, tokens }),
        (vec(task_outcome(), 0..4), any::<u64>()).prop_map(|(tasks, tokens)| JobOutput::Evaluate { tasks, tokens }),
        (vec(curve(), 0..4), any::<u64>()).prop_map(|(tasks, tokens)| JobOutput::Measure { tasks, tokens }),
        (vec(number(), 0..4), any::<u64>()).prop_map(|(sums, tokens)| JobOutput::Sweep { sums, tokens }),
        (artifact(), any::<[u64; 7]>(), option::of(text()), any::<u64>()).prop_map(
            |(questions, [tries, malformed, known, held_out, repeated, surplus, kept], example, tokens)| {
                let sifted = Sifted { tries, malformed, known, held_out, repeated, surplus, kept, example };
                JobOutput::Propose { questions, sifted, tokens }
            }
        ),
    ]
    .boxed()
}
