//! A TLS session on a stream, used by one reader and one writer side by side.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};

use super::session::{Session, broken};
use crate::limits;
use crate::sys::buffer::{Buffer, Pool};
use crate::sys::io::{Cancel, Stream};

/// Plain text that goes into one record: with what a record adds it still fits a buffer of the pool.
const RECORD: usize = limits::BUFFER_BYTES - 128;

pub(crate) struct Layer {
    session: RefCell<Session>,
    buffers: &'static Pool,
    /// Records leave in the order in which they were made, so one part writes at a time.
    is_writing: Cell<bool>,
    /// The writer, while the reader sends an answer of the session.
    waits: RefCell<Option<Waker>>,
}

impl Layer {
    pub(crate) fn new(session: Session, buffers: &'static Pool) -> Self {
        Self {
            session: RefCell::new(session),
            buffers,
            is_writing: Cell::new(false),
            waits: RefCell::default(),
        }
    }

    /// Whether plain text is here that no read from the stream would bring.
    pub(crate) fn has_plain(&self) -> bool {
        self.session.borrow().has_plain()
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.session.borrow().is_http2()
    }

    /// The handshake to its end; `begun` are bytes that came before the session was there.
    pub(crate) async fn handshake(&self, stream: &Stream, begun: &mut [u8]) -> io::Result<()> {
        // What comes behind the handshake is kept for the first read.
        let mut later = Buffer::default();
        let received = self.session.borrow_mut().receive(begun, later.out());
        self.answer(stream).await?;
        received.map_err(broken)?;
        while self.session.borrow().is_handshaking() {
            if !self.read_records(stream, &mut later, None).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Appends plain text to the buffer; 0 bytes at the end. A backend that ends without saying so in its
    /// session is an error, for what it sent may have been cut (RFC 8446, section 6.1); a client's requests
    /// have lengths of their own.
    pub(crate) async fn read(
        &self,
        stream: &Stream,
        mut buffer: Buffer,
        cancelled: Option<&Cancel>,
    ) -> (io::Result<usize>, Buffer) {
        let before = buffer.len();
        loop {
            {
                let mut session = self.session.borrow_mut();
                session.take_plain(buffer.out());
                let count = buffer.len() - before;
                if count > 0 || session.is_ended() {
                    return (Ok(count), buffer);
                }
            }
            match self.read_records(stream, &mut buffer, cancelled).await {
                Ok(true) => {}
                Ok(false) if self.session.borrow().is_server() => return (Ok(0), buffer),
                Ok(false) => return (Err(io::ErrorKind::UnexpectedEof.into()), buffer),
                Err(error) => return (Err(error), buffer),
            }
        }
    }

    /// One read from the stream; false at its end.
    async fn read_records(
        &self,
        stream: &Stream,
        into: &mut Buffer,
        cancelled: Option<&Cancel>,
    ) -> io::Result<bool> {
        let records = self.buffers.take();
        let (read, mut records) = match cancelled {
            Some(cancelled) => stream.read_unless(records, cancelled).await,
            None => stream.read(records).await,
        };
        let received = match read {
            Ok(0) => Ok(false),
            Ok(_) => {
                let mut session = self.session.borrow_mut();
                session.receive(records.out(), into.out()).map(|()| true)
            }
            Err(error) => {
                self.buffers.give(records);
                return Err(error);
            }
        };
        self.buffers.give(records);
        // Answers, or the alert that tells the peer what was wrong.
        self.answer(stream).await?;
        received.map_err(broken)
    }

    /// Sends what the session itself has to say, unless the writer is at it, who does the same.
    pub(crate) async fn answer(&self, stream: &Stream) -> io::Result<()> {
        if self.is_writing.get() || !self.session.borrow().has_outgoing() {
            return Ok(());
        }
        self.is_writing.set(true);
        let sent = self.send_outgoing(stream).await;
        self.is_writing.set(false);
        if let Some(writer) = self.waits.take() {
            writer.wake();
        }
        sent
    }

    async fn send_outgoing(&self, stream: &Stream) -> io::Result<()> {
        while self.session.borrow().has_outgoing() {
            let mut records = self.buffers.take();
            self.session.borrow_mut().take_outgoing(records.out());
            let (sent, records) = stream.write(records, || ()).await;
            self.buffers.give(records);
            sent?;
        }
        Ok(())
    }

    /// Sends all that is pending in the buffer, as [`Stream::write`] does.
    pub(crate) async fn write(
        &self,
        stream: &Stream,
        mut buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        self.turn().await;
        self.is_writing.set(true);
        let mut sent = Ok(());
        while sent.is_ok() && !buffer.is_empty() {
            sent = self.write_some(stream, &mut buffer, &before_each).await;
        }
        if sent.is_ok() {
            sent = self.send_outgoing(stream).await;
        }
        self.is_writing.set(false);
        (sent, buffer)
    }

    /// Until the reader has sent its answer.
    async fn turn(&self) {
        poll_fn(|context| {
            if !self.is_writing.get() {
                return Poll::Ready(());
            }
            *self.waits.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// As many records as one write is worth.
    async fn write_some(
        &self,
        stream: &Stream,
        buffer: &mut Buffer,
        before_each: &impl Fn(),
    ) -> io::Result<()> {
        let mut records = match buffer.len() {
            ..=RECORD => self.buffers.take(),
            _ => Buffer::with_capacity(limits::RECORDS_BYTES),
        };
        while !buffer.is_empty() && records.room() > limits::BUFFER_BYTES - RECORD {
            let room = records.room() - (limits::BUFFER_BYTES - RECORD);
            let count = buffer.len().min(RECORD).min(room);
            let plain = buffer.pending().get(..count).unwrap_or_default();
            let mut session = self.session.borrow_mut();
            session.send(plain, records.out()).map_err(broken)?;
            buffer.mark_sent(count);
        }
        let (sent, records) = stream.write(records, before_each).await;
        self.buffers.give(records);
        sent
    }

    /// Says in the session that nothing more is sent.
    pub(crate) async fn close(&self, stream: &Stream) {
        self.turn().await;
        let mut records = self.buffers.take();
        self.session.borrow_mut().close(records.out());
        // The peer may be gone already.
        let (_, records) = stream.write(records, || ()).await;
        self.buffers.give(records);
    }

    /// Whether an idle connection is still good: what came meanwhile was the session's own (tickets).
    pub(crate) fn is_quiet(&self, stream: &Stream) -> bool {
        let mut session = self.session.borrow_mut();
        let mut records = [0_u8; 4 << 10];
        while !stream.is_quiet() {
            let Ok(count @ 1..) = stream.read_now(&mut records) else {
                return false;
            };
            let came = records.get_mut(..count).unwrap_or_default();
            if session.receive(came, &mut Vec::new()).is_err() {
                return false;
            }
        }
        !session.has_plain() && !session.is_ended()
    }
}
