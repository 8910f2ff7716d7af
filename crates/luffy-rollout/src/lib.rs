//! From a policy and prompts to trajectories.
//!
//! [`choose`] is the sampling rule: logits and a uniform number in, a token and its log-prob out.
//! [`Engine`] is the decode loop over anything that implements [`luffy_core::Decoder`]; it shares one
//! prefill among neighbours with the same prompt, drops finished sequences and lets waiting ones join.
//! A response ends with an end token of the codec, with a stop string of its request, which may be spread
//! over several tokens, or at its limit.
//! Every token is chosen by draw `t` of its trajectory's own stream, so a response does not depend on
//! who else is in the batch.
//!
//! ```
//! use luffy_core::Sampling;
//! use luffy_rollout::choose;
//!
//! let chosen = choose(&[0.0, 2.0, 1.0], &Sampling::Greedy, 0.5).expect("finite logits");
//! assert_eq!(chosen.token, 1);
//! ```

mod choose;
mod engine;
mod stop;

pub use choose::{Chosen, choose};
pub use engine::Engine;
