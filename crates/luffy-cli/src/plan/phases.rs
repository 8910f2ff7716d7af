//! The phases of a run, and what each holds when it holds the most.

use super::memory::{F32, HEAP, Sizes, decoding_bytes, micro_batch};
use super::work::Work;

/// Of a token of a trajectory, with its row and text.
const BYTES_PER_STEP_TOKEN: u64 = 40;

/// Who asks for memory: what a thread has freed serves that thread alone, since each has an arena of its own
/// and gives nothing back (`luffy_kernels::keep_large_blocks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    Samplers,
    Learners,
    Optimizer,
    Main,
}

/// What a phase holds, in bytes, when it holds the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<(&'static str, u64)>,
    threads: Threads,
    /// Of its own parts, what lies in blocks that only an arena of a thread holds.
    in_arena: u64,
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
    // A matrix above the size of a heap comes from the one that all threads share.
    let embeddings = sizes.vocab * sizes.hidden * F32;
    let large = if embeddings > HEAP { embeddings } else { 0 };
    let mut phases = Vec::new();
    let mut phase = |name, threads, own: &[(&'static str, u64)], shared: u64| {
        let bytes: u64 = own.iter().map(|(_, bytes)| bytes).sum();
        let parts = always.iter().chain(own).copied().collect();
        phases.push(Phase { name, parts, threads, in_arena: bytes.saturating_sub(shared) });
    };
    let decoders = [("rollout", &work.rollout), ("evaluation", &work.evaluation)];
    for (name, decoding) in decoders {
        if let Some(decoding) = decoding {
            let bytes = decoding.replicas * decoding_bytes(sizes, decoding);
            phase(name, Threads::Samplers, &[("prompts or cache", bytes)], 0);
        }
    }
    let (busy, waiting) = work.gradients();
    let [activations, head, gradient] =
        micro_batch(sizes, &work.batch, work.recompute, work.tempered);
    let own = [
        ("summed and waiting gradients", waiting * w),
        ("gradients in the making", busy * gradient),
        ("activations", busy * activations),
        ("logits", busy * head),
    ];
    let is_large = work.batch.tokens * sizes.inner * F32 > HEAP;
    let shared = busy * (head + if is_large { activations } else { 0 }) + (busy + waiting) * large;
    phase("update", Threads::Learners, &own, shared);
    // The sum of the gradients still lies where the learners made it.
    let own = [("gradients", w), ("new weights", w)];
    phase("optimiser step", Threads::Optimizer, &own, w + large);
    // Old copies go when the last sampler has new ones.
    let own = [("new weights", w), ("decoder's new copy", sizes.packed * F32)];
    phase("publishing", Threads::Main, &own, w + large);
    phase("checkpoint", Threads::Optimizer, &[("copy of weights and moments", 3 * w)], 3 * large);
    let kept: Vec<u64> = phases.iter().map(|phase| kept_elsewhere(&phases, phase)).collect();
    for (phase, mut kept) in phases.iter_mut().zip(kept) {
        if phase.name == "optimiser step" {
            kept = kept.saturating_sub(w - large);
        }
        phase.parts.push(("freed, kept by other threads", kept));
    }
    phases
}

/// What the threads of other phases have freed and keep.
fn kept_elsewhere(phases: &[Phase], own: &Phase) -> u64 {
    let all = [Threads::Samplers, Threads::Learners, Threads::Optimizer, Threads::Main];
    let most = |threads| {
        let of = phases.iter().filter(|phase| phase.threads == threads);
        of.map(|phase| phase.in_arena).max().unwrap_or(0)
    };
    all.into_iter().filter(|threads| *threads != own.threads).map(most).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::memory::tests::small;
    use crate::plan::time::tests::work;

    #[test]
    fn every_phase_holds_weights_and_moments_and_what_other_threads_keep() {
        let (sizes, work) = (small(), work());
        let phases = phases(&sizes, &work, 1000);
        // 6 prompts of 10 tokens with a response of 30; 364 parameters, twice for the moments; 1088 laid out.
        let always = 1000 + 6 * 40 * 40 + 4 * (364 + 1088 + 2 * 364);
        let [activations, head, gradient] = micro_batch(&sizes, &work.batch, false, false);
        // One replica and six units: a sum beside the gradient in the making.
        let learners = 4 * 364 + activations + head + gradient;
        let (checkpoint, copies) = (3 * 4 * 364, 4 * 1088);
        let bytes = |name| {
            let found = phases.iter().find(|phase: &&Phase| phase.name == name);
            found.unwrap().bytes()
        };
        assert_eq!(bytes("update"), always + learners + checkpoint + copies);
        assert_eq!(bytes("checkpoint"), always + checkpoint + learners + copies);
        // The sum of the gradients is among what the learners' threads hold.
        assert_eq!(bytes("optimiser step"), always + learners + 4 * 364 + copies);
        assert_eq!(bytes("publishing"), always + 4 * 364 + copies + learners + checkpoint);
    }
}
