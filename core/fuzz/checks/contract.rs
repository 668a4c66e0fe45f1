//! What must hold of any bytes at all on the wire between the processes, in a path, and in a PROXY
//! protocol header. Used by the fuzz targets and by `tests/corpus.rs`.

use ringgate_core::proxy_protocol::{self, Header};
use ringgate_core::route::path;
use ringgate_core::wire::{self, proto};

/// Bytes as an object of an update, under each kind of id, and as a saved snapshot: refused or read,
/// and what is read is written and read back the same.
pub(crate) fn wire(input: &[u8]) {
    if let Ok(snapshot) = wire::saved(input) {
        for (id, object) in &snapshot.objects {
            let again = wire::entry(&wire::encode_entry(id, object));
            assert_eq!(again.ok(), Some((id.clone(), object.clone())));
        }
    }
    for kind in 0..4 {
        let entry = proto::Entry {
            id: Some(proto::ObjectId {
                kind,
                path: "default/one/80".to_owned(),
            }),
            hash: wire::content_hash(input),
            object: input.to_vec(),
        };
        if let Ok((id, object)) = wire::entry(&entry) {
            let again = wire::entry(&wire::encode_entry(&id, &object));
            assert_eq!(again.ok(), Some((id, object)));
        }
    }
}

/// A path is refused, or has one form that is its own normal form and can't be read in two ways.
pub(crate) fn path(input: &[u8]) {
    let Ok(normal) = path::normalize(input) else {
        return;
    };
    assert!(normal.starts_with('/') && normal.is_ascii());
    assert_eq!(path::normalize(normal.as_bytes()).as_deref(), Ok(&*normal));
    assert!(!normal.split('/').any(|one| one == "." || one == ".."));
    let lower = normal.to_ascii_lowercase();
    for forbidden in ["%2f", "%5c", "%00", "%2e", "\\"] {
        assert!(!lower.contains(forbidden), "{forbidden} in {normal}");
    }
}

/// A header's length lies within what was given, and each shorter input waits for more or is refused.
pub(crate) fn proxy_header(input: &[u8]) {
    if let Ok(Header::Complete { len, .. }) = proxy_protocol::parse(input) {
        assert!(len <= input.len());
        let shorter = input.get(..len - 1).unwrap_or_default();
        assert_eq!(proxy_protocol::parse(shorter), Ok(Header::Partial));
    }
}
