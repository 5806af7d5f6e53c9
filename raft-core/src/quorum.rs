//! Majorities.

/// How many of `voters` servers are a majority (§5.2): any two majorities share a server.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The furthest that a majority has reached, where `reached` has how far for each voter.
pub(crate) fn reached_by_majority<T: Copy + Default + Ord>(reached: &mut [T]) -> T {
    reached.sort_unstable_by(|a, b| b.cmp(a));
    reached.get(majority(reached.len()) - 1).copied().unwrap_or_default()
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
        ] {
            assert_eq!(reached_by_majority(&mut reached.to_vec()), expected);
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
