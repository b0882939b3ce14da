//! A cable to the database that can be cut: a Unix socket that passes bytes on to
//! the real one.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Postgres' name for its socket, on the standard port.
const SOCKET: &str = ".s.PGSQL.5432";

pub(crate) struct Cable {
    /// The database's address through the cable.
    pub(crate) url: String,
    plugged: watch::Sender<bool>,
    directory: PathBuf,
    passing: JoinHandle<()>,
}

impl Cable {
    /// A cable to the database at `url` (a socket in a directory), plugged or not.
    pub(crate) fn to(url: &str, name: &str, is_plugged: bool) -> Self {
        let (head, rest) = url.split_once("host=").expect("a socket-only address");
        let (real, tail) = rest.split_at(rest.find('&').unwrap_or(rest.len()));
        let directory = PathBuf::from(format!("/tmp/tenantd-cable-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let socket = directory.join(SOCKET);
        let listener = UnixListener::bind(&socket).unwrap();
        let (plugged, watching) = watch::channel(is_plugged);
        let real: Arc<str> = format!("{real}/{SOCKET}").into();
        let passing = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(near, Arc::clone(&real), watching.clone()));
            }
        });
        Self { url: format!("{head}host={}{tail}", directory.display()), plugged, directory, passing }
    }

    /// Ends every connection and takes no more.
    pub(crate) fn cut(&self) {
        self.plugged.send_replace(false);
    }

    pub(crate) fn plug(&self) {
        self.plugged.send_replace(true);
    }
}

/// Passes bytes while plugged.
async fn pass(mut near: UnixStream, real: Arc<str>, mut plugged: watch::Receiver<bool>) {
    if !*plugged.borrow() {
        return;
    }
    let Ok(mut far) = UnixStream::connect(&*real).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = plugged.wait_for(|plugged| !plugged) => {}
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.passing.abort();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}
