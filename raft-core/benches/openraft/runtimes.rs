//! On which threads servers and clients run: the same for both.

use std::fmt;
use std::future::Future;

use tokio::runtime::{Builder, Runtime};

#[derive(Clone, Copy)]
pub(crate) enum Layout {
    /// All servers and all clients share two threads.
    One,
    /// Each server has a thread of its own, and the clients have one.
    OneEach,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one runtime",
            Self::OneEach => "one each",
        })
    }
}

/// The last is the clients'.
pub(crate) struct Runtimes(Vec<Runtime>);

impl Runtimes {
    pub(crate) fn new(layout: Layout) -> Self {
        let (runtimes, threads) = match layout {
            Layout::One => (1, 2),
            Layout::OneEach => (4, 1),
        };
        let runtime = |_| Builder::new_multi_thread().worker_threads(threads).enable_time().build().unwrap();
        Self((0..runtimes).map(runtime).collect())
    }

    /// Runs where this server is to be.
    pub(crate) fn block_on_node<R: Send + 'static>(
        &self,
        place: usize,
        work: impl Future<Output = R> + Send + 'static,
    ) -> R {
        let runtime = &self.0[place % self.0.len()];
        runtime.block_on(runtime.spawn(work)).unwrap()
    }

    /// Runs where the clients are.
    pub(crate) fn block_on_clients<R>(&self, work: impl Future<Output = R>) -> R {
        self.0.last().unwrap().block_on(work)
    }

    /// Lets go of whatever runs.
    pub(crate) fn end(self) {
        self.0.into_iter().for_each(Runtime::shutdown_background);
    }
}
