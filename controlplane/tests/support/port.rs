//! Ports for programs that tests start: nobody else gets one that was given, as long as this process lives.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that Linux gives to connections going out (from 32768): a port that one of these has for a
/// moment can't be listened on.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that nobody listens on. A name in the network namespace is held for it, so that no
/// other test gets it, of whatever process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes begin at different places, and seldom meet.
    let begin = (std::process::id() % u32::from(count)) as u16;
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (begin + step % count) % count;
        let name = SocketAddr::from_abstract_name(format!("ringgate-test-port-{port}")).unwrap();
        let Ok(held) = UnixListener::bind_addr(&name) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            // Until this process ends.
            std::mem::forget(held);
            return port;
        }
    }
    panic!("all ports from {} on are taken", PORTS.start);
}
