//! All metrics: names, labels, help. Counts of the state are taken at each scrape; only durations are kept here.
//!
//! | Name | Labels | Meaning |
//! |---|---|---|
//! | `galapagos_jobs` | `kind`, `state` | jobs |
//! | `galapagos_leases` | | attempts in force |
//! | `galapagos_retries` | | attempts and round tries that were lost or failed, ever |
//! | `galapagos_rounds` | `state` | rounds |
//! | `galapagos_round_tries_failed_total`, `..._lost_total` | | tries of rounds that failed, or lost a worker or a rank, ever |
//! | `galapagos_round_loss`, `..._grad_norm`, `..._lr`, `..._step`, `..._steps` | `evolution`, `role` | the latest step of a round under way |
//! | `galapagos_round_saved_step` | `evolution`, `role` | steps in its newest in-round checkpoint, if it has one |
//! | `galapagos_rank_tokens_per_second`, `..._memory_bytes` | `evolution`, `role`, `rank` | of a rank of a round under way |
//! | `galapagos_rank_step_seconds` | `evolution`, `role`, `rank`, `part` | where the time of its latest step went |
//! | `galapagos_workers` | `liveness` | workers; `present` ones are alive |
//! | `galapagos_apply_seconds` | | time to decide on one event |
//! | `galapagos_persist_seconds` | | time to make a turn's decisions durable |
//! | `galapagos_leader_epoch` | | the coordinator's term |
//! | `galapagos_build_info` | `version` | always 1 |

mod training;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use galapagos_domain::fence::LeaderEpoch;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::census::Census;
use training::TrainingGauges;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LivenessLabel {
    liveness: &'static str,
}

/// The registry and what feeds it.
pub(crate) struct Metrics {
    registry: Registry,
    apply: Histogram,
    persist: Histogram,
    /// One scrape at a time sets the gauges.
    census: Mutex<Gauges>,
}

#[derive(Default)]
struct Gauges {
    jobs: Family<JobLabels, Gauge>,
    rounds: Family<StateLabel, Gauge>,
    workers: Family<LivenessLabel, Gauge>,
    leases: Gauge,
    retries: Gauge,
    failed_tries: Counter,
    lost_tries: Counter,
    training: TrainingGauges,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Runs until observed; a timer that is dropped instead counts nothing.
#[must_use]
pub(crate) struct Timer {
    histogram: Histogram,
    since: Instant,
}

impl Timer {
    fn start(histogram: &Histogram) -> Self {
        Self { histogram: histogram.clone(), since: Instant::now() }
    }

    pub(crate) fn observe(self) {
        self.histogram.observe(self.since.elapsed().as_secs_f64());
    }
}

impl Metrics {
    pub(crate) fn new(term: LeaderEpoch) -> Self {
        let mut registry = Registry::with_prefix("galapagos");
        // 10 µs to some 40 s.
        let histogram = || Histogram::new(exponential_buckets(1e-5, 4.0, 12));
        let (apply, persist, census) = (histogram(), histogram(), Gauges::default());
        registry.register("apply_seconds", "Time to decide on one event", apply.clone());
        registry.register("persist_seconds", "Time to make a turn's decisions durable", persist.clone());
        registry.register("jobs", "Jobs", census.jobs.clone());
        registry.register("rounds", "Rounds", census.rounds.clone());
        registry.register("workers", "Workers", census.workers.clone());
        registry.register("leases", "Attempts in force", census.leases.clone());
        let retries = "Attempts and round tries that were lost or failed, ever";
        registry.register("retries", retries, census.retries.clone());
        let failed = "Tries of rounds that failed by a report, a stall or a disagreement";
        registry.register("round_tries_failed", failed, census.failed_tries.clone());
        let lost = "Tries of rounds that ended because a worker or a rank was lost";
        registry.register("round_tries_lost", lost, census.lost_tries.clone());
        census.training.register(&mut registry);
        let epoch: Gauge = Gauge::default();
        epoch.set(i64::try_from(term.0).unwrap_or(i64::MAX));
        registry.register("leader_epoch", "The coordinator's term", epoch);
        registry.register("build", "This program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, apply, persist, census: Mutex::new(census) }
    }

    pub(crate) fn apply_timer(&self) -> Timer {
        Timer::start(&self.apply)
    }

    pub(crate) fn persist_timer(&self) -> Timer {
        Timer::start(&self.persist)
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// If the text cannot be written, which a string never refuses.
    pub(crate) fn render(&self, census: &Census) -> Result<String, fmt::Error> {
        let gauges = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.set(census);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Gauges {
    fn set(&self, census: &Census) {
        self.jobs.clear();
        self.rounds.clear();
        self.workers.clear();
        for ((kind, state), count) in &census.jobs {
            self.jobs.get_or_create(&JobLabels { kind, state }).set(*count);
        }
        for (state, count) in &census.rounds {
            self.rounds.get_or_create(&StateLabel { state }).set(*count);
        }
        for (liveness, count) in &census.workers {
            self.workers.get_or_create(&LivenessLabel { liveness }).set(*count);
        }
        self.leases.set(census.leases);
        self.retries.set(census.retries);
        count_up(&self.failed_tries, census.failed_tries);
        count_up(&self.lost_tries, census.lost_tries);
        self.training.set(&census.training);
    }
}

/// The state never forgets a try, so the count only grows.
fn count_up(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use galapagos_domain::cluster::training::{RankView, TrainingView};
    use galapagos_domain::ids::{EvolutionId, Name, RoundId, WorkerId};
    use galapagos_domain::round::{RankProgress, StepTime};

    use super::*;

    fn training() -> TrainingView {
        let time = StepTime { forward_ms: 250, communication_ms: 40, ..StepTime::default() };
        let said =
            RankProgress { loss: 0.5, grad_norm: 1.25, lr: 3e-4, memory: 1_000, time, ..RankProgress::begin(12, 34) };
        let rank = |rank, tokens_per_second| RankView {
            rank,
            worker: WorkerId::new("w1").unwrap(),
            progress: RankProgress { memory: 1_000 + u64::from(rank), ..said },
            tokens_per_second,
        };
        TrainingView {
            round: RoundId::new("e-1/g1/candidate").unwrap(),
            evolution: EvolutionId::new("e-1").unwrap(),
            role: Name::new("policy").unwrap(),
            ranks: vec![rank(0, Some(412.5)), rank(1, None)],
            saved_step: Some(10),
        }
    }

    #[test]
    fn a_running_round_is_shown_rank_by_rank_and_gone_when_it_ended() {
        let metrics = Metrics::new(LeaderEpoch(1));
        let census = Census { training: vec![training()], failed_tries: 1, lost_tries: 2, ..Census::default() };
        let text = metrics.render(&census).unwrap();
        let round = r#"{evolution="e-1",role="policy"}"#;
        for (name, value) in [
            ("loss", "0.5"),
            ("grad_norm", "1.25"),
            ("lr", "0.0003"),
            ("step", "12"),
            ("steps", "34"),
            ("saved_step", "10"),
        ] {
            assert!(text.contains(&format!("galapagos_round_{name}{round} {value}\n")), "{name}: {text}");
        }
        let rank = r#"{evolution="e-1",role="policy",rank="0""#;
        assert!(text.contains(&format!("galapagos_rank_tokens_per_second{rank}}} 412.5\n")), "{text}");
        assert!(text.contains(&format!("galapagos_rank_step_seconds{rank},part=\"forward\"}} 0.25\n")), "{text}");
        assert!(text.contains(&format!("galapagos_rank_step_seconds{rank},part=\"communication\"}} 0.04\n")), "{text}");
        assert!(text.contains(r#"galapagos_rank_memory_bytes{evolution="e-1",role="policy",rank="1"} 1001"#), "{text}");
        let unknown = r#"galapagos_rank_tokens_per_second{evolution="e-1",role="policy",rank="1"}"#;
        assert!(!text.contains(unknown), "one report has no rate: {text}");
        assert!(text.contains("galapagos_round_tries_failed_total 1\n"), "{text}");

        let text = metrics.render(&Census { failed_tries: 1, lost_tries: 3, ..Census::default() }).unwrap();
        assert!(!text.contains("e-1"), "{text}");
        assert!(text.contains("galapagos_round_tries_failed_total 1\n"), "{text}");
        assert!(text.contains("galapagos_round_tries_lost_total 3\n"), "{text}");
    }

    #[test]
    fn a_scrape_shows_the_census_of_its_moment_only() {
        let metrics = Metrics::new(LeaderEpoch(4));
        let mut census = Census { leases: 1, ..Census::default() };
        census.jobs.insert(("rollout", "leased"), 1);
        let text = metrics.render(&census).unwrap();
        assert!(text.contains("galapagos_jobs{kind=\"rollout\",state=\"leased\"} 1\n"), "{text}");
        assert!(text.contains("galapagos_leases 1\n") && text.contains("galapagos_leader_epoch 4\n"), "{text}");
        assert!(text.contains(&format!("galapagos_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))));
        let text = metrics.render(&Census::default()).unwrap();
        assert!(!text.contains("leased") && text.contains("galapagos_leases 0\n"), "{text}");
    }

    #[test]
    fn only_observed_timers_count() {
        let metrics = Metrics::new(LeaderEpoch(1));
        metrics.apply_timer().observe();
        drop(metrics.apply_timer());
        let text = metrics.render(&Census::default()).unwrap();
        assert!(text.contains("galapagos_apply_seconds_count 1\n"), "{text}");
    }
}
