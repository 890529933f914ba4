//! A run log as Python reads it: every number, also those that are none, and what a run that went back looks like.

use galapagos_trainer::runlog::{RunLog, StepRecord};

use crate::python;

fn record(step: u64, values: &[(&'static str, f64)]) -> StepRecord {
    let values = values.iter().map(|(name, value)| ((*name).into(), *value)).collect();
    StepRecord { step, wall_seconds: 1_700_000_000.5 + step as f64, values }
}

#[test]
fn run_logs_are_read_by_a_reference_reader() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = RunLog::create(folder, 1_700_000_000.25).unwrap();
    log.append(&record(0, &[("loss", 0.1), ("time/forward", 0.0)])).unwrap();
    log.append(&record(1, &[("loss", f64::NAN)])).unwrap();
    log.append(&record(300, &[("loss", 1e300), ("grad \u{2207}", f64::NEG_INFINITY)])).unwrap();
    log.append(&record(1, &[("loss", 0.25)])).unwrap();
    log.finish().unwrap();

    let output = python("run_logs.py", folder);
    let (shown, read): (Vec<&str>, Vec<&str>) = output.lines().partition(|line| line.starts_with("tensorboard"));
    let single = |value: f32| f64::from(value);
    let wanted = [
        "event\t0\t0\t1700000000.25\tversion\tbrain.Event:2\t".to_owned(),
        format!("event\t0\t0\t1700000000.5\tscalar\tloss\t{}", single(0.1)),
        "event\t0\t0\t1700000000.5\tscalar\ttime/forward\t0.0".to_owned(),
        "event\t0\t1\t1700000001.5\tscalar\tloss\tnan".to_owned(),
        // Beyond f32, which is all an event has; the table would tell.
        "event\t0\t300\t1700000300.5\tscalar\tloss\tinf".to_owned(),
        "event\t0\t300\t1700000300.5\tscalar\tgrad \u{2207}\t-inf".to_owned(),
        "event\t1\t0\t1700000001.5\tversion\tbrain.Event:2\t".to_owned(),
        "event\t1\t1\t1700000001.5\tsession\tstatus\t1".to_owned(),
        "event\t1\t1\t1700000001.5\tscalar\tloss\t0.25".to_owned(),
        "columns\tstep:uint64\twall_seconds:double\tloss:double\ttime/forward:double".to_owned(),
        "row\t0\t1700000000.5\t0.1\t0.0".to_owned(),
        "row\t1\t1700000001.5\t0.25\tNone".to_owned(),
    ];
    assert_eq!(read, wanted);
    // TensorBoard's own reader, where it is installed, shows the run without its stale steps.
    if shown != ["tensorboard absent"] {
        let loss = format!("tensorboard\tloss\t0\t{}", single(0.1));
        assert_eq!(shown, [loss.as_str(), "tensorboard\tloss\t1\t0.25", "tensorboard\ttime/forward\t0\t0.0"]);
    }
}

#[test]
fn values_that_are_no_numbers_are_read_as_such_by_a_reference_reader() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = RunLog::create(folder.path(), 5.0).unwrap();
    log.append(&record(1, &[("loss", f64::NAN), ("norm", f64::INFINITY)])).unwrap();
    log.append(&record(2, &[("norm", 1e300)])).unwrap();
    log.finish().unwrap();
    let output = python("run_logs.py", folder.path());
    assert!(output.contains("row\t1\t1700000001.5\tnan\tinf\n"), "{output}");
    assert!(output.contains("row\t2\t1700000002.5\tNone\t1e+300\n"), "{output}");
    assert!(output.contains("scalar\tloss\tnan\n"), "{output}");
}
