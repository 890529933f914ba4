//! The generation engine: continuous batching over keys and values that sequences share.
//!
//! The pure core decides: `radix` finds prefixes, `memory` and `context` say who has which page, `schedule` says which rows come
//! next, `layout` orders them. None of it knows weights or numbers.

mod context;
mod ids;
mod layout;
mod memory;
mod radix;
mod schedule;
