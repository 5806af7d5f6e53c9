//! The tests of part 3B: commands are agreed on.

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::{Lab, Started};
use super::failure::{Failure, Tested, expect, within};
use super::tester::{ELECTION, Waited, millis, number};

/// How often a test is begun again that an election has spoilt.
const TRIES: usize = 5;

/// BasicAgree3B.
pub(super) async fn basic_agree(lab: Lab) -> Tested {
    for index in 1..=3 {
        let (have, _) = lab.committed(index);
        expect(have == 0, || format!("{have} servers have command {index} before it was started"))?;
        let got = lab.one(number(index * 100), lab.servers(), false).await?;
        expect(got == index, || format!("the command got number {got}, and should have got {index}"))?;
    }
    Ok(())
}

/// RPCBytes3B.
pub(super) async fn rpc_bytes(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(99), servers, false).await?;
    let before = lab.bytes();
    let mut sent = 0;
    for index in 2..12 {
        let command: String =
            (0..5000).map(|_| char::from(*lab.rng().pick(b"0123456789abcdef").unwrap_or(&b' '))).collect();
        sent += command.len() as u64;
        let got = lab.one(command, servers, false).await?;
        expect(got == index, || format!("the command got number {got}, and should have got {index}"))?;
    }
    let bytes = lab.bytes() - before;
    let limit = servers as u64 * sent + 50_000;
    within(bytes <= limit, || {
        format!("{bytes} bytes were sent for {sent} bytes of commands, at most {limit} may be")
    })
}

/// FollowerFailure3B.
pub(super) async fn follower_failure(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(101), servers, false).await?;
    let leader = lab.leader().await?;
    lab.disconnect((leader + 1) % servers);
    lab.one(number(102), servers - 1, false).await?;
    sleep(ELECTION).await;
    lab.one(number(103), servers - 1, false).await?;
    let leader = lab.leader().await?;
    lab.disconnect((leader + 1) % servers);
    lab.disconnect((leader + 2) % servers);
    let started = took(leader, lab.start(leader, number(104)).await)?;
    expect(started.index == 4, || {
        format!("the command got number {}, and should have got 4", started.index)
    })?;
    sleep(2 * ELECTION).await;
    nobody_has(&lab, 4)
}

/// LeaderFailure3B.
pub(super) async fn leader_failure(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(101), servers, false).await?;
    let first = lab.leader().await?;
    lab.disconnect(first);
    lab.one(number(102), servers - 1, false).await?;
    sleep(ELECTION).await;
    lab.one(number(103), servers - 1, false).await?;
    let second = lab.leader().await?;
    lab.disconnect(second);
    for server in 0..servers {
        lab.start(server, number(104)).await;
    }
    sleep(2 * ELECTION).await;
    nobody_has(&lab, 4)
}

/// FailAgree3B.
pub(super) async fn fail_agree(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(101), servers, false).await?;
    let leader = lab.leader().await?;
    let follower = (leader + 1) % servers;
    lab.disconnect(follower);
    lab.one(number(102), servers - 1, false).await?;
    lab.one(number(103), servers - 1, false).await?;
    sleep(ELECTION).await;
    lab.one(number(104), servers - 1, false).await?;
    lab.one(number(105), servers - 1, false).await?;
    lab.connect(follower);
    lab.one(number(106), servers, true).await?;
    sleep(ELECTION).await;
    lab.one(number(107), servers, true).await?;
    Ok(())
}

/// FailNoAgree3B.
pub(super) async fn fail_no_agree(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(10), servers, false).await?;
    let leader = lab.leader().await?;
    let cut = [1, 2, 3].map(|next| (leader + next) % servers);
    cut.iter().for_each(|&server| lab.disconnect(server));
    let started = took(leader, lab.start(leader, number(20)).await)?;
    expect(started.index == 2, || {
        format!("the command got number {}, and should have got 2", started.index)
    })?;
    sleep(2 * ELECTION).await;
    nobody_has(&lab, started.index)?;
    cut.iter().for_each(|&server| lab.connect(server));
    // The majority may have elected one of its own, that has forgotten the command.
    let leader = lab.leader().await?;
    let started = took(leader, lab.start(leader, number(30)).await)?;
    let index = started.index;
    expect((2..=3).contains(&index), || {
        format!("the command got number {index}, and should have got 2 or 3")
    })?;
    lab.one(number(1000), servers, true).await?;
    Ok(())
}

/// ConcurrentStarts3B.
pub(super) async fn concurrent_starts(lab: Lab) -> Tested {
    let servers = lab.servers();
    for again in 0..TRIES {
        if again > 0 {
            millis(3_000).await;
        }
        let leader = lab.leader().await?;
        let Some(Started { term, .. }) = lab.start(leader, number(1)).await else { continue };
        let mut starts = JoinSet::new();
        for command in 100..105 {
            let lab = lab.clone();
            starts.spawn(async move { lab.start(leader, number(command)).await });
        }
        let started: Vec<_> =
            starts.join_all().await.into_iter().flatten().filter(|s| s.term == term).collect();
        if lab.is_later_than(term).await {
            continue;
        }
        let mut commands = Vec::new();
        for Started { index, .. } in started {
            match lab.wait(index, servers, Some(term)).await? {
                Waited::Applied(command) => commands.push(command),
                Waited::MovedOn => break,
            }
        }
        if lab.is_later_than(term).await {
            continue;
        }
        for command in (100..105).map(number) {
            expect(commands.contains(&command), || format!("{command:?} is not among {commands:?}"))?;
        }
        return Ok(());
    }
    Err(Failure::Missed(format!("the term changed in each of {TRIES} tries")))
}

/// Rejoin3B.
pub(super) async fn rejoin(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(101), servers, true).await?;
    let first = lab.leader().await?;
    lab.disconnect(first);
    for command in [102, 103, 104] {
        took(first, lab.start(first, number(command)).await)?;
    }
    lab.one(number(103), 2, true).await?;
    let second = lab.leader().await?;
    lab.disconnect(second);
    lab.connect(first);
    lab.one(number(104), 2, true).await?;
    lab.connect(second);
    lab.one(number(105), servers, true).await?;
    Ok(())
}

/// Backup3B.
pub(super) async fn backup(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), servers, true).await?;
    // The leader and a follower have many commands that are never committed,
    let first = lab.leader().await?;
    let of_first = |next: usize| (first + next) % servers;
    (2..5).for_each(|next| lab.disconnect(of_first(next)));
    start_fifty(&lab, first).await;
    sleep(ELECTION / 2).await;
    (0..2).for_each(|next| lab.disconnect(of_first(next)));
    // the others have many that are,
    (2..5).for_each(|next| lab.connect(of_first(next)));
    for _ in 0..50 {
        lab.one(lab.random_command(), 3, true).await?;
    }
    // and two of those many that are not again.
    let second = lab.leader().await?;
    let other = if second == of_first(2) { (second + 1) % servers } else { of_first(2) };
    lab.disconnect(other);
    start_fifty(&lab, second).await;
    sleep(ELECTION / 2).await;
    (0..servers).for_each(|server| lab.disconnect(server));
    [of_first(0), of_first(1), other].into_iter().for_each(|server| lab.connect(server));
    for _ in 0..50 {
        lab.one(lab.random_command(), 3, true).await?;
    }
    lab.connect_all();
    lab.one(lab.random_command(), servers, true).await?;
    Ok(())
}

/// Count3B.
pub(super) async fn count(lab: Lab) -> Tested {
    let servers = lab.servers();
    let all = || (0..servers).map(|server| lab.rpcs(server)).sum::<u64>();
    lab.leader().await?;
    let elected = all();
    within((1..=30).contains(&elected), || format!("{elected} requests to elect a leader, 1 to 30 may be"))?;
    agree_on_ten(&lab, all).await?;
    let before = all();
    sleep(ELECTION).await;
    let idle = all() - before;
    within(idle <= 20 * 3, || format!("{idle} requests in an idle second, at most 60 may be"))
}

/// Part (b) of Count3B.
async fn agree_on_ten(lab: &Lab, all: impl Fn() -> u64) -> Tested {
    const COMMANDS: u64 = 10;
    for again in 0..TRIES {
        if again > 0 {
            millis(3_000).await;
        }
        let leader = lab.leader().await?;
        let before = all();
        let Some(first) = lab.start(leader, number(1)).await else { continue };
        let mut commands = Vec::new();
        let mut same_term = true;
        for place in 1..COMMANDS + 2 {
            let command = lab.random_command();
            commands.push(command.clone());
            match lab.start(leader, command).await {
                Some(started) if started.term == first.term => {
                    let (got, wanted) = (started.index, first.index + place);
                    expect(got == wanted, || {
                        format!("the command got number {got}, and should have got {wanted}")
                    })?;
                }
                Some(_) | None => same_term = false,
            }
        }
        if !same_term {
            continue;
        }
        for (place, command) in (1..=COMMANDS).zip(commands) {
            let index = first.index + place;
            match lab.wait(index, lab.servers(), Some(first.term)).await? {
                Waited::MovedOn => same_term = false,
                Waited::Applied(applied) => {
                    expect(applied == command, || format!("command {index} is not what was started as it"))?;
                }
            }
        }
        if !same_term || lab.is_later_than(first.term).await {
            continue;
        }
        let requests = all() - before;
        let limit = (COMMANDS + 1 + 3) * 3;
        return within(requests <= limit, || {
            format!("{requests} requests for {} commands, at most {limit} may be", COMMANDS + 2)
        });
    }
    Err(Failure::Missed(format!("the term changed in each of {TRIES} tries")))
}

async fn start_fifty(lab: &Lab, server: usize) {
    for _ in 0..50 {
        lab.start(server, lab.random_command()).await;
    }
}

fn took(server: usize, started: Option<Started>) -> Tested<Started> {
    started.ok_or_else(|| Failure::Missed(format!("server {server} leads and does not take a command")))
}

fn nobody_has(lab: &Lab, index: u64) -> Tested {
    let (have, _) = lab.committed(index);
    expect(have == 0, || format!("{have} servers have command {index}, and no majority was there"))
}
