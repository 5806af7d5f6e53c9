//! Bugs of real systems in which a client's command is applied twice, or its session is lost (E).

use crate::Evidence::{Plan, Sentence, Test};
use crate::bugs::Bug;

const TABLE: &str = "raft-core/tests/sessions/model.rs";
const MACHINE: &str = "raft-core/tests/sessions/machine.rs";

pub(crate) const SESSIONS: &[Bug] = &[
    Bug {
        row: "E1",
        seen_at: "Curvine 2026: ids of requests are in the leader's memory only; a retry after it crashed is applied again",
        told: "https://github.com/CurvineIO/curvine/issues/676",
        planted: &["SessionsFilterNothing", "SessionsNotInSnapshot"],
        found_by: &[
            Sentence("sessions", "a_serial_number_that_was_executed_is_not_executed_again"),
            Sentence("sessions", "each_state_machine_maintains_a_session_for_each_client"),
            Test(TABLE, "the_table_does_what_a_slow_and_obvious_one_does"),
            Plan("sessions"),
        ],
        excluded: "",
    },
    Bug {
        row: "E2",
        seen_at: "SummitDB 2016, on hashicorp/raft: an error whose command is in the log all the same, and the retry of it",
        told: "https://github.com/tidwall/summitdb/issues/5",
        planted: &["SessionsFilterNothing"],
        found_by: &[Sentence("sessions", "a_serial_number_that_was_executed_is_not_executed_again")],
        excluded: "",
    },
    Bug {
        row: "E3",
        seen_at: "Atomix 2015: sessions that expire by time do so while there is no leader to keep them alive",
        told: "https://github.com/atomix/atomix/issues/35",
        planted: &["SessionExpiredByClock"],
        found_by: &[Sentence("sessions", "session_expiry_is_deterministic")],
        excluded: "",
    },
    Bug {
        row: "E4",
        seen_at: "etcd 3.4.3 (Jepsen): a client that goes on under a lease that has expired (R10)",
        told: "https://jepsen.io/analyses/etcd-3.4.3",
        planted: &["ExpiredSessionApplied"],
        found_by: &[
            Sentence("sessions", "a_command_with_no_record_of_its_session_is_not_processed"),
            Plan("few-sessions"),
        ],
        excluded: "That a lock which is a lease excludes nobody is left to whoever builds locks.",
    },
    Bug {
        row: "E5",
        seen_at: "Atomix 2018: a command that is sent again waits for its number to come up, which it has",
        told: "https://github.com/atomix/atomix/pull/466",
        planted: &[],
        found_by: &[
            Sentence("sessions", "commands_take_effect_according_to_their_first_appearance_in_the_log"),
            Sentence("sessions", "a_session_is_a_set_of_number_and_response_pairs"),
        ],
        excluded: "Nothing waits for lower numbers: the log is the only queue.",
    },
    Bug {
        row: "E6",
        seen_at: "dragonboat 2024: sessions in memory beside a state machine that is on disk",
        told: "https://github.com/lni/dragonboat/issues/356",
        planted: &[],
        found_by: &[Test(MACHINE, "a_state_machine_that_outlives_its_sessions_is_refused")],
        excluded: "Such a state machine keeps a table of its own, in one batch with what it applies.",
    },
];
