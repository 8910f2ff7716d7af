//! The losses as the trainer uses them: on collated rows, with padding, cut and permuted.

mod closed_form;
mod conformance;
mod invariance;
mod methods;
mod precise;
mod scored;
mod terms;
