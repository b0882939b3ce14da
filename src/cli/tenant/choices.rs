//! What may be asked for by name on the command line.

use clap::builder::PossibleValuesParser;

use crate::answers::choices;
use crate::domain::reason::ParkReason;

pub(super) fn phases() -> PossibleValuesParser {
    PossibleValuesParser::new(choices::phases())
}

pub(super) fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(choices::reasons())
}

pub(super) fn park_reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(ParkReason::ALL.map(ParkReason::as_str))
}
