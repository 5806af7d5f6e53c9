//! The tests of part 3D: logs are compacted, and who lags behind is sent snapshots.

use super::cluster::Lab;
use super::failure::{Tested, expect, within};

/// The most bytes that a server's term, vote and log may take.
const STATE_BYTES_MAX: usize = 2000;

/// How a server is put out of the cluster's way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Disconnect,
    Crash,
}

/// SnapshotBasic3D, SnapshotInstall3D, SnapshotInstallUnreliable3D, SnapshotInstallCrash3D, SnapshotInstallUnCrash3D.
pub(super) async fn common(lab: Lab, fault: Fault) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), servers, true).await?;
    let mut leader = lab.leader().await?;
    for round in 0..30 {
        let (victim, sender) =
            if round % 3 == 1 { (leader, (leader + 1) % servers) } else { ((leader + 1) % servers, leader) };
        match fault {
            Fault::None => {}
            Fault::Disconnect => lab.disconnect(victim),
            Fault::Crash => lab.crash(victim).await,
        }
        if fault != Fault::None {
            lab.one(lab.random_command(), servers - 1, true).await?;
        }
        // Perhaps enough for a snapshot, perhaps not.
        for _ in 0..5 + lab.below(10) {
            lab.start(sender, lab.random_command()).await;
        }
        let others = if fault == Fault::None { servers } else { servers - 1 };
        lab.one(lab.random_command(), others, true).await?;
        let bytes = lab.state_bytes();
        within(bytes < STATE_BYTES_MAX, || {
            format!("round {round}: a server's log takes {bytes} bytes, less than {STATE_BYTES_MAX} may be")
        })?;
        match fault {
            Fault::None => {}
            Fault::Disconnect => lab.connect(victim),
            Fault::Crash => lab.restart(victim).await,
        }
        if fault != Fault::None {
            lab.one(lab.random_command(), servers, true).await?;
            leader = lab.leader().await?;
        }
    }
    let installed = lab.snapshots_installed();
    within((fault == Fault::None) == (installed == 0), || format!("{installed} snapshots were installed"))
}

/// SnapshotAllCrash3D.
pub(super) async fn all_crash(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), servers, true).await?;
    for _ in 0..5 {
        for _ in 0..5 + lab.below(10) {
            lab.one(lab.random_command(), servers, true).await?;
        }
        let before = lab.one(lab.random_command(), servers, true).await?;
        lab.restart_all().await;
        let after = lab.one(lab.random_command(), servers, true).await?;
        expect(after > before, || format!("command {before} was followed by {after} after a crash of all"))?;
    }
    Ok(())
}

/// SnapshotInit3D.
pub(super) async fn init(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), servers, true).await?;
    for _ in 0..11 {
        lab.one(lab.random_command(), servers, true).await?;
    }
    lab.restart_all().await;
    // A server that forgot its snapshot would save one without it now,
    lab.one(lab.random_command(), servers, true).await?;
    lab.restart_all().await;
    // and have nothing to begin with here.
    lab.one(lab.random_command(), servers, true).await?;
    Ok(())
}
