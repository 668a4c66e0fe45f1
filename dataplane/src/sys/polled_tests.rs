use std::io::{Read, Write};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const NOTHING: Duration = Duration::ZERO;

/// Counts how often its task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One turn of a task.
fn turn<T>(future: Pin<&mut impl Future<Output = T>>, woken: &Arc<Woken>) -> Option<T> {
    let waker = Waker::from(woken.clone());
    match future.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// A task to its end; it goes on when it is woken, and at no other time.
fn finish<T>(set: &Set, future: impl Future<Output = T>) -> T {
    let (mut future, woken) = (pin!(future), Arc::new(Woken::default()));
    loop {
        let before = woken.times();
        if let Some(done) = turn(future.as_mut(), &woken) {
            return done;
        }
        while woken.times() == before {
            assert!(set.collect_within(PATIENCE), "it waits for ever");
        }
    }
}

/// A connection: our side of it, and the peer's.
fn connection(set: &'static Set) -> (Polled<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = socket::accept_now(listener.as_raw_fd()).unwrap();
    (Polled::just_made(socket, set), peer)
}

fn read(set: &Set, stream: &Polled<TcpStream>) -> io::Result<String> {
    let mut buffer = Buffer::with_capacity(64);
    finish(set, stream.read(&mut buffer, None))?;
    Ok(String::from_utf8_lossy(buffer.pending()).into_owned())
}

/// Waits for what is known of a socket.
fn until(set: &Set, stream: &Polled<TcpStream>, holds: impl Fn(&Known) -> bool) {
    let _ = stream.member(Interest::Input).unwrap();
    while !holds(stream.known().unwrap()) {
        assert!(set.collect_within(PATIENCE), "it never came");
    }
}

#[test]
fn an_end_right_behind_bytes_is_read_whether_it_is_told_with_them_or_later() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    peer.write_all(b"last").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    until(set, &stream, Known::is_unsure);
    assert_eq!(read(set, &stream).unwrap(), "last");
    // No event is left that would tell of it.
    assert!(!set.collect_within(NOTHING));
    assert_eq!(read(set, &stream).unwrap(), "");

    let (stream, mut peer) = connection(set);
    peer.write_all(b"last").unwrap();
    until(set, &stream, Known::is_readable);
    assert!(!stream.known().unwrap().is_unsure());
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(set, &stream).unwrap(), "last");
    assert_eq!(read(set, &stream).unwrap(), "");
}

#[test]
fn what_comes_in_two_pieces_is_read_as_it_comes_and_is_not_asked_for_in_between() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    peer.write_all(b"one").unwrap();
    assert_eq!(read(set, &stream).unwrap(), "one");
    assert!(stream.is_empty(), "a read that left room has taken all");
    let mut buffer = Buffer::with_capacity(64);
    {
        let (mut next, woken) = (pin!(stream.read(&mut buffer, None)), Arc::default());
        assert!(turn(next.as_mut(), &woken).is_none());
        peer.write_all(b"two").unwrap();
        // What no event has told of isn't looked for.
        assert!(turn(next.as_mut(), &woken).is_none());
        while Woken::times(&woken) == 0 {
            assert!(set.collect_within(PATIENCE));
        }
        assert_eq!(turn(next.as_mut(), &woken).unwrap().unwrap(), 3);
    }
    assert_eq!(buffer.pending(), b"two");
}

#[test]
fn a_read_that_fills_its_buffer_leaves_the_rest_to_the_next() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    peer.write_all(b"abcdef").unwrap();
    until(set, &stream, Known::is_readable);
    let mut small = Buffer::with_capacity(4);
    let count = small.room();
    assert_eq!(
        finish(set, stream.read(&mut small, None)).unwrap(),
        count.min(6)
    );
    let rest = read(set, &stream).unwrap();
    assert_eq!(small.pending().len() + rest.len(), 6);
}

#[test]
fn an_event_about_who_was_there_before_is_about_nobody() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    until(set, &stream, Known::is_writable);
    let token = stream.member.get().unwrap().token();
    // The kernel keeps its entry as long as a copy of the descriptor is open.
    let copy = stream.socket.try_clone().unwrap();
    drop(stream);
    let (next, _next_peer) = connection(set);
    until(set, &next, Known::is_writable);
    let next_token = next.member.get().unwrap().token();
    assert_eq!(
        token as u32, next_token as u32,
        "the place is given to the next"
    );
    assert_ne!(token, next_token);
    peer.write_all(b"for whoever was there").unwrap();
    // By now the kernel has told of it.
    assert!(set.collect_within(PATIENCE));
    assert!(next.is_empty());
    drop(copy);
}

#[test]
fn a_read_that_is_cancelled_loses_nothing() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    let (cancel, woken) = (Cancel::default(), Arc::<Woken>::default());
    let mut buffer = Buffer::with_capacity(64);
    {
        let mut waits = pin!(stream.read(&mut buffer, Some(cancel.renew())));
        assert!(turn(waits.as_mut(), &woken).is_none());
        peer.write_all(b"all").unwrap();
        while woken.times() == 0 {
            assert!(set.collect_within(PATIENCE));
        }
        // It has come, but the read has not been its turn yet.
        cancel.cancel();
        let ended = turn(waits.as_mut(), &woken).unwrap().unwrap_err();
        assert_eq!(ended.raw_os_error(), Some(libc::ECANCELED));
    }
    assert!(buffer.is_empty());
    let next = finish(set, stream.read(&mut buffer, Some(cancel.renew())));
    assert_eq!(next.unwrap(), 3);
    assert_eq!(buffer.pending(), b"all");
}

#[test]
fn to_cancel_wakes_who_waits_and_holds_for_every_read_until_it_is_renewed() {
    let set = Set::for_test();
    let (stream, _peer) = connection(set);
    let (cancel, woken) = (Cancel::default(), Arc::<Woken>::default());
    let mut buffer = Buffer::with_capacity(64);
    for _ in 0..2 {
        let mut waits = pin!(stream.read(&mut buffer, Some(&cancel)));
        let first = turn(waits.as_mut(), &woken);
        cancel.cancel();
        let ended = first.or_else(|| turn(waits.as_mut(), &woken)).unwrap();
        assert_eq!(ended.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    }
    assert_eq!(woken.times(), 1);
}

#[test]
fn an_idle_connection_is_quiet_until_something_comes_or_it_ends() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    peer.write_all(b"an answer").unwrap();
    assert_eq!(read(set, &stream).unwrap(), "an answer");
    assert!(stream.is_quiet());
    peer.write_all(b"another").unwrap();
    until(set, &stream, Known::is_readable);
    assert!(!stream.is_quiet());

    let (stream, peer) = connection(set);
    until(set, &stream, Known::is_writable);
    assert!(stream.is_quiet());
    drop(peer);
    until(set, &stream, Known::is_readable);
    assert!(!stream.is_quiet());
}

#[test]
fn more_than_the_kernel_takes_is_written_as_the_peer_reads() {
    const BYTES: usize = 32 << 20;
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    // It was read from before, so that nobody has asked yet when it can be written to.
    until(set, &stream, Known::is_writable);
    let bytes = vec![b'x'; BYTES];
    let mut sent = 0;
    let mut writes = 0;
    while sent < BYTES {
        sent += finish(set, stream.write(&bytes[sent..])).unwrap();
        writes += 1;
    }
    assert!(writes > 1, "the kernel has taken all of it at once");
    socket::shutdown(stream.fd(), socket::Shutdown::Write);
    assert_eq!(reader.join().unwrap(), BYTES);
}

#[test]
fn connections_are_made_or_refused_and_what_they_are_is_known() {
    let set = Set::for_test();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = finish(set, Polled::connect(address, set)).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"welcome").unwrap();
    assert_eq!(read(set, &stream).unwrap(), "welcome");
    drop((listener, peer));
    let refused = finish(set, Polled::connect(address, set)).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_connection_that_goes_to_another_shard_is_heard_of_no_more() {
    let set = Set::for_test();
    let (stream, mut peer) = connection(set);
    until(set, &stream, Known::is_writable);
    set.collect();
    let there = Set::for_test();
    let moved = Polled::new(stream.into_inner(), there);
    peer.write_all(b"there").unwrap();
    assert_eq!(read(there, &moved).unwrap(), "there");
    peer.write_all(b"unread").unwrap();
    until(there, &moved, Known::is_readable);
    assert!(!set.collect_within(NOTHING));
}

#[test]
fn connections_are_accepted_as_they_come_until_that_is_cancelled() {
    let set = Set::for_test();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Polled::new(socket, set);
    let (cancel, woken) = (Cancel::default(), Arc::<Woken>::default());
    for _ in 0..2 {
        let mut next = pin!(listener.accept(&cancel));
        assert!(turn(next.as_mut(), &woken).is_none());
        let peers = [(); 2].map(|()| TcpStream::connect(address).unwrap());
        let accepted = peers.map(|peer| (peer.local_addr().unwrap(), peer));
        let first = finish(set, next).unwrap().1;
        let second = finish(set, listener.accept(&cancel)).unwrap().1;
        assert_eq!([first, second], accepted.map(|(address, _)| address));
    }
    let mut next = pin!(listener.accept(&cancel));
    assert!(turn(next.as_mut(), &woken).is_none());
    cancel.cancel();
    assert_eq!(woken.times(), 1);
    let ended = turn(next.as_mut(), &woken).unwrap().err().unwrap();
    assert_eq!(ended.raw_os_error(), Some(libc::ECANCELED));
}
