//! `report.html`: one self-contained page about one evolution. A pure function of the snapshot and the recipe's text.

pub mod chart;
mod page;
mod tree;

pub use page::render;
pub use tree::page as tree_page;
