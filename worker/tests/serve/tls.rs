//! The remote engine over https: with a certificate that it trusts, and at once an error with any other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use galapagos_worker::engine::openai::client::{Client, ClientError, Server};
use galapagos_worker::engine::openai::update::Update;
use galapagos_worker::engine::{Engine, Watch};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::engines::{batch, chain, checkpoint, engine_at, made_here, runtime, server};
use crate::process::{Served, write_model};

/// A proxy that ends TLS for the server at `to` (HOST:PORT), with a new certificate for `name`. Gives its port, the number of
/// connections so far, and the certificate's file in `folder`.
async fn proxy(to: &str, name: &str, folder: &Path) -> (u16, Arc<AtomicU32>, PathBuf) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, certified.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicU32::new(0));
    let (counted, to) = (Arc::clone(&connections), to.to_owned());
    drop(galapagos_telemetry::spawn_task("tls", async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (acceptor, to) = (acceptor.clone(), to.clone());
            drop(galapagos_telemetry::spawn_task("tls-connection", async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let Ok(mut inside) = TcpStream::connect(&to).await else { return };
                // Either side may end it.
                drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
            }));
        }
    }));
    (port, connections, file)
}

fn secure(port: u16, ca: &Path) -> Server {
    Server { ca: Some(ca.to_owned()), ..server(&format!("https://localhost:{port}")) }
}

#[test]
fn rollouts_come_over_tls_from_a_server_with_a_certificate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    write_model(&model, 1);
    let served = Served::start(&model, "darwin");
    let runtime = runtime();
    let to = served.url.trim_start_matches("http://");
    let (port, connections, ca) = runtime.block_on(proxy(to, "localhost", folder.path()));
    let mut remote = engine_at(&runtime, secure(port, &ca), Update::Fixed, None);
    let asked = batch(&checkpoint(&model));
    assert_eq!(remote.generate(&asked, &Watch::nobody()).unwrap(), made_here(asked, None));
    assert!(connections.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_certificate_that_is_not_trusted_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let (port, connections, own) = proxy("127.0.0.1:9", "localhost", folder.path()).await;
        let (other_port, _, other) = proxy("127.0.0.1:9", "other.example", folder.path()).await;
        let call = async |server: Server| Client::new(server).unwrap().post("/call", &Value::Null).await.unwrap_err();

        let error = call(secure(port, &other)).await;
        let said = chain(&error);
        assert!(matches!(error, ClientError::Tls { .. }) && said.contains("--engine-ca"), "{said}");
        assert!(said.contains("certificate"), "{said}");
        assert_eq!(connections.load(Ordering::SeqCst), 1, "not tried again");

        let error = call(secure(other_port, &other)).await;
        let said = chain(&error);
        assert!(matches!(error, ClientError::Tls { .. }) && said.contains("name"), "another host's: {said}");

        // A server that speaks plain HTTP.
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain_port = plain.local_addr().unwrap().port();
        let router = axum::Router::new();
        drop(galapagos_telemetry::spawn_task("plain", async move { axum::serve(plain, router).await }));
        let error = call(secure(plain_port, &own)).await;
        assert!(matches!(error, ClientError::Tls { .. }), "{}", chain(&error));
    });
}

#[test]
fn a_file_without_certificates_is_refused_before_any_call() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (url, file, part) in [
        ("https://localhost:1", empty.clone(), "BEGIN CERTIFICATE"),
        ("https://localhost:1", folder.path().join("absent.pem"), "absent.pem"),
        ("http://localhost:1", empty, "no https address"),
    ] {
        let error = Client::new(Server { ca: Some(file), ..server(url) }).unwrap_err();
        let said = chain(&error);
        assert!(matches!(error, ClientError::Ca { .. }) && said.contains(part), "{said}");
    }
}
