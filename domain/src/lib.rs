//! The pure core of Galapagos: every decision is a function of (state, event, now, seed).
//!
//! Layout, in reading order: `ids` and `fence` (names and tokens), `time` and `seed` (passed in, never read),
//! `recipe` (what a person asks for) and `plan` (what it will cost), `task` (procedural tasks and their exact checkers),
//! `image` (images in texts, as characters), `job`, `round`, `member` (what the cluster runs and makes), `session` (what coordinator and workers say to each other),
//! `stats` (intervals, SPRT, ratings), and `cluster` (the one state machine; `apply` is its only door).
//! Nothing here waits, sends, stores, reads a clock or draws an unseeded random number.
#![forbid(unsafe_code)]

pub mod artifact;
pub mod calibration;
pub mod cluster;
pub mod experiment;
pub mod fence;
pub mod ids;
pub mod image;
pub mod job;
pub mod member;
pub mod plan;
pub mod recipe;
pub mod round;
pub mod seed;
pub mod session;
pub mod stats;
pub mod task;
pub mod time;
pub mod trajectory;
pub mod tree;
