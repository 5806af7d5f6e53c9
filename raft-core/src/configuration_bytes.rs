//! A configuration as bytes: in entries of the log, in messages, on disk.

use bytes::Bytes;

use crate::configuration::{Configuration, MEMBERS_MAX, Member, Next};
use crate::types::{Incarnation, NodeId};

/// The number of this encoding.
const FORMAT: u8 = 1;

impl Configuration {
    /// The bytes of an entry with it, [`Payload::Configuration`](crate::Payload::Configuration): format number,
    /// a byte that is 0 if there is no next, 1 if there is, 2 if it is joint, then the two or four lists. A list is
    /// its length (4 bytes) and of each server id (8), whether it is bound (1), and its incarnation (8).
    pub fn to_bytes(&self) -> Bytes {
        let phase = self.next.as_ref().map_or(0, |next| 1 + u8::from(next.joint));
        let mut bytes = vec![FORMAT, phase];
        put_list(&mut bytes, &self.voters);
        put_list(&mut bytes, &self.learners);
        if let Some(next) = &self.next {
            put_list(&mut bytes, &next.voters);
            put_list(&mut bytes, &next.learners);
        }
        bytes.into()
    }

    /// The configuration that these bytes stand for; none if they are not those of a sound one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[format, phase], mut rest) = bytes.split_first_chunk()?;
        if format != FORMAT || phase > 2 {
            return None;
        }
        let (voters, learners) = (take_list(&mut rest)?, take_list(&mut rest)?);
        let next = if phase == 0 {
            None
        } else {
            Some(Next { voters: take_list(&mut rest)?, learners: take_list(&mut rest)?, joint: phase == 2 })
        };
        let configuration = Self { voters, learners, next };
        (rest.is_empty() && configuration.check().is_ok()).then_some(configuration)
    }
}

fn put_list(bytes: &mut Vec<u8>, list: &[Member]) {
    // No sound configuration has more than fit.
    bytes.extend(u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes());
    for member in list {
        bytes.extend(member.id.get().to_le_bytes());
        bytes.push(u8::from(member.incarnation.is_some()));
        bytes.extend(member.incarnation.unwrap_or_default().0.to_le_bytes());
    }
}

fn take_list(rest: &mut &[u8]) -> Option<Vec<Member>> {
    let count = u32::from_le_bytes(take(rest)?) as usize;
    let member = |_| {
        let id = NodeId::new(u64::from_le_bytes(take(rest)?));
        let [bound] = take(rest)?;
        let incarnation = Incarnation(u64::from_le_bytes(take(rest)?));
        match bound {
            0 => Some(Member::from(id)).filter(|_| incarnation == Incarnation::default()),
            1 => Some(Member::bound(id, incarnation)),
            2.. => None,
        }
    };
    if count > MEMBERS_MAX { None } else { (0..count).map(member).collect() }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::tests::configuration;

    #[test]
    fn a_configuration_comes_back_from_its_bytes_and_from_no_others() {
        let configuration = configuration();
        let bytes = configuration.to_bytes();
        assert_eq!(Configuration::from_bytes(&bytes), Some(configuration));
        for cut in 0..bytes.len() {
            assert_eq!(Configuration::from_bytes(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Configuration::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    /// What is on disk and on the wire stays readable.
    #[test]
    fn the_bytes_are_these() {
        let configuration = Configuration::of([NodeId::new(1)])
            .with_learners([Member::bound(NodeId::new(2), Incarnation(7))]);
        let expected: Vec<u8> = [
            &[1, 0][..],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(configuration.to_bytes(), expected);
        assert_eq!(configuration.to_string(), "n1+n2#7");
    }
}
