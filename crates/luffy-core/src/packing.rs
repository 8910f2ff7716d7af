//! Sequences one after the other, without padding.

use std::ops::Range;

/// A run of tokens that see each other, each what stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies among the packed tokens.
    pub tokens: Range<usize>,
    /// An earlier run that stands before it, seen whole by every token; several may share one. Such a run has
    /// none before itself.
    pub prefix: Option<Range<usize>>,
}

impl Segment {
    /// Tokens of its own.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens before it.
    pub fn prefix_len(&self) -> usize {
        self.prefix.as_ref().map_or(0, Range::len)
    }
}

/// How the tokens `[N]` of a batch fall into sequences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packing {
    /// In the order of their tokens, which they cover without gaps.
    pub segments: Vec<Segment>,
}

impl Packing {
    /// Tokens in all.
    pub fn n_tokens(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.tokens.end)
    }

    /// Adds a run of `len` tokens behind the others, after `prefix` if there is one; gives where it lies.
    ///
    /// # Panics
    /// If the prefix is no run of this packing that stands for itself.
    pub fn push(&mut self, len: usize, prefix: Option<Range<usize>>) -> Range<usize> {
        if let Some(prefix) = &prefix {
            let stands = |known: &Segment| known.tokens == *prefix && known.prefix.is_none();
            assert!(self.segments.iter().any(stands), "a prefix is a run that stands for itself");
        }
        let start = self.n_tokens();
        let tokens = start..start + len;
        self.segments.push(Segment { tokens: tokens.clone(), prefix });
        tokens
    }

    /// The position of every token in its sequence, from 0.
    pub fn positions(&self) -> Vec<u32> {
        let of = |segment: &Segment| {
            let first = segment.prefix_len() as u32;
            first..first + segment.len() as u32
        };
        self.segments.iter().flat_map(of).collect()
    }
}
