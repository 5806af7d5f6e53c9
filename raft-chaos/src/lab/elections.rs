//! The tests of part 3A: leaders are elected.

use super::cluster::Lab;
use super::failure::{Tested, within};
use super::tester::{ELECTION, millis};
use tokio::time::sleep;

/// InitialElection3A. Tightened: without faults the term does not change, for ten seconds.
pub(super) async fn initial_election(lab: Lab) -> Tested {
    lab.leader().await?;
    millis(50).await;
    let first = lab.same_term().await?;
    within(first.get() >= 1, || format!("the term is {first}, and should be at least 1"))?;
    sleep(2 * ELECTION).await;
    let second = lab.same_term().await?;
    within(first == second, || format!("without a fault the term went from {first} to {second}"))?;
    lab.leader().await?;
    sleep(8 * ELECTION).await;
    let last = lab.same_term().await?;
    within(first == last, || format!("without a fault the term went from {first} to {last}"))
}

/// ReElection3A.
pub(super) async fn re_election(lab: Lab) -> Tested {
    let servers = lab.servers();
    let first = lab.leader().await?;
    lab.disconnect(first);
    lab.leader().await?;
    // An old leader that comes back disturbs nobody.
    lab.connect(first);
    let second = lab.leader().await?;
    lab.disconnect(second);
    lab.disconnect((second + 1) % servers);
    sleep(2 * ELECTION).await;
    lab.no_leader().await?;
    lab.connect((second + 1) % servers);
    lab.leader().await?;
    lab.connect(second);
    lab.leader().await?;
    Ok(())
}

/// ManyElections3A.
pub(super) async fn many_elections(lab: Lab) -> Tested {
    lab.leader().await?;
    for _ in 1..10 {
        let cut: Vec<_> = (0..3).map(|_| lab.below(lab.servers())).collect();
        cut.iter().for_each(|&server| lab.disconnect(server));
        // Either the leader is among the others, or they elect one.
        lab.leader().await?;
        cut.iter().for_each(|&server| lab.connect(server));
    }
    lab.leader().await?;
    Ok(())
}
