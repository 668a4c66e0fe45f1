//! The names that we know, and how their values come: which fields are worth a place in the peer's table.
//!
//! One that is not known is passed on as one that nobody shall index: it may be a secret, and whoever sent it
//! may have said so (RFC 7541, sections 6.2.3 and 7.1.3), which its way through HTTP/1 doesn't tell.

use super::fixed::FIXED;

/// How a field's values come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// The same ones again and again, and nothing that somebody could want to guess.
    Repeats,
    /// Another one nearly each time: it would only push others out.
    Changes,
    /// Short enough to be guessed, and worth it: never in a table (RFC 7541, section 7.1).
    Secret,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) name: &'static [u8],
    pub(super) habit: Habit,
    /// Of the first field of this name in the static table; 0: there is none.
    pub(super) index: u8,
    /// How many fields of this name the static table has.
    pub(super) count: u8,
}

use Habit::{Changes, Repeats, Secret};

static KNOWN: [Known; 90] = [
    known(b":authority", Repeats),
    known(b":method", Repeats),
    known(b":path", Repeats),
    known(b":protocol", Repeats),
    known(b":scheme", Repeats),
    known(b":status", Repeats),
    known(b"accept", Repeats),
    known(b"accept-charset", Repeats),
    known(b"accept-encoding", Repeats),
    known(b"accept-language", Repeats),
    known(b"accept-ranges", Repeats),
    known(b"access-control-allow-credentials", Repeats),
    known(b"access-control-allow-headers", Repeats),
    known(b"access-control-allow-methods", Repeats),
    known(b"access-control-allow-origin", Repeats),
    known(b"access-control-expose-headers", Repeats),
    known(b"access-control-max-age", Repeats),
    known(b"access-control-request-headers", Repeats),
    known(b"access-control-request-method", Repeats),
    known(b"age", Changes),
    known(b"allow", Repeats),
    known(b"alt-svc", Repeats),
    known(b"authorization", Secret),
    known(b"cache-control", Repeats),
    known(b"content-disposition", Repeats),
    known(b"content-encoding", Repeats),
    known(b"content-language", Repeats),
    known(b"content-length", Changes),
    known(b"content-location", Changes),
    known(b"content-range", Changes),
    known(b"content-security-policy", Repeats),
    known(b"content-type", Repeats),
    known(b"cookie", Secret),
    known(b"cross-origin-embedder-policy", Repeats),
    known(b"cross-origin-opener-policy", Repeats),
    known(b"cross-origin-resource-policy", Repeats),
    known(b"date", Repeats),
    known(b"etag", Changes),
    known(b"expect", Changes),
    known(b"expires", Changes),
    known(b"forwarded", Changes),
    known(b"from", Changes),
    known(b"grpc-accept-encoding", Repeats),
    known(b"grpc-encoding", Repeats),
    known(b"grpc-message", Changes),
    known(b"grpc-status", Repeats),
    known(b"grpc-timeout", Changes),
    known(b"host", Changes),
    known(b"if-match", Changes),
    known(b"if-modified-since", Changes),
    known(b"if-none-match", Changes),
    known(b"if-range", Changes),
    known(b"if-unmodified-since", Changes),
    known(b"last-modified", Changes),
    known(b"link", Changes),
    known(b"location", Changes),
    known(b"max-forwards", Changes),
    known(b"origin", Repeats),
    known(b"permissions-policy", Repeats),
    known(b"pragma", Repeats),
    known(b"priority", Repeats),
    known(b"proxy-authenticate", Secret),
    known(b"proxy-authorization", Secret),
    known(b"range", Changes),
    known(b"referer", Changes),
    known(b"referrer-policy", Repeats),
    known(b"refresh", Changes),
    known(b"retry-after", Changes),
    known(b"sec-fetch-dest", Repeats),
    known(b"sec-fetch-mode", Repeats),
    known(b"sec-fetch-site", Repeats),
    known(b"server", Repeats),
    known(b"set-cookie", Secret),
    known(b"strict-transport-security", Repeats),
    known(b"te", Repeats),
    known(b"traceparent", Changes),
    known(b"trailer", Repeats),
    known(b"upgrade-insecure-requests", Repeats),
    known(b"user-agent", Repeats),
    known(b"vary", Repeats),
    known(b"via", Repeats),
    known(b"www-authenticate", Secret),
    known(b"x-content-type-options", Repeats),
    known(b"x-forwarded-for", Changes),
    known(b"x-forwarded-host", Repeats),
    known(b"x-forwarded-proto", Repeats),
    known(b"x-frame-options", Repeats),
    known(b"x-powered-by", Repeats),
    known(b"x-request-id", Changes),
    known(b"x-xss-protection", Repeats),
];

const fn known(name: &'static [u8], habit: Habit) -> Known {
    let (mut index, mut count, mut place) = (0, 0, 0);
    while place < FIXED.len() {
        if is_same(FIXED[place].0, name) {
            index = if count == 0 { place as u8 + 1 } else { index };
            count += 1;
        }
        place += 1;
    }
    Known {
        name,
        habit,
        index,
        count,
    }
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// Where in [`KNOWN`] a name stands, plus one, from the place on that its bytes tell.
static PLACES: [u8; 256] = places();

const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut one = 0;
    while one < KNOWN.len() {
        let mut place = place(KNOWN[one].name);
        while places[place as usize] != 0 {
            place = place.wrapping_add(1);
        }
        one += 1;
        places[place as usize] = one as u8;
    }
    places
}

#[inline]
const fn place(name: &[u8]) -> u8 {
    let [first, .., last] = name else {
        return 0;
    };
    let (length, middle) = (name.len(), name[name.len() / 2]);
    let mark = u32::from_le_bytes([*first, middle, *last, length as u8]);
    (mark.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// `name` is in lower case.
#[inline]
pub(super) fn find(name: &[u8]) -> Option<&'static Known> {
    let mut place = place(name);
    // Most of the places are free.
    loop {
        let one = PLACES[usize::from(place)];
        let known = KNOWN.get(usize::from(one).checked_sub(1)?)?;
        if known.name == name {
            return Some(known);
        }
        place = place.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_and_no_other() {
        for known in &KNOWN {
            assert_eq!(find(known.name).map(|one| one.name), Some(known.name));
            let mut other = known.name.to_vec();
            *other.last_mut().unwrap() ^= 1;
            let is_known = KNOWN.iter().any(|one| one.name == other);
            assert_eq!(find(&other).is_some(), is_known);
        }
        for name in [&b""[..], b"x", b"x-api-key"] {
            assert!(find(name).is_none());
        }
    }

    #[test]
    fn places_in_the_static_table_are_those_of_the_names() {
        for known in &KNOWN {
            let same: Vec<_> = (1..)
                .zip(&FIXED)
                .filter(|(_, (name, _))| *name == known.name)
                .collect();
            assert_eq!(same.len(), usize::from(known.count));
            assert_eq!(same.first().map_or(0, |(index, _)| *index), known.index);
            // They stand one behind the other.
            let last = same.last().map_or(0, |(index, _)| *index);
            assert_eq!(last, (known.index + known.count).saturating_sub(1));
        }
        let is_known = |name: &[u8]| find(name).is_some();
        assert!(
            FIXED
                .iter()
                .filter(|(name, _)| *name != b"transfer-encoding")
                .all(|(name, _)| is_known(name))
        );
    }

    #[test]
    fn names_lie_near_their_places() {
        let far = KNOWN.iter().map(|known| {
            let mut steps = 0;
            let mut at = place(known.name);
            while KNOWN[usize::from(PLACES[usize::from(at)]) - 1].name != known.name {
                at = at.wrapping_add(1);
                steps += 1;
            }
            steps
        });
        let far: Vec<i32> = far.collect();
        assert!(far.iter().sum::<i32>() < 60, "{far:?}");
    }
}
