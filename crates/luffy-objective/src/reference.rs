//! What LUFFY's code logs and filters where it differs from what is done here, for those who compare runs
//! or check our figures against its own.
//!
//! Plain functions on the host in `f64`; all slices hold one entry per token of a batch, in one order.
//! `valid` tokens are those of a response, demonstrated or sampled. `recorded` log-probs are those of the
//! policy before the update, which that code computes for the teacher's tokens too; the losses here never
//! look at those.
//!
//! Where a mean is over no token, some of its figures are 0 ([`mean_or_zero`]: `off_pg_loss`,
//! `off_ratio_mean`, `off_policy_prob`, `on_policy_prob`) and the others NaN ([`mean`], `None`:
//! `on_pg_loss` and both `off_ratio` shares). Ours are absent.

/// Mean of `values` over the selected tokens; `None` where there are none.
///
/// # Panics
/// If the slices differ in length.
pub fn mean(values: &[f64], selected: &[bool]) -> Option<f64> {
    assert_eq!(values.len(), selected.len(), "one flag per value");
    let n = selected.iter().filter(|selected| **selected).count();
    let chosen = values.iter().zip(selected).filter(|(_, selected)| **selected);
    let sum: f64 = chosen.map(|(value, _)| *value).sum();
    (n > 0).then(|| sum / n as f64)
}

/// Mean of `values` over the selected tokens; 0 where there are none.
///
/// # Panics
/// If the slices differ in length.
pub fn mean_or_zero(values: &[f64], selected: &[bool]) -> f64 {
    mean(values, selected).unwrap_or(0.0)
}

/// `ppo_kl`: mean of `recorded - logprob` over all valid tokens, the teacher's included, in nats.
///
/// # Panics
/// If the slices differ in length.
pub fn ppo_kl(logprobs: &[f64], recorded: &[f64], valid: &[bool]) -> Option<f64> {
    assert_eq!(logprobs.len(), recorded.len(), "two log-probs per token");
    let moved: Vec<f64> = recorded.iter().zip(logprobs).map(|(then, now)| then - now).collect();
    mean(&moved, valid)
}

/// `on_pg_clipfrac` of the mixed loss: share of all valid tokens, the teacher's included, whose `weight`
/// the clip to `range` (least, most) changes to a larger loss. 0 with the clip off (`None`).
///
/// `weights` are the reshaped ratios `pi / pi_recorded` of sampled tokens, computed for all.
///
/// # Panics
/// If the slices differ in length.
pub fn on_pg_clipfrac(
    weights: &[f64],
    advantages: &[f64],
    valid: &[bool],
    range: Option<(f64, f64)>,
) -> Option<f64> {
    match range {
        Some(range) => mean(&is_clipped(weights, advantages, range), valid),
        None => Some(0.0),
    }
}

/// `pg_clipfrac` of the plain loss: measured after the loss was replaced by the larger of the two, so it is
/// 0 where the clip is on, and the share that a clip to `range` (least, most) would change where it is
/// off.
///
/// # Panics
/// If the slices differ in length.
pub fn pg_clipfrac(
    weights: &[f64],
    advantages: &[f64],
    valid: &[bool],
    range: (f64, f64),
    is_on: bool,
) -> Option<f64> {
    let share = mean(&is_clipped(weights, advantages, range), valid)?;
    Some(if is_on { 0.0 } else { share })
}

/// 1 where `-A * clamp(w)` is larger than `-A * w`, 0 elsewhere.
fn is_clipped(weights: &[f64], advantages: &[f64], (least, most): (f64, f64)) -> Vec<f64> {
    assert_eq!(weights.len(), advantages.len(), "one advantage per weight");
    let pairs = weights.iter().zip(advantages);
    pairs
        .map(|(weight, advantage)| {
            let (plain, clipped) = (-advantage * weight, -advantage * weight.max(least).min(most));
            if clipped > plain { 1.0 } else { 0.0 }
        })
        .collect()
}

/// `off_ratio_max_clip_frac`: share of valid demonstrated tokens whose shaped weight, before any bound, is
/// above `max`. 0 with the bound off (`None`), even where there is no such token.
///
/// # Panics
/// If the slices differ in length.
pub fn off_ratio_max_clip_frac(
    shaped: &[f64],
    demonstrated: &[bool],
    max: Option<f64>,
) -> Option<f64> {
    let Some(max) = max else { return Some(0.0) };
    mean(&flags(shaped, |value| value > max), demonstrated)
}

/// `off_ratio_min_clip_frac`: share of valid demonstrated tokens whose shaped weight is below `min`. 0 with
/// the bound off (`None`), even where there is no such token.
///
/// # Panics
/// If the slices differ in length.
pub fn off_ratio_min_clip_frac(
    shaped: &[f64],
    demonstrated: &[bool],
    min: Option<f64>,
) -> Option<f64> {
    let Some(min) = min else { return Some(0.0) };
    mean(&flags(shaped, |value| value < min), demonstrated)
}

fn flags(values: &[f64], is_one: impl Fn(f64) -> bool) -> Vec<f64> {
    values.iter().map(|value| f64::from(u8::from(is_one(*value)))).collect()
}

/// `all_max_clip`: the valid tokens without those that the policy gives more than `max`. They leave the
/// loss and its token count; what is logged still counts them.
///
/// # Panics
/// If the slices differ in length.
pub fn all_max_clip(logprobs: &[f64], valid: &[bool], max: f64) -> Vec<bool> {
    assert_eq!(logprobs.len(), valid.len(), "one flag per log-prob");
    let pairs = logprobs.iter().zip(valid);
    pairs.map(|(logprob, valid)| *valid && logprob.exp() <= max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // All 60 mixed and 15 plain cases of the conformance vectors stand in tests/it/conformance.rs; here is
    // what they do not tell apart.

    #[test]
    fn means_over_nothing_are_absent_or_zero() {
        assert_eq!(mean(&[1.0, 2.0], &[false, false]), None);
        assert!(mean_or_zero(&[1.0, 2.0], &[false, false]).abs() <= 0.0);
        assert_eq!(mean(&[1.0, 2.0, f64::NAN], &[true, true, false]), Some(1.5));
    }

    #[test]
    fn shares_of_a_bound_that_is_off_are_zero_even_of_nothing() {
        assert_eq!(off_ratio_max_clip_frac(&[0.7], &[false], None), Some(0.0));
        assert_eq!(off_ratio_max_clip_frac(&[0.7], &[false], Some(0.6)), None);
        assert_eq!(off_ratio_min_clip_frac(&[0.7, 0.01], &[true, true], Some(0.05)), Some(0.5));
        assert_eq!(on_pg_clipfrac(&[2.0], &[1.0], &[true], None), Some(0.0));
    }

    #[test]
    fn the_plain_share_is_zero_where_the_clip_is_on() {
        let share = |is_on| pg_clipfrac(&[2.0, 1.0], &[1.0, 1.0], &[true, true], (0.8, 1.2), is_on);
        assert_eq!((share(true), share(false)), (Some(0.0), Some(0.5)));
    }

    #[test]
    fn sure_tokens_leave_and_others_stay() {
        let logprobs = [0.95_f64.ln(), 0.9_f64.ln(), 0.95_f64.ln()];
        assert_eq!(all_max_clip(&logprobs, &[true, true, false], 0.92), [false, true, false]);
    }
}
