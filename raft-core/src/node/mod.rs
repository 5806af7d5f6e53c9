//! The node.
mod ports;
pub use ports::{Environment, LogStore, Point, StateMachine, Transport};
