//! Where sockets and state lie when the command line doesn't say so.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ringgate_core::wire::content_hash;
use thiserror::Error;

/// What of the process's surroundings decides about places.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub is_root: bool,
    pub user_id: u32,
    /// `RINGGATE_RUNTIME_DIR` and `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `RINGGATE_STATE_DIR`, `XDG_STATE_HOME` and `HOME`.
    pub state_dir: Option<PathBuf>,
    pub xdg_state_home: Option<PathBuf>,
    pub home: Option<PathBuf>,
    pub temp_dir: PathBuf,
}

#[derive(Debug, Error)]
pub enum PlaceError {
    #[error("can't make the folder {path}: {error}; name another with --socket or --state-dir")]
    Create { path: PathBuf, error: io::Error },
    #[error(
        "{path} is not a folder that only its owner, user {user_id}, can enter; remove it, or name another place with --socket or --state-dir"
    )]
    NotPrivate { path: PathBuf, user_id: u32 },
    #[error("can't find {path}: {error}")]
    Find { path: PathBuf, error: io::Error },
}

impl Surroundings {
    #[must_use]
    pub fn of_this_process() -> Self {
        let folder = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let user = rustix::process::geteuid();
        Self {
            is_root: user.is_root(),
            user_id: user.as_raw(),
            runtime_dir: folder("RINGGATE_RUNTIME_DIR"),
            xdg_runtime_dir: folder("XDG_RUNTIME_DIR"),
            state_dir: folder("RINGGATE_STATE_DIR"),
            xdg_state_home: folder("XDG_STATE_HOME"),
            home: folder("HOME"),
            temp_dir: std::env::temp_dir(),
        }
    }

    /// The folder for sockets.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        if let Some(dir) = &self.runtime_dir {
            return dir.clone();
        }
        if self.is_root {
            return "/run/ringgate".into();
        }
        match &self.xdg_runtime_dir {
            Some(dir) => dir.join("ringgate"),
            None => self.private_temp(),
        }
    }

    /// The folder for what must outlive the process.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        if let Some(dir) = &self.state_dir {
            return dir.clone();
        }
        if self.is_root {
            return "/var/lib/ringgate".into();
        }
        match (&self.xdg_state_home, &self.home) {
            (Some(dir), _) => dir.join("ringgate"),
            (None, Some(home)) => home.join(".local/state/ringgate"),
            (None, None) => self.private_temp().join("state"),
        }
    }

    fn private_temp(&self) -> PathBuf {
        self.temp_dir.join(format!("ringgate-{}", self.user_id))
    }
}

/// A name for what `run DIR` keeps for itself, so that several on one machine don't collide and the
/// same DIR finds its state again: a hash of DIR's canonical path, 16 hexadecimal digits.
///
/// # Errors
/// When DIR doesn't exist.
pub fn private_name(dir: &Path) -> Result<String, PlaceError> {
    let path = fs::canonicalize(dir).map_err(|error| PlaceError::Find {
        path: dir.to_owned(),
        error,
    })?;
    let hash = content_hash(path.as_os_str().as_encoded_bytes());
    Ok(format!("run-{hash:016x}"))
}

/// Makes `path` (and its parents) as a folder that only its owner can enter. One that stands already
/// must be the user's own: another user could else put a socket in our place in the temporary folder.
///
/// # Errors
/// When it can't be made, or isn't private.
pub fn make_private(path: &Path, surroundings: &Surroundings) -> Result<(), PlaceError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| PlaceError::Create {
            path: path.to_owned(),
            error,
        })?;
    let below_temp = surroundings.private_temp();
    if path.starts_with(&below_temp) {
        require_private(&below_temp, surroundings.user_id)?;
    }
    Ok(())
}

fn require_private(path: &Path, user_id: u32) -> Result<(), PlaceError> {
    let private = fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == user_id && meta.mode() & 0o077 == 0);
    if private {
        return Ok(());
    }
    Err(PlaceError::NotPrivate {
        path: path.to_owned(),
        user_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn nobody(temp_dir: &Path) -> Surroundings {
        Surroundings {
            is_root: false,
            user_id: rustix::process::geteuid().as_raw(),
            runtime_dir: None,
            xdg_runtime_dir: None,
            state_dir: None,
            xdg_state_home: None,
            home: None,
            temp_dir: temp_dir.to_owned(),
        }
    }

    #[test]
    fn the_first_place_that_is_known_is_taken() {
        let mut some = nobody(Path::new("/tmp"));
        some.user_id = 7;
        assert_eq!(some.runtime(), Path::new("/tmp/ringgate-7"));
        assert_eq!(some.state(), Path::new("/tmp/ringgate-7/state"));
        some.home = Some("/home/x".into());
        some.xdg_runtime_dir = Some("/run/user/7".into());
        assert_eq!(some.runtime(), Path::new("/run/user/7/ringgate"));
        assert_eq!(some.state(), Path::new("/home/x/.local/state/ringgate"));
        some.is_root = true;
        assert_eq!(some.runtime(), Path::new("/run/ringgate"));
        assert_eq!(some.state(), Path::new("/var/lib/ringgate"));
        some.runtime_dir = Some("/r".into());
        some.state_dir = Some("/s".into());
        assert_eq!((some.runtime(), some.state()), ("/r".into(), "/s".into()));
    }

    #[test]
    fn the_folder_in_the_temporary_one_is_private_and_stays_so() {
        let temp = tempfile::tempdir().unwrap();
        let user = nobody(temp.path());
        let place = user.runtime().join("run-1");
        make_private(&place, &user).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&place), mode(&user.runtime())), (0o700, 0o700));

        fs::set_permissions(user.runtime(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = make_private(&place, &user).unwrap_err();
        assert!(matches!(error, PlaceError::NotPrivate { .. }), "{error}");
    }

    #[test]
    fn a_private_name_is_one_for_each_folder_however_it_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        let name = private_name(&one).unwrap();
        assert_eq!(name, private_name(&temp.path().join("two/../one")).unwrap());
        assert_ne!(name, private_name(&two).unwrap());
        assert!(private_name(&temp.path().join("none")).is_err());
    }
}
