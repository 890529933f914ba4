//! Search: how a policy's answers to a batch of tasks come about.
//!
//! A search is one choice each of proposer, selector (`select`), evaluators (`value`), backup, budget and extractor. `strategy` says
//! what a search of one task is to whoever drives it; `growth` is that of trees, `discriminate` chooses among what they found; `chains` with
//! `scripts`, `judged`, `choice` and `debate` are those without branches, `programs` tests,
//! refines and repairs, `episodes` that of environments; `plan` makes them of a recipe. All of these are pure. `forest` drives the searches of a job's tasks through the
//! engine and the verifiers (`referee`), none waiting for another. `policy` is for those who only want answers.

mod backup;
mod beside;
mod budget;
mod canaries;
mod chains;
mod checker;
mod choice;
mod composite;
mod court;
mod debate;
mod discriminate;
mod episodes;
mod extract;
mod forest;
mod growth;
mod judged;
mod plan;
mod policy;
mod programs;
mod record;
mod referee;
mod scripts;
mod select;
mod spread;
mod strategy;
mod tree;
mod value;
mod width;

pub use court::{Court, SeatError};
pub use episodes::{Episodes, Limits, replica};
pub use forest::{Erring, Forest, ForestError, Found, Harvest, Keeper, Kept, Nowhere, Pace, Searched};
pub use growth::{Growth, Standing};
pub use policy::{Ask, Policy, Sample};
pub use record::{Origin, records, tree as tree_of};
pub use referee::Critic;
pub use spread::{Portion, SpreadError, Spreading};
pub use strategy::{Act, Acted, Answer, Commission, Draw, Drawn, Moment, Question, Strategy, Want, Written};
pub use tree::{End, Node, NodeId, Part, Path, Piece, Tree};
