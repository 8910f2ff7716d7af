//! Seconds of a step: operations over a measured speed, bytes over a measured bandwidth.

use burn::tensor::{Device, Tensor};
use luffy_core::Packing;
use luffy_kernels::{HeadShape, KvCache, PackedMatrix, linear, linear_backward, softmax_weights};
use luffy_trainer::Replicas;

use super::memory::{CHUNK_LOGITS, Sizes};
use super::work::{Decoding, Work};
use crate::clock::Stopwatch;

/// Seconds of each of the six measurements.
const SECONDS: f64 = 0.4;
/// Most numbers of a matrix that is measured: 16 MiB, beyond the caches of one core.
const MEASURED: u64 = 1 << 22;
/// Most tokens of a measured product.
const MEASURED_TOKENS: u64 = 512;
/// Most numbers of a measured cache of keys and values: 64 MiB, what a long rollout has beside its weights.
const MEASURED_CACHE: u64 = 1 << 24;
/// Passes over what a layer keeps and makes, beside its products: written and read on the way and back.
const PASSES: u64 = 6;
/// Numbers that AdamW reads and writes for each parameter: gradient twice, weight, two moments; three out.
const ADAMW_NUMBERS: u64 = 8;

/// What one replica does in a second while the others do the same, with the threads that it has then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speeds {
    /// Operations of products of many tokens, forward and back.
    pub(crate) products: f64,
    /// Operations of products of as many rows as are decoded at once.
    pub(crate) decoding: f64,
    /// Positions of a row that the query of a layer attends to, while decoding: in prompts that the rows of a group
    /// share, and in responses.
    pub(crate) prompts: f64,
    pub(crate) responses: f64,
    /// Bytes read from memory.
    pub(crate) bandwidth: f64,
    /// Logits that a token is chosen from.
    pub(crate) logits: f64,
}

impl Speeds {
    /// Measures for a few seconds, as many replicas at once as a step has, with matrices of the model's
    /// shape; `None` where the device is not the CPU.
    pub(crate) fn measure(sizes: &Sizes, work: &Work, device: &Device) -> Option<Self> {
        let d = sizes.hidden.min(MEASURED);
        let f = sizes.inner.min(MEASURED / d).max(1);
        let tokens = work.batch.tokens.min(MEASURED_TOKENS);
        let rows = work.rollout.map_or(1, |rollout| rollout.rows);
        let threads = work.replicas;
        let samplers = work.rollout.map_or(1, |rollout| rollout.replicas);
        let ones = |a: u64, b: u64| Tensor::<2>::ones([a as usize, b as usize], device);
        let weight = ones(d, f);
        // As many matrices as a step reads one after the other: in the cache all of them or none.
        let n_matrices = (sizes.packed / (d * f)).min(MEASURED_CACHE / (d * f)).max(1);
        let packed: Vec<PackedMatrix> =
            (0..n_matrices).map(|_| PackedMatrix::new(&weight)).collect::<Option<_>>()?;
        let products = rate([work.replicas.min(work.units), threads], || {
            let (x, dy) = (ones(tokens, d), ones(tokens, f));
            let weight = weight.clone();
            (6 * tokens * d * f, move || {
                let _ = linear(&x, &weight, None);
                let _ = linear_backward(&x, &weight, &dy, None);
            })
        });
        let decoding = rate([samplers, threads], || {
            let (x, packed) = (ones(rows, d), &packed);
            (n_matrices * 2 * rows * d * f, move || {
                for matrix in packed {
                    let _ = matrix.product(&x, None, None);
                }
            })
        });
        let attention =
            |is_shared| rate([samplers, threads], || attending(sizes, work, device, is_shared));
        let (prompts, responses) = (attention(true), attention(false));
        // Replicas read the same weights; what fits the shared cache comes from there.
        let shared = vec![1.0_f32; (sizes.packed.min(8 * MEASURED) as usize).max(1024)];
        let bandwidth = rate([threads, threads], || {
            let shared = &shared;
            (4 * shared.len() as u64, move || {
                std::hint::black_box(sum(shared));
            })
        });
        let vocab = sizes.vocab as usize;
        let logits = rate([samplers, threads], || {
            let (logits, mut weights) = (vec![0.5_f32; vocab], Vec::new());
            (vocab as u64, move || {
                let _ = softmax_weights(&logits, 1.0, &mut weights);
                let sum: f64 = weights.iter().copied().map(f64::from).sum();
                std::hint::black_box(sum);
            })
        });
        Some(Self { products, decoding, prompts, responses, bandwidth, logits })
    }
}

/// A pass of a token of every row through some layers of a cache of prompts that groups share, or of responses that are
/// half done, in positions.
fn attending(
    sizes: &Sizes,
    work: &Work,
    device: &Device,
    is_shared: bool,
) -> (u64, impl FnMut() + use<>) {
    let (rows, contexts) = work.rollout.map_or((1, 1), |rollout| (rollout.rows, rollout.contexts));
    let (contexts, len) =
        if is_shared { (contexts, work.prompt) } else { (rows, work.response / 2) };
    let per_position = (sizes.cache(1, 1) / (4 * sizes.layers.max(1))).max(1);
    let most = (MEASURED_CACHE / (rows * per_position).max(1)).max(1);
    let seen = len.clamp(1, most);
    let layers = (most / seen).clamp(1, sizes.layers.max(1));
    let heads = HeadShape {
        n_heads: sizes.heads as usize,
        n_kv_heads: sizes.kv_heads as usize,
        head_dim: sizes.head_dim as usize,
    };
    let mut packing = Packing::default();
    for _ in 0..contexts {
        packing.push(seen as usize, None);
    }
    let ones = |rows: u64, width: u64| Tensor::<2>::ones([rows as usize, width as usize], device);
    let kept = ones(contexts * seen, sizes.key);
    let kept = (0..layers).map(|_| (kept.clone(), kept.clone())).collect();
    let mut cache = KvCache::prefilled(kept, heads, &packing);
    let forks: Vec<u32> = (0..rows).map(|row| (row * contexts / rows) as u32).collect();
    cache.select(&forks);
    let (q, k) = (ones(rows, sizes.query), ones(rows, sizes.key));
    (layers * rows * seen, move || {
        for layer in 0..layers as usize {
            let _ = cache.attend(layer, &q, &k, &k);
        }
    })
}

/// A sum that is as fast as reading.
fn sum(values: &[f32]) -> f32 {
    let (blocks, _) = values.as_chunks::<64>();
    let mut lanes = [0.0_f32; 64];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    lanes.iter().sum()
}

/// Units a second of the slowest of `replicas` that do the same for [`SECONDS`], with `threads` among them.
/// `job` gives the units of a round and the round.
fn rate<J: FnMut()>([replicas, threads]: [u64; 2], job: impl Fn() -> (u64, J) + Sync) -> f64 {
    let n = replicas.max(1) as usize;
    let one = |(): &mut (), (): &()| {
        let (units, mut round) = job();
        round();
        let clock = Stopwatch::start();
        let mut rounds = 0;
        while rounds == 0 || clock.seconds() < SECONDS {
            round();
            rounds += 1;
        }
        units as f64 * f64::from(rounds) / clock.seconds()
    };
    let rates = Replicas::with_threads(vec![(); n], threads as usize).map(&vec![(); n], one);
    rates.into_iter().fold(f64::INFINITY, f64::min)
}

/// Seconds of the phases of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds {
    pub(crate) rollout: f64,
    pub(crate) update: f64,
}

impl Seconds {
    pub(crate) fn of(sizes: &Sizes, work: &Work, speeds: &Speeds) -> Self {
        let rollout = work.rollout.map_or(0.0, |rollout| {
            // Every unit has as many rows; a replica does one after the other.
            let rows = work.prompts * work.samples;
            let waves = rows.div_ceil(rollout.replicas * rollout.rows);
            waves as f64 * decode_seconds(sizes, &rollout, speeds)
        });
        Self { rollout, update: update_seconds(sizes, work, speeds) }
    }

    pub(crate) fn step(&self) -> f64 {
        self.rollout + self.update
    }
}

/// Multiplications and additions of a pass over sequences of `len` tokens, `n` tokens in all: every matrix
/// once a token, and scores and mixture over half of the sequence.
pub(crate) const fn forward_operations(sizes: &Sizes, n: u64, len: u64) -> u64 {
    2 * sizes.matrices * n + 2 * sizes.layers * sizes.query * len * n
}

/// Rows of one replica from their prompts to their last token.
fn decode_seconds(sizes: &Sizes, decoding: &Decoding, speeds: &Speeds) -> f64 {
    let Decoding { rows, contexts, prompt, response, .. } = *decoding;
    // The layout for decoding serves the prompts too.
    let n = contexts * prompt;
    let prefill = forward_operations(sizes, n, prompt) as f64 / speeds.decoding;
    let numbers = sizes.packed as f64;
    let products =
        (2.0 * numbers * rows as f64 / speeds.decoding).max(4.0 * numbers / speeds.bandwidth);
    let seconds = prompt as f64 / speeds.prompts + response as f64 / 2.0 / speeds.responses;
    let attention = (sizes.layers * rows) as f64 * seconds;
    let choice = (rows * sizes.vocab) as f64 / speeds.logits;
    prefill + response as f64 * (products + attention + choice)
}

/// All units, their sum, and one step of the optimiser.
fn update_seconds(sizes: &Sizes, work: &Work, speeds: &Speeds) -> f64 {
    let units = work.units.div_ceil(work.replicas.min(work.units).max(1));
    let per_unit = work.prompts.div_ceil(work.units.max(1));
    let n = per_unit * (work.prompt + work.members * work.response);
    let m = per_unit * work.members * work.response;
    let forward = forward_operations(sizes, n, work.prompt + work.response);
    let head = 2 * sizes.vocab * sizes.hidden * m;
    // Once on the way but for what sampling has handed over, twice back, and once more for what was not kept.
    let layers = forward * if work.recompute { 4 } else { 3 };
    let sampled = if work.handed_over > 0 {
        let sampled = per_unit * (work.prompt + work.samples * work.response);
        forward_operations(sizes, sampled, work.prompt + work.response)
    } else {
        0
    };
    let is_chunked = work.batch.predicted * sizes.vocab > CHUNK_LOGITS;
    let operations = layers - sampled + head * if is_chunked { 4 } else { 3 };
    let touched = n * sizes.layers * (sizes.kept_per_token() + sizes.scratch_per_token());
    let logits = 4 * m * sizes.vocab;
    let bytes = 4 * (PASSES * touched + logits + 3 * sizes.parameters);
    let unit = operations as f64 / speeds.products + bytes as f64 / speeds.bandwidth;
    let replicas = work.replicas.max(1) as f64;
    let adamw = (4 * ADAMW_NUMBERS * sizes.parameters) as f64 / (speeds.bandwidth * replicas);
    let laid_out = 8.0 * sizes.packed as f64 / speeds.bandwidth;
    units as f64 * unit + adamw + laid_out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[allow(clippy::cast_sign_loss, reason = "seconds and counts are not negative")]
    fn whole(x: f64) -> u64 {
        x.round() as u64
    }
    use crate::plan::memory::tests::small;
    use crate::plan::work::Batch;

    const SPEEDS: Speeds = Speeds {
        products: 1e9,
        decoding: 1e9,
        prompts: 1e9,
        responses: 1e9,
        bandwidth: f64::INFINITY,
        logits: f64::INFINITY,
    };

    pub(crate) fn work() -> Work {
        Work {
            replicas: 1,
            prompts: 6,
            samples: 1,
            members: 1,
            prompt: 10,
            response: 30,
            batch: Batch { tokens: 40, predicted: 30, rows: 1, prompts: 1, longest: 40 },
            batches_per_unit: 1,
            units: 6,
            recompute: false,
            tempered: false,
            reference: false,
            handed_over: 0,
            rollout: None,
            evaluation: None,
        }
    }

    #[test]
    fn a_pass_multiplies_by_every_matrix_and_by_half_the_sequence() {
        // 288 numbers of matrices; two layers of queries of 4 numbers against 40 tokens.
        assert_eq!(forward_operations(&small(), 5, 40), 2 * 288 * 5 + 2 * 2 * 4 * 40 * 5);
    }

    #[test]
    fn an_update_is_three_passes_or_four_and_replicas_share_it() {
        // A unit: 40 tokens, of which 30 meet the head of 10 x 4.
        let (layers, head) = (2 * 288 * 40 + 2 * 2 * 4 * 40 * 40, 2 * 40 * 30);
        let of = |work: &Work| whole(Seconds::of(&small(), work, &SPEEDS).update * 1e9);
        assert_eq!(of(&work()), 6 * 3 * (layers + head));
        assert_eq!(of(&Work { recompute: true, ..work() }), 6 * (4 * layers + 3 * head));
        assert_eq!(of(&Work { replicas: 4, ..work() }), 2 * 3 * (layers + head));
        // Every row is sampled, and the way there is known.
        assert_eq!(of(&Work { handed_over: 1, ..work() }), 6 * (2 * layers + 3 * head));
    }

    #[test]
    fn decoding_is_bound_by_operations_or_by_reading_the_weights() {
        let rollout = Decoding { replicas: 1, rows: 6, contexts: 6, prompt: 10, response: 30 };
        let work = Work { rollout: Some(rollout), ..work() };
        let of = |speeds: &Speeds| Seconds::of(&small(), &work, speeds).rollout;
        // Prompts: 60 tokens; then 30 times 1088 padded numbers of 6 rows, and attention to 25 positions.
        let prompts = 2 * 288 * 60 + 2 * 2 * 4 * 10 * 60;
        let each = 2 * 1088 * 6 + 2 * 6 * 25;
        assert_eq!(whole(of(&SPEEDS) * 1e9), prompts + 30 * each);
        // At a byte a second all weights.
        let far = f64::INFINITY;
        let slow = Speeds { decoding: far, prompts: far, responses: far, bandwidth: 1.0, ..SPEEDS };
        assert_eq!(whole(of(&slow)), 30 * 1088 * 4);
    }
}
