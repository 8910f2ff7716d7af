//! `AdamW` with state by parameter name.
//!
//! burn's optimisers key their state by a random parameter id that no weight file carries, so a resume
//! would restart them silently.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use luffy_core::{
    AdamWSettings, Gradients, HostTensor, LearnError, NamedTensor, OptimizerSlot, UpdateReport,
    Weights,
};

/// First and second moments of one parameter.
#[derive(Debug, Clone)]
struct Moments {
    exp_avg: Vec<f32>,
    exp_avg_sq: Vec<f32>,
}

/// Optimiser state of all slots.
#[derive(Debug, Clone)]
pub(crate) struct AdamW {
    settings: AdamWSettings,
    moments: BTreeMap<(OptimizerSlot, String), Moments>,
    steps: BTreeMap<u32, u64>,
}

impl AdamW {
    pub(crate) fn new(settings: AdamWSettings) -> Self {
        Self { settings, moments: BTreeMap::new(), steps: BTreeMap::new() }
    }

    /// One step as PyTorch takes it: global-norm clip, decoupled decay, bias correction.
    ///
    /// One pass over each parameter on the host; on a CPU that is where the tensors are.
    pub(crate) fn step(
        &mut self,
        slot: OptimizerSlot,
        weights: &Weights,
        gradients: &Gradients,
        lr: f64,
        device: &Device,
    ) -> Result<(Weights, UpdateReport), LearnError> {
        let mut host = BTreeMap::new();
        let mut sum_of_squares = 0.0_f64;
        for (name, gradient) in &gradients.0 {
            let values: Vec<f32> = gradient.to_data().iter::<f32>().collect();
            let squares: f64 = values.iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
            if !squares.is_finite() {
                return Err(LearnError::NotFinite { parameter: name.clone() });
            }
            sum_of_squares += squares;
            host.insert(name, values);
        }
        let grad_norm = sum_of_squares.sqrt();
        // The constant is the one of torch's clip_grad_norm_.
        let clip = (self.settings.max_grad_norm / (grad_norm + 1e-6)).min(1.0) as f32;
        let steps = self.steps.entry(slot.0).or_insert(0);
        *steps += 1;
        let rule = Rule::new(&self.settings, lr, *steps, clip);
        let mut updated = weights.clone();
        for (name, gradient) in host {
            let Some(weight) = weights.0.get(name) else {
                return Err(LearnError::State(format!("gradient of unknown parameter `{name}`")));
            };
            let n = gradient.len();
            let moments = self
                .moments
                .entry((slot, name.clone()))
                .or_insert_with(|| Moments { exp_avg: vec![0.0; n], exp_avg_sq: vec![0.0; n] });
            let mut values: Vec<f32> = weight.values.to_data().iter::<f32>().collect();
            for (((w, g), m), v) in values
                .iter_mut()
                .zip(&gradient)
                .zip(&mut moments.exp_avg)
                .zip(&mut moments.exp_avg_sq)
            {
                rule.apply(w, *g, m, v);
            }
            let values = Tensor::from_data(TensorData::new(values, [n]), device);
            updated.0.insert(name.clone(), NamedTensor { shape: weight.shape.clone(), values });
        }
        Ok((updated, UpdateReport { grad_norm }))
    }

    /// Moments as `slot/exp_avg/NAME` and `slot/exp_avg_sq/NAME`, and steps by slot.
    pub(crate) fn export(&self) -> (BTreeMap<String, HostTensor>, BTreeMap<u32, u64>) {
        let mut tensors = BTreeMap::new();
        for ((slot, name), moments) in &self.moments {
            for (kind, values) in
                [("exp_avg", &moments.exp_avg), ("exp_avg_sq", &moments.exp_avg_sq)]
            {
                tensors.insert(
                    format!("{}/{kind}/{name}", slot.0),
                    HostTensor { shape: vec![values.len()], values: values.clone() },
                );
            }
        }
        (tensors, self.steps.clone())
    }

    /// Goes back to an exported state of parameters of these sizes.
    pub(crate) fn import(
        &mut self,
        tensors: &BTreeMap<String, HostTensor>,
        steps: &BTreeMap<u32, u64>,
        weights: &Weights,
    ) -> Result<(), LearnError> {
        let mut moments: BTreeMap<(OptimizerSlot, String), Moments> = BTreeMap::new();
        for (key, tensor) in tensors {
            let unknown = || LearnError::State(format!("optimiser state has an entry `{key}`"));
            let mut parts = key.splitn(3, '/');
            let (Some(slot), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(unknown());
            };
            let slot = OptimizerSlot(slot.parse().map_err(|_| unknown())?);
            let weight = weights.0.get(name).ok_or_else(unknown)?;
            let n: usize = weight.shape.iter().product();
            if tensor.values.len() != n {
                return Err(LearnError::State(format!(
                    "`{key}` has {} values, the parameter has {n}",
                    tensor.values.len()
                )));
            }
            let entry = moments
                .entry((slot, name.to_owned()))
                .or_insert_with(|| Moments { exp_avg: vec![0.0; n], exp_avg_sq: vec![0.0; n] });
            match kind {
                "exp_avg" => entry.exp_avg.clone_from(&tensor.values),
                "exp_avg_sq" => entry.exp_avg_sq.clone_from(&tensor.values),
                _ => return Err(unknown()),
            }
        }
        self.moments = moments;
        self.steps.clone_from(steps);
        Ok(())
    }
}

/// The numbers that are the same for every element of a step.
struct Rule {
    clip: f32,
    beta1: f32,
    beta2: f32,
    decay: f32,
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
}

impl Rule {
    fn new(settings: &AdamWSettings, lr: f64, steps: u64, clip: f32) -> Self {
        let power = |beta: f64| 1.0 - beta.powi(steps.min(i32::MAX as u64) as i32);
        Self {
            clip,
            beta1: settings.beta1 as f32,
            beta2: settings.beta2 as f32,
            decay: (1.0 - lr * settings.weight_decay) as f32,
            step_size: (lr / power(settings.beta1)) as f32,
            root_correction: power(settings.beta2).sqrt() as f32,
            epsilon: settings.epsilon as f32,
        }
    }

    fn apply(&self, weight: &mut f32, gradient: f32, m: &mut f32, v: &mut f32) {
        let g = gradient * self.clip;
        *m += (g - *m) * (1.0 - self.beta1);
        *v = *v * self.beta2 + g * g * (1.0 - self.beta2);
        let denominator = v.sqrt() / self.root_correction + self.epsilon;
        *weight = *weight * self.decay - self.step_size * *m / denominator;
    }
}
