//! What can be told of a request that got no answer, and whom we talk to at all.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::InvalidOptions;
use super::server::{Reply, Server, answer, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::ports::QlikApi;

async fn failure(cloud: &Cloud, host: &AllowedHost) -> FailureKind {
    cloud.authenticate(host).await.unwrap_err().kind
}

#[tokio::test]
async fn a_host_whose_certificate_does_not_match_is_not_connected_to() {
    let server = Server::with_token(|_| Reply::Hang).await;

    let other_name = failure(&cloud(&server), &tenant("acme.eu")).await;
    let unknown_root = failure(
        &cloud_with(
            &CloudOptions {
                ca_pem: Some(Server::start(|_| Reply::Hang).await.ca_pem.into()),
                ..options(&server)
            },
            Arc::default(),
        ),
        &acme(),
    )
    .await;

    assert_eq!((other_name, unknown_root), (FailureKind::NotConnected, FailureKind::NotConnected));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn nothing_is_ever_said_in_the_clear() {
    let server = Server::start(|_| Reply::Hang).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = CloudOptions { connect_to: Some(listener.local_addr().unwrap()), ..options(&server) };
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 256];
        let n = stream.read(&mut first).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        first[..n].to_vec()
    });

    let kind = failure(&cloud_with(&plain, Arc::default()), &acme()).await;

    let first = peer.await.unwrap();
    assert_eq!(kind, FailureKind::NotConnected);
    assert_eq!(first[0], 22, "a TLS handshake record (RFC 8446, section 5.1)");
}

#[tokio::test]
async fn an_attempt_to_connect_that_ends_by_any_timeout_has_sent_nothing() {
    let server = Server::start(|_| Reply::Hang).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
    for (request_timeout, connect_timeout, read_timeout) in
        [(long, short, long), (short, long, long), (long, long, short), (short, short, short)]
    {
        let options = CloudOptions {
            request_timeout,
            connect_timeout,
            read_timeout,
            connect_to: Some(silent.local_addr().unwrap()),
            ..options(&server)
        };

        assert_eq!(failure(&cloud_with(&options, Arc::default()), &acme()).await, FailureKind::NotConnected);
    }
}

/// A machine that was suspended, or was busy for a while: all ends have come at once.
#[tokio::test]
async fn a_process_that_stood_still_while_it_connected_has_sent_nothing() {
    let server = Server::start(|_| Reply::Hang).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let short = Duration::from_millis(200);
    let options = CloudOptions {
        request_timeout: short,
        connect_timeout: short,
        read_timeout: short,
        connect_to: Some(silent.local_addr().unwrap()),
        ..options(&server)
    };
    let cloud = cloud_with(&options, Arc::default());
    let stall = async {
        silent.accept().await.unwrap();
        std::thread::sleep(short * 2);
    };

    let host = acme();
    let (kind, ()) = tokio::join!(failure(&cloud, &host), stall);

    assert_eq!(kind, FailureKind::NotConnected);
}

#[tokio::test]
async fn a_refused_connection_is_not_connected() {
    let server = Server::start(|_| Reply::Hang).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = CloudOptions { connect_to: Some(closed), ..options(&server) };

    assert_eq!(failure(&cloud_with(&options, Arc::default()), &acme()).await, FailureKind::NotConnected);
}

#[tokio::test]
async fn a_request_that_left_and_met_silence_is_unanswered() {
    let short = Duration::from_millis(500);
    let head = || Reply::Bytes(b"HTTP/1.1 201 X\r\ncontent-length: 99\r\n\r\n{".to_vec());
    for reply in [(|| Reply::Hang) as fn() -> Reply, head] {
        let server = Server::with_token(move |_| reply()).await;
        for options in [
            CloudOptions { request_timeout: short, ..options(&server) },
            CloudOptions { read_timeout: short, ..options(&server) },
        ] {
            let cloud = cloud_with(&options, Arc::default());

            let failure = cloud.create_client(&acme(), &wanted()).await.unwrap_err();

            assert_eq!(failure.kind, FailureKind::NoAnswer);
        }
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_its_target_never_contacted() {
    let target = Server::start(|_| json(200, "{}")).await;
    let port = target.address.port();
    let server = Server::with_token(move |_| {
        answer(307, &format!("location: https://acme.us.qlikcloud.com:{port}/x\r\n"), "")
    })
    .await;

    let failure = cloud(&server).create_client(&acme(), &wanted()).await.unwrap_err();

    assert_eq!((failure.kind, failure.evidence.status), (FailureKind::Rejected, Some(307)));
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_with_the_setting_to_mend() {
    let server = Server::start(|_| Reply::Hang).await;
    let build =
        |options| Cloud::new(&options, HashMap::new(), Arc::new(ManualClock::default())).err().unwrap();
    let proxied = |proxy: &str| CloudOptions { proxy: Some(proxy.into()), ..options(&server) };

    let both = build(proxied("http://proxy.example:3128"));
    let bad_proxy = build(CloudOptions { connect_to: None, ..proxied("http://user:s3cret@[:1") });
    let empty_ca = build(CloudOptions { ca_pem: Some(b"no certificate".to_vec()), ..options(&server) });

    assert!(matches!(both, InvalidOptions::ProxyAndConnectTo));
    assert!(matches!(bad_proxy, InvalidOptions::BadProxy) && !format!("{bad_proxy:?}").contains("s3cret"));
    assert!(matches!(empty_ca, InvalidOptions::BadCa), "{empty_ca}");
}
