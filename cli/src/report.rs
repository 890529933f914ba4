//! `report.html`: one self-contained page about one evolution. A pure function of the snapshot and the recipe's text.

mod chart;
mod page;

pub use page::render;
