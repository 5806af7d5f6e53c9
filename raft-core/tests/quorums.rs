//! Majorities and their bytes, against a slow and obvious version: all sets of servers are tried one after another.
//!
//! The same in each run. `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=1 cargo test --profile ci -p raft-core --all-features --test
//! quorums` makes others, and as many (for nights).

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::proptest;
use proptest::test_runner::{RngSeed, TestCaseError};
use raft_core::{
    AppendEntriesReply, ClusterId, Config, Configuration, Effects, Envelope, GroupId, Incarnation, Input,
    LogIndex, Member, Message, Next, NodeId, PlantedBug, Raft, RequestVoteReply, Restored, RoleName, Session,
    Time,
};

/// Servers have these ids. The first is the one that is watched.
const SERVERS: std::ops::RangeInclusive<u64> = 1..=7;
/// Of the life of its disk that a server is in, and of another.
const LIVES: [u64; 2] = [100, 200];

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(usual, |cases| cases.parse().expect("a number"));
    let seed = std::env::var("PROPTEST_RNG_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A set of servers: the bit of a server is set.
type Set = u32;

fn has(set: Set, id: NodeId) -> bool {
    set >> id.get() & 1 == 1
}

/// Every set of the servers.
fn sets() -> impl Iterator<Item = Set> {
    (0..1_u32 << SERVERS.count()).map(|set| set << 1)
}

/// §6, word by word: of each list that votes there are more in the set than out of it.
fn agrees(configuration: &Configuration, set: Set) -> bool {
    let majority = |voters: &[Member]| {
        let within = voters.iter().filter(|voter| has(set, voter.id)).count();
        let without = voters.iter().filter(|voter| !has(set, voter.id)).count();
        within > without
    };
    let joint = configuration.next.as_ref().is_some_and(|next| next.joint);
    majority(&configuration.voters)
        && (!joint || configuration.next.iter().all(|next| majority(&next.voters)))
}

/// The last index that all of some set have which is enough; `reached` has how far a server got, if it counts.
fn furthest(configuration: &Configuration, reached: impl Fn(NodeId) -> u64) -> u64 {
    let least = |set: Set| SERVERS.map(NodeId::new).filter(|&id| has(set, id)).map(&reached).min();
    sets().filter(|&set| agrees(configuration, set)).filter_map(least).max().unwrap_or(0)
}

/// Servers of a list, each in whatever life, or in the one that it is in, or in another.
fn list(least: usize) -> impl Strategy<Value = Vec<Member>> {
    let life = prop_oneof![4 => Just(None), 3 => Just(Some(LIVES[0])), 1 => Just(Some(LIVES[1]))];
    (btree_set(SERVERS, least..=5), vec(life, 5)).prop_map(|(ids, lives)| {
        let member = |(id, life): (u64, Option<u64>)| Member {
            id: NodeId::new(id),
            incarnation: life.map(Incarnation),
        };
        ids.into_iter().zip(lives).map(member).collect()
    })
}

/// Any that a group can have.
fn configuration() -> impl Strategy<Value = Configuration> {
    let lists = || {
        (list(1), list(0)).prop_map(|(voters, mut learners)| {
            let voting: BTreeSet<_> = voters.iter().map(|voter| voter.id).collect();
            learners.retain(|learner| !voting.contains(&learner.id));
            (voters, learners)
        })
    };
    let phase = prop_oneof![1 => Just(None), 1 => Just(Some(false)), 2 => Just(Some(true))];
    (lists(), lists(), phase).prop_map(|((voters, learners), next, phase)| {
        let next = phase.map(|joint| Next { voters: next.0, learners: next.1, joint });
        Configuration { voters, learners, next }
    })
}

/// In which life a server counts in a configuration: one that is bound to another life does not.
fn counts(configuration: &Configuration, id: NodeId) -> bool {
    configuration.electorates().flatten().any(|voter| voter.id == id && is_it(voter))
}

fn is_it(voter: &Member) -> bool {
    voter.incarnation.is_none_or(|life| life == Incarnation(LIVES[0]))
}

/// The same configuration where whoever is bound to another life is somebody else, who never answers.
fn without_other_lives(configuration: &Configuration) -> Configuration {
    let rename = |list: &[Member]| {
        let stranger = |voter: &Member| NodeId::new(voter.id.get() + 20).into();
        let renamed = list.iter().map(|voter| if is_it(voter) { voter.id.into() } else { stranger(voter) });
        renamed.collect::<Vec<Member>>()
    };
    let next = configuration.next.as_ref();
    let next = next.map(|next| Next { voters: rename(&next.voters), ..next.clone() });
    Configuration { voters: rename(&configuration.voters), next, ..configuration.clone() }
}

/// The server that is watched, with a disk that takes no time.
struct Watched {
    raft: Raft,
    now: Time,
    said: Vec<Envelope>,
}

impl Watched {
    fn new(configuration: &Configuration, planted: Option<PlantedBug>) -> Self {
        let mut config = Config::new(NodeId::new(1), Vec::new());
        config.bootstrap = Some(configuration.clone());
        config.incarnation = Incarnation(LIVES[0]);
        (config.pre_vote, config.check_quorum) = (false, false);
        config.planted = planted;
        let raft = Raft::new(config, Restored::default(), Time::ZERO).expect("a sound configuration");
        let mut watched = Self { raft, now: Time::ZERO, said: Vec::new() };
        watched.carry_out();
        watched
    }

    fn step(&mut self, input: Input) {
        self.raft.step(self.now, input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        loop {
            let Effects { write, send, apply, violation, .. } = self.raft.take_effects();
            assert_eq!(violation, None);
            self.said.extend(send);
            if !apply.is_empty() {
                self.raft.step(self.now, Input::Applied);
            }
            let Some(write) = write else { break };
            self.raft.step(self.now, Input::Persisted(write.token));
        }
    }

    /// What this server says to the one that is watched, in the life that counts.
    fn hear(&mut self, from: NodeId, session: Session, message: Message) {
        self.step(Input::Receive(Envelope {
            cluster: ClusterId(1),
            group: GroupId(0),
            from,
            incarnation: Incarnation(LIVES[0]),
            to: self.raft.id(),
            term: self.raft.current_term(),
            session,
            message,
        }));
    }

    fn session(&self, to: NodeId, kind: &str) -> Option<Session> {
        let asked = |said: &&Envelope| said.to == to && said.message.kind() == kind;
        self.said.iter().rfind(asked).map(|said| said.session)
    }

    /// Its timeout elapses, and these give it their votes one after another. Whether it leads after each is told.
    fn stand(&mut self, voters: &[NodeId], mut told: impl FnMut(Set, bool)) {
        self.now = self.raft.deadline();
        self.step(Input::Tick);
        let mut granted: Set = 2;
        told(granted, self.leads());
        for &voter in voters {
            let Some(session) = self.session(voter, "vote") else { continue };
            let vote = Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
            self.hear(voter, session, vote);
            granted |= 1 << voter.get();
            told(granted, self.leads());
        }
    }

    fn leads(&self) -> bool {
        self.raft.role() == RoleName::Leader
    }
}

/// The others, in some order.
fn others() -> impl Strategy<Value = Vec<NodeId>> {
    Just(SERVERS.skip(1).map(NodeId::new).collect::<Vec<_>>()).prop_shuffle()
}

/// Servers, and how far they say that they are.
fn acknowledgements() -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((2_u64..=7, 0_u64..=4), 0..25)
}

/// These vote for the server that is watched, one after another.
fn elects(
    configuration: &Configuration,
    voters: &[NodeId],
    planted: Option<PlantedBug>,
) -> Result<(), String> {
    let obvious = without_other_lives(configuration);
    let votes = counts(configuration, NodeId::new(1));
    let mut wrong = Vec::new();
    Watched::new(configuration, planted).stand(voters, |granted, leads| {
        if leads != (votes && agrees(&obvious, granted)) {
            wrong.push(format!("{configuration}: {granted:b} have granted, and whether it leads is {leads}"));
        }
    });
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// All vote for it, and then these say one after another how far they are.
fn commits(
    configuration: &Configuration,
    voters: &[NodeId],
    acknowledged: &[(u64, u64)],
    planted: Option<PlantedBug>,
) -> Result<(), String> {
    let mut watched = Watched::new(configuration, planted);
    watched.stand(voters, |_, _| ());
    for command in ["x", "y", "z"] {
        let _not_leader = watched.raft.propose(command.into());
    }
    watched.step(Input::Tick);
    let (mut reached, mut committed, mut before) = ([0; 8], 0, configuration.clone());
    // First nobody has acknowledged anything.
    for (from, index) in [(1, 0)].iter().chain(acknowledged) {
        if let Some(session) = watched.session(NodeId::new(*from), "append") {
            // What it has said before it has still.
            let reached = &mut reached[usize::try_from(*from).unwrap()];
            *reached = (*index).max(*reached);
            let accepted = AppendEntriesReply::Accepted { match_index: LogIndex::new(*index) };
            watched.hear(NodeId::new(*from), session, Message::AppendEntriesReply(accepted));
        }
        let last = watched.raft.last_log().index.get();
        let after = watched.raft.configuration().configuration.clone();
        for of in [&before, &after].map(without_other_lives) {
            let of_another = |id: NodeId| reached[usize::try_from(id.get()).unwrap()];
            let at = |id: NodeId| if id.get() == 1 { last } else { of_another(id) };
            committed = committed.max(furthest(&of, at));
        }
        let has_committed = watched.raft.commit_index().get();
        if has_committed != committed {
            return Err(format!("{before}, then {after}: {has_committed} is committed, not {committed}"));
        }
        before = after;
        if !watched.leads() {
            break;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    /// A quorum is what the paper says, whoever it is; and any two share a server that counts in both, so that there
    /// are no two leaders and nothing else at one index.
    #[test]
    fn a_quorum_is_a_majority_of_each_list_and_any_two_share_a_server(
        configuration in configuration(),
    ) {
        let quorums: Vec<_> = sets().filter(|&set| agrees(&configuration, set)).collect();
        for set in sets() {
            let is_quorum = configuration.is_quorum(|member| has(set, member.id));
            prop_assert_eq!(is_quorum, quorums.contains(&set), "{} {:b}", configuration, set);
        }
        for voters in configuration.electorates() {
            let among = voters.iter().fold(0, |set, voter| set | 1 << voter.id.get());
            for quorum in &quorums {
                prop_assert!(quorums.iter().all(|other| quorum & other & among != 0), "{} {:b}", configuration, quorum);
            }
        }
    }

    /// Between a configuration and the next one in a change there is no gap: quorums of the old voters, of both, and of
    /// the new ones, in this order, share a server with those of the step before.
    #[test]
    fn each_step_of_a_change_shares_a_server_with_the_step_before(old in list(1), new in list(1)) {
        let next = Next { voters: new.clone(), learners: Vec::new(), joint: true };
        let joint = Configuration { next: Some(next), ..Configuration::of(old.clone()) };
        let quorums = |of: &Configuration| sets().filter(|&set| agrees(of, set)).collect::<Vec<_>>();
        let both = quorums(&joint);
        for side in [quorums(&Configuration::of(old)), quorums(&Configuration::of(new))] {
            prop_assert!(side.iter().all(|one| both.iter().all(|other| one & other != 0)), "{}", joint);
        }
    }

    /// A candidate leads as soon as some set that has granted is enough, and no earlier.
    #[test]
    fn a_candidate_wins_with_a_quorum_and_with_nothing_less(
        configuration in configuration(),
        voters in others(),
        how_many in 0_usize..7,
    ) {
        elects(&configuration, &voters[..how_many.min(voters.len())], None).map_err(TestCaseError::fail)?;
    }

    /// A leader has committed what some set has that is enough. In joint consensus the new voters are in force as soon
    /// as something was committed, and then what they have is.
    #[test]
    fn a_leader_commits_what_a_quorum_has_and_nothing_else(
        configuration in configuration(),
        voters in others(),
        acknowledged in acknowledgements(),
    ) {
        commits(&configuration, &voters, &acknowledged, None).map_err(TestCaseError::fail)?;
    }

    /// The bytes of a configuration are its own, and there are no others for it.
    #[test]
    fn a_configuration_is_its_bytes(one in configuration(), other in configuration()) {
        let bytes = one.to_bytes();
        prop_assert_eq!(Configuration::from_bytes(&bytes), Some(one.clone()));
        prop_assert_eq!(bytes == other.to_bytes(), one == other);
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    /// Bytes are no configuration, or exactly those of a sound one, whatever they are.
    #[test]
    fn any_bytes_are_a_sound_configuration_or_none(bytes in vec(any::<u8>(), 0..80)) {
        is_sound_or_none(&bytes)?;
    }

    /// And such as nearly are one.
    #[test]
    fn damaged_bytes_are_a_sound_configuration_or_none(
        configuration in configuration(),
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
        cut in any::<usize>(),
    ) {
        let mut bytes = configuration.to_bytes().to_vec();
        for (place, with) in damage {
            let place = place % bytes.len();
            bytes[place] = with;
        }
        is_sound_or_none(&bytes)?;
        is_sound_or_none(&bytes[..cut % bytes.len()])?;
    }
}

fn is_sound_or_none(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Some(configuration) = Configuration::from_bytes(bytes) {
        prop_assert_eq!(configuration.check(), Ok(()));
        prop_assert_eq!(&configuration.to_bytes()[..], bytes);
    }
    Ok(())
}

/// Whether it counts old voters only, or those of another life, shows.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    for bug in [PlantedBug::JointCountsOldOnly, PlantedBug::AnyLifeCounts] {
        let mut runner = TestRunner::new(cases(300));
        let cases = (configuration(), others(), acknowledgements());
        let mut found = [false; 2];
        for _ in 0..300 {
            let (configuration, voters, acknowledged) = cases.new_tree(&mut runner).unwrap().current();
            found[0] |= elects(&configuration, &voters, Some(bug)).is_err();
            found[1] |= commits(&configuration, &voters, &acknowledged, Some(bug)).is_err();
        }
        assert_eq!(found, [true; 2], "{bug:?}");
    }
}
