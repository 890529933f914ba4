//! Named tasks and threads. A name makes a stuck or dead one findable: in log spans, in panics, and in the error its
//! owner gets.
//!
//! Raw `tokio::spawn` and `std::thread::spawn` are banned because their panics reach the owner without a name, or
//! nobody at all.

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tracing::Instrument;

/// Why a task or thread ended without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    #[error("`{name}` panicked: {message}")]
    Panicked { name: Cow<'static, str>, message: String },
    #[error("`{name}` was aborted")]
    Aborted { name: Cow<'static, str> },
}

/// The operating system gave us no thread.
#[derive(Debug, thiserror::Error)]
#[error("could not start the thread `{name}`")]
pub struct SpawnError {
    pub name: Cow<'static, str>,
    pub source: io::Error,
}

/// A running task. Await it for its value; dropping it lets the task go on, [`TaskHandle::abort`] ends it.
#[derive(Debug)]
#[must_use = "a task nobody joins ends unseen; await it, abort it, or drop it on purpose"]
pub struct TaskHandle<T> {
    name: Cow<'static, str>,
    inner: JoinHandle<T>,
}

impl<T> TaskHandle<T> {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the task to end at its next await. Awaiting the handle then gives [`TaskError::Aborted`], or the value if
    /// it was faster.
    pub fn abort(&self) {
        self.inner.abort();
    }

    /// A handle that can only abort, for an owner that does not wait.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        self.inner.abort_handle()
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(ended.map_err(|error| task_error(self.name.clone(), error)))
    }
}

fn task_error(name: Cow<'static, str>, error: JoinError) -> TaskError {
    match error.try_into_panic() {
        Ok(payload) => TaskError::Panicked { name, message: panic_message(payload.as_ref()) },
        Err(_cancelled) => TaskError::Aborted { name },
    }
}

/// Runs `future` on the current runtime inside a span `task{name}` below the caller's span.
///
/// # Panics
/// Outside a tokio runtime, as `tokio::spawn` does.
#[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban points to")]
pub fn spawn_task<F>(name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let name = name.into();
    let span = tracing::info_span!("task", name = name.as_ref());
    TaskHandle { inner: tokio::spawn(future.instrument(span)), name }
}

/// A running thread. Dropping the handle lets it go on.
#[derive(Debug)]
#[must_use = "a thread nobody joins ends unseen; join it or drop it on purpose"]
pub struct ThreadHandle<T> {
    name: Cow<'static, str>,
    inner: thread::JoinHandle<T>,
}

impl<T> ThreadHandle<T> {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// Blocks until the thread ends.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn join(self) -> Result<T, TaskError> {
        let name = self.name;
        self.inner.join().map_err(|payload| TaskError::Panicked { name, message: panic_message(payload.as_ref()) })
    }
}

/// Runs `body` on a thread of its own with that name (the kernel shows the first 15 bytes), in a span `thread{name}`
/// below the caller's span.
///
/// # Errors
/// If the operating system refuses another thread.
pub fn spawn_thread<T, F>(name: impl Into<Cow<'static, str>>, body: F) -> Result<ThreadHandle<T>, SpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let name = name.into();
    let span = tracing::info_span!("thread", name = name.as_ref());
    match thread::Builder::new().name(name.clone().into_owned()).spawn(move || span.in_scope(body)) {
        Ok(inner) => Ok(ThreadHandle { name, inner }),
        Err(source) => Err(SpawnError { name, source }),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(panic without a message)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_gives_its_value() {
        let handle = spawn_task("adder", async { 1 + 1 });
        assert_eq!(handle.name(), "adder");
        assert_eq!(handle.await, Ok(2));
    }

    #[tokio::test]
    async fn a_panicking_task_is_named() {
        let worker = 3;
        let handle = spawn_task(format!("session-{worker}"), async move { panic!("worker {worker} is gone") });
        let error: TaskError = handle.await.unwrap_err();
        assert_eq!(error.to_string(), "`session-3` panicked: worker 3 is gone");
    }

    #[tokio::test]
    async fn an_aborted_task_says_so() {
        let handle = spawn_task("waiter", std::future::pending::<()>());
        handle.abort();
        assert_eq!(handle.await, Err(TaskError::Aborted { name: "waiter".into() }));
    }

    #[test]
    fn a_thread_carries_its_name_and_value() {
        let handle = spawn_thread("engine-0", || thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(handle.join(), Ok(Some("engine-0".to_owned())));
    }

    #[test]
    fn a_panicking_thread_is_named() {
        let handle = spawn_thread("engine-1", || panic!("out of memory")).unwrap();
        let error = handle.join().unwrap_err();
        assert_eq!(error.to_string(), "`engine-1` panicked: out of memory");
    }
}
