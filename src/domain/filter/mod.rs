//! The filter language: which tenants somebody means, in the same words in an address, on the
//! command line and in the API. `docs/api.md` has it for people.
//!
//! The rules: a text either is a filter or is told where it is wrong and what would be right,
//! whatever it holds. **What a filter prints is that same filter**, in the one form that it has.

mod fault;
mod print;
mod read;
mod scan;
mod span;
mod term;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use term::{About, Filter, KEYS, MOST_CHARACTERS, MOST_TERMS, Since, Term, Wanted};
