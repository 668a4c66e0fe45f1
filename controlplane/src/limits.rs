//! Bounds of the control plane, each with its reason.

use std::time::Duration;

/// Of one file, in bytes: 10,000 routes as `kubectl get -o yaml` prints them need about 20 MiB.
pub const FILE_BYTES: u64 = 32 << 20;

/// Of a file with certificates or a key: as much as Kubernetes lets a Secret have.
pub const PEM_FILE_BYTES: u64 = 1 << 20;

/// A certificate that ends in fewer days is warned of: ACME clients renew 30 days before, and a person
/// needs some for what went wrong.
pub const CERTIFICATE_DAYS: i64 = 14;

/// How seldom the ends of certificates are looked at while nothing else happens.
pub const CERTIFICATE_ENDS_LOOK: Duration = Duration::from_secs(60 * 60);

/// Of one file: ten times the routes that one gateway is made for.
pub const DOCUMENTS: usize = 100_000;

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

/// Between two translations: the first change of a flood goes out at once, those that follow within this
/// time are one push. Far below what a person notices, long enough that a flood is no flood of versions.
pub const GATHER: Duration = Duration::from_millis(10);

/// A part of an update: a quarter of what a message may have, for one entry may stick out.
pub const PART_BYTES: usize = ringgate_core::limits::MESSAGE_BYTES / 4;

/// A data plane's greeting names what it has: 64 bytes for each of the most objects that may be.
pub const HELLO_BYTES: usize = ringgate_core::limits::OBJECTS * 64;

/// Data planes at one control plane: one on each node of the largest clusters' edge. A stream that has
/// nothing to say costs some 100 KiB.
pub const DATA_PLANES: usize = 1024;

/// A data plane or a machine that is silent for so long is asked, and taken for gone when it is silent
/// for as long again.
pub const PEER_SILENCE: Duration = Duration::from_secs(3);

/// How long a data plane may wait for this process to know who leads: longer than a first look at the
/// Lease takes, short enough that it soon asks another.
pub const UNDECIDED: Duration = Duration::from_secs(5);

/// Connections of data planes without a certificate, or still shaking hands: enough for all of a
/// large cluster to start at once, with a second attempt.
pub const STRANGERS: usize = 256;

/// How long a connection without a certificate lasts: one question, and an API server that is slow.
pub const STRANGER_LIFE: Duration = Duration::from_secs(20);

/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// How often files of certificates are looked at: three small reads.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);

/// A data plane that didn't ack a version for so long is named as lagging and no longer waited for.
pub const ACK_PATIENCE: Duration = Duration::from_secs(5);

/// Messages from data planes that wait for the reconciler: more make the streams wait.
pub const PEER_EVENTS: usize = 256;

/// Bytes of a data plane's name, software, driver or failure reason that are kept.
pub const PEER_TEXT_BYTES: usize = 512;

/// An ExternalName is resolved again by its TTL, but not more often than this, ...
pub const RESOLVE_AT_LEAST: Duration = Duration::from_secs(1);

/// ... and not more seldom: some records live for days, and people move services.
pub const RESOLVE_AT_MOST: Duration = Duration::from_secs(300);

/// How seldom a name is asked again that doesn't resolve.
pub const RESOLVE_PAUSE: Duration = Duration::from_secs(30);

/// Names that are asked for at once: a file full of them is no reason to flood the resolver.
pub const LOOKUPS: usize = 32;

/// An admin server's answer: the statuses of 100,000 routes have about 100 MB.
pub const ADMIN_BYTES: usize = 256 << 20;

/// Statuses follow changes after so long, so that a burst of acks costs one pass over all objects.
pub const REFRESH: Duration = Duration::from_millis(20);

/// How soon a watch that broke is tried again: an API server that restarts is back in seconds.
pub const WATCH_PAUSE_AT_LEAST: Duration = Duration::from_millis(200);

/// ... and how seldom: an outage of hours must not make a flood, its end be seen soon.
pub const WATCH_PAUSE_AT_MOST: Duration = Duration::from_secs(5);

/// How long one watch request lasts, in seconds. A server that vanishes without a word is noticed
/// then at the latest; the request after it goes on where it ended.
pub const WATCH_SECONDS: u32 = 120;

/// Words from watches that wait to be gathered: more make the watches wait.
pub const WATCH_MESSAGES: usize = 1024;

/// A kind that the cluster had and doesn't have any more is believed gone after so long.
pub const ABSENCE_PATIENCE: Duration = Duration::from_secs(30);

/// Secrets and ConfigMaps that are watched one by one, with a connection each: as many as a Gateway
/// has listeners, for a hundred Gateways, would be unusual.
pub const REFERENCED_WATCHES: usize = 1000;

/// How long connecting to the API server may take: it is near, and the next attempt comes soon.
pub const API_CONNECT: Duration = Duration::from_secs(5);

/// Status writes on their way at once: an API server takes some hundred a second on each core.
pub const STATUS_IN_FLIGHT: usize = 16;

/// Status writes at once, before the rate counts: a thousand routes that were applied together ...
pub const STATUS_BURST: u32 = 1000;

/// ... and one for each of these from then on, so that an API server isn't kept busy by us alone.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(2);

/// Between two writes of one object's status: a Gateway counts its routes while they come.
pub const STATUS_DISTANCE: Duration = Duration::from_millis(100);

/// How soon a status write that failed is tried again, ...
pub const STATUS_PAUSE_AT_LEAST: Duration = Duration::from_millis(200);

/// ... and how seldom.
pub const STATUS_PAUSE_AT_MOST: Duration = Duration::from_secs(10);

/// How long one write may take: one that hangs must not hold the others up.
pub const API_CALL: Duration = Duration::from_secs(10);

/// A leader that is silent for so long has lost its Lease: with a turn and a write of the next leader
/// that is within 15 s.
pub const LEASE_DURATION: Duration = Duration::from_secs(8);

/// A leader that couldn't renew for so long stops to write: some time before others may take over.
pub const LEASE_DEADLINE: Duration = Duration::from_secs(6);

/// Between two looks at the Lease; shorter by up to a half, by chance.
pub const LEASE_PAUSE: Duration = Duration::from_secs(2);

/// How long one look at the Lease, with its write, may take.
pub const LEASE_CALL: Duration = Duration::from_secs(3);

/// Statuses of Gateways wait so long for a data plane after this process began to lead: else they
/// would say for a moment that there is none.
pub const FIRST_DATA_PLANE: Duration = Duration::from_secs(3);

/// Objects that one answer of the API server has at most, where they are read once.
pub const LIST_PAGE: u32 = 500;

/// Gateways that get an Event when a data plane lags: the others' are equal.
pub const NOTICES: usize = 100;

/// How soon a write for a Gateway that failed is tried again: it waits for its address, ...
pub const GENERATE_AGAIN: Duration = Duration::from_millis(200);

/// ... and how seldom.
pub const GENERATE_AGAIN_MOST: Duration = Duration::from_secs(30);

/// Addresses of a pool that are counted as free: what JSON's readers take as a number (2^53 - 1).
pub const POOL_COUNT_MOST: u64 = (1 << 53) - 1;

/// Other pools that one pool is told to overlap: more don't help whoever mends it.
pub const POOL_OVERLAPS: usize = 8;

/// Gateways and Services of files whose addresses are remembered, be they there or gone.
pub const REMEMBERED: usize = 10_000;

/// The file with them: some 200 bytes each.
pub const MEMORY_BYTES: u64 = 8 << 20;

/// Between two looks at which addresses are to be announced: a new Gateway waits for no more.
pub const ANNOUNCE_ROUND: Duration = Duration::from_secs(1);

/// How often others on the link are asked whether they have an address, before it is put on the interface.
pub const ANNOUNCE_PROBES: u32 = 2;

/// How long an answer is waited for, each time. Neighbours answer within a few ms; RFC 5227's seconds (2.1.1) are for
/// hosts that can wait, and another node has to take over within 3 s.
pub const ANNOUNCE_PROBE_GAP: Duration = Duration::from_millis(200);

/// So many new addresses are asked for at once: the broadcasts of a round fill no queue of an interface.
pub const ANNOUNCE_CLAIMS: usize = 500;

/// An address that another host has is asked for again after this long: it says so each time.
pub const ANNOUNCE_REFUSED: Duration = Duration::from_secs(5);

/// Everybody on the link is told of a new address in so many rounds: the first message may be lost.
pub const ANNOUNCE_TELLINGS: u32 = 3;

/// And then again and again, for switches and routers that came later, or forget.
pub const ANNOUNCE_TELL_AGAIN: Duration = Duration::from_secs(60);

/// How long an address stays on the interface, in seconds, when nobody renews it: long enough for a
/// restart, short enough that another host can take over.
pub const ANNOUNCE_LIFETIME_S: u32 = 30;

/// An address is renewed so often, so that two failures do no harm.
pub const ANNOUNCE_RENEW: Duration = Duration::from_secs(10);

/// How long an authority lives that the control plane made for itself: its key lies in a Secret, so
/// not for ever; long enough that a cluster may be off for months.
pub const AUTHORITY_LIFE: Duration = Duration::from_hours(365 * 24);

/// How long the next authority is published before it signs: ConfigMaps reach Pods in minutes, this is
/// for data planes that are cut off for a day.
pub const AUTHORITY_SPREAD: Duration = Duration::from_hours(24);

/// How long a key makes session tickets: as long as those of a data plane's own. It is published for as long
/// before, and opens for as long after.
pub const TICKET_PERIOD: Duration = Duration::from_hours(6);

/// How long a certificate lives that the control plane issued: a data plane that is removed can come
/// back with it for so long. A third of that is what an outage of the API server may last at least.
pub const CERTIFICATE_LIFE: Duration = Duration::from_hours(24);

/// How often the authority's Secret is looked at: a rotation leaves a day, ...
pub const AUTHORITY_LOOK: Duration = Duration::from_secs(30);

/// ... and how often as long as there is none, or it can't be read.
pub const AUTHORITY_PAUSE: Duration = Duration::from_secs(1);

/// Data planes that are answered at once when they ask for a certificate, ...
pub const ISSUES: usize = 64;

/// ... each for at least so long: 64 a second, which the API server doesn't notice, and a large cluster
/// has its certificates within a minute.
pub const ISSUE_INTERVAL: Duration = Duration::from_secs(1);

/// A question for a certificate: tokens have some kilobytes, requests some hundred bytes.
pub const ISSUE_BYTES: usize = 32 << 10;

/// So many addresses are announced on a node, and in what it tells the others: a set of IPv6 addresses goes in 69 datagrams.
pub const ANNOUNCE_ADDRESSES: usize = 4096;

/// Where several nodes share addresses, one stays on the interface so long when nobody renews it, in seconds. The kernel knows
/// whole ones only. It is what an agent may be slow for without a loss; and what another has to wait for that takes over from one
/// that was killed while its kernel lives, so 3 would be too long.
pub const ANNOUNCE_SHARED_LIFETIME_S: u32 = 2;

/// And is renewed so often: two that fail do no harm.
pub const ANNOUNCE_SHARED_RENEW: Duration = Duration::from_millis(500);

/// What a member's kernel answers for is asked for again so soon: it gives it up, or died and its lifetime ends.
pub const ANNOUNCE_SHARED_REFUSED: Duration = Duration::from_millis(100);

/// Between two messages to the link about a new address.
pub const ANNOUNCE_TELL_SOON: Duration = Duration::from_secs(1);

/// An address that another host claims is defended once in so long: more often it would be a quarrel (RFC 5227, 2.4).
pub const ANNOUNCE_DEFEND: Duration = Duration::from_secs(10);

/// How often the data plane is asked what it serves, where another node would take over.
pub const ANNOUNCE_ASK: Duration = Duration::from_millis(250);

/// And while it ends: each moment counts for those who wait to connect.
pub const ANNOUNCE_ASK_DRAINING: Duration = Duration::from_millis(25);

/// An answer that takes longer is none.
pub const ANNOUNCE_ANSWER: Duration = Duration::from_secs(1);

/// A data plane that hasn't said for so long that it is ready serves nobody: a restart from the last good snapshot takes less.
pub const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(1500);

/// Clients under way are waited for so long before an address moves. Those who try to connect meanwhile do so again after a
/// second (RFC 6298, 2.1), and shall find the next owner by then.
pub const ANNOUNCE_HAND_OVER: Duration = Duration::from_millis(800);

/// An agent that is told to end waits so long to see whether its data plane was, too.
pub const ANNOUNCE_LAST_LOOK: Duration = Duration::from_millis(200);

/// An agent that ends takes no longer than this.
pub const ANNOUNCE_LEAVE: Duration = Duration::from_millis(1500);

/// A node has to serve for so long before addresses come to it that others serve: restarts move nothing twice.
pub const ANNOUNCE_SETTLE: Duration = Duration::from_secs(5);

/// For one that comes and goes it doubles up to this.
pub const ANNOUNCE_SETTLE_MOST: Duration = Duration::from_secs(80);

/// One that served for so long is no such.
pub const ANNOUNCE_STEADY: Duration = Duration::from_secs(300);

/// Nodes that share addresses. Each tells each, so there are as many messages a second as the square of this, times 2.5.
pub const GOSSIP_MEMBERS: usize = 128;

/// Bytes of a datagram: with headers they pass every link of IPv6 as they are (RFC 8200, 5: 1,280).
pub const GOSSIP_DATAGRAM: usize = 1232;

/// Keys of a cluster at a time: the one in use, the next, the last.
pub const GOSSIP_KEYS: usize = 4;

/// Bytes of the file that has them.
pub const GOSSIP_KEY_BYTES: u64 = 4096;

/// Processes of other nodes whose counts are remembered: restarts of all members, eight times over. 32 bytes each.
pub const GOSSIP_PROCESSES: usize = 1024;

/// Sets of addresses that are remembered: a different one for each member, and some of before.
pub const GOSSIP_SETS: usize = 2 * GOSSIP_MEMBERS;

/// Parts of a set that are asked for at once: 8 datagrams don't fill a socket's queue.
pub const GOSSIP_PARTS_AT_ONCE: u16 = 8;

/// Parts that didn't come are asked for again after this.
pub const GOSSIP_ASK_AGAIN: Duration = Duration::from_millis(100);

/// How often a node is asked for a sign of life by each other one; all are asked in turn.
pub const GOSSIP_PROBE: Duration = Duration::from_millis(300);

/// When the answer hasn't come by then, others are asked to ask.
pub const GOSSIP_PROBE_ANSWER: Duration = Duration::from_millis(120);

/// A node that didn't answer is dead after so long, if it says nothing to it: an agent that gets no CPU for a second lives.
pub const GOSSIP_SUSPICION: Duration = Duration::from_millis(900);

/// News of members go to so many others ...
pub const GOSSIP_FAN_OUT: usize = 3;

/// ... this often ...
pub const GOSSIP_PERIOD: Duration = Duration::from_millis(100);

/// ... until each was sent so many times: by then a hundred nodes know.
pub const GOSSIP_TRANSMISSIONS: u8 = 10;

/// The dead are forgotten after this, and can't come back by old news until then.
pub const GOSSIP_FORGET: Duration = Duration::from_secs(60);

/// How often the dead are spoken to, for they may be back.
pub const GOSSIP_LOOK_FOR_LOST: Duration = Duration::from_secs(1);

/// How often peers that aren't members are spoken to.
pub const GOSSIP_GREET: Duration = Duration::from_secs(1);

/// How often peers' names are looked up.
pub const GOSSIP_RESOLVE: Duration = Duration::from_secs(10);

/// And while none was found.
pub const GOSSIP_RESOLVE_SOON: Duration = Duration::from_secs(1);

/// How often a node says what it can serve, ...
pub const GOSSIP_TELL: Duration = Duration::from_millis(400);

/// ... and how soon again after a change, ...
pub const GOSSIP_TELL_SOON: Duration = Duration::from_millis(50);

/// ... so many times: each may be lost.
pub const GOSSIP_TELLINGS: u32 = 3;

/// A node that hasn't said for so long what it can serve owns nothing: five messages in a row aren't lost by chance.
pub const GOSSIP_LEASE: Duration = Duration::from_secs(2);

/// An address that its owner gave up is free for so long. Then it is asked for.
pub const GOSSIP_RELEASED: Duration = Duration::from_secs(2);

/// An agent that didn't run for so long has heard nobody, and holds that against nobody.
pub const GOSSIP_ASLEEP: Duration = Duration::from_millis(700);
