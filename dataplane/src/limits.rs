//! Bounds of a data plane, each with its reason. Those on requests are settings of a listener.

use std::time::Duration;

use ringgate_core::http1::Limits;

/// A buffer's first size: most heads fit in it, and 64 of them are in a shard's second-level cache.
/// 16 KiB would not hold a body, a TLS record or a frame of HTTP/2 of that size with what stands before it.
pub(crate) const BUFFER_BYTES: usize = 20 << 10;
/// A buffer's first size where many wait at a time, as streams of HTTP/2 do: most messages with a small body
/// fit in it.
pub(crate) const SMALL_BUFFER_BYTES: usize = 4 << 10;
/// Buffers of each size that a shard keeps for later: 24 MiB at most, for a burst of a thousand streams would else cost the
/// allocator more than their bytes do. Half of them go with each [`HOUSEKEEPING`].
pub(crate) const FREE_BUFFERS: usize = 1024;
/// What most heads have beside what is told of their sizes: who asks and how, who answers and when.
pub(crate) const HEAD_BYTES: usize = 512;
/// Buffers for large bodies that a shard keeps, 4 MiB of them.
pub(crate) const FREE_LARGE_BUFFERS: usize = 16;
/// How often a shard looks for what it no longer needs.
pub(crate) const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// What of a request goes to its backend in one write, if it is there: an allocator's threads keep blocks of this size
/// at hand, larger ones are fetched.
pub(crate) const TOGETHER_BYTES: usize = 32 << 10;
/// A body's buffer grows to this once it has filled a smaller one: fewer system calls for large bodies.
pub(crate) const BODY_BUFFER_BYTES: usize = 256 << 10;
/// What is carried at a time from one connection to another that is busy: with 64 KiB it costs twice as much.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// What of a body is worth a pipe, which takes some ten system calls to fill and empty: half of a large buffer.
pub(crate) const SPLICED_BYTES: usize = 128 << 10;
/// Pipes of a shard that such bytes are in at a time, 32 MiB of them at most; who gets none is carried by
/// buffers.
pub(crate) const PIPES: usize = 32;
/// Chunks of one direction before other tasks of the shard have their turn.
pub(crate) const CHUNK_TURNS: u32 = 4;
/// So many times in a row less than a buffer's worth has come: the connection isn't busy any more, and a
/// buffer is cheaper.
pub(crate) const SMALL_CHUNKS: u32 = 8;
/// Records of a large message that are sent at once: four full ones.
pub(crate) const RECORDS_BYTES: usize = 64 << 10;
/// A ClientHello, with all its records' headers: rustls takes 64 KiB, browsers with post-quantum key shares
/// send 2 KiB.
pub(crate) const CLIENT_HELLO_BYTES: usize = 16 << 10;
/// Streams that a client may have open on a connection of HTTP/2, and requests of it that we work on.
pub(crate) const H2_STREAMS: u32 = 100;
/// What a client may send of a stream's body before we have taken some of it, and of all streams' together.
pub(crate) const H2_STREAM_WINDOW: u32 = 64 << 10;
pub(crate) const H2_CONNECTION_WINDOW: u32 = 1 << 20;
/// Tasks of a shard that wait for a stream to answer: 2 MiB, for a burst of hundreds would else cost the allocator
/// more than their bytes do. Half of them go with each [`HOUSEKEEPING`].
pub(crate) const H2_IDLE_WORKERS: usize = 512;
/// Requests that share a connection to a backend, if the backend takes as many: its one reader is what they
/// wait for.
pub(crate) const H2_UPSTREAM_STREAMS: u32 = 100;
/// How long requests wait for a backend to say how many streams it takes on its first connection, before they
/// open others: it says so at once.
pub(crate) const H2_UPSTREAM_SETTINGS: Duration = Duration::from_secs(1);
/// How long a backend's connection may take no bytes before it is given up; requests have deadlines of their
/// own.
pub(crate) const H2_UPSTREAM_WRITE: Duration = Duration::from_secs(60);
/// Endpoints that are tried for a connection whose bytes go on as they are: each may take its connect timeout,
/// and the client waits.
pub(crate) const STREAM_ATTEMPTS: u32 = 3;
/// Sockets of a shard that datagrams leave from, of each address family: so many clients an endpoint may have
/// from it. Fewer where descriptors are scarce.
pub(crate) const DATAGRAM_SOCKETS: u32 = 16 << 10;
/// Of what the kernel queues for a socket of datagrams while its shard is busy (also bounded by
/// `net.core.rmem_max`): 10 ms of 1.6 Gbit/s.
pub(crate) const DATAGRAM_QUEUE_BYTES: usize = 2 << 20;
/// How long a socket isn't used again with the same endpoint: a late answer belongs to the session before.
pub(crate) const SOCKET_REST_MS: u64 = 10_000;
/// How often datagrams are looked for in a row before other tasks of the shard have their turn.
pub(crate) const DATAGRAM_TURNS: u32 = 8;
/// Request bodies that are kept for another attempt, or for a mirror; longer ones are streamed only.
pub(crate) const REPLAY_BYTES: usize = 64 << 10;
/// Health checks of a process that are under way at a time, if there are descriptors for so many: ten thousand
/// endpoints of some backends of which none answers within a second are asked within twenty.
pub(crate) const HEALTH_CHECKS: usize = 512;
/// One backend has this part of them at most: one with many endpoints that take a minute each leaves the others enough.
pub(crate) const HEALTH_SHARE: usize = 4;
/// Of a gRPC health check's answer, in bytes: it has 7.
pub(crate) const HEALTH_ANSWER_BYTES: usize = 1 << 10;
/// Of why an endpoint failed: what a backend sends is told in the log and kept, but no page of it.
pub(crate) const FAILURE_BYTES: usize = 256;
/// No server gives up on a body that comes slowly before this: a connection that breaks sooner is the server's doing.
pub(crate) const SLOW_UPLOAD: Duration = Duration::from_secs(1);
/// Answers to checks that wait to be counted; who has more to tell waits.
pub(crate) const HEALTH_ANSWERS: usize = 256;
/// Endpoints that shards have told of, and that wait to be put aside; beyond it they are told of again.
pub(crate) const SUSPECTS: usize = 1024;
/// Lines about endpoints in the log, in a second.
pub(crate) const HEALTH_LINES: u32 = 20;
/// Connections that the kernel queues for a shard before it refuses more (also bounded by
/// `net.core.somaxconn`).
pub(crate) const ACCEPT_QUEUE: i32 = 4096;
/// How often it is measured how busy shards are, and who came since then: long enough to mean something, short enough for clients
/// that come one after another.
pub(crate) const BALANCE_TURN: Duration = Duration::from_secs(1);
/// Clients whose endpoint is remembered, of a process: with some 100 bytes each. Beyond it new ones go by a hash of
/// their address, which changes only when endpoints do.
pub(crate) const AFFINITIES: usize = 256 << 10;
/// How often it is looked which of them have been away for long enough.
pub(crate) const AFFINITIES_LOOK: Duration = Duration::from_secs(30);
/// An endpoint that joins others begins with this part of its share: with nothing its caches would stay cold.
pub(crate) const SLOW_START_LEAST: u64 = 10;
/// Idle connections to one endpoint that a shard keeps: as many as a few dozen clients of HTTP/2 keep busy, or
/// each burst would connect anew.
pub(crate) const IDLE_UPSTREAMS: usize = 4096;
/// Descriptors that stay free for files, the control plane and listeners. Of the others two thirds are for
/// clients; an upstream that can't be opened is a 503 for its request alone.
pub(crate) const DESCRIPTORS_RESERVED: u64 = 256;
/// Access log lines that wait for the writer; beyond it they are dropped and counted.
pub(crate) const LOG_LINES: usize = 64 << 10;
/// Commands that wait for a shard.
pub(crate) const COMMANDS: usize = 256;
/// How long a connection is read from, after our last byte, before it is closed (RFC 9112, section 9.6).
pub(crate) const LINGER_MS: u64 = 2_000;
/// The finest step of deadlines.
pub(crate) const TICK_MS: u64 = 20;
/// Mirrored requests under way per shard; beyond it they are dropped and counted.
pub(crate) const MIRRORS: usize = 1024;
/// Requests that a shard begins in a turn of its loop: what they, their backends' connections and the kernel's share of both
/// touch is still in the second-level cache when the answers come. With 16 to 64 a thousand clients cost the same.
pub(crate) const REQUESTS_IN_A_TURN: usize = 24;
/// How long a client that was just answered is expected to send its next request: so long it keeps a
/// buffer, and saves the kernel a question per request.
pub(crate) const HOT_MS: u64 = 1_000;
/// Connections of a shard that may do so at a time: their buffers are 16 MiB, of which small requests touch
/// a quarter.
pub(crate) const HOT_CONNECTIONS: usize = 1024;
/// The head of a backend's response, interim or final: near the most that a head can have, and more fields
/// than the 100 of a request, for backends set many cookies.
pub(crate) const RESPONSE_HEAD: Limits = Limits {
    request_line_bytes: 60 << 10,
    header_bytes: 60 << 10,
    header_fields: 256,
};
/// How long looking up a control plane's name may take, reaching it, and the TLS handshake, each: there
/// may be another one that answers.
pub(crate) const CONTROL_PLANE_CONNECT: Duration = Duration::from_secs(3);
/// A control plane that is silent for so long is asked, and taken for gone when it is silent for as long
/// again.
pub(crate) const CONTROL_PLANE_SILENCE: Duration = Duration::from_secs(3);
/// How often in a row a control plane may send us to another before we wait: two is a change of leader.
pub(crate) const REDIRECTS: usize = 4;
/// A ServiceAccount token: those of Kubernetes have 1 to 2 KiB.
pub(crate) const TOKEN_BYTES: usize = 16 << 10;
/// How soon a certificate that wasn't issued is asked for again, while the one in use still holds.
pub(crate) const ISSUE_PAUSE: Duration = Duration::from_secs(30);
/// How long the answer to that may take: the control plane asks the API server, which has 10 s.
pub(crate) const ISSUE: Duration = Duration::from_secs(12);

/// Connections that were made just before a hand-over have so long to send a first request.
pub(crate) const HUSH: Duration = Duration::from_millis(150);

/// So long sockets stay for an address that is to be handed on: by then the agent has done it, or died, and the
/// address with it.
pub(crate) const HAND_OVER: Duration = Duration::from_secs(3);

/// Health check ports of Services that are served at once, a socket each: Kubernetes has 2,768 node ports.
pub(crate) const NODE_CHECKS: usize = 2768;
