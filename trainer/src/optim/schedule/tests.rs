//! Curves by hand, and what holds for all of them.

use super::*;
use proptest::prelude::*;

fn schedule(shape: Shape, warmup: f64, floor: f64, steps: u64) -> Schedule {
    Schedule::new(shape, 2.0, warmup, floor, steps).unwrap()
}

fn lrs(schedule: &Schedule) -> Vec<f64> {
    (0..schedule.steps()).map(|step| schedule.lr(step)).collect()
}

fn close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} is not {wanted:?}");
}

#[test]
fn cosine_rises_in_a_line_and_falls_along_a_half_cosine() {
    let lrs = lrs(&schedule(Shape::Cosine, 0.5, 0.1, 10));
    close(&lrs[..5], &[0.2, 0.6, 1.0, 1.4, 1.8]);
    // Half way down the cosine stands in the middle between peak and floor.
    assert!((lrs[7] - 1.1).abs() < 1e-12, "{lrs:?}");
    assert!(lrs[5..].windows(2).all(|pair| pair[0] > pair[1]) && lrs[9] > 0.2 && lrs[9] < 0.3, "{lrs:?}");
}

#[test]
fn the_other_shapes_by_hand() {
    close(&lrs(&schedule(Shape::Linear, 0.0, 0.0, 4)), &[1.75, 1.25, 0.75, 0.25]);
    close(&lrs(&schedule(Shape::Constant, 0.25, 0.1, 8)), &[0.5, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    let wsd = schedule(Shape::Wsd { decay: 0.5 }, 0.25, 0.5, 8);
    close(&lrs(&wsd), &[0.5, 1.5, 2.0, 2.0, 1.875, 1.625, 1.375, 1.125]);
}

#[test]
fn the_extremes_are_defined() {
    assert!((schedule(Shape::Cosine, 0.0, 0.0, 1).lr(0) - 1.0).abs() < 1e-12);
    assert!((schedule(Shape::Cosine, 1.0, 0.0, 1).lr(0) - 1.0).abs() < 1e-12);
    assert!(lrs(&schedule(Shape::Linear, 0.0, 1.0, 7)).iter().all(|lr| *lr == 2.0));
    close(&lrs(&schedule(Shape::Wsd { decay: 1.0 }, 0.0, 0.0, 2)), &[1.5, 0.5]);
    // Past the end the curve stays where it ended.
    assert!((schedule(Shape::Linear, 0.1, 0.25, 5).lr(1000) - 0.5).abs() < 1e-12);
    assert!((schedule(Shape::Cosine, 1.0, 0.25, 5).lr(u64::MAX) - 2.0).abs() < 1e-12);
    schedule(Shape::Wsd { decay: 0.9 }, 0.1, 0.0, 3);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |shape, peak, warmup, floor, steps| Schedule::new(shape, peak, warmup, floor, steps).unwrap_err();
    for (error, name) in [
        (refused(Shape::Cosine, 0.0, 0.1, 0.1, 5), "peak"),
        (refused(Shape::Cosine, f64::NAN, 0.1, 0.1, 5), "peak"),
        (refused(Shape::Cosine, 1.0, 1.1, 0.1, 5), "warmup"),
        (refused(Shape::Cosine, 1.0, 0.1, -0.1, 5), "floor"),
        (refused(Shape::Cosine, 1.0, 0.1, 0.1, 0), "steps"),
        (refused(Shape::Wsd { decay: 0.0 }, 1.0, 0.1, 0.1, 5), "decay"),
        (refused(Shape::Wsd { decay: 0.95 }, 1.0, 0.1, 0.1, 5), "decay"),
    ] {
        assert!(error.to_string().starts_with(&format!("`{name}` is ")), "{error}");
    }
}

fn shapes() -> impl Strategy<Value = (Shape, f64)> {
    (0usize..4, 0.0..0.5f64, 0.05..0.5f64).prop_map(|(which, warmup, decay)| {
        let shapes = [Shape::Cosine, Shape::Linear, Shape::Constant, Shape::Wsd { decay }];
        (shapes[which], warmup)
    })
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds_and_only_falls_after_the_warmup(
        (shape, warmup) in shapes(), floor in 0.0..1.0f64, steps in 1u64..300,
    ) {
        let lrs = lrs(&schedule(shape, warmup, floor, steps));
        let first = lrs.iter().enumerate().position(|(step, _)| (step as f64 + 0.5) / steps as f64 >= warmup);
        let first = first.unwrap_or(lrs.len());
        prop_assert!(lrs.iter().all(|lr| *lr > 0.0 && *lr <= 2.0));
        prop_assert!(lrs[..first].windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(lrs[first..].iter().all(|lr| *lr >= 2.0 * floor - 1e-12));
        prop_assert!(lrs[first..].windows(2).all(|pair| pair[0] >= pair[1] - 1e-12));
    }

    #[test]
    fn more_steps_read_the_same_curve_more_densely(
        (shape, warmup) in shapes(), floor in 0.0..1.0f64, steps in 1u64..100, half in 1u64..5,
    ) {
        // With an odd factor the middle of a step is the middle of one of its parts.
        let factor = 2 * half + 1;
        let (coarse, fine) = (schedule(shape, warmup, floor, steps), schedule(shape, warmup, floor, steps * factor));
        for step in 0..steps {
            prop_assert!((coarse.lr(step) - fine.lr(step * factor + half)).abs() < 1e-9);
        }
    }

    #[test]
    fn one_step_more_changes_the_curve_little(
        (shape, warmup) in shapes(), floor in 0.0..1.0f64, steps in 50u64..400,
    ) {
        // The steepest slope per part of the run, of the rise or of the fall; a place moves by less than 1 / steps.
        let decay = if let Shape::Wsd { decay } = shape { decay } else { 1.0 - warmup };
        let slope = 2.0 * (1.0 / warmup).max(0.5 * PI / decay);
        let (these, more) = (schedule(shape, warmup, floor, steps), schedule(shape, warmup, floor, steps + 1));
        // At a jump from the rise's end to the fall's start the curve is continuous, so the bound holds there too.
        for step in 0..steps {
            let moved = (these.lr(step) - more.lr(step)).abs();
            prop_assert!(moved <= slope / steps as f64 + 1e-9, "step {}: {} > {}", step, moved, slope / steps as f64);
        }
    }

    #[test]
    fn the_mean_does_not_depend_on_the_number_of_steps((shape, warmup) in shapes(), floor in 0.0..1.0f64) {
        let mean = |steps| lrs(&schedule(shape, warmup, floor, steps)).iter().sum::<f64>() / steps as f64;
        prop_assert!((mean(50) - mean(1000)).abs() < 0.01 * mean(1000), "{} and {}", mean(50), mean(1000));
    }
}
