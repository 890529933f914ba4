//! Stop strings against the plain search in the whole text, however it is cut.

use proptest::prelude::*;

use super::*;

/// The definition: the first end of any stop string, the longest and then the first of those that end there.
fn plainly(text: &str, stops: &[String]) -> Option<(usize, usize)> {
    let ends = (1..=text.len()).filter(|end| text.is_char_boundary(*end));
    for end in ends {
        let here = (0..stops.len()).filter(|index| text[..end].ends_with(stops[*index].as_str()));
        if let Some(index) = here.min_by_key(|index| (usize::MAX - stops[*index].len(), *index)) {
            return Some((end - stops[index].len(), index));
        }
    }
    None
}

/// Feeds `text` cut at `cuts`.
fn searched(text: &str, stops: &[String], cuts: &[usize]) -> (String, Option<usize>) {
    let mut search = StopSearch::new(Arc::new(StopStrings::new(stops).unwrap()));
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    borders.extend([0, text.len()]);
    borders.retain(|border| text.is_char_boundary(*border));
    borders.sort_unstable();
    let mut out = String::new();
    for pair in borders.windows(2) {
        let (piece, stop) = search.push(&text[pair[0]..pair[1]]);
        out += &piece;
        if stop.is_some() {
            return (out, stop);
        }
        // Nothing that is out may turn out to begin a stop string.
        assert!(stops.iter().all(|stop| !(out.clone() + &search.held).contains(stop.as_str())));
    }
    (out + &search.finish(), None)
}

proptest! {
    #[test]
    fn found_as_in_the_whole_text(
        text in "[abé€]{0,40}",
        stops in prop::collection::vec("[abé€]{1,5}", 0..4),
        cuts in prop::collection::vec(0usize..200, 0..12),
    ) {
        let expected = match plainly(&text, &stops) {
            Some((start, index)) => (text[..start].to_owned(), Some(index)),
            None => (text.clone(), None),
        };
        prop_assert_eq!(searched(&text, &stops, &cuts), expected);
    }
}

#[test]
fn text_is_held_back_only_while_it_may_begin_a_stop_string() {
    let mut search = StopSearch::new(Arc::new(StopStrings::new(&["END", "\n\nQ:"]).unwrap()));
    assert_eq!(search.push("one E"), ("one ".to_owned(), None));
    assert_eq!(search.push("ast\n"), ("East".to_owned(), None));
    assert_eq!(search.push("\n\n"), ("\n".to_owned(), None));
    assert_eq!(search.push("Q"), (String::new(), None));
    assert_eq!(search.push(": what"), (String::new(), Some(1)));
}

#[test]
fn an_empty_stop_string_is_refused() {
    assert_eq!(StopStrings::new(&["a", ""]).unwrap_err(), EmptyStopString { index: 1 });
}

fn characters(rules: StopRules) -> (CompletionText, impl Fn(&str) -> Vec<u32>) {
    let tokenizer = Arc::new(crate::Tokenizer::characters("abcdefgh ").unwrap());
    let texts = Arc::new(TokenTexts::new(Arc::clone(&tokenizer)).unwrap());
    (CompletionText::new(rules, texts, &[2]), move |text| tokenizer.encode(text).unwrap())
}

fn run(tokens: &[u32], text: &mut CompletionText) -> (String, usize, Option<Finish>) {
    let mut out = String::new();
    for (count, token) in (1..).zip(tokens) {
        let step = text.push(*token).unwrap();
        out += &step.text;
        if step.finish.is_some() {
            return (out, count, step.finish);
        }
    }
    (out, tokens.len(), None)
}

#[test]
fn completions_end_by_token_string_or_length() {
    let rules = |max_new_tokens| StopRules {
        tokens: Arc::new([1].into()),
        strings: Arc::new(StopStrings::new(&["de", "fgh"]).unwrap()),
        max_new_tokens,
    };
    let ended = |text: &str, last: &[u32], most| {
        let (mut completion, encode) = characters(rules(most));
        run(&[encode(text), last.to_vec()].concat(), &mut completion)
    };
    assert_eq!(ended("abcdef", &[], 100), ("abc".to_owned(), 5, Some(Finish::StopString(0))));
    assert_eq!(ended("abcfgb", &[1], 100), ("abcfgb".to_owned(), 7, Some(Finish::StopToken)));
    assert_eq!(ended("abcfg", &[1, 3], 100), ("abcfg".to_owned(), 6, Some(Finish::StopToken)));
    // What was held back comes out at the end.
    assert_eq!(ended("abcfgh", &[], 5), ("abcfg".to_owned(), 5, Some(Finish::Length)));
    assert_eq!(ended("abcfgh", &[], 6), ("abc".to_owned(), 6, Some(Finish::StopString(1))));
    assert_eq!(ended("abcf", &[], 6), ("abc".to_owned(), 4, None));
}
