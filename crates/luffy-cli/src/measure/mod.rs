//! Hidden commands that measure: memory of the phases of a step, and speed beside other systems.

mod memory;
mod speed;

pub(crate) use memory::{MeasureArgs, measure};
pub(crate) use speed::measure_speed;
