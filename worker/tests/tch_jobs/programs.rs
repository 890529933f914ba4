//! Programs against their tasks' tests, in the sandbox of this host: every kind of test and every grade.

use std::sync::Arc;

use galapagos_domain::recipe::verify::UnitTests;
use galapagos_domain::task::dataset::{CallTest, InputTest, ProgramTests};
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_worker::code::Code;
use galapagos_worker::sandbox::{FloorName, Walls};
use galapagos_worker::verify::known::WRONG_PROGRAMS;
use galapagos_worker::verify::programs::{Tested, decide, program};
use serde_json::{Map, json};

const OPTIONS: UnitTests = UnitTests { seconds: 2, all_seconds: 20, behind_prompt: false, examples: None };

fn judge(code: &Code, tests: &ProgramTests, program: &str) -> Verdict {
    decide(code, &Tested { program: program.to_owned(), tests: Arc::new(tests.clone()), options: OPTIONS })
}

fn call(arguments: [i64; 2], expected: i64) -> CallTest {
    let arguments = arguments.iter().map(|n| json!(n)).collect();
    CallTest { function: "add".to_owned(), arguments, named: Map::new(), expected: json!(expected) }
}

/// The sandbox's launcher is built by `cargo build -p galapagos-sandbox` where the whole workspace is not.
#[test]
fn programs_are_graded_by_their_tests() {
    let code = Code::walled(&Walls { sandbox_floor: FloorName::Strict, sandbox_python: None });
    let asserts = ["assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(0, 0) == 0"].map(str::to_owned);
    let input = |input: &str, expected: &str| InputTest { input: input.to_owned(), expected: expected.to_owned() };
    let kinds = [
        ProgramTests::Asserts { programs: asserts.to_vec(), names: None },
        ProgramTests::Calls(vec![call([1, 2], 3), call([2, 2], 4), call([0, 0], 0)]),
        ProgramTests::Inputs(vec![input("1 2\n", "3\n"), input("2 2\n", "4"), input("0 0\n", "0\n")]),
    ];
    for tests in &kinds {
        let whole = |body: &str| match tests {
            ProgramTests::Inputs(_) => format!("def add(a, b):\n    {body}\nprint(add(*map(int, input().split())))\n"),
            ProgramTests::Asserts { .. } | ProgramTests::Calls(_) => format!("def add(a, b):\n    {body}\n"),
        };
        let right = judge(&code, tests, &whole("return a + b"));
        assert_eq!((right.outcome, right.score), (Outcome::Pass, Some(1.0)), "{}", right.reason);
        assert_eq!(right.verifier, "unit_tests/1");
        let wrong = judge(&code, tests, &whole("return a * b"));
        assert_eq!(wrong.outcome, Outcome::Fail, "{tests:?}");
        assert!(wrong.reason.starts_with("failed, 2 of 3 tests passed"), "{}", wrong.reason);
        assert!((wrong.score.unwrap() - 2.0 / 3.0).abs() < 1e-6);
        let raises = judge(&code, tests, &whole("return 1 // (a - 2) + a + b + 1"));
        assert!(raises.outcome == Outcome::Fail && raises.score < Some(1.0), "{}", raises.reason);
        let broken = judge(&code, tests, "def add(a, b:\n");
        assert!(broken.reason.starts_with("compile error, 0 of 3"), "{}", broken.reason);
        assert_eq!((broken.outcome, broken.score), (Outcome::Fail, Some(0.0)));
    }
    for tests in &kinds {
        for wrong in WRONG_PROGRAMS {
            let verdict = judge(&code, tests, &program(OPTIONS, "", wrong));
            assert_eq!(verdict.outcome, Outcome::Fail, "{wrong}: {}", verdict.reason);
        }
    }
    let raises = judge(&code, &kinds[1], "def add(a, b):\n    return 1 // 0\n");
    assert!(raises.reason.starts_with("runtime error, 0 of 3"), "{}", raises.reason);
    let endless = judge(&code, &kinds[1], "def add(a, b):\n    while True: pass\n");
    assert_eq!((endless.outcome, endless.score), (Outcome::Timeout, None), "{}", endless.reason);
    let wrong_test = ProgramTests::Asserts { programs: vec!["assert (".to_owned()], names: None };
    let error = judge(&code, &wrong_test, "def add(a, b):\n    return a + b\n");
    assert_eq!(error.outcome, Outcome::Error, "a broken test is no fault of the program: {}", error.reason);
    let nowhere = judge(&Code::nowhere("this is a test"), &kinds[0], "");
    assert_eq!(nowhere.outcome, Outcome::Error);
}
