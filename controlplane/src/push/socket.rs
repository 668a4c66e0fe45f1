//! The Unix socket for data planes of this machine: who may use it, and that it goes with us.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;

use super::server::ServerError;

/// A socket that only its owner may use, and that goes with this value.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens on `path`, in place of a socket that nobody serves any more. It is never there with
    /// more rights than it shall have: it is made beside, and renamed.
    ///
    /// # Errors
    /// When another process serves on it, or it can't be made.
    pub async fn bind(path: &Path) -> Result<Self, ServerError> {
        let length = path.as_os_str().len();
        if length > 107 {
            let path = path.to_owned();
            return Err(ServerError::TooLong { path, length });
        }
        if UnixStream::connect(path).await.is_ok() {
            let path = path.to_owned();
            return Err(ServerError::InUse { path });
        }
        Self::replace(path).map_err(|source| ServerError::Bind {
            path: path.to_owned(),
            source,
        })
    }

    /// Its connections, and what has to be kept as long as they are taken.
    pub(super) fn into_parts(self) -> (UnixListenerStream, SocketFile) {
        let file = SocketFile {
            path: self.path,
            inode: self.inode,
        };
        (UnixListenerStream::new(self.listener), file)
    }

    fn replace(path: &Path) -> io::Result<Self> {
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&beside)?.ino();
        fs::rename(&beside, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }
}

/// Removes the socket's file, unless another process put its own in place meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if ours {
            // It is stale in either case, and the next one replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
