//! The phases of a run, and what each holds when it holds the most.

use super::memory::{F32, Sizes, decoding_bytes, micro_batch};
use super::work::Work;

/// Of a token of a trajectory, with its row and text.
const BYTES_PER_STEP_TOKEN: u64 = 40;

/// What a phase holds, in bytes, when it holds the most. All threads share one heap, so that what a phase has freed
/// serves the next (`luffy_kernels::keep_large_blocks`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<(&'static str, u64)>,
}

impl Phase {
    /// The sum of its parts.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// The phases of a run, in order. `held` is what the program and the data hold anyway.
pub(crate) fn phases(sizes: &Sizes, work: &Work, held: u64) -> Vec<Phase> {
    let w = sizes.weights();
    let reference = if work.reference { w } else { 0 };
    let always = [
        ("program and data", held + work.step_tokens() * BYTES_PER_STEP_TOKEN),
        ("weights", w + reference),
        ("decoder's copy", sizes.packed * F32),
        ("optimiser moments", 2 * w),
    ];
    let handed_over = ("activations handed over", work.handed_over);
    let mut phases = Vec::new();
    let mut phase = |name, own: &[(&'static str, u64)]| {
        let own = own.iter().filter(|(_, bytes)| *bytes > 0);
        phases.push(Phase { name, parts: always.iter().chain(own).copied().collect() });
    };
    let decoding = |replicas: u64, bytes: u64| ("prompts or cache", replicas * bytes);
    if let Some(rollout) = &work.rollout {
        let bytes = decoding_bytes(sizes, rollout);
        phase("rollout", &[decoding(rollout.replicas, bytes), handed_over]);
    }
    if let Some(evaluation) = &work.evaluation {
        phase("evaluation", &[decoding(evaluation.replicas, decoding_bytes(sizes, evaluation))]);
    }
    let (busy, waiting) = work.gradients();
    let [activations, head, gradient] =
        micro_batch(sizes, &work.batch, work.recompute, work.tempered);
    phase(
        "update",
        &[
            ("summed and waiting gradients", waiting * w),
            ("gradients in the making", busy * gradient),
            ("activations", busy * activations),
            ("logits", busy * head),
            handed_over,
        ],
    );
    phase("optimiser step", &[("gradients that become weights", w), handed_over]);
    // Old copies go when the last sampler has new ones.
    phase("publishing", &[("new weights", w), ("decoder's new copy", sizes.packed * F32)]);
    phase("checkpoint", &[("copy of weights and moments", 3 * w)]);
    phases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::memory::tests::small;
    use crate::plan::time::tests::work;

    #[test]
    fn every_phase_holds_weights_and_moments_and_what_it_makes() {
        let sizes = small();
        let work = Work { handed_over: 7, ..work() };
        let phases = phases(&sizes, &work, 1000);
        // 6 prompts of 10 tokens with a response of 30; 364 parameters, twice for the moments; 1088 laid out.
        let always = 1000 + 6 * 40 * 40 + 4 * (364 + 1088 + 2 * 364);
        let [activations, head, gradient] = micro_batch(&sizes, &work.batch, false, false);
        let bytes = |name| {
            let found = phases.iter().find(|phase: &&Phase| phase.name == name);
            found.unwrap().bytes()
        };
        // One replica and six units: a sum beside the gradient in the making.
        assert_eq!(bytes("update"), always + 4 * 364 + activations + head + gradient + 7);
        assert_eq!(bytes("optimiser step"), always + 4 * 364 + 7);
        assert_eq!(bytes("publishing"), always + 4 * 364 + 4 * 1088);
        assert_eq!(bytes("checkpoint"), always + 3 * 4 * 364);
    }
}
