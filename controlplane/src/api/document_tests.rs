//! Documents to objects and problems, by tables.

use super::*;
use crate::api::http_filter::{HttpPathModifier, HttpRouteFilter};
use crate::api::http_route::{HttpMethod, HttpRoute, PathMatchType, ValueMatchType};
use crate::yaml::parse;

pub(crate) fn items(text: &str) -> Vec<Item> {
    let parsed = parse(text);
    assert_eq!(parsed.findings, [], "{text}");
    read(&parsed.root.expect("a document"))
}

fn item(text: &str) -> Item {
    items(text).remove(0)
}

/// `line:column severity field: message | remedy` of each finding.
pub(crate) fn told(text: &str) -> Vec<String> {
    let found = items(text).into_iter().flat_map(|item| item.findings);
    found
        .map(|one| {
            let position = one.position;
            format!(
                "{}:{} {} {}: {} | {}",
                position.line,
                position.column,
                one.severity,
                one.field,
                one.message,
                one.remedy.unwrap_or_default()
            )
        })
        .collect()
}

pub(crate) const ROUTE: &str =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: app}\nspec:\n";

pub(crate) fn route(rule: &str) -> String {
    format!("{ROUTE}  rules:\n  - {rule}\n")
}

fn http_route(text: &str) -> Arc<HttpRoute> {
    let item = item(text);
    assert_eq!(item.findings, [], "{text}");
    match item.object {
        Some(Object::HttpRoute(route)) => route,
        other => panic!("no HTTPRoute: {other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_api() {
    let empty = http_route(
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: HTTPRoute\nmetadata: {name: app}\nstatus: {parents: []}\n",
    );
    assert_eq!(empty.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(empty.spec.rules.len(), 1);
    assert_eq!(
        empty.spec.rules[0].matches[0].path.match_type,
        PathMatchType::PathPrefix
    );
    assert_eq!(empty.spec.rules[0].matches[0].path.value, "/");

    let text = route(
        "backendRefs: [{name: a, port: 80}]\n    matches: [{headers: [{name: x, value: y}], method: GET, path:}]\n    retry: {}",
    );
    let route = http_route(&text);
    let rule = &route.spec.rules[0];
    assert_eq!(rule.backend_refs[0].weight.get(), 1);
    assert!(rule.backend_refs[0].reference.is_service());
    assert_eq!(rule.matches[0].headers[0].match_type, ValueMatchType::Exact);
    assert_eq!(rule.matches[0].method, Some(HttpMethod::Get));
    assert_eq!(rule.matches[0].path.value, "/");
    assert_eq!(rule.retry.as_ref().unwrap().attempts.get(), 1);
}

#[test]
fn filters_become_what_their_type_says() {
    let text = route(
        "filters:\n    - {type: CORS, cors: {}}\n    - {type: RequestMirror, requestMirror: {percent: 20, backendRef: {name: a, port: 1}}}\n    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}\n    - {type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}",
    );
    let route = http_route(&text);
    let [
        HttpRouteFilter::Cors(cors),
        HttpRouteFilter::RequestMirror(mirror),
        HttpRouteFilter::UrlRewrite(rewrite),
        HttpRouteFilter::RequestHeaderModifier(edits),
    ] = &route.spec.rules[0].filters[..]
    else {
        panic!("{route:?}");
    };
    assert_eq!(cors.max_age.get(), 5);
    assert_eq!((mirror.numerator, mirror.denominator), (20, 100));
    assert!(
        matches!(&rewrite.path, Some(HttpPathModifier::ReplacePrefixMatch(path)) if *path == "/x")
    );
    assert_eq!(edits.remove.len(), 1);
}

#[test]
fn every_problem_of_a_document_is_told_not_only_the_first() {
    let text = format!(
        "{ROUTE}  hostnames: [UPPER.example.com, ok.example.com, 10.0.0.1]\n  rules:\n  - mathces: []\n    backendRefs:\n    - {{name: a, port: 99999}}\n    - {{port: 80}}\n    timeouts: {{request: 10}}\n  - matches:\n    - path: {{type: PathPrefx, value: /a}}\n"
    );
    assert_eq!(
        told(&text),
        [
            "5:15 error spec.hostnames[0]: \"UPPER.example.com\" is no hostname: it must be in lower case | write a name like www.example.com or *.example.com",
            "5:50 error spec.hostnames[2]: \"10.0.0.1\" is no hostname: an IP address is not a hostname here; leave the hostname out to match every host | write a name like www.example.com or *.example.com",
            "7:5 error spec.rules[0].mathces: field `mathces` is not known | did you mean `matches`?",
            "9:23 error spec.rules[0].backendRefs[0].port: 99999 is out of range: 1 to 65535 | write a number from 1 to 65535",
            "10:7 error spec.rules[0].backendRefs[1]: field `name` is missing | add `name:`",
            "11:25 error spec.rules[0].timeouts.request: \"10\" is not a duration (whole numbers with h, m, s or ms) | write something like 10s, 1m30s or 250ms",
            "13:20 error spec.rules[1].matches[0].path.type: \"PathPrefx\" is not one of Exact, PathPrefix, RegularExpression | did you mean PathPrefix?",
        ]
    );
    assert!(item(&text).object.is_none());
    assert_eq!(
        item(&text).key.unwrap().to_string(),
        "HTTPRoute default/app"
    );
}

#[test]
fn what_follows_from_a_problem_is_not_told() {
    let text = route("filters:\n    - {type: RequestRedirect, requestRedirect: {port: x}}");
    let told = told(&text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("requestRedirect.port: must be a whole number, is the text \"x\""),
        "{told:?}"
    );
}

#[test]
fn bare_numbers_and_booleans_keep_their_spelling_with_a_warning() {
    for (written, text) in [
        ("123", "123"),
        ("0x1f", "0x1f"),
        ("1.0", "1.0"),
        ("yes", "yes"),
        ("true", "true"),
        ("1_0", "1_0"),
        ("-7", "-7"),
    ] {
        let document = route(&format!(
            "matches: [{{queryParams: [{{name: code, value: {written}}}]}}]"
        ));
        let item = item(&document);
        let Some(Object::HttpRoute(route)) = &item.object else {
            panic!("{item:?}");
        };
        assert_eq!(route.spec.rules[0].matches[0].query_params[0].value, text);
        assert_eq!(item.findings.len(), 1, "{written}");
        assert_eq!(item.findings[0].severity, Severity::Warning);
        assert_eq!(
            item.findings[0].remedy.as_deref(),
            Some(&*format!("put it in quotes: {text:?}"))
        );
        let quoted = route_of_quoted(written);
        assert_eq!(told(&quoted), [""; 0], "{written}");
    }
}

fn route_of_quoted(text: &str) -> String {
    route(&format!(
        "matches: [{{queryParams: [{{name: code, value: '{text}'}}]}}]"
    ))
}

#[test]
fn sorts_that_are_confused_are_told_with_the_remedy() {
    for (rule, expected) in [
        (
            "matches: {path: {value: /}}",
            "must be a list, is a mapping | write a list here",
        ),
        (
            "backendRefs: [{name: a, port: '80'}]",
            "must be a whole number, is the text \"80\" | remove the quotes",
        ),
        (
            "backendRefs: [{name: a, port: 080}]",
            "080 has a leading zero: some readers take it as octal | remove the leading zero",
        ),
        (
            "backendRefs: [{name: a, port: 80.5}]",
            "must be a whole number, is the number 80.5 | write a whole number here",
        ),
        (
            "backendRefs: [{name: [a], port: 80}]",
            "must be a text, is a list | write a text here",
        ),
        (
            "matches: [x]",
            "must be a mapping (key: value), is the text \"x\" | write a mapping (key: value) here",
        ),
        (
            "filters: [{type: CORS, cors: {allowCredentials: yes}}]",
            "must be true or false, is the text \"yes\" | write true, without quotes",
        ),
        (
            "filters: [{type: CORS, cors: {allowCredentials: \"false\"}}]",
            "must be true or false, is the text \"false\" | write false, without quotes",
        ),
        (
            "backendRefs: [{name: a, port: 80, weight: 1000001}]",
            "1000001 is out of range: 0 to 1000000 | write a number from 0 to 1000000",
        ),
    ] {
        let told = told(&route(rule));
        assert!(
            told.iter().any(|one| one.ends_with(expected)),
            "{rule}: {told:?}"
        );
    }
}

#[test]
fn policies_become_settings_over_the_defaults() {
    let listener = item(
        "apiVersion: ringgate.io/v1alpha1\nkind: ListenerPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a, sectionName: http}]\n  timeouts: {header: 5s, tunnelIdle: 2h}\n  limits: {requestLine: 4Ki, headers: 8192, headerFields: 50, body: 1Mi, connections: 100}\n  trustedProxies: [10.0.0.0/8, '::1']\n  proxyProtocol: FromTrusted\n  accessLog: false\n  http2: false\n  server: ringgate\n  via: edge\n",
    );
    let Some(Object::ListenerPolicy(policy)) = listener.object else {
        panic!("{:?}", listener.findings);
    };
    let settings = policy.spec.settings();
    assert_eq!(settings.timeouts.header.as_secs(), 5);
    assert_eq!(settings.timeouts.keep_alive.as_secs(), 75);
    assert_eq!(settings.timeouts.tunnel_idle.as_secs(), 7200);
    assert_eq!(
        (
            settings.limits.request_line_bytes,
            settings.limits.header_bytes
        ),
        (4096, 8192)
    );
    assert_eq!(
        (settings.limits.body_bytes, settings.limits.connections),
        (Some(1 << 20), Some(100))
    );
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert_eq!(
        settings.proxy_protocol,
        ringgate_core::ir::ProxyProtocol::FromTrusted
    );
    assert!(!settings.access_log && !settings.http2);

    let backend = item(
        "apiVersion: ringgate.io/v1alpha1\nkind: BackendPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{group: '', kind: Service, name: a}]\n  balance: RoundRobin\n  timeouts: {connect: 250ms}\n  maxConnections: 7\n",
    );
    let Some(Object::BackendPolicy(policy)) = backend.object else {
        panic!("{:?}", backend.findings);
    };
    let settings = policy.spec.settings();
    assert_eq!(settings.connect_timeout.as_millis(), 250);
    assert_eq!(settings.idle_timeout.as_secs(), 60);
    assert_eq!(
        (settings.balance, settings.max_connections),
        (ringgate_core::ir::Balance::RoundRobin, Some(7))
    );
}

#[test]
fn secrets_are_decoded_and_never_told() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: aGFs\n bG8=, both: eA==}\nstringData: {both: plain, n: 123456}\n";
    let item = item(text);
    let Some(Object::Secret(secret)) = &item.object else {
        panic!("{:?}", item.findings);
    };
    assert_eq!(secret.data["k"].as_ref(), b"hallo");
    assert_eq!(secret.data["both"].as_ref(), b"plain");
    assert_eq!(secret.data["n"].as_ref(), b"123456");
    assert!(!format!("{secret:?}").contains("plain"));
    assert_eq!(item.findings.len(), 1);
    assert!(!format!("{:?}", item.findings).contains("123456"));
    let wrong = told(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: hunter2!}\nimmutable: hunter3\n",
    );
    assert_eq!(wrong.len(), 2);
    assert!(!wrong.join("").contains("hunter"), "{wrong:?}");
}

#[test]
fn lists_are_opened() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}, dta: {}}\n";
    let items = items(text);
    assert_eq!(items.len(), 2);
    assert_eq!((items[0].index, items[1].index), (Some(0), Some(1)));
    assert!(items[0].object.is_some() && items[1].object.is_none());
    assert_eq!(items[1].findings[0].position.line, 5);
    assert_eq!(
        told("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRouteList\nitems: []\n"),
        [""; 0]
    );
}

#[test]
fn what_is_not_for_us_is_told_by_how_much_it_matters() {
    for (header, expected) in [
        (
            "apiVersion: apps/v1\nkind: Deployment",
            "1:1 note : Deployment of \"apps/v1\" is not for Ringgate, and is ignored | ",
        ),
        (
            "apiVersion: v1\nkind: ServiceAccount",
            "1:1 note : ServiceAccount",
        ),
        (
            "apiVersion: serving.knative.dev/v1\nkind: Service",
            "1:1 note : Service of",
        ),
        (
            "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend",
            "2:7 error kind: XBackend is not carried out yet",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRout",
            "2:7 error kind: there is no HTTPRout in \"gateway.networking.k8s.io/v1\" | did you mean HTTPRoute?",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v9\nkind: HTTPRoute",
            "1:13 error apiVersion: HTTPRoute has no version \"gateway.networking.k8s.io/v9\" here | write `gateway.networking.k8s.io/v1`",
        ),
        (
            "apiVersion: v1\nkind: HTTPRoute",
            "1:13 error apiVersion: there is no HTTPRoute in \"v1\" | write `gateway.networking.k8s.io/v1`",
        ),
        (
            "apiVersion: v1\nkind: Servise",
            "2:7 error kind: there is no Servise in \"v1\" | did you mean Service?",
        ),
        (
            "apiVersion: v1\nmetadata: {name: a}",
            "1:1 error : no Kubernetes object: `kind` is missing | add `kind:`",
        ),
        (
            "kind: Service",
            "1:1 error : no Kubernetes object: `apiVersion` is missing",
        ),
        ("- a", "1:1 error : no Kubernetes object: not a mapping"),
    ] {
        let told = told(&format!("{header}\n"));
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{header}: {told:?}"
        );
    }
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"a\\u0062\", \"creationTimestamp\": \"2026-11-23T14:00:00Z\"},\n\t\"spec\": {\"ports\": [{\"port\": 80, \"targetPort\": \"web\"}]}\n}\n";
    let item = item(text);
    let Some(Object::Service(service)) = item.object else {
        panic!("{:?}", item.findings);
    };
    assert_eq!(&*service.metadata.name, "ab");
    assert_eq!(
        service.metadata.creation_timestamp.unwrap().0,
        1_795_442_400
    );
}
