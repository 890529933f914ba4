//! Task sets: the distinct problems of one split, in an order given by the seed. Nothing here is stored; every worker
//! draws the same problems from the same seed.

use std::collections::BTreeSet;

use super::shown::shown;
use super::split::{Part, Space};
use super::{Draft, Family, Problem, enumerable};
use crate::recipe::tasks::{Builtin, Split};
use crate::seed::Seed;

/// Most problems that one split may hold.
pub const MAX_SPLIT: u32 = 100_000;

/// Why a task set cannot be generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// More distinct problems were asked for than there are.
    #[error("{family} has {available} different problems for {part}; {asked} were asked for")]
    TooFew { family: Family, part: &'static str, asked: u64, available: u64 },
    /// An index beyond the split's end.
    #[error("the {split} split of {set} holds {len} problems; number {index} was asked for (they count from 0)")]
    NoSuchTask { set: String, split: Split, index: u32, len: u32 },
}

/// The problems of one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSetData {
    /// What the problems are, for messages.
    label: String,
    split: Split,
    problems: Vec<Problem>,
}

impl TaskSetData {
    /// Draws the whole split. Prompts are distinct; in `val` and `test` canonical forms are distinct too, as long as
    /// fewer than half of all forms are asked for.
    ///
    /// # Errors
    /// [`TaskError::TooFew`] says how many problems there are.
    pub fn generate(source: &Builtin, split: Split, seed: Seed) -> Result<Self, TaskError> {
        let part = Part::of_split(split);
        let (skip, take) = match split {
            Split::Demonstrations => (0, source.demonstrations),
            Split::Train => (source.demonstrations, source.train),
            Split::Val => (0, source.val),
            Split::Test => (0, source.test),
        };
        let drafts = if let Family::Enumerable(shape) = source.family {
            shared(shape, split, take, seed)?
        } else {
            draw_distinct(source.family, part, u64::from(skip) + u64::from(take), seed)?.split_off(skip as usize)
        };
        let drafts = drafts.into_iter().map(|draft| shown(source, split, draft));
        let problems = drafts.enumerate().map(|(index, draft)| Problem {
            key: format!("{split}/{index}"),
            prompt: draft.prompt,
            answer: draft.answer,
            canonical: draft.canonical,
        });
        Ok(Self { label: source.family.to_string(), split, problems: problems.collect() })
    }

    /// Problems that are there already; `label` names them in messages.
    #[must_use]
    pub fn of(label: String, split: Split, problems: Vec<Problem>) -> Self {
        Self { label, split, problems }
    }

    /// Problem number `index`, from 0.
    ///
    /// # Errors
    /// [`TaskError::NoSuchTask`] beyond the end.
    pub fn get(&self, index: u32) -> Result<&Problem, TaskError> {
        self.problems.get(index as usize).ok_or_else(|| TaskError::NoSuchTask {
            set: self.label.clone(),
            split: self.split,
            index,
            len: u32::try_from(self.problems.len()).unwrap_or(u32::MAX),
        })
    }

    /// All problems in order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Problems of a family whose splits hold the same ones: each of a split is another, and demonstrations are as many as are asked for.
fn shared(shape: enumerable::Shape, split: Split, count: u32, seed: Seed) -> Result<Vec<Draft>, TaskError> {
    let family = Family::Enumerable(shape);
    let mut rng = seed.derive(&format!("tasks/{family}/{split}")).stream();
    if split == Split::Demonstrations {
        return Ok(enumerable::demonstrations(shape, count as usize, &mut rng));
    }
    admit(family, Part::of_split(split), u64::from(count))?;
    Ok(enumerable::problems(shape, count as usize, &mut rng))
}

/// The solved examples put before every question: `source.shots` of them, from a part of the space of their own.
/// Empty if the source asks for none.
///
/// # Errors
/// [`TaskError::TooFew`] says how many examples there are.
pub fn few_shot_prefix(source: &Builtin, seed: Seed) -> Result<String, TaskError> {
    let drafts = draw_distinct(source.family, Part::Shots, u64::from(source.shots), seed)?;
    Ok(drafts.iter().map(|draft| source.family.solved(&draft.prompt, &draft.answer)).collect())
}

/// The splits of `source` (shots among them) that ask for more than the family's space holds.
pub(crate) fn check_sizes(source: &Builtin) -> Vec<TaskError> {
    // Where splits share problems, demonstrations take none away from the others.
    let (together, alone) =
        if source.family.shares_problems() { (0, source.demonstrations) } else { (source.demonstrations, 0) };
    if alone > MAX_SPLIT {
        let (asked, available) = (u64::from(alone), u64::from(MAX_SPLIT));
        return vec![TaskError::TooFew { family: source.family, part: "demonstrations", asked, available }];
    }
    let asked = [
        (Part::Train, u64::from(source.train) + u64::from(together)),
        (Part::Val, u64::from(source.val)),
        (Part::Test, u64::from(source.test)),
        (Part::Shots, u64::from(source.shots)),
    ];
    asked.into_iter().filter_map(|(part, count)| admit(source.family, part, count).err()).collect()
}

/// What must differ between the problems of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distinct {
    Forms,
    Prompts,
}

/// Whether `part` has `count` problems, and how they are to differ.
fn admit(family: Family, part: Part, count: u64) -> Result<Distinct, TaskError> {
    if count == 0 {
        return Ok(Distinct::Prompts);
    }
    let (available, distinct_forms) = match family.space(part, count) {
        Space::Vast => (u64::from(MAX_SPLIT), part != Part::Train),
        // Beyond half of the forms the rare ones (`111111`) would take very long to come up.
        Space::Counted { forms, prompts } => {
            (prompts.min(u64::from(MAX_SPLIT)), part != Part::Train && count <= forms / 2)
        }
        Space::Sampled { forms, prompts } => {
            (prompts.max(forms).min(u64::from(MAX_SPLIT)), part != Part::Train && count <= forms)
        }
    };
    if count > available {
        let part = match part {
            Part::Train if !family.shares_problems() => "train and demonstrations together",
            Part::Train => "train",
            Part::Val | Part::Test | Part::Shots => part.label(),
        };
        return Err(TaskError::TooFew { family, part, asked: count, available });
    }
    Ok(if distinct_forms { Distinct::Forms } else { Distinct::Prompts })
}

/// Draws `count` problems of `part` by rejection; terminates because the space was counted first.
fn draw_distinct(family: Family, part: Part, count: u64, seed: Seed) -> Result<Vec<Draft>, TaskError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let distinct = admit(family, part, count)?;
    let mut rng = seed.derive(&format!("tasks/{family}/{}", part.label())).stream();
    let (mut seen, mut drafts) = (BTreeSet::new(), Vec::new());
    while (drafts.len() as u64) < count {
        let draft = family.draw(&mut rng);
        let key = match distinct {
            Distinct::Forms => &draft.canonical,
            Distinct::Prompts => &draft.prompt,
        };
        if Part::of_form(family, &draft.canonical) == part && seen.insert(key.clone()) {
            drafts.push(draft);
        }
    }
    Ok(drafts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::trajectory::Outcome;

    const SPLITS: [Split; 4] = [Split::Train, Split::Demonstrations, Split::Val, Split::Test];

    fn source(family: Family, n: u32) -> Builtin {
        Builtin { train: n, val: n, test: n, demonstrations: n / 2, shots: 4, ..Builtin::of(family) }
    }

    fn any_family() -> impl Strategy<Value = Family> {
        let families: Vec<Family> = Family::ALL.into_iter().chain(shaped()).collect();
        (0..families.len()).prop_map(move |i| families[i])
    }

    /// Families whose splits share nothing.
    fn any_split_family() -> impl Strategy<Value = Family> {
        any_family().prop_filter("its splits share problems", |family| !family.shares_problems())
    }

    fn of_json(json: &str) -> Family {
        serde_json::from_str(json).unwrap()
    }

    /// Families with options.
    fn shaped() -> impl Iterator<Item = Family> {
        [
            r#"{"arithmetic_steps": {"count": [2, 3], "digits": [1, 2], "products": false}}"#,
            r#"{"arithmetic_steps": {"count": [5, 6], "digits": [1, 1]}}"#,
            r#"{"arithmetic_steps": {"count": [2, 2], "digits": [9, 9]}}"#,
            r#"{"countdown": {"count": [3, 3], "largest": 9, "target": 30}}"#,
            r#"{"countdown": {"count": [2, 5], "largest": 1000, "target": 10000}}"#,
            r#"{"countdown_steps": {"count": [3, 3], "largest": 9, "target": 30}}"#,
            r#"{"sum_review": {"count": [2, 2], "digits": [1, 1]}}"#,
            r#"{"rendered_sums": {"count": [3, 3], "digits": [1, 1], "noise": 5}}"#,
            r#"{"rendered_sums": {"count": [2, 4], "digits": [1, 3], "mismatched": true}}"#,
        ]
        .into_iter()
        .map(of_json)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn no_canonical_form_is_in_two_splits_even_of_two_runs(family in any_split_family(), a in 0u64.., b in 0u64..) {
            let source = source(family, 40);
            let mut home = BTreeMap::new();
            for (split, seed) in SPLITS.iter().flat_map(|s| [(*s, a), (*s, b)]) {
                let part = Part::of_split(split).label();
                for problem in TaskSetData::generate(&source, split, Seed(seed)).unwrap().problems() {
                    let before = *home.entry(problem.canonical.clone()).or_insert(part);
                    prop_assert_eq!(before, part, "{} is in two splits", problem.canonical);
                }
            }
            let prefix = few_shot_prefix(&source, Seed(a)).unwrap();
            for example in draw_distinct(family, Part::Shots, 4, Seed(a)).unwrap() {
                let solved = family.solved(&example.prompt, &example.answer);
                prop_assert!(prefix.contains(&solved));
                prop_assert!(!home.contains_key(&example.canonical), "{} is a shot and a task", example.canonical);
            }
        }

        #[test]
        fn prompts_are_distinct_and_the_seed_decides(family in any_split_family(), seed in 0u64..) {
            let source = source(family, 40);
            let train = TaskSetData::generate(&source, Split::Train, Seed(seed)).unwrap();
            let demonstrations = TaskSetData::generate(&source, Split::Demonstrations, Seed(seed)).unwrap();
            let prompts: BTreeSet<_> =
                train.problems().iter().chain(demonstrations.problems()).map(|p| p.prompt.clone()).collect();
            prop_assert_eq!(prompts.len(), 60);
            prop_assert_eq!(&train, &TaskSetData::generate(&source, Split::Train, Seed(seed)).unwrap());
            prop_assert_ne!(&train, &TaskSetData::generate(&source, Split::Train, Seed(seed ^ 1)).unwrap());
            prop_assert_eq!(train.get(17).unwrap().key.as_str(), "train/17");
            prop_assert!(train.get(40).is_err());
        }

        #[test]
        fn only_gold_answers_verify(family in any_family(), seed in 0u64..) {
            let data = TaskSetData::generate(&source(family, 40), Split::Train, Seed(seed)).unwrap();
            let (prompt_max, answer_max) = family.longest();
            for problem in data.problems() {
                prop_assert_eq!(family.verify(problem, &problem.answer).outcome, Outcome::Pass);
                prop_assert!(problem.prompt.chars().count() <= prompt_max as usize, "{}", problem.prompt);
                prop_assert!(problem.answer.chars().count() <= answer_max as usize, "{}", problem.answer);
                let solved = family.solved(&problem.prompt, &problem.answer);
                let patch = |c: char| crate::image::Patch::is_code(u32::from(c));
                prop_assert!(solved.chars().all(|c| patch(c) || family.characters().contains(&c)), "{}", solved);
                prop_assert_eq!(crate::image::has_image(&problem.prompt), family.has_images());
                prop_assert!(!crate::image::has_image(&problem.answer));
                prop_assert!(!problem.answer.contains(family.terminator()));
                // Where many answers are right, another problem's may be: these families have tests of their own.
                let many = matches!(family, Family::ListProgram(_) | Family::ArithmeticSteps(_) | Family::CountdownSteps(_) | Family::RenderedSums(_) | Family::SumReview(_));
                let foreign = |o: &&Problem| !many && o.answer != problem.answer && o.canonical != problem.canonical;
                for other in data.problems().iter().filter(foreign) {
                    prop_assert_eq!(family.verify(problem, &other.answer).outcome, Outcome::Fail);
                }
                prop_assert_eq!(family.verify(problem, "").outcome, Outcome::Fail);
            }
        }
    }

    #[test]
    fn val_and_test_hold_no_reorderings_of_each_other() {
        for family in Family::ALL {
            let source = Builtin { val: 12, test: 12, ..Builtin::of(family) };
            for split in [Split::Val, Split::Test] {
                let data = TaskSetData::generate(&source, split, Seed(3)).unwrap();
                let forms: BTreeSet<_> = data.problems().iter().map(|p| &p.canonical).collect();
                assert_eq!(forms.len(), 12, "{family} {split}");
            }
        }
    }

    #[test]
    fn a_whole_part_can_be_asked_for_and_not_one_more() {
        let mut source = source(Family::SortThreeDigits, 100_000);
        let error = TaskSetData::generate(&source, Split::Test, Seed(1)).unwrap_err();
        let TaskError::TooFew { available, .. } = error else { panic!("{error}") };
        source.test = u32::try_from(available).unwrap();
        assert_eq!(TaskSetData::generate(&source, Split::Test, Seed(1)).unwrap().problems().len() as u64, available);
        source.test += 1;
        assert!(TaskSetData::generate(&source, Split::Test, Seed(1)).is_err());
    }

    #[test]
    fn splits_of_a_family_that_shares_problems_hold_the_same_contexts() {
        let family = of_json(r#"{"enumerable": {"contexts": 20}}"#);
        let source = Builtin { train: 20, val: 20, test: 5, demonstrations: 100, ..Builtin::of(family) };
        assert_eq!(check_sizes(&source), []);
        let of = |split| TaskSetData::generate(&source, split, Seed(3)).unwrap().problems().to_vec();
        let prompts = |split| of(split).into_iter().map(|problem| problem.prompt).collect::<BTreeSet<_>>();
        assert_eq!((prompts(Split::Train).len(), prompts(Split::Test).len()), (20, 5));
        assert_eq!(prompts(Split::Train), prompts(Split::Val));
        assert_eq!(prompts(Split::Train), prompts(Split::Demonstrations));
        let shown = of(Split::Demonstrations);
        assert_eq!(shown.len(), 100);
        let right = shown.iter().filter(|one| family.verify(one, &one.answer).outcome == Outcome::Pass).count();
        assert!((15..=55).contains(&right), "demonstrations are drawn by a law of which 0.2 to 0.5 is right: {right}");
        let too_many = Builtin { val: 21, demonstrations: MAX_SPLIT, shots: 1, ..source.clone() };
        let messages: Vec<String> = check_sizes(&too_many).iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].contains("20 different problems for val")
                && messages[1].contains("0 different problems for shots")
        );
        assert_eq!(check_sizes(&Builtin { demonstrations: MAX_SPLIT + 1, ..source }).len(), 1);
    }

    /// What `part` of the family says it has can be drawn whatever the seed; one more is refused.
    #[test]
    fn small_shapes_give_what_they_promise_and_no_more() {
        for json in [
            r#"{"arithmetic_steps": {"count": [2, 2], "digits": [1, 1], "products": false}}"#,
            r#"{"countdown": {"count": [2, 2], "largest": 3, "target": 10}}"#,
            r#"{"countdown_steps": {"count": [3, 3], "largest": 5, "target": 12}}"#,
            r#"{"sum_review": {"count": [1, 1], "digits": [1, 1]}}"#,
        ] {
            let mut source = source(of_json(json), 0);
            for split in [Split::Train, Split::Val, Split::Test] {
                (source.train, source.val, source.test) = (MAX_SPLIT, MAX_SPLIT, MAX_SPLIT);
                let error = TaskSetData::generate(&source, split, Seed(1)).unwrap_err();
                let TaskError::TooFew { available, .. } = error else { panic!("{error}") };
                assert!(available < 2000, "{json} {split}: {available}");
                let most = u32::try_from(available).unwrap();
                (source.train, source.val, source.test) = (most, most, most);
                for seed in 1..4 {
                    let drawn = TaskSetData::generate(&source, split, Seed(seed)).unwrap();
                    assert_eq!(drawn.problems().len() as u64, available);
                }
            }
        }
        let two = of_json(r#"{"arithmetic_steps": {"count": [2, 2], "digits": [1, 1], "products": false}}"#);
        let available = |part| match admit(two, part, u64::from(MAX_SPLIT)).unwrap_err() {
            TaskError::TooFew { available, .. } => available,
            TaskError::NoSuchTask { .. } => 0,
        };
        // 81 sums, and 45 differences that are not negative: every one is found.
        let all = [Part::Train, Part::Val, Part::Test, Part::Shots].map(available);
        assert_eq!(all.iter().sum::<u64>(), 126, "{all:?}");
    }

    #[test]
    fn a_few_shot_prefix_is_solved_examples() {
        let prefix = few_shot_prefix(&source(Family::LargestOfFive, 1), Seed(1)).unwrap();
        let lines: Vec<_> = prefix.lines().collect();
        assert_eq!(lines.len(), 8);
        assert!(lines[0].starts_with("Q: Largest of ") && lines[1].starts_with("A: "), "{prefix}");
        assert!(prefix.ends_with('\n'));
    }
}
