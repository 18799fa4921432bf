//! Arrow arrays ↔ the lists of the contract.
