//! What a node does about its addresses, turn by turn.

use super::*;
use crate::limits::ANNOUNCE_SHARED_RENEW;

fn set(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn one(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rounds(now: Instant) -> Rounds {
    Rounds::new(Pace::SHARED, true, now)
}

/// Asks until the addresses are free, and puts them.
fn claim(rounds: &mut Rounds, wanted: &BTreeSet<IpAddr>, mut now: Instant) -> Instant {
    for _ in 0..ANNOUNCE_PROBES {
        assert_eq!(
            rounds.turn(wanted, &BTreeSet::new(), now).probe.len(),
            wanted.len()
        );
        now += ANNOUNCE_PROBE_GAP;
    }
    for address in rounds.turn(wanted, &BTreeSet::new(), now).put {
        assert!(rounds.put(address, now));
    }
    now
}

#[test]
fn addresses_are_asked_for_put_renewed_and_taken_but_never_those_of_others() {
    let now = Instant::now();
    let mut rounds = rounds(now);
    let wanted = set(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let others = set(&["10.0.0.2", "127.0.0.1"]);
    let steps = rounds.turn(&wanted, &others, now);
    assert_eq!(steps.probe, [one("10.0.0.1"), one("fd00::1")]);
    assert_eq!(rounds.turn(&wanted, &others, now), Steps::default());
    rounds.turn(&BTreeSet::new(), &others, now);
    let ours = wanted.difference(&others).copied().collect();
    let now = claim(&mut rounds, &ours, now);
    assert_eq!(rounds.turn(&wanted, &others, now), Steps::default());
    let later = now + ANNOUNCE_SHARED_RENEW;
    let steps = rounds.turn(&set(&["fd00::1"]), &others, later);
    assert_eq!(steps.renew, [one("fd00::1")]);
    assert_eq!(steps.take, [one("10.0.0.1")]);
    assert!(!rounds.put(one("fd00::1"), later));
    rounds.taken(one("10.0.0.1"));
    let steps = rounds.turn(&set(&["fd00::1"]), &others, later);
    assert_eq!(steps, Steps::default());
}

#[test]
fn what_another_host_has_is_asked_for_again_later_and_told_once() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    let (first, second) = (Mac([1; 6]), Mac([2; 6]));
    assert_eq!(
        rounds.heard(address, first, false, now),
        None,
        "not asked for"
    );
    rounds.turn(&wanted, &none, now);
    assert_eq!(
        rounds.heard(address, first, false, now),
        Some(News::Refused)
    );
    assert_eq!(rounds.turn(&wanted, &none, now), Steps::default());
    let later = now + ANNOUNCE_REFUSED;
    assert_eq!(rounds.turn(&wanted, &none, later).probe, [address]);
    assert_eq!(rounds.heard(address, first, false, later), None, "no news");
    let later = later + ANNOUNCE_REFUSED;
    rounds.turn(&wanted, &none, later);
    assert_eq!(
        rounds.heard(address, second, false, later),
        Some(News::Refused)
    );
    rounds.turn(&none, &none, later);
    let steps = rounds.turn(&wanted, &none, later);
    assert_eq!(steps.probe, [address], "nobody wanted it in between");
}

#[test]
fn what_a_dead_members_kernel_still_answers_for_is_asked_for_soon_and_once_is_enough() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    rounds.turn(&wanted, &none, now);
    rounds.heard(address, Mac([1; 6]), true, now);
    let later = now + ANNOUNCE_SHARED_REFUSED;
    assert_eq!(rounds.turn(&wanted, &none, later).probe, [address]);
    let later = later + ANNOUNCE_PROBE_GAP;
    assert_eq!(rounds.turn(&wanted, &none, later).put, [address]);
}

#[test]
fn what_another_gave_up_is_taken_at_once_if_it_is_for_us() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    rounds.turn(&wanted, &none, now);
    rounds.heard(address, Mac([1; 6]), true, now);
    rounds.released(&[address, one("10.0.0.2")], now);
    assert_eq!(rounds.turn(&wanted, &none, now).put, [address]);
    rounds.put(address, now);
    rounds.taken(address);
    let steps = rounds.turn(&wanted, &none, now);
    assert_eq!(steps.probe, [address], "it was given up once");
    let later = now + GOSSIP_RELEASED;
    let wanted = set(&["10.0.0.2"]);
    let steps = rounds.turn(&wanted, &none, later);
    assert_eq!(steps.probe, [one("10.0.0.2")], "that was long ago");
}

#[test]
fn an_agent_that_slept_longer_than_its_addresses_live_asks_again() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    let now = claim(&mut rounds, &wanted, now);
    let later = now + Pace::SHARED.lifetime();
    let steps = rounds.turn(&wanted, &none, later);
    assert_eq!((steps.lost, steps.probe), (vec![address], vec![address]));
    assert!(steps.renew.is_empty() && steps.put.is_empty());
}

#[test]
fn an_address_is_defended_once_in_a_while() {
    let now = Instant::now();
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    let now = claim(&mut rounds, &wanted, now);
    rounds.tell(now);
    let theirs = Mac([1; 6]);
    assert_eq!(
        rounds.heard(address, theirs, false, now),
        Some(News::Contested)
    );
    assert_eq!(rounds.tell(now), [address]);
    assert_eq!(rounds.heard(address, theirs, false, now), None);
    let later = now + ANNOUNCE_DEFEND;
    assert_eq!(
        rounds.heard(address, theirs, false, later),
        Some(News::Contested)
    );
}

#[test]
fn a_new_address_is_told_of_a_few_times_and_then_now_and_then() {
    let now = Instant::now();
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    let mut now = claim(&mut rounds, &wanted, now);
    for _ in 0..ANNOUNCE_TELLINGS {
        assert_eq!(rounds.tell(now), [address]);
        assert!(rounds.tell(now).is_empty());
        now += ANNOUNCE_TELL_SOON;
    }
    assert!(rounds.tell(now).is_empty());
    rounds.put(address, now);
    assert!(rounds.tell(now).is_empty(), "it was only renewed");
    assert_eq!(rounds.tell(now + ANNOUNCE_TELL_AGAIN), [address]);
    rounds.released(&[address], now);
    assert_eq!(rounds.tell(now), [address], "another had it too");
}

/// When something is due again, after a turn that has done what was due.
fn next_after(
    rounds: &mut Rounds,
    wanted: &BTreeSet<IpAddr>,
    others: &BTreeSet<IpAddr>,
    now: Instant,
) -> Steps {
    let steps = rounds.turn(wanted, others, now);
    assert!(rounds.next().is_none_or(|next| next > now), "{rounds:?}");
    steps
}

#[test]
fn a_turn_that_has_done_its_work_has_nothing_due_at_once() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    next_after(&mut rounds, &wanted, &none, now);
    rounds.heard(address, Mac([1; 6]), false, now);
    next_after(&mut rounds, &wanted, &none, now);
    let mut now = now + ANNOUNCE_REFUSED;
    let steps = next_after(&mut rounds, &wanted, &none, now);
    assert_eq!(steps.probe, [address], "asked for once more");
    let mut tried = 0;
    while tried < 3 {
        // The interface takes it not.
        now = rounds.next().unwrap();
        tried += next_after(&mut rounds, &wanted, &none, now).put.len();
    }
    let later = now + ANNOUNCE_PROBE_GAP;
    next_after(&mut rounds, &wanted, &wanted, later);
    assert_eq!(rounds.next(), None, "it is local without our doing");
}

#[test]
fn what_waits_for_room_to_be_asked_for_is_not_due() {
    let (now, none) = (Instant::now(), BTreeSet::new());
    let (address, mut wanted) = (one("10.0.0.1"), set(&["10.0.0.1"]));
    let mut rounds = rounds(now);
    rounds.turn(&wanted, &none, now);
    rounds.heard(address, Mac([1; 6]), true, now);
    let others = 0..u32::try_from(ANNOUNCE_CLAIMS).unwrap();
    wanted.extend(others.map(|n| IpAddr::from(n.to_be_bytes())));
    rounds.turn(&wanted, &none, now);
    let later = now + ANNOUNCE_SHARED_REFUSED;
    next_after(&mut rounds, &wanted, &none, later);
}

#[test]
fn no_round_asks_for_more_than_the_link_bears() {
    let wanted: BTreeSet<IpAddr> = (0..1_200u32)
        .map(|n| IpAddr::from(n.to_be_bytes()))
        .collect();
    let mut now = Instant::now();
    let (mut rounds, mut put, mut turns) = (rounds(now), 0, 0);
    while put < wanted.len() {
        let steps = rounds.turn(&wanted, &BTreeSet::new(), now);
        assert!(steps.probe.len() <= ANNOUNCE_CLAIMS);
        put += steps.put.len();
        for address in steps.put {
            rounds.put(address, now);
        }
        turns += 1;
        assert!(turns < 20, "{put}");
        now += ANNOUNCE_PROBE_GAP;
    }
}

#[test]
fn where_nobody_can_be_asked_addresses_are_put_at_once() {
    let now = Instant::now();
    let mut rounds = Rounds::new(Pace::ALONE, false, now);
    let wanted = set(&["10.0.0.1", "fd00::1"]);
    assert_eq!(rounds.turn(&wanted, &BTreeSet::new(), now).put.len(), 2);
}
