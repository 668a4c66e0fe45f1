//! Session tickets that hold only where the rules of their handshake still hold.

use std::sync::Arc;

use ringgate_core::ir::{ClientValidation, Id};
use ringgate_core::table::Objects;
use ringgate_core::wire::{content_hash, encode_entry};
use rustls::server::ProducesTickets;

/// Tickets of one listener. A session that began before clients had to show a certificate, or under other
/// authorities, is not resumed: its client would pass unseen.
#[derive(Debug)]
pub(super) struct Bound {
    tickets: Arc<dyn ProducesTickets>,
    rules: [u8; 8],
}

impl Bound {
    pub(super) fn new(
        tickets: Arc<dyn ProducesTickets>,
        listener: &Id,
        clients: Option<&ClientValidation>,
        objects: &Objects,
    ) -> Self {
        let mut rules = format!("{listener} {clients:?}").into_bytes();
        for id in clients.into_iter().flat_map(|one| &one.authorities) {
            if let Some(object) = objects.get(id) {
                rules.extend(encode_entry(id, object).hash.to_be_bytes());
            }
        }
        Self {
            tickets,
            rules: content_hash(&rules).to_be_bytes(),
        }
    }
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut bound = Vec::with_capacity(plain.len() + self.rules.len());
        bound.extend_from_slice(plain);
        bound.extend_from_slice(&self.rules);
        self.tickets.encrypt(&bound)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut bound = self.tickets.decrypt(cipher)?;
        if !bound.ends_with(&self.rules) {
            return None;
        }
        bound.truncate(bound.len() - self.rules.len());
        Some(bound)
    }
}
