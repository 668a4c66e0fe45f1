//! Each rule, by an object that breaks it and nothing else.

use crate::api::document::tests::{ROUTE, route, told};

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: web}\nspec:\n  gatewayClassName: ringgate\n";

/// Each rule of the CRD, by a route that breaks it and nothing else.
#[test]
fn rules_of_httproute_are_kept() {
    let redirect = "{type: RequestRedirect, requestRedirect: {}}";
    let prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}";
    for (rule, expected) in [
        ("matches: [{path: {value: hello}}]".to_owned(), "spec.rules[0].matches[0].path.value: must start with \"/\", is \"hello\" | write \"/hello\""),
        ("matches: [{path: {value: /a//b}}]".into(), "spec.rules[0].matches[0].path.value: must not contain \"//\""),
        ("matches: [{path: {type: Exact, value: /a/../b}}]".into(), "must not contain \"/../\""),
        ("matches: [{path: {value: /a%2Fb}}]".into(), "must not contain \"%2F\""),
        ("matches: [{path: {value: '/a#b'}}]".into(), "must not contain \"#\""),
        ("matches: [{path: {value: /a/..}}]".into(), "must not end with \"/..\""),
        ("matches: [{path: {value: '/a b'}}]".into(), "' ' can't stand in a path"),
        ("matches: [{path: {value: /a%2}}]".into(), "'%' can't stand in a path"),
        ("matches: [{headers: [{name: 'a b', value: x}]}]".into(), "headers[0].name: \"a b\" is not a header or parameter name"),
        ("matches: [{headers: [{name: a, value: ' x'}]}]".into(), "headers[0].value: \" x\" is not a header value"),
        ("matches: [{headers: [{name: a, value: x}, {name: a, value: y}]}]".into(), "headers[1]: a header's name must be unique, is the same as in [0]"),
        ("matches: [{queryParams: [{name: a, value: ''}]}]".into(), "value: must have 1 to 1024 characters, has 0"),
        ("matches: [{method: get}]".into(), "method: \"get\" is not one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH | did you mean GET?"),
        (format!("filters: [{redirect}]\n    backendRefs: [{{name: a, port: 1}}]"), "filters[0]: a rule that redirects has no backendRefs"),
        (format!("filters: [{redirect}, {{type: URLRewrite, urlRewrite: {{}}}}]"), "filters[1]: RequestRedirect and URLRewrite exclude each other"),
        (format!("filters: [{redirect}, {redirect}]"), "filters[1]: a filter of this type must be unique"),
        (format!("matches: [{{path: {{type: Exact, value: /}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: {{{prefix}}}}}]"), "filters[0].urlRewrite.path: ReplacePrefixMatch needs a rule with exactly one match"),
        (format!("matches: []\n    filters: [{{type: RequestRedirect, requestRedirect: {{{prefix}}}}}]"), "requestRedirect.path: ReplacePrefixMatch needs"),
        (format!("matches: [{{}}, {{}}]\n    backendRefs: [{{name: a, port: 1, filters: [{{type: URLRewrite, urlRewrite: {{{prefix}}}}}]}}]"), "backendRefs[0].filters[0].urlRewrite.path: ReplacePrefixMatch needs"),
        ("filters: [{type: URLRewrite}]".into(), "filters[0]: type URLRewrite needs the field `urlRewrite`"),
        ("filters: [{type: URLRewrite, urlRewrite: {}, cors: {}}]".into(), "filters[0]: `cors` doesn't go with type URLRewrite"),
        ("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}]".into(), "path: type ReplaceFullPath needs the field `replaceFullPath`"),
        ("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /, replacePrefixMatch: /}}}]".into(), "path: `replacePrefixMatch` doesn't go with type ReplaceFullPath"),
        ("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]".into(), "statusCode: 200 is no status of a redirect"),
        ("filters: [{type: RequestRedirect, requestRedirect: {hostname: '*.a'}}]".into(), "hostname: \"*.a\" is not a hostname"),
        ("filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}}}]".into(), "requestMirror.backendRef: a reference to a Service needs a port"),
        ("filters: [{type: RequestMirror, requestMirror: {percent: 1, fraction: {numerator: 1}, backendRef: {name: a, port: 1}}}]".into(), "requestMirror: `percent` and `fraction` exclude each other"),
        ("filters: [{type: RequestMirror, requestMirror: {fraction: {numerator: 101}, backendRef: {name: a, port: 1}}}]".into(), "requestMirror: 101/100 is more than the whole"),
        ("filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a']}}]".into(), "allowOrigins[0]: \"*\" stands for all and must be alone"),
        ("filters: [{type: CORS, cors: {allowOrigins: ['ftp://a']}}]".into(), "allowOrigins[0]: \"ftp://a\" is not an origin"),
        ("filters: [{type: CORS, cors: {maxAge: 0}}]".into(), "maxAge: 0 is out of range"),
        ("filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 1}}}]".into(), "externalAuth: protocol HTTP needs the field `http`"),
        ("backendRefs: [{name: a}]".into(), "backendRefs[0]: a reference to a Service needs a port"),
        ("timeouts: {request: 1s, backendRequest: 2s}".into(), "timeouts.backendRequest: must not be longer than `request`"),
        ("timeouts: {request: 1.5s}".into(), "timeouts.request: \"1.5s\" is not a duration"),
        ("retry: {codes: [200]}".into(), "retry.codes[0]: 200 is out of range: 400 to 599"),
        ("sessionPersistence: {cookie: {lifetimeType: Permanent}}".into(), "sessionPersistence: a permanent cookie needs `absoluteTimeout`"),
        ("sessionPersistence: {type: Header}".into(), "sessionPersistence: type Header needs the field `header`"),
        ("name: Upper".into(), "rules[0].name: \"Upper\" is not a name"),
        ("name: a\n  - name: a".into(), "spec.rules[1]: a rule's name must be unique, is the same as in [0]"),
    ] {
        let told = told(&route(&rule));
        assert!(told.iter().any(|one| one.contains(expected)), "{rule}: {told:?}");
        assert_eq!(told.len(), 1, "{rule}: {told:?}");
    }
    let zero = route("timeouts: {request: 0s, backendRequest: 2s}");
    assert_eq!(told(&zero), [""; 0]);
}

const GRPC_RULES: [(&str, &str); 14] = [
    (
        "matches: [{method: {}}]",
        "matches[0].method: names neither a service nor a method",
    ),
    (
        "matches: [{method: {service: a/b}}]",
        "method.service: is no service's name",
    ),
    (
        "matches: [{method: {service: 1a.B}}]",
        "method.service: is no service's name",
    ),
    (
        "matches: [{method: {method: a.B}}]",
        "method.method: is no method's name",
    ),
    (
        "matches: [{method: {type: Prefix, service: a}}]",
        "method.type: \"Prefix\" is not one of Exact, RegularExpression",
    ),
    (
        "matches: [{headers: [{name: a, value: x}, {name: a, value: y}]}]",
        "headers[1]: a header's name must be unique",
    ),
    (
        "matches: [{path: {value: /a}}]",
        "matches[0].path: field `path` is not known",
    ),
    (
        "filters: [{type: RequestHeaderModifier}]",
        "filters[0]: type RequestHeaderModifier needs the field `requestHeaderModifier`",
    ),
    (
        "filters: [{type: ExtensionRef, requestHeaderModifier: {}}]",
        "filters[0]: `requestHeaderModifier` doesn't go with type ExtensionRef",
    ),
    (
        "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]",
        "filters[1]: a filter of this type must be unique",
    ),
    (
        "backendRefs: [{name: a}]",
        "backendRefs[0]: a reference to a Service needs a port",
    ),
    (
        "backendRefs: [{name: a, port: 1, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}}}]}]",
        "filters[0].requestMirror.backendRef: a reference to a Service needs a port",
    ),
    (
        "sessionPersistence: {type: Header}",
        "sessionPersistence: type Header needs the field `header`",
    ),
    (
        "name: a\n  - name: a",
        "spec.rules[1]: a rule's name must be unique, is the same as in [0]",
    ),
];

/// Each rule of the CRD, by a route that breaks it and nothing else.
#[test]
fn rules_of_grpcroute_are_kept() {
    let grpc = |rule: &str| route(rule).replace("HTTPRoute", "GRPCRoute");
    for (rule, expected) in GRPC_RULES {
        let told = told(&grpc(rule));
        assert!(
            told.iter().any(|one| one.contains(expected)),
            "{rule}: {told:?}"
        );
        assert_eq!(told.len(), 1, "{rule}: {told:?}");
    }
    for rule in [
        "matches: [{method: {service: .a_1.B, method: _Get}}]",
        "matches: [{method: {type: RegularExpression, service: 'a/b'}}]",
        "matches: []",
    ] {
        assert_eq!(told(&grpc(rule)), [""; 0], "{rule}");
    }
    let none = grpc("")
        .split("  rules")
        .next()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(told(&none), [""; 0]);
}

#[test]
fn rules_of_parent_references_are_kept() {
    for (parents, expected) in [
        (
            "[{name: a}, {name: a}]",
            "spec.parentRefs[1]: a parentRef must be unique",
        ),
        (
            "[{name: a, sectionName: x}, {name: a}]",
            "spec.parentRefs[1]: must name sectionName or port like",
        ),
        (
            "[{name: a, sectionName: x}, {name: a, port: 80}]",
            "spec.parentRefs[1]: must name sectionName or port like",
        ),
        (
            "[{kind: Gateway}]",
            "spec.parentRefs[0]: field `name` is missing",
        ),
    ] {
        let told = told(&format!("{ROUTE}  parentRefs: {parents}\n"));
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{parents}: {told:?}"
        );
    }
    let fine = "[{name: a, sectionName: x}, {name: a, sectionName: y}, {name: b}, {name: b, namespace: c}]";
    assert_eq!(told(&format!("{ROUTE}  parentRefs: {fine}\n")), [""; 0]);
}

/// Listeners (and what follows them) with what is told of them.
const GATEWAYS: &[(&str, &str)] = &[
    ("[]", "spec.listeners: needs at least 1, has 0"),
    (
        "[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]",
        "listeners[1]: a listener's name must be unique",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]",
        "listeners[1]: port, protocol and hostname together must be unique",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: x}]}}]",
        "listeners[0].tls: doesn't go with protocol HTTP",
    ),
    (
        "[{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}]",
        "tls.mode: must be Terminate for protocol HTTPS",
    ),
    (
        "[{name: a, port: 443, protocol: HTTPS, tls: {}}]",
        "tls: mode Terminate needs `certificateRefs`",
    ),
    (
        "[{name: a, port: 443, protocol: TLS}]",
        "listeners[0]: protocol TLS needs `tls.mode`",
    ),
    (
        "[{name: a, port: 53, protocol: UDP, hostname: a.b}]",
        "hostname: doesn't go with protocol UDP",
    ),
    (
        "[{name: a, port: 0, protocol: HTTP}]",
        "port: 0 is out of range: 1 to 65535",
    ),
    (
        "[{name: a, port: 80, protocol: 'H T'}]",
        "protocol: \"H T\" is not a protocol",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP, hostname: ''}]",
        "hostname: must have 1 to 253 characters, has 0",
    ),
    (
        "[{name: a, port: 80, protocol: TCP, filters: {requests: []}}]",
        "filters: go with protocol HTTP and HTTPS only",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP, filters: {requests: [{type: ExtensionRef}]}}]",
        "requests[0]: type ExtensionRef needs the field `extensionRef`",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: all}}}]",
        "from: \"all\" is not one of All, Selector, Same, None | did you mean All?",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP}]\n  addresses: [{value: a.b}]",
        "addresses[0].value: \"a.b\" is no IP address",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP}]\n  addresses: [{value: 10.0.0.1}, {type: IPAddress, value: 10.0.0.1}]",
        "addresses[1]: an address must be unique",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP}]\n  infrastructure: {labels: {'a b': c}}",
        "spec.infrastructure.labels[\"a b\"]: the key has not the form",
    ),
    (
        "[{name: a, port: 80, protocol: HTTP}]\n  tls: {frontend: {default: {validation: {caCertificateRefs: []}}}}",
        "caCertificateRefs: needs at least 1, has 0",
    ),
];

#[test]
fn rules_of_gateway_are_kept() {
    for (listeners, expected) in GATEWAYS {
        let told = told(&format!("{GATEWAY}  listeners: {listeners}\n"));
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{listeners}: {told:?}"
        );
    }
}

#[test]
fn other_kinds_have_their_rules() {
    for (text, expected) in [
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: ExternalName}\n",
            "spec: type ExternalName needs a DNS name",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}, {port: 81, name: b}]}\n",
            "spec.ports[0]: each of several ports needs a name",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: 80}\n",
            "did you mean `ports`?",
        ),
        (
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv4\nendpoints: [{addresses: ['::1']}]\n",
            "endpoints[0].addresses[0]: \"::1\" is not an IPv4 address",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: '%%'}\n",
            "data.k: not base64",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: a}\nspec: {controllerName: x}\n",
            "controllerName: \"x\" is not a domain and a path",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: a}\nspec: {from: [], to: [{group: '', kind: Service}]}\n",
            "spec.from: needs at least 1",
        ),
        (
            "apiVersion: ringgate.io/v1alpha1\nkind: ListenerPolicy\nmetadata: {name: a}\nspec: {targetRefs: [{group: '', kind: Service, name: a}]}\n",
            "targetRefs[0]: this policy is for a Gateway",
        ),
        (
            "apiVersion: ringgate.io/v1alpha1\nkind: ListenerPolicy\nmetadata: {name: a}\nspec: {limits: {headers: 2Mi}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]}\n",
            "spec.limits.headers: must be 1 byte to 1 MiB",
        ),
        (
            "apiVersion: ringgate.io/v1alpha1\nkind: BackendPolicy\nmetadata: {name: a}\nspec: {balance: Random, targetRefs: [{group: '', kind: Service, name: a}]}\n",
            "balance: \"Random\" is not one of LeastLoadedOfTwo, RoundRobin",
        ),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: a, namespace: b}\nspec: {controllerName: x.io/y}\n",
            "warning metadata.namespace: a GatewayClass has no namespace",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A}\n",
            "metadata.name: \"A\" is no name of an object",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: a.b, name: a}\n",
            "metadata.namespace: \"a.b\" is no name of a namespace",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\n",
            "field `metadata` is missing",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
            "field `name` is missing",
        ),
    ] {
        let told = told(text);
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn rules_of_tlsroute_are_kept() {
    let route = |hostnames: &str, backends: &str, more: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: {{name: app}}\nspec:\n  parentRefs: [{{name: edge}}]\n  hostnames: {hostnames}\n  rules:\n  - backendRefs: {backends}\n{more}"
        )
    };
    let (host, backend) = ("[a.example.com]", "[{name: app, port: 443}]");
    for (text, expected) in [
        (
            route("[]", backend, ""),
            "spec.hostnames: needs at least 1, has 0",
        ),
        (
            route("[10.0.0.1]", backend, ""),
            "spec.hostnames[0]: \"10.0.0.1\" is no hostname",
        ),
        (
            route("[a.*.com]", backend, ""),
            "spec.hostnames[0]: \"a.*.com\" is no hostname",
        ),
        (
            route(host, "[]", ""),
            "spec.rules[0].backendRefs: needs at least 1, has 0",
        ),
        (
            route(host, "[{name: app}]", ""),
            "spec.rules[0].backendRefs[0]: a reference to a Service needs a port",
        ),
        (
            route(host, "[{name: app, port: 1, weight: -1}]", ""),
            "spec.rules[0].backendRefs[0].weight: -1 is out of range",
        ),
        (
            route(host, backend, "  - backendRefs: [{name: b, port: 1}]\n"),
            "spec.rules: takes at most 1, has 2",
        ),
        (
            route(host, backend, "    name: Upper\n"),
            "spec.rules[0].name: \"Upper\" is not a name",
        ),
        (
            route(host, backend, "    filters: []\n"),
            "spec.rules[0].filters: field `filters` is not known",
        ),
    ] {
        let told = told(&text);
        assert!(
            told.iter().any(|one| one.contains(expected)),
            "{text}: {told:?}"
        );
        assert_eq!(told.len(), 1, "{text}: {told:?}");
    }
    let many: Vec<String> = (0..1024).map(|one| format!("h{one}.example.com")).collect();
    let whole = route(
        &format!("[{}]", many.join(", ")),
        backend,
        "    name: all\n",
    );
    assert_eq!(told(&whole), [""; 0]);
}
