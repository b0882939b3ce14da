//! What a demonstration needs and production does not.

pub mod postgres;
