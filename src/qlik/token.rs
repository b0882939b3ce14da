//! Access tokens of the regions' credentials, one per host.
//!
//! The rules: **a token is kept under the host that gave it and sent to no
//! other**; a host is asked for one token at a time, however many calls wait for
//! it; what is kept is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::endpoint::{Call, Endpoint, FETCH_TOKEN, PROVE};
use super::transport::{Answer, Transport};
use super::wire::token::{TokenAnswer, TokenRequest};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::{ClientId, RegionName};
use crate::domain::region::AllowedHost;
use crate::domain::secret::{ClientSecret, RegionCredential};
use crate::ports::Clock;

/// A token is not used in its last minute, so that none expires on its way.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a token lives when the answer does not say: six hours (qlik.dev,
/// "Create a tenant").
const DEFAULT_SECONDS: u64 = 21_600;
/// The longest life that is believed.
const MAX_SECONDS: u64 = 86_400;
/// Most hosts whose tokens are kept: about 30 MB.
const MAX_ENTRIES: usize = 20_000;

/// An access token. No `Debug`, no `Clone`.
pub(super) struct Token {
    bearer: SecretString,
    good_until: Duration,
}

impl Token {
    /// The value of the `authorization` header.
    pub(super) fn bearer(&self) -> &SecretString {
        &self.bearer
    }
}

struct Region {
    credential: RegionCredential,
    last_token: Mutex<Option<Duration>>,
}

/// What is known of one host. Who holds `turn` is fetching its token.
#[derive(Clone, Default)]
struct Entry {
    token: Option<Arc<Token>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Entry {
    /// A host with the same token and a turn of its own: whether it is in use is not the other's.
    fn of_its_own((host, entry): (&AllowedHost, &Self)) -> (AllowedHost, Self) {
        (host.clone(), Self { token: entry.token.clone(), turn: Arc::default() })
    }

    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.turn) > 1
    }

    fn good_until(&self) -> Duration {
        self.token.as_ref().map_or(Duration::ZERO, |token| token.good_until)
    }
}

/// The tokens of all hosts.
pub(super) struct Tokens {
    transport: Arc<Transport>,
    clock: Arc<dyn Clock>,
    regions: HashMap<RegionName, Arc<Region>>,
    entries: Mutex<HashMap<AllowedHost, Entry>>,
}

impl Tokens {
    pub(super) fn new(
        transport: Arc<Transport>,
        credentials: HashMap<RegionName, RegionCredential>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let region = |credential| Arc::new(Region { credential, last_token: Mutex::default() });
        let regions = credentials.into_iter().map(|(name, credential)| (name, region(credential))).collect();
        Self { transport, clock, regions, entries: Mutex::default() }
    }

    /// With these credentials instead. What is known by a credential that stays the same is kept,
    /// and nothing of another: a token of the old one would hide that the new one is wrong.
    pub(super) fn with_credentials(&self, credentials: HashMap<RegionName, RegionCredential>) -> Self {
        let kept = |name: &RegionName, credential: &RegionCredential| {
            self.regions.get(name).filter(|region| region.credential.is(credential)).cloned()
        };
        let made = |credential| Arc::new(Region { credential, last_token: Mutex::default() });
        let mut known = HashSet::new();
        let mut regions = HashMap::new();
        for (name, credential) in credentials {
            let kept = kept(&name, &credential);
            if kept.is_some() {
                known.insert(name.clone());
            }
            regions.insert(name, kept.unwrap_or_else(|| made(credential)));
        }
        let is_known = |host: &AllowedHost| known.contains(host.region());
        let entries =
            self.entries().iter().filter(|(host, _)| is_known(host)).map(Entry::of_its_own).collect();
        let entries = Mutex::new(entries);
        Self { transport: Arc::clone(&self.transport), clock: Arc::clone(&self.clock), regions, entries }
    }

    /// The host's token, fetched where none is kept.
    ///
    /// # Errors
    ///
    /// As [`Failure::while_fetching_token`] says: what the token was wanted
    /// for was not sent.
    pub(super) async fn get(&self, host: &AllowedHost) -> Result<Arc<Token>, Failure> {
        if let Some(token) = self.kept(host) {
            return Ok(token);
        }
        let turn = self.turn(host);
        let _turn = turn.lock().await;
        match self.kept(host) {
            Some(token) => Ok(token),
            None => self.fetch(host).await,
        }
    }

    /// Another token than the one that was just refused.
    pub(super) async fn renew(
        &self,
        host: &AllowedHost,
        refused: &Arc<Token>,
    ) -> Result<Arc<Token>, Failure> {
        self.forget(host, refused);
        self.get(host).await
    }

    /// Forgets a refused token, unless it has been replaced meanwhile.
    pub(super) fn forget(&self, host: &AllowedHost, refused: &Arc<Token>) {
        if let Some(entry) = self.entries().get_mut(host) {
            entry.token.take_if(|kept| Arc::ptr_eq(kept, refused));
        }
    }

    /// Fetches a token even though one may be kept.
    pub(super) async fn fetch_anew(&self, host: &AllowedHost) -> Result<(), Failure> {
        let turn = self.turn(host);
        let _turn = turn.lock().await;
        self.fetch(host).await.map(|_| ())
    }

    /// How long ago any tenant of the region gave a token.
    pub(super) fn last_token(&self, region: &RegionName) -> Option<Duration> {
        let last = *lock(&self.regions.get(region)?.last_token);
        last.map(|at| self.clock.elapsed().saturating_sub(at))
    }

    async fn fetch(&self, host: &AllowedHost) -> Result<Arc<Token>, Failure> {
        // A region without a credential cannot be configured; were it so, it is refused unsent.
        let region = self
            .regions
            .get(host.region())
            .ok_or_else(|| Failure::unanswered(FailureKind::CredentialRefused))?;
        let credential = &region.credential;
        let request = TokenRequest::new(credential.client_id(), credential.expose_to_token_endpoint());
        let token = self.request(host, &request).await.map_err(Failure::while_fetching_token)?;

        *lock(&region.last_token) = Some(self.clock.elapsed());
        let token = Arc::new(token);
        if let Some(entry) = self.entries().get_mut(host) {
            entry.token = Some(Arc::clone(&token));
        }
        Ok(token)
    }

    async fn request(&self, host: &AllowedHost, request: &TokenRequest<'_>) -> Result<Token, Failure> {
        let answer = send(&self.transport, host, &FETCH_TOKEN, request).await?;
        let body: TokenAnswer = answer.read()?;
        let bearer = bearer(&body).ok_or_else(|| answer.unreadable())?;
        let seconds = body.expires_in().unwrap_or(DEFAULT_SECONDS).min(MAX_SECONDS);
        let life = Duration::from_secs(seconds).saturating_sub(MARGIN);
        Ok(Token { bearer, good_until: self.clock.elapsed() + life })
    }

    fn kept(&self, host: &AllowedHost) -> Option<Arc<Token>> {
        let now = self.clock.elapsed();
        let entries = self.entries();
        let token = entries.get(host)?.token.as_ref()?;
        (token.good_until > now).then(|| Arc::clone(token))
    }

    fn turn(&self, host: &AllowedHost) -> Arc<tokio::sync::Mutex<()>> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(host) {
            return Arc::clone(&entry.turn);
        }
        make_room(&mut entries, self.clock.elapsed(), MAX_ENTRIES);
        Arc::clone(&entries.entry(host.clone()).or_default().turn)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<AllowedHost, Entry>> {
        lock(&self.entries)
    }
}

/// Proves a client's own credential by getting a token with it.
///
/// # Errors
///
/// As the token endpoint answers: what a refusal means here, the core decides.
pub(super) async fn prove(
    transport: &Transport,
    host: &AllowedHost,
    client: &ClientId,
    secret: &ClientSecret,
) -> Result<(), Failure> {
    let request = TokenRequest::new(client.as_str(), secret.expose_to_token_endpoint());
    let answer = send(transport, host, &PROVE, &request).await?;
    answer.read::<TokenAnswer>().map(|_| ())
}

async fn send(
    transport: &Transport,
    host: &AllowedHost,
    endpoint: &'static Endpoint,
    request: &TokenRequest<'_>,
) -> Result<Answer, Failure> {
    // Large enough never to grow, so that the memory which is wiped is all there was.
    let mut body = Zeroizing::new(Vec::with_capacity(request.longest_json()));
    serde_json::to_writer(&mut *body, request).map_err(|_| super::endpoint::unsendable())?;
    let call = Call::new(endpoint, &[])?.with_body(Bytes::from_owner(body));
    transport.send(host.host(), &call, None).await
}

/// The header for this token, if it can stand in one (RFC 6750, section 2.1).
fn bearer(answer: &TokenAnswer) -> Option<SecretString> {
    const SCHEME: &str = "Bearer ";
    let token = answer.access_token.expose_secret();
    if !answer.is_bearer() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut header = String::with_capacity(SCHEME.len() + token.len());
    header.push_str(SCHEME);
    header.push_str(token);
    Some(header.into())
}

/// Drops what has expired and, where that is not enough, the eighth that expires
/// first, so that a full cache is not searched again at every host. Hosts whose
/// token is being fetched stay.
fn make_room(entries: &mut HashMap<AllowedHost, Entry>, now: Duration, most: usize) {
    if entries.len() < most {
        return;
    }
    entries.retain(|_, entry| entry.is_in_use() || entry.good_until() > now);
    if entries.len() < most {
        return;
    }
    let mut ends: Vec<Duration> = entries.values().map(Entry::good_until).collect();
    let (_, eighth, _) = ends.select_nth_unstable(most / 8);
    let eighth = *eighth;
    entries.retain(|_, entry| entry.is_in_use() || entry.good_until() > eighth);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave their content half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::{Host, HostPattern};
    use crate::domain::region::RegionMap;

    fn host(n: u64) -> AllowedHost {
        let pattern = HostPattern::parse("*.us.qlikcloud.com").unwrap();
        let host = Host::parse(&format!("t{n}.us.qlikcloud.com")).unwrap();
        RegionMap::new([(pattern, RegionName::new("us"))]).allow(&host).unwrap()
    }

    fn entry(good_until: u64) -> Entry {
        let good_until = Duration::from_secs(good_until);
        Entry {
            token: Some(Arc::new(Token { bearer: String::new().into(), good_until })),
            ..Entry::default()
        }
    }

    #[test]
    fn a_full_cache_drops_the_expired_first_then_the_oldest_and_never_one_in_use() {
        let mut entries: HashMap<_, _> = (0..16).map(|n| (host(n), entry(100 + n))).collect();
        let in_use = Arc::clone(&entries[&host(0)].turn);

        make_room(&mut entries, Duration::from_secs(103), 16);
        let after_expiry = entries.len();
        make_room(&mut entries, Duration::from_secs(103), after_expiry);

        assert_eq!(after_expiry, 13, "1, 2 and 3 have expired");
        assert!(entries.len() < after_expiry && entries.len() >= after_expiry - 3, "{}", entries.len());
        assert!(entries.contains_key(&host(0)) && entries.contains_key(&host(15)));
        assert!(!entries.contains_key(&host(4)), "the oldest goes first");
        drop(in_use);
    }
}
