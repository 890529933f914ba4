//! Completions of token ids: rollouts.
//!
//! Training needs the very tokens that were sampled, so an answer without token ids is an error: text that is tokenised again
//! may become other tokens.

use galapagos_domain::recipe::guide::Guide;
use serde_json::{Value, json};

use super::super::ask::Read;
use super::{Dialect, add_sampling, choices, token_ids};
use crate::engine::guided::Guided;
use crate::engine::{Batch, Completion, Request};

/// Where they are asked for.
pub const PATH: &str = "/v1/completions";

/// A bias that makes a token impossible, as far as servers take one.
const NEVER: f64 = -100.0;

/// The body for one request of `batch`, asking for token ids. `guided` is the request's guide, compiled.
#[must_use]
pub fn body(model: &str, batch: &Batch, request: &Request, guided: Option<&Guided>) -> Value {
    let prompt = [batch.prefix.as_slice(), request.prompt.as_slice()].concat();
    let mut body = json!({
        "model": model,
        "prompt": prompt,
        "n": request.samples,
        "max_tokens": batch.max_tokens,
        "stop_token_ids": batch.stop,
        "logprobs": 0,
        "return_token_ids": true,
        "skip_special_tokens": false,
    });
    add_sampling(&mut body, &request.sampling, request.seed, Dialect::Open);
    if let Some(guide) = &request.sampling.guide {
        body["structured_outputs"] = structured(guide, batch.terminator);
    }
    if let Some(guided) = guided {
        // vLLM takes stop tokens for the guide's end whatever their text is: those that have more than the terminator must not come.
        body["stop_token_ids"] = json!(guided.ends());
        if !guided.barred().is_empty() {
            body["logit_bias"] = guided.barred().iter().map(|token| (token.to_string(), json!(NEVER))).collect();
        }
    }
    body
}

/// The guide as vLLM's `structured_outputs`. Where the form can say so, the terminator may follow the text: without it the server
/// would allow end-of-sequence alone there.
fn structured(guide: &Guide, terminator: Option<char>) -> Value {
    let end = terminator.map(String::from);
    match (guide, end) {
        (Guide::Regex(pattern), Some(end)) => json!({"regex": format!("(?:{pattern}){}?", escaped(&end))}),
        (Guide::Regex(pattern), None) => json!({"regex": pattern}),
        (Guide::Choice(texts), Some(end)) => {
            let ended = texts.iter().map(|text| format!("{text}{end}"));
            json!({"choice": texts.iter().cloned().chain(ended).collect::<Vec<_>>()})
        }
        (Guide::Choice(texts), None) => json!({"choice": texts}),
        (Guide::JsonSchema(schema), end) => {
            let mut schema = schema.clone();
            if end.as_deref() == Some("\n") {
                // Servers on llguidance read this; white space of others may hold the terminator, which the check then finds.
                let pattern = json!({"whitespace_pattern": "[ \\t]{1,16}"});
                schema.entry("x-guidance").or_insert(pattern);
            }
            json!({"json": schema})
        }
        (Guide::Lark(grammar), _) => json!({"grammar": grammar}),
    }
}

/// A terminator in a regular expression.
fn escaped(end: &str) -> String {
    match end {
        "\n" => "\\n".to_owned(),
        other if other.chars().all(char::is_alphanumeric) => other.to_owned(),
        other => format!("\\{other}"),
    }
}

/// The completions in `answer`, in order of their index.
///
/// # Errors
/// A sentence that says what is missing.
pub(in super::super) fn completions(answer: &Value, samples: u32, max_tokens: u32) -> Result<Read<Completion>, String> {
    let made = choices(answer, samples, |choice| completion(choice, max_tokens))?;
    let tokens = made.iter().map(|completion| completion.tokens.len() as u64).sum();
    Ok(Read { made, tokens })
}

fn completion(choice: &Value, max_tokens: u32) -> Result<Completion, String> {
    let ids = choice.get("token_ids").filter(|ids| ids.is_array()).ok_or(
        "it holds no `token_ids`: rollouts need the sampled tokens themselves (vLLM from 0.10.2 sends them, as does galapagos serve)",
    )?;
    let tokens = token_ids(Some(ids)).ok_or("`token_ids` are no token ids")?;
    let listed = choice.pointer("/logprobs/token_logprobs").and_then(Value::as_array);
    let listed =
        listed.ok_or("it holds no `logprobs.token_logprobs`; start the server with log-probabilities allowed")?;
    let number = |value: &Value| value.as_f64().map(|log_prob| log_prob as f32);
    let log_probs: Vec<f32> =
        listed.iter().map(number).collect::<Option<_>>().ok_or("a log-probability is no number")?;
    if tokens.len() != log_probs.len() {
        return Err(format!("it lists {} tokens but {} log-probabilities", tokens.len(), log_probs.len()));
    }
    if tokens.is_empty() || tokens.len() > max_tokens as usize {
        return Err(format!("a completion has {} tokens where 1 to {max_tokens} were asked for", tokens.len()));
    }
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop" | "length") => Ok(Completion { tokens, log_probs }),
        other => Err(format!("a completion ended with {other:?}: it was cut by the server, not by a stop rule")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use galapagos_domain::ids::Digest;
    use galapagos_domain::job::Sampling;
    use galapagos_domain::recipe::guide::Speculate;
    use galapagos_domain::seed::Seed;
    use galapagos_model::Tokenizer;
    use galapagos_model::detokenize::TokenTexts;

    use super::*;
    use crate::engine::CheckpointDir;
    use crate::engine::guided::Vocabulary;

    fn sent(sampling: Sampling, terminator: Option<char>) -> Value {
        let digest = Digest::of(b"c");
        let checkpoint = CheckpointDir { checkpoint: digest, weights: digest, path: PathBuf::new(), base: None };
        let guide = sampling.guide.clone();
        let request = Request { prompt: vec![3], samples: 2, seed: Seed(8), sampling: Arc::new(sampling) };
        let batch =
            Batch { checkpoint, prefix: vec![2], requests: vec![], stop: vec![1, 4, 5], terminator, max_tokens: 9 };
        let texts = TokenTexts::new(Arc::new(tokenizer())).unwrap();
        let vocabulary = Vocabulary::new(Arc::new(texts), &batch.stop, terminator).unwrap();
        let guided = guide.map(|guide| vocabulary.compile(&guide).unwrap());
        body("m", &batch, &request, guided.as_ref())
    }

    /// Characters and, as token 5, a piece that holds the terminator behind other text.
    fn tokenizer() -> Tokenizer {
        let mut files = Tokenizer::characters("ab\n.{}").unwrap().files().clone();
        let mut file: Value = serde_json::from_slice(&files["tokenizer.json"]).unwrap();
        let vocabulary = &mut file["model"]["vocab"];
        vocabulary["."] = json!(8);
        vocabulary["b\n"] = json!(5);
        file["model"]["merges"] = json!([["b", "\n"]]);
        files.insert("tokenizer.json".to_owned(), file.to_string().into_bytes());
        Tokenizer::from_files(files).unwrap()
    }

    #[test]
    fn under_a_guide_only_what_ends_and_adds_nothing_ends() {
        let guide = Some(Guide::Choice(vec!["a".to_owned(), "b".to_owned()]));
        let sent = sent(Sampling { guide, ..Sampling::at(1.0) }, Some('\n'));
        assert_eq!(sent["stop_token_ids"], json!([1, 4]));
        assert_eq!(sent["logit_bias"], json!({"5": -100.0}));
    }

    #[test]
    fn every_choice_is_sent_so_that_no_default_of_a_server_takes_its_place() {
        let plain = sent(Sampling { top_p: 0.9, speculate: Speculate::Lookup, ..Sampling::at(0.5) }, Some('\n'));
        let expected = json!({
            "model": "m", "prompt": [2, 3], "n": 2, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 4,
            "stop_token_ids": [1, 4, 5], "logprobs": 0, "return_token_ids": true, "skip_special_tokens": false,
            "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
        });
        assert_eq!(plain, expected);
        let all = sent(Sampling { top_k: Some(7), min_p: 0.1, repetition_penalty: 1.2, ..Sampling::at(0.5) }, None);
        assert_eq!((&all["top_k"], &all["min_p"], &all["repetition_penalty"]), (&json!(7), &json!(0.1), &json!(1.2)));
    }

    #[test]
    fn guides_have_vllms_names_and_the_terminator_may_follow() {
        let structured = |guide: Guide, terminator| {
            sent(Sampling { guide: Some(guide), ..Sampling::at(1.0) }, terminator)["structured_outputs"].clone()
        };
        let regex = || Guide::Regex("a|b".to_owned());
        assert_eq!(structured(regex(), Some('\n')), json!({"regex": "(?:a|b)\\n?"}));
        assert_eq!(structured(regex(), Some('.')), json!({"regex": "(?:a|b)\\.?"}));
        assert_eq!(structured(regex(), None), json!({"regex": "a|b"}));
        let choice = || Guide::Choice(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(structured(choice(), Some('\n')), json!({"choice": ["a", "b", "a\n", "b\n"]}));
        assert_eq!(structured(choice(), None), json!({"choice": ["a", "b"]}));
        assert_eq!(structured(Guide::Lark("start: /a/".to_owned()), Some('\n')), json!({"grammar": "start: /a/"}));
        let schema = json!({"type": "object"}).as_object().unwrap().clone();
        let json = structured(Guide::JsonSchema(schema), Some('\n'));
        assert_eq!(json["json"]["type"], "object");
        assert_eq!(json["json"]["x-guidance"]["whitespace_pattern"], "[ \\t]{1,16}");
    }

    fn choice(index: u64, tokens: &[u32]) -> Value {
        let log_probs = vec![-0.5; tokens.len()];
        json!({"index": index, "token_ids": tokens, "logprobs": {"token_logprobs": log_probs}, "finish_reason": "stop"})
    }

    #[test]
    fn choices_are_put_in_order() {
        let answer = json!({"choices": [choice(1, &[7]), choice(0, &[5, 6])]});
        let made = completions(&answer, 2, 4).unwrap().made;
        assert_eq!(made[0].tokens, [5, 6]);
        assert_eq!(made[1].log_probs, [-0.5]);
    }

    #[test]
    fn an_answer_that_lacks_something_is_refused_with_what() {
        let with = |field: &str, value: Value| {
            let mut choice = choice(0, &[5]);
            choice[field] = value;
            completions(&json!({"choices": [choice]}), 1, 4).unwrap_err()
        };
        assert!(with("token_ids", Value::Null).contains("token_ids"));
        assert!(with("token_ids", json!([5, 6])).contains("2 tokens but 1"));
        assert!(with("logprobs", Value::Null).contains("token_logprobs"));
        assert!(with("logprobs", json!({"token_logprobs": [null]})).contains("no number"));
        assert!(with("finish_reason", json!("abort")).contains("abort"));
        assert!(completions(&json!({"choices": []}), 1, 4).unwrap_err().contains("0 choices"));
        assert!(
            completions(&json!({"choices": [choice(0, &[1]), choice(0, &[2])]}), 2, 4)
                .unwrap_err()
                .contains("same index")
        );
        assert!(completions(&json!({"choices": [choice(0, &[1, 2, 3])]}), 1, 2).unwrap_err().contains("3 tokens"));
    }
}
