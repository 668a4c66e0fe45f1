//! Bounds of the control plane, each with its reason.

/// Of one file, in bytes: 10,000 routes as `kubectl get -o yaml` prints them need about 20 MiB.
pub const FILE_BYTES: u64 = 32 << 20;

/// Of one YAML document, in units of one node or 64 bytes of text, with aliases expanded ("billion
/// laughs"): a `kind: List` of 10,000 routes needs about 800,000, and 2,000,000 take 250 MiB while
/// they are read.
pub const DOCUMENT_UNITS: u64 = 2_000_000;

/// Bytes of text that weigh as much as a node.
pub const TEXT_UNIT_BYTES: u64 = 64;

/// Of nesting in a document: Gateway API's deepest field is at 14; recursion over a document must
/// not reach the end of the stack (Envoy had CVE-2026-48042).
pub const DOCUMENT_DEPTH: usize = 64;

/// Problems that are told of one object: more don't help whoever mends it.
pub const PROBLEMS_PER_OBJECT: usize = 50;

/// Files that are read below the paths given: 10,000 routes in a file each, ten times over.
pub const FILES: usize = 100_000;

/// Of sub-folders, which symlinks may make endless.
pub const FOLDER_DEPTH: usize = 32;
