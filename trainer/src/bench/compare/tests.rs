//! What two sides must agree on, and what is said when they do not.

use super::super::rows::Scale;
use super::*;

fn step(seconds: f64, loss: f64) -> Stepped {
    Stepped { seconds, cpu_seconds: 2.0 * seconds, loss, grad_norm: 1.0, time: Parts::default() }
}

fn measured(ours: &[f64], peer: &[f64]) -> Measured {
    let steps = |seconds: &[f64]| seconds.iter().map(|seconds| step(*seconds, 1.0)).collect::<Vec<_>>();
    Measured {
        warm_up: (steps(&[1.0, 1.0]), steps(&[1.0, 1.0])),
        steps: (steps(ours), steps(peer)),
        ..Measured::default()
    }
}

fn row_of(name: RowName, measured: Measured) -> Row {
    let shapes = name.shapes(2);
    let agreement = agree(name, shapes, &measured.warm_up).unwrap();
    let work = name.work(Scale::Full, 100);
    row((name, &work), shapes.0, measured, agreement, name.target(true)).unwrap()
}

#[test]
fn step_times_are_medians_in_milliseconds_and_less_is_better() {
    let row = row_of(RowName::StepF32, measured(&[0.9, 5.0, 0.8], &[1.0, 1.0, 0.5]));
    assert_eq!((row.ours, row.peer, row.unit, row.better), (900.0, 1000.0, "ms", "less"));
    assert_eq!((row.ratio, row.met), (0.9, Some(true)));
    assert_eq!(row.ratio_of_best, Some(1.6));
    let row = row_of(RowName::StepF32, measured(&[1.1], &[1.0]));
    assert_eq!(row.met, Some(false));
}

#[test]
fn rates_are_tokens_a_second_and_more_is_better() {
    let row = row_of(RowName::Bf16, measured(&[1.0], &[2.0]));
    assert_eq!((row.ours, row.peer, row.unit), (1024.0, 512.0, "tokens/s"));
    assert_eq!((row.ratio, row.ratio_of_best, row.met), (2.0, Some(2.0), Some(true)));
}

#[test]
fn memory_is_what_a_process_grew_by() {
    let memory = |start_bytes, peak_bytes| Some(Memory { start_bytes, peak_bytes });
    let both = (memory(1_000_000, 4_000_000), memory(5_000_000, 7_000_000));
    let row = row_of(RowName::MemoryF32, Measured { memory: both, ..measured(&[1.0], &[1.0]) });
    assert_eq!((row.ours, row.peer, row.ratio, row.met), (3.0, 2.0, 1.5, Some(false)));
    assert_eq!(row.ratio_of_best, None);
}

#[test]
fn sides_that_compute_different_things_are_refused() {
    let agrees = |name: RowName, ours: [f64; 2], peer: [f64; 2]| {
        let steps = |losses: [f64; 2]| losses.map(|loss| step(1.0, loss)).to_vec();
        agree(name, name.shapes(2), &(steps(ours), steps(peer)))
    };
    assert!(agrees(RowName::StepF32, [10.0, 9.0], [10.009, 9.0]).is_ok());
    let refused = agrees(RowName::StepF32, [10.0, 9.0], [10.0, 9.01]).unwrap_err().to_string();
    assert!(refused.contains("step-f32") && refused.contains("9.01"), "{refused}");
    assert!(agrees(RowName::StepBf16, [10.0, 9.0], [10.0, 9.01]).is_ok());
    assert!(agrees(RowName::StepBf16, [f64::NAN, 9.0], [10.0, 9.0]).is_err());
    assert!(agrees(RowName::Bf16, [10.0, 9.0], [10.0, 9.9]).is_ok(), "number formats part after an update");
    assert!(agrees(RowName::Bf16, [10.2, 9.0], [10.0, 9.0]).is_err());
    assert!(agree(RowName::StepF32, RowName::StepF32.shapes(2), &(Vec::new(), Vec::new())).is_err());
}

#[test]
fn communication_is_what_a_step_takes_longer_with_others() {
    let steps = |seconds: f64| vec![step(seconds, 1.0)];
    assert_eq!(share_of_communication(&steps(4.0), &steps(3.0)), Some(0.25));
    assert_eq!(share_of_communication(&steps(3.0), &steps(4.0)), Some(0.0));
    assert_eq!(share_of_communication(&steps(3.0), &[]), None);
}
