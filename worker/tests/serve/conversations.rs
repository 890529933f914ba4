//! Conversations with a server: the replies of the built-in engine, whoever is asked, and no reply where anything is not as it should be.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::guide::Guide;
use galapagos_domain::seed::Seed;
use galapagos_model::ChatMessage;
use galapagos_worker::engine::conversation::{ChatBatch, Conversation, Ending, Reply, Speaker};
use galapagos_worker::engine::openai::update::Update;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{Engine, EngineError, Watch};

use crate::engines::{chain, checkpoint, choice, deaf, engine, runtime, schema};
use crate::process::{KIND, Served, write_model, write_model_of};
use crate::small_model::Kind;

/// Four conversations of one to three messages, two replies each, with the two most probable tokens at every place.
fn batch(speaker: Speaker) -> ChatBatch {
    let conversation = |seed: u64| {
        let said = [("system", "12: "), ("user", "a b"), ("user", "33 x")];
        let messages = said.iter().skip(seed as usize % 3).map(|(role, text)| ChatMessage::new(*role, *text));
        Conversation {
            messages: messages.collect(),
            samples: 2,
            seed: Seed(seed * 2),
            sampling: Arc::new(Sampling { top_p: 0.95, ..Sampling::at(1.0) }),
        }
    };
    let conversations = (1..5).map(conversation).collect();
    ChatBatch { speaker, conversations, stop: vec!["b".to_owned()], max_tokens: 12, log_probs: Some(2) }
}

fn guided(speaker: Speaker, guide: Guide) -> ChatBatch {
    let mut batch = batch(speaker);
    let sampling = Arc::new(Sampling { guide: Some(guide), ..Sampling::at(1.3) });
    batch.conversations.iter_mut().for_each(|asked| asked.sampling = Arc::clone(&sampling));
    ChatBatch { stop: Vec::new(), log_probs: None, ..batch }
}

/// What the built-in engine replies to a batch that went over the wire, where seeds lose a bit.
fn replied_here(mut asked: ChatBatch) -> Vec<Reply> {
    for conversation in &mut asked.conversations {
        conversation.seed = Seed(conversation.seed.0 >> 1);
    }
    TchEngine::new().chat(&asked, &Watch::nobody()).unwrap()
}

fn named() -> Speaker {
    Speaker::Named("darwin".to_owned())
}

#[test]
fn a_servers_replies_are_those_of_the_built_in_engine_by_version_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let runtime = runtime();
    let mut remote = engine(&runtime, &served.url, Update::Fixed);
    let version = checkpoint(folder.path());
    let asked = batch(Speaker::Version(version.clone()));

    let there = remote.chat(&asked, &Watch::nobody()).unwrap();
    let here = replied_here(asked.clone());
    assert_eq!(there, here);
    assert_eq!(here.len(), 8);
    assert!(here.iter().all(|reply| reply.model == version.checkpoint.to_string() && !reply.tokens.is_empty()));
    assert!(here.iter().flat_map(|reply| &reply.tokens).all(|token| token.top.len() == 2));
    assert!(here.iter().any(|reply| reply.ending == Ending::Stop), "some reply has a `b`");
    assert!(here.iter().all(|reply| !reply.text.contains('b')));

    let by_name = remote.chat(&batch(named()), &Watch::nobody()).unwrap();
    let expected: Vec<Reply> = here.into_iter().map(|reply| Reply { model: "darwin".to_owned(), ..reply }).collect();
    assert_eq!(by_name, expected);

    for guide in [choice(), schema(), Guide::Regex("[0-9]{2,4}".to_owned())] {
        let asked = guided(Speaker::Version(version.clone()), guide.clone());
        let texts = |replies: Vec<Reply>| replies.into_iter().map(|reply| reply.text).collect::<Vec<_>>();
        let there = texts(remote.chat(&asked, &Watch::nobody()).unwrap());
        assert_eq!(there, texts(replied_here(asked)), "{guide:?}");
        let by_name = texts(remote.chat(&guided(named(), guide.clone()), &Watch::nobody()).unwrap());
        assert_eq!(by_name, there, "{guide:?}");
    }
}

/// The error of a conversation that must give nothing.
#[track_caller]
fn refused(engine: &mut dyn Engine, batch: &ChatBatch) -> (EngineError, String) {
    let error = engine.chat(batch, &Watch::nobody()).unwrap_err();
    let said = chain(&error);
    (error, said)
}

#[test]
fn another_version_another_template_and_an_unknown_name_give_no_reply() {
    let place = tempfile::tempdir().unwrap();
    let [first, second, template] = ["first", "second", "template"].map(|name| place.path().join(name));
    write_model(&first, 1);
    write_model(&second, 2);
    // The same weights, put to the model in other words.
    let kind = Kind { chat_template: "{% for message in messages %}{{ message.content }}:{% endfor %} ", ..KIND };
    write_model_of(&kind, &template, 1, 64);
    let served = Served::start(&first, "darwin");
    let runtime = runtime();
    let mut remote = engine(&runtime, &served.url, Update::Fixed);

    let (error, said) = refused(&mut remote, &batch(Speaker::Version(checkpoint(&second))));
    assert!(matches!(error, EngineError::Remote { .. }) && said.contains("does not serve version"), "{said}");
    let (error, said) = refused(&mut remote, &batch(Speaker::Version(checkpoint(&template))));
    assert!(matches!(error, EngineError::Remote { .. }) && said.contains("chat template"), "{said}");
    let (error, said) = refused(&mut remote, &batch(Speaker::Named("wallace".to_owned())));
    assert!(matches!(error, EngineError::Named { .. }) && said.contains("wallace"), "{said}");
    // The built-in engine has no names.
    let (error, said) = refused(&mut TchEngine::new(), &batch(named()));
    assert!(matches!(error, EngineError::Unsupported { .. }) && said.contains("--engine openai"), "{said}");
}

#[test]
fn a_server_that_leaves_the_guide_out_gives_no_reply() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let runtime = runtime();
    for (field, guide, name) in
        [("structured_outputs", choice(), "choice: "), ("response_format", schema(), "json_schema: ")]
    {
        let url = runtime.block_on(deaf(served.url.clone(), field));
        let mut remote = engine(&runtime, &url, Update::Fixed);
        remote.chat(&batch(named()), &Watch::nobody()).unwrap();
        let (error, said) = refused(&mut remote, &guided(named(), guide));
        assert!(matches!(error, EngineError::Named { .. }) && said.contains(name), "{said}");
        assert!(said.contains("nothing was taken"), "{said}");
    }
    // What cannot be compiled is refused before anything is asked.
    let mut nobody = engine(&runtime, "http://127.0.0.1:9", Update::Fixed);
    let (error, said) = refused(&mut nobody, &guided(named(), Guide::Regex("(".to_owned())));
    assert!(matches!(error, EngineError::Guide { .. }), "{said}");
}

/// What `chat` says to two lines.
fn talk(model: &Path, options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_galapagos-worker"))
        .arg("chat")
        .arg(model)
        .args(["--max-tokens", "8", "--temperature", "1", "--seed", "6"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends at once does not read it.
    drop(child.stdin.take().unwrap().write_all(b"12\na b\n"));
    child.wait_with_output().unwrap()
}

#[test]
fn a_person_talks_to_a_server_by_a_models_name() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let there = talk(Path::new("darwin"), &["--server", &served.url]);
    let said = String::from_utf8(there.stdout).unwrap();
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    assert_eq!(
        said.lines().filter(|line| line.starts_with("> ")).count(),
        3,
        "two answers and the last prompt: {said:?}"
    );
    let wrong = talk(Path::new("wallace"), &["--server", &served.url]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.status.code() == Some(1) && said.contains("wallace") && said.contains("darwin"), "{said}");
    let nowhere = talk(Path::new("darwin"), &["--server", "http://h/v1"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("without /v1"));
}
