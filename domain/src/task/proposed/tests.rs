//! What is shown to a model that asks, and what of its texts is kept.

use super::*;
use crate::recipe::tasks::Builtin;
use crate::task::countdown;

fn builtin(family: Family) -> TaskSet {
    TaskSet::Builtin(Builtin { train: 10, val: 10, test: 10, ..Builtin::of(family) })
}

fn files(template: &str) -> TaskSet {
    serde_json::from_value(serde_json::json!({"files": {"path": "p", "template": template}})).unwrap()
}

#[test]
fn known_questions_are_shown_a_line_each_and_read_back_in_their_frame() {
    let five = Form::of(&builtin(Family::LargestOfFive)).unwrap();
    let prompts = ["Q: Largest of 3, 94, 7, 21, 68\nA:", "Q: Largest of 1, 2, 3, 4, 5\nA:"];
    assert_eq!(shown(&five, &prompts), "Q: Largest of 3, 94, 7, 21, 68\nQ: Largest of 1, 2, 3, 4, 5\n");
    let (prompt, form) = five.prompt(" Q: Largest of 9, 94, 7, 21, 68 ").unwrap();
    assert_eq!((prompt.as_str(), form.as_str()), ("Q: Largest of 9, 94, 7, 21, 68\nA:", "7, 9, 21, 68, 94"));
    let steps = Form::of(&builtin(Family::CountdownSteps(countdown::Shape::DEFAULT))).unwrap();
    assert_eq!(shown(&steps, &["24: 3 5 9\n"]), "24: 3 5 9\n");
    assert_eq!(steps.prompt("25: 3 5 9").unwrap().0, "25: 3 5 9\n");
    let sums = Form::of(&files("Question: {prompt}\nAnswer:")).unwrap();
    assert_eq!(shown(&sums, &["Question: Ann has\n two pens.\nAnswer:"]), "Ann has two pens.\n");
    assert_eq!(sums.prompt("Bob has none.").unwrap().0, "Question: Bob has none.\nAnswer:");
    assert_eq!(sums.prompt("  "), Err("it is empty".to_owned()));
}

#[test]
fn sets_whose_questions_cannot_be_read_back_say_so() {
    assert_eq!(Form::of(&builtin(Family::LifeStep)), Err(Formless::Family(Family::LifeStep)));
    assert_eq!(Form::of(&files("{prompt} {hint}")), Err(Formless::Template));
    assert_eq!(Form::of(&files("{hint}")), Err(Formless::Template));
    let begun =
        Builtin { begun: Begun::WrongSteps(1), ..Builtin::of(Family::CountdownSteps(countdown::Shape::DEFAULT)) };
    assert_eq!(Form::of(&TaskSet::Builtin(begun)), Err(Formless::Begun));
}

#[test]
fn seeds_differ_and_leave_out_the_question_itself() {
    for number in 0..50 {
        let mut drawn = seeds(5, 4, Some(2), Seed(number));
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1, 3, 4]);
    }
    assert_eq!(seeds(3, 4, None, Seed(1)).len(), 3);
    assert_eq!(seeds(100, 4, None, Seed(1)), seeds(100, 4, None, Seed(1)));
    assert_ne!(seeds(100, 4, None, Seed(1)), seeds(100, 4, None, Seed(2)));
}

#[test]
fn what_is_known_held_out_or_malformed_is_refused() {
    let set = builtin(Family::SortSixDigits);
    let data = |split| match &set {
        TaskSet::Builtin(source) => TaskSetData::generate(source, split, Seed(3)).unwrap(),
        TaskSet::Files(_) | TaskSet::Env(_) => unreachable!(),
    };
    let (train, test) = (data(Split::Train), data(Split::Test));
    let prompts = train.problems().iter().map(|problem| problem.prompt.as_str());
    let sieve = Sieve::new(Form::of(&set).unwrap(), prompts, std::iter::empty());
    let line = |problem: &Problem| problem.prompt.clone();
    assert!(train.problems().iter().all(|problem| sieve.sift(&line(problem)) == Err(Refused::Known)));
    // Another run's test problems too: they are known by their form.
    assert!(test.problems().iter().all(|problem| sieve.sift(&line(problem)) == Err(Refused::HeldOut)));
    assert_eq!(sieve.sift("12345>"), Err(Refused::Malformed("it has 5 digits, not 6".to_owned())));
    let new: Vec<String> = (100_000..100_100).filter_map(|number| sieve.sift(&format!("{number}>")).ok()).collect();
    assert!((30..70).contains(&new.len()), "half of the forms are of the training part: {}", new.len());
    let rows = Sieve::new(Form::of(&files("Q: {prompt}")).unwrap(), ["Q: a b"].into_iter(), ["Q: c  D"].into_iter());
    assert_eq!(rows.sift("A b"), Err(Refused::Known));
    assert_eq!(rows.sift("c d"), Err(Refused::HeldOut));
    assert_eq!(rows.sift("e f"), Ok("Q: e f".to_owned()));
}

#[test]
fn each_question_is_kept_once_and_has_a_key_of_its_generation() {
    let written = |prompts: &[&str]| {
        let question = |prompt: &&str| Question { key: String::new(), prompt: (*prompt).to_owned() };
        prompts.iter().map(question).collect::<Vec<_>>()
    };
    let (kept, repeated, surplus) = gather(written(&["a", "b", "A ", "c", "d", "b"]).into_iter(), 3, "g2");
    let keys: Vec<_> = kept.iter().map(|question| (question.key.as_str(), question.prompt.as_str())).collect();
    assert_eq!(keys, [("g2/0", "a"), ("g2/1", "b"), ("g2/2", "c")]);
    assert_eq!((repeated, surplus), (2, 1));
    assert_eq!(decode(&encode(&kept)).unwrap(), kept);
    assert_eq!(decode(b"{}\n").unwrap_err().line, 1);
    let question = Question { key: "g1/0".to_owned(), prompt: "352910>".to_owned() };
    let (data, given) = problems(vec![question], &builtin(Family::SortSixDigits), "imagined");
    let problem = data.get(0).unwrap();
    assert_eq!((problem.answer.as_str(), problem.canonical.as_str(), given.len()), ("", "012359", 1));
}
