//! One signal that everybody can wait for: the coordinator is to end.

use tokio::sync::watch;

/// Gives the signal. Dropping it gives the signal too, so that no part outlives the one that would end it.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// Waits for the signal.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// A new signal, not given.
pub(crate) fn signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns once the signal is given.
    pub(crate) async fn wait(&mut self) {
        // An error means that the stopper is gone, which is the signal too.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
