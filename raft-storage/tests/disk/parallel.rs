//! Many small checks on as many processors as there are.

use std::fmt::Debug;
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

/// Checks every item, and panics with the first few of those that are wrong.
pub(crate) fn in_parallel<T: Send, E: Debug + Send>(
    items: impl Iterator<Item = T> + Send,
    check: impl Fn(T) -> Result<(), E> + Sync,
) {
    let (items, wrong) = (Mutex::new(items.enumerate()), Mutex::new(Vec::new()));
    let next = || items.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((nth, item)) = next() {
                    if let Err(error) = check(item) {
                        wrong.lock().unwrap().push((nth, error));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort_by_key(|(nth, _)| *nth);
    assert!(wrong.is_empty(), "{} are wrong: {:#?}", wrong.len(), wrong.iter().take(9).collect::<Vec<_>>());
}
