//! The tool and its nodes as processes, in real time. Apart from the other tests, which want all cores all the time: whoever
//! waits for an election does not get one in time beside them.

mod backup;
mod bench;
mod compare;
mod machines;
mod node;
mod node_tls;
mod nodes;
mod operations;
mod process;
mod readme;
#[path = "../it/tool.rs"]
mod tool;
#[path = "../it/typed.rs"]
mod typed;
