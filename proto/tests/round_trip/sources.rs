//! Task sources as they travel: procedural sets, and data sets with what was read of them.

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::recipe::tasks::files::{End, Files, Longest, Stored};
use galapagos_domain::recipe::tasks::{Begun, Builtin, Style, TakenBack, TaskSet};
use galapagos_domain::task::{Family, countdown};
use proptest::option;
use proptest::prelude::*;

fn builtin() -> impl Strategy<Value = TaskSet> {
    let shape = (any::<[u32; 2]>(), any::<u32>()).prop_map(|([least, most], target)| countdown::Shape {
        count: (least, most),
        target,
        ..countdown::Shape::default()
    });
    let family =
        prop_oneof![Just(Family::LargestOfFive), Just(Family::SortSixDigits), shape.prop_map(Family::CountdownSteps),];
    let style = prop_oneof![Just(Style::Direct), Just(Style::Wrong), Just(Style::WrongSearch)];
    let taken_back = prop_oneof![Just(TakenBack::AtOnce), Just(TakenBack::WhenPlayed)];
    let begun = prop_oneof![Just(Begun::None), any::<u32>().prop_map(Begun::WrongSteps)];
    (family, any::<u32>(), style, taken_back, begun).prop_map(|(family, n, style, taken_back, begun)| {
        let (train, val, test) = (n, n / 2, n / 3);
        let (demonstrations, shots) = (n / 4, n / 5);
        TaskSet::Builtin(Builtin { family, train, val, test, demonstrations, shots, style, taken_back, begun })
    })
}

fn stored(artifact: BoxedStrategy<ArtifactRef>) -> impl Strategy<Value = Stored> {
    (proptest::array::uniform4(artifact), any::<[u32; 3]>(), "\\PC{0,9}").prop_map(
        |([train, val, test, shots], [prompt, completion, prefix], characters)| {
            let longest = Longest { prompt, completion, prefix };
            Stored { train, val, test, shots, longest, characters }
        },
    )
}

/// What people write of a data set; the reader fills in the rest.
const WRITTEN: [&str; 3] = [
    r#"{"path": "sums.jsonl"}"#,
    r#"{"path": "d", "columns": {"prompt": "q.text", "tests": "t"}, "tests": "calls", "rule": {"unit_tests": {"seconds": 2}}}"#,
    r#"{"path": "d", "answer": "boxed", "rule": {"math": {}}, "splits": {"train": "a", "val": 0.25, "test": "b"}, "template": "{{x}}\n"}"#,
];

fn files(artifact: BoxedStrategy<ArtifactRef>) -> impl Strategy<Value = TaskSet> {
    let end = option::of(any::<char>()).prop_map(End);
    let numbers = (any::<u32>(), option::of(any::<u32>()));
    (0..WRITTEN.len(), option::of(stored(artifact)), end, numbers).prop_map(|(written, stored, end, (shots, max))| {
        let read: Files = serde_json::from_str(WRITTEN[written]).unwrap();
        TaskSet::Files(Box::new(Files { stored, end, shots, max_tokens: max, ..read }))
    })
}

/// Any source; `artifact` gives references to files.
pub fn source(artifact: BoxedStrategy<ArtifactRef>) -> BoxedStrategy<TaskSet> {
    prop_oneof![builtin(), files(artifact)].boxed()
}
