//! The one place that picks where tensors live.

use burn::tensor::Device;

#[cfg(not(any(feature = "flex", feature = "cuda", feature = "tch")))]
compile_error!(
    "choose a backend: build luffy-cli with exactly one of the features `flex` (CPU), `cuda` or `tch` \
     (libtorch), or use `cargo xtask train --backend flex|cuda|tch`"
);
#[cfg(any(
    all(feature = "flex", feature = "cuda"),
    all(feature = "flex", feature = "tch"),
    all(feature = "cuda", feature = "tch")
))]
compile_error!(
    "choose one backend only: add `--no-default-features` when building luffy-cli with `cuda` or `tch`"
);

/// Name of the backend this program was built with.
pub const BACKEND: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "tch") {
    "tch"
} else {
    "flex"
};

/// The device of this build, without autodiff.
pub fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(all(feature = "tch", not(feature = "cuda")))]
    #[expect(deprecated, reason = "burn announces the end of burn-tch; 0.22 still has it")]
    return Device::libtorch();
    #[cfg(all(feature = "flex", not(any(feature = "cuda", feature = "tch"))))]
    return Device::flex();
}
