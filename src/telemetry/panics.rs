//! Panics go to the log, as one line that says where.
//!
//! The rule: a panic's text is written only where it stands in the program's source. A
//! text made at run time may quote anything, for instance the answer that could not be
//! parsed, and so a secret; its place in the source says enough.

use std::any::Any;
use std::panic::PanicHookInfo;

/// Written instead of a text made at run time.
const WITHHELD: &str = "(text withheld: it was made at run time and may quote a secret)";

/// Replaces the standard hook, which prints the text to standard error. The
/// panic goes on unwinding as before: it ends its task, not the daemon.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(
        panic.location = place,
        thread.name = thread.name().unwrap_or("unnamed"),
        "panicked at {place}: {}. This is a bug in tenantd, please report it",
        text_of(panic.payload()),
    );
}

/// A `&'static str` is a literal of the program; a `String` was put together.
fn text_of(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of_panic(panics: impl FnOnce() + std::panic::UnwindSafe) -> &'static str {
        text_of(std::panic::catch_unwind(panics).unwrap_err().as_ref())
    }

    #[test]
    fn a_text_of_the_program_is_said_and_one_with_data_in_it_is_not() {
        let secret = std::hint::black_box("s3cr3t");

        let literal = text_of_panic(|| panic!("the queue is closed"));
        let made = text_of_panic(|| panic!("cannot parse {secret}"));

        assert_eq!((literal, made), ("the queue is closed", WITHHELD));
    }
}
