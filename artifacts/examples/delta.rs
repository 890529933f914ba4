//! What a delta saves and costs: `cargo run --release -p galapagos-artifacts --example delta -- PARENT CHILD SCRATCH [ROUNDS]`.
//!
//! PARENT and CHILD are checkpoint folders; SCRATCH is on the file system to be measured. Stores the child whole and as a delta,
//! in turns, each time in a new store that has the parent, and opens it in a new cache that has the parent. Prints medians.
#![expect(clippy::unwrap_used, reason = "a measurement that is run by hand")]

use std::path::{Path, PathBuf};

use galapagos_artifacts::{ArtifactStore, checkpoint, checks, delta};
use galapagos_domain::ids::Digest;
use galapagos_telemetry::clock::monotonic_ns;

/// Seconds of one step: all, hashing on its own thread, and waiting for it.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    hashing: f64,
    waited: f64,
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    // What earlier steps left to be written is not this step's.
    rustix::fs::sync();
    let (before, from) = (checks(), monotonic_ns());
    let done = work();
    let seconds = (monotonic_ns() - from) as f64 / 1e9;
    let after = checks();
    let hashing = (after.hashing - before.hashing).as_secs_f64();
    (done, Cost { seconds, hashing, waited: (after.waited - before.waited).as_secs_f64() })
}

struct Bench {
    parent: PathBuf,
    child: PathBuf,
    scratch: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// One round: the steps in the order they are printed.
struct Round {
    steps: Vec<(&'static str, Cost)>,
    whole_bytes: u64,
    delta_bytes: u64,
}

impl Bench {
    fn round(&self) -> Round {
        let mut steps = Vec::new();
        let weights = Digest::of(b"measured");
        let mut names = Vec::new();
        let mut sizes = (0, 0);
        for form in ["whole", "delta"] {
            let at = tempfile::tempdir_in(&self.scratch).unwrap();
            let store = ArtifactStore::open(at.path().join("store").to_str().unwrap()).unwrap();
            let (cache, copies) = (at.path().join("cache"), at.path().join("copies"));
            let parent = self.run(checkpoint::upload(&store, &self.parent, Digest::of(b"parent")));
            self.run(checkpoint::open(&store, &parent, &cache));
            let name = if form == "whole" {
                let (name, cost) = timed(|| self.run(checkpoint::upload(&store, &self.child, weights)));
                steps.push(("store whole", cost));
                name
            } else {
                let (base, child) = (self.parent.join("model.safetensors"), self.child.join("model.safetensors"));
                let (_, cost) = timed(|| delta::encode(&child, &base, u64::MAX, |_| Ok(())).unwrap());
                steps.push(("encode alone", cost));
                let near = checkpoint::upload_child(&store, &self.child, weights, &parent, &cache);
                let (stored, cost) = timed(|| self.run(near));
                steps.push(("store as delta", cost));
                sizes = (stored.whole_bytes, stored.stored_bytes);
                stored.checkpoint
            };
            let (_, cost) = timed(|| self.run(checkpoint::open(&store, &name, &cache)));
            steps.push((if form == "whole" { "open whole, shared" } else { "open delta" }, cost));
            if form == "whole" {
                let files = self.run(checkpoint::manifest(&store, &name)).files;
                std::fs::create_dir_all(&copies).unwrap();
                let fetch = |(file, artifact): (&String, &galapagos_domain::artifact::ArtifactRef)| {
                    self.run(store.fetch(&artifact.digest, &copies.join(file)));
                };
                let (_, cost) = timed(|| files.iter().for_each(fetch));
                steps.push(("fetch whole, copied", cost));
            }
            names.push(name);
        }
        assert_eq!(names[0], names[1], "one name for both forms");
        Round { steps, whole_bytes: sizes.0, delta_bytes: sizes.1 }
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, galapagos_artifacts::Error>>) -> T {
        self.runtime.block_on(work).unwrap()
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(1).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [parent, child, scratch, rest @ ..] = &arguments[..] else {
        eprintln!("usage: delta PARENT CHILD SCRATCH [ROUNDS]");
        return;
    };
    let rounds = rest.first().map_or(5, |rounds| rounds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = |path: &String| Path::new(path).to_owned();
    let bench = Bench { parent: folder(parent), child: folder(child), scratch: folder(scratch), runtime };
    println!("load {} before", load());
    let rounds: Vec<Round> = (0..rounds).map(|_| bench.round()).collect();
    println!("load {} after, {} rounds", load(), rounds.len());
    let Some(first) = rounds.first() else { return };
    let ratio = first.delta_bytes as f64 / first.whole_bytes as f64;
    println!("whole {} bytes, delta {} bytes, ratio {ratio:.3}", first.whole_bytes, first.delta_bytes);
    println!("{:<20} {:>8} {:>8} {:>8} {:>7}", "", "seconds", "hashing", "waited", "share");
    for (place, (name, _)) in first.steps.iter().enumerate() {
        let of = |figure: fn(&Cost) -> f64| median(rounds.iter().map(|round| figure(&round.steps[place].1)).collect());
        let share = of(|cost| cost.waited / cost.seconds * 100.0);
        let (seconds, hashing, waited) = (of(|c| c.seconds), of(|c| c.hashing), of(|c| c.waited));
        println!("{name:<20} {seconds:>8.3} {hashing:>8.3} {waited:>8.3} {share:>6.1}%");
    }
}
