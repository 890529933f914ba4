//! Random requests with cancels and swaps of weights through one engine on a tight budget, and a sample of what comes out against
//! an engine that computes one sequence at a time and shares nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_model::engine::{RequestId, Speculation, Stats, SwapPolicy, WeightVersion};
use galapagos_model::{
    Completion, Decoder, Engine, EngineOptions, Event, ModelConfig, ModelKind, Precision, Request, RequestError,
    RunControl, Sampling,
};
use tch::Device;

const VOCABULARY: usize = 40;

/// How long to soak.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    pub requests: usize,
    /// One completion of this many is computed again.
    pub checked_of: u64,
    pub seed: u64,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Verdict {
    pub completions: usize,
    pub cancelled: usize,
    pub swaps: usize,
    pub restarted: usize,
    pub checked: usize,
    /// What must not be; empty if all is well.
    pub wrong: Vec<String>,
    pub stats: Stats,
}

/// Sebastiano Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

fn model(seed: u64) -> Decoder {
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: VOCABULARY,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 400,
        tie_word_embeddings: true,
        initializer_range: 0.3,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        ..ModelConfig::default()
    };
    Decoder::init(config, seed, Device::Cpu).unwrap()
}

fn request(random: &mut Random) -> Request {
    // A few openings, each of any length, so that prefixes are shared by many and parted everywhere.
    let opening = random.below(4);
    let length = 1 + random.below(150);
    let mut prompt: Vec<u32> = (0..length).map(|i| ((i * i + 3 * i * opening + opening) % 37) as u32).collect();
    prompt.extend((0..random.below(12)).map(|_| random.below(VOCABULARY as u64) as u32));
    let sampling = match random.below(4) {
        0 => Sampling::GREEDY,
        1 => Sampling { top_p: 0.9, repetition_penalty: 1.2, ..Sampling::at(0.8) },
        2 => Sampling { top_k: Some(5), ..Sampling::at(1.3) },
        _ => Sampling::at(1.0),
    };
    Request {
        samples: 1 + random.below(5) as usize,
        sampling: Arc::new(sampling),
        stop_tokens: Arc::new((0..random.below(3) as u32).collect()),
        seed: random.below(1000),
        top_log_probs: random.below(3) as usize,
        speculation: match random.below(6) {
            0 | 1 => Speculation::PromptLookup { most: 4 },
            2 => Speculation::DraftModel { most: 3 },
            _ => Speculation::Off,
        },
        ..Request::greedy(prompt, 1 + random.below(60) as usize)
    }
}

/// What is known of the requests in the engine.
#[derive(Default)]
struct Open {
    requests: BTreeMap<RequestId, (Request, usize)>,
    /// Tokens as they were told, by request and sample.
    streamed: BTreeMap<(RequestId, usize), Vec<u32>>,
}

/// Runs `soak`; `watch` is called with the number of requests submitted so far.
pub fn run(soak: Soak, watch: &mut dyn FnMut(usize)) -> Verdict {
    tch::set_num_threads(1);
    let models = [model(1), model(2)];
    let options = EngineOptions {
        precision: Precision::F32,
        max_rows: 48,
        max_sequences: 12,
        max_waiting: 24,
        // 26 pages (heads narrower than 16 are padded); the longest request needs 7.
        kv_bytes: 26 * 12_288,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(&models[0], options).unwrap();
    engine.set_draft_model(&models[1], options.kv_bytes / 2).unwrap();
    let (mut random, mut verdict, mut open) = (Random(soak.seed), Verdict::default(), Open::default());
    let mut sampled: Vec<(Request, usize, Completion)> = Vec::new();
    let mut submitted = 0;
    // A completion takes at most 60 draws, so this is far from reached unless something hangs.
    for _ in 0..soak.requests * 400 {
        if submitted == soak.requests && engine.is_idle() {
            break;
        }
        while submitted < soak.requests && !random.one_in(3) {
            let asked = request(&mut random);
            match engine.submit(asked.clone()) {
                Ok(id) => {
                    submitted += 1;
                    open.requests.insert(id, (asked.clone(), asked.samples));
                    watch(submitted);
                }
                Err(RequestError::Full { .. }) => break,
                Err(error) => verdict.wrong.push(format!("refused: {error}")),
            }
        }
        if random.one_in(30) {
            cancel(&mut engine, &mut open, &mut random, &mut verdict);
        }
        if random.one_in(120) {
            let policy = if random.one_in(2) { SwapPolicy::Finish } else { SwapPolicy::Restart };
            let next = models[(engine.version().0 as usize + 1) % 2].copy_to(tch::Kind::Float, Device::Cpu).unwrap();
            engine.swap(&next, policy).unwrap();
            verdict.swaps += 1;
        }
        for event in engine.step().unwrap() {
            take(event, (&mut open, &mut sampled), (&mut random, soak.checked_of), &mut verdict);
        }
    }
    finish(&engine, &open, &mut verdict);
    check(&models, options, sampled, &mut verdict);
    verdict
}

fn cancel(engine: &mut Engine, open: &mut Open, random: &mut Random, verdict: &mut Verdict) {
    let count = open.requests.len() as u64;
    if count == 0 {
        return;
    }
    let id = *open.requests.keys().nth(random.below(count) as usize).unwrap();
    if !engine.cancel(id) {
        verdict.wrong.push(format!("{id:?} is open, but could not be cancelled"));
    }
    open.requests.remove(&id);
    open.streamed.retain(|(request, _), _| *request != id);
    verdict.cancelled += 1;
}

fn take(
    event: Event,
    (open, sampled): (&mut Open, &mut Vec<(Request, usize, Completion)>),
    (random, checked_of): (&mut Random, u64),
    verdict: &mut Verdict,
) {
    match event {
        Event::Token(token) => open.streamed.entry((token.request, token.sample)).or_default().push(token.token),
        Event::Restarted { request, sample } => {
            open.streamed.remove(&(request, sample));
            verdict.restarted += 1;
        }
        Event::Finished { request, sample, completion } => {
            verdict.completions += 1;
            let streamed = open.streamed.remove(&(request, sample));
            if streamed.as_ref() != Some(&completion.tokens) {
                verdict.wrong.push(format!("{request:?} told {streamed:?} and ended with {:?}", completion.tokens));
            }
            let Some((asked, left)) = open.requests.get_mut(&request) else {
                verdict.wrong.push(format!("{request:?} ended, but is not open"));
                return;
            };
            if random.one_in(checked_of) {
                sampled.push((asked.clone(), sample, completion));
            }
            *left -= 1;
            if *left == 0 {
                open.requests.remove(&request);
            }
        }
        Event::Failed { request, error, .. } => verdict.wrong.push(format!("{request:?} failed: {error}")),
        Event::Scored { request, .. } => verdict.wrong.push(format!("{request:?} asked for no score")),
    }
}

fn finish(engine: &Engine, open: &Open, verdict: &mut Verdict) {
    verdict.stats = engine.stats();
    let Stats { pages, active, waiting, .. } = verdict.stats;
    if !open.requests.is_empty() || !open.streamed.is_empty() || active + waiting > 0 {
        verdict.wrong.push(format!("{} requests never ended; {active} active, {waiting} waiting", open.requests.len()));
    }
    if pages.used > 0 || pages.cached + pages.free != pages.made || pages.made > pages.limit {
        verdict.wrong.push(format!("pages are lost: {pages:?}"));
    }
}

/// The sampled completions, computed alone.
fn check(
    models: &[Decoder; 2],
    options: EngineOptions,
    sampled: Vec<(Request, usize, Completion)>,
    verdict: &mut Verdict,
) {
    let options = EngineOptions { max_sequences: 1, max_rows: 7, share_prefixes: false, ..options };
    let mut alone = models.each_ref().map(|model| Engine::new(model, options).unwrap());
    for (asked, sample, found) in sampled {
        let WeightVersion(version) = found.version;
        let again = Request { samples: sample + 1, speculation: Speculation::Off, ..asked };
        let engine = &mut alone[version as usize % 2];
        let made = engine.generate(std::slice::from_ref(&again), &mut RunControl::default()).unwrap();
        let expected = Completion { version: found.version, ..made[0][sample].clone() };
        verdict.checked += 1;
        if found != expected {
            verdict.wrong.push(format!("{again:?}: {found:?} and alone {expected:?}"));
        }
    }
}
