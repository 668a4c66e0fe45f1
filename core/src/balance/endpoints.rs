//! Which endpoint of a backend.

use super::Random;

/// The less loaded of two endpoints taken at random (Mitzenmacher: The power of two choices, 2001).
/// `tried` is passed over while there is another one.
pub fn less_loaded_of_two(
    endpoints: usize,
    tried: Option<usize>,
    random: &mut Random,
    load: impl Fn(usize) -> u32,
) -> Option<usize> {
    let untried = match tried {
        Some(tried) if endpoints > 1 && tried < endpoints => endpoints - 1,
        _ => endpoints,
    };
    // Counting over a gap: places behind the tried one move up by one.
    let place = |place: usize| match tried {
        Some(tried) if untried < endpoints && place >= tried => place + 1,
        _ => place,
    };
    let bound = u32::try_from(untried).unwrap_or(u32::MAX);
    match untried {
        0 => None,
        1 => Some(place(0)),
        _ => {
            let first = random.below(bound);
            let second = (first + 1 + random.below(bound - 1)) % bound;
            let (first, second) = (place(first as usize), place(second as usize));
            Some(if load(second) < load(first) {
                second
            } else {
                first
            })
        }
    }
}

/// The next endpoint in turn; `tried` is passed over while there is another one.
pub fn next_in_turn(endpoints: usize, tried: Option<usize>, turn: &mut usize) -> Option<usize> {
    if endpoints == 0 {
        return None;
    }
    let mut place = *turn % endpoints;
    if tried == Some(place) && endpoints > 1 {
        place = (place + 1) % endpoints;
    }
    *turn = place + 1;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_loaded_is_taken_and_the_tried_one_is_passed_over() {
        let mut random = Random::seeded(1);
        let loads = [9, 1, 9];
        for _ in 0..100 {
            let chosen = less_loaded_of_two(3, Some(1), &mut random, |place| loads[place]);
            assert!(matches!(chosen, Some(0 | 2)), "{chosen:?}");
        }
        let chosen: Vec<_> = (0..100)
            .map(|_| less_loaded_of_two(2, None, &mut random, |n| loads[n]))
            .collect();
        assert!(chosen.iter().all(|one| *one == Some(1)));
        assert_eq!(less_loaded_of_two(1, Some(0), &mut random, |_| 0), Some(0));
        assert_eq!(less_loaded_of_two(0, None, &mut random, |_| 0), None);
    }

    #[test]
    fn equal_loads_are_spread_over_all() {
        let mut random = Random::seeded(7);
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[less_loaded_of_two(5, None, &mut random, |_| 0).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn turns_go_round() {
        let mut turn = 0;
        let run: Vec<_> = (0..4)
            .map(|_| next_in_turn(3, None, &mut turn).unwrap())
            .collect();
        assert_eq!(run, [0, 1, 2, 0]);
        assert_eq!(next_in_turn(3, Some(1), &mut turn), Some(2));
        assert_eq!(next_in_turn(1, Some(0), &mut turn), Some(0));
        assert_eq!(next_in_turn(0, None, &mut turn), None);
    }
}
