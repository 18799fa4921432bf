//! Plugins as machine code.
