//! One direction of bytes that nobody has to look at, from socket to socket within the kernel, as long as many come at a time.

use std::io;

use crate::limits;
use crate::shard::Shard;
use crate::sys::io::{Stream, give_way};
use crate::sys::pipe::Pipe;

/// Whose bytes they are.
pub(crate) trait Flow {
    /// How many more may go so; 0: no more.
    fn left(&self) -> usize;
    /// The source is waited for.
    fn waits(&self);
    /// So many have come.
    fn came(&mut self, bytes: usize);
    /// Bytes are about to leave.
    fn leaves(&self);
    /// Its time is over: the source says no more than that.
    fn is_late(&self) -> bool {
        false
    }
}

/// Which side it is that can't go on.
pub(crate) enum Broken {
    Source,
    Sink,
}

/// How a chunk left.
enum Emptied {
    AtOnce,
    /// The sink had to be waited for.
    Slowly,
}

/// Carries what comes. What ends that is for a read to find out.
pub(crate) async fn run(
    shard: &Shard,
    (source, sink): (&Stream, &Stream),
    flow: &mut impl Flow,
) -> Result<(), Broken> {
    let mut chunk = limits::CHUNK_BYTES;
    let (mut small, mut turns) = (0, 0);
    while small < limits::SMALL_CHUNKS {
        flow.waits();
        if source.readable().await.is_err() {
            return Ok(());
        }
        if flow.is_late() {
            return Err(Broken::Source);
        }
        let most = flow.left().min(chunk);
        if most == 0 {
            return Ok(());
        }
        let Some(mut pipe) = shard.pipes.take() else {
            return Ok(());
        };
        let filled = pipe.fill(source, most);
        let came = filled.as_ref().map_or(0, |came| *came);
        flow.came(came);
        let emptied = empty(&mut pipe, sink, flow).await;
        shard.pipes.give(pipe);
        filled.map_err(|_| Broken::Source)?;
        chunk = match emptied? {
            Emptied::AtOnce => (2 * chunk).min(limits::CHUNK_BYTES),
            // Next time as much as it takes, and only when it does, so that the pipe is soon free.
            Emptied::Slowly => {
                sink.writable().await.map_err(|_| Broken::Sink)?;
                (chunk / 2).max(limits::RECORDS_BYTES)
            }
        };
        small = match came {
            // Asked too early: it is waited for.
            0 if source.is_empty() => small,
            0 => return Ok(()),
            limits::BUFFER_BYTES.. => 0,
            _ => small + 1,
        };
        turns += 1;
        if turns % limits::CHUNK_TURNS == 0 {
            give_way().await;
        }
        if flow.left() == 0 {
            return Ok(());
        }
    }
    Ok(())
}

async fn empty(pipe: &mut Pipe, sink: &Stream, flow: &impl Flow) -> Result<Emptied, Broken> {
    flow.leaves();
    let mut emptied = Emptied::AtOnce;
    while pipe.held() > 0 {
        match pipe.empty(sink) {
            Ok(_) => flow.leaves(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                emptied = Emptied::Slowly;
                sink.writable().await.map_err(|_| Broken::Sink)?;
            }
            Err(_) => return Err(Broken::Sink),
        }
    }
    Ok(emptied)
}
