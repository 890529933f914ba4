//! Data sets from files: JSON lines, Parquet, and folders of Hugging Face `datasets`, saved or downloaded. Finds the files of each split
//! and reads the wanted columns; what rows mean is `galapagos_domain::task::dataset`'s.
//!
//! Whatever is wrong is a [`DataFault`] that names file, row and column; nothing is skipped but empty lines.

mod cells;
mod fill;
mod inventory;
mod read;

use std::path::Path;

use galapagos_domain::recipe::tasks::files::Files;
use galapagos_domain::task::dataset::{Assembled, DataFault, From, RawRow, Read, assemble, choose};

pub use fill::Shelves;
use inventory::Inventory;

/// Reads the data set that a recipe in the folder `root` describes, checks it and tells its splits apart.
///
/// # Errors
/// [`DataFault`].
pub fn load(files: &Files, root: &Path) -> Result<Assembled, DataFault> {
    let inventory = Inventory::of(files, root)?;
    let choice = choose(files, &inventory.names())?;
    let rows = |name: &str| -> Result<Vec<RawRow>, DataFault> {
        let mut all = Vec::new();
        for file in inventory.files(name) {
            read::append(file, &choice.columns, &mut all)?;
        }
        if all.is_empty() {
            return Err(DataFault::new("splits", format!("`{name}` holds no rows"), "a split needs at least one row"));
        }
        Ok(all)
    };
    let other = |from: &From| match from {
        From::Named(name) => rows(name),
        From::Share(_) => Ok(Vec::new()),
    };
    let read = Read { train: rows(&choice.train)?, val: other(&choice.val)?, test: other(&choice.test)? };
    assemble(files, &choice, read)
}

#[cfg(test)]
mod tests;
