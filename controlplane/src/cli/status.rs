//! `ringgate status`: a report as a table that people read.

use std::fmt::Write;

use crate::limits::POOL_COUNT_MOST;
use crate::status::certificates::CertificateStatus;
use crate::status::condition::Condition;
use crate::status::coverage::DataPlaneStatus;
use crate::status::objects::ListenerStatus;
use crate::status::pools::PoolStatus;
use crate::status::report::{ProblemStatus, Report, ServiceStatus};

/// The whole report, ending with a line feed.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Report) {
    let version = report.version.as_deref().unwrap_or("none yet");
    if !report.from_cluster {
        line(out, &format!("{}, version {version}", report.software));
    }
    line(out, "");
    listeners(out, report);
    services(out, &report.services);
    pools(out, &report.pools);
    not_fine(out, report);
    problems(out, &report.problems);
    certificates(out, &report.certificates);
    if !report.from_cluster {
        data_planes(out, &report.data_planes);
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn listeners(out: &mut String, report: &Report) {
    let head = [
        "GATEWAY", "LISTENER", "ADDRESS", "HOSTNAME", "ROUTES", "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for one in &report.gateways {
        let gateway = format!("{}/{}", one.namespace, one.name);
        rows.extend(listener_rows(&gateway, "", &one.addresses, &one.listeners));
    }
    for one in &report.listener_sets {
        let set = format!("{}/{}/", one.namespace, one.name);
        rows.extend(listener_rows(
            &one.gateway,
            &set,
            &one.addresses,
            &one.listeners,
        ));
    }
    if rows.len() == 1 {
        line(out, "No Gateway is served.");
        return;
    }
    columns(out, &rows);
}

fn services(out: &mut String, services: &[ServiceStatus]) {
    if services.is_empty() {
        return;
    }
    line(out, "");
    let mut rows = vec![["SERVICE", "ADDRESS", "PORTS"].map(str::to_owned)];
    rows.extend(services.iter().map(|one| {
        let addresses = match one.addresses.as_deref() {
            None => "none yet".to_owned(),
            Some([]) => "*".to_owned(),
            Some(some) => some.join(" "),
        };
        let name = format!("{}/{}", one.namespace, one.name);
        [name, addresses, one.ports.join(" ")]
    }));
    columns(out, &rows);
}

fn pools(out: &mut String, pools: &[PoolStatus]) {
    if pools.is_empty() {
        return;
    }
    line(out, "");
    let head = ["ADDRESS POOL", "FAMILY", "GIVEN", "FREE"];
    let mut rows = vec![head.map(str::to_owned)];
    for pool in pools {
        for (family, usage) in [("IPv4", pool.ipv4), ("IPv6", pool.ipv6)] {
            rows.extend(usage.map(|usage| {
                let free = match usage.available {
                    POOL_COUNT_MOST => "many".to_owned(),
                    some => some.to_string(),
                };
                let given = usage.assigned.to_string();
                [pool.name.clone(), family.to_owned(), given, free]
            }));
        }
    }
    columns(out, &rows);
}

/// `set` is `namespace/name/` for the listeners of a ListenerSet.
fn listener_rows(
    gateway: &str,
    set: &str,
    addresses: &[String],
    listeners: &[ListenerStatus],
) -> impl Iterator<Item = [String; 6]> {
    listeners.iter().map(move |listener| {
        [
            gateway.to_owned(),
            format!("{set}{}", listener.name),
            address(addresses, listener.port),
            listener.hostname.clone(),
            listener.attached_routes.to_string(),
            state(&listener.conditions),
        ]
    })
}

fn address(addresses: &[String], port: u16) -> String {
    if addresses.is_empty() {
        return format!("*:{port}");
    }
    let all = addresses.iter().map(|address| {
        if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        }
    });
    all.collect::<Vec<_>>().join(" ")
}

/// The first condition that isn't fine, in one word.
fn state(conditions: &[Condition]) -> String {
    let bad = conditions.iter().find(|condition| !condition.is_fine());
    bad.map_or_else(|| "fine".to_owned(), |condition| condition.reason.clone())
}

fn columns<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut text = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a text can't fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        line(out, &text);
    }
}

fn not_fine(out: &mut String, report: &Report) {
    let bad = report.conditions().filter(|(_, one)| !one.is_fine());
    let mut before = None;
    for (about, condition) in bad {
        if before.is_none() {
            line(out, "\nNot fine:");
        }
        if before.as_ref() != Some(&about) {
            line(out, &format!("  {about}"));
        }
        let Condition {
            condition_type,
            status,
            reason,
            message,
            ..
        } = condition;
        line(
            out,
            &format!("      {condition_type}={status:?} {reason}: {message}"),
        );
        before = Some(about);
    }
}

fn problems(out: &mut String, problems: &[ProblemStatus]) {
    if problems.is_empty() {
        return;
    }
    line(out, "\nProblems:");
    for problem in problems {
        line(out, &format!("  {}", sentence(problem)));
        if let Some(remedy) = &problem.remedy {
            line(out, &format!("      remedy: {remedy}"));
        }
    }
}

fn sentence(problem: &ProblemStatus) -> String {
    let parts = [
        problem.place.clone().unwrap_or_default(),
        problem.severity.clone(),
        problem.object.clone().unwrap_or_default(),
        problem.field.clone(),
        problem.message.clone(),
    ];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

/// More that end later don't help.
const CERTIFICATES: usize = 10;

fn certificates(out: &mut String, certificates: &[CertificateStatus]) {
    if certificates.is_empty() {
        return;
    }
    line(out, "");
    let mut rows = vec![["CERTIFICATE", "ENDS", "DAYS LEFT"].map(str::to_owned)];
    let first = certificates.iter().take(CERTIFICATES);
    rows.extend(first.map(|one| {
        let days = one.days_left.to_string();
        [one.secret.clone(), one.ends.clone(), days]
    }));
    columns(out, &rows);
    if let Some(more) = certificates.len().checked_sub(CERTIFICATES + 1) {
        line(out, &format!("and {} that end later", more + 1));
    }
}

fn data_planes(out: &mut String, planes: &[DataPlaneStatus]) {
    if planes.is_empty() {
        line(out, "\nNo data plane is connected.");
        return;
    }
    line(out, "");
    let head = [
        "DATA PLANE",
        "SOFTWARE",
        "DRIVER",
        "WORKERS",
        "VERSION",
        "STATE",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for plane in planes {
        let state = match plane {
            DataPlaneStatus { draining: true, .. } => "draining".to_owned(),
            DataPlaneStatus { lagging: true, .. } => "lagging".to_owned(),
            plane if !plane.failures.is_empty() => format!("failures: {}", plane.failures.len()),
            _ => "fine".to_owned(),
        };
        rows.push([
            plane.instance.clone(),
            plane.software.clone(),
            plane.driver.clone(),
            plane.workers.to_string(),
            plane
                .version
                .clone()
                .unwrap_or_else(|| "none yet".to_owned()),
            state,
        ]);
    }
    columns(out, &rows);
    for plane in planes {
        for failure in &plane.failures {
            line(out, &format!("  {}: {}", failure.id, failure.reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::condition::Truth;
    use crate::status::coverage::FailureStatus;
    use crate::status::objects::GatewayStatus;

    fn condition(name: &str, status: Truth, reason: &str, message: &str) -> Condition {
        Condition::new(name, status, reason, message.to_owned())
    }

    fn listener(name: &str, port: u16, conditions: Vec<Condition>) -> ListenerStatus {
        ListenerStatus {
            name: name.to_owned(),
            port,
            protocol: "HTTP".to_owned(),
            hostname: "*".to_owned(),
            supported_kinds: Vec::new(),
            attached_routes: 2,
            conditions,
        }
    }

    fn gateway(listeners: Vec<ListenerStatus>) -> GatewayStatus {
        GatewayStatus {
            namespace: "default".to_owned(),
            name: "hello".to_owned(),
            class: "ringgate".to_owned(),
            addresses: Vec::new(),
            conditions: vec![condition("Accepted", Truth::True, "Accepted", "")],
            listeners,
            attached_listener_sets: 0,
        }
    }

    fn data_plane() -> DataPlaneStatus {
        DataPlaneStatus {
            instance: "host-1".to_owned(),
            software: "ringgate-dataplane 0.1.0".to_owned(),
            driver: "epoll".to_owned(),
            workers: 2,
            version: Some("7.1".to_owned()),
            draining: false,
            lagging: false,
            failures: vec![FailureStatus {
                id: "listener/default/hello/low".to_owned(),
                reason: "port 80: permission denied".to_owned(),
            }],
        }
    }

    #[test]
    fn a_table_shows_what_is_served_and_what_is_not_fine() {
        let fine = condition("Conflicted", Truth::False, "NoConflicts", "");
        let message = "port 80: permission denied";
        let bad = condition("Programmed", Truth::False, "PortUnavailable", message);
        let report = Report {
            software: "ringgate 0.1.0".to_owned(),
            version: Some("7.1".to_owned()),
            gateways: vec![gateway(vec![
                listener("http", 8080, vec![fine]),
                listener("low", 80, vec![bad]),
            ])],
            problems: vec![ProblemStatus {
                place: Some("a.yaml:3:5".to_owned()),
                severity: "error".to_owned(),
                object: Some("HTTPRoute default/app".to_owned()),
                field: "spec".to_owned(),
                message: "bad".to_owned(),
                remedy: Some("mend it".to_owned()),
            }],
            certificates: vec![CertificateStatus {
                secret: "default/site".to_owned(),
                ends: "2026-12-24T00:00:00Z".to_owned(),
                days_left: 30,
            }],
            data_planes: vec![data_plane()],
            ..Report::default()
        };
        assert!(!report.is_fine());
        assert_eq!(
            table(&report),
            "\
ringgate 0.1.0, version 7.1

GATEWAY        LISTENER  ADDRESS  HOSTNAME  ROUTES  STATE
default/hello  http      *:8080   *         2       fine
default/hello  low       *:80     *         2       PortUnavailable

Not fine:
  Gateway default/hello listener low
      Programmed=False PortUnavailable: port 80: permission denied

Problems:
  a.yaml:3:5: error: HTTPRoute default/app: spec: bad
      remedy: mend it

CERTIFICATE   ENDS                  DAYS LEFT
default/site  2026-12-24T00:00:00Z  30

DATA PLANE  SOFTWARE                  DRIVER  WORKERS  VERSION  STATE
host-1      ringgate-dataplane 0.1.0  epoll   2        7.1      failures: 1
  listener/default/hello/low: port 80: permission denied
"
        );
    }
}
