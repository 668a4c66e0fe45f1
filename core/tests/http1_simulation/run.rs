//! One run per seed, and what must hold at its end.

use super::client::{Client, Request};
use super::origin::{Fault, Plan, Shape};
use super::proxy::Proxy;
use super::wire::{Chance, Message, Pipe, body_of};

const SEEDS: u64 = 256;
/// Far more than the longest script takes, byte by byte.
const STEPS_MAX: usize = 1_000_000;

struct World {
    client: Client,
    proxy: Proxy,
    to_proxy: Pipe,
    to_client: Pipe,
    plans: Vec<(String, Plan)>,
    chance: Chance,
    /// How many bytes arrive at once, at most.
    most: usize,
}

impl World {
    fn new(seed: u64, faulty: bool) -> Self {
        let mut chance = Chance(seed);
        let most = chance.pick(&[1, 1, 10, 10_000]);
        let room = chance.pick(&[1, 7, 100, 10_000]);
        // Byte by byte, long bodies only take long.
        let size_max = if most == 1 || room == 1 { 150 } else { 3_000 };
        let client = Client::random(&mut chance, faulty, size_max);
        let plans = client
            .requests
            .iter()
            .map(|one| (one.path.clone(), one.plan))
            .collect();
        let proxy = Proxy::new(room);
        Self {
            client,
            proxy,
            to_proxy: Pipe::default(),
            to_client: Pipe::default(),
            plans,
            chance,
            most,
        }
    }

    /// One of the parts does something, if it can.
    fn step(&mut self, part: usize) -> bool {
        match part {
            0 => self.client.step(&mut self.to_proxy, &mut self.to_client),
            1 => self.to_proxy.deliver(&mut self.chance, self.most),
            2 => self
                .proxy
                .step(&mut self.to_proxy, &mut self.to_client, &self.plans),
            3 => self.to_client.deliver(&mut self.chance, self.most),
            _ => self.step_upstreams(part),
        }
    }

    fn step_upstreams(&mut self, part: usize) -> bool {
        let mut did = false;
        for upstream in &mut self.proxy.upstreams {
            did |= match part {
                4 => upstream.to.deliver(&mut self.chance, self.most),
                5 => upstream.from.deliver(&mut self.chance, self.most),
                _ => upstream.origin.step(
                    &self.plans,
                    &mut upstream.from,
                    &mut upstream.to,
                    &mut self.chance,
                ),
            };
        }
        did
    }

    /// Until nothing moves any more.
    fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            let first = self.chance.below(7);
            if !self.step(first) && !(0..7).any(|part| self.step(part)) {
                return;
            }
        }
        panic!("no end after {STEPS_MAX} steps");
    }

    fn check(&self, faulty: bool) {
        let client = &self.client;
        for (request, response) in client.requests.iter().zip(&client.responses) {
            check_response(request, response);
        }
        for upstream in &self.proxy.upstreams {
            assert!(
                !upstream.origin.came_after_taint,
                "a connection was used again after a fault"
            );
            for seen in &upstream.origin.requests {
                let sent = client
                    .requests
                    .iter()
                    .find(|one| one.path == seen.path())
                    .unwrap();
                assert!(
                    seen.body == sent.body,
                    "the request's body changed on its way"
                );
            }
        }
        let order: Vec<_> = self
            .proxy
            .upstreams
            .iter()
            .flat_map(|one| &one.origin.requests)
            .map(Message::path)
            .collect();
        assert!(order.is_sorted(), "requests came out of order: {order:?}");
        if !faulty {
            self.check_all_answered();
        }
    }

    /// Without faults every request is answered whole, up to one that ends the connection.
    fn check_all_answered(&self) {
        let client = &self.client;
        let closes = |response: &Message| response.field("connection") == Some("close");
        let last = client.responses.last().expect("at least one request");
        assert!(
            client.responses.len() == client.requests.len() || closes(last),
            "not all were answered: {last:?}"
        );
        let (_, before) = client.responses.split_last().unwrap();
        assert!(!before.iter().any(closes), "a response behind a close");
        for (request, response) in client.requests.iter().zip(&client.responses) {
            let local = response.field("x-local").is_some();
            assert_eq!(local, request.plan.is_local, "{response:?}");
            let bodiless = local || request.plan.is_bodiless(request.method);
            let size = if bodiless { 0 } else { request.plan.size };
            assert_eq!(response.body.len(), size, "{:?} {response:?}", request.plan);
            if request.plan.shape == Shape::Chunked && !bodiless && request.minor == 1 {
                assert_eq!(response.trailers, request.plan.trailers(&request.path));
            }
        }
    }
}

/// What a client may see for a request, faults or not.
fn check_response(request: &Request, response: &Message) {
    let status = response.status();
    if response.field("x-local").is_some() {
        assert!(
            matches!(status, 404 | 502 | 400) && response.body.is_empty(),
            "{response:?}"
        );
        return;
    }
    assert_eq!(
        response.field("x-for"),
        Some(request.path.as_str()),
        "another request's response"
    );
    assert_eq!(status, request.plan.status);
    let whole = body_of("response", &request.path, request.plan.size);
    let (body, fault) = (&response.body, request.plan.fault);
    let by_close = matches!(request.plan.shape, Shape::UntilClose | Shape::OldUntilClose);
    if request.plan.is_bodiless(request.method) {
        assert!(body.is_empty());
    } else if by_close && fault == Fault::Extra {
        // Where the close is the end, bytes behind the body are the body's.
        assert!(body.starts_with(&whole) || whole.starts_with(body));
    } else {
        assert!(whole.starts_with(body), "another response's bytes");
        let cut_unseen = by_close && fault == Fault::Cut;
        assert!(
            !response.is_whole || cut_unseen || *body == whole,
            "a cut response looks whole"
        );
    }
    let closes = response.field("connection") == Some("close");
    assert!(!request.closes || closes, "the client asked for a close");
}

fn run(seeds: std::ops::Range<u64>, faulty: bool) -> (usize, usize) {
    let (mut answered, mut reused) = (0, 0);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, faulty);
            world.run();
            world.check(faulty || world.client.leaves_early());
            (world.client.responses.len(), world.proxy.reused)
        });
        let Ok(counts) = outcome else {
            panic!("seed {seed}, faulty {faulty}")
        };
        answered += counts.0;
        reused += counts.1;
    }
    (answered, reused)
}

#[test]
fn without_faults_every_request_is_answered_whole() {
    let (answered, reused) = run(0..SEEDS, false);
    assert!(
        answered > SEEDS as usize && reused > 20,
        "{answered} answered, {reused} reused: nothing was tried"
    );
}

#[test]
fn with_faults_no_message_gets_into_another() {
    let (answered, reused) = run(SEEDS..2 * SEEDS, true);
    assert!(
        answered > SEEDS as usize / 2 && reused > 10,
        "{answered} answered, {reused} reused: nothing was tried"
    );
}
