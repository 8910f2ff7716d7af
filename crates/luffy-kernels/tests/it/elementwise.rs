//! Norm, `SwiGLU`, rotation, scores, optimiser.

use burn::tensor::{Device, Int, Tensor};
use luffy_kernels::{
    AdamWRule, Rotation, adamw_step, rms_norm, rms_norm_backward, sum_of_squares, swiglu,
    swiglu_backward, token_scores, token_scores_backward,
};

use crate::fixture::{assert_close, column, differences, host, matrix, wide};

/// Widths around the number of lanes, so that tails are seen.
const WIDTHS: [usize; 4] = [2, 7, 16, 37];

#[test]
fn norm_and_its_way_back() {
    for d in WIDTHS {
        let (x, w, dy) = (matrix([3, d], 1), column(d, 2), matrix([3, d], 3));
        let (wide_x, wide_w) = (wide(&x), wide(&w));
        let exact = rms_norm(&wide_x, &wide_w, 1e-6);
        assert_close("norm", &wide(&rms_norm(&x, &w, 1e-6)), &exact, 1e-6);
        let (dx, dw) = rms_norm_backward(&x, &w, 1e-6, &dy);
        let slopes = differences(&wide_x, |x| rms_norm(x, &wide_w, 1e-6), &dy);
        assert_close("dx", &wide(&dx), &slopes, 2e-5);
        let slopes = differences(&wide_w, |w| rms_norm(&wide_x, w, 1e-6), &dy);
        assert_close("dw", &wide(&dw), &slopes, 1e-6);
        // In f64 the way back is the graph of the composed form.
        let (dx, _) = rms_norm_backward(&wide_x, &wide_w, 1e-6, &wide(&dy));
        let slopes = differences(&wide_x, |x| rms_norm(x, &wide_w, 1e-6), &dy);
        assert_close("dx in f64", &dx, &slopes, 2e-5);
    }
}

#[test]
fn swiglu_and_its_way_back() {
    for d in WIDTHS {
        // Far into both tails of the sigmoid.
        let (gate, up) = (matrix([4, d], 4) * 30.0, matrix([4, d], 5));
        let dy = matrix([4, d], 6);
        let (wide_gate, wide_up) = (wide(&gate), wide(&up));
        let exact = swiglu(&wide_gate, &wide_up);
        assert_close("swiglu", &wide(&swiglu(&gate, &up)), &exact, 1e-6);
        let (dgate, dup) = swiglu_backward(gate.clone(), up.clone(), &dy);
        assert_close("gate after", &wide(&gate), &wide_gate, f64::MIN_POSITIVE);
        assert_close("up after", &wide(&up), &wide_up, f64::MIN_POSITIVE);
        let slopes = differences(&wide_gate, |gate| swiglu(gate, &wide_up), &dy);
        assert_close("dgate", &wide(&dgate), &slopes, 1e-6);
        let slopes = differences(&wide_up, |up| swiglu(&wide_gate, up), &dy);
        assert_close("dup", &wide(&dup), &slopes, 1e-6);
    }
    let (gate, up) = (matrix([1, 2], 1) * 0.0 - 1e4, matrix([1, 2], 2));
    assert!(host(&swiglu(&gate, &up)).iter().all(|x| x.abs() < 1e-30), "far left it is zero");
}

#[test]
fn a_rotation_turns_pairs_and_back() {
    let positions = [0, 3, 1, 2, 0, 1];
    let frequencies = [1.0, 0.25];
    let rotation = Rotation::new(&positions, &frequencies, &Device::flex());
    let x = matrix([6, 8], 7);
    let turned = rotation.apply(x.clone());
    let values = host(&x);
    for (i, position) in positions.iter().enumerate() {
        for head in 0..2 {
            for (pair, f) in frequencies.iter().enumerate() {
                let at = i * 8 + head * 4 + pair;
                let (sin, cos) = (f64::from(*position) * f64::from(*f)).sin_cos();
                let (a, b) = (values[at], values[at + 2]);
                let got = (host(&turned)[at], host(&turned)[at + 2]);
                assert!((got.0 - (a * cos - b * sin)).abs() < 1e-6);
                assert!((got.1 - (b * cos + a * sin)).abs() < 1e-6);
            }
        }
    }
    assert_close("back", &rotation.undo(turned.clone()), &x, 1e-6);
    // The composed form, on a graph.
    let leaf = Tensor::from_inner(x).require_grad();
    assert_close("composed", &rotation.apply(leaf).inner(), &turned, 1e-6);
}

fn targets(values: [i64; 3]) -> Tensor<1, Int> {
    Tensor::from_data(values, &Device::flex())
}

#[test]
fn scores_are_the_closed_forms_and_so_is_their_way_back() {
    for v in [2, 9, 40] {
        let logits = matrix([3, v], 8) * 5.0;
        let targets = targets([0, 1, v as i64 - 1]);
        let exact = token_scores(&wide(&logits), &targets);
        let fused = token_scores(&logits, &targets);
        assert_close("log-probs", &wide(&fused.logprobs), &exact.logprobs, 1e-6);
        assert_close("entropies", &wide(&fused.entropy), &exact.entropy, 1e-6);
        // In parts and put together again they are the same.
        let parts = [fused.part(0..2), fused.part(2..3)];
        let again = luffy_kernels::TokenScores::cat(&parts);
        assert_close("parts", &again.logprobs, &fused.logprobs, 1e-9);
        let (a, b) = (column(3, 9), column(3, 10));
        let sum = |logits: &Tensor<2>| {
            let scores = token_scores(logits, &targets);
            (scores.logprobs * wide(&a) + scores.entropy * wide(&b)).reshape([3, 1])
        };
        let ones = matrix([3, 1], 1).ones_like();
        let slopes = differences(&wide(&logits), sum, &ones);
        let back = token_scores_backward(logits.clone(), &targets, &fused, Some(&a), Some(&b));
        assert_close("both", &wide(&back), &slopes, 1e-5);
        let (wide_a, wide_b) = (wide(&a), wide(&b));
        let composed =
            token_scores_backward(wide(&logits), &targets, &exact, Some(&wide_a), Some(&wide_b));
        assert_close("composed", &composed, &slopes, 1e-6);
        // Each alone is the other with a cotangent of zero.
        let zero = a.zeros_like();
        for (one, whole) in [
            ((Some(&a), None), (Some(&a), Some(&zero))),
            ((None, Some(&b)), (Some(&zero), Some(&b))),
        ] {
            let back = |(a, b)| token_scores_backward(logits.clone(), &targets, &fused, a, b);
            assert_close("one alone", &back(one), &back(whole), 1e-7);
        }
    }
}

#[test]
fn a_token_that_cannot_come_has_no_part() {
    let hidden = f32::NEG_INFINITY;
    let logits = Tensor::<2>::from_data([[0.0, hidden, 0.0], [1.0, 0.0, hidden]], &Device::flex());
    let targets = Tensor::<1, Int>::from_data([0, 0], &Device::flex());
    let scores = token_scores(&logits, &targets);
    assert!((host(&scores.entropy)[0] - 2.0_f64.ln()).abs() < 1e-6);
    let ones = scores.entropy.ones_like();
    let back = token_scores_backward(logits, &targets, &scores, Some(&ones), Some(&ones));
    let back = host(&back);
    assert!(back.iter().all(|x| x.is_finite()), "{back:?}");
    assert!(back[1].abs() + back[5].abs() <= 0.0, "{back:?}");
}

/// Against PyTorch's formula in f64, over more than one chunk.
#[test]
fn an_optimiser_step_is_the_formula() {
    let n = 40_000;
    let rule = AdamWRule {
        clip: 0.5,
        beta1_rest: 0.1,
        beta2: 0.999,
        beta2_rest: 0.001,
        decay: 0.9999,
        step_size: 0.01,
        root_correction: 0.04,
        epsilon: 1e-8,
    };
    let (w, g) = (column(n, 11), column(n, 12));
    let (mut m, mut v) = (vec![0.02; n], vec![0.003; n]);
    let stepped = host(&adamw_step(&rule, &w, g.clone(), &mut m, &mut v));
    for (i, (w, g)) in host(&w).iter().zip(host(&g)).enumerate() {
        let g = 0.5 * g;
        let (exact_m, exact_v) = (0.02 + 0.1 * (g - 0.02), 0.999 * 0.003 + 0.001 * g * g);
        let exact = 0.9999 * w - 0.01 * exact_m / (exact_v.sqrt() / 0.04 + 1e-8);
        assert!(
            (f64::from(m[i]) - exact_m).abs() < 1e-8 && (f64::from(v[i]) - exact_v).abs() < 1e-9
        );
        assert!((stepped[i] - exact).abs() < 1e-6, "{} is not {exact}", stepped[i]);
    }
    let exact: f64 = host(&g).iter().map(|g| g * g).sum();
    assert!((sum_of_squares(&g) / exact - 1.0).abs() < 1e-12);
}
