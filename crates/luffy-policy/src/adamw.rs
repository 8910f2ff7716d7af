//! `AdamW` with state by parameter name.
//!
//! burn's optimisers key their state by a random parameter id that no weight file carries, so a resume
//! would restart them silently.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use luffy_core::{
    AdamWSettings, Gradient, Gradients, HostTensor, LearnError, NamedTensor, OptimizerSlot,
    UpdateReport, Weights,
};
use luffy_kernels::{AdamWRule, adamw_step, sum_of_squares};

/// First and second moments of one parameter. Clones share: replicas copy only what they step.
#[derive(Debug, Clone)]
enum Moments {
    Host { exp_avg: Arc<Vec<f32>>, exp_avg_sq: Arc<Vec<f32>> },
    Device(Box<[Tensor<1>; 2]>),
}

/// Optimiser state of all slots.
#[derive(Debug, Clone)]
pub(crate) struct AdamW {
    settings: AdamWSettings,
    /// Whether updates run as tensor operations on the device of the weights.
    on_device: bool,
    moments: BTreeMap<(OptimizerSlot, String), Moments>,
    steps: BTreeMap<u32, u64>,
}

impl AdamW {
    pub(crate) fn new(settings: AdamWSettings) -> Self {
        Self { settings, on_device: false, moments: BTreeMap::new(), steps: BTreeMap::new() }
    }

    /// Updates by tensor operations where the weights are, instead of by one loop on the host. State goes
    /// over by itself.
    pub(crate) fn set_on_device(&mut self, on_device: bool) {
        self.on_device = on_device;
    }

    /// One step as PyTorch takes it: global-norm clip, decoupled decay, bias correction.
    ///
    /// Everything that can fail comes before the first change. On the host the new weights take the buffers of
    /// the gradients.
    pub(crate) fn step(
        &mut self,
        slot: OptimizerSlot,
        weights: &Weights,
        gradients: Gradients,
        lr: f64,
    ) -> Result<(Weights, UpdateReport), LearnError> {
        for (name, gradient) in &gradients.0 {
            let known = weights.0.get(name).ok_or_else(|| {
                LearnError::State(format!("a gradient is for the unknown parameter `{name}`"))
            })?;
            let (found, wanted) = (gradient.values().dims()[0], known.values.dims()[0]);
            if found != wanted {
                return Err(LearnError::State(format!(
                    "the gradient of `{name}` has {found} values, the parameter has {wanted}"
                )));
            }
        }
        // On the host one gradient at a time: a copy of all would weigh as much as the model.
        let squares: Vec<f64> = if self.on_device {
            squares_on_device(&gradients)
        } else {
            let squares = |known: &Gradient| {
                known.squares().unwrap_or_else(|| sum_of_squares(known.values()))
            };
            gradients.0.values().map(squares).collect()
        };
        let grad_norm = norm(&gradients, &squares)?;
        // The constant is the one of torch's clip_grad_norm_.
        let clip = (self.settings.max_grad_norm / (grad_norm + 1e-6)).min(1.0);
        let steps = self.steps.entry(slot.0).or_insert(0);
        *steps += 1;
        let rule = rule(&self.settings, lr, *steps, clip);
        let mut updated = weights.clone();
        for (name, gradient) in gradients.0 {
            let NamedTensor { shape, values } = &weights.0[&name];
            let gradient = gradient.into_values();
            let key = (slot, name.clone());
            let moments = self.moments.remove(&key);
            let (values, moments) = if self.on_device {
                on_device(&rule, values.clone(), gradient, moments)
            } else {
                on_host(&rule, values, gradient, moments)
            };
            self.moments.insert(key, moments);
            updated.0.insert(name, NamedTensor { shape: shape.clone(), values });
        }
        Ok((updated, UpdateReport { grad_norm }))
    }

    /// Moments as `slot/exp_avg/NAME` and `slot/exp_avg_sq/NAME`, and steps by slot.
    pub(crate) fn export(&self) -> (BTreeMap<String, HostTensor>, BTreeMap<u32, u64>) {
        let mut tensors = BTreeMap::new();
        for ((slot, name), moments) in &self.moments {
            let (exp_avg, exp_avg_sq) = moments.to_host();
            for (kind, values) in [("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)] {
                tensors.insert(
                    format!("{}/{kind}/{name}", slot.0),
                    HostTensor { shape: vec![values.len()], values: values.to_vec() },
                );
            }
        }
        (tensors, self.steps.clone())
    }

    /// The optimiser in an exported state, for parameters of these names and sizes.
    pub(crate) fn imported(
        &self,
        tensors: &BTreeMap<String, HostTensor>,
        steps: &BTreeMap<u32, u64>,
        weights: &Weights,
    ) -> Result<Self, LearnError> {
        let mut parts: BTreeMap<(OptimizerSlot, String), [Option<&HostTensor>; 2]> =
            BTreeMap::new();
        for (key, tensor) in tensors {
            let unknown = || LearnError::State(format!("optimiser state has an entry `{key}`"));
            let mut pieces = key.splitn(3, '/');
            let (Some(slot), Some(kind), Some(name)) =
                (pieces.next(), pieces.next(), pieces.next())
            else {
                return Err(unknown());
            };
            let slot = slot.parse().map_err(|_| unknown())?;
            let kind = ["exp_avg", "exp_avg_sq"].iter().position(|known| *known == kind);
            let kind = kind.ok_or_else(unknown)?;
            let n = weights.0.get(name).ok_or_else(unknown)?.values.dims()[0];
            if tensor.values.len() != n {
                return Err(LearnError::State(format!(
                    "`{key}` has {} values, the parameter has {n}",
                    tensor.values.len()
                )));
            }
            if !steps.contains_key(&slot) {
                return Err(LearnError::State(format!("`{key}` has no step count for its slot")));
            }
            parts.entry((OptimizerSlot(slot), name.to_owned())).or_default()[kind] = Some(tensor);
        }
        let mut moments = BTreeMap::new();
        for ((slot, name), pair) in parts {
            let [Some(exp_avg), Some(exp_avg_sq)] = pair else {
                return Err(LearnError::State(format!(
                    "optimiser state of `{name}` in slot {} has one moment, two are needed",
                    slot.0
                )));
            };
            let share = |tensor: &HostTensor| Arc::new(tensor.values.clone());
            let (exp_avg, exp_avg_sq) = (share(exp_avg), share(exp_avg_sq));
            moments.insert((slot, name), Moments::Host { exp_avg, exp_avg_sq });
        }
        Ok(Self {
            settings: self.settings,
            on_device: self.on_device,
            moments,
            steps: steps.clone(),
        })
    }
}

impl Moments {
    fn to_host(&self) -> (Arc<Vec<f32>>, Arc<Vec<f32>>) {
        match self {
            Self::Host { exp_avg, exp_avg_sq } => (Arc::clone(exp_avg), Arc::clone(exp_avg_sq)),
            Self::Device(pair) => {
                let [exp_avg, exp_avg_sq] = pair.as_ref().clone().map(|m| Arc::new(floats(m)));
                (exp_avg, exp_avg_sq)
            }
        }
    }
}

fn floats(tensor: Tensor<1>) -> Vec<f32> {
    // Half-precision devices are widened; f32 is taken as it is.
    tensor.into_data_as::<f32>().try_into_vec().expect("the cast above gives f32")
}

fn upload(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

/// Sums of squares in name order, with one transfer.
fn squares_on_device(gradients: &Gradients) -> Vec<f64> {
    if gradients.0.is_empty() {
        return Vec::new();
    }
    let squares = |gradient: &Gradient| gradient.values().clone().square().sum();
    let sums = gradients.0.values().map(squares).collect();
    floats(Tensor::cat(sums, 0)).into_iter().map(f64::from).collect()
}

/// Global L2 norm; the sums are added in name order, so it is the same on every run.
fn norm(gradients: &Gradients, squares: &[f64]) -> Result<f64, LearnError> {
    for (name, squares) in gradients.0.keys().zip(squares) {
        if !squares.is_finite() {
            return Err(LearnError::NotFinite { parameter: name.clone() });
        }
    }
    Ok(squares.iter().sum::<f64>().sqrt())
}

/// One loop over the values of a parameter.
fn on_host(
    rule: &AdamWRule,
    weight: &Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<Moments>,
) -> (Tensor<1>, Moments) {
    let [n] = weight.dims();
    let (mut exp_avg, mut exp_avg_sq) = match moments {
        None => (Arc::new(vec![0.0; n]), Arc::new(vec![0.0; n])),
        // By value: a second handle would make the loop below copy both.
        Some(Moments::Host { exp_avg, exp_avg_sq }) => (exp_avg, exp_avg_sq),
        Some(known) => known.to_host(),
    };
    let (m, v) = (Arc::make_mut(&mut exp_avg), Arc::make_mut(&mut exp_avg_sq));
    let values = adamw_step(rule, weight, gradient, m, v);
    (values, Moments::Host { exp_avg, exp_avg_sq })
}

/// The same by tensor operations.
fn on_device(
    rule: &AdamWRule,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<Moments>,
) -> (Tensor<1>, Moments) {
    let device = weight.device();
    let (m, v) = match moments {
        Some(Moments::Device(pair)) => pair.as_ref().clone().into(),
        Some(Moments::Host { exp_avg, exp_avg_sq }) => {
            (upload(exp_avg.to_vec(), &device), upload(exp_avg_sq.to_vec(), &device))
        }
        None => (weight.zeros_like(), weight.zeros_like()),
    };
    let g = gradient * rule.clip;
    let m = m.clone() + (g.clone() - m) * rule.beta1_rest;
    let v = v * rule.beta2 + g.square() * rule.beta2_rest;
    let denominator = v.clone().sqrt() / rule.root_correction + rule.epsilon;
    let weight = weight * rule.decay - m.clone() * rule.step_size / denominator;
    (weight, Moments::Device(Box::new([m, v])))
}

/// The numbers of step `steps`, counted from 1.
fn rule(settings: &AdamWSettings, lr: f64, steps: u64, clip: f64) -> AdamWRule {
    let correction = |beta: f64| 1.0 - beta.powf(steps as f64);
    AdamWRule {
        clip: clip as f32,
        beta1_rest: (1.0 - settings.beta1) as f32,
        beta2: settings.beta2 as f32,
        beta2_rest: (1.0 - settings.beta2) as f32,
        decay: (1.0 - lr * settings.weight_decay) as f32,
        step_size: (lr / correction(settings.beta1)) as f32,
        root_correction: correction(settings.beta2).sqrt() as f32,
        epsilon: settings.epsilon as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: OptimizerSlot = OptimizerSlot(0);

    /// `v = 1 - beta2` after one step on a gradient of one, in f64: 1e-5 for a `beta2` of 0.99999.
    #[test]
    fn the_second_moment_is_right_for_a_decay_near_one() {
        for on_device in [false, true] {
            let settings = AdamWSettings {
                beta2: 0.99999,
                max_grad_norm: f64::INFINITY,
                ..Default::default()
            };
            let mut adamw = AdamW::new(settings);
            adamw.set_on_device(on_device);
            let weights = named("w", &[1.0]);
            let gradients = gradients("w", &[1.0]);
            adamw.step(SLOT, &weights, gradients, 1e-3).unwrap();
            let (state, _) = adamw.export();
            let v = f64::from(state["0/exp_avg_sq/w"].values[0]);
            assert!((v / 1e-5 - 1.0).abs() < 1e-6, "{v}");
        }
    }

    fn named(name: &str, values: &[f32]) -> Weights {
        let tensor = NamedTensor {
            shape: vec![values.len()],
            values: Tensor::from_floats(values, &Device::flex()),
        };
        Weights([(name.to_owned(), tensor)].into())
    }

    fn gradients(name: &str, values: &[f32]) -> Gradients {
        let values = Tensor::<1>::from_floats(values, &Device::flex());
        Gradients([(name.to_owned(), values.into())].into())
    }

    /// Steps of growing gradients from the same start; the first weight after each.
    fn trace(adamw: &mut AdamW, n: usize) -> Vec<f32> {
        let mut weights = named("w", &[1.0, -2.0, 0.5]);
        (0..n)
            .flat_map(|step| {
                let g = step as f32 + 1.0;
                let (updated, _) = adamw
                    .step(SLOT, &weights, gradients("w", &[0.1 * g, -0.2, 3.0 / g]), 0.1)
                    .unwrap();
                weights = updated;
                floats(weights.0["w"].values.clone())
            })
            .collect()
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        // m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|, so the step is lr * sign(g) up to epsilon,
        // after a decay of lr * 0.01.
        let mut adamw = AdamW::new(AdamWSettings::default());
        let start = named("w", &[1.0, -2.0]);
        let (after, report) = adamw.step(SLOT, &start, gradients("w", &[0.3, -0.4]), 0.1).unwrap();
        let after = floats(after.0["w"].values.clone());
        assert!((after[0] - (0.999 - 0.1)).abs() < 1e-5, "{after:?}");
        assert!((after[1] - (-1.998 + 0.1)).abs() < 1e-5, "{after:?}");
        assert!((report.grad_norm - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_norm_limit_scales_all_gradients_alike() {
        // Norm 5 against limit 1: the first moment holds a fifth of a tenth of the gradient.
        let mut adamw = AdamW::new(AdamWSettings::default());
        adamw.step(SLOT, &named("w", &[0.0, 0.0]), gradients("w", &[3.0, -4.0]), 0.1).unwrap();
        let moment = &adamw.export().0["0/exp_avg/w"].values;
        assert!((moment[0] - 0.06).abs() < 1e-6 && (moment[1] + 0.08).abs() < 1e-6, "{moment:?}");
    }

    #[test]
    fn tensor_operations_step_as_the_host_loop_does() {
        let mut on_host = AdamW::new(AdamWSettings::default());
        let mut on_device = AdamW::new(AdamWSettings::default());
        on_device.set_on_device(true);
        let (host, device) = (trace(&mut on_host, 5), trace(&mut on_device, 5));
        for (a, b) in host.iter().zip(&device) {
            assert!((a - b).abs() < 1e-6, "host {host:?}, device {device:?}");
        }
        // State made in one place goes on in the other.
        on_host.set_on_device(true);
        on_device.set_on_device(false);
        for (a, b) in trace(&mut on_host, 2).iter().zip(&trace(&mut on_device, 2)) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    fn refused(on_device: bool, gradients: Gradients) -> LearnError {
        let mut adamw = AdamW::new(AdamWSettings::default());
        adamw.set_on_device(on_device);
        let before = format!("{:?}", adamw.export());
        let error = adamw.step(SLOT, &named("w", &[1.0]), gradients, 0.1).unwrap_err();
        assert_eq!(format!("{:?}", adamw.export()), before, "a refused step leaves no trace");
        error
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_changes() {
        for on_device in [false, true] {
            let parameter = "w".to_owned();
            for bad in [f32::NAN, f32::INFINITY] {
                let error = refused(on_device, gradients("w", &[bad]));
                assert_eq!(error, LearnError::NotFinite { parameter: parameter.clone() });
            }
            let error = refused(on_device, gradients("x", &[1.0])).to_string();
            assert!(error.contains("unknown parameter `x`"), "{error}");
            let error = refused(on_device, gradients("w", &[1.0, 2.0])).to_string();
            assert!(error.contains("2 values, the parameter has 1"), "{error}");
        }
    }

    fn import_error(drop: &str, steps: &BTreeMap<u32, u64>, weights: &Weights) -> String {
        let mut adamw = AdamW::new(AdamWSettings::default());
        trace(&mut adamw, 1);
        let mut tensors = adamw.export().0;
        tensors.remove(drop);
        adamw.imported(&tensors, steps, weights).unwrap_err().to_string()
    }

    #[test]
    fn state_that_is_not_whole_is_refused() {
        let w = named("w", &[1.0, -2.0, 0.5]);
        let one = [(0, 1)].into();
        let error = import_error("0/exp_avg/w", &one, &w);
        assert!(error.contains("one moment, two are needed"), "{error}");
        let error = import_error("", &BTreeMap::new(), &w);
        assert!(error.contains("no step count"), "{error}");
        let error = import_error("", &one, &named("w", &[1.0]));
        assert!(error.contains("3 values, the parameter has 1"), "{error}");
        let error = import_error("", &one, &named("x", &[1.0]));
        assert!(error.contains("entry `0/exp_avg/w`"), "{error}");
    }
}
