//! Faults are faults on the wire.

use super::*;
use crate::simulator::faults::{RetryAfter, Spoil};

/// Sends a create that meets this fault.
async fn create_under(given: &Given, fault: Fault) -> Option<Received> {
    let bearer = given.bearer().await;
    given.world.script(HOST, Endpoint::CreateClient, [fault]);
    let lines = format!("POST /api/v1/oauth-clients\n{bearer}");
    given.client.send(HOST, &lines, &creation("acme")).await
}

/// Waits until this many clients live, for at most ten seconds.
async fn live_clients_become(given: &Given, wanted: usize) {
    let reached = async {
        while given.ledger().live_clients != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the client never came");
}

#[tokio::test]
async fn a_close_sends_no_byte_and_processes_or_not_as_planned() {
    for (fault, made) in [(Fault::close_before(), 0), (Fault::close_after(), 1)] {
        let given = given(Behaviour::default()).await;

        let received = create_under(&given, fault).await;

        assert!(received.is_none());
        assert_eq!(given.ledger().live_clients, made);
        assert_eq!(given.ledger().calls_of(Endpoint::CreateClient, None), 1);
    }
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_it_says() {
    let given = given(Behaviour::default()).await;

    let received = create_under(&given, Fault::spoilt(Spoil::Truncated)).await.unwrap();

    let promised: usize = received.header("content-length").unwrap().parse().unwrap();
    assert_eq!((received.status, received.body.len()), (201, promised / 2));
    assert_eq!(given.ledger().live_clients, 1);
}

#[tokio::test]
async fn every_spoilt_body_is_spoilt_in_its_own_way() {
    for spoil in Spoil::ALL {
        let given = given(Behaviour::default()).await;
        let received = create_under(&given, Fault::spoilt(spoil)).await.unwrap();
        let (text, json) =
            (std::str::from_utf8(&received.body), serde_json::from_slice::<Value>(&received.body));

        let is_as_planned = match spoil {
            Spoil::Truncated | Spoil::InvalidJson => text.is_ok() && json.is_err(),
            Spoil::InvalidUtf8 => text.is_err(),
            Spoil::WrongType => json.unwrap()["clientId"].is_number(),
            Spoil::MissingField => json.unwrap().get("clientId").is_none(),
            Spoil::NullField => json.unwrap().get("clientId") == Some(&Value::Null),
            Spoil::Empty => received.body.is_empty(),
            Spoil::DuplicateKeys => text.unwrap().matches(r#""clientId":"#).count() == 2,
            Spoil::Huge => received.body.len() > 10_000_000 && json.is_ok(),
            Spoil::GzipBomb => received.header("content-encoding") == Some("gzip") && json.is_err(),
        };

        assert!(is_as_planned, "{spoil:?}");
        assert_eq!((received.status, given.ledger().live_clients), (201, 1), "{spoil:?}");
    }
}

#[tokio::test]
async fn statuses_pages_and_redirects_come_as_planned() {
    for (fault, status, made) in [
        (Fault::status(503), 503, 0),
        (Fault::status_after(500), 500, 1),
        (Fault::html(502), 502, 0),
        (Fault::redirect("https://elsewhere.example/".into()), 302, 0),
        (Fault::ok_instead_of_created(), 200, 1),
        (Fault::delay(Duration::from_millis(5)), 201, 1),
    ] {
        let given = given(Behaviour::default()).await;

        let received = create_under(&given, fault.clone()).await.unwrap();

        assert_eq!((received.status, given.ledger().live_clients), (status, made), "{fault:?}");
    }
}

#[tokio::test]
async fn a_throttle_tells_its_pause_as_planned() {
    for (wait, expected) in [
        (RetryAfter::Seconds(13), Some("13")),
        (RetryAfter::Date(Duration::from_mins(1)), Some("Fri, 15 Jan 2027 08:01:00 GMT")),
        (RetryAfter::Missing, None),
    ] {
        let given = given(Behaviour::default()).await;

        let received = create_under(&given, Fault::throttle(wait)).await.unwrap();

        assert_eq!((received.status, received.header("retry-after")), (429, expected));
        assert_eq!(received.header("date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
        assert_eq!(received.json()["errors"][0]["code"], "HTTP-429");
    }
}

#[tokio::test]
async fn a_request_is_processed_although_its_client_has_left() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    given.world.script(HOST, Endpoint::CreateClient, [Fault::delay(Duration::from_millis(50))]);
    let mut stream = given.client.connect(HOST).await.unwrap();
    let lines = format!("POST /api/v1/oauth-clients\n{bearer}");
    client::write(&mut stream, HOST, &lines, &creation("acme")).await;
    while given.ledger().requests_to(HOST) < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    drop(stream);

    assert_eq!(given.ledger().live_clients, 0);
    live_clients_become(&given, 1).await;
}

#[tokio::test]
async fn a_hang_gives_no_answer_and_a_late_request_lands_later() {
    for (fault, made) in
        [(Fault::hang_before(), 0), (Fault::hang_after(), 1), (Fault::late(Duration::from_millis(100)), 1)]
    {
        let given = given(Behaviour::default()).await;
        let waiting = create_under(&given, fault.clone());

        let answer = tokio::time::timeout(Duration::from_millis(150), waiting).await;

        assert!(answer.is_err(), "{fault:?}");
        live_clients_become(&given, made).await;
        tokio::time::timeout(Duration::from_secs(10), given.server.stop())
            .await
            .expect("it hangs at its end");
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_its_connections() {
    let given = given(Behaviour::default()).await;
    let mut idle = given.client.connect(HOST).await.unwrap();

    tokio::time::timeout(Duration::from_secs(10), given.server.stop()).await.expect("it never stops");

    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut idle, &mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(given.client.connect(HOST).await.is_err());
}
