//! Percent-encoding (RFC 3986, section 2.1) and form fields.
//!
//! The rule: what cannot be decoded stays as it came; the world then knows no
//! such thing.

/// Decodes `%XX`.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(hex_byte)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Encodes all but the unreserved characters.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The fields of a query or a form; `+` is a space there.
pub(super) fn fields(text: &str) -> Vec<(String, String)> {
    let spaced = |text: &str| decode(&text.replace('+', " "));
    text.split('&')
        .filter(|field| !field.is_empty())
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .map(|(name, value)| (spaced(name), spaced(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_url() {
        let filter = r#"clientName eq "a&b+ü%""#;

        let query = format!("filter={}&sort=%2BcreatedAt&limit=5", encode(filter));

        let pairs = fields(&query);
        assert_eq!(pairs[0], ("filter".to_owned(), filter.to_owned()));
        assert_eq!(pairs[1].1, "+createdAt");
        assert_eq!(fields("scope=a+b")[0].1, "a b");
    }

    #[test]
    fn broken_escapes_stay_as_they_came() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "%ff");
    }
}
