//! One value of the settings, before anything is checked.
//!
//! The rule: the value knows from which layer it came, so that whoever finds it
//! wrong can say where to mend it.

use config::Value;

/// One value with its dotted key, such as `regions[0].hosts`.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
}
