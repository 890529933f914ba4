//! Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}` with a fitting status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refused or failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiError {
    #[serde(skip)]
    status: u16,
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: &'a ApiError,
}

impl ApiError {
    /// The request is wrong; `param` names the field.
    pub fn invalid(param: Option<&str>, message: impl Into<String>) -> Self {
        let param = param.map(str::to_owned);
        Self { status: 400, message: message.into(), kind: "invalid_request_error", param, code: None }
    }

    /// The prompt and the answer asked for do not fit the model.
    pub fn too_long(message: impl Into<String>) -> Self {
        let code = Some("context_length_exceeded");
        Self { code, ..Self::invalid(Some("messages"), message) }
    }

    /// Another model is served here.
    #[must_use]
    pub fn no_model(asked: &str, served: &[String]) -> Self {
        let message = format!("the model `{asked}` is not served here; served: {}", served.join(", "));
        Self { status: 404, code: Some("model_not_found"), ..Self::invalid(Some("model"), message) }
    }

    /// No such address.
    #[must_use]
    pub fn no_route(method: &str, path: &str) -> Self {
        let message = format!(
            "unknown address {method} {path}; served: GET /v1/models, POST /v1/chat/completions, POST /v1/completions"
        );
        Self { status: 404, code: Some("unknown_url"), ..Self::invalid(None, message) }
    }

    /// The key is missing or wrong.
    #[must_use]
    pub fn unauthorised() -> Self {
        let message = "this server asks for an API key; send it as `Authorization: Bearer KEY`";
        Self { status: 401, code: Some("invalid_api_key"), ..Self::invalid(None, message) }
    }

    /// Too much is waiting already; try again.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { status: 429, message: message.into(), kind: "rate_limit_error", param: None, code: Some("queue_full") }
    }

    /// The server failed; the request was right.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, message: message.into(), kind: "server_error", param: None, code: None }
    }

    /// The engine is gone, and the server ends; whoever supervises it starts it again.
    #[must_use]
    pub fn ended(why: &str) -> Self {
        let message = format!("the engine has ended ({why}); this server is about to end too");
        Self { status: 503, code: Some("engine_ended"), ..Self::internal(message) }
    }

    /// The engine ended while it held the request.
    #[must_use]
    pub fn cut_off() -> Self {
        Self::ended("while it held this request; the server's log says why")
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body, for an answer that has begun to stream and can only end with it.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        serde_json::json!({ "error": self })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status(), Json(Envelope { error: &self })).into_response()
    }
}
