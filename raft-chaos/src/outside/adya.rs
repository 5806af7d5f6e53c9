//! The crate adya, which finds Elle's anomalies in histories of lists.

use std::time::Duration;

use adya::{Opts, Valid, Workload, check};

use super::{Opinion, Outsider};
use crate::export::elle_json;
use crate::history::History;
use crate::plan::Kind;

pub(super) struct Adya;

impl Outsider for Adya {
    fn name(&self) -> String {
        "adya 0.1".to_owned()
    }

    fn knows(&self, kind: Kind, _history: &History) -> bool {
        kind == Kind::ListAppend
    }

    fn judge(&self, _kind: Kind, history: &History, limit: Duration) -> Opinion {
        let parsed = elle_json(history)
            .and_then(|json| adya::History::from_json(&json).map_err(|error| error.to_string()));
        let history = match parsed {
            Ok(history) => history,
            Err(why) => return Opinion::Unknown { why },
        };
        let models = vec!["strict-serializable".to_owned()];
        let report =
            check(&history, Workload::ListAppend, &Opts { models, timeout: limit, ..Opts::default() });
        let why = report.anomaly_types.join(", ");
        match report.valid {
            Valid::True => Opinion::Good,
            Valid::False => Opinion::Bad { why },
            Valid::Unknown => Opinion::Unknown { why },
        }
    }
}
