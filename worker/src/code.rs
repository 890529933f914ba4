//! Where a worker runs code of models: one sandbox, probed when the worker starts, and its warm interpreters, started with the first
//! code that comes. A host below the floor runs none, and says why to whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use galapagos_telemetry::ErrorChain;

use crate::sandbox::{Pool, Sandbox, Walls};

/// Interpreters kept warm for each check that may run.
const WARM: usize = 4;

/// See the head of this file.
#[derive(Debug)]
pub struct Code {
    sandbox: Result<Arc<Sandbox>, String>,
    pool: Mutex<Option<Arc<Pool>>>,
}

/// Why code cannot run here: the causes, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("code of models is not run here: {0}")]
pub struct NoCode(String);

impl Code {
    /// Probes the host and tells what it found; blocks for as long as the launcher needs, some milliseconds.
    #[must_use]
    pub fn walled(walls: &Walls) -> Self {
        let made = walls.sandbox().map_err(|error| ErrorChain::new(&error).to_string());
        let checked = made.and_then(|sandbox| match sandbox.check_floor() {
            Ok(()) => Ok(Arc::new(sandbox)),
            Err(error) => Err(ErrorChain::new(&error).to_string()),
        });
        match &checked {
            Ok(sandbox) => tracing::info!("code of models runs in a sandbox:\n{}", sandbox.probe()),
            Err(why) => tracing::warn!("jobs that run code of models will be refused here: {why}"),
        }
        Self { sandbox: checked, pool: Mutex::default() }
    }

    /// A place where no code runs.
    #[must_use]
    pub fn nowhere(why: &str) -> Self {
        Self { sandbox: Err(why.to_owned()), pool: Mutex::default() }
    }

    /// Whether code may run at all.
    ///
    /// # Errors
    /// [`NoCode`] says why not.
    pub fn check(&self) -> Result<&Arc<Sandbox>, NoCode> {
        self.sandbox.as_ref().map_err(|why| NoCode(why.clone()))
    }

    /// The warm interpreters.
    ///
    /// # Errors
    /// [`NoCode`].
    pub fn pool(&self) -> Result<Arc<Pool>, NoCode> {
        let sandbox = self.check()?;
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*pool {
            return Ok(Arc::clone(pool));
        }
        let made = Pool::new(Arc::clone(sandbox), WARM).map_err(|error| NoCode(ErrorChain::new(&error).to_string()))?;
        Ok(Arc::clone(pool.insert(Arc::new(made))))
    }
}
