//! `chat`: text as it is made, and Ctrl-C.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use galapagos_telemetry::spawn_thread;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{run, text, worker, write_model};

/// Longer than any of these takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// More tokens than the tests wait for.
const LONG: usize = 200_000;

/// A conversation with the executable; killed when dropped.
struct Talk {
    child: Child,
    said: Receiver<Vec<u8>>,
    heard: String,
}

impl Talk {
    fn start(model: &Path, options: &[&str]) -> Self {
        let mut child = worker()
            .args(["chat", model.to_str().unwrap()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = listen(child.stdout.take().unwrap());
        Self { child, said, heard: String::new() }
    }

    fn say(&mut self, line: &str) {
        let mut input = self.child.stdin.as_ref().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn press_ctrl_c(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits until what was heard since the last call is `enough`, and gives it.
    #[track_caller]
    fn hear(&mut self, enough: impl Fn(&str) -> bool) -> String {
        while !enough(&self.heard) {
            match self.said.recv_timeout(LIMIT) {
                Ok(bytes) => self.heard.push_str(&text(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("nothing more within {LIMIT:?} after {:?}", tail(&self.heard)),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended after {:?}", tail(&self.heard)),
            }
        }
        std::mem::take(&mut self.heard)
    }

    /// Waits for the end and gives the exit code.
    fn ended(mut self) -> Option<i32> {
        while let Ok(bytes) = self.said.recv_timeout(LIMIT) {
            self.heard.push_str(&text(&bytes));
        }
        self.child.wait().unwrap().code()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn tail(text: &str) -> &str {
    &text[text.len().saturating_sub(200)..]
}

fn listen(mut out: ChildStdout) -> Receiver<Vec<u8>> {
    let (say, said) = sync_channel(1024);
    let read = move || {
        let mut buffer = [0; 4096];
        while let Ok(bytes @ 1..) = out.read(&mut buffer) {
            if say.send(buffer[..bytes].to_vec()).is_err() {
                return;
            }
        }
    };
    drop(spawn_thread("reader", read).unwrap());
    said
}

#[test]
fn ctrl_c_ends_the_answer_first_and_the_program_at_the_prompt() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LONG + 1000);
    let mut talk = Talk::start(folder.path(), &["--max-tokens", &LONG.to_string()]);
    talk.hear(|text| text == "> ");
    talk.say("abc");
    // The answer is far from its end when its beginning is read: it comes as it is made.
    let begun = talk.hear(|text| text.len() > 20);
    assert!(!begun.contains('>'), "{begun:?}");
    talk.press_ctrl_c();
    let rest = talk.hear(|text| text.ends_with("\n> "));
    assert!(rest.len() < LONG / 2, "{} characters came after Ctrl-C", rest.len());
    talk.say("7");
    talk.hear(|text| text.len() > 20);
    talk.press_ctrl_c();
    talk.hear(|text| text.ends_with("\n> "));
    talk.press_ctrl_c();
    assert_eq!(talk.ended(), Some(0));
}

#[test]
fn the_same_input_gives_the_same_answers_and_the_end_of_it_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 400);
    let answers = |options: &[&str]| {
        let mut talk = Talk::start(folder.path(), &[&["--max-tokens", "30"], options].concat());
        let mut heard = talk.hear(|text| text == "> ");
        for line in ["abc", "", "1 2 3"] {
            talk.say(line);
            heard += &talk.hear(|text| text.ends_with("> "));
        }
        drop(talk.child.stdin.take());
        assert_eq!(talk.ended(), Some(0));
        heard
    };
    let greedy = answers(&[]);
    assert_eq!(greedy, answers(&["--temperature", "1", "--top-k", "1"]), "one candidate is the most probable");
    assert_eq!(greedy, answers(&["--temperature", "1", "--top-p", "0.000001"]));
    assert_eq!(greedy, answers(&["--temperature", "1", "--min-p", "1"]));
    assert_eq!(greedy, answers(&["--threads", "1"]), "no token depends on the threads");
    assert_eq!(greedy, answers(&["--threads", "3"]));
    let drawn = answers(&["--temperature", "1"]);
    assert_eq!(drawn, answers(&["--temperature", "1", "--seed", "1"]));
    assert_ne!(drawn, greedy);
    assert_ne!(drawn, answers(&["--temperature", "1", "--seed", "2"]));
    assert_eq!(greedy.len(), "> ".len() * 4 + 2 * (30 + 1), "two answers of 30 characters: {greedy:?}");
}

#[test]
fn a_full_conversation_and_impossible_settings_are_errors_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 40);
    let mut talk = Talk::start(folder.path(), &[]);
    talk.hear(|text| text == "> ");
    // The first answer fills the model's positions.
    talk.say("abc");
    talk.hear(|text| text.ends_with("> "));
    talk.say("d");
    assert_eq!(talk.ended(), Some(1));
    let ended = run(&["chat", folder.path().to_str().unwrap(), "--top-p", "1.5"]);
    assert!(!ended.status.success() && text(&ended.stderr).contains("top_p"), "{}", text(&ended.stderr));
    let ended = run(&["chat", folder.path().to_str().unwrap(), "--threads", "0"]);
    assert_eq!(ended.status.code(), Some(2), "{}", text(&ended.stderr));
}
