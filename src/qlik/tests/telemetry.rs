//! What a request leaves behind in traces and metrics, and what it must not.

use std::io::Write;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::server::{Server, json};
use super::*;
use crate::domain::secret::ClientSecret;
use crate::ports::QlikApi;

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Makes a client and proves it, with sentinels for all that is secret.
async fn make_and_prove(server: &Server) {
    let credential = RegionCredential::new("region-id".into(), "SENTINEL-region".to_owned().into());
    let credentials = HashMap::from([(region("us"), credential)]);
    let cloud = Cloud::new(&options(server), credentials, Arc::new(ManualClock::default())).unwrap();
    cloud.create_client(&acme(), &wanted()).await.unwrap();
    cloud.prove(&acme(), &client(), &ClientSecret::new("SENTINEL-proof".into())).await.unwrap();
}

async fn sentinel_server() -> Server {
    Server::start(|seen| {
        json(
            201,
            match seen.line.as_str() {
                "POST /oauth/token" => r#"{"access_token":"SENTINEL-token"}"#,
                _ => r#"{"clientId":"c1","clientSecret":"SENTINEL-made","clientSecretHint":"SENTINEL-hint"}"#,
            },
        )
    })
    .await
}

#[tokio::test]
async fn a_request_is_traced_and_counted_and_no_secret_with_it() {
    let server = sentinel_server().await;
    // tracing caches per span whether anybody wants it. While it knows a single
    // subscriber it asks only the thread that meets the span first, which may be
    // that of another test; so there are two, and every span has been met before.
    make_and_prove(&server).await;
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(log.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);

    make_and_prove(&server).await;

    let (log, metrics) = (log.text(), recorder.handle().render());
    assert!(!log.contains("SENTINEL") && !metrics.contains("SENTINEL"), "{log}\n{metrics}");
    let span = r#"qlik.request{http.method="POST" http.path="/api/v1/oauth-clients" tenant.host="acme.us.qlikcloud.com" http.status=201 duration_ms=0}"#;
    assert!(log.contains(span), "{log}");
    for line in [
        r#"tenantd_qlik_requests_total{endpoint="clients.create",status="201"} 1"#,
        r#"tenantd_qlik_request_duration_seconds_count{endpoint="token.prove"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}
