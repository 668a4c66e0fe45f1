//! Bounds on what may be held, each with its reason. Those on requests are settings of a listener
//! (see [`crate::ir::HttpLimits`]).

/// Certificates of a listener: the API allows 64.
pub const CERTIFICATES: usize = 64;
/// Certificates of a chain, and bytes of one certificate or key: a key of 16 Kibit has 10 KiB.
pub const CHAIN: usize = 16;
pub const DER_BYTES: usize = 64 << 10;
/// Objects with authorities that one validation names: the API allows 8 and 16.
pub const AUTHORITY_REFS: usize = 16;
/// Keys of session tickets: the one in use, one before and one after are enough; hourly ones of half a day are 12.
pub const TICKET_KEYS: usize = 16;
/// Of one, in bytes: HAProxy's have 80.
pub const TICKET_KEY_BYTES: usize = 256;
/// Authorities in one object: the largest public bundles have about 150.
pub const AUTHORITIES: usize = 1_024;
/// Subject names of a backend: the API allows 5.
pub const SUBJECT_NAMES: usize = 16;
/// Objects in a snapshot: ten times the largest cluster that we measure with (100,000 routes).
pub const OBJECTS: usize = 1_000_000;
/// Addresses of a Gateway: the API allows 16.
pub const ADDRESSES: usize = 16;
/// CIDR blocks of trusted proxies: the largest published list of a content delivery network has about 200.
pub const TRUSTED_PROXIES: usize = 1_024;
/// As many as Kubernetes lets a Service have of anything.
pub const ALLOWED_SOURCES: usize = 1024;
/// Listeners that one route is attached to: the API has 32 parents, each may name a Gateway of 64 listeners.
pub const ATTACHMENTS: usize = 32 * 64;
/// Hostnames of a route at a listener: the API allows a TLSRoute 1,024, others 16.
pub const HOSTNAMES: usize = 1_024;
/// Rules of a route: the API allows 16, and files may be more generous.
pub const RULES: usize = 1_024;
/// Matches of a rule: the API allows 64.
pub const MATCHES: usize = 128;
/// Filters of a rule: the API allows 16.
pub const FILTERS: usize = 16;
/// Backends of a rule: the API allows 16.
pub const BACKEND_REFS: usize = 16;
/// Header or query matches: the API allows 16.
pub const FIELD_MATCHES: usize = 16;
/// Edits of one kind in a header filter: the API allows 16.
pub const HEADER_EDITS: usize = 16;
/// Retry codes: 400 to 599 are allowed, each once.
pub const RETRY_CODES: usize = 200;
/// Origins, methods or headers of a CORS filter: the API allows 64.
pub const CORS_TOKENS: usize = 64;
/// Ranges of statuses that a health check takes for an answer: one for each of the classes, and a few single ones.
pub const STATUS_RANGES: usize = 16;
/// Of a health check's path, host and service, in bytes: the API allows 1,024.
pub const CHECK_TEXT_BYTES: usize = 1_024;
/// Endpoints of a Service: the largest that Kubernetes is tested with has 5,000 Pods in a cluster of 150,000.
pub const ENDPOINTS: usize = 150_000;
/// A compiled regular expression: 64 KiB of program is far beyond what a route needs, and bounds what
/// one object may cost.
pub const REGEX_BYTES: usize = 64 << 10;
/// One message of the wire: a first state is sent in parts below this.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// A request's body that is read and thrown away after the response, to keep the connection: more
/// costs the client less when it opens a new one.
pub const DISCARD_BYTES: u64 = 64 << 10;
/// Options in `Connection`, empty ones counted: nobody sends more than a few, and each is compared with
/// each field's name before that is passed on.
pub const CONNECTION_OPTIONS: usize = 32;
/// Interim responses to one request: nobody needs more, and each costs the client too.
pub const INTERIM_RESPONSES: u8 = 16;
/// Digits of a chunk's size: 64 bits; leading zeros beyond that are only good to confuse.
pub const CHUNK_SIZE_DIGITS: u8 = 16;
/// Extensions of one chunk. Signatures, the only use that is seen, take about 90 bytes.
pub const CHUNK_EXTENSION_BYTES: u32 = 4 << 10;
/// Extensions of a whole body: so much, and an eighth of the body's bytes so far.
pub const CHUNK_EXTENSIONS_BYTES: u64 = 16 << 10;
/// A trailer section: half of what a header section has by default, and trailers are rare.
pub const TRAILER_BYTES: u32 = 8 << 10;
/// Fields of a trailer section; gRPC, its main user, sends three and the application's own.
pub const TRAILER_FIELDS: u32 = 64;
/// How often in a second a shard looks whether another has fewer connections: with 64 shards, each of whose counts is another core's
/// memory, that takes it a thousandth of its time at most, and moving as many takes two.
pub const SHARD_LOOKS: u32 = 256;
/// Where more connections come to a shard in a second, they are short, or enough for the kernel's hash: it looks a quarter as often.
pub const SHARD_STORM: u32 = 1024;
/// Connections that it moves in a second for the sake of turn alone.
pub const SHARD_TURNS: u32 = 64;
/// Shards that work less than this on average, in thousandths of a core, are not in need of an even spread of work.
pub const SHARD_WORK: u64 = 50;
