//! Endpoints of datagrams, which have no connections to fail.

use super::*;

fn datagrams(name: &'static str, address: &str) -> SocketAddr {
    let socket = UdpSocket::bind(address).unwrap();
    let here = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(name.as_bytes(), from);
        }
    });
    here
}

fn ask(client: &UdpSocket) -> String {
    client.send(b"?").unwrap();
    let mut bytes = [0; 64];
    let count = client.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

fn udp(plane: &DataPlane) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", plane.port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Takes connections until it is dropped.
struct Port(TcpListener);

impl Port {
    fn at(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        let accepting = listener.try_clone().unwrap();
        thread::spawn(move || accepting.incoming().map_while(Result::ok).for_each(drop));
        Self(listener)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The accept that waits on it ends, too.
        let _ = socket2::SockRef::from(&self.0).shutdown(Shutdown::Both);
    }
}

#[test]
fn sessions_of_datagrams_leave_an_endpoint_whose_checks_fail() {
    let first = Port::at("127.0.0.1", 0);
    let port = first.0.local_addr().unwrap().port();
    let second = Port::at("127.0.0.2", port);
    let backends = [datagrams("a", "127.0.0.1:0"), datagrams("b", "127.0.0.2:0")];
    let mut settings = check(Probe::Tcp);
    settings.health_check.as_mut().unwrap().port = Some(port);
    let plane = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("app", 1)])
        .backend_with("app", &backends, settings, None)
        .start();
    let clients: Vec<_> = (0..20).map(|_| udp(&plane)).collect();
    let names: Vec<_> = clients.iter().map(ask).collect();
    assert!(names.iter().any(|name| name == "a") && names.iter().any(|name| name == "b"));
    drop(second);
    await_states(&plane, "default/app:80", [1, 1, 0]);
    for client in &clients {
        assert_eq!(ask(client), "a");
    }
    // Now that all are out, whoever has an endpoint stays there.
    drop(first);
    await_states(&plane, "default/app:80", [0, 2, 0]);
    for client in &clients {
        assert_eq!(ask(client), "a");
    }
}

#[test]
fn endpoints_that_refuse_datagrams_are_put_aside() {
    let gone = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let plane = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("app", 1)])
        .backend_with(
            "app",
            &[datagrams("a", "127.0.0.1:0"), gone],
            outliers(3, Duration::from_secs(3600)),
            None,
        )
        .start();
    // Each client that comes to the one that is gone is refused there.
    wait_until(|| {
        udp(&plane).send(b"?").unwrap();
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    for _ in 0..20 {
        assert_eq!(ask(&udp(&plane)), "a");
    }
}
