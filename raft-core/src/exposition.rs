//! What is measured, as Prometheus reads it (feature `prometheus`): [`Metrics`] is a
//! [`Collector`], and so is what raft-net and raft-storage measure. Whoever is asked for metrics takes the pictures, puts them
//! into a registry and has it encoded:
//!
//! ```
//! use prometheus_client::encoding::prometheus_text::encode;
//! use prometheus_client::registry::Registry;
//! use raft_core::node::Metrics;
//!
//! fn page(metrics: Metrics) -> Result<String, std::fmt::Error> {
//!     let (mut page, mut registry) = (String::new(), Registry::default());
//!     registry.register_collector(Box::new(metrics));
//!     encode(&mut page, &registry)?;
//!     Ok(page)
//! }
//! ```

use std::fmt::{Error, Result};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::counts::Counts;
use crate::event::RoleName;
use crate::node::{Durations, Metrics, RequestCounts, Status, Waiting};

/// A page of metrics that is being written: for collectors.
#[derive(Debug)]
pub struct Exposition<'a>(DescriptorEncoder<'a>);

impl<'a> From<DescriptorEncoder<'a>> for Exposition<'a> {
    fn from(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }
}

impl Exposition<'_> {
    /// A number that comes and goes.
    ///
    /// # Errors
    ///
    /// The page cannot be written, here and below.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// The same for each of several things: `label` says what they are, each value which.
    ///
    /// # Errors
    ///
    /// See [`gauge`](Self::gauge).
    pub fn gauges<V: EncodeGaugeValue>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (impl ToString, V)>,
    ) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(which, value)| {
            encoder.encode_family(&[(label, which.to_string())])?.encode_gauge(&value)
        })
    }

    /// A number that only grows; `_total` is put behind its name.
    ///
    /// # Errors
    ///
    /// See [`gauge`](Self::gauge).
    pub fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// The same for each of several things.
    ///
    /// # Errors
    ///
    /// See [`gauge`](Self::gauge).
    pub fn counters<const N: usize>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        values: [(&str, u64); N],
    ) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(which, value)| {
            encoder.encode_family(&[(label, which)])?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    /// How long something takes, in seconds.
    ///
    /// # Errors
    ///
    /// See [`gauge`](Self::gauge).
    pub fn histogram(&mut self, name: &str, help: &str, durations: &Durations) -> Result {
        let Durations { total, buckets, .. } = durations;
        let bound = |bucket| match bucket + 1 {
            // The last one has whatever took longer.
            Durations::BUCKETS => f64::INFINITY,
            _ => Durations::bound(bucket).as_secs_f64(),
        };
        let buckets: Vec<_> = buckets.iter().enumerate().map(|(nth, count)| (bound(nth), *count)).collect();
        let counted = buckets.iter().map(|(_, count)| count).sum();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(total.as_secs_f64(), counted, &buckets, None)
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::result::Result<(), Error> {
        let mut page = Exposition(encoder);
        page.status(&self.status)?;
        page.gauge("raft_durable_index", "The last entry that is durable here.", self.durable_index.get())?;
        page.gauge(
            "raft_applied_index",
            "The last entry that the state machine has applied.",
            self.applied_index.get(),
        )?;
        page.followers(self)?;
        page.waiting(&self.waiting)?;
        page.requests(&self.requests)?;
        page.elections(&self.counts)?;
        page.log(self)?;
        page.snapshots(self)?;
        page.histogram(
            "raft_apply_seconds",
            "How long the state machine took for what it was given to apply at a time.",
            &self.applies,
        )
    }
}

impl Exposition<'_> {
    fn status(&mut self, status: &Status) -> Result {
        let roles = [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader];
        self.gauges(
            ("raft_role", "role"),
            "1 of the role that the server has, 0 of the others.",
            roles.map(|role| (role, u64::from(role == status.role))),
        )?;
        self.gauge("raft_term", "The term.", status.current_term.get())?;
        let leader = status.leader.map_or(0, crate::NodeId::get);
        self.gauge("raft_leader", "The id of the leader; 0 while none is known.", leader)?;
        self.gauge(
            "raft_commit_index",
            "The last entry that is known to be committed.",
            status.commit_index.get(),
        )?;
        self.gauge("raft_last_index", "The last entry of the log.", status.last_log.index.get())?;
        self.gauge(
            "raft_snapshot_index",
            "The last entry that the last snapshot stands for.",
            status.snapshot_index.get(),
        )?;
        self.gauge(
            "raft_damaged_entries",
            "Entries that the disk has lost, and that are being fetched.",
            status.damaged,
        )?;
        self.gauge(
            "raft_log_suspect",
            "1 while the end of the log may be lost, and no leader has caught the server up.",
            u64::from(status.suspect),
        )
    }

    fn followers(&mut self, metrics: &Metrics) -> Result {
        let last = metrics.status.last_log.index.get();
        let followers = || metrics.followers.iter();
        self.gauges(
            ("raft_follower_lag", "follower"),
            "Leaders: entries that each follower is not known to have on its disk.",
            followers().map(|known| (known.follower.get(), last.saturating_sub(known.match_index.get()))),
        )?;
        self.gauges(
            ("raft_follower_in_flight_bytes", "follower"),
            "Leaders: bytes of entries on their way to each follower.",
            followers().map(|known| (known.follower.get(), known.in_flight_bytes)),
        )
    }

    fn waiting(&mut self, waiting: &Waiting) -> Result {
        let Waiting {
            messages,
            requests,
            commands,
            queries,
            transfers,
            writes,
            oldest_write,
            loads,
            applying,
        } = *waiting;
        self.gauges(
            ("raft_queue_depth", "queue"),
            "What waits in the server.",
            [
                ("messages", messages),
                ("requests", requests),
                ("commands", commands),
                ("queries", queries),
                ("transfers", transfers),
                ("writes", writes),
                ("loads", loads),
                ("applies", usize::from(applying)),
            ],
        )?;
        self.gauge(
            "raft_oldest_write_seconds",
            "How long the disk has not confirmed the oldest write.",
            oldest_write.as_secs_f64(),
        )
    }

    fn requests(&mut self, requests: &RequestCounts) -> Result {
        let RequestCounts { commands, queries, not_leader, transferring, overloaded } = *requests;
        self.counter("raft_proposals", "Commands that were appended to the log.", commands)?;
        self.counter("raft_queries", "Queries that were taken.", queries)?;
        self.counters(
            ("raft_requests_refused", "reason"),
            "Commands and queries that were refused.",
            [("not-leader", not_leader), ("transferring", transferring), ("overloaded", overloaded)],
        )
    }

    fn elections(&mut self, counts: &Counts) -> Result {
        self.counter("raft_pre_votes", "Rounds of pre-votes that the server started.", counts.pre_votes)?;
        self.counters(
            ("raft_elections_started", "cause"),
            "Elections that the server started: of impatience, or handed over to it by a leader.",
            [
                ("timeout", counts.elections - counts.elections_handed_over),
                ("transfer", counts.elections_handed_over),
            ],
        )?;
        self.counters(
            ("raft_elections_won", "cause"),
            "Elections that it won.",
            [
                ("timeout", counts.elections_won - counts.elections_won_handed_over),
                ("transfer", counts.elections_won_handed_over),
            ],
        )?;
        self.counter(
            "raft_leader_changes",
            "How often the server found a leader that it did not know.",
            counts.leaders_found,
        )?;
        self.counters(
            ("raft_leader_gave_way", "reason"),
            "How often it gave way as a leader by itself.",
            [
                ("no-majority", counts.gave_way_no_majority),
                ("disk-hangs", counts.gave_way_disk_hangs),
                ("removed", counts.gave_way_removed),
                ("log-damaged", counts.gave_way_log_damaged),
            ],
        )?;
        self.counter(
            "raft_votes_ignored",
            "Votes and pre-votes that it did not hear because a leader is there.",
            counts.votes_ignored,
        )?;
        self.counter(
            "raft_appends_rejected",
            "What leaders sent that did not join on to the log.",
            counts.appends_rejected,
        )?;
        self.counter(
            "raft_strangers_dropped",
            "Messages of another cluster, or for another server.",
            counts.strangers_dropped,
        )
    }

    fn log(&mut self, metrics: &Metrics) -> Result {
        self.counter("raft_messages_received", "Messages that came in.", metrics.messages_received)?;
        self.counter("raft_messages_sent", "Messages given to the transport.", metrics.messages_sent)?;
        self.counter("raft_log_batches", "Batches given to the disk.", metrics.writes)?;
        self.counter("raft_log_entries", "Entries in them.", metrics.entries_written)?;
        self.counter("raft_log_bytes", "Bytes of commands in them.", metrics.bytes_written)?;
        self.gauge("raft_cached_bytes", "Bytes of entries in memory.", metrics.footprint.cached_bytes)?;
        let counts = &metrics.counts;
        self.counters(
            ("raft_entries_lost", "fate"),
            "Entries that the disk has lost, and what became of them; and those sent to others that lost them.",
            [
                ("found", counts.entries_damaged),
                ("repaired", counts.entries_repaired),
                ("dropped", counts.entries_dropped),
                ("lent", counts.entries_lent),
            ],
        )
    }

    fn snapshots(&mut self, metrics: &Metrics) -> Result {
        let counts = &metrics.counts;
        self.counters(
            ("raft_snapshots", "outcome"),
            "Snapshots of the server's own state machine, and those that it was sent.",
            [
                ("taken", counts.snapshots_taken),
                ("failed", counts.snapshots_failed),
                ("installed", counts.snapshots_installed),
            ],
        )?;
        let under_way = |is_sent| {
            let this = metrics.snapshot.filter(|snapshot| snapshot.is_sent == is_sent);
            this.map_or(0, |snapshot| snapshot.bytes)
        };
        self.gauges(
            ("raft_snapshot_progress_bytes", "of"),
            "Bytes that are here of a snapshot that is being taken, or received.",
            [("taking", under_way(false)), ("receiving", under_way(true))],
        )
    }
}
