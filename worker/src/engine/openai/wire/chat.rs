//! Conversations: messages out, text with log-probabilities back.

use galapagos_domain::recipe::guide::Guide;
use serde_json::{Value, json};

use super::super::ask::Read;
use super::{Dialect, add_sampling, choices, token_ids};
use crate::engine::conversation::{ChatBatch, Conversation, Ending, Reply, ReplyToken, Speaker};

/// Where they are asked for.
pub const PATH: &str = "/v1/chat/completions";

/// The body for one conversation of `batch` with the model `name`.
#[must_use]
pub fn body(name: &str, batch: &ChatBatch, asked: &Conversation) -> Value {
    let mut body = json!({
        "model": name,
        "messages": asked.messages,
        "n": asked.samples,
        "max_tokens": batch.max_tokens,
    });
    let dialect = match batch.speaker {
        Speaker::Version(_) => Dialect::Open,
        Speaker::Named(_) => Dialect::Unknown,
    };
    add_sampling(&mut body, &asked.sampling, asked.seed, dialect);
    if dialect == Dialect::Open {
        // The prompt's, which say how the server rendered the conversation.
        body["return_token_ids"] = json!(true);
    }
    if !batch.stop.is_empty() {
        body["stop"] = json!(batch.stop);
    }
    if let Some(top) = batch.log_probs {
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(top);
    }
    match &asked.sampling.guide {
        Some(Guide::JsonSchema(schema)) => {
            let schema = json!({"name": "reply", "schema": schema, "strict": true});
            body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
        }
        // OpenAI has no field for these; vLLM's.
        Some(Guide::Regex(pattern)) => body["structured_outputs"] = json!({"regex": pattern}),
        Some(Guide::Choice(texts)) => body["structured_outputs"] = json!({"choice": texts}),
        Some(Guide::Lark(grammar)) => body["structured_outputs"] = json!({"grammar": grammar}),
        None => {}
    }
    body
}

/// The replies in `answer` to `asked`, in order of their index. `prompt` holds the tokens that the server must have rendered the
/// conversation as, if they are known.
///
/// # Errors
/// A sentence that says what is missing or wrong.
pub(in super::super) fn replies(
    answer: &Value,
    batch: &ChatBatch,
    asked: &Conversation,
    prompt: Option<&[u32]>,
) -> Result<Read<Reply>, String> {
    if let Some(prompt) = prompt {
        check_prompt(answer, prompt)?;
    }
    let model = answer.get("model").and_then(Value::as_str).ok_or("it does not say which `model` answered")?;
    let made = choices(answer, asked.samples, |choice| reply(choice, model, batch.log_probs.is_some()))?;
    let tokens = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64);
    let tokens = tokens.ok_or("it holds no `usage.completion_tokens`, by which its cost is counted")?;
    Ok(Read { made, tokens })
}

/// Another chat template would ask another question than this version was trained to answer, and nothing in the reply would say so.
fn check_prompt(answer: &Value, expected: &[u32]) -> Result<(), String> {
    let rendered = token_ids(answer.get("prompt_token_ids")).ok_or(
        "it does not say which tokens the conversation became (`prompt_token_ids`: vLLM from 0.10.2 sends them, as does galapagos serve)",
    )?;
    if rendered == expected {
        return Ok(());
    }
    let same = rendered.iter().zip(expected).take_while(|(there, here)| there == here).count();
    Err(format!(
        "it rendered the conversation as {} tokens and this version's chat template as {}, the same up to token {same}: start the \
         server with the template of the version's folder",
        rendered.len(),
        expected.len()
    ))
}

fn reply(choice: &Value, model: &str, listed: bool) -> Result<Reply, String> {
    let ending = match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop") => Ending::Stop,
        Some("length") => Ending::Length,
        other => return Err(format!("a reply ended with {other:?}: neither a stop rule nor its length ended it")),
    };
    if let Some(refusal) = choice.pointer("/message/refusal").and_then(Value::as_str) {
        return Err(format!("the model refused to reply: {refusal}"));
    }
    let text = choice.pointer("/message/content").and_then(Value::as_str).ok_or(
        "a reply has no `message.content`; a model that thinks first may have reached `max_tokens` before it came to its reply",
    )?;
    let tokens = if listed { tokens(choice)? } else { Vec::new() };
    if listed && tokens.is_empty() && !text.is_empty() {
        return Err("a reply has text, but lists no tokens".to_owned());
    }
    Ok(Reply { text: text.to_owned(), tokens, ending, model: model.to_owned() })
}

fn tokens(choice: &Value) -> Result<Vec<ReplyToken>, String> {
    let listed = choice.pointer("/logprobs/content").and_then(Value::as_array);
    let listed = listed.ok_or("it holds no `logprobs.content`; the server must allow log-probabilities")?;
    let token = |entry: &Value| -> Option<ReplyToken> {
        let (text, log_prob) = pair(entry)?;
        let top = entry.get("top_logprobs").and_then(Value::as_array).into_iter().flatten();
        let mut top: Vec<(String, f32)> = top.map(pair).collect::<Option<_>>()?;
        // Some servers put the sampled token first.
        top.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        Some(ReplyToken { text, log_prob, top })
    };
    listed
        .iter()
        .map(token)
        .collect::<Option<_>>()
        .ok_or_else(|| "a token in `logprobs.content` lacks its `token` or `logprob`".to_owned())
}

fn pair(entry: &Value) -> Option<(String, f32)> {
    let text = entry.get("token")?.as_str()?.to_owned();
    Some((text, entry.get("logprob")?.as_f64()? as f32))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use galapagos_domain::job::Sampling;
    use galapagos_domain::seed::Seed;
    use galapagos_model::ChatMessage;

    use super::*;

    fn asked(sampling: Sampling) -> Conversation {
        let messages = vec![ChatMessage::new("user", "which?")];
        Conversation { messages, samples: 1, seed: Seed(8), sampling: Arc::new(sampling) }
    }

    fn batch(log_probs: Option<u32>) -> ChatBatch {
        let speaker = Speaker::Named("judge".to_owned());
        ChatBatch { speaker, conversations: vec![], stop: vec![], max_tokens: 9, log_probs }
    }

    #[test]
    fn a_server_of_unknown_kind_is_asked_for_nothing_but_what_means_something() {
        let sent = body("judge", &batch(None), &asked(Sampling::at(0.5)));
        let expected = json!({
            "model": "judge", "messages": [{"role": "user", "content": "which?"}], "n": 1, "max_tokens": 9,
            "temperature": 0.5, "top_p": 1.0, "seed": 4,
        });
        assert_eq!(sent, expected);
        let all = ChatBatch { stop: vec!["\n".to_owned()], ..batch(Some(5)) };
        let sent = body("judge", &all, &asked(Sampling { top_k: Some(3), ..Sampling::at(0.5) }));
        assert_eq!((&sent["stop"], &sent["top_k"]), (&json!(["\n"]), &json!(3)));
        assert_eq!((&sent["logprobs"], &sent["top_logprobs"]), (&json!(true), &json!(5)));
    }

    #[test]
    fn a_schema_goes_as_openai_has_it_and_other_guides_as_vllm_does() {
        let guided = |guide| body("judge", &batch(None), &asked(Sampling { guide: Some(guide), ..Sampling::at(1.0) }));
        let schema = json!({"type": "object"}).as_object().unwrap().clone();
        let sent = guided(Guide::JsonSchema(schema.clone()));
        assert_eq!(sent["response_format"]["json_schema"]["schema"], Value::from(schema));
        assert_eq!(guided(Guide::Choice(vec!["A".to_owned()]))["structured_outputs"], json!({"choice": ["A"]}));
        assert_eq!(guided(Guide::Regex("a".to_owned()))["structured_outputs"], json!({"regex": "a"}));
        assert_eq!(
            guided(Guide::Lark("start: /a/".to_owned()))["structured_outputs"],
            json!({"grammar": "start: /a/"})
        );
    }

    fn answer() -> Value {
        let top = json!([{"token": "A", "logprob": -1.5}, {"token": "B", "logprob": -0.5}]);
        let content = json!([{"token": "A", "logprob": -1.5, "top_logprobs": top}]);
        let choice = json!({
            "index": 0, "finish_reason": "stop", "message": {"content": "A", "refusal": null}, "logprobs": {"content": content},
        });
        json!({"model": "judge-2", "choices": [choice], "usage": {"completion_tokens": 2}, "prompt_token_ids": [1, 2, 3]})
    }

    fn read(answer: &Value) -> Result<Read<Reply>, String> {
        replies(answer, &batch(Some(2)), &asked(Sampling::at(1.0)), Some(&[1, 2, 3]))
    }

    #[test]
    fn a_reply_is_read_with_who_gave_it_and_its_candidates_in_order() {
        let Read { made, tokens } = read(&answer()).unwrap();
        let top = vec![("B".to_owned(), -0.5), ("A".to_owned(), -1.5)];
        let token = ReplyToken { text: "A".to_owned(), log_prob: -1.5, top };
        let expected =
            Reply { text: "A".to_owned(), tokens: vec![token], ending: Ending::Stop, model: "judge-2".to_owned() };
        assert_eq!((made, tokens), (vec![expected], 2));
    }

    #[test]
    fn an_answer_that_lacks_something_is_refused_with_what() {
        let with = |pointer: &str, value: Value| {
            let mut answer = answer();
            *answer.pointer_mut(pointer).unwrap() = value;
            read(&answer).unwrap_err()
        };
        assert!(with("/model", Value::Null).contains("`model`"));
        assert!(with("/usage", Value::Null).contains("completion_tokens"));
        assert!(with("/choices/0/finish_reason", json!("content_filter")).contains("content_filter"));
        assert!(with("/choices/0/message/content", Value::Null).contains("message.content"));
        assert!(with("/choices/0/message/refusal", json!("I will not")).contains("I will not"));
        assert!(with("/choices/0/logprobs", Value::Null).contains("logprobs.content"));
        assert!(with("/choices/0/logprobs/content", json!([])).contains("lists no tokens"));
        assert!(with("/choices/0/logprobs/content/0/logprob", Value::Null).contains("lacks"));
        assert!(with("/choices", json!([])).contains("0 choices"));
        assert!(with("/prompt_token_ids", Value::Null).contains("prompt_token_ids"));
        let template = with("/prompt_token_ids", json!([1, 2, 9, 9]));
        assert!(template.contains("4 tokens") && template.contains("up to token 2"), "{template}");
    }
}
