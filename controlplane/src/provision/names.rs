//! Names of what is generated for a Gateway: within the bounds of Kubernetes, however long the
//! Gateway's own name is, and the same each time.

use std::sync::Arc;

use ringgate_core::wire::content_hash;

/// RFC 1035 labels, as names of Services and values of labels have to be.
const LABEL: usize = 63;

/// `<gateway>-<class>` (GEP-1762), shortened where that is no name of a Service.
#[must_use]
pub fn service(gateway: &str, class: &str) -> Arc<str> {
    let full = format!("{gateway}-{class}");
    let plain: String = full
        .chars()
        .map(|one| if one == '.' { '-' } else { one })
        .collect();
    let plain = match plain.starts_with(|one: char| one.is_ascii_lowercase()) {
        true => plain,
        false => format!("gw-{plain}"),
    };
    if plain == full && plain.len() <= SERVICE {
        return plain.into();
    }
    shortened(&plain, &full, SERVICE).into()
}

/// EndpointSlices have a suffix to that.
const SERVICE: usize = LABEL - "-v4".len();

/// The value of a label that names a Gateway.
#[must_use]
pub fn label(gateway: &str) -> Arc<str> {
    match gateway.len() {
        0..=LABEL => gateway.into(),
        _ => shortened(gateway, gateway, LABEL).into(),
    }
}

/// The beginning of `text`, and a hash of the whole: two Gateways don't meet in one name. The hash is
/// one that stays the same over versions of this software, for names must.
fn shortened(text: &str, whole: &str, most: usize) -> String {
    let hash = format!("{:016x}", content_hash(whole.as_bytes()));
    let room = most - hash.len() - 1;
    let kept = text.get(..room.min(text.len())).unwrap_or_default();
    let kept = kept.trim_end_matches(['-', '.']);
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_where_they_can_be_and_else_are_shortened_apart() {
        assert_eq!(&*service("web", "ringgate"), "web-ringgate");
        let dotted = service("a.b", "ringgate");
        assert!(dotted.starts_with("a-b-ringgate-"), "{dotted}");
        assert_ne!(dotted, service("a-b", "ringgate"));
        assert!(service("1st", "ringgate").starts_with("gw-1st-ringgate-"));
        let long = "a".repeat(253);
        let (one, two) = (service(&long, "x"), service(&long, "y"));
        assert_eq!(one.len(), SERVICE);
        assert_ne!(one, two);
        assert_eq!(one, service(&long, "x"));
        assert_eq!(&*dotted, "a-b-ringgate-a031a01ad204c912", "as it was ever");
        assert_eq!(label(&long).len(), LABEL);
        assert_eq!(&*label("web"), "web");
    }
}
