//! Keys in a file, which several machines may have: read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringgate_core::ir::Object;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Known;
use super::keys::{self, TicketKeyError};
use crate::limits::CERTIFICATE_LOOK;

#[derive(Debug, Error)]
pub enum TicketFileError {
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {source}", path.display())]
    Keys {
        path: PathBuf,
        source: TicketKeyError,
    },
}

fn read(path: &Path) -> Result<Arc<Object>, TicketFileError> {
    let path = path.to_path_buf();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(TicketFileError::Read { path, source }),
    };
    match keys::parse(&text) {
        Ok(keys) => Ok(Arc::new(Object::TicketKeys(keys))),
        Err(source) => Err(TicketFileError::Keys { path, source }),
    }
}

/// Reads it now, and again for as long as someone listens.
///
/// # Errors
/// When it is of no use to begin with; later that is only logged, and the keys before stay.
pub fn follow(path: PathBuf) -> Result<Known, TicketFileError> {
    let (known, seen) = watch::channel(Some(read(&path)?));
    tokio::spawn(look_again(path, known));
    Ok(seen)
}

async fn look_again(path: PathBuf, known: watch::Sender<Option<Arc<Object>>>) {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_LOOK) => {}
            () = known.closed() => return,
        }
        match read(&path) {
            Ok(keys) => {
                told.clear();
                let is_other = known.borrow().as_ref() != Some(&keys);
                if is_other {
                    known.send_replace(Some(keys));
                    info!("session tickets are made by other keys from now on");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if text != told {
                    warn!("the keys of session tickets that are in use stay: {text}");
                    told = text;
                }
            }
        }
    }
}
