//! On which threads servers and clients are.

use std::fmt;

use tokio::runtime::{Builder, Runtime};

/// How the servers are spread over runtimes. Clients have one of their own, with one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All servers on one runtime with two threads, as openraft's benchmark has it.
    One,
    /// Each server on a runtime with one thread.
    OnePerServer,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one runtime",
            Self::OnePerServer => "one per server",
        })
    }
}

impl Layout {
    /// The runtimes, and on which of them each of three servers is.
    pub fn runtimes(self) -> (Vec<Runtime>, [usize; 3]) {
        match self {
            Self::One => (vec![runtime(2)], [0; 3]),
            Self::OnePerServer => ((0..3).map(|_| runtime(1)).collect(), [0, 1, 2]),
        }
    }
}

/// A runtime with so many threads.
pub fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("there are threads")
}
