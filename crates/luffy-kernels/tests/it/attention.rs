//! Attention over packed sequences.

use burn::tensor::{Tensor, activation};
use luffy_core::Packing;
use luffy_kernels::{HeadShape, attention, attention_backward};

use crate::fixture::{assert_close, differences, matrix, wide};

fn heads(n_heads: usize, n_kv_heads: usize, head_dim: usize) -> HeadShape {
    HeadShape { n_heads, n_kv_heads, head_dim }
}

/// Two sequences alone, and three that share a beginning.
fn packing(lens: [usize; 2], shared: usize, tails: [usize; 3]) -> Packing {
    let mut packing = Packing::default();
    for len in lens {
        packing.push(len, None);
    }
    let prompt = packing.push(shared, None);
    for len in tails {
        packing.push(len, Some(prompt.clone()));
    }
    packing
}

/// Query by query in f64, from the definition.
fn exact(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    heads: HeadShape,
    packing: &Packing,
) -> Tensor<2> {
    let HeadShape { head_dim: hd, .. } = heads;
    let mut rows = Vec::new();
    for segment in &packing.segments {
        for token in segment.tokens.clone() {
            let places = segment.prefix.clone().into_iter().flatten();
            let seen: Vec<usize> = places.chain(segment.tokens.start..=token).collect();
            let mut parts = Vec::new();
            for head in 0..heads.n_heads {
                let kv = head / heads.group();
                let q = q.clone().slice([token..token + 1, head * hd..(head + 1) * hd]);
                let gather = |x: &Tensor<2>| {
                    let row = |place: &usize| {
                        x.clone().slice([*place..*place + 1, kv * hd..(kv + 1) * hd])
                    };
                    Tensor::cat(seen.iter().map(row).collect(), 0)
                };
                let scores = q.matmul(gather(k).transpose()) / (hd as f64).sqrt();
                parts.push(activation::softmax(scores, 1).matmul(gather(v)));
            }
            rows.push(Tensor::cat(parts, 1));
        }
    }
    Tensor::cat(rows, 0)
}

#[test]
fn every_token_sees_its_prefix_and_what_stands_before_it() {
    for (shape, packing) in [
        (heads(4, 2, 8), packing([5, 1], 3, [4, 1, 2])),
        (heads(3, 1, 5), packing([2, 7], 1, [1, 1, 6])),
        (heads(2, 2, 16), packing([1, 1], 4, [3, 3, 3])),
    ] {
        let n = packing.n_tokens();
        let (wide_q, narrow) = (shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
        let (q, k, v) =
            (matrix([n, wide_q], 1) * 3.0, matrix([n, narrow], 2), matrix([n, narrow], 3));
        let exact = exact(&wide(&q), &wide(&k), &wide(&v), shape, &packing);
        let fused = attention(&q, &k, &v, shape, &packing);
        assert_close("fused", &wide(&fused.out), &exact, 2e-6);
        let composed = attention(&wide(&q), &wide(&k), &wide(&v), shape, &packing);
        assert_close("composed", &composed.out, &exact, 1e-6);
        let dy = matrix([n, wide_q], 4);
        let back = attention_backward(&q, &k, &v, &fused, &dy, shape, &packing);
        let (wide_q, wide_k, wide_v) = (wide(&q), wide(&k), wide(&v));
        let of =
            |q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>| attention(q, k, v, shape, &packing).out;
        let slopes = [
            differences(&wide_q, |q| of(q, &wide_k, &wide_v), &dy),
            differences(&wide_k, |k| of(&wide_q, k, &wide_v), &dy),
            differences(&wide_v, |v| of(&wide_q, &wide_k, v), &dy),
        ];
        for ((name, back), slopes) in ["dq", "dk", "dv"].iter().zip(&back).zip(&slopes) {
            assert_close(name, &wide(back), slopes, 1e-5);
        }
        let composed =
            attention_backward(&wide_q, &wide_k, &wide_v, &composed, &wide(&dy), shape, &packing);
        for ((name, back), slopes) in ["dq", "dk", "dv"].iter().zip(&composed).zip(&slopes) {
            assert_close(name, back, slopes, 1e-6);
        }
    }
}

/// More rows of scores than a block has, in both forms: blocks of 256 rows and of 512 queries.
#[test]
fn blocks_make_no_difference() {
    let shape = heads(4, 1, 8);
    let mut packing = Packing::default();
    let first = packing.push(530, None);
    packing.push(70, Some(first));
    let (q, k, v) = (matrix([600, 32], 1) * 4.0, matrix([600, 8], 2), matrix([600, 8], 3));
    let fused = attention(&q, &k, &v, shape, &packing);
    let (wide_q, wide_k, wide_v) = (wide(&q), wide(&k), wide(&v));
    let composed = attention(&wide_q, &wide_k, &wide_v, shape, &packing);
    assert_close("out", &wide(&fused.out), &composed.out, 2e-6);
    let dy = matrix([600, 32], 4);
    let back = attention_backward(&q, &k, &v, &fused, &dy, shape, &packing);
    let graph =
        attention_backward(&wide_q, &wide_k, &wide_v, &composed, &wide(&dy), shape, &packing);
    for (fused, graph) in back.iter().zip(&graph) {
        assert_close("back", &wide(fused), graph, 1e-5);
    }
}

/// The beginning written out before each tail gives each tail what sharing it gives.
#[test]
fn a_shared_beginning_is_one_that_is_written_out() {
    let shape = heads(4, 2, 8);
    let (mut shared, mut apart) = (Packing::default(), Packing::default());
    let prompt = shared.push(3, None);
    let mut places = vec![];
    for len in [2, 5] {
        let tail = shared.push(len, Some(prompt.clone()));
        apart.push(3 + len, None);
        places.extend(prompt.clone().chain(tail));
    }
    let (q, k, v) = (matrix([10, 32], 1), matrix([10, 16], 2), matrix([10, 16], 3));
    let spread = |x: &Tensor<2>| {
        let rows = places.iter().map(|place| x.clone().slice([*place..*place + 1, 0..x.dims()[1]]));
        Tensor::cat(rows.collect(), 0)
    };
    let whole = attention(&q, &k, &v, shape, &shared).out;
    let written = attention(&spread(&q), &spread(&k), &spread(&v), shape, &apart).out;
    assert_close("shared", &spread(&whole), &written, 1e-6);
}

#[test]
#[should_panic(expected = "a prefix is a run that stands for itself")]
fn a_beginning_has_none_itself() {
    let mut packing = Packing::default();
    let first = packing.push(2, None);
    let second = packing.push(2, Some(first));
    packing.push(1, Some(second));
}
