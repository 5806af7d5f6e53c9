//! The world of a server, and somebody who hears what happens in the server.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::event::Event;
use crate::node::{Environment, Point};
use crate::types::Time;

/// Hears each event, in order.
#[derive(Clone)]
pub(super) struct Observer(Arc<dyn Fn(&Event) + Send + Sync>);

impl Observer {
    pub(super) fn new(hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A server's environment, with an observer if there is one.
#[derive(Clone)]
pub(super) struct Observed<E> {
    pub(super) environment: E,
    pub(super) observer: Option<Observer>,
}

impl<E: Environment> Environment for Observed<E> {
    fn now(&self) -> Time {
        self.environment.now()
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        self.environment.sleep_until(deadline)
    }

    fn point(&self, point: Point) -> impl Future<Output = ()> + Send {
        self.environment.point(point)
    }

    fn gather(&self) -> impl Future<Output = ()> + Send {
        self.environment.gather()
    }

    fn observe(&self, event: &Event) {
        if let Some(Observer(hear)) = &self.observer {
            hear(event);
        }
    }
}
