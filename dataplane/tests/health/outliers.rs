//! Endpoints at which traffic fails, and clients that can bring nothing of it about alone.

use super::*;

#[test]
fn failures_of_all_workers_count_together_and_an_endpoint_comes_back_in_time() {
    let (bad, good) = (Backend::start("a"), Backend::start("b"));
    bad.status.store(503, Ordering::SeqCst);
    let settings = outliers(30, Duration::from_secs(2));
    let plane = in_front_of(&[bad.address, good.address], settings).start_with(&["--workers", "2"]);
    while bad.served() < 30 {
        let status = plane.get("/").0;
        assert!(matches!(status, 200 | 503), "{status}");
    }
    // Neither worker has seen as many alone.
    plane.await_metric(
        "ringgate_endpoint_ejections_total{backend=\"default/app:80\"}",
        1,
    );
    assert_eq!(bad.served(), 30);
    bad.status.store(200, Ordering::SeqCst);
    all_from(&plane, "b");
    let list = plane.ask_admin("/endpoints");
    assert!(
        list.contains("\"last_failure\": \"it answers with status 503\""),
        "{list}"
    );
    await_states(&plane, "default/app:80", [2, 0, 0]);
    await_answer(&plane, "a");
}

#[test]
fn an_endpoint_that_takes_no_connections_is_put_aside() {
    let good = Backend::start("b");
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[nobody(), good.address], settings).start();
    // A request that got no connection goes to another endpoint: clients see nothing of it.
    wait_until(|| {
        assert_eq!(plane.get("/"), (200, "b".to_owned()));
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    plane.await_metric("ringgate_upstream_connect_failures_total", 3);
    all_from(&plane, "b");
    plane.await_metric("ringgate_upstream_connect_failures_total", 3);
}

#[test]
fn successes_between_failures_and_the_last_endpoint_are_left_alone() {
    let only = Backend::start("a");
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[only.address], settings).start();
    only.status.store(503, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(plane.get("/").0, 503);
    }
    await_states(&plane, "default/app:80", [1, 0, 0]);
    assert_eq!(only.served(), 10);

    let (one, other) = (Backend::start("a"), Backend::start("b"));
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[one.address, other.address], settings).start();
    for _ in 0..5 {
        for status in [503, 504, 200] {
            one.status.store(status, Ordering::SeqCst);
            let before = one.served();
            while one.served() == before {
                plane.get("/");
            }
        }
    }
    await_states(&plane, "default/app:80", [2, 0, 0]);
}

/// Answers never.
fn silent() -> SocketAddr {
    peer(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_client_that_waits_for_less_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let mut wanted = Wanted::new().grpc_route(vec![rule("app")]);
    wanted.backend_with("app", &[silent(), silent()], settings);
    let plane = wanted.start();
    for _ in 0..5 {
        let mut client = plane.connect();
        client.send(
            "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
             grpc-timeout: 1m\r\ncontent-length: 0\r\n\r\n",
        );
        client.head();
    }
    await_states(&plane, "default/app:80", [2, 0, 0]);
}

#[test]
fn an_endpoint_that_answers_too_late_is_put_aside() {
    let good = Backend::start("b");
    let settings = BackendSettings {
        idle_timeout: Duration::from_millis(50),
        ..outliers(2, Duration::from_secs(3600))
    };
    let plane = in_front_of(&[silent(), good.address], settings).start();
    wait_until(|| {
        let status = plane.get("/").0;
        assert!(matches!(status, 200 | 504), "{status}");
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    all_from(&plane, "b");
}

/// Answers with half of a body, and waits.
fn half() -> SocketAddr {
    peer(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_client_that_leaves_in_the_middle_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let plane = in_front_of(&[half(), half()], settings).start();
    http2::talk(async {
        let mut client = http2::Client::connect(plane.port).await;
        for _ in 0..5 {
            let (response, _) = client.ask(http2::get("/"), true).await;
            let body = response.await.unwrap().into_body();
            // The last of it resets the stream.
            drop(body);
        }
        // As long as the connection is there, for the resets are to arrive.
        let page = || plane.ask_admin("/metrics");
        let counted = "http_client_requests_total{backend=\"default/app:80\",http_response_status_class=\"2xx\"} 5\n";
        while !page().contains(counted) {
            tokio::task::yield_now().await;
        }
    });
    await_states(&plane, "default/app:80", [2, 0, 0]);
    plane.await_metric(
        "ringgate_endpoint_ejections_total{backend=\"default/app:80\"}",
        0,
    );
}

/// Waits for a request no longer than some servers do.
fn impatient() -> SocketAddr {
    peer(|mut stream| {
        let patience = Some(Duration::from_millis(1200));
        stream.set_read_timeout(patience).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A request that lacks the last byte of its body.
fn post(plane: &DataPlane, path: &str) -> Client {
    let mut client = plane.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx");
    client.send(&head);
    client
}

#[test]
fn a_client_that_sends_slowly_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let timed = |backend: &'static str| {
        let mut timed = rule(backend);
        timed.matches = vec![prefix(&format!("/{backend}"))];
        timed.timeouts.request = Some(Duration::from_secs(1));
        timed
    };
    let mut wanted = Wanted::new().route(vec![timed("late"), timed("prompt"), rule("app")]);
    wanted.backend_with("app", &[impatient(), impatient()], settings.clone());
    wanted.backend_with("late", &[silent(), silent()], settings.clone());
    wanted.backend_with("prompt", &[silent(), silent()], settings);
    let plane = wanted.start();
    let (mut never, mut late) = (post(&plane, "/"), post(&plane, "/late"));
    thread::sleep(Duration::from_millis(800));
    late.send("x");
    assert_eq!(late.head().status, 504);
    assert_eq!(never.head().status, 502);
    // Those of an endpoint that alone was waited for are told later, and known by then.
    wait_until(|| {
        let mut prompt = post(&plane, "/prompt");
        prompt.send("x");
        assert_eq!(prompt.head().status, 504);
        let ejected = "ringgate_endpoint_ejections_total{backend=\"default/prompt:80\"} 1\n";
        plane.ask_admin("/metrics").contains(ejected).then_some(())
    });
    await_states(&plane, "default/prompt:80", [1, 0, 1]);
    let page = plane.ask_admin("/metrics");
    for backend in ["app", "late"] {
        let none =
            format!("ringgate_endpoint_ejections_total{{backend=\"default/{backend}:80\"}} 0\n");
        assert!(page.contains(&none), "{page}");
    }
}
