//! Smooth weighted round robin (as nginx has it): any run as long as the sum of the weights has each
//! backend exactly as often as its weight says, and no backend comes in a burst.

/// The state of one rule's backends on one shard.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    current: Vec<i64>,
}

impl Weights {
    /// The place of the next backend; none where all weights are zero. A list of another length than
    /// before starts anew.
    pub fn next(&mut self, weights: impl ExactSizeIterator<Item = u32>) -> Option<usize> {
        if self.current.len() != weights.len() {
            self.current = vec![0; weights.len()];
        }
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (place, (current, weight)) in self.current.iter_mut().zip(weights).enumerate() {
            if weight == 0 {
                *current = 0;
                continue;
            }
            total += i64::from(weight);
            *current += i64::from(weight);
            if best.is_none_or(|(_, most)| *current > most) {
                best = Some((place, *current));
            }
        }
        let (place, _) = best?;
        *self.current.get_mut(place)? -= total;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(weights: &[u32], run: usize) -> Vec<usize> {
        let mut state = Weights::default();
        let mut counts = vec![0; weights.len()];
        for _ in 0..run {
            counts[state.next(weights.iter().copied()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_run_of_the_sum_of_weights_is_exact() {
        assert_eq!(spread(&[9, 1], 10), [9, 1]);
        assert_eq!(spread(&[70, 30, 0], 100), [70, 30, 0]);
        assert_eq!(spread(&[1_000_000, 1], 500), [500, 0]);
        assert_eq!(spread(&[1, 1, 1], 3), [1, 1, 1]);
    }

    #[test]
    fn heavy_backends_do_not_come_in_bursts() {
        let mut state = Weights::default();
        let run: Vec<_> = (0..7)
            .map(|_| state.next([5, 1, 1].into_iter()).unwrap())
            .collect();
        assert_eq!(run, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn without_weight_there_is_no_backend() {
        assert_eq!(Weights::default().next([0, 0].into_iter()), None);
        assert_eq!(Weights::default().next([].into_iter()), None);
    }
}
