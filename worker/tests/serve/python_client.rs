//! OpenAI's own client against the server.

use std::process::Command;

use crate::process::{Served, python, write_model};

#[test]
fn openais_client_chats_completes_streams_and_hears_errors() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 1);
    let served = Served::start(folder.path(), "darwin");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/openai_client.py");
    let output = Command::new(python()).args([script, &format!("{}/v1", served.url), "darwin"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let seen: serde_json::Value = serde_json::from_str(&out).unwrap();
    let errors = &seen["check_errors"];
    for (error, part) in [
        ("model", "darwin"),
        ("address", "/v1/chat/completions"),
        ("temperature", "0 or more"),
        ("length", "256 positions"),
        ("token", "vocabulary"),
        ("image", "images are not served"),
        ("unknown", "`beams`"),
        ("grammar", "regular expression"),
        ("schema", "JSON schema"),
    ] {
        let message = errors[error].as_str().unwrap_or_default();
        assert!(message.contains(part), "{error}: {message:?} does not say {part:?}");
    }
}
