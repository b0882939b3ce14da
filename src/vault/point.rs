//! Points of P-256 as JWK writes them: `x` and `y`, 32 bytes each (RFC 7518,
//! section 6.2.1).

use p256::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point as _;

use super::base64url;

/// Why two coordinates are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidPoint {
    /// One is not 32 bytes of strict base64url.
    Unreadable,
    /// They do not satisfy the equation of the curve.
    OffCurve,
}

/// The point with these coordinates, checked to lie on the curve: a point that
/// does not would leak the private key it is multiplied with.
pub(super) fn from_coordinates(x: &str, y: &str) -> Result<PublicKey, InvalidPoint> {
    let coordinate = |text| base64url::decode_array::<32>(text).ok_or(InvalidPoint::Unreadable);
    let mut uncompressed = [4; 65];
    uncompressed[1..33].copy_from_slice(&*coordinate(x)?);
    uncompressed[33..].copy_from_slice(&*coordinate(y)?);
    PublicKey::from_sec1_bytes(&uncompressed).map_err(|_| InvalidPoint::OffCurve)
}

/// The coordinates of a point, as text.
pub(super) fn to_coordinates(point: &PublicKey) -> [String; 2] {
    let bytes = point.to_sec1_point(false);
    // An uncompressed point is one tag byte, then x, then y (SEC 1, section 2.3.3).
    [&bytes.as_bytes()[1..33], &bytes.as_bytes()[33..]].map(base64url::encode)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The static key of RFC 7518, appendix C.
    const X: &str = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ";
    const Y: &str = "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck";

    #[test]
    fn coordinates_survive_the_way_there_and_back() {
        let point = from_coordinates(X, Y).unwrap();

        assert_eq!(to_coordinates(&point), [X, Y]);
    }

    #[test]
    fn only_points_of_the_curve_are_taken() {
        assert_eq!(from_coordinates(Y, X), Err(InvalidPoint::OffCurve));
        assert_eq!(from_coordinates(X, ""), Err(InvalidPoint::Unreadable));
        assert_eq!(from_coordinates(&X[1..], Y), Err(InvalidPoint::Unreadable));
    }
}
