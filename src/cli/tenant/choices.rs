//! What may be asked for by name on the command line.

use clap::builder::PossibleValuesParser;

use crate::answers::choices;

pub(super) fn phases() -> PossibleValuesParser {
    PossibleValuesParser::new(choices::phases())
}

pub(super) fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(choices::reasons())
}
