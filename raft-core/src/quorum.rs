//! Majorities.

/// How many of `voters` servers are a majority (§5.2): any two majorities share a server.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// So many voters are put in order without memory of their own; there are seldom more.
const FEW: usize = 8;

/// The furthest that a majority has reached, where `reached` has how far for each voter: the last N with a
/// majority at or past it (§5.3).
pub(crate) fn reached_by_majority<T: Copy + Default + Ord>(reached: impl Iterator<Item = T> + Clone) -> T {
    let (mut furthest_first, mut voters) = ([T::default(); FEW], 0);
    for at in reached.clone() {
        let Some(last) = furthest_first.get_mut(voters) else { return reached_by_majority_of_many(reached) };
        *last = at;
        let mut place = voters;
        while place > 0 && furthest_first[place - 1] < at {
            furthest_first.swap(place - 1, place);
            place -= 1;
        }
        voters += 1;
    }
    furthest_first.get(majority(voters) - 1).copied().unwrap_or_default()
}

fn reached_by_majority_of_many<T: Copy + Default + Ord>(reached: impl Iterator<Item = T>) -> T {
    let mut furthest_first: Vec<T> = reached.collect();
    furthest_first.sort_unstable_by(|a, b| b.cmp(a));
    furthest_first.get(majority(furthest_first.len()) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: how far the voters got, and what a majority has.
    #[test]
    fn majority_position() {
        for (reached, expected) in [
            (&[][..], 0),
            (&[4], 4),
            (&[4, 0], 0),
            (&[4, 4, 0], 4),
            (&[5, 4, 3], 4),
            (&[5, 5, 1, 1], 1),
            (&[9, 7, 5, 3, 1], 5),
            (&[1, 3, 5, 7, 9], 5),
            (&[3, 9, 1, 5, 7, 2, 8, 4], 4),
            (&[3, 9, 1, 5, 7, 2, 8, 4, 6], 5),
            (&[7, 7, 7, 7, 7, 0, 0, 0, 0], 7),
            (&[7, 7, 7, 7, 0, 0, 0, 0, 0, 0], 0),
        ] {
            assert_eq!(reached_by_majority(reached.iter().copied()), expected);
        }
    }

    /// Checked the slow way: in every cluster, two majorities cannot be disjoint, and one fewer could be.
    #[test]
    fn two_majorities_share_a_server() {
        for voters in 1..=15 {
            assert!(2 * majority(voters) > voters && 2 * (majority(voters) - 1) <= voters);
        }
    }
}
