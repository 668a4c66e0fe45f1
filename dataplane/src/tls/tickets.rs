//! Session tickets: by keys that data planes have in common, and only where the rules of their handshake
//! still hold.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use ringgate_core::ir::{self, ClientValidation, Id};
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

/// How long clients may keep a ticket, in seconds: as long as rustls' own. One whose key is gone by then is
/// a full handshake.
const LIFETIME_S: u32 = 12 * 60 * 60;

/// Tickets that every data plane with the same keys opens: the key's name, a nonce, and what is encrypted
/// (the construction of RFC 5077, section 4, with AES-256-GCM).
pub(super) struct Shared {
    /// The first makes tickets.
    keys: Vec<Key>,
}

const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

struct Key {
    name: [u8; NAME_BYTES],
    key: RandomizedNonceKey,
}

impl Shared {
    /// # Errors
    /// When the library makes no keys of them.
    pub(super) fn new(keys: &ir::TicketKeys) -> Result<Self, Unspecified> {
        let keys = keys.keys.iter().map(|key| Key::derive(&key.0));
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}

impl Key {
    fn derive(bytes: &[u8]) -> Result<Self, Unspecified> {
        let mut derived = [0; NAME_BYTES + KEY_BYTES];
        let salt = Salt::new(HKDF_SHA256, b"ringgate session tickets");
        let pseudorandom = salt.extract(bytes);
        pseudorandom
            .expand(&[b"name and key"], Derived)?
            .fill(&mut derived)?;
        let (name, key) = derived.split_at(NAME_BYTES);
        Ok(Self {
            name: name.try_into().map_err(|_| Unspecified)?,
            key: RandomizedNonceKey::new(&AES_256_GCM, key)?,
        })
    }
}

/// As long as what is derived.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        NAME_BYTES + KEY_BYTES
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} keys withheld)", self.keys.len())
    }
}

impl ProducesTickets for Shared {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let Key { name, key } = self.keys.first()?;
        let mut encrypted = plain.to_vec();
        let about = Aad::from(name);
        let nonce = key.seal_in_place_append_tag(about, &mut encrypted).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + encrypted.len());
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.append(&mut encrypted);
        Some(ticket)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_at_checked(NAME_BYTES)?;
        let (nonce, encrypted) = rest.split_at_checked(NONCE_LEN)?;
        let Key { name, key } = self.keys.iter().find(|one| one.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = encrypted.to_vec();
        let length = key.open_in_place(nonce, Aad::from(name), &mut opened);
        let length = length.ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

/// Tickets by keys of our own, after shared ones were taken back: those that these made are opened still.
#[derive(Debug)]
pub(super) struct Parted {
    pub(super) own: Arc<dyn ProducesTickets>,
    pub(super) before: Arc<Shared>,
}

impl ProducesTickets for Parted {
    fn enabled(&self) -> bool {
        self.own.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.own.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.own.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let before = self.before.decrypt(cipher);
        before.or_else(|| self.own.decrypt(cipher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(keys: &[u8]) -> Shared {
        let keys = keys.iter().map(|byte| ir::TicketKey([*byte; 48].into()));
        Shared::new(&ir::TicketKeys {
            keys: keys.collect(),
        })
        .unwrap()
    }

    #[test]
    fn a_ticket_is_opened_by_who_has_its_key_and_by_nobody_else() {
        let (old, rotated, other) = (shared(&[1, 0]), shared(&[2, 1]), shared(&[3]));
        let ticket = old.encrypt(b"a session").unwrap();
        assert_ne!(ticket, old.encrypt(b"a session").unwrap());
        assert_eq!(old.decrypt(&ticket).unwrap(), b"a session");
        assert_eq!(rotated.decrypt(&ticket).unwrap(), b"a session");
        assert_eq!(other.decrypt(&ticket), None);
        let next = rotated.encrypt(b"another").unwrap();
        assert_eq!(old.decrypt(&next), None, "the first key makes tickets");
        for place in 0..ticket.len() {
            let mut spoilt = ticket.clone();
            spoilt[place] ^= 1;
            assert_eq!(old.decrypt(&spoilt), None, "{place}");
            assert_eq!(old.decrypt(&ticket[..place]), None, "{place}");
        }
        assert_eq!(format!("{old:?}"), "Shared(2 keys withheld)");
    }

    #[test]
    fn what_shared_keys_made_is_opened_after_they_were_taken_back() {
        let before = Arc::new(shared(&[1]));
        let parted = Parted {
            own: rustls::crypto::aws_lc_rs::Ticketer::new().unwrap(),
            before: before.clone(),
        };
        let ticket = before.encrypt(b"a session").unwrap();
        assert_eq!(parted.decrypt(&ticket).unwrap(), b"a session");
        let ticket = parted.encrypt(b"another").unwrap();
        assert_eq!(parted.decrypt(&ticket).unwrap(), b"another");
        assert_eq!(before.decrypt(&ticket), None);
    }
}
