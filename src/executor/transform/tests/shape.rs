//! Bytes that are no plugin.
