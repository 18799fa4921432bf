//! Handles of columns: numbers with a type.

use std::{fmt, marker::PhantomData};

/// A column that is read, as [`Plan::read`](crate::Plan::read) and [`Plan::take`](crate::Plan::take) give it.
pub struct In<T: ?Sized> {
    /// Among the views that hold this kind of value.
    pub(crate) at: usize,
    /// Among the columns of the batch.
    pub(crate) column: usize,
    pub(crate) of: PhantomData<fn(&T)>,
}

/// A column that is given back, as [`Plan::output`](crate::Plan::output) gives it.
pub struct Out<T: ?Sized> {
    /// Among the builders of this kind of value.
    pub(crate) at: usize,
    pub(crate) of: PhantomData<fn(&T)>,
}

// By hand, since `derive` would ask for `T: Clone`.
impl<T: ?Sized> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for In<T> {}
impl<T: ?Sized> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Out<T> {}

impl<T: ?Sized> fmt::Debug for In<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "In({})", self.column)
    }
}

impl<T: ?Sized> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Out({})", self.at)
    }
}
