//! Majorities.

/// How many of `voters` servers are a majority (§5.2): any two majorities share a server.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The furthest that a majority of so many voters has reached, where `reached` has how far for each that has reached
/// anything: the last N with a majority at or past it (§5.3). It needs no memory, and there are never so many voters
/// that it would be slow.
pub(crate) fn reached_by_majority<T: Copy + Default + Ord>(
    voters: usize,
    reached: impl Iterator<Item = T> + Clone,
) -> T {
    let mut furthest = T::default();
    for n in reached.clone() {
        if n > furthest {
            let mut at_or_past = 0;
            reached.clone().for_each(|at| at_or_past += usize::from(at >= n));
            furthest = if at_or_past >= majority(voters) { n } else { furthest };
        }
    }
    furthest
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
            assert_eq!(reached_by_majority(reached.len(), reached.iter().copied()), expected);
            assert_eq!(reached_by_majority(2 * reached.len() + 1, reached.iter().copied()), 0);
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
