//! A cable to a database that can be cut, left silent, or plugged into another server: a
//! Unix socket that passes bytes on to the real one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Postgres' name for its socket, on the standard port.
const SOCKET: &str = ".s.PGSQL.5432";

/// What the cable does with what is sent through it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Passes it on to the socket in this directory.
    Plugged(PathBuf),
    /// Ends every connection and takes no more.
    Cut,
    /// Swallows it, as a network does that drops packets: nobody is told. Connections that
    /// were open, or were opened meanwhile, stay silent for ever.
    Silent,
}

pub(crate) struct Cable {
    /// The database's address through the cable.
    pub(crate) url: String,
    mode: watch::Sender<Mode>,
    real: PathBuf,
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
        let listener = UnixListener::bind(directory.join(SOCKET)).unwrap();
        // Another server, which runs as somebody else, may be at its end.
        std::fs::set_permissions(directory.join(SOCKET), std::fs::Permissions::from_mode(0o666)).unwrap();
        let real = PathBuf::from(real);
        let (mode, watching) =
            watch::channel(if is_plugged { Mode::Plugged(real.clone()) } else { Mode::Cut });
        let passing = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(near, watching.clone()));
            }
        });
        Self { url: format!("{head}host={}{tail}", directory.display()), mode, real, directory, passing }
    }

    /// The directory of the cable's own end, for whoever takes no address.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends every connection and takes no more.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Swallows everything from now on, without a word to anybody.
    pub(crate) fn fall_silent(&self) {
        self.mode.send_replace(Mode::Silent);
    }

    pub(crate) fn plug(&self) {
        self.mode.send_replace(Mode::Plugged(self.real.clone()));
    }

    /// Leads to another server from now on; connections to the former end.
    pub(crate) fn plug_into(&mut self, directory: &Path) {
        self.cut();
        directory.clone_into(&mut self.real);
        self.plug();
    }
}

/// Passes bytes while the cable is plugged as it was at the beginning.
async fn pass(near: UnixStream, mode: watch::Receiver<Mode>) {
    let born = mode.borrow().clone();
    let Mode::Plugged(real) = &born else {
        return if born == Mode::Silent {
            std::future::pending::<()>().await;
        };
    };
    let Ok(far) = UnixStream::connect(real.join(SOCKET)).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = forward(near_in, far_out, mode.clone(), &born) => {}
        () = forward(far_in, near_out, mode, &born) => {}
    }
}

/// Until either end closes or the cable is cut. What was swallowed once is never passed on.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    born: &Mode,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = mode.wait_for(|mode| mode != born) => None,
            read = from.read(&mut buffer) => Some(read.unwrap_or(0)),
        };
        match read {
            None if *mode.borrow() == Mode::Silent => return std::future::pending().await,
            None | Some(0) => return,
            Some(read) => {
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.passing.abort();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

#[tokio::test]
async fn a_silent_cable_tells_nobody_and_is_silent_for_ever_to_those_who_were_there() {
    let here = std::env::temp_dir().join(format!("tenantd-echo-{}", std::process::id()));
    std::fs::create_dir_all(&here).unwrap();
    let server = UnixListener::bind(here.join(SOCKET)).unwrap();
    let echo = tokio::spawn(async move {
        loop {
            let (mut stream, _) = server.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    let cable = Cable::to(&format!("postgres://x?host={}", here.display()), "echo", true);
    let ask = async |stream: &mut UnixStream| {
        stream.write_all(b"x").await.unwrap();
        let mut answer = [0];
        let answered = stream.read_exact(&mut answer);
        tokio::time::timeout(Duration::from_millis(200), answered).await.is_ok_and(|read| read.is_ok())
    };
    let mut old = UnixStream::connect(cable.directory().join(SOCKET)).await.unwrap();
    assert!(ask(&mut old).await);

    cable.fall_silent();
    assert!(!ask(&mut old).await);
    cable.plug();
    let mut new = UnixStream::connect(cable.directory().join(SOCKET)).await.unwrap();

    assert!(!ask(&mut old).await && ask(&mut new).await);
    echo.abort();
    std::fs::remove_dir_all(here).unwrap();
}
