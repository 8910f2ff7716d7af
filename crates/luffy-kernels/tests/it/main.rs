//! Fused forms against composed ones, closed forms in f64, and finite differences.

mod attention;
mod cache;
mod elementwise;
mod fixture;
mod products;
