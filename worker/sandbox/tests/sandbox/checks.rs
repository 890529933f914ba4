//! Verdicts on honest programs, right and wrong.

use galapagos_sandbox::SandboxError;
use galapagos_sandbox::check::{
    Asserts, Budget, CallTest, Comparison, Grade, InputTest, Outcome, StepEnd, Tolerance, asserts, calls, inputs,
    inputs_native, steps,
};
use serde_json::{Map, Value, json};

use super::host::{cold, compile, sandbox};

pub fn call(function: &str, arguments: Value, expected: Value) -> CallTest {
    let arguments = arguments.as_array().unwrap().clone();
    CallTest { function: function.to_owned(), arguments, named: Map::new(), expected }
}

fn called(code: &str, tests: &[CallTest]) -> Outcome {
    calls(&cold(), code, tests, Tolerance::default(), Budget::default()).unwrap()
}

fn asserted(code: &str, programs: &[&str]) -> Outcome {
    let tests = Asserts { programs: programs.iter().map(|text| (*text).to_owned()).collect(), names: None };
    asserts(&cold(), code, &tests, Budget::default()).unwrap()
}

#[test]
fn calls_are_graded() {
    let tests = [call("f", json!([2]), json!(4)), call("f", json!([-3]), json!(9)), call("f", json!([10]), json!(100))];
    let right = called("def f(x): return x * x", &tests);
    assert_eq!((right.grade, right.passed, right.total), (Grade::Passed, 3, 3));
    let partly = called("def f(x): return x * abs(x)", &tests);
    assert_eq!((partly.grade, partly.passed, partly.detail.as_str()), (Grade::Failed, 2, "f returned -9"));
    let raising = called("def f(x):\n    if x < 0: raise ValueError('negative')\n    return x * x", &tests);
    assert_eq!((raising.grade, raising.passed), (Grade::RuntimeError, 2));
    assert_eq!(raising.detail, "ValueError: negative");
    let broken = called("def f(x) return x", &tests);
    assert_eq!((broken.grade, broken.passed), (Grade::CompileError, 0));
    assert!(broken.detail.contains("SyntaxError"), "{}", broken.detail);
    assert_eq!(called("1 / 0", &tests).grade, Grade::RuntimeError);
    assert_eq!(called("def g(x): return x", &tests).detail, "NameError: there is no `f`");
}

#[test]
fn an_endless_call_is_a_timeout_and_what_came_before_counts() {
    let tests = [call("f", json!([1]), json!(1)), call("f", json!([0]), json!(0)), call("f", json!([2]), json!(2))];
    let budget = Budget { wall_ms: 10_000, each_ms: 2_000 };
    let code = "def f(x):\n    while x == 0: pass\n    return x";
    let outcome = calls(&cold(), code, &tests, Tolerance::default(), budget).unwrap();
    assert_eq!((outcome.grade, outcome.passed, outcome.total), (Grade::Timeout, 1, 3));
}

#[test]
fn values_of_all_kinds_cross() {
    let code = "def f(k):\n    return {'t': (1, 2), 's': {3, 1}, 'd': {1: 'a'}, 'b': b'\\x00\\xff', 'big': 1 << 70, 'nan': float('nan'), 'u': 'ü'}[k]";
    let tests = [
        call("f", json!(["t"]), json!([1, 2])),
        call("f", json!(["s"]), json!([1, 3])),
        call("f", json!(["d"]), json!({"$": "dict", "v": [[1, "a"]]})),
        call("f", json!(["b"]), json!({"$": "bytes", "v": "00ff"})),
        call("f", json!(["big"]), json!({"$": "int", "v": "1180591620717411303424"})),
        call("f", json!(["nan"]), json!({"$": "float", "v": "nan"})),
        call("f", json!(["u"]), json!("ü")),
    ];
    let outcome = called(code, &tests);
    assert_eq!((outcome.passed, outcome.detail.as_str()), (7, ""));
    let back = called(
        "def f(x): return type(x).__name__",
        &[
            call("f", json!([{"$": "tuple", "v": [1]}]), json!("tuple")),
            call("f", json!([{"$": "int", "v": "99999999999999999999"}]), json!("int")),
        ],
    );
    assert_eq!(back.grade, Grade::Passed);
}

#[test]
fn tolerance_and_printing_solutions() {
    let tests = [call("f", json!([]), json!(0.3))];
    let code = "def f():\n    print('noise')\n    return 0.1 + 0.2";
    assert_eq!(called(code, &tests).grade, Grade::Failed);
    let about = Tolerance { absolute: 1e-9, relative: 0.0 };
    assert_eq!(calls(&cold(), code, &tests, about, Budget::default()).unwrap().grade, Grade::Passed);
}

#[test]
fn inputs_are_graded_each_in_its_own_process() {
    let test = |input: &str, expected: &str| InputTest { input: input.to_owned(), expected: expected.to_owned() };
    let tests = [test("1 2\n", "3\n"), test("5 6\n", "11"), test("0 0", "0")];
    let of = |code: &str| {
        inputs(&cold(), code, &tests, Comparison::Trimmed, Budget { wall_ms: 10_000, each_ms: 2_000 }).unwrap()
    };
    let right = of("import sys\nif __name__ == '__main__':\n    print(sum(map(int, input().split())))");
    assert_eq!((right.grade, right.passed, right.detail.as_str()), (Grade::Passed, 3, ""));
    // What one run leaves behind is not there in the next.
    let counting = of("import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nprint([0, 3, 11, 0][builtins.n])");
    assert_eq!((counting.grade, counting.passed), (Grade::Failed, 1));
    assert_eq!(of("print(").grade, Grade::CompileError);
    let raising = of("a, b = map(int, input().split())\nprint(a + b if a else 1 // a)");
    assert_eq!((raising.grade, raising.passed), (Grade::RuntimeError, 2));
    let slow = of("a, b = map(int, input().split())\nwhile a == 5: pass\nprint(a + b)");
    assert_eq!((slow.grade, slow.passed), (Grade::Timeout, 2));
    assert_eq!(of("import os\nos.kill(os.getppid(), 9)").grade, Grade::RuntimeError);
}

#[test]
fn native_inputs_are_graded() {
    let executable = compile(
        "#include <stdio.h>\nint main(void) { int a, b; if (scanf(\"%d %d\", &a, &b) != 2) return 1; printf(\"%d\\n\", a + b); return 0; }",
        &["-static"],
    );
    let test = |input: &str, expected: &str| InputTest { input: input.to_owned(), expected: expected.to_owned() };
    let tests = [test("1 2", "3"), test("x", "0"), test("4 5", "9")];
    let outcome = inputs_native(sandbox(), &executable, &tests, Comparison::Exact, Budget::default()).unwrap();
    assert_eq!((outcome.grade, outcome.passed), (Grade::Failed, 0), "exact means with the line's end");
    let outcome = inputs_native(sandbox(), &executable, &tests, Comparison::Trimmed, Budget::default()).unwrap();
    assert_eq!((outcome.grade, outcome.passed, outcome.total), (Grade::RuntimeError, 2, 3));
}

#[test]
fn test_programs_judge_functions_in_another_process() {
    let check = "def check(candidate):\n    assert candidate([3, 1, 2]) == [1, 2, 3]\n    assert candidate([]) == []\n    x = candidate([1])\n    assert isinstance(x, list)\n";
    let humaneval = format!("{check}\ncheck(sort_it)");
    let right = asserted("def sort_it(x): return sorted(x)", &[&humaneval, "assert sort_it([2, 1]) == [1, 2]"]);
    assert_eq!((right.grade, right.passed, right.detail.as_str()), (Grade::Passed, 2, ""));
    let wrong = asserted("def sort_it(x): return x", &[&humaneval, "assert sort_it([1, 2]) == [1, 2]"]);
    assert_eq!((wrong.grade, wrong.passed, wrong.total), (Grade::Failed, 1, 2));
    let raising = asserted("def sort_it(x): return x[5]", &[&humaneval]);
    assert_eq!((raising.grade, raising.detail.as_str()), (Grade::RuntimeError, "IndexError: list index out of range"));
    assert_eq!(asserted("def sort_it(x", &[&humaneval]).grade, Grade::CompileError);
    assert_eq!(asserted("def other(x): return x", &[&humaneval]).grade, Grade::Failed);
    assert_eq!(asserted("def sort_it(x): return None", &["assert len(sort_it([1])) == 1"]).grade, Grade::Failed);
}

#[test]
fn errors_changed_arguments_objects_and_constants_cross() {
    let code = "
LIMIT = 3
class Stack:
    def __init__(self, n): self.items = [n]
    def push(self, x): self.items.append(x); return self
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
def fill(x): x.append(LIMIT)
def refuse(x): raise ValueError('bad ' + str(x))
def make(): return Stack(1)
def size(s): return len(s.items)
";
    let test = "
x = [1]
fill(x)
assert x == [1, 3] and LIMIT == 3
try:
    refuse(5)
    assert False, 'nothing raised'
except ValueError as error:
    assert 'bad 5' in str(error)
s = Stack(7)
s.push(8).push(9)
assert len(s) == 3 and s[1] == 8 and s.items == [7, 8, 9] and list(s) == [7, 8, 9]
assert size(s) == 3
assert make() != make()
";
    let outcome = asserted(code, &[test]);
    assert_eq!((outcome.grade, outcome.detail.as_str()), (Grade::Passed, ""));
}

#[test]
fn a_test_that_cannot_be_carried_out_is_no_verdict() {
    let of = |program: &str| {
        let tests = Asserts { programs: vec![program.to_owned()], names: None };
        asserts(&cold(), "def f(x): return x", &tests, Budget::default()).unwrap_err()
    };
    assert!(matches!(of("assert f(1 ="), SandboxError::Check { .. }));
    assert!(matches!(of("assert f(lambda: 1)"), SandboxError::Check { .. }));
    let none = asserts(&cold(), "", &Asserts::default(), Budget::default()).unwrap_err();
    assert!(none.to_string().contains("it has no tests"), "{none}");
}

#[test]
fn an_endless_function_under_a_test_is_a_timeout() {
    let tests = Asserts { programs: vec!["assert f() == 1".to_owned()], names: Some(vec!["f".to_owned()]) };
    let budget = Budget { wall_ms: 10_000, each_ms: 2_000 };
    let outcome = asserts(&cold(), "def f():\n    while True: pass", &tests, budget).unwrap();
    assert_eq!(outcome.grade, Grade::Timeout);
}

#[test]
fn steps_run_until_one_does_not() {
    let of = |all: &[&str]| {
        let all: Vec<String> = all.iter().map(|text| (*text).to_owned()).collect();
        steps(&cold(), &all, Budget { wall_ms: 10_000, each_ms: 2_000 }).unwrap()
    };
    assert_eq!(of(&["import math\nx = 2", "y = math.sqrt(x)", "print(y)"]), [StepEnd::Ran, StepEnd::Ran, StepEnd::Ran]);
    assert_eq!(
        of(&["x = 2", "y = z + x", "print(y)"]),
        [StepEnd::Ran, StepEnd::Raised("NameError: name 'z' is not defined".to_owned())]
    );
    assert!(matches!(&of(&["x = ("])[..], [StepEnd::Raised(text)] if text.contains("SyntaxError")));
    assert_eq!(of(&["x = 1", "while x: pass"]), [StepEnd::Ran, StepEnd::TimedOut]);
    assert!(matches!(&of(&["import os\nos._exit(0)"])[..], [StepEnd::Raised(text)] if text.contains("exit code 0")));
}
