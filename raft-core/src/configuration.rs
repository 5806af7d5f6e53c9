//! Which servers a group has (§6, thesis 4): who votes, who learns, and what that is to become.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quorum::majority;
use crate::types::{EntryId, Incarnation, NodeId};

/// The most servers that one list of a configuration may name.
pub(crate) const MEMBERS_MAX: usize = 1000;

/// A server of a group, in one life of its data directory or in whatever life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Which server.
    pub id: NodeId,
    /// The life of its data directory that counts. Votes and acknowledgements from another one, as after its disk
    /// was wiped, are dropped. None: whoever has that id counts, and a wiped disk is not noticed.
    pub incarnation: Option<Incarnation>,
}

impl Member {
    /// The server in this life of its data directory only.
    pub const fn bound(id: NodeId, incarnation: Incarnation) -> Self {
        Self { id, incarnation: Some(incarnation) }
    }

    /// Whether a server in this life of its data directory is this member.
    pub(crate) fn is(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.id == id && self.incarnation.is_none_or(|bound| bound == incarnation)
    }
}

/// The server in whatever life of its data directory.
impl From<NodeId> for Member {
    fn from(id: NodeId) -> Self {
        Self { id, incarnation: None }
    }
}

/// Prints `n3`, or `n3#17` if it is bound to a life.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        self.incarnation.map_or(Ok(()), |Incarnation(number)| write!(f, "#{number}"))
    }
}

/// The servers of a group. Each list is sorted by id, and names no id twice; nobody both votes and learns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Configuration {
    /// Those whose votes and acknowledgements count.
    pub voters: Vec<Member>,
    /// Those who are sent the log and do not count (thesis 4.2.1).
    pub learners: Vec<Member>,
    /// What it is to become, while a change is under way.
    pub next: Option<Next>,
}

/// What a configuration is to become.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Next {
    /// Those who are to vote.
    pub voters: Vec<Member>,
    /// Those who are to learn.
    pub learners: Vec<Member>,
    /// Whether elections and commitment need a majority of both the old and the new voters: joint consensus (§6).
    /// Before, the new ones are only caught up.
    pub joint: bool,
}

/// A configuration, and the entry that it is in force from. [`EntryId::ZERO`]: from the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Configured {
    /// The entry.
    pub at: EntryId,
    /// The configuration.
    pub configuration: Configuration,
}

/// The group that begins with this configuration.
impl From<Configuration> for Configured {
    fn from(configuration: Configuration) -> Self {
        Self { at: EntryId::ZERO, configuration }
    }
}

/// In which electorates a server counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Votes {
    /// Among the voters.
    pub(crate) old: bool,
    /// Among the voters to be, in joint consensus.
    pub(crate) new: bool,
}

impl Votes {
    /// Whether it counts at all.
    pub(crate) const fn any(self) -> bool {
        self.old || self.new
    }
}

impl Configuration {
    /// These servers vote, each in whatever life; nobody learns.
    pub fn of(voters: impl IntoIterator<Item = impl Into<Member>>) -> Self {
        Self { voters: sorted(voters.into_iter().map(Into::into)), ..Self::default() }
    }

    /// The same with these learners.
    #[must_use]
    pub fn with_learners(self, learners: impl IntoIterator<Item = impl Into<Member>>) -> Self {
        Self { learners: sorted(learners.into_iter().map(Into::into)), ..self }
    }

    /// Whether it can be the configuration of a group.
    ///
    /// # Errors
    ///
    /// Nobody votes, a list is not sorted or too long, or a server both votes and learns.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        check_lists(&self.voters, &self.learners)?;
        self.next.as_ref().map_or(Ok(()), |next| check_lists(&next.voters, &next.learners))
    }

    /// All servers that take part, sorted by id, each once.
    pub fn members(&self) -> Vec<NodeId> {
        let next = self.next.iter().flat_map(|next| next.voters.iter().chain(&next.learners));
        ids(self.voters.iter().chain(&self.learners).chain(next))
    }

    /// All servers whose votes count, sorted by id, each once.
    pub fn voting(&self) -> Vec<NodeId> {
        ids(self.electorates().flatten())
    }

    /// The lists of which a majority is needed: one, or in joint consensus two.
    pub fn electorates(&self) -> impl Iterator<Item = &[Member]> + Clone {
        let new = self.next.as_ref().filter(|next| next.joint).map(|next| next.voters.as_slice());
        [self.voters.as_slice()].into_iter().chain(new)
    }

    /// Whether the servers that `counts` is true of are a majority of every electorate.
    pub fn is_quorum(&self, mut counts: impl FnMut(&Member) -> bool) -> bool {
        self.electorates().all(|voters| {
            let counted = voters.iter().filter(|member| counts(member)).count();
            counted >= majority(voters.len())
        })
    }

    /// In which electorates a server counts, in this life of its data directory; where it is not known in which one
    /// it is, in any.
    pub(crate) fn votes(&self, id: NodeId, incarnation: Option<Incarnation>) -> Votes {
        let is = |member: &Member| incarnation.is_none_or(|incarnation| member.is(id, incarnation));
        let is_among = |voters: &[Member]| find(voters, id).is_some_and(is);
        let mut among = self.electorates().map(is_among);
        Votes { old: among.next().unwrap_or(false), new: among.next().unwrap_or(false) }
    }

    /// Whether a server takes part, in this life of its data directory.
    pub(crate) fn has(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.places(id).any(|member| member.is(id, incarnation))
    }

    /// Whether a server takes part only in another life of its data directory than this one.
    pub(crate) fn has_another(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.places(id).next().is_some() && !self.has(id, incarnation)
    }

    /// Wherever a server is named.
    fn places(&self, id: NodeId) -> impl Iterator<Item = &Member> {
        let next = self.next.iter().flat_map(|next| [&next.voters, &next.learners]);
        [&self.voters, &self.learners].into_iter().chain(next).filter_map(move |list| find(list, id))
    }

    /// What follows while a change is under way: joint consensus, and then what was asked for (§6).
    pub(crate) fn next_step(&self) -> Option<Self> {
        let Next { voters, learners, joint } = self.next.clone()?;
        Some(if joint {
            Self { voters, learners, next: None }
        } else {
            Self { next: Some(Next { voters, learners, joint: true }), ..self.clone() }
        })
    }
}

/// These servers vote, each in whatever life.
impl From<Vec<NodeId>> for Configuration {
    fn from(voters: Vec<NodeId>) -> Self {
        Self::of(voters)
    }
}

/// Prints `n1,n2+n4`, voters and learners, and what follows: ` > ` while those who are to vote are caught up, ` & `
/// in joint consensus.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lists(f, &self.voters, &self.learners)?;
        let Some(next) = &self.next else { return Ok(()) };
        f.write_str(if next.joint { " & " } else { " > " })?;
        write_lists(f, &next.voters, &next.learners)
    }
}

fn write_lists(f: &mut fmt::Formatter<'_>, voters: &[Member], learners: &[Member]) -> fmt::Result {
    for (place, voter) in voters.iter().enumerate() {
        write!(f, "{}{voter}", if place > 0 { "," } else { "" })?;
    }
    for (place, learner) in learners.iter().enumerate() {
        write!(f, "{}{learner}", if place > 0 { "," } else { "+" })?;
    }
    Ok(())
}

/// Sorted, each once.
fn ids<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<NodeId> {
    let mut ids: Vec<_> = members.map(|member| member.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

pub(crate) fn sorted(members: impl IntoIterator<Item = Member>) -> Vec<Member> {
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_unstable();
    members.dedup();
    members
}

fn find(list: &[Member], id: NodeId) -> Option<&Member> {
    list.binary_search_by_key(&id, |member| member.id).ok().and_then(|place| list.get(place))
}

fn check_lists(voters: &[Member], learners: &[Member]) -> Result<(), ConfigurationError> {
    if voters.is_empty() {
        return Err(ConfigurationError::NoVoters);
    }
    for list in [voters, learners] {
        if list.len() > MEMBERS_MAX {
            return Err(ConfigurationError::TooMany { members: list.len() });
        }
        if let Some((first, second)) = list.iter().zip(&list[1.min(list.len())..]).find(|(a, b)| a.id >= b.id)
        {
            return Err(ConfigurationError::Unsorted { first: first.id, second: second.id });
        }
    }
    match learners.iter().find(|learner| find(voters, learner.id).is_some()) {
        Some(both) => Err(ConfigurationError::VotesAndLearns { server: both.id }),
        None => Ok(()),
    }
}

/// Why no group can have a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    /// There is nobody to vote.
    NoVoters,
    /// A list is not in ascending order, or names a server twice.
    Unsorted {
        /// A server.
        first: NodeId,
        /// The one after it, which does not belong there.
        second: NodeId,
    },
    /// A server votes, and learns too.
    VotesAndLearns {
        /// Which.
        server: NodeId,
    },
    /// More servers than any group has.
    TooMany {
        /// How many one list names.
        members: usize,
    },
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVoters => write!(f, "voters: there are none; name at least one server"),
            Self::Unsorted { first, second } => {
                write!(f, "members: {first} comes before {second}; sort them and name each server once")
            }
            Self::VotesAndLearns { server } => {
                write!(f, "members: {server} votes and learns; name it once")
            }
            Self::TooMany { members } => {
                write!(f, "members: {members} servers are too many; name at most {MEMBERS_MAX}")
            }
        }
    }
}

impl std::error::Error for ConfigurationError {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn configuration() -> Configuration {
        let next = Next {
            voters: vec![NodeId::new(1).into(), Member::bound(NodeId::new(3), Incarnation(8))],
            learners: vec![NodeId::new(9).into()],
            joint: true,
        };
        let learners = [Member::bound(NodeId::new(4), Incarnation(300))];
        Configuration {
            next: Some(next),
            ..Configuration::of([1, 2].map(NodeId::new)).with_learners(learners)
        }
    }

    /// In joint consensus a majority of each list is needed, and only of the lives that are bound.
    #[test]
    fn a_quorum_is_a_majority_of_both() {
        let configuration = configuration();
        let is_quorum = |servers: &[(u64, u64)]| {
            configuration.is_quorum(|member| {
                servers.iter().any(|&(id, life)| member.is(NodeId::new(id), Incarnation(life)))
            })
        };
        assert!(is_quorum(&[(1, 0), (2, 0), (3, 8)]));
        assert!(!is_quorum(&[(1, 0), (2, 0), (3, 7)]));
        assert!(!is_quorum(&[(1, 0), (3, 8)]));
        assert_eq!(configuration.votes(NodeId::new(1), Some(Incarnation(5))), Votes { old: true, new: true });
        assert_eq!(
            configuration.votes(NodeId::new(3), Some(Incarnation(8))),
            Votes { old: false, new: true }
        );
        assert!(configuration.has_another(NodeId::new(3), Incarnation(7)));
        assert!(!configuration.has_another(NodeId::new(5), Incarnation(7)));
        assert_eq!(configuration.to_string(), "n1,n2+n4#300 & n1,n3#8+n9");
    }

    /// Each row is no configuration, for its reason.
    #[test]
    fn what_makes_no_sense_is_refused() {
        let [one, two] = [1, 2].map(NodeId::new);
        let of = |voters: &[NodeId], learners: &[NodeId]| Configuration {
            voters: voters.iter().copied().map(Member::from).collect(),
            learners: learners.iter().copied().map(Member::from).collect(),
            next: None,
        };
        for (configuration, error) in [
            (of(&[], &[one]), ConfigurationError::NoVoters),
            (of(&[two, one], &[]), ConfigurationError::Unsorted { first: two, second: one }),
            (of(&[one, one], &[]), ConfigurationError::Unsorted { first: one, second: one }),
            (of(&[one], &[one]), ConfigurationError::VotesAndLearns { server: one }),
            (of(&[one; 1001], &[]), ConfigurationError::TooMany { members: 1001 }),
        ] {
            assert_eq!(configuration.check(), Err(error));
            let next =
                Some(Next { voters: configuration.voters, learners: configuration.learners, joint: false });
            assert_eq!(Configuration { next, ..of(&[one], &[]) }.check(), Err(error));
        }
    }
}
