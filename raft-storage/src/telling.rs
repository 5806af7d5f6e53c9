//! What RocksDB says goes to [`tracing`], and into no file and no stream.
//!
//! Its warnings and errors are ours; what it calls information (flushes, compactions, the options that it was opened
//! with) is `DEBUG`, and what it calls debugging is `TRACE`. The target is `rocksdb`, the field `directory` says
//! which.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rocksdb::{InfoLogger, LogLevel, Options};

const TARGET: &str = "rocksdb";

/// What RocksDB says when it has counted an error in the background, with the reason. The errors that it tells of before
/// and after it need not say why: of a manifest that could not be written, for example, what was to be written.
const COUNTED: &str = "Waiting after background ";

/// RocksDB counts an error, and tells of it next. That takes no time, unless the machine stands still.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last error in the background that RocksDB told of. It tells nobody otherwise.
#[derive(Clone, Default)]
pub(crate) struct LastError(Arc<(Mutex<Option<String>>, Condvar)>);

impl LastError {
    /// What was told, of an error that was counted.
    pub(crate) fn wait(&self) -> Option<String> {
        let (error, told) = &*self.0;
        let error = error.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = told.wait_timeout_while(error, PATIENCE, |error| error.is_none());
        let (error, _) = waited.unwrap_or_else(PoisonError::into_inner);
        error.clone()
    }

    fn set(&self, text: &str) {
        let (error, told) = &*self.0;
        *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        told.notify_all();
    }
}

/// Has a database with these options tell what it has to say, from `level` on.
pub(crate) fn listen(options: &mut Options, path: &Path, level: LogLevel) -> LastError {
    let last_error = LastError::default();
    let (directory, errors) = (path.display().to_string(), last_error.clone());
    options.set_info_logger(InfoLogger::new_callback_logger(level, move |level, message| {
        let message = message.trim_end();
        if message.contains(COUNTED) {
            errors.set(message);
        }
        // A panic would have to unwind through RocksDB, which ends the process. A listener that fails has no say here.
        let _panicked = panic::catch_unwind(AssertUnwindSafe(|| tell(level, &directory, message)));
    }));
    last_error
}

fn tell(level: LogLevel, directory: &str, message: &str) {
    match level {
        LogLevel::Debug => tracing::trace!(target: TARGET, directory, "{message}"),
        LogLevel::Info | LogLevel::Header => tracing::debug!(target: TARGET, directory, "{message}"),
        LogLevel::Warn => tracing::warn!(target: TARGET, directory, "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: TARGET, directory, "{message}"),
    }
}
