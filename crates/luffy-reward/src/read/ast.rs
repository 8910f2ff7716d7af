//! Expressions, stored in one arena.

use dashu_int::UBig;
use dashu_ratio::RBig;

use super::token::{Bracket, Func, Rel};
use crate::budget::Stop;

/// How deeply nodes may be nested; what recurses over an expression recurses at most this far.
pub(crate) const MAX_DEPTH: u8 = 64;

/// The most nodes an expression may have, counted again wherever they are shared: what walks over an
/// expression takes at most so many steps. An answer has one node for each of its bytes at most; only
/// products of matrices share nodes.
const MAX_SIZE: u32 = 1 << 14;

/// A node of an [`Ast`].
pub(crate) type NodeId = u32;

/// Several nodes in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kids {
    start: u32,
    len: u32,
}

/// A named constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Const {
    E,
    Pi,
    I,
}

/// One operation, number, name or collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Num(RBig),
    /// A number times a power of ten that is too large to write out.
    Sci(RBig, i64),
    /// A number with the base it is written in.
    Based(UBig, u32),
    /// A variable, an opaque operator or a word, by its spelling.
    Sym(u32),
    Const(Const),
    Infinity,
    Add(Kids),
    Mul(Kids),
    Neg(NodeId),
    Div(NodeId, NodeId),
    Pow(NodeId, NodeId),
    /// The real root where there is one.
    Root(NodeId, u32),
    Fn(Func, Kids),
    /// The logarithm of the second to the base of the first.
    Log(NodeId, NodeId),
    Abs(NodeId),
    Fact(NodeId),
    Percent(NodeId),
    Degree(NodeId),
    /// A value with a unit.
    Unit(NodeId, u32),
    List(Kids),
    Set(Kids),
    /// A tuple or an interval.
    Brackets(Bracket, Kids, Bracket),
    Empty,
    Union(Kids),
    Inter(Kids),
    SetMinus(NodeId, NodeId),
    In(NodeId, NodeId),
    /// A chain of relations: one operator less than sides; operators start at the index.
    Chain(Kids, u32),
    Ratio(Kids),
    /// Cells by row, and the number of columns.
    Matrix(Kids, u32),
}

/// Nodes of one or more expressions that share their names.
#[derive(Debug, Default)]
pub(crate) struct Ast {
    nodes: Vec<Node>,
    /// Depth and size of the expression below each node.
    extents: Vec<(u8, u32)>,
    kids: Vec<NodeId>,
    rels: Vec<Rel>,
    names: Vec<String>,
    has_matrix: bool,
}

impl Ast {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn kids(&self, kids: Kids) -> &[NodeId] {
        &self.kids[kids.start as usize..(kids.start + kids.len) as usize]
    }

    /// The operators of a chain of `n_sides` sides.
    pub(crate) fn rels(&self, first: u32, n_sides: usize) -> &[Rel] {
        &self.rels[first as usize..first as usize + n_sides - 1]
    }

    pub(crate) fn name(&self, name: u32) -> &str {
        &self.names[name as usize]
    }

    /// Whether two expressions are written alike.
    pub(crate) fn is_same(&self, a: NodeId, b: NodeId) -> bool {
        let all = |a: Kids, b: Kids| {
            a.len == b.len
                && self.kids(a).iter().zip(self.kids(b)).all(|(a, b)| self.is_same(*a, *b))
        };
        match (self.node(a), self.node(b)) {
            (Node::Add(a), Node::Add(b))
            | (Node::Mul(a), Node::Mul(b))
            | (Node::List(a), Node::List(b))
            | (Node::Set(a), Node::Set(b))
            | (Node::Union(a), Node::Union(b))
            | (Node::Inter(a), Node::Inter(b))
            | (Node::Ratio(a), Node::Ratio(b)) => all(*a, *b),
            (Node::Fn(f, a), Node::Fn(g, b)) => f == g && all(*a, *b),
            (Node::Brackets(f, a, g), Node::Brackets(h, b, k)) => f == h && g == k && all(*a, *b),
            (Node::Matrix(a, n), Node::Matrix(b, m)) => n == m && all(*a, *b),
            (Node::Chain(a, first), Node::Chain(b, second)) => {
                all(*a, *b)
                    && self.rels(*first, a.len as usize) == self.rels(*second, b.len as usize)
            }
            (Node::Neg(a), Node::Neg(b))
            | (Node::Abs(a), Node::Abs(b))
            | (Node::Fact(a), Node::Fact(b))
            | (Node::Percent(a), Node::Percent(b))
            | (Node::Degree(a), Node::Degree(b)) => self.is_same(*a, *b),
            (Node::Root(a, n), Node::Root(b, m)) | (Node::Unit(a, n), Node::Unit(b, m)) => {
                n == m && self.is_same(*a, *b)
            }
            (Node::Div(a, c), Node::Div(b, d))
            | (Node::Pow(a, c), Node::Pow(b, d))
            | (Node::Log(a, c), Node::Log(b, d))
            | (Node::SetMinus(a, c), Node::SetMinus(b, d))
            | (Node::In(a, c), Node::In(b, d)) => self.is_same(*a, *b) && self.is_same(*c, *d),
            (a, b) => a == b,
        }
    }

    /// Whether there is a matrix in any of the expressions.
    pub(crate) fn has_matrix(&self) -> bool {
        self.has_matrix
    }

    /// The number of a name, the same for the same spelling.
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        let known = self.names.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        }) as u32
    }

    pub(crate) fn sym(&mut self, name: &str) -> Result<NodeId, Stop> {
        let name = self.intern(name);
        self.push(Node::Sym(name))
    }

    pub(crate) fn int(&mut self, value: i64) -> Result<NodeId, Stop> {
        self.push(Node::Num(RBig::from(value)))
    }

    /// The product of several factors.
    pub(crate) fn product(&mut self, factors: &[NodeId]) -> Result<NodeId, Stop> {
        let kids = self.list_of(factors);
        self.push(Node::Mul(kids))
    }

    pub(crate) fn list_of(&mut self, nodes: &[NodeId]) -> Kids {
        let start = self.kids.len() as u32;
        self.kids.extend_from_slice(nodes);
        Kids { start, len: nodes.len() as u32 }
    }

    pub(crate) fn chain(&mut self, sides: &[NodeId], rels: &[Rel]) -> Result<NodeId, Stop> {
        let first = self.rels.len() as u32;
        self.rels.extend_from_slice(rels);
        let kids = self.list_of(sides);
        self.push(Node::Chain(kids, first))
    }

    /// Adds a node, unless it would be nested too deeply or have too much below it.
    pub(crate) fn push(&mut self, node: Node) -> Result<NodeId, Stop> {
        let below = |ids: &[NodeId]| {
            ids.iter().fold((1, 1_u32), |(depth, size), id| {
                let (its_depth, its_size) = self.extents[*id as usize];
                (depth.max(its_depth + 1), size.saturating_add(its_size))
            })
        };
        let (depth, size) = match &node {
            Node::Add(kids)
            | Node::Mul(kids)
            | Node::Fn(_, kids)
            | Node::List(kids)
            | Node::Set(kids)
            | Node::Brackets(_, kids, _)
            | Node::Union(kids)
            | Node::Inter(kids)
            | Node::Chain(kids, _)
            | Node::Ratio(kids)
            | Node::Matrix(kids, _) => below(self.kids(*kids)),
            Node::Neg(a)
            | Node::Root(a, _)
            | Node::Abs(a)
            | Node::Fact(a)
            | Node::Percent(a)
            | Node::Degree(a)
            | Node::Unit(a, _) => below(&[*a]),
            Node::Div(a, b)
            | Node::Pow(a, b)
            | Node::Log(a, b)
            | Node::SetMinus(a, b)
            | Node::In(a, b) => below(&[*a, *b]),
            Node::Num(_)
            | Node::Sci(..)
            | Node::Based(..)
            | Node::Sym(_)
            | Node::Const(_)
            | Node::Infinity
            | Node::Empty => (0, 1),
        };
        if depth > MAX_DEPTH || size > MAX_SIZE {
            return Err(Stop::Unknown);
        }
        self.has_matrix |= matches!(node, Node::Matrix(..));
        self.nodes.push(node);
        self.extents.push((depth, size));
        Ok((self.nodes.len() - 1) as NodeId)
    }
}
