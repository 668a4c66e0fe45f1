//! HTTP/2 towards the client: a connection's life, and a task for each of its requests. Owns how many run
//! at a time and when the connection ends; what happens to a request is `proxy`'s.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use ringgate_core::http1::{Field, Limits};
use ringgate_core::http2::{Config, Key, Reason, Request, Role};
use ringgate_core::ir::ListenerSettings;

use super::bridge::Bridge;
use super::link::{Line, Link, User, Why};
use super::workers::Job;
use crate::downstream::Downstream;
use crate::downstream::h1;
use crate::downstream::reply::Reply;
use crate::limits;
use crate::shard::timer::{Action, Interrupt, NEVER, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

/// What a connection's task and those of its streams know of each other.
struct Life {
    link: Rc<Link>,
    /// Streams whose task runs.
    streams: Cell<u32>,
    /// It was idle for long enough to do without a buffer.
    is_cold: Cell<bool>,
    ending: Cell<Ending>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    No,
    /// The client was idle for too long, or we are to drain.
    Asked,
    /// It was told, but doesn't answer.
    Late,
}

/// A connection that was idle for too long, or that is to drain, says so and completes what is under way.
impl Interrupt for Life {
    fn shutdown(&self, _: Shutdown) {
        self.ending.set(match self.ending.get() {
            Ending::No => Ending::Asked,
            Ending::Asked | Ending::Late => Ending::Late,
        });
        self.link.wake();
    }

    fn cancel_read(&self) {
        self.is_cold.set(true);
        self.link.wake();
    }
}

/// Serves requests until either side ends the connection. `begun` is what has come already.
pub(crate) async fn serve(downstream: &Downstream, begun: Buffer) {
    let shard = downstream.shard;
    let settings = h1::settings(downstream, Clone::clone);
    let link = Link::new(shard, config(&settings));
    let life = Rc::new(Life {
        link: link.clone(),
        streams: Cell::default(),
        is_cold: Cell::default(),
        ending: Cell::default(),
    });
    let number = downstream.port.number;
    let serving = Serving {
        downstream,
        link: &link,
        idle: shard.deadlines.watch_task(life.clone(), number),
        waits_for: Cell::new(Awaited::Settings),
        told: Cell::default(),
        seen: Cell::new(shard.swaps()),
        later: RefCell::default(),
        life: &life,
        settings: &settings,
    };
    let line = Line {
        transport: &downstream.stream,
        watch: &downstream.watch,
        idle: settings.timeouts.idle,
    };
    downstream.watch.clear();
    serving.set_deadline(Duration::ZERO);
    link.run(line, &serving, begun).await;
}

struct Serving<'s> {
    downstream: &'s Downstream,
    link: &'s Rc<Link>,
    life: &'s Rc<Life>,
    /// How long the connection may be without a request.
    idle: Watched,
    waits_for: Cell<Awaited>,
    /// What the client was told.
    told: Cell<Ending>,
    /// The table that the listener was last looked for in.
    seen: Cell<u32>,
    /// Requests that came while as many as may be were worked on.
    later: RefCell<VecDeque<Asked>>,
    settings: &'s ListenerSettings,
}

/// What a connection without a request under way waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// What each client says first.
    Settings,
    Request,
    /// There are requests under way.
    Nothing,
}

/// A request that is to be worked on.
struct Asked {
    bridge: Rc<Bridge>,
    refused: Option<Box<h1::Refused>>,
    fields: Vec<Field>,
    length: usize,
}

impl User for Serving<'_> {
    fn request(&self, key: Key, request: Request, text: &[u8]) {
        let link = self.link.clone();
        let bridge = Bridge::server(link, key, request, text);
        let mut fields = self.downstream.shard.http2.take_fields();
        {
            let mut core = self.link.core();
            core.adopt(key, Rc::downgrade(&bridge));
            core.swap_fields(&mut fields);
        }
        let refused = request.refusal.map(|error| {
            Box::new(h1::Refused {
                reply: Reply::bad_head(&error, error.status()),
                grpc: request.grpc,
            })
        });
        let asked = Asked {
            bridge,
            refused,
            fields,
            length: text.len(),
        };
        // A client that takes requests back at once must not make us work on more than it may have open
        // (CVE-2023-44487). How many it can take back is bounded by the account of its frames.
        match self.life.streams.get() < limits::H2_STREAMS {
            true => self.start(asked),
            false => {
                let mut later = self.later.borrow_mut();
                // Those that were taken back again hold what their heads hold; no more than are open are others.
                if later.len() >= limits::H2_STREAMS as usize {
                    later.retain(|asked| !asked.bridge.has_left());
                }
                later.push_back(asked);
            }
        }
    }

    fn turn(&self, _: &mut Context<'_>) {
        if let Some(why) = self.link.take_failure() {
            self.tell_of(why);
        }
        self.start_later();
        self.look_for_listener();
        if self.life.is_cold.take() && !self.is_busy() {
            self.grow_cold();
        }
        self.end();
        let waits_for = self.awaited();
        if waits_for != self.waits_for.replace(waits_for) {
            self.set_deadline(Duration::ZERO);
        }
    }

    fn is_busy(&self) -> bool {
        self.life.streams.get() > 0
    }
}

impl Serving<'_> {
    fn awaited(&self) -> Awaited {
        match self.is_busy() {
            true => Awaited::Nothing,
            false if self.link.peek(|core| core.has_settings()) => Awaited::Request,
            false => Awaited::Settings,
        }
    }

    /// From here on a request is waited for without a buffer; or not at all, if we are to drain.
    fn grow_cold(&self) {
        self.downstream.watch.cancel_read();
        if self.downstream.is_ending() && self.life.ending.get() == Ending::No {
            self.life.ending.set(Ending::Asked);
        }
        self.set_deadline(Duration::from_millis(limits::HOT_MS));
    }

    fn start_later(&self) {
        while self.life.streams.get() < limits::H2_STREAMS {
            let Some(asked) = self.later.borrow_mut().pop_front() else {
                break;
            };
            if !asked.bridge.has_left() {
                self.start(asked);
            }
        }
    }

    /// What is for a listener that is gone shall come by a new connection.
    fn look_for_listener(&self) {
        let swaps = self.downstream.shard.swaps();
        let is_new = self.seen.replace(swaps) != swaps;
        if is_new && self.life.ending.get() == Ending::No && self.downstream.is_orphaned() {
            self.life.ending.set(Ending::Asked);
        }
    }

    /// Says goodbye, where there is a reason to.
    fn end(&self) {
        let asked = self.life.ending.get();
        if asked == self.told.get() || self.link.is_over() {
            return;
        }
        self.told.set(asked);
        match asked {
            Ending::No => {}
            Ending::Asked => self.link.core().shut_down(),
            Ending::Late => {
                self.link.core().close();
                self.link.end();
            }
        }
        self.set_deadline(Duration::ZERO);
    }

    /// While requests are under way, draining alone ends the connection. One that waits for a request does so with a
    /// buffer at first. `waited`: so long it has waited.
    fn set_deadline(&self, waited: Duration) {
        let shard = self.downstream.shard;
        let wait = match (self.told.get(), self.awaited()) {
            (Ending::No, Awaited::Nothing) => return self.idle.set_at(NEVER - 1, Action::EndIdle),
            // It was told, and completes what is under way: to be told a second time would cut that.
            (_, Awaited::Nothing) => return self.idle.clear(),
            (Ending::Asked | Ending::Late, _) => Duration::from_millis(limits::LINGER_MS),
            (Ending::No, Awaited::Settings) => self.settings.timeouts.header,
            (Ending::No, _) if !self.downstream.is_ending() => {
                let hot = Duration::from_millis(limits::HOT_MS);
                let wait = self.settings.timeouts.keep_alive.saturating_sub(waited);
                if waited.is_zero() && wait > hot {
                    let now = shard.deadlines.now();
                    return self.idle.set(now, hot, Action::CancelRead);
                }
                wait
            }
            // Its first request is most likely there already.
            (Ending::No, _) => Duration::from_millis(limits::HOT_MS),
        };
        let now = shard.deadlines.now();
        self.idle.set(now, wait, Action::EndIdle);
    }

    fn start(&self, asked: Asked) {
        let job = Job {
            stream: self.downstream.stream(asked.bridge),
            refused: asked.refused,
            fields: asked.fields,
            length: asked.length,
            open: Open::new(self.life),
        };
        let shard = self.downstream.shard;
        shard.http2.workers.answer(shard, job);
    }

    fn tell_of(&self, why: Why) {
        let name = match why {
            Why::Flood(flood) => flood.name(),
            Why::Error(reason) => name(reason),
        };
        let client = self.downstream.client;
        tracing::debug!(%client, why = name, "a connection is ended");
        self.downstream.shard.counters.goaway(name);
    }
}

/// Counts a stream as long as its task runs.
pub(super) struct Open(Rc<Life>);

impl Open {
    fn new(life: &Rc<Life>) -> Self {
        life.streams.set(life.streams.get() + 1);
        Self(life.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let streams = self.0.streams.get();
        self.0.streams.set(streams - 1);
        // Others may wait for its place, or the connection is idle from here on.
        if streams == 1 || streams == limits::H2_STREAMS {
            self.0.link.wake();
        }
    }
}

fn config(settings: &ListenerSettings) -> Config {
    Config {
        role: Role::Server,
        streams: limits::H2_STREAMS,
        stream_window: limits::H2_STREAM_WINDOW,
        connection_window: limits::H2_CONNECTION_WINDOW,
        head: Limits::from(&settings.limits),
    }
}

/// Of the errors that a peer's bytes can be (RFC 9113, section 7).
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::NO_ERROR
        | Reason::PROTOCOL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::ENHANCE_YOUR_CALM => reason.name(),
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'d, F: Future>(_: fn(&'d Downstream, Buffer) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_bounded() {
        let size = size(serve);
        assert!(size <= 2048, "a connection's future has {size} bytes");
    }
}
