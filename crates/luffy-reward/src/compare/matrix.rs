//! Matrices and what is computed from them.

use super::{Comparer, Decision};
use crate::budget::Stop;
use crate::read::{Node, NodeId};

/// The most cells a matrix may have.
const MAX_CELLS: usize = 400;

/// Cells by row.
struct Matrix {
    cells: Vec<NodeId>,
    n_columns: usize,
}

impl Matrix {
    fn n_rows(&self) -> usize {
        self.cells.len() / self.n_columns
    }
}

impl Comparer<'_> {
    /// Compares two matrices; `None` if one of the expressions is none.
    pub(super) fn matrices(
        &mut self,
        gold: NodeId,
        answer: NodeId,
    ) -> Result<Option<Decision>, Stop> {
        let (Some(gold), Some(answer)) = (self.matrix(gold)?, self.matrix(answer)?) else {
            return Ok(None);
        };
        if gold.n_columns != answer.n_columns {
            return Ok(Some(Decision::Different));
        }
        self.in_order(&gold.cells, &answer.cells).map(Some)
    }

    /// The cells of a matrix, a sum, a multiple or a product of matrices.
    fn matrix(&mut self, id: NodeId) -> Result<Option<Matrix>, Stop> {
        self.budget.charge(4)?;
        match self.ast.node(id).clone() {
            Node::Matrix(kids, n_columns) => {
                let cells = self.ast.kids(kids).to_vec();
                let fits = cells.len() <= MAX_CELLS;
                Ok(fits.then_some(Matrix { cells, n_columns: n_columns as usize }))
            }
            Node::Neg(a) => {
                let Some(matrix) = self.matrix(a)? else { return Ok(None) };
                let minus_one = self.ast.int(-1)?;
                self.scaled(matrix, minus_one).map(Some)
            }
            Node::Div(a, b) if self.is_scalar(b) => {
                let Some(matrix) = self.matrix(a)? else { return Ok(None) };
                let one = self.ast.int(1)?;
                let inverse = self.ast.push(Node::Div(one, b))?;
                self.scaled(matrix, inverse).map(Some)
            }
            Node::Pow(a, exponent) => {
                let is_transposed = matches!(self.ast.node(exponent), Node::Sym(name) if matches!(self.ast.name(*name), "T" | "top"));
                if !is_transposed {
                    return Ok(None);
                }
                let Some(matrix) = self.matrix(a)? else { return Ok(None) };
                let n_rows = matrix.n_rows();
                let cells = (0..matrix.cells.len())
                    .map(|at| matrix.cells[at % n_rows * matrix.n_columns + at / n_rows])
                    .collect();
                Ok(Some(Matrix { cells, n_columns: n_rows }))
            }
            Node::Add(kids) => {
                let mut sum: Option<Matrix> = None;
                for kid in self.ast.kids(kids).to_vec() {
                    let Some(term) = self.matrix(kid)? else { return Ok(None) };
                    sum = match sum {
                        None => Some(term),
                        Some(sum) => match self.added(&sum, &term)? {
                            Some(sum) => Some(sum),
                            None => return Ok(None),
                        },
                    };
                }
                Ok(sum)
            }
            Node::Mul(kids) => {
                let mut product: Option<Matrix> = None;
                let mut factors = Vec::new();
                for kid in self.ast.kids(kids).to_vec() {
                    match (self.matrix(kid)?, product.take()) {
                        (None, known) if self.is_scalar(kid) => {
                            factors.push(kid);
                            product = known;
                        }
                        (None, _) => return Ok(None),
                        (Some(next), None) => product = Some(next),
                        (Some(next), Some(known)) => match self.multiplied(&known, &next)? {
                            Some(result) => product = Some(result),
                            None => return Ok(None),
                        },
                    }
                }
                let Some(matrix) = product else { return Ok(None) };
                if factors.is_empty() {
                    return Ok(Some(matrix));
                }
                let factor = self.ast.product(&factors)?;
                self.scaled(matrix, factor).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn scaled(&mut self, matrix: Matrix, factor: NodeId) -> Result<Matrix, Stop> {
        let mut cells = Vec::with_capacity(matrix.cells.len());
        for cell in &matrix.cells {
            cells.push(self.ast.product(&[factor, *cell])?);
        }
        Ok(Matrix { cells, ..matrix })
    }

    fn added(&mut self, a: &Matrix, b: &Matrix) -> Result<Option<Matrix>, Stop> {
        if a.n_columns != b.n_columns || a.cells.len() != b.cells.len() {
            return Ok(None);
        }
        let mut cells = Vec::with_capacity(a.cells.len());
        for (a, b) in a.cells.iter().zip(&b.cells) {
            let kids = self.ast.list_of(&[*a, *b]);
            cells.push(self.ast.push(Node::Add(kids))?);
        }
        Ok(Some(Matrix { cells, n_columns: a.n_columns }))
    }

    fn multiplied(&mut self, a: &Matrix, b: &Matrix) -> Result<Option<Matrix>, Stop> {
        if a.n_columns != b.n_rows() || a.n_rows() * b.n_columns > MAX_CELLS {
            return Ok(None);
        }
        self.budget.charge((a.cells.len() * b.n_columns * 4) as u64)?;
        let mut cells = Vec::with_capacity(a.n_rows() * b.n_columns);
        for row in 0..a.n_rows() {
            for column in 0..b.n_columns {
                let mut terms = Vec::with_capacity(a.n_columns);
                for at in 0..a.n_columns {
                    let pair =
                        [a.cells[row * a.n_columns + at], b.cells[at * b.n_columns + column]];
                    terms.push(self.ast.product(&pair)?);
                }
                let kids = self.ast.list_of(&terms);
                cells.push(self.ast.push(Node::Add(kids))?);
            }
        }
        Ok(Some(Matrix { cells, n_columns: b.n_columns }))
    }
}

#[cfg(test)]
mod tests {
    use crate::compare::fixtures::{differ, same};

    const M: &str = r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}";

    #[test]
    fn cells_are_compared_in_their_places() {
        same(M, r"\begin{bmatrix}1&2\\3&\frac{8}{2}\\\end{bmatrix}");
        same(M, r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]");
        differ(M, r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}");
        differ(M, r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}");
    }

    #[test]
    fn the_shape_counts() {
        differ(r"\begin{pmatrix}1&2&3&4\end{pmatrix}", M);
        differ(r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}");
        differ(r"\begin{pmatrix}1\\2\end{pmatrix}", "(1, 2)");
        differ(r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\\0\end{pmatrix}");
    }

    #[test]
    fn sums_multiples_products_and_transposes_are_computed() {
        // By hand.
        same(r"\begin{pmatrix}2&4\\6&8\end{pmatrix}", &format!("2{M}"));
        same(r"\begin{pmatrix}2&4\\6&8\end{pmatrix}", &format!("{M}+{M}"));
        same(r"\begin{pmatrix}-1&-2\\-3&-4\end{pmatrix}", &format!("-{M}"));
        same(r"\begin{pmatrix}0.5&1\\1.5&2\end{pmatrix}", &format!(r"\frac{{1}}{{2}}{M}"));
        same(r"\begin{pmatrix}1&3\\2&4\end{pmatrix}", &format!("{M}^T"));
        same(r"\begin{pmatrix}7&10\\15&22\end{pmatrix}", &format!("{M}{M}"));
        same(
            r"\begin{pmatrix}5\\11\end{pmatrix}",
            &format!(r"{M}\begin{{pmatrix}}1\\2\end{{pmatrix}}"),
        );
        differ(r"\begin{pmatrix}7&10\\15&23\end{pmatrix}", &format!("{M}{M}"));
    }

    #[test]
    fn what_does_not_fit_is_no_matrix() {
        let row = r"\begin{pmatrix}1&2\end{pmatrix}";
        differ(M, &format!("{M}+{row}"));
        differ(row, &format!("{row}{row}"));
    }

    #[test]
    fn a_matrix_of_more_than_400_cells_is_only_equal_to_its_text() {
        let row = |n_cells: usize| {
            format!(r"\begin{{pmatrix}}{}1\end{{pmatrix}}", "1&".repeat(n_cells - 1))
        };
        same(&row(400), &row(400).replacen('1', "1.0", 1));
        differ(&row(401), &row(401).replacen('1', "1.0", 1));
    }
}
