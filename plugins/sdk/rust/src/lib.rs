//! Transforms for lake: Rust that works on the rows of a table while CSV becomes Parquet.
//!
//! A transform is a small WASM component. Lake opens it once for a file, with its configuration and the columns that
//! come, and then gives it rows. For each row it says: kept, filtered, or rejected with a reason. What it does not
//! read passes it by. It has no files, no network and no clock; it can do nothing but answer.
//!
//! # A transform
//!
//! ```
//! use lake_transform::{Config, In, Out, Outcome, Plan, Reject, Row, RowOut, RowTransform};
//!
//! /// Miles to kilometres; trips of no length are of no interest, negative ones are wrong.
//! struct Kilometres {
//!     miles: In<f64>,
//!     kilometres: Out<f64>,
//! }
//!
//! impl RowTransform for Kilometres {
//!     fn open(_config: &Config, plan: &mut Plan) -> Result<Self, String> {
//!         Ok(Kilometres { miles: plan.take("miles")?, kilometres: plan.output("kilometres") })
//!     }
//!
//!     fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
//!         let miles = row.require(self.miles)?; // null: rejected as `missing_value`, with the column's name
//!         if miles == 0.0 {
//!             return Ok(Outcome::Filter);
//!         }
//!         if miles < 0.0 {
//!             return Err(row.reject(self.miles, "impossible_distance", format!("{miles} miles")));
//!         }
//!         out.set(self.kilometres, miles * 1.609344);
//!         Ok(Outcome::Keep)
//!     }
//! }
//!
//! lake_transform::export!(Kilometres);
//!
//! // It runs natively too, which is how it is tested:
//! # fn main() -> Result<(), String> {
//! use lake_transform::testing::Table;
//! let rows = Table::new().column("taxi", ["a", "b", "c", "d"]).column("miles", [Some(1.0), Some(0.0), Some(-3.0), None]);
//! let done = rows.transform::<Kilometres>(&[])?;
//! assert_eq!(done.cells("kilometres"), ["1.609344"]);
//! assert_eq!(done.rejects(), ["row 2: impossible_distance (miles): -3 miles", "row 3: missing_value (miles): there is no value"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Columns
//!
//! [`RowTransform::open`] asks the [`Plan`] for what it needs, and gets handles. A handle is a number with a type, so
//! that no name is looked up while rows go by, and a mistake in a type is an error of the compiler's or of `open`'s:
//! before any row.
//!
//! | | in the batch | in the table afterwards |
//! |---|---|---|
//! | [`Plan::read`] | yes | as it was, unless an output has its name |
//! | [`Plan::take`] | yes | gone, unless an output has its name |
//! | [`Plan::drop`] | no | gone |
//! | [`Plan::output`] | | new; or in the place of the column that is read and has its name |
//! | none of these | no | as it was |
//!
//! | type of the column | handle of | values |
//! |---|---|---|
//! | `boolean` | `bool` | `bool` |
//! | `int32` | `i32`, and when reading `i64`, `f64` | |
//! | `int64` | `i64` | |
//! | `double` | `f64` | |
//! | `decimal(p,s)` | [`Decimal`] | [`Decimal`]: the number without its point, and its scale |
//! | `date` | [`Date`] | [`Date`]: days since 1970-01-01 |
//! | `timestamp` | [`Timestamp`] | [`Timestamp`]: microseconds since 1970-01-01T00:00:00 UTC |
//! | `string` | `str` | `&str`, borrowed from the batch |
//!
//! Every value may be null: [`Row::get`] gives an `Option`, and an output that is not set is null.
//!
//! # Rows
//!
//! [`RowTransform`] is for one row at a time; the loop around it is this crate's, is inlined, and allocates nothing per
//! row. Rows may be kept, filtered, rejected or multiplied ([`RowOut::emit`]). [`BatchTransform`] is for those who want
//! whole columns as slices.
//!
//! # What goes wrong
//!
//! * One row: [`Reject`]. It is set aside with its code, and the rows around it go on.
//! * The configuration or the columns: an `Err` of `open`. `lake plan` shows it.
//! * The whole file: a panic, or an `Err` of [`BatchTransform::batch`]. The file is parked with the message.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod abi;
mod batch;
mod builder;
mod column;
mod config;
mod handle;
pub mod log;
mod opened;
mod plan;
mod row;
pub mod testing;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod view;

pub use batch::{Batch, BatchOut, BatchTransform, pack};
pub use column::{Column, Text, Values};
pub use config::{Config, Setting};
pub use handle::{In, Out};
#[doc(hidden)]
pub use opened::{ByRow, Contract, Opened, RowError, Transformed};
pub use plan::Plan;
pub use row::{Outcome, Reject, Row, RowOut, RowTransform};
pub use types::{Date, Decimal, Field, Schema, Timestamp, Type};
pub use value::{Plain, Value};
pub use view::Texts;

/// Makes a type the transform of this crate: `export!(MyTransform)` for a [`RowTransform`], `export!(batch MyTransform)`
/// for a [`BatchTransform`]. Once a crate, whose `crate-type` is `cdylib`. The transform's name and version are the
/// package's.
///
/// For other targets than WASM it only checks that the type is a transform.
#[macro_export]
macro_rules! export {
    (batch $transform:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the border's functions")]
        const _: () = {
            ::std::thread_local! {
                static OPENED: ::std::cell::RefCell<::std::option::Option<$crate::Opened<$transform>>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Plugin;

            impl $crate::abi::Guest for Plugin {
                fn describe() -> $crate::abi::Description {
                    $crate::abi::describe(::std::env!("CARGO_PKG_NAME"), ::std::env!("CARGO_PKG_VERSION"))
                }

                fn open(
                    config: ::std::vec::Vec<(::std::string::String, ::std::string::String)>,
                    input: ::std::vec::Vec<$crate::abi::Field>,
                ) -> ::std::result::Result<$crate::abi::Contract, ::std::string::String> {
                    OPENED.with(|opened| $crate::abi::open(opened, config, input))
                }

                fn transform(
                    input: $crate::abi::Batch,
                ) -> ::std::result::Result<$crate::abi::Output, ::std::string::String> {
                    OPENED.with(|opened| $crate::abi::transform(opened, input))
                }
            }

            $crate::abi::bindings::__export_world!(Plugin with_types_in $crate::abi::bindings);
        };

        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_a_transform<T: $crate::BatchTransform>() {}
            is_a_transform::<$transform>();
        };
    };
    ($transform:ty) => {
        $crate::export!(batch $crate::ByRow<$transform>);
    };
}
