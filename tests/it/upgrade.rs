//! An upgrade as operators do it: the schema first, then one daemon after another.
//!
//! `beside` runs the program as it was before, which `make upgrade` builds; without that its
//! tests are ignored, and say so.

mod beside;
mod phases;
