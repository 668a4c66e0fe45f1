//! Control plane and data planes apart: processes that speak over mutual TLS only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::authority::{Authority, replace};
use crate::http::{Load, get};
use crate::stage::{Run, Stage, free_port, until};
use crate::{route, site};

pub(crate) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

pub(crate) fn tls(authority: &Path, [certificate, key]: &[PathBuf; 2]) -> Vec<OsString> {
    [
        ("--tls-authority", authority),
        ("--tls-certificate", certificate),
        ("--tls-key", key),
    ]
    .into_iter()
    .flat_map(|(flag, path)| [flag.into(), path.into()])
    .collect()
}

/// A site that leads to `blue`, and one authority for both sides.
struct Apart {
    stage: Stage,
    port: u16,
    authority: Authority,
}

impl Apart {
    fn new() -> Self {
        let stage = Stage::new();
        site(&stage);
        stage.write("route.yaml", &route("blue"));
        let authority = Authority::new("test");
        replace(&stage.path("ca.crt"), &authority.pem);
        authority.server(&stage.path(""), "server");
        let port = free_port();
        Self {
            stage,
            port,
            authority,
        }
    }

    fn control_plane(&self) -> Run {
        let mut arguments = words(&["--listen", &format!("127.0.0.1:{}", self.port)]);
        let own = ["server.crt", "server.key"].map(|name| self.stage.path(name));
        arguments.extend(tls(&self.stage.path("ca.crt"), &own));
        arguments.push(self.stage.site().into());
        self.stage.control_plane(&arguments)
    }

    fn data_plane(&self, own: &[PathBuf; 2]) -> Run {
        let mut arguments = words(&["--control-plane", &format!("127.0.0.1:{}", self.port)]);
        arguments.extend(tls(&self.stage.path("ca.crt"), own));
        self.stage.distant_data_plane(&arguments)
    }

    /// What the route leads to, once it leads there.
    fn serves(&self, backend: &str) {
        until(backend, || {
            let response = get(self.stage.port, "/").ok()?;
            (response.body == backend).then_some(())
        });
    }
}

#[test]
fn a_data_plane_elsewhere_serves_and_keeps_its_stream_while_certificates_change() {
    let apart = Apart::new();
    let control = apart.control_plane();
    let folder = apart.stage.path("");
    let own = apart.authority.client(&folder, "edge");
    let data = apart.data_plane(&own);
    data.wait_for_line("connected to the control plane");
    apart.serves("blue");

    // Both old and new data planes are believed; the server's own is of the new authority.
    let next = Authority::new("next");
    let both = format!("{}{}", apart.authority.pem, next.pem);
    replace(&apart.stage.path("ca.crt"), &both);
    next.server(&folder, "server");
    control.wait_for_line("new connections of data planes get the new certificate");

    let second = Stage::new();
    let other = next.client(&folder, "other");
    replace(&apart.stage.path("next.crt"), &next.pem);
    let mut arguments = words(&["--control-plane", &format!("127.0.0.1:{}", apart.port)]);
    arguments.extend(tls(&apart.stage.path("next.crt"), &other));
    let joined = second.distant_data_plane(&arguments);
    joined.wait_for_line("connected to the control plane");

    // The first stream still stands: what changes comes by it.
    apart.stage.write("route.yaml", &route("green"));
    data.wait_for_line("a new version is in force");
    apart.serves("green");
    assert_eq!(
        data.said("connected to the control plane"),
        0,
        "the stream was cut"
    );
}

#[test]
fn an_expired_certificate_is_refused_until_it_is_renewed() {
    let apart = Apart::new();
    let control = apart.control_plane();
    let folder = apart.stage.path("");
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let own = apart.authority.client_until(&folder, "edge", yesterday);
    let data = apart.data_plane(&own);
    let told = data.wait_for_line("control plane");
    assert!(told.contains("CertificateExpired"), "{told}");
    control.wait_for_line("didn't get in");
    assert!(get(apart.stage.port, "/").is_err(), "nothing was learned");

    apart.authority.client(&folder, "edge");
    data.wait_for_line("connected to the control plane");
    apart.serves("blue");
}

#[test]
fn neither_side_believes_an_authority_that_it_does_not_know() {
    let apart = Apart::new();
    let control = apart.control_plane();
    let stranger = Authority::new("stranger");
    let own = stranger.client(&apart.stage.path(""), "edge");
    let data = apart.data_plane(&own);
    let told = data.wait_for_line("control plane");
    assert!(told.contains("UnknownCA"), "{told}");
    control.wait_for_line("didn't get in");
    drop(data);

    replace(&apart.stage.path("stranger.crt"), &stranger.pem);
    let own = apart.authority.client(&apart.stage.path(""), "edge");
    let mut arguments = words(&["--control-plane", &format!("127.0.0.1:{}", apart.port)]);
    arguments.extend(tls(&apart.stage.path("stranger.crt"), &own));
    let data = apart.stage.distant_data_plane(&arguments);
    let told = data.wait_for_line("isn't believed");
    assert!(
        told.contains("stranger.crt") && told.contains("127.0.0.1"),
        "{told}"
    );
}

#[test]
fn a_control_plane_that_falls_silent_is_noticed_within_seconds_and_traffic_goes_on() {
    let apart = Apart::new();
    let control = apart.control_plane();
    let own = apart.authority.client(&apart.stage.path(""), "edge");
    let data = apart.data_plane(&own);
    apart.serves("blue");
    let load = Load::start(apart.stage.port);

    // As a machine that lost its power: nobody answers, and no connection is closed.
    control.signal(Signal::STOP);
    let silent = Instant::now();
    let told = data.wait_for_line("the control plane is gone");
    assert!(silent.elapsed() < Duration::from_secs(12), "{told}");

    control.signal(Signal::CONT);
    data.wait_for_line("connected to the control plane");
    apart.stage.write("route.yaml", &route("green"));
    apart.serves("green");
    load.end();
}
