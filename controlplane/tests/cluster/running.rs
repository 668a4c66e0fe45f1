//! A control plane of the test's cluster.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Client;
use ringgate_controlplane::origin::Origin;
use ringgate_controlplane::serve::{Config, ControlPlane, RemoteConfig};
use ringgate_controlplane::tickets::TicketSource;
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch::kube::Cluster;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::fake::Fake;

pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    pub(crate) admin: SocketAddr,
    pub(crate) remote: Option<SocketAddr>,
    cut: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start(fake: &Fake) -> Self {
        Self::start_with(fake, None).await
    }

    /// One that serves data planes of other machines.
    pub(crate) async fn start_with(fake: &Fake, remote: Option<RemoteConfig>) -> Self {
        Self::start_as(fake, |config| config.remote = remote).await
    }

    /// One with more than what every one has.
    pub(crate) async fn start_as(fake: &Fake, more: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let mut config = config(fake.client_until(cut.clone()), folder.path());
        more(&mut config);
        let plane = ControlPlane::bind(config).await.unwrap();
        let admin = plane.admin_address().unwrap();
        let remote = plane.remote_address();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            plane.run(async { drop(stopped.await) }).await.unwrap();
        });
        Self {
            stop,
            running,
            admin,
            remote,
            cut,
            _folder: folder,
        }
    }

    pub(crate) async fn end(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }

    /// As by SIGKILL: nobody gets another word.
    pub(crate) async fn kill(self) {
        self.cut.store(true, Ordering::Relaxed);
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

fn config(client: Client, folder: &Path) -> Config {
    Config {
        state_dir: None,
        origin: Origin::Cluster(Cluster::Client(client)),
        tickets: TicketSource::None,
        lease: None,
        options: Options {
            cluster: true,
            ..Options::default()
        },
        socket: Some(folder.join("control.sock")),
        remote: None,
        admin: "127.0.0.1:0".parse().unwrap(),
    }
}
