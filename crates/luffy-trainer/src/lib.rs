//! Placeholder, replaced in the same session.
