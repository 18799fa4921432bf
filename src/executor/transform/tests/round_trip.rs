//! Every type crosses the border and comes back.
