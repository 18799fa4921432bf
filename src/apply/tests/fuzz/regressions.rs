//! Cases that failed once, as the fuzz printed them.
