//! Which trace a visit belongs to, and the ids of its spans.
//!
//! The rule: **every id is derived** from the tenant, its life, and the epochs and acts of its
//! leases. So the visits of all daemons, before and after a restart, are of one trace, and nobody
//! has to store one. Where the owner's label `traceparent` (W3C Trace Context) says so, the way to
//! ready goes on in the trace of whoever inserted the row.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::ids::{Fence, TenantId};
use super::phase::Phase;
use super::record::{Record, Seen};

/// Names one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Names one span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// As it goes over the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// As it goes over the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A span of somebody else's, and whether its trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whoever began the trace keeps it.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads the header's text (W3C Trace Context, section 3.2); `None` for what is no such
    /// text. A later version may have more behind the flags, which are the same.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let [version] = bytes(fields.next()?)?;
        let trace = bytes(fields.next()?).map(TraceId).filter(|id| id.0 != [0; 16])?;
        let span = bytes(fields.next()?).map(SpanId).filter(|id| id.0 != [0; 8])?;
        let [flags] = bytes(fields.next()?)?;
        let is_whole = match version {
            0 => fields.next().is_none(),
            0xff => false,
            _ => true,
        };
        is_whole.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// Lower-case hexadecimal digits, two a byte.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes();
    if pairs.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

/// What a visit is part of: each is a trace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journey {
    /// From the insert, or another life's beginning, to ready.
    Way,
    /// Renewing the secret of this version.
    Rotation(i32),
    /// The end of a life.
    Removal,
    /// All else that a ready tenant is visited for: one visit, one trace.
    Care,
}

impl Journey {
    /// What a claimed row is visited for.
    #[must_use]
    pub fn of(record: &Record, seen: &Seen, is_rotation_due: bool) -> Self {
        if record.phase == Phase::Removing || !seen.is_present {
            return Self::Removal;
        }
        if record.ready.is_none() {
            return Self::Way;
        }
        let is_renewed = is_rotation_due || matches!(record.phase, Phase::Rotating | Phase::Proving);
        record.version.filter(|_| is_renewed).map_or(Self::Care, Self::Rotation)
    }

    /// Its name in a span.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Way => "way",
            Self::Rotation(_) => "rotation",
            Self::Removal => "removal",
            Self::Care => "care",
        }
    }
}

/// Where a visit belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// What the visit is part of.
    pub journey: Journey,
    /// The trace.
    pub id: TraceId,
    /// The span of this visit.
    pub visit: SpanId,
    /// The span of the whole way, which is sent when the tenant is ready; the other journeys
    /// have none.
    pub root: Option<SpanId>,
    /// What the owner's label says.
    pub owner: Option<TraceParent>,
    tenant: TenantId,
    epoch: i64,
}

impl Trace {
    /// The trace of a visit under this lease. `turned` is when the present life, or its end, was
    /// last asked for.
    #[must_use]
    pub fn of(
        journey: Journey,
        tenant: TenantId,
        turned: DateTime<Utc>,
        fence: Fence,
        owner: Option<TraceParent>,
    ) -> Self {
        let (life, epoch) = (turned.timestamp_micros(), fence.epoch);
        let derived = |which| match journey {
            Journey::Way => digest(which, tenant, "way", life),
            Journey::Rotation(version) => digest(which, tenant, "rotation", i64::from(version)),
            Journey::Removal => digest(which, tenant, "removal", life),
            Journey::Care => digest(which, tenant, "care", epoch),
        };
        let is_way = journey == Journey::Way;
        let taken_on = owner.filter(|_| is_way).map(|owner| owner.trace);
        Self {
            journey,
            id: taken_on.unwrap_or_else(|| TraceId(first(derived("trace")))),
            visit: SpanId(first(digest("span", tenant, "visit", epoch))),
            root: is_way.then(|| SpanId(first(derived("root")))),
            owner,
            tenant,
            epoch,
        }
    }

    /// The span of the visit's nth act.
    #[must_use]
    pub fn act(&self, number: u32) -> SpanId {
        let mut digest = begun("span", self.tenant, "act", self.epoch);
        digest.update(number.to_be_bytes());
        SpanId(first(digest.finalize().into()))
    }

    /// Whether it is kept: as its beginner says, where one did; else this share of all traces,
    /// the same ones everywhere.
    #[must_use]
    pub fn is_kept(&self, share: f64) -> bool {
        if let (Journey::Way, Some(owner)) = (self.journey, self.owner) {
            return owner.is_sampled;
        }
        let [.., a, b, c, d] = self.id.0;
        f64::from(u32::from_be_bytes([a, b, c, d])) < share * (f64::from(u32::MAX) + 1.0)
    }
}

fn begun(which: &str, tenant: TenantId, of: &str, number: i64) -> Sha256 {
    // Each text is one of a few, none of which begins another.
    Sha256::new()
        .chain_update(b"tenantd trace 1\0")
        .chain_update(which.as_bytes())
        .chain_update(tenant.0.as_bytes())
        .chain_update(of.as_bytes())
        .chain_update(number.to_be_bytes())
}

fn digest(which: &str, tenant: TenantId, of: &str, number: i64) -> [u8; 32] {
    begun(which, tenant, of, number).finalize().into()
}

/// The beginning of a digest; never all zeroes, which would be no id.
fn first<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest[..N]);
    if bytes == [0; N] {
        bytes[0] = 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;

    const LABEL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn trace(journey: Journey, number: u128, life: i64, epoch: i64, owner: Option<&str>) -> Trace {
        let turned = DateTime::from_timestamp(life, 0).unwrap();
        let owner = owner.map(|text| TraceParent::parse(text).unwrap());
        Trace::of(journey, tenant(number), turned, Fence { epoch, step: 0 }, owner)
    }

    #[test]
    fn a_traceparent_is_read_as_its_standard_says_and_anything_else_is_none() {
        let read = TraceParent::parse(LABEL).unwrap();

        assert_eq!(read.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((read.span.to_string().as_str(), read.is_sampled), ("00f067aa0ba902b7", true));
        for (text, is_sampled) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings", true),
        ] {
            assert_eq!(TraceParent::parse(text).map(|it| it.is_sampled), Some(is_sampled), "{text}");
        }
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text:?}");
        }
    }

    /// Others have sent spans under these ids, and go on with them after an upgrade.
    #[test]
    fn the_ids_are_the_same_in_every_version() {
        let way = trace(Journey::Way, 7, 1_800_000_000, 3, None);

        assert_eq!(way.id.to_string(), "b09c17eee50b43708e77b895bb520290");
        assert_eq!(way.root.unwrap().to_string(), "9b4ea3db598fb631");
        assert_eq!(
            (way.visit.to_string(), way.act(2).to_string()),
            ("e4262f02df94ac10".into(), "b99b18009caa9bec".into())
        );
    }

    #[test]
    fn the_visits_of_a_life_share_a_trace_and_nothing_else() {
        let (one, other) = (trace(Journey::Way, 7, 1, 3, None), trace(Journey::Way, 7, 1, 4, None));
        assert_eq!((one.id, one.root), (other.id, other.root));

        let others = [
            trace(Journey::Way, 8, 1, 3, None),
            trace(Journey::Way, 7, 2, 3, None),
            trace(Journey::Removal, 7, 1, 3, None),
            trace(Journey::Rotation(1), 7, 1, 3, None),
            trace(Journey::Rotation(2), 7, 1, 3, None),
            trace(Journey::Care, 7, 1, 3, None),
            trace(Journey::Care, 7, 1, 4, None),
        ];
        let ids: HashSet<TraceId> = others.iter().map(|it| it.id).chain([one.id]).collect();
        assert_eq!(ids.len(), others.len() + 1);
        let spans: HashSet<SpanId> =
            [one.visit, other.visit, one.act(0), one.act(1), other.act(0), one.root.unwrap()].into();
        assert_eq!(spans.len(), 6);
    }

    #[test]
    fn the_way_goes_on_in_its_owners_trace_and_duties_only_point_there() {
        let owner = TraceParent::parse(LABEL);

        let way = trace(Journey::Way, 7, 1, 3, Some(LABEL));
        let care = trace(Journey::Care, 7, 1, 3, Some(LABEL));

        assert_eq!((way.id, way.owner), (owner.unwrap().trace, owner));
        assert_eq!((care.id, care.owner), (trace(Journey::Care, 7, 1, 3, None).id, owner));
    }

    #[test]
    fn who_began_a_trace_says_whether_it_is_kept_and_else_a_share_is() {
        let silent = LABEL.replace("-01", "-00");
        for (owner, share, expected) in [
            (Some(LABEL), 0.0, true),
            (Some(silent.as_str()), 1.0, false),
            (None, 1.0, true),
            (None, 0.0, false),
        ] {
            assert_eq!(trace(Journey::Way, 7, 1, 3, owner).is_kept(share), expected, "{owner:?} {share}");
        }
        let kept = (0..1000).filter(|number| trace(Journey::Way, *number, 1, 3, None).is_kept(0.25)).count();
        assert!((200..300).contains(&kept), "{kept}");
    }
}
