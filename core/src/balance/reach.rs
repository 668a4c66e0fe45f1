//! Which endpoints a data plane uses, by where they are and where it is itself.

use std::sync::Arc;

use crate::ir::{Endpoint, Reach};

/// Where a data plane is, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its node, as Kubernetes names it.
    pub node: Option<Arc<str>>,
    /// Its node's zone (label `topology.kubernetes.io/zone`).
    pub zone: Option<Arc<str>>,
}

/// The places of the endpoints to use, ascending, of those that work: a zone without one is as a zone without any.
#[must_use]
pub fn within_reach(
    endpoints: &[Endpoint],
    reach: Reach,
    here: &Whereabouts,
    works: impl Fn(usize) -> bool,
) -> Vec<u32> {
    let places = |is_used: &dyn Fn(&Endpoint) -> bool| places(endpoints, &works, is_used);
    let on_node = |one: &Endpoint| here.node.is_some() && one.node == here.node;
    let in_zone = |one: &Endpoint| here.zone.is_some() && one.zone == here.zone;
    let (near, is_bound) = match reach {
        Reach::Anywhere => (Vec::new(), false),
        Reach::SameNode => match places(&|one| on_node(one) && !one.is_leaving) {
            none if none.is_empty() => (places(&on_node), true),
            staying => (staying, true),
        },
        Reach::PreferZone => (places(&in_zone), false),
        Reach::PreferNode => match places(&on_node) {
            none if none.is_empty() => (places(&in_zone), false),
            near => (near, false),
        },
    };
    match near.is_empty() && !is_bound {
        true => places(&|_| true),
        false => near,
    }
}

fn places(
    endpoints: &[Endpoint],
    works: &impl Fn(usize) -> bool,
    is_used: &dyn Fn(&Endpoint) -> bool,
) -> Vec<u32> {
    let places = (0_u32..).zip(endpoints.iter().enumerate());
    let used = places.filter(|(_, (place, endpoint))| works(*place) && is_used(endpoint));
    used.map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(last: u8, node: &str, zone: &str) -> Endpoint {
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        Endpoint {
            address: ([10, 0, 0, last], 80).into(),
            node: text(node),
            zone: text(zone),
            is_leaving: false,
        }
    }

    fn here(node: Option<&str>, zone: Option<&str>) -> Whereabouts {
        Whereabouts {
            node: node.map(Into::into),
            zone: zone.map(Into::into),
        }
    }

    #[test]
    fn on_a_node_those_that_leave_serve_until_another_is_there() {
        let leaving = |last| Endpoint {
            is_leaving: true,
            ..endpoint(last, "a", "x")
        };
        let here = here(Some("a"), Some("x"));
        let used = |all: &[Endpoint]| within_reach(all, Reach::SameNode, &here, |_| true);
        assert_eq!(used(&[leaving(1), endpoint(2, "b", "x")]), [0]);
        assert_eq!(used(&[leaving(1), endpoint(2, "a", "x")]), [1]);
    }

    #[test]
    fn the_nearest_that_are_there_are_used() {
        let all = [
            endpoint(1, "a", "x"),
            endpoint(2, "b", "x"),
            endpoint(3, "c", "y"),
            endpoint(4, "", ""),
        ];
        let (everywhere, nowhere) = (vec![0, 1, 2, 3], Vec::new());
        for (reach, node, zone, expected) in [
            (Reach::Anywhere, Some("a"), Some("x"), &everywhere),
            (Reach::SameNode, Some("b"), Some("x"), &vec![1]),
            (Reach::SameNode, Some("d"), Some("x"), &nowhere),
            (Reach::SameNode, None, Some("x"), &nowhere),
            (Reach::PreferNode, Some("c"), Some("y"), &vec![2]),
            (Reach::PreferNode, Some("d"), Some("x"), &vec![0, 1]),
            (Reach::PreferNode, Some("d"), Some("z"), &everywhere),
            (Reach::PreferZone, Some("a"), Some("x"), &vec![0, 1]),
            (Reach::PreferZone, Some("a"), Some("z"), &everywhere),
            (Reach::PreferZone, Some("a"), None, &everywhere),
        ] {
            let used = within_reach(&all, reach, &here(node, zone), |_| true);
            assert_eq!(used, *expected, "{reach:?} from {node:?} in {zone:?}");
        }
    }

    #[test]
    fn those_that_do_not_work_are_as_if_they_were_not_there() {
        let all = [
            endpoint(1, "a", "x"),
            endpoint(2, "b", "x"),
            endpoint(3, "c", "y"),
        ];
        let here = here(Some("a"), Some("x"));
        let but =
            |out: &[usize], reach| within_reach(&all, reach, &here, |one| !out.contains(&one));
        assert_eq!(but(&[0], Reach::PreferNode), [1]);
        assert_eq!(but(&[0, 1], Reach::PreferNode), [2]);
        assert_eq!(but(&[0, 1], Reach::PreferZone), [2]);
        assert_eq!(but(&[1], Reach::Anywhere), [0, 2]);
        assert!(but(&[0], Reach::SameNode).is_empty());
    }
}
