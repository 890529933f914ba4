//! Says which keys of a model's `config.json` nothing here uses.

use galapagos_model::ModelFolder;

/// Logs one warning that lists them, if there are any. Keys that are known to change nothing are not listed.
pub fn tell(folder: &ModelFolder) {
    let keys = folder.ignored_keys();
    if !keys.is_empty() {
        tracing::warn!("{}: ignored keys: {}", folder.path().join("config.json").display(), keys.join(", "));
    }
}
