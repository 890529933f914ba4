//! Arbitrary messages of a session: every variant of every message, every option both ways. Boxed, since the strategies of
//! nested messages are otherwise too large for a test's stack.

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::fence::{FencingToken, Incarnation, LeaderEpoch};
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::job::{FailureClass, JobFailure, Sampling, TaskSlice};
use galapagos_domain::recipe::guide::{Guide, Speculate};
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::recipe::train::{Dpo, DpoForm, Loss, On, Pointwise, Precision, Source, Start, Train};
use galapagos_domain::recipe::{Base, Characters, Head, Vision};
use galapagos_domain::round::{RankProgress, RankSpec, RoundSpec, Saved, StepTime, Vote};
use galapagos_domain::seed::Seed;
use galapagos_domain::session::{CoordinatorMessage, Registration, WorkerMessage};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::jobs::{job, output};
use crate::sources::source;

/// An id of any kind.
pub fn id<T: std::fmt::Debug + std::str::FromStr<Err: std::fmt::Debug>>() -> impl Strategy<Value = T> {
    (0u32..1000, 0u32..9).prop_map(|(a, b)| format!("tiny-{a}/g{b}/x_{b}.y").parse().unwrap())
}

pub fn digest() -> impl Strategy<Value = Digest> {
    any::<u64>().prop_map(|n| Digest::of(&n.to_le_bytes()))
}

fn token() -> impl Strategy<Value = FencingToken> {
    (1..u64::MAX).prop_map(FencingToken)
}

pub fn seed() -> impl Strategy<Value = Seed> {
    any::<u64>().prop_map(Seed)
}

/// Numbers with long decimals, so that a lossy path through JSON shows.
pub fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(0.1), 0.0..1.0f64, -1e300..1e300f64, Just(f64::MIN_POSITIVE)]
}

pub fn artifact() -> impl Strategy<Value = ArtifactRef> {
    (digest(), any::<u64>(), any::<u64>()).prop_map(|(digest, bytes, rows)| ArtifactRef { digest, bytes, rows })
}

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("cannot open `ü`: no space left".to_owned()), Just("a\nb".to_owned())]
}

pub fn slice() -> BoxedStrategy<TaskSlice> {
    let split = prop_oneof![Just(Split::Train), Just(Split::Val), Just(Split::Test), Just(Split::Demonstrations)];
    (id(), source(artifact().boxed()), split, vec(any::<u32>(), 0..5), (seed(), proptest::option::of(artifact())))
        .prop_map(|(set, source, split, indices, (seed, proposed))| TaskSlice {
            set,
            source,
            split,
            indices,
            seed,
            proposed,
        })
        .boxed()
}

pub fn sampling() -> BoxedStrategy<Sampling> {
    let speculate = prop_oneof![Just(Speculate::Off), Just(Speculate::Lookup)];
    let limits = (option::of(any::<u32>()), option::of(any::<u32>()));
    (number(), number(), limits, number(), number(), option::of(guide()), speculate)
        .prop_map(|(temperature, top_p, (max_tokens, top_k), min_p, repetition_penalty, guide, speculate)| Sampling {
            temperature,
            top_p,
            max_tokens,
            top_k,
            min_p,
            repetition_penalty,
            guide,
            speculate,
        })
        .boxed()
}

fn guide() -> BoxedStrategy<Guide> {
    let text = || prop_oneof![Just("start: \"a\" | /\\n+/\n".to_owned()), "[ -~]{1,9}"];
    let schema = (any::<i64>(), number()).prop_map(|(least, factor)| {
        let schema = serde_json::json!({
            "type": "object", "required": ["z", "a"],
            "properties": {"z": {"$ref": "#/$defs/whole"}, "a": {"multipleOf": factor}},
            "$defs": {"whole": {"type": "integer", "minimum": least, "enum": [null, true]}},
        });
        Guide::JsonSchema(schema.as_object().unwrap().clone())
    });
    prop_oneof![
        text().prop_map(Guide::Regex),
        schema,
        text().prop_map(Guide::Lark),
        vec(text(), 0..4).prop_map(Guide::Choice),
    ]
    .boxed()
}

pub fn base() -> BoxedStrategy<Base> {
    prop_oneof![
        text().prop_map(Base::Model),
        (text(), any::<u32>()).prop_map(|(alphabet, n)| Base::Characters(Characters {
            alphabet,
            layers: n,
            hidden: n / 2,
            heads: n / 3,
            ffn: n / 4,
            context: n / 5,
            vision: n.is_multiple_of(2).then_some(Vision { hidden: n / 7, layers: n / 11 }),
        })),
    ]
    .boxed()
}

fn failure() -> impl Strategy<Value = JobFailure> {
    let class = prop_oneof![Just(FailureClass::Invalid), Just(FailureClass::Transient), Just(FailureClass::Lost)];
    (class, vec(text(), 0..3)).prop_map(|(class, chain)| JobFailure { class, chain })
}

fn on() -> impl Strategy<Value = On> {
    let source = prop_oneof![id().prop_map(Source::Latest), id().prop_map(|all: Name| Source::All { all })];
    prop_oneof![id().prop_map(On::One), vec(source, 1..3).prop_map(On::Many)]
}

fn train() -> BoxedStrategy<Train> {
    let dpo = (number(), number()).prop_map(|(beta, smoothing)| Dpo { beta, form: DpoForm::Ipo, smoothing });
    let loss = prop_oneof![Just(Loss::Nll), Just(Loss::Pointwise(Pointwise::Bce)), dpo.prop_map(Loss::Dpo)];
    let start = prop_oneof![Just(Start::Continue), Just(Start::Restart), Just(Start::Base)];
    let precision = prop_oneof![Just(Precision::Bf16), Just(Precision::F32)];
    let numbers = (number(), number(), number(), number(), number());
    (option::of(id()), id(), on(), loss, start, precision, any::<[u32; 5]>(), numbers, any::<bool>())
        .prop_map(|(name, role, on, loss, start, precision, counts, (lr, warmup, floor, weight_decay, clip), shots)| {
            let [data_epochs, ranks, batch, micro_batch, pack] = counts;
            let step = Train::new(role, Name::new("any").unwrap(), loss, lr);
            Train {
                name,
                on,
                start,
                data_epochs,
                ranks,
                batch,
                micro_batch,
                pack,
                shots,
                warmup,
                floor,
                weight_decay,
                clip,
                precision,
                ..step
            }
        })
        .boxed()
}

fn rank_spec() -> BoxedStrategy<RankSpec> {
    let head = prop_oneof![Just(Head::Lm), Just(Head::Scalar), (2..u32::MAX).prop_map(Head::Classes)];
    let named = (id(), id(), id(), head, digest());
    let models = (option::of(digest()), option::of(digest()), option::of(digest()), option::of(saved()));
    let data = (vec(artifact(), 0..3), vec(artifact(), 0..3));
    (named, models, data, train(), seed(), any::<u64>(), (token(), 0u32..8))
        .prop_map(|(named, models, (datasets, mix), train, seed, stall_limit_ms, (token, rank))| {
            let (id, evolution, role, head, start) = named;
            let (optimiser, reference, critic, resume) = models;
            let round = RoundSpec {
                id,
                evolution,
                role,
                head,
                start,
                optimiser,
                reference,
                critic,
                datasets,
                mix,
                train,
                seed,
                stall_limit_ms,
            };
            RankSpec { round, token, rank, world_size: 8, resume }
        })
        .boxed()
}

fn saved() -> impl Strategy<Value = Saved> {
    (any::<u64>(), digest()).prop_map(|(step, state)| Saved { step, state })
}

fn vote() -> BoxedStrategy<Vote> {
    let stored = (option::of(digest()), option::of(digest()), option::of(digest()));
    (digest(), stored, any::<u64>(), number(), any::<u64>(), any::<u64>(), option::of(number()))
        .prop_map(|(weights, stored, steps, final_loss, left_out, guarded, mismatch)| {
            let (checkpoint, optimiser, ledger) = stored;
            Vote { weights, checkpoint, steps, final_loss, left_out, optimiser, ledger, guarded, mismatch }
        })
        .boxed()
}

fn registration() -> BoxedStrategy<Registration> {
    (id(), any::<u64>(), any::<u32>(), 1..u32::MAX, vec(token(), 0..4))
        .prop_map(|(worker, boot_id, protocol_version, slots, held)| Registration {
            worker,
            boot_id,
            protocol_version,
            slots,
            device: "cpu".to_owned(),
            held,
        })
        .boxed()
}

fn rank_report() -> BoxedStrategy<WorkerMessage> {
    let time = any::<[u32; 5]>().prop_map(|[data_ms, forward_ms, backward_ms, communication_ms, optimiser_ms]| {
        StepTime { data_ms, forward_ms, backward_ms, communication_ms, optimiser_ms }
    });
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let guard = (any::<u64>(), option::of(number()));
    let progress = (counts, number(), number(), number(), time, option::of(saved()), guard).prop_map(
        |((step, steps, tokens, memory), loss, grad_norm, lr, time, saved, (guarded, mismatch))| RankProgress {
            step,
            steps,
            loss,
            grad_norm,
            tokens,
            lr,
            time,
            memory,
            saved,
            guarded,
            mismatch,
        },
    );
    let rendezvous = option::of(Just("127.0.0.1:4000".to_owned()));
    let of = || (id(), token(), any::<u32>());
    prop_oneof![
        (of(), rendezvous).prop_map(|((round, token, rank), rendezvous)| WorkerMessage::RankReady {
            round,
            token,
            rank,
            rendezvous
        }),
        (of(), progress).prop_map(|((round, token, rank), progress)| WorkerMessage::RankProgress {
            round,
            token,
            rank,
            progress
        }),
        (of(), vote()).prop_map(|((round, token, rank), vote)| WorkerMessage::RankVoted { round, token, rank, vote }),
        (of(), failure()).prop_map(|((round, token, rank), failure)| WorkerMessage::RankFailed {
            round,
            token,
            rank,
            failure
        }),
    ]
    .boxed()
}

/// Every message that a worker may send.
pub fn worker_message() -> BoxedStrategy<WorkerMessage> {
    prop_oneof![
        registration().prop_map(WorkerMessage::Register),
        Just(WorkerMessage::Heartbeat),
        (token(), any::<[u64; 3]>()).prop_map(|(token, [done, total, tokens])| WorkerMessage::JobProgress {
            token,
            done,
            total,
            tokens
        }),
        (token(), output()).prop_map(|(token, output)| WorkerMessage::JobDone { token, output }),
        (token(), failure()).prop_map(|(token, failure)| WorkerMessage::JobFailed { token, failure }),
        rank_report(),
    ]
    .boxed()
}

/// Every message that the coordinator may send.
pub fn coordinator_message() -> BoxedStrategy<CoordinatorMessage> {
    prop_oneof![
        any::<[u64; 3]>().prop_map(|[incarnation, epoch, heartbeat_ms]| CoordinatorMessage::Registered {
            incarnation: Incarnation(incarnation),
            leader_epoch: LeaderEpoch(epoch),
            heartbeat_ms
        }),
        (token(), 1..u32::MAX, job()).prop_map(|(token, attempt, job)| CoordinatorMessage::Lease {
            token,
            attempt,
            job: Box::new(job)
        }),
        (token(), text()).prop_map(|(token, reason)| CoordinatorMessage::Revoke { token, reason }),
        rank_spec().prop_map(|spec| CoordinatorMessage::PrepareRank(Box::new(spec))),
        (id(), token(), any::<u32>()).prop_map(|(round, token, rank)| CoordinatorMessage::StartRank {
            round,
            token,
            rank,
            rendezvous: "127.0.0.1:4000".to_owned()
        }),
        (id(), token(), text()).prop_map(|(round, token, reason)| CoordinatorMessage::KillRanks {
            round,
            token,
            reason
        }),
        (id(), option::of(any::<u64>())).prop_map(|(round, before)| CoordinatorMessage::DropStates { round, before }),
        (token(), option::of(any::<u32>())).prop_map(|(token, rank)| CoordinatorMessage::Acknowledge { token, rank }),
    ]
    .boxed()
}
