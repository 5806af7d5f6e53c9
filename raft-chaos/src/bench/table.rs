//! What is measured, and what came of it, for people: lines of at most 100 columns.

use super::told::{Latency, Row, Setup};

/// Over the rows. Latencies are in milliseconds, processor time in percent of one core.
pub const HEAD: &str =
    "op      value  clients     ops/s   p50 ms   p99 ms  p999 ms   max ms  errors  load nodes others";

/// Under which circumstances it was measured.
pub fn words(setup: &Setup) -> String {
    let Setup { voters, keys, connections, time_s, warmup_s, cores, .. } = setup;
    let over = if setup.tls { "TLS on TCP" } else { "TCP" };
    let threads = setup.node_threads.map_or_else(String::new, |threads| {
        format!("; a node has {threads} thread{} and one for its log", if threads == 1 { "" } else { "s" })
    });
    let (cluster, cores_of) = if setup.own {
        (
            format!("{voters} nodes as processes of this machine, {over} on loopback"),
            format!("load and nodes together{threads}"),
        )
    } else {
        let servers = setup.servers.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        (
            format!("{servers}, {voters} of them vote; over {over}"),
            "the load; nodes here count as others".to_owned(),
        )
    };
    let disk =
        setup.sync_us.map_or_else(String::new, |us| format!("; a bare sync of 4 KiB takes {us} us here"));
    format!(
        "cluster   {cluster}\n\
         disk      RocksDB, synced before an answer{disk}\n\
         load      closed loop; one operation of a client at a time; at most {connections} connections; {keys} keys\n\
         rows      {time_s} s each, after {warmup_s} s to warm up\n\
         machine   {cores} cores, for {cores_of}"
    )
}

/// One row.
pub fn line(row: &Row) -> String {
    let millis = |us: u64| format!("{:.3}", us as f64 / 1e3);
    let latency = match row.latency_us {
        Some(Latency { p50, p99, p999, max }) => {
            [p50, p99, p999, max].map(|us| format!("{:>9}", millis(us))).concat()
        }
        None => format!("{:>36}", "no operation was done"),
    };
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.0}%"));
    let shares = row.cpu_percent;
    let busy = if row.busy { " busy" } else { "" };
    format!(
        "{:<5} {:>7} {:>8} {:>9.0}{latency} {:>7} {:>5} {:>5} {:>6}{busy}",
        row.kind.op.name(),
        size(row.kind.value),
        row.kind.clients,
        row.ops_per_s,
        row.errors(),
        percent(shares.load),
        percent(shares.nodes),
        percent(shares.others),
    )
}

/// As it was asked for.
fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        bytes if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        bytes => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{Kind, Op};
    use super::super::{CLIENTS_MAX, Shares};
    use super::*;

    fn row(latency_us: Option<Latency>, others: f64) -> Row {
        let shares = Shares { load: Some(104.0), nodes: None, others: Some(others) };
        Row {
            kind: Kind { op: Op::Write, value: 4_096, clients: CLIENTS_MAX },
            ok: 3,
            late: 0,
            not_done: 1,
            unknown: 2,
            wrong: 0,
            ops_per_s: 1_234_567.8,
            latency_us,
            cpu_percent: shares,
            busy: shares.is_busy(),
        }
    }

    #[test]
    fn columns_stand_under_their_heads_and_lines_fit() {
        let latency = Latency { p50: 48, p99: 1_234, p999: 99_000, max: 5_000_001 };
        assert_eq!(
            format!("{HEAD}\n{}\n{}", line(&row(Some(latency), 11.0)), line(&row(None, 9.0))),
            "\
op      value  clients     ops/s   p50 ms   p99 ms  p999 ms   max ms  errors  load nodes others
write    4KiB    16384   1234568    0.048    1.234   99.000 5000.001       3  104%     -    11% busy
write    4KiB    16384   1234568               no operation was done       3  104%     -     9%"
        );
        assert_eq!(line(&row(Some(latency), 11.0)).len(), 100);
    }

    #[test]
    fn sizes_are_told_as_they_are_asked_for() {
        for (bytes, told) in
            [(1, "1B"), (1_000, "1000B"), (1_024, "1KiB"), (4_096, "4KiB"), (1 << 20, "1MiB")]
        {
            assert_eq!(size(bytes), told);
        }
    }
}
