//! What ends and shapes a completion in the engine: stop strings, guides, reported probabilities, and speculation that changes
//! nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;

use galapagos_model::detokenize::TokenTexts;
use galapagos_model::engine::Speculation;
use galapagos_model::guide::{GuideSpec, GuideVocabulary};
use galapagos_model::{
    Completion, Decoder, Engine, EngineOptions, Event, Finish, ModelConfig, ModelKind, Precision, Request,
    RequestError, RunControl, Sampling, Tokenizer,
};
use tch::Device;

const ALPHABET: &str = "0123456789abcdefghij ,.:{}\"";

struct Fixture {
    model: Decoder,
    tokenizer: Arc<Tokenizer>,
    texts: Arc<TokenTexts>,
}

fn fixture() -> Fixture {
    tch::set_num_threads(1);
    let tokenizer = Arc::new(Tokenizer::characters(ALPHABET).unwrap());
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        // Padded beyond the tokenizer's vocabulary, as real models are.
        vocab_size: 64,
        hidden_size: 48,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 12,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 500,
        tie_word_embeddings: true,
        initializer_range: 0.2,
        bos_token_id: None,
        eos_token_ids: vec![],
        pad_token_id: None,
        ..ModelConfig::default()
    };
    let texts = Arc::new(TokenTexts::new(Arc::clone(&tokenizer)).unwrap());
    Fixture { model: Decoder::init(config, 4, Device::Cpu).unwrap(), tokenizer, texts }
}

impl Fixture {
    fn engine(&self) -> Engine {
        let options = EngineOptions { precision: Precision::F32, kv_bytes: 16 << 20, ..EngineOptions::default() };
        let mut engine = Engine::new(&self.model, options).unwrap();
        engine.set_texts(Arc::clone(&self.texts));
        engine
    }

    fn request(&self, prompt: &str, sampling: Sampling, new: usize) -> Request {
        // Tokens beyond the tokenizer's have no text.
        let bias = (self.tokenizer.vocab_size() as u32..64).map(|token| (token, -1e4)).collect();
        let sampling = Arc::new(Sampling { logit_bias: bias, ..sampling });
        Request { sampling, ..Request::greedy(self.tokenizer.encode(prompt).unwrap(), new) }
    }
}

fn run(engine: &mut Engine, request: &Request) -> Vec<Completion> {
    engine.generate(std::slice::from_ref(request), &mut RunControl::default()).unwrap().remove(0)
}

#[test]
fn stop_strings_end_the_text_before_them() {
    let fixture = fixture();
    let mut engine = fixture.engine();
    let free = Request { samples: 12, ..fixture.request("ab 12", Sampling::at(1.0), 80) };
    let without = run(&mut engine, &free);
    let mut stopped = 0;
    let stop_strings = vec!["a1".to_owned(), "3".to_owned()];
    for (free, completion) in without.iter().zip(run(&mut engine, &Request { stop_strings, ..free.clone() })) {
        assert_eq!(free.text, fixture.tokenizer.decode(&free.tokens).unwrap());
        let expected = [free.text.find("a1"), free.text.find('3')].into_iter().flatten().min();
        assert_eq!(completion.text, &free.text[..expected.unwrap_or(free.text.len())]);
        assert_eq!(completion.tokens, &free.tokens[..completion.tokens.len()]);
        assert_eq!(completion.finish == Finish::Length, expected.is_none());
        stopped += usize::from(expected.is_some());
    }
    assert!(stopped > 3, "{stopped} completions met a stop string");
    let mut silent = Engine::new(&fixture.model, EngineOptions::default()).unwrap();
    let refused = silent.submit(Request { stop_strings: vec!["3".to_owned()], ..free.clone() });
    assert!(matches!(refused, Err(RequestError::NoTexts)));
    let refused = engine.submit(Request { stop_strings: vec![String::new()], ..free });
    assert!(matches!(refused, Err(RequestError::StopString { .. })));
}

#[test]
fn streamed_texts_and_tokens_add_up() {
    let fixture = fixture();
    let mut engine = fixture.engine();
    let stop_strings = vec!["12".to_owned()];
    let request = Request { samples: 3, stop_strings, ..fixture.request("ab", Sampling::at(1.0), 60) };
    engine.submit(request).unwrap();
    let (mut streamed, mut ended) = (vec![(String::new(), Vec::new()); 3], 0);
    while !engine.is_idle() {
        for event in engine.step().unwrap() {
            match event {
                Event::Token(token) => {
                    streamed[token.sample].0.push_str(&token.text);
                    streamed[token.sample].1.push(token.token);
                }
                Event::Finished { sample, completion, .. } => {
                    assert_eq!(streamed[sample], (completion.text, completion.tokens));
                    ended += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(ended, 3);
}

#[test]
fn guides_shape_completions_and_speculation_changes_none() {
    let fixture = fixture();
    let end = fixture.tokenizer.eos().unwrap();
    let vocabulary = GuideVocabulary::new(&fixture.texts, &[end]).unwrap();
    let spec = GuideSpec::Regex(r#"\{"abc": [0-9]{2}, "def": [a-c]{1,5}\}"#.to_owned());
    let guide = Some(vocabulary.compile(&spec).unwrap());
    let request = Request { samples: 6, guide, ..fixture.request("ab 12", Sampling::at(1.0), 60) };
    let mut engine = fixture.engine();
    let guided = run(&mut engine, &request);
    for completion in &guided {
        let text = &completion.text;
        let inner = text.strip_prefix("{\"abc\": ").and_then(|text| text.strip_suffix('}')).unwrap();
        let (number, letters) = inner.split_once(", \"def\": ").unwrap();
        assert!(number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()), "{text}");
        assert!((1..=5).contains(&letters.len()) && letters.bytes().all(|b| (b'a'..=b'c').contains(&b)), "{text}");
        assert!(matches!(completion.finish, Finish::Guide | Finish::StopToken), "{:?}", completion.finish);
    }
    let drafted = engine.stats().drafted_tokens;
    let ahead = Request { speculation: Speculation::PromptLookup { most: 8 }, ..request };
    assert_eq!(run(&mut engine, &ahead), guided);
    let stats = engine.stats();
    assert_eq!(drafted, 0);
    assert!(stats.accepted_drafts > 30, "what the guide forces is drafted: {stats:?}");
}

#[test]
fn speculation_by_prompt_lookup_changes_no_bit_and_saves_steps() {
    let fixture = fixture();
    let prompt = "abc 123 abc 123 abc 123 abc 12";
    for sampling in [Sampling::GREEDY, Sampling::at(0.5), Sampling { repetition_penalty: 1.3, ..Sampling::at(1.0) }] {
        let request = Request { samples: 4, top_log_probs: 2, ..fixture.request(prompt, sampling, 120) };
        let (mut plain, mut ahead) = (fixture.engine(), fixture.engine());
        let expected = run(&mut plain, &request);
        let request = Request { speculation: Speculation::PromptLookup { most: 6 }, ..request };
        assert_eq!(run(&mut ahead, &request), expected);
        assert_eq!(ahead.stats().drawn_tokens, plain.stats().drawn_tokens);
        let greedy = request.sampling.temperature == 0.0;
        assert!(!greedy || ahead.stats().steps * 3 < plain.stats().steps * 2, "{:?}", ahead.stats());
    }
}

#[test]
fn reported_probabilities_are_the_greatest() {
    let fixture = fixture();
    let request = Request { top_log_probs: 5, ..fixture.request("ab 12", Sampling::GREEDY, 10) };
    let completion = run(&mut fixture.engine(), &request).remove(0);
    assert_eq!(completion.top.len(), 10);
    for ((token, log_prob), top) in completion.tokens.iter().zip(&completion.log_probs).zip(&completion.top) {
        assert_eq!(top.len(), 5);
        assert!(top.is_sorted_by(|a, b| a.1 >= b.1));
        // The bias against tokens without text is not part of the model's own probabilities.
        let own = top.iter().find(|(other, _)| other == token);
        assert!(own.is_none_or(|(_, top)| top == log_prob));
    }
}

/// A draft model that is the model itself guesses everything right; another one of the same vocabulary something; neither changes
/// a bit.
#[test]
fn speculation_by_a_draft_model_changes_no_bit_and_saves_steps() {
    let fixture = fixture();
    let small = ModelConfig { num_hidden_layers: 1, ..fixture.model.config().clone() };
    let small = Decoder::init(small, 4, Device::Cpu).unwrap();
    for (what, draft) in [("itself", &fixture.model), ("a smaller one", &small)] {
        for sampling in [Sampling::GREEDY, Sampling::at(1.0), Sampling { repetition_penalty: 1.3, ..Sampling::at(0.8) }]
        {
            let request = Request { samples: 5, top_log_probs: 2, ..fixture.request("abc 12", sampling, 90) };
            let (mut plain, mut ahead) = (fixture.engine(), fixture.engine());
            let expected = run(&mut plain, &request);
            let request = Request { speculation: Speculation::DraftModel { most: 4 }, ..request };
            assert!(matches!(ahead.submit(request.clone()), Err(RequestError::NoDraftModel)));
            // Room for fewer sequences than there are.
            ahead.set_draft_model(draft, 10 * 32 * 2 * 2 * 2 * 12 * 4).unwrap();
            for _ in 0..2 {
                assert_eq!(run(&mut ahead, &request), expected, "{what}");
            }
            let stats = ahead.stats();
            assert!(stats.accepted_drafts > 0, "{what}: {stats:?}");
            if what == "itself" {
                assert_eq!(stats.accepted_drafts, stats.drafted_tokens);
                assert!(stats.steps < 2 * plain.stats().steps, "{stats:?}");
            } else {
                assert!(stats.accepted_drafts < stats.drafted_tokens, "{stats:?}");
            }
        }
    }
}
