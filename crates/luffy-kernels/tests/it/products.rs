//! Matrix products, packed or not.

use burn::tensor::{Device, Int, Tensor};
use luffy_kernels::{
    PackedMatrix, add_rows, add_rows_squares, is_same_buffer, linear, linear_add, linear_backward,
    matmul, matmul_add,
};

use crate::fixture::{assert_close, column, host, matrix, wide};

/// Rows, inner size, columns: around tiles of 6 by 16 and blocks of 120 by 512.
const SHAPES: [[usize; 3]; 6] =
    [[1, 5, 3], [6, 16, 16], [7, 33, 40], [13, 520, 17], [121, 8, 31], [250, 513, 48]];

#[test]
fn products_agree_with_f64() {
    for [m, k, n] in SHAPES {
        let (x, w, bias, sum) =
            (matrix([m, k], 1), matrix([k, n], 2), column(n, 3), matrix([m, n], 4));
        let exact = wide(&x).matmul(wide(&w));
        let row = wide(&bias).unsqueeze_dim::<2>(0);
        assert_close("product", &wide(&matmul(&x, &w)), &exact, 2e-6);
        let added = matmul_add(sum.clone(), &x, &w);
        assert_close("sum", &wide(&added), &(wide(&sum) + exact.clone()), 2e-6);
        let biased = linear(&x, &w, Some(&bias));
        assert_close("bias", &wide(&biased), &(exact.clone() + row.clone()), 2e-6);
        let both = linear_add(sum.clone(), &x, &w, Some(&bias));
        assert_close("both", &wide(&both), &(exact + row + wide(&sum)), 2e-6);
        // A view that lies transposed.
        let turned = w.clone().transpose().reshape([k * n]).reshape([n, k]).transpose();
        assert_close("transposed", &matmul(&x, &turned), &matmul(&x, &w), 2e-6);
    }
}

#[test]
fn packed_products_agree_and_rows_stand_alone() {
    for [m, k, n] in SHAPES {
        let (x, w, bias, sum) =
            (matrix([m, k], 1), matrix([k, n], 2), column(n, 3), matrix([m, n], 4));
        let packed = PackedMatrix::new(&w).expect("it is on the CPU");
        let exact = wide(&x).matmul(wide(&w));
        let row = wide(&bias).unsqueeze_dim::<2>(0);
        assert_close("product", &wide(&packed.product(&x, None, None)), &exact, 2e-6);
        let biased = packed.product(&x, Some(&bias), None);
        assert_close("bias", &wide(&biased), &(exact.clone() + row), 2e-6);
        let added = packed.product(&x, None, Some(sum.clone()));
        assert_close("sum", &wide(&added), &(exact + wide(&sum)), 2e-6);
        let turned = w.transpose().reshape([k * n]).reshape([n, k]).transpose();
        let turned = PackedMatrix::new(&turned).expect("it is on the CPU");
        assert_eq!(host(&turned.product(&x, None, None)), host(&packed.product(&x, None, None)));
        // The last row alone, and with any number of threads: the same bits.
        let last = x.clone().slice([m - 1..m, 0..k]);
        let alone = host(&packed.product(&last, None, None));
        for n_threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let whole = pool.install(|| host(&packed.product(&x, None, None)));
            assert_eq!(whole[(m - 1) * n..], alone[..]);
        }
    }
}

/// What is learned from one unit takes all threads, from several one each: the bits must not tell.
#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    for [m, k, n] in [[250, 520, 300], [300, 1100, 257], [64, 900, 4000]] {
        let (x, w) = (matrix([m, k], 1), matrix([k, n], 2));
        let (turned, back) = (w.clone().transpose(), matrix([m, n], 3));
        let all = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| {
                [matmul(&x, &w), matmul(&back, &turned), matmul(&x.clone().transpose(), &back)]
                    .map(|product| host(&product))
            })
        };
        let one = all(1);
        for n_threads in [2, 3, 8] {
            assert!(all(n_threads) == one, "{m} x {k} x {n} with {n_threads} threads");
        }
    }
}

#[test]
fn the_way_back_of_a_product() {
    let (x, w, dy) = (matrix([9, 20], 1), matrix([20, 11], 2), matrix([9, 11], 3));
    let (dx, (dw, _)) = linear_backward(&x, &w, &dy, None);
    assert_close("dx", &wide(&dx), &wide(&dy).matmul(wide(&w).transpose()), 2e-6);
    assert_close("dw", &wide(&dw), &wide(&x).transpose().matmul(wide(&dy)), 2e-6);
    let (twice, _) = linear_backward(&x, &w, &dy, Some(dx.clone()));
    assert_close("added", &twice, &(dx * 2.0), 2e-6);
}

#[test]
fn rows_are_added_where_they_belong() {
    let (sum, rows) = (matrix([4, 3], 1), matrix([3, 3], 2));
    let places = Tensor::<1, Int>::from_data([2, 0, 2], &Device::flex());
    let got = host(&add_rows(sum.clone(), &places, &rows));
    let (mut exact, rows) = (host(&sum), host(&rows));
    for (row, place) in [2, 0, 2].into_iter().enumerate() {
        for i in 0..3 {
            exact[place * 3 + i] += rows[row * 3 + i];
        }
    }
    assert!(got.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_close("kept", &sum, &matrix([4, 3], 1), 1e-9);
}

/// Against the squares of the result; unknown where what was there goes away, for what is left is rounding.
#[test]
fn squares_follow_rows_that_are_added() {
    let device = Device::flex();
    let (sum, rows) = (matrix([4, 3], 1), matrix([3, 3], 2));
    let places = Tensor::from_ints([2, 0, 2], &device);
    let squares = |of: &Tensor<2>| host(of).iter().map(|x| x * x).sum::<f64>();
    let (got, found) = add_rows_squares((sum.clone(), Some(squares(&sum))), &places, &rows);
    assert!((found.expect("known") - squares(&got)).abs() < 1e-6);
    let all = Tensor::from_ints([0, 1, 2, 3], &device);
    let known = Some(squares(&sum));
    let (_, found) = add_rows_squares((sum.clone(), known), &all, &(sum.clone() * -0.9));
    assert_eq!(found, None);
    assert_eq!(add_rows_squares((sum, None), &places, &rows).1, None);
}

#[test]
fn a_buffer_is_itself_and_no_copy() {
    let a = column(5, 1);
    assert!(is_same_buffer(&a, &a.clone()));
    assert!(!is_same_buffer(&a, &column(5, 1)));
    assert!(!is_same_buffer(&a, &column(4, 1)));
}
