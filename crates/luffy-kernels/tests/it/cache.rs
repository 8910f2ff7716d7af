//! Token by token is the same as all at once.

use burn::tensor::Tensor;
use luffy_core::Packing;
use luffy_kernels::{HeadShape, KvCache, attention};

use crate::fixture::{assert_close, matrix, wide};

const LENS: [usize; 3] = [3, 1, 20];
const STEPS: usize = 40;

/// Queries, keys and values of one sequence.
fn sequence(heads: HeadShape, i: usize) -> [Tensor<2>; 3] {
    let n = LENS[i] + STEPS;
    let (q, kv) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
    let seed = 10 * i as u64;
    [matrix([n, q], seed + 1) * 2.0, matrix([n, kv], seed + 2), matrix([n, kv], seed + 3)]
}

fn rows(x: &Tensor<2>, range: std::ops::Range<usize>) -> Tensor<2> {
    x.clone().slice([range])
}

/// Prefills some sequences.
fn prefilled(sequences: &[&[Tensor<2>; 3]], lens: &[usize], heads: HeadShape) -> KvCache {
    let mut packing = Packing::default();
    for len in lens {
        packing.push(*len, None);
    }
    let of = |part: usize| {
        let starts = sequences.iter().zip(lens).map(|(s, len)| rows(&s[part], 0..*len));
        Tensor::cat(starts.collect(), 0)
    };
    KvCache::prefilled(vec![(of(1), of(2))], heads, &packing)
}

/// Rows leave, double and join; every output is that of attention over its whole sequence.
fn check(heads: HeadShape, convert: fn(&Tensor<2>) -> Tensor<2>, bound: f64) {
    let sequences = [0, 1, 2].map(|i| sequence(heads, i).map(|x| convert(&x)));
    let whole = sequences.each_ref().map(|[q, k, v]| {
        let mut packing = Packing::default();
        packing.push(q.dims()[0], None);
        attention(q, k, v, heads, &packing).out
    });
    let mut cache = prefilled(&[&sequences[0], &sequences[1]], &LENS[..2], heads);
    // Which sequence a row holds, and how many of its tokens it has seen.
    let mut held = vec![(0, LENS[0]), (1, LENS[1])];
    for step in 0..STEPS {
        match step {
            5 => {
                cache.select(&[1, 1, 0]);
                held = vec![held[1], held[1], held[0]];
            }
            9 => {
                cache.append(prefilled(&[&sequences[2]], &LENS[2..], heads));
                held.push((2, LENS[2]));
            }
            20 => {
                cache.select(&[3, 0]);
                held = vec![held[3], held[0]];
            }
            _ => {}
        }
        assert_eq!(cache.positions(), held.iter().map(|(_, at)| *at as u32).collect::<Vec<_>>());
        let next = |part: usize| {
            let row = |(i, at): &(usize, usize)| rows(&sequences[*i][part], *at..*at + 1);
            Tensor::cat(held.iter().map(row).collect(), 0)
        };
        let out = cache.attend(0, &next(0), &next(1), &next(2)).out;
        cache.advance();
        for (row, (i, at)) in held.iter_mut().enumerate() {
            let exact = rows(&whole[*i], *at..*at + 1);
            assert_close("step", &rows(&out, row..row + 1), &exact, bound);
            *at += 1;
        }
    }
}

/// Rows of one prompt, side by side and alone, on one thread and on three.
#[test]
fn rows_that_share_their_beginning_are_the_same_to_the_bit() {
    let heads = HeadShape { n_heads: 6, n_kv_heads: 2, head_dim: 20 };
    let sequences = [0, 1, 2].map(|i| sequence(heads, i));
    // All begin as the third does.
    let first = prefilled(&[&sequences[2]], &LENS[2..], heads);
    let run = |which: &[usize]| {
        let mut cache = first.clone();
        cache.select(&vec![0; which.len()]);
        let mut found = vec![vec![]; which.len()];
        for at in 0..STEPS / 2 {
            let next = |part: usize| {
                Tensor::cat(
                    which.iter().map(|i| rows(&sequences[*i][part], at..at + 1)).collect(),
                    0,
                )
            };
            let out = cache.attend(0, &next(0), &next(1), &next(2)).out;
            cache.advance();
            for (row, found) in found.iter_mut().enumerate() {
                found.extend(rows(&out, row..row + 1).into_data().iter::<f32>().map(f32::to_bits));
            }
        }
        found
    };
    let alone: Vec<Vec<u32>> = (0..3).flat_map(|i| run(&[i])).collect();
    for n_threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        assert_eq!(pool.install(|| run(&[0, 1, 2])), alone);
    }
}

#[test]
fn fused_rows_decode_as_attention_says() {
    for (n_heads, n_kv_heads, head_dim) in [(4, 1, 8), (7, 1, 16), (6, 2, 20), (2, 2, 32)] {
        check(HeadShape { n_heads, n_kv_heads, head_dim }, Tensor::clone, 5e-6);
    }
}

#[test]
fn composed_columns_decode_as_attention_says() {
    check(HeadShape { n_heads: 4, n_kv_heads: 2, head_dim: 8 }, wide, 1e-6);
}
