//! Which shard serves a client: few long connections are spread over all of them, and what is sent from one shard to another is
//! served to its end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

mod support;

use std::time::Duration;

use ringgate_core::ir::{Id, Object};
use support::http2::{Client as Http2, talk};
use support::{Client, DataPlane, Origin, Then, Wanted, free_port, name, plain, rule, wait_until};

const WORKERS: usize = 4;

fn wanted() -> Wanted {
    Wanted::new().echo("one").route(vec![rule("one")])
}

fn start(wanted: Wanted, arguments: &[&str]) -> DataPlane {
    let workers = ["--workers", "4"];
    wanted.start_with(&[&workers, arguments].concat())
}

/// A metric that each shard has.
fn by_shard(page: &str, metric: &str) -> Vec<f64> {
    let values = (0..WORKERS).map(|shard| {
        let name = format!("{metric}{{shard=\"{shard}\"}} ");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(&name)?.parse().ok());
        value.unwrap_or_else(|| panic!("{name}: not in {page}"))
    });
    values.collect()
}

fn clients(gateway: &DataPlane) -> Vec<f64> {
    by_shard(&gateway.ask_admin("/metrics"), "ringgate_shard_clients")
}

/// Of 1.2 times the mean the whole part.
fn most(count: usize) -> f64 {
    (1.2 * count as f64 / WORKERS as f64).floor()
}

fn assert_even(gateway: &DataPlane, count: usize) {
    let clients = clients(gateway);
    assert_eq!(clients.iter().sum::<f64>(), count as f64, "{clients:?}");
    assert!(clients.iter().all(|one| *one <= most(count)), "{clients:?}");
}

fn asked(mut client: Client) -> Client {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client
}

fn few_are_spread(arguments: &[&str]) {
    let gateway = start(wanted(), arguments);
    // One after another,
    let mut there: Vec<_> = (0..WORKERS).map(|_| asked(gateway.connect())).collect();
    assert_eq!(clients(&gateway), [1.0; WORKERS]);
    // and all at once.
    let more: Vec<_> = (0..WORKERS * 9).map(|_| gateway.connect()).collect();
    there.extend(more.into_iter().map(asked));
    assert_even(&gateway, WORKERS * 10);
    let page = gateway.ask_admin("/metrics");
    assert!(
        !page.contains("ringgate_connections_handed_over_total 0"),
        "by the kernel's hash alone it is not so: {page}"
    );
    assert!(
        by_shard(&page, "ringgate_shard_cpu_seconds_total")
            .iter()
            .all(|time| *time > 0.0)
    );
    // All of them go on.
    there = there.into_iter().map(asked).collect();
    drop(there);
    wait_until(|| (clients(&gateway) == [0.0; WORKERS]).then_some(()));
}

#[test]
fn few_connections_that_are_kept_alive_are_spread() {
    few_are_spread(&[]);
}

#[test]
fn so_are_they_with_epoll() {
    few_are_spread(&["--driver", "epoll"]);
}

#[test]
fn few_connections_of_http2_are_spread() {
    let gateway = start(wanted(), &[]);
    talk(async {
        let mut all = Vec::new();
        for _ in 0..WORKERS * 2 {
            all.push(Http2::connect(gateway.port).await);
        }
        for client in &mut all {
            assert_eq!(client.get("/").await.status(), 200);
        }
        assert_even(&gateway, WORKERS * 2);
    });
}

#[test]
fn those_who_come_take_the_places_of_those_who_left() {
    let gateway = start(wanted(), &[]);
    let mut there: Vec<_> = (0..WORKERS * 4).map(|_| asked(gateway.connect())).collect();
    for _ in 0..6 {
        // As it comes: some shards lose more than others.
        let left = there.split_off(WORKERS * 2);
        drop(there);
        there = left;
        wait_until(|| {
            let left = clients(&gateway).iter().sum::<f64>();
            (left == WORKERS as f64 * 2.0).then_some(())
        });
        there.extend((0..WORKERS * 2).map(|_| asked(gateway.connect())));
        assert_even(&gateway, WORKERS * 4);
    }
}

/// A second port, where each shard takes so many clients.
fn second_port(wanted: &mut Wanted, connections: u32) -> u16 {
    let (web, second) = (
        Id::listener(&name("gw"), "web"),
        Id::listener(&name("gw"), "second"),
    );
    let Some(Object::Listener(mut listener)) = wanted.objects.get(&web).cloned() else {
        panic!("there is no listener");
    };
    (listener.name, listener.port) = ("second".into(), free_port());
    listener.settings.limits.connections = Some(connections);
    let port = listener.port;
    for object in wanted.objects.values_mut() {
        if let Object::HttpRoute(route) = object {
            let mut attachment = route.attachments[0].clone();
            attachment.listener = second.clone();
            route.attachments.push(attachment);
        }
    }
    let listener = Object::Listener(listener);
    wanted.objects.insert(second, listener);
    port
}

/// A client that is served, and the shard that has it.
fn placed(gateway: &DataPlane, port: u16) -> (usize, Client) {
    let before = clients(gateway);
    let client = asked(Client::connect(port));
    let after = clients(gateway);
    let shard = (0..WORKERS).find(|shard| after[*shard] > before[*shard]);
    (shard.unwrap(), client)
}

#[test]
fn a_shard_whose_port_is_full_gives_back_what_it_gets() {
    let mut wanted = wanted();
    let second = second_port(&mut wanted, 1);
    let gateway = start(wanted, &[]);
    let mut there: Vec<_> = (0..WORKERS * 3)
        .map(|_| placed(&gateway, gateway.port))
        .collect();
    assert_eq!(clients(&gateway), [3.0; WORKERS]);
    // One shard has the fewest clients, but no more room on the second port.
    let (full, first) = placed(&gateway, second);
    there.retain(|(shard, _)| *shard != full);
    wait_until(|| (clients(&gateway)[full] == 1.0).then_some(()));
    let mut more: Vec<_> = (0..48).map(|_| Client::connect(second)).collect();
    for client in &mut more {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let mut wanted = [4.0; WORKERS];
    wanted[full] = 1.0;
    wait_until(|| (clients(&gateway) == wanted).then_some(()));
    // The others wait in the kernel's queue until there is room.
    drop(first);
    for client in &mut more {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    for client in &mut more {
        assert_eq!(client.response().status, 200);
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn what_went_to_another_shard_is_answered_while_all_drain() {
    let origin = Origin::start(|stream, request| {
        std::thread::sleep(Duration::from_millis(300));
        plain(stream, request);
        Then::Next
    });
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let mut gateway = start(wanted, &[]);
    let mut busy: Vec<_> = (0..WORKERS * 4)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    for _ in &busy {
        origin.request();
    }
    gateway.signal("-TERM");
    gateway.wait_for_log("draining");
    for client in &mut busy {
        assert_eq!(client.response().status, 200);
    }
    assert!(gateway.wait().success());
}
