//! The columns that an import fills, and what a line wants of them in the spelling of SQL.
//!
//! The rule: the file and the database never see each other's spelling: whoever reads a line
//! says it here.

/// What a file of rejected lines says of each, and an import passes by.
pub const REJECTED_BECAUSE: &str = "rejected_because";

/// A column that an import fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named after its column")]
pub enum Column {
    ExternalId,
    Host,
    Profile,
    ClientName,
    RedirectUris,
    DesiredState,
    Priority,
    NotBefore,
    Labels,
}

impl Column {
    /// Every column, in the order in which they are written.
    pub const ALL: [Self; 9] = [
        Self::ExternalId,
        Self::Host,
        Self::Profile,
        Self::ClientName,
        Self::RedirectUris,
        Self::DesiredState,
        Self::Priority,
        Self::NotBefore,
        Self::Labels,
    ];
    /// Without which there is no tenant.
    pub const NEEDED: [Self; 2] = [Self::ExternalId, Self::Host];

    /// The column's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Host => "host",
            Self::Profile => "profile",
            Self::ClientName => "client_name",
            Self::RedirectUris => "redirect_uris",
            Self::DesiredState => "desired_state",
            Self::Priority => "priority",
            Self::NotBefore => "not_before",
            Self::Labels => "labels",
        }
    }

    /// The column of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.as_str() == name)
    }

    /// Its place among [`Self::ALL`].
    const fn place(self) -> usize {
        self as usize
    }

    /// By which it is named in [`Wants::said`].
    #[must_use]
    pub const fn bit(self) -> i32 {
        1 << self.place()
    }
}

/// What is wrong with a name that no column has.
#[must_use]
pub fn unknown(name: &str) -> String {
    let all = Column::ALL.map(Column::as_str);
    if name == "desired_version" {
        return "desired_version is not imported: what is new begins with version 1, and a raise asks for a rotation".to_owned();
    }
    match crate::domain::nearest::nearest(name, all) {
        Some(near) => format!("there is no column {name:?}: did you mean {near}?"),
        None => format!("there is no column {name:?}: the columns are {}", all.join(", ")),
    }
}

/// What a line asks for, in the spelling of SQL's texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wants {
    said: i32,
    values: [Option<String>; Column::ALL.len()],
}

impl Wants {
    /// Takes down what the line says of a column; `None` for its default.
    pub(super) fn say(&mut self, column: Column, value: Option<String>) {
        self.said |= column.bit();
        self.values[column.place()] = value;
    }

    /// Of which columns it says something, as the sum of their bits.
    #[must_use]
    pub const fn said(&self) -> i32 {
        self.said
    }

    /// What it says of a column; `None` for the default.
    #[must_use]
    pub fn value(&self, column: Column) -> Option<&str> {
        self.values[column.place()].as_deref()
    }

    /// The pipeline's key; empty where there is none.
    #[must_use]
    pub fn external_id(&self) -> &str {
        self.value(Column::ExternalId).unwrap_or_default()
    }

    /// The host; empty where there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.value(Column::Host).unwrap_or_default()
    }

    /// How many bytes its values have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().flatten().map(String::len).sum()
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said == 0
    }

    /// No text of Postgres holds this character.
    pub(super) fn without_nul(self) -> Result<Self, String> {
        let holds = |column: &Column| self.value(*column).is_some_and(|value| value.contains('\0'));
        match Column::ALL.into_iter().find(holds) {
            Some(column) => Err(format!("{} holds a NUL character: remove it", column.as_str())),
            None => Ok(self),
        }
    }
}

/// A whole number, as the column takes it.
pub(super) fn priority(text: &str) -> Result<String, String> {
    let number: Result<i32, _> = text.parse();
    number.map(|number| number.to_string()).map_err(|_| {
        "priority is no whole number that fits: write one from -100 to 100; 0 is usual".to_owned()
    })
}

/// An instant, as RFC 3339 writes it. None of the years before 1 was meant as a limit.
pub(super) fn not_before(text: &str) -> Result<Option<String>, String> {
    let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) else {
        return Err("not_before is no instant: write it as in 2027-01-31T06:00:00Z (RFC 3339)".to_owned());
    };
    let instant = instant.to_utc();
    Ok((chrono::Datelike::year(&instant) >= 1)
        .then(|| instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)))
}

/// A list of texts, as SQL writes an array.
pub(super) fn array<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    format!("{{{}}}", texts.into_iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_column_has_is_told_with_the_nearest() {
        assert_eq!(unknown("hots"), "there is no column \"hots\": did you mean host?");
        assert!(unknown("colour").ends_with("redirect_uris, desired_state, priority, not_before, labels"));
        assert!(unknown("desired_version").contains("a raise asks for a rotation"));
    }

    #[test]
    fn what_cannot_be_read_as_its_type_is_refused_and_the_rest_is_the_schemas() {
        assert_eq!(priority("-7"), Ok("-7".to_owned()));
        assert_eq!(priority("500"), Ok("500".to_owned()));
        assert!(priority("1.5").is_err() && priority("9999999999").is_err());
        assert_eq!(not_before("2027-01-31T06:00:00+02:00"), Ok(Some("2027-01-31T04:00:00Z".to_owned())));
        assert_eq!(not_before("0000-01-01T00:00:00Z"), Ok(None));
        assert!(not_before("now").is_err() && not_before("2027-01-31").is_err());
    }

    #[test]
    fn an_array_keeps_what_its_texts_hold() {
        assert_eq!(array([]), "{}");
        assert_eq!(array([r#"a"\,{}"#, "NULL"]), r#"{"a\"\\,{}","NULL"}"#);
    }
}
