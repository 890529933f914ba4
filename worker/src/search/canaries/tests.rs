//! Jobs written as letters, settled by hand.

use super::*;

fn rules(text: &str) -> Vec<Arc<Verifier>> {
    let verify: Vec<Verifier> = serde_json::from_str(text).unwrap();
    verify.into_iter().map(Arc::new).collect()
}

const SAMPLES: &str = r#"{"sample_k": {"n": 2}}"#;

fn examinees(verify: &str, search: &str) -> Examinees {
    let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap();
    Examinees::of(&verify, &serde_json::from_str(search).unwrap())
}

/// A job of one task a letter: `p` and `f` are trajectories with a pass or a fail, `W` and `R` known answers that the verifier gets
/// right, `w` and `r` those that it gets wrong, `?` a known answer on which it decides nothing, `|` the next task.
fn job(text: &str) -> Vec<Said> {
    let mut job = vec![Said { task: "t/0".to_owned(), ..Said::default() }];
    for letter in text.chars() {
        let number = job.len();
        let said = job.last_mut().unwrap();
        let mut sing = |right, outcome| {
            let canary = Canary { verifier: 0, after: said.verdicts.len(), right, seed: Seed(0) };
            said.canaries.push(Sung { canary, answer: "7".to_owned(), verdict: Verdict::new(outcome, "") });
        };
        match letter {
            'W' => sing(false, Outcome::Fail),
            'w' => sing(false, Outcome::Pass),
            'R' => sing(true, Outcome::Pass),
            'r' => sing(true, Outcome::Fail),
            '?' => sing(false, Outcome::Timeout),
            'p' => said.verdicts.push(vec![Verdict::pass("").scored(0.5)]),
            'f' => said.verdicts.push(vec![Verdict::fail("")]),
            'e' => said.verdicts.push(vec![Verdict::new(Outcome::Error, "")]),
            _ => job.push(Said { task: format!("t/{number}"), ..Said::default() }),
        }
    }
    job
}

/// The verdicts after settling, `s` for what became suspect, and how the verifier did.
fn settled(text: &str) -> (String, Tested) {
    let mut job = job(text);
    let canaries = Canaries { window: 5, ..Canaries::at(0.5) };
    let tested = settle(&canaries, &examinees(r#"["rule"]"#, SAMPLES), &mut job).remove(0);
    let letter = |verdict: &Verdict| match (verdict.outcome, verdict.score) {
        (Outcome::Pass, _) => 'p',
        (Outcome::Fail, _) => 'f',
        (Outcome::Error, _) => 'e',
        (Outcome::Suspect, None) => 's',
        other => panic!("{other:?}"),
    };
    (job.iter().flat_map(|said| &said.verdicts).flatten().map(letter).collect(), tested)
}

#[test]
fn a_passed_wrong_answer_makes_suspect_what_was_said_since_the_last_one_that_was_failed() {
    let (verdicts, tested) = settled("pWf|ppRw|fp");
    assert_eq!(verdicts, "psssss");
    assert_eq!((tested.wrong, tested.passed_wrong, tested.right, tested.suspended, tested.marked), (2, 1, 1, 1, 5));
    let reason = "it passed \"7\" as the answer to t/1, which is known to be wrong";
    assert_eq!(tested.reason.as_deref(), Some(reason));
    // Nothing was seen of it before: all of the job.
    assert_eq!(settled("pf|pw").0, "sss");
    assert_eq!(settled("wpf").0, "ss");
    // A right answer that it passes says nothing of how it does on wrong ones.
    assert_eq!(settled("pRpw").0, "ss");
    // What was not decided stays what it is.
    assert_eq!(settled("epw").0, "es");
}

#[test]
fn what_a_suspended_verifier_led_is_misled_with_its_tree() {
    let led = r#"{"best_of_n": {"propose": {"n": 2}, "by": [{"verifier": {"numeric": {}}}, {"verifier": "rule"}, {"verifier": "self_log_prob"}]}}"#;
    let of = examinees(r#"["rule", {"regex": {"pattern": "."}}]"#, led);
    let names = of.names();
    assert_eq!(
        (names.as_slice(), &of.leads),
        (&["rule", "regex", "numeric (search)"].map(str::to_owned)[..], &vec![true, false, true])
    );
    // The third of them, which only the search asks: it says nothing of trajectories itself.
    let misled = |text: &str| {
        let mut job = job(text);
        for said in &mut job {
            said.canaries.iter_mut().for_each(|sung| sung.canary.verifier = 2);
        }
        let tested = settle(&Canaries::at(0.5), &of, &mut job);
        let letter = |misled: &Option<String>| if misled.is_some() { 's' } else { '-' };
        let of_task = |said: &Said| {
            let letters: String = said.misled.iter().map(letter).collect();
            format!("{letters}{}", if said.misled_tree.is_some() { "!" } else { "" })
        };
        assert!(job.iter().flat_map(|said| &said.verdicts).flatten().all(|verdict| verdict.outcome.is_decided()));
        (job.iter().map(of_task).collect::<Vec<_>>().join(" "), tested[1].misled)
    };
    assert_eq!(misled("ppWp|p|pw|"), ("--s! s! s! !".to_owned(), 3));
    assert_eq!(misled("ppW|p|pw"), ("-- s! s!".to_owned(), 2), "the tree of the first is believed");
    assert_eq!(misled("ppW|p|p"), ("-- - -".to_owned(), 0));
    let mut job = job("pw");
    job[0].canaries[0].canary.verifier = 2;
    settle(&Canaries::at(0.5), &of, &mut job);
    let reason = job[0].misled[0].as_deref().unwrap();
    assert!(
        reason.starts_with(
            "the search went by a verifier that is not believed; `numeric (search)` is suspended: it passed"
        ),
        "{reason}"
    );
}

#[test]
fn known_programs_are_what_the_task_gives_and_those_that_end_before_tests() {
    let canary = |right, seed| Canary { verifier: 0, after: 1, right, seed: Seed(seed) };
    assert_eq!(canary(true, 1).program("def f(): return 1\n").as_deref(), Some("def f(): return 1\n"));
    assert_eq!(canary(true, 1).program(" \n"), None, "the task gives none");
    let mut wrong: Vec<_> = (0..40).filter_map(|seed| canary(false, seed).program("")).collect();
    wrong.sort_unstable();
    wrong.dedup();
    assert_eq!(wrong.len(), known::WRONG_PROGRAMS.len());
}

#[test]
fn right_answers_may_be_failed_within_the_tolerance() {
    // A fifth of 5: one of any five.
    assert_eq!(settled("pRprpRp|RpRpRprp").0, "pppppppp");
    // From the one passed before the first of those that were failed.
    let (verdicts, tested) = settled("pRpRp|rpRpp|rp");
    assert_eq!(verdicts, "ppsssss");
    assert_eq!((tested.failed_right, tested.marked), (2, 5));
    let reason = "it failed 2 of 5 answers that are known to be right, the last to t/2";
    assert_eq!(tested.reason.as_deref(), Some(reason));
}

#[test]
fn what_a_canary_does_not_decide_is_neither_right_nor_wrong() {
    let (verdicts, tested) = settled("p?p?f?");
    assert_eq!((verdicts.as_str(), tested.undecided, tested.suspended), ("ppf", 3, 0));
    assert_eq!(settled("pWp?pw").0, "pss");
}

#[test]
fn the_same_seed_gives_the_same_canaries_at_about_the_rate_and_floors_are_for_the_first_tasks() {
    let verify = rules(r#"["rule", "self_log_prob", {"numeric": {}}]"#);
    let canaries = Canaries { right: 0.25, ..Canaries::at(0.1) };
    let of = |place, seed| plan(&canaries, &verify, (place, Seed(seed)), 2000);
    assert_eq!(of(1, 9), of(1, 9));
    assert_ne!(of(1, 9), of(1, 8));
    let first = of(0, 9);
    assert_eq!(first[4..], of(1, 9), "the job's place changes only what the first tasks begin with");
    let begin: Vec<_> = first[..4].iter().map(|c| (c.verifier, c.after, c.right)).collect();
    assert_eq!(begin, [(0, 0, false), (0, 0, true), (2, 0, false), (2, 0, true)]);
    let rest = of(1, 9);
    // 4000 questions: 400 canaries, a quarter of them right; deviations 19 and 8.7.
    let right = rest.iter().filter(|canary| canary.right).count();
    assert!((340..460).contains(&rest.len()) && (65..135).contains(&right), "{} {right}", rest.len());
    assert!(rest.is_sorted_by_key(|canary| (canary.after, canary.verifier)));
    let wrong_only = Canaries { right: 0.0, ..canaries };
    assert!(plan(&wrong_only, &verify, (0, Seed(9)), 100).iter().all(|canary| !canary.right));
}

#[test]
fn an_answer_is_right_or_wrong_by_the_rule_and_missing_where_the_rule_knows_none() {
    let canary = |right, seed| Canary { verifier: 0, after: 1, right, seed: Seed(seed) };
    let exact = |answer: &str| if answer == "1234" { Outcome::Pass } else { Outcome::Fail };
    assert_eq!(canary(true, 1).answer("1234", &exact).as_deref(), Some("1234"));
    let wrong: Vec<_> = (0..20).filter_map(|seed| canary(false, seed).answer("1234", &exact)).collect();
    assert!(wrong.len() == 20 && wrong.iter().all(|wrong| wrong != "1234"), "{wrong:?}");
    assert!(wrong.iter().any(|other| *other != wrong[0]), "not always the same: {wrong:?}");
    assert_eq!(canary(false, 1).answer("1234", &|_| Outcome::Pass), None, "everything is right");
    assert_eq!(canary(true, 1).answer("1234", &|_| Outcome::Error), None, "nothing is known");
}

#[test]
fn verifiers_of_the_same_word_are_told_apart() {
    assert_eq!(names(&rules(r#"["rule", {"numeric": {}}]"#)), ["rule", "numeric"]);
    assert_eq!(names(&rules(r#"[{"numeric": {}}, "rule", {"numeric": {}}]"#)), ["numeric[0]", "rule", "numeric[2]"]);
}
