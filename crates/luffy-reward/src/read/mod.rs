//! Reading an answer: text to tokens to an expression.

mod ast;
mod lex;
mod parse;
mod token;
mod words;

pub(crate) use ast::{Ast, Const, Kids, Node, NodeId};
pub(crate) use lex::lex;
pub(crate) use parse::parse;
pub(crate) use token::{Bracket, Func, Rel, Tok, Token};
pub(crate) use words::{REALS, unit_name};
