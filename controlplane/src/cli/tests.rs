//! The command line: its definition, and what `run` passes on.

use super::*;
use crate::serve::Certificates;
use clap::CommandFactory;
use std::path::Path;

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_run_was_told_reaches_the_control_plane() {
    let line = [
        "ringgate",
        "run",
        "site",
        "--echo",
        "--gateway-class",
        "cilium",
        "--gateway-class",
        "nginx",
        "--controller-admin",
        "127.0.0.1:1",
        "--listen=[::]:9903",
        "--advertise=a.example:9903",
        "--tls-certificate=crt",
        "--tls-key=key",
        "--tls-authority=ca",
    ];
    let Verb::Run(run) = Cli::try_parse_from(line).unwrap().verb else {
        panic!("not run");
    };
    let passed = run.control.to_arguments(Path::new("/s"));
    let again = ["ringgate".into(), "controlplane".into()]
        .into_iter()
        .chain(passed);
    let Verb::Controlplane(verb) = Cli::try_parse_from(again).unwrap().verb else {
        panic!("not controlplane");
    };
    assert_eq!(verb.control.gateway_classes, ["cilium", "nginx"]);
    assert_eq!(verb.control.socket.as_deref(), Some(Path::new("/s")));
    assert_eq!(verb.control.dir.as_deref(), Some(Path::new("site")));
    assert_eq!(verb.control.controller.admin.port(), 1);
    assert!(verb.control.echo);
    let remote = verb.control.remote.config().unwrap().unwrap();
    assert_eq!(remote.listen.port(), 9903);
    assert_eq!(remote.advertise.unwrap().to_string(), "a.example:9903");
    let Certificates::Files(files) = remote.certificates else {
        panic!("not of files");
    };
    assert_eq!(files.own.key, Path::new("key"));
}

#[test]
fn what_is_issued_reaches_the_control_plane_too() {
    let line = "ringgate run --listen=[::]:1 --issue-to=a/b,c/d --tls-name=x --authority=e/f";
    let Verb::Run(run) = Cli::try_parse_from(line.split(' ')).unwrap().verb else {
        panic!("not run");
    };
    let again = run.control.remote.to_arguments();
    let again = ["ringgate".into(), "controlplane".into()]
        .into_iter()
        .chain(again);
    let Verb::Controlplane(verb) = Cli::try_parse_from(again).unwrap().verb else {
        panic!("not controlplane");
    };
    let remote = verb.control.remote.config().unwrap().unwrap();
    let Certificates::Issued(issue) = remote.certificates else {
        panic!("not issued");
    };
    let accounts: Vec<_> = issue.accounts.iter().map(ToString::to_string).collect();
    assert_eq!(accounts, ["a/b", "c/d"]);
    assert_eq!(issue.names, ["x"]);
    assert_eq!(issue.store.unwrap().to_string(), "e/f");
}

#[test]
fn to_listen_for_others_takes_certificates() {
    let line = ["ringgate", "controlplane", "site", "--listen=[::]:9903"];
    let Verb::Controlplane(verb) = Cli::try_parse_from(line).unwrap().verb else {
        panic!("not controlplane");
    };
    assert!(verb.control.remote.config().is_err());
    let without = ["ringgate", "controlplane", "site", "--tls-key=key"];
    assert!(Cli::try_parse_from(without).is_err());
}

#[test]
fn the_data_plane_gets_its_flags_as_it_reads_them() {
    let line = [
        "ringgate",
        "run",
        ".",
        "--node",
        "edge-1",
        "--zone",
        "a",
        "--workers",
        "2",
        "--drain-grace",
        "1m 30s",
    ];
    let Verb::Run(run) = Cli::try_parse_from(line).unwrap().verb else {
        panic!("not run");
    };
    let passed = run.data.to_arguments(Path::new("/s"), Path::new("/d"));
    let text = passed.join(" ".as_ref()).into_string().unwrap();
    assert_eq!(
        text,
        "--socket /s --state-dir /d --admin 127.0.0.1:9901 --driver auto --access-log off \
         --drain-grace 90000ms --node edge-1 --zone a --workers 2"
    );
}

#[test]
fn addresses_are_shared_only_where_they_are_put_on_an_interface() {
    for flag in ["--gossip-key=key", "--while-ready"] {
        let line = ["ringgate", "run", ".", flag];
        let error = Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains("--interface <IF>"), "{error}");
        let line = ["ringgate", "run", ".", flag, "--interface=eth0"];
        Cli::try_parse_from(line).unwrap();
    }
}

#[test]
fn everything_after_dataplane_is_passed_on() {
    let line = ["ringgate", "dataplane", "--help", "--workers", "2"];
    let Verb::Dataplane(verb) = Cli::try_parse_from(line).unwrap().verb else {
        panic!("not dataplane");
    };
    assert_eq!(verb.arguments, ["--help", "--workers", "2"]);
}
