//! One replica of the training state.

use std::fmt;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use luffy_core::{
    AdamWSettings, Cotangents, Differentiable, Gradients, LearnError, Learner, LearnerState,
    LossOutput, Metrics, MicroBatch, Objective, OptimizerSlot, Row, Scale, TokenStats,
    UpdateReport, Weights, micro_batches,
};

use crate::adamw::AdamW;
use crate::named::{load_named, to_device, to_host, trainable, weights_of};

/// A learner over any module that scores tokens.
///
/// Gradients are taken in two stages: the objective's loss on log-probs and entropies cut loose from the model
/// gives cotangents `[B, T]`, which the model then turns into gradients as it likes. The objective never sees
/// the model's graph, and the model never sees a loss.
pub struct ReplicaLearner<M> {
    model: M,
    /// The plain device; the model stands on its autodiff twin.
    device: Device,
    adamw: AdamW,
    max_tokens: usize,
}

impl<M: fmt::Debug> fmt::Debug for ReplicaLearner<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaLearner")
            .field("device", &self.device)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

impl<M: Module + Differentiable> ReplicaLearner<M> {
    /// A learner that owns a trainable copy of `model`, which shares its buffers, on `device`.
    pub fn new(model: M, device: &Device, settings: AdamWSettings) -> Self {
        let device = device.clone().without_autodiff();
        Self {
            model: trainable(model.to_device(&device)),
            device,
            adamw: AdamW::new(settings),
            max_tokens: usize::MAX,
        }
    }

    /// Cuts units into micro-batches of at most this many tokens, a shared prompt counted once; a longer row
    /// is one by itself. Less memory, the same loss. Part of what a run computes, since the order of sums depends on
    /// it.
    ///
    /// # Panics
    /// If it is zero.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        assert!(max_tokens > 0, "a micro-batch needs room for one token");
        self.max_tokens = max_tokens;
        self
    }

    /// Updates by tensor operations on the device instead of by one loop on the host: for accelerators,
    /// where the weights would have to come over for that loop.
    #[must_use]
    pub fn with_optimizer_on_device(mut self) -> Self {
        self.adamw.set_on_device(true);
        self
    }

    /// Another learner with the same weights and optimiser state, on leaves of its own.
    #[must_use]
    pub fn replica(&self) -> Self {
        Self {
            model: trainable(self.model.clone()),
            device: self.device.clone(),
            adamw: self.adamw.clone(),
            max_tokens: self.max_tokens,
        }
    }

    fn micro_batch(
        &self,
        rows: &[&Row],
        objective: &dyn Objective,
        scale: &Scale,
    ) -> Result<(Gradients, Metrics), LearnError> {
        let batch = MicroBatch::collate(rows, &self.device);
        let (stats, tape) = self.model.trace(&batch);
        let leaf = |tensor: Tensor<2>| Tensor::from_inner(tensor).require_grad();
        let leaves = TokenStats { logprobs: leaf(stats.logprobs), entropy: leaf(stats.entropy) };
        let LossOutput { loss, metrics } = objective.loss(leaves.clone(), &batch, scale);
        let finite = loss.to_data_as::<f32>().iter::<f32>().all(f32::is_finite);
        if !loss.is_tracked() {
            // A loss without any token of this micro-batch.
            return if finite { Ok((Gradients::default(), metrics)) } else { Err(diverged(None)) };
        }
        let found = loss.backward();
        let cotangents = Cotangents {
            logprobs: leaves.logprobs.grad(&found),
            entropy: leaves.entropy.grad(&found),
        };
        let gradients = self.model.pull_back(tape, &cotangents);
        if finite { Ok((gradients, metrics)) } else { Err(diverged(Some(&gradients))) }
    }
}

impl<M: Module + Differentiable> Learner for ReplicaLearner<M> {
    fn gradients(
        &mut self,
        rows: &[Row],
        objective: &dyn Objective,
        scale: &Scale,
    ) -> Result<(Gradients, Metrics), LearnError> {
        let rows: Vec<&Row> = rows.iter().collect();
        let mut gradients = Gradients::default();
        let mut metrics = Metrics::default();
        for rows in micro_batches(&rows, self.max_tokens) {
            let (part, measured) = self.micro_batch(rows, objective, scale)?;
            gradients.accumulate(part);
            metrics.merge(&measured);
        }
        Ok((gradients, metrics))
    }

    fn score(&mut self, rows: &[Row]) -> Vec<Vec<f32>> {
        let rows: Vec<&Row> = rows.iter().collect();
        let mut scored = Vec::with_capacity(rows.len());
        for rows in micro_batches(&rows, self.max_tokens) {
            let (stats, _) = self.model.trace(&MicroBatch::collate(rows, &self.device));
            let [_, t] = stats.logprobs.dims();
            let logprobs: Vec<f32> = stats.logprobs.into_data().iter::<f32>().collect();
            for (row, logprobs) in rows.iter().zip(logprobs.chunks(t)) {
                scored.push(logprobs[..row.response.len()].to_vec());
            }
        }
        scored
    }

    fn apply(
        &mut self,
        slot: OptimizerSlot,
        gradients: Gradients,
        lr: f64,
    ) -> Result<UpdateReport, LearnError> {
        let weights = weights_of(&self.model);
        let (updated, report) = self.adamw.step(slot, &weights, gradients, lr)?;
        self.set_weights(&updated)?;
        Ok(report)
    }

    fn weights(&self) -> Weights {
        weights_of(&self.model)
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<(), LearnError> {
        self.model = load_named(self.model.clone(), weights)
            .map_err(|error| LearnError::State(error.to_string()))?;
        Ok(())
    }

    fn state(&self) -> LearnerState {
        let (optimizer, steps) = self.adamw.export();
        LearnerState { weights: to_host(&weights_of(&self.model)), optimizer, steps }
    }

    fn restore(&mut self, state: &LearnerState) -> Result<(), LearnError> {
        let weights = to_device(&state.weights, &self.device);
        // Both are checked before either changes.
        let adamw = self.adamw.imported(&state.optimizer, &state.steps, &weights)?;
        self.set_weights(&weights)?;
        self.adamw = adamw;
        Ok(())
    }
}

/// The error of a loss that is not finite: names the first parameter that it reached, or the loss itself.
fn diverged(gradients: Option<&Gradients>) -> LearnError {
    let reached = gradients.and_then(|gradients| {
        gradients.0.iter().find(|(_, gradient)| {
            !gradient.values().to_data_as::<f32>().iter::<f32>().all(f32::is_finite)
        })
    });
    let parameter = reached.map_or_else(|| "loss".to_owned(), |(name, _)| name.clone());
    LearnError::NotFinite { parameter }
}
