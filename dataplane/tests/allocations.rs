//! What a request costs in allocations: a data plane runs inside this process, whose allocator counts what its shards ask for.

#![expect(
    unsafe_code,
    reason = "an allocator is unsafe, and so is to ask for a thread's name without one"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on shall stop"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringgate_dataplane::{Choice, ControlPlane, Settings, Target, Whereabouts, serve};
use support::http2;
use support::{Client, Origin, Wanted, free_port, plain, rule, wait_until};

/// One data plane is counted at a time.
static TURN: Mutex<()> = Mutex::new(());
/// Blocks that shards have asked for.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_SHARD: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is the system's doing; counting asks for no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

fn count() {
    if is_shard() {
        ASKED.fetch_add(1, Ordering::Relaxed);
    }
}

/// By its name, which a thread gets after it has asked for memory already.
fn is_shard() -> bool {
    // A thread that ends may ask when it has no such places any more.
    let known = IS_SHARD.try_with(Cell::get).unwrap_or(false);
    if known {
        return true;
    }
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes 16 bytes at most.
    let told = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let is_shard = told == 0 && name.starts_with(b"shard-");
    let _ = IS_SHARD.try_with(|known| known.set(is_shard));
    is_shard
}

/// As the program itself is told.
fn driver() -> Choice {
    let name = std::env::var("RINGGATE_DRIVER");
    name.map_or_else(
        |_| Choice::default(),
        |name| clap::ValueEnum::from_str(&name, false).unwrap(),
    )
}

/// Starts a data plane of one shard in this process, which lives as long as that; gives its port.
fn start(wanted: Wanted) -> u16 {
    let port = wanted.port;
    let folder = wanted.save();
    let settings = Settings {
        control_plane: ControlPlane::Socket(folder.path().join("control.sock")),
        state_dir: folder.path().to_owned(),
        admin: SocketAddr::from(([127, 0, 0, 1], free_port())),
        workers: Some(1),
        driver: driver(),
        access_log: Target::Off,
        drain_grace: Duration::from_secs(1),
        whereabouts: Whereabouts::default(),
        announced: false,
        exit_with_stdin: false,
    };
    thread::spawn(move || {
        let _folder = folder;
        serve(settings).expect("the data plane runs");
    });
    wait_until(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    port
}

/// How many blocks a shard asks for while it serves so many of this request.
fn asked_for(client: &mut Client, times: u32, request: &str) -> u64 {
    let mut serve = |times| {
        for _ in 0..times {
            client.send(request);
            assert_eq!(client.response().status, 200);
        }
    };
    // Connections are made, buffers and tables grow to what they need.
    serve(200);
    let before = ASKED.load(Ordering::Relaxed);
    assert!(before > 0, "shards are told by their threads' names");
    serve(times);
    ASKED.load(Ordering::Relaxed) - before
}

#[test]
fn a_request_asks_for_no_memory() {
    let origin = Origin::start(plain);
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let _turn = TURN.lock();
    let mut client = Client::connect(start(wanted));
    let body = "x".repeat(1_000);
    let requests = [
        "GET /some/path?and=query HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
        &format!("POST / HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 1000\r\n\r\n{body}"),
    ];
    for request in requests {
        let asked = asked_for(&mut client, 1_000, request);
        // What looks after the shard once a second asks for some.
        assert!(
            asked < 50,
            "1,000 requests asked for {asked} blocks: {request}"
        );
    }
}

/// As those of gRPC: a message either way, and a status behind it. What a stream is for either side, and a body that
/// comes in parts, ask for some.
#[test]
fn a_stream_asks_for_little() {
    const TIMES: u64 = 100;
    const WARM: u64 = 20;
    const EACH: u64 = 10;
    let origin = http2::Origin::start(http2::echo);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let wanted = wanted.by_http2().route(vec![rule("one")]);
    let _turn = TURN.lock();
    let port = start(wanted);
    http2::talk(async {
        let mut client = http2::Client::connect(port).await;
        let mut before = 0;
        for turn in 0..TIMES + WARM {
            if turn == WARM {
                before = ASKED.load(Ordering::Relaxed);
            }
            let (response, mut stream) = client.ask(http2::post("/a.B/Call"), false).await;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            http2::send(&mut stream, "message".into(), Some(trailers)).await;
            let answer = http2::answer(response).await.unwrap();
            assert_eq!(answer.body, b"message");
        }
        let asked = ASKED.load(Ordering::Relaxed) - before;
        assert!(
            asked < TIMES * EACH,
            "{TIMES} streams asked for {asked} blocks"
        );
    });
}
