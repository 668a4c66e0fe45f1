//! Hosts of listeners: what is made of the routes that are attached for them, as far as an update touches them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Attached, Compiler, Touched};
use crate::ir::{Hostname, Id, Object};
use crate::table::routes::{CompiledRoute, attachments, written};
use crate::table::stream::{HostStream, StreamRule};
use crate::table::{HostRoutes, Objects};

/// What hosts are compiled from, all that is attached to one listener.
struct Source<'c> {
    listener: &'c Id,
    objects: &'c Objects,
    routes: &'c HashMap<Id, CompiledRoute>,
    streams: &'c HashMap<Id, Arc<StreamRule>>,
    attached: Option<&'c BTreeMap<Hostname, Attached>>,
}

impl Compiler {
    /// All hosts of a listener at once: those that stand together are copied once.
    pub(super) fn compile_hosts(&mut self, touched: &Touched) {
        let touched: Vec<_> = touched.hosts.iter().collect();
        for touched in touched.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((id, _)) = touched.first() else {
                continue;
            };
            // The table before shares it.
            let Some(listener) = self.listeners.get_mut(id).map(Arc::make_mut) else {
                continue;
            };
            let source = Source {
                listener: id,
                objects: &self.objects,
                routes: &self.routes,
                streams: &self.streams,
                attached: self.attached.get(id),
            };
            let hosts = || touched.iter().map(|(_, host)| host);
            let routes = hosts().map(|host| (host, source.routes_of(host)));
            listener.routes.apply(routes);
            let streams = hosts().map(|host| (host, source.stream_of(host)));
            listener.streams.apply(streams);
        }
    }
}

impl<'c> Source<'c> {
    fn routes_of(&self, host: &Hostname) -> Option<HostRoutes> {
        let mut candidates = Vec::new();
        for route in self.attached_for(host) {
            if let (Some(Object::HttpRoute(object)), Some(compiled)) =
                (self.objects.get(route), self.routes.get(route))
            {
                let written = written(&object.attachments, self.listener, host);
                compiled.candidates(object, written, &mut candidates);
            }
        }
        (!candidates.is_empty()).then(|| HostRoutes::build(host, candidates))
    }

    fn stream_of(&self, host: &Hostname) -> Option<HostStream> {
        let streams = self.attached_for(host).filter_map(|route| {
            let attachments = attachments(self.objects.get(route)?);
            let rule = self.streams.get(route)?;
            Some((written(attachments, self.listener, host), rule))
        });
        HostStream::choose(host, streams)
    }

    fn attached_for(&self, host: &Hostname) -> impl Iterator<Item = &'c Id> {
        let routes = self.attached.and_then(|hosts| hosts.get(host));
        routes.into_iter().flat_map(|routes| &routes.0)
    }
}
