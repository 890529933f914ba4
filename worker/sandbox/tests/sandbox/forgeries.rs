//! Wrong solutions that try to be judged right. A grader of the usual kind, with the test in the solution's process, believes each;
//! no check of ours may.

use std::process::{Command, Stdio};

use galapagos_sandbox::check::{Asserts, Budget, Comparison, Grade, InputTest, Tolerance, asserts, calls, inputs};
use serde_json::json;

use super::checks::call;
use super::host::{cold, sandbox, text};

const SCRIPTS: &str = include_str!("forgeries.py");
const TEST: &str = "assert f(1) == 1000020\nassert f(2) == 2000023\n";

/// Runs solution and test in one process and believes its output: what a forgery is made for.
fn believed_by_a_naive_grader(solution: &str) -> bool {
    let program = "import sys\nsolution, test = sys.argv[1:]\nnames = {}\nexec(solution, names)\nexec(test, names)\nprint('PASSED')";
    let output = Command::new(sandbox().python().unwrap().executable())
        .args(["-I", "-S", "-B", "-c", program, solution, TEST])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    output.status.success() && text(&output.stdout).contains("PASSED")
}

#[test]
fn the_naive_grader_is_right_about_honest_programs() {
    assert!(believed_by_a_naive_grader("def f(x): return 1000003 * x + 17"));
    assert!(!believed_by_a_naive_grader("def f(x): return x"));
}

#[test]
fn no_forgery_that_a_naive_grader_believes_passes_a_check() {
    let budget = Budget { wall_ms: 10_000, each_ms: 1_500 };
    let forgeries: Vec<(&str, &str)> =
        SCRIPTS.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap()).collect();
    let mut wrong = Vec::new();
    println!("{:<42} naive     calls          asserts        inputs", "forgery");
    for (name, code) in &forgeries {
        let naive = believed_by_a_naive_grader(code);
        let tests = [call("f", json!([1]), json!(1_000_020)), call("f", json!([2]), json!(2_000_023))];
        let by_calls = calls(&cold(), code, &tests, Tolerance::default(), budget).unwrap();
        let programs = Asserts { programs: vec![TEST.to_owned()], names: None };
        let by_asserts = asserts(&cold(), code, &programs, budget).unwrap();
        // The same as a program that should print the value.
        let program = format!("{code}\nprint(f(int(input())))");
        let test = InputTest { input: "1\n".to_owned(), expected: "1000020".to_owned() };
        let by_inputs = inputs(&cold(), &program, &[test], Comparison::Trimmed, budget).unwrap();
        let grades = [by_calls.grade, by_asserts.grade, by_inputs.grade];
        let shown = grades.map(|grade| format!("{grade:?}"));
        println!(
            "{name:<42} {:<9} {:<14} {:<14} {}",
            if naive { "believed" } else { "NOT" },
            shown[0],
            shown[1],
            shown[2]
        );
        let passed = [by_calls.passed, by_asserts.passed, by_inputs.passed];
        if !naive || grades.contains(&Grade::Passed) || passed.iter().any(|count| *count > 0) {
            wrong.push(format!("{name}: believed {naive}; {grades:?} {passed:?}"));
        }
    }
    println!("{} forgeries, {} wrong", forgeries.len(), wrong.len());
    assert!(wrong.is_empty() && forgeries.len() >= 10, "{}", wrong.join("\n"));
}

#[test]
fn a_solution_that_floods_the_channel_or_answers_nonsense_gets_a_grade_and_no_error() {
    let budget = Budget { wall_ms: 10_000, each_ms: 3_000 };
    for (code, what) in [
        ("import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'nonsense\\n')", "nonsense"),
        ("import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'[1]\\n{}\\n')\ndef f(x): pass", "no object"),
        ("import os, sys\nfd = int(sys.argv[1])\nwhile True: os.write(fd, b'x' * 65536)", "one endless line"),
        (
            "import os, sys, time\nfd = int(sys.argv[1])\nwhile True:\n    os.write(fd, b'x')\n    time.sleep(0.001)",
            "one slow line",
        ),
        ("import os, sys\nfd = int(sys.argv[1])\nwhile True: os.write(fd, b'\\n' * 65536)", "endless empty lines"),
        (
            "import os, sys\nfd = int(sys.argv[1])\nwhile True: os.write(fd, b'{\"loaded\":true}\\n' * 4096)",
            "endless answers",
        ),
        ("import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'[' * 100000 + b'\\n')", "deep"),
        ("import os, sys\nfd = int(sys.argv[1])\nos.close(fd)\nos._exit(0)", "closed"),
        ("def f(x):\n    r = []\n    for _ in range(100000): r = [r]\n    return r", "a deep value"),
        ("def f(x): return '\\ud800'", "no text"),
        ("def f(x): return (1 << 3000000) > 0 and object()", "no value"),
    ] {
        let tests = [call("f", json!([1]), json!(1_000_020))];
        let outcome = calls(&cold(), code, &tests, Tolerance::default(), budget).unwrap();
        assert!(matches!(outcome.grade, Grade::RuntimeError | Grade::Timeout), "{what}: {outcome:?}");
        let programs = Asserts { programs: vec![TEST.to_owned()], names: None };
        let outcome = asserts(&cold(), code, &programs, budget).unwrap();
        assert!(outcome.grade != Grade::Passed && outcome.passed == 0, "{what}: {outcome:?}");
    }
}

#[test]
fn hostile_answers_to_a_test_program_are_grades_and_no_errors() {
    let budget = Budget { wall_ms: 10_000, each_ms: 3_000 };
    for answer in [
        r#"{"value":{"$":"weird","v":1}}"#,
        r#"{"value":{"$":"ref","v":{"id":"x"}}}"#,
        r#"{"value":{"$":"int","v":"x"}}"#,
        r#"{"value":{"$":"set","v":[[1]]}}"#,
        r#"{"value":"\ud800"}"#,
        r#"{"raised":1,"bases":[["x"],"AssertionError","SystemExit","type","Exception"]}"#,
        r#"{"raised":"x","bases":7}"#,
        r#"{"passed":true,"token":"x"}"#,
        r#"{"broken":"x"}"#,
        r#"{"unsupported":"x"}"#,
        r#"{"ask":{"ask":"name","name":"f"}}"#,
        r#"{}"#,
    ] {
        // Answers every question with the same line.
        let code = format!(
            "import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'{{\"loaded\":true}}\\n')\nwhile True:\n    if not os.read(fd, 65536): os._exit(0)\n    os.write(fd, {answer:?}.encode() + b'\\n')"
        );
        let programs = Asserts { programs: vec!["x = f(1)\nassert f(x) == 1000020".to_owned()], names: None };
        let outcome = asserts(&cold(), &code, &programs, budget).unwrap();
        assert!(outcome.grade != Grade::Passed && outcome.passed == 0, "{answer}: {outcome:?}");
    }
}
