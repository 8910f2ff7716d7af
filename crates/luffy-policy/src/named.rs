//! Parameters of a module by their Hugging Face names.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use luffy_core::{Gradients, HostTensor, NamedTensor, Weights};

use crate::PolicyError;

/// The weights of a module, off the graph, sharing buffers.
pub fn weights_of<M: Module>(module: &M) -> Weights {
    struct Collect(Vec<String>, Weights);
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = plain(param.val());
            let shape = tensor.dims().to_vec();
            let n = shape.iter().product::<usize>();
            let values = tensor.reshape([n]);
            self.1.0.insert(self.0.join("."), NamedTensor { shape, values });
        }
    }
    let mut collect = Collect(Vec::new(), Weights::default());
    module.visit(&mut collect);
    collect.1
}

/// A tensor without its graph.
pub(crate) fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}

/// The gradients of a module's parameters.
pub fn gradients_of<M: Module>(module: &M, mut gradients: burn::tensor::Gradients) -> Gradients {
    struct Collect<'a> {
        path: Vec<String>,
        found: &'a mut burn::tensor::Gradients,
        gradients: Gradients,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad_remove(self.found) {
                let n = gradient.dims().iter().product::<usize>();
                self.gradients.0.insert(self.path.join("."), gradient.reshape([n]).into());
            }
        }
    }
    let mut collect =
        Collect { path: Vec::new(), found: &mut gradients, gradients: Gradients::default() };
    module.visit(&mut collect);
    collect.gradients
}

/// The module with other weights; every parameter must be there, in its shape, and nothing else.
///
/// # Errors
/// Names every parameter that is missing, left over or misshapen.
pub fn load_named<M: Module>(module: M, weights: &Weights) -> Result<M, PolicyError> {
    struct Replace<'a> {
        path: Vec<String>,
        weights: &'a Weights,
        known: BTreeSet<String>,
        problems: Vec<String>,
    }
    impl ModuleMapper for Replace<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            self.known.insert(name.clone());
            let Some(weight) = self.weights.0.get(&name) else {
                self.problems.push(format!("`{name}` is missing"));
                return param;
            };
            let shape = param.val().dims();
            if weight.shape != shape {
                self.problems.push(format!(
                    "`{name}` has shape {:?}, the model wants {shape:?}",
                    weight.shape
                ));
                return param;
            }
            let (found, wanted) = (weight.values.dims()[0], shape.iter().product::<usize>());
            if found != wanted {
                self.problems.push(format!("`{name}` has {found} values, its shape says {wanted}"));
                return param;
            }
            let trained = param.val().is_autodiff();
            param.map(|own| {
                let device = own.device().without_autodiff();
                let values = weight.values.clone().reshape(shape).to_device(&device);
                if trained { Tensor::from_inner(values).require_grad() } else { values }
            })
        }
    }
    let mut replace =
        Replace { path: Vec::new(), weights, known: BTreeSet::new(), problems: Vec::new() };
    let module = module.map(&mut replace);
    let extra = weights.0.keys().filter(|name| !replace.known.contains(*name));
    replace.problems.extend(extra.map(|name| format!("`{name}` is not in the model")));
    if replace.problems.is_empty() {
        Ok(module)
    } else {
        Err(PolicyError::Weights { problems: replace.problems })
    }
}

/// A module of its own autodiff leaves over the same buffers. Explicit, because neither `fork` nor `train`
/// turns a module that was made on a plain device into a trainable one.
pub fn trainable<M: Module>(module: M) -> M {
    struct Leaves;
    impl ModuleMapper for Leaves {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| Tensor::from_inner(plain(tensor)).require_grad())
        }
    }
    module.map(&mut Leaves)
}

/// Weights on the host.
pub fn to_host(weights: &Weights) -> BTreeMap<String, HostTensor> {
    let copy = |tensor: &NamedTensor| HostTensor {
        shape: tensor.shape.clone(),
        values: tensor.values.to_data().iter::<f32>().collect(),
    };
    weights.0.iter().map(|(name, tensor)| (name.clone(), copy(tensor))).collect()
}

/// Weights on a device.
pub fn to_device(weights: &BTreeMap<String, HostTensor>, device: &Device) -> Weights {
    let upload = |tensor: &HostTensor| NamedTensor {
        shape: tensor.shape.clone(),
        values: Tensor::from_data(
            TensorData::new(tensor.values.clone(), [tensor.values.len()]),
            device,
        ),
    };
    Weights(weights.iter().map(|(name, tensor)| (name.clone(), upload(tensor))).collect())
}
