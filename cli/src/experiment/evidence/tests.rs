//! What is kept can be read again, says what was found, and changes its digest with what it depends on.

use galapagos_domain::experiment::Scale;

use super::*;
use crate::experiment::shipped::{arms, experiment};
use crate::experiment::{Findings, Reading, Subject};

fn reading(seed: u64, mean: f64) -> Reading {
    let value = galapagos_domain::stats::Interval { mean, low: mean - 0.04, high: mean + 0.04 };
    Reading {
        seed,
        value,
        others: Vec::new(),
        spent: Some(321.4),
        tokens: 1000,
        promoted: 0,
        judged: 0,
        figures: Vec::new(),
    }
}

#[test]
fn a_page_a_record_and_an_index_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = Evidence::at(folder.path()).unwrap();
    let experiment = experiment("tiny", str::to_owned);
    let arms = arms(&experiment, Scale::Full);
    let readings: Vec<Vec<Reading>> = arms
        .iter()
        .map(|arm| (1..6).map(|seed| reading(seed, if arm.name.as_str() == "method" { 0.8 } else { 0.3 })).collect())
        .collect();
    let subject = Subject { name: "tiny", experiment: &experiment, scale: Scale::Full, arms: &arms };
    let findings = Findings::of(subject, &readings, 90_000);
    assert_eq!(evidence.known("tiny").unwrap(), None);
    let now = digest(&experiment, &arms, None);
    evidence.keep(&findings, &experiment, &arms, &now).unwrap();
    let known = evidence.known("tiny").unwrap().unwrap();
    assert_eq!((known.name.as_str(), known.control_fails, known.seeds.len()), ("tiny", true, 5));
    assert_eq!(known.digest, now);
    let page = std::fs::read_to_string(folder.path().join("tiny.md")).unwrap();
    assert!(
        page.contains("**Holds.** The control fails, as it must.") && page.contains("| control (control) |"),
        "{page}"
    );
    assert!(page.contains("of champion, 321 tokens a task |"), "a search says what it spends: {page}");
    let index = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert!(index.contains("| [tiny](tiny.md) | holds | fails, as it must | 0.800"), "{index}");
}

#[test]
fn the_digest_follows_recipes_and_expectations() {
    let plain = experiment("tiny", str::to_owned);
    let strict = experiment("tiny", |text| text.replacen("by: 0.2", "by: 0.3", 1));
    let of = |experiment: &Experiment, scale| digest(experiment, &arms(experiment, scale), None);
    let (a, b) = (of(&plain, Scale::Full), of(&strict, Scale::Full));
    assert_ne!(a, b);
    assert_ne!(a, of(&plain, Scale::Quick));
    assert_ne!(a, digest(&plain, &arms(&plain, Scale::Full), Some(&arms(&plain, Scale::Full)[0].recipe)));
}

#[test]
fn days_become_dates() {
    assert_eq!(civil(0), (1970, 1, 1));
    assert_eq!(civil(59), (1970, 3, 1));
    assert_eq!(civil(19_782), (2024, 2, 29));
    assert_eq!(civil(20_786), (2026, 11, 29));
}
