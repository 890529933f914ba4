//! Tests that come with a problem for programs: read from a column as people's data sets have them, kept in one form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::recipe::tasks::files::TestForm;

/// The tests of one problem; at least one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProgramTests {
    /// Python programs, each a test; what they may use of the solution, or what they turn out to use.
    Asserts {
        programs: Vec<String>,
        names: Option<Vec<String>>,
    },
    Inputs(Vec<InputTest>),
    Calls(Vec<CallTest>),
}

impl ProgramTests {
    /// The first `count` tests.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        match self {
            Self::Asserts { programs, names } => {
                Self::Asserts { programs: programs.iter().take(count).cloned().collect(), names: names.clone() }
            }
            Self::Inputs(tests) => Self::Inputs(tests.iter().take(count).cloned().collect()),
            Self::Calls(tests) => Self::Calls(tests.iter().take(count).cloned().collect()),
        }
    }
}

/// Standard input, and the output that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTest {
    pub input: String,
    pub expected: String,
}

/// A call and what it should return.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallTest {
    pub function: String,
    pub arguments: Vec<Value>,
    #[serde(default)]
    pub named: Map<String, Value>,
    pub expected: Value,
}

/// Columns beside the tests.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    pub entry_point: Option<String>,
    pub setup: Option<String>,
}

/// What is wrong, and what would be right.
type Wrong = (String, &'static str);

/// The tests in a cell; text that is JSON is read as such.
pub(super) fn parse(form: TestForm, cell: &Value, beside: &Beside) -> Result<ProgramTests, Wrong> {
    let read;
    let cell = match cell {
        Value::String(text) if form != TestForm::Asserts || text.trim_start().starts_with('[') => {
            let json = |error: serde_json::Error| (format!("the text is no JSON: {error}"), right(form));
            read = serde_json::from_str::<Value>(text).map_err(json)?;
            &read
        }
        cell => cell,
    };
    match form {
        TestForm::Asserts => asserts(cell, beside),
        TestForm::Inputs => inputs(cell).map(ProgramTests::Inputs),
        TestForm::Calls => calls(cell, beside).map(ProgramTests::Calls),
    }
}

/// What a column of that form holds.
fn right(form: TestForm) -> &'static str {
    match form {
        TestForm::Asserts => {
            "a list of programs such as `assert f(1) == 2`, or a program that defines `check(candidate)`"
        }
        TestForm::Inputs => {
            "`{\"inputs\": [...], \"outputs\": [...]}` with lists of texts, or a list of `{\"input\": ..., \"output\": ...}`"
        }
        TestForm::Calls => {
            "`{\"fn_name\": ..., \"inputs\": [[...]], \"outputs\": [...]}`, or a list of `{\"function\": ..., \"arguments\": [...], \"expected\": ...}`"
        }
    }
}

fn wrong<T>(what: impl Into<String>, form: TestForm) -> Result<T, Wrong> {
    Err((what.into(), right(form)))
}

fn asserts(cell: &Value, beside: &Beside) -> Result<ProgramTests, Wrong> {
    let form = TestForm::Asserts;
    let setup = beside.setup.as_deref().filter(|setup| !setup.trim().is_empty());
    let setup = setup.map(|setup| format!("{}\n", setup.trim_end())).unwrap_or_default();
    let programs = match cell {
        Value::String(text) if text.trim().is_empty() => return wrong("the test program is empty", form),
        Value::String(text) if text.contains("def check(") => {
            let Some(entry) = &beside.entry_point else {
                let what = "the program defines `check(candidate)`, and no column names the function it is asked about";
                return Err((what.to_owned(), "name the column with `columns: {entry_point: ...}`"));
            };
            vec![format!("{setup}{}\ncheck({entry})\n", text.trim_end())]
        }
        Value::String(text) => vec![format!("{setup}{text}")],
        Value::Array(items) => {
            let texts = items.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
                return wrong("there is no test, or one that is no text", form);
            };
            texts.into_iter().map(|text| format!("{setup}{text}")).collect()
        }
        _ => return wrong("there are no test programs", form),
    };
    // With a setup or `check`, what a test uses is found by the test itself; an entry point says it beforehand.
    Ok(ProgramTests::Asserts { programs, names: beside.entry_point.clone().map(|entry| vec![entry]) })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // Some sets have a list of lines.
        Value::Array(lines) => {
            let lines = lines.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
            Some(lines.join("\n"))
        }
        _ => None,
    }
}

/// The two lists of an object under one of two names.
fn two_lists(map: &Map<String, Value>) -> Option<(&Vec<Value>, &Vec<Value>)> {
    let list = |names: [&str; 2]| names.iter().find_map(|name| map.get(*name)?.as_array());
    Some((list(["inputs", "input"])?, list(["outputs", "output"])?))
}

fn pair(item: &Value) -> Option<(&Value, &Value)> {
    Some((item.get("input")?, item.get("output").or_else(|| item.get("expected"))?))
}

fn inputs(cell: &Value) -> Result<Vec<InputTest>, Wrong> {
    let form = TestForm::Inputs;
    let pairs: Vec<(&Value, &Value)> = match cell {
        Value::Object(map) => {
            let Some((inputs, outputs)) = two_lists(map) else { return wrong("there are no two lists of texts", form) };
            if inputs.len() != outputs.len() {
                return wrong(format!("there are {} inputs and {} outputs", inputs.len(), outputs.len()), form);
            }
            inputs.iter().zip(outputs).collect()
        }
        Value::Array(items) => {
            let Some(pairs) = items.iter().map(pair).collect::<Option<Vec<_>>>() else {
                return wrong("a test has no `input` or no `output`", form);
            };
            pairs
        }
        _ => return wrong("there are no tests", form),
    };
    let tests =
        pairs.into_iter().map(|(input, expected)| Some(InputTest { input: text(input)?, expected: text(expected)? }));
    match tests.collect::<Option<Vec<_>>>() {
        Some(tests) if !tests.is_empty() => Ok(tests),
        Some(_) => wrong("there is no test", form),
        None => wrong("an input or output is neither a text nor a list of texts", form),
    }
}

fn calls(cell: &Value, beside: &Beside) -> Result<Vec<CallTest>, Wrong> {
    let form = TestForm::Calls;
    let tests = match cell {
        Value::Object(map) => {
            let named = map.get("fn_name").and_then(Value::as_str).map(str::to_owned);
            let Some(function) = named.or_else(|| beside.entry_point.clone()) else {
                return wrong("no function is named", form);
            };
            let Some((inputs, outputs)) = two_lists(map) else { return wrong("there are no two lists", form) };
            if inputs.len() != outputs.len() {
                return wrong(format!("there are {} inputs and {} outputs", inputs.len(), outputs.len()), form);
            }
            let call = |(arguments, expected): (&Value, &Value)| {
                let (function, named) = (function.clone(), Map::new());
                Some(CallTest { function, arguments: arguments.as_array()?.clone(), named, expected: expected.clone() })
            };
            match inputs.iter().zip(outputs).map(call).collect::<Option<Vec<_>>>() {
                Some(tests) => tests,
                None => return wrong("an input is no list of arguments", form),
            }
        }
        Value::Array(items) => {
            let read = |item: &Value| {
                let mut item = item.clone();
                if let (Value::Object(map), Some(entry)) = (&mut item, &beside.entry_point) {
                    map.entry("function").or_insert_with(|| Value::String(entry.clone()));
                }
                serde_json::from_value::<CallTest>(item)
            };
            match items.iter().map(read).collect::<Result<Vec<_>, _>>() {
                Ok(tests) => tests,
                Err(error) => return wrong(format!("a test cannot be read: {error}"), form),
            }
        }
        _ => return wrong("there are no tests", form),
    };
    if tests.is_empty() { wrong("there is no test", form) } else { Ok(tests) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(form: TestForm, cell: &Value) -> Result<ProgramTests, Wrong> {
        parse(form, cell, &Beside::default())
    }

    #[test]
    fn assertions_are_lists_or_a_check_of_an_entry_point() {
        let list = plain(TestForm::Asserts, &json!(["assert f(1) == 2", "assert f(2) == 3"])).unwrap();
        let ProgramTests::Asserts { programs, names: None } = list else { panic!("{list:?}") };
        assert_eq!(programs, ["assert f(1) == 2", "assert f(2) == 3"]);
        let beside = Beside { entry_point: Some("f".to_owned()), setup: Some("import math".to_owned()) };
        let cell = json!("def check(candidate):\n    assert candidate(1) == 2\n");
        let check = parse(TestForm::Asserts, &cell, &beside).unwrap();
        let program = "import math\ndef check(candidate):\n    assert candidate(1) == 2\ncheck(f)\n".to_owned();
        assert_eq!(check, ProgramTests::Asserts { programs: vec![program], names: Some(vec!["f".to_owned()]) });
        let (what, help) = plain(TestForm::Asserts, &cell).unwrap_err();
        assert!(what.contains("no column names the function") && help.contains("entry_point"), "{what}");
        assert!(plain(TestForm::Asserts, &json!([])).is_err() && plain(TestForm::Asserts, &json!(" ")).is_err());
        assert!(plain(TestForm::Asserts, &json!(r#"["assert f(1) == 2"]"#)).is_ok(), "a list in a text");
    }

    #[test]
    fn inputs_are_two_lists_or_a_list_of_pairs() {
        let test = |input: &str, expected: &str| InputTest { input: input.to_owned(), expected: expected.to_owned() };
        let wanted = ProgramTests::Inputs(vec![test("1\n2", "3"), test("4 5\n", "9\n")]);
        for cell in [
            json!({"inputs": ["1\n2", "4 5\n"], "outputs": ["3", "9\n"]}),
            json!({"input": [["1", "2"], "4 5\n"], "output": ["3", "9\n"]}),
            json!([{"input": "1\n2", "output": "3"}, {"input": "4 5\n", "expected": "9\n"}]),
            json!(r#"{"inputs": ["1\n2", "4 5\n"], "outputs": ["3", "9\n"]}"#),
        ] {
            assert_eq!(plain(TestForm::Inputs, &cell).unwrap(), wanted, "{cell}");
        }
        for (cell, said) in [
            (json!({"inputs": ["1"], "outputs": []}), "there are 1 inputs and 0 outputs"),
            (json!([{"input": "1"}]), "a test has no `input` or no `output`"),
            (json!({"inputs": [1], "outputs": ["1"]}), "an input or output is neither a text nor a list of texts"),
            (json!([]), "there is no test"),
            (json!("{"), "the text is no JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            assert_eq!(plain(TestForm::Inputs, &cell).unwrap_err().0, said);
        }
    }

    #[test]
    fn calls_name_their_function_once_or_each() {
        let call = |arguments: Vec<Value>, expected: Value| CallTest {
            function: "add".to_owned(),
            arguments,
            named: Map::new(),
            expected,
        };
        let wanted = ProgramTests::Calls(vec![call(vec![json!(1), json!(2)], json!(3))]);
        let apps = json!({"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]});
        assert_eq!(plain(TestForm::Calls, &apps).unwrap(), wanted);
        let list = json!([{"function": "add", "arguments": [1, 2], "expected": 3}]);
        assert_eq!(plain(TestForm::Calls, &list).unwrap(), wanted);
        let beside = Beside { entry_point: Some("add".to_owned()), setup: None };
        let bare = json!([{"arguments": [1, 2], "expected": 3}]);
        assert_eq!(parse(TestForm::Calls, &bare, &beside).unwrap(), wanted);
        let kept = serde_json::to_string(&wanted).unwrap();
        assert_eq!(serde_json::from_str::<ProgramTests>(&kept).unwrap(), wanted);
        assert_eq!(plain(TestForm::Calls, &bare).unwrap_err().0, "a test cannot be read: missing field `function`");
        assert_eq!(
            plain(TestForm::Calls, &json!({"inputs": [], "outputs": []})).unwrap_err().0,
            "no function is named"
        );
    }
}
