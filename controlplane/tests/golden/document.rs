//! Documents of golden inputs to objects.

use std::fs;
use std::path::Path;

use ringgate_controlplane::api::Object;
use ringgate_controlplane::watch::{Batch, Event};
use serde_json::{Value, json};

pub(super) fn batch(documents: &[Object]) -> Batch {
    let events = documents.iter().map(|object| Event::Applied {
        object: object.clone(),
        source: None,
    });
    Batch {
        events: events.collect(),
        problems: Vec::new(),
    }
}

/// Puts the files of `testdata/pem` where `pem:NAME` stands for them.
fn fill_in(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(fill_in),
        Value::Array(items) => items.iter_mut().for_each(fill_in),
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("pem:") {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pem");
                *text = fs::read_to_string(folder.join(name)).unwrap();
            }
        }
        _ => {}
    }
}

pub(super) fn object(mut document: Value, path: &Path) -> Object {
    fill_in(&mut document);
    let kind = document["kind"].as_str().unwrap().to_owned();
    let metadata = document["metadata"].as_object_mut().unwrap();
    if ![
        "GatewayClass",
        "Namespace",
        "AddressPool",
        "ClusterTrustBundle",
    ]
    .contains(&kind.as_str())
    {
        metadata.entry("namespace").or_insert(json!("default"));
    }
    fn of<T: serde::de::DeserializeOwned + Into<Object>>(
        document: Value,
    ) -> serde_json::Result<Object> {
        serde_json::from_value::<T>(document).map(Into::into)
    }
    use ringgate_controlplane::api::{
        backend_tls, gateway, grpc_route, http_route, listener_set, policy, pool, service, storage,
        stream_route,
    };
    let object = match kind.as_str() {
        "GatewayClass" => of::<gateway::GatewayClass>(document),
        "Gateway" => of::<gateway::Gateway>(document),
        "ListenerSet" => of::<listener_set::ListenerSet>(document),
        "TLSRoute" => of::<stream_route::TlsRoute>(document),
        "TCPRoute" => of::<stream_route::TcpRoute>(document),
        "UDPRoute" => of::<stream_route::UdpRoute>(document),
        "HTTPRoute" => of::<http_route::HttpRoute>(document),
        "GRPCRoute" => of::<grpc_route::GrpcRoute>(document),
        "ReferenceGrant" => of::<gateway::ReferenceGrant>(document),
        "Service" => of::<service::Service>(document),
        "EndpointSlice" => of::<service::EndpointSlice>(document),
        "Namespace" => of::<storage::Namespace>(document),
        "ListenerPolicy" => of::<policy::ListenerPolicy>(document),
        "GatewayParameters" => of::<pool::GatewayParameters>(document),
        "AddressPool" => of::<pool::AddressPool>(document),
        "Secret" => of::<storage::Secret>(document),
        "ConfigMap" => of::<storage::ConfigMap>(document),
        "BackendPolicy" => of::<policy::BackendPolicy>(document),
        "BackendTLSPolicy" => of::<backend_tls::BackendTlsPolicy>(document),
        "ClusterTrustBundle" => of::<backend_tls::ClusterTrustBundle>(document),
        other => panic!("{}: kind {other}", path.display()),
    };
    object.unwrap_or_else(|error| panic!("{}: {kind}: {error}", path.display()))
}
