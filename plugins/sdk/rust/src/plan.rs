//! What a transform does with the columns that come.

use std::marker::PhantomData;

use crate::{
    builder::Builders,
    handle::{In, Out},
    opened::Contract,
    types::{Decimal, Field, Schema, Type},
    value::{Kind, Plain, Value},
};

/// What a transform does with the columns that come: filled in by [`open`](crate::RowTransform::open).
#[derive(Debug)]
pub struct Plan {
    input: Schema,
    pub(crate) reads: Vec<Read>,
    pub(crate) views: Vec<ViewOf>,
    drops: Vec<String>,
    pub(crate) outputs: Vec<Output>,
}

/// A column that batches bring.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) field: Field,
    /// It leaves the table.
    taken: bool,
}

/// A way in which a column of the batch is read.
#[derive(Debug)]
pub(crate) struct ViewOf {
    pub(crate) kind: Kind,
    /// Among the reads.
    pub(crate) column: usize,
    /// Of a decimal.
    pub(crate) scale: u8,
}

/// A column that batches give back.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) field: Field,
    pub(crate) origin: Origin,
}

/// Where a column that is given back comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// That builder of its kind.
    Built(usize),
    /// That column of the batch, as it came.
    Read(usize),
}

impl Plan {
    pub(crate) fn of(input: Schema) -> Plan {
        Plan { input, reads: Vec::new(), views: Vec::new(), drops: Vec::new(), outputs: Vec::new() }
    }

    /// The columns that come.
    pub fn input(&self) -> &Schema {
        &self.input
    }

    /// Reads a column. It stays in the table as it is, unless an output has its name.
    ///
    /// ```no_run
    /// # fn open(plan: &mut lake_transform::Plan) -> Result<(), String> {
    /// let delay = plan.read::<i64>("dep_delay")?; // int64, or int32
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// There is no such column, or it holds something else. The error says what is there.
    pub fn read<T: Value + ?Sized>(&mut self, name: &str) -> Result<In<T>, String> {
        self.view(name, false)
    }

    /// Reads a column, which leaves the table, unless an output has its name.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn take<T: Value + ?Sized>(&mut self, name: &str) -> Result<In<T>, String> {
        self.view(name, true)
    }

    /// Removes a column that need not be looked at from the table.
    ///
    /// # Errors
    /// There is no such column.
    pub fn drop(&mut self, name: &str) -> Result<(), String> {
        if self.input.get(name).is_none() {
            return Err(self.no_column(name));
        }
        match self.reads.iter_mut().find(|read| read.field.name == name) {
            Some(read) => read.taken = true,
            None if self.drops.iter().any(|dropped| dropped == name) => {}
            None => self.drops.push(name.to_owned()),
        }
        Ok(())
    }

    /// Gives back a column, such as `plan.output::<str>("delay_class")`. It takes the place of the column that is
    /// read and has its name, or comes after all others.
    pub fn output<T: Plain + ?Sized>(&mut self, name: &str) -> Out<T> {
        self.add_output(name, T::TYPE)
    }

    /// Gives back a column of decimals with that many digits, `scale` of them after the point.
    pub fn output_decimal(&mut self, name: &str, precision: u8, scale: u8) -> Out<Decimal> {
        self.add_output(name, Type::Decimal { precision, scale })
    }

    fn add_output<T: ?Sized>(&mut self, name: &str, data_type: Type) -> Out<T> {
        // Each kind has a list of its own, and the order of its builders is that of its outputs.
        let mut builders = self.builders();
        let at = builders.add(data_type);
        let field = Field { name: name.to_owned(), data_type };
        self.outputs.push(Output { field, origin: Origin::Built(at) });
        Out { at, of: PhantomData }
    }

    fn view<T: Value + ?Sized>(&mut self, name: &str, take: bool) -> Result<In<T>, String> {
        let Some(found) = self.input.get(name) else { return Err(self.no_column(name)) };
        let Some(kind) = T::kind(found) else {
            return Err(format!("column {name} is {found}; {} is needed", T::WANTED));
        };
        let column = match self.reads.iter().position(|read| read.field.name == name) {
            Some(column) => column,
            None => {
                // A column cannot be both read and dropped: then it is taken.
                let taken = self.drops.iter().any(|dropped| dropped == name);
                self.drops.retain(|dropped| dropped != name);
                self.reads.push(Read { field: Field { name: name.to_owned(), data_type: found }, taken });
                self.reads.len() - 1
            }
        };
        self.reads[column].taken |= take;
        let list = |kind| match kind {
            Kind::I64OfI32 => Kind::I64,
            Kind::F64OfI32 => Kind::F64,
            other => other,
        };
        let at = self.views.iter().filter(|view| list(view.kind) == list(kind)).count();
        let scale = if let Type::Decimal { scale, .. } = found { scale } else { 0 };
        self.views.push(ViewOf { kind, column, scale });
        Ok(In { at, column, of: PhantomData })
    }

    fn no_column(&self, name: &str) -> String {
        let names: Vec<&str> = self.input.names().collect();
        match names.as_slice() {
            [] => format!("there is no column {name}: no columns come"),
            names => format!("there is no column {name}: those that come are {}", names.join(", ")),
        }
    }

    /// Builders for the outputs, in the order in which their handles were given.
    pub(crate) fn builders(&self) -> Builders {
        let mut builders = Builders::default();
        for output in &self.outputs {
            if let Origin::Built(_) = output.origin {
                builders.add(output.field.data_type);
            }
        }
        builders
    }

    /// Adds what is read and stays to the outputs, and looks whether all of it fits together.
    pub(crate) fn finish(&mut self) -> Result<Contract, String> {
        for (place, output) in self.outputs.iter().enumerate() {
            let name = &output.field.name;
            check_name(name)?;
            check_digits(&output.field)?;
            if self.outputs[..place].iter().any(|earlier| earlier.field.name == *name) {
                return Err(format!("there are two outputs with the name {name}"));
            }
            let is_read = self.reads.iter().any(|read| read.field.name == *name);
            if !is_read && self.input.get(name).is_some() && !self.drops.contains(name) {
                return Err(format!(
                    "the output {name} has the name of a column of the dataset that is not read: read or drop that, or name the output otherwise"
                ));
            }
        }
        for (column, read) in self.reads.iter().enumerate() {
            let replaced = self.outputs.iter().any(|output| output.field.name == read.field.name);
            if !read.taken && !replaced {
                self.outputs.push(Output { field: read.field.clone(), origin: Origin::Read(column) });
            }
        }
        Ok(Contract {
            reads: self.reads.iter().map(|read| read.field.name.clone()).collect(),
            drops: self.drops.clone(),
            output: self.outputs.iter().map(|output| output.field.clone()).collect(),
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if is_name {
        return Ok(());
    }
    Err(format!("the output \"{name}\" is no name of a column: a lower-case letter, then letters, digits and `_`"))
}

fn check_digits(field: &Field) -> Result<(), String> {
    match field.data_type {
        Type::Decimal { precision, scale } if !(1..=38).contains(&precision) || scale > precision => Err(format!(
            "the output {} is {}: a decimal has 1 to 38 digits, and not more of them after the point",
            field.name, field.data_type
        )),
        _ => Ok(()),
    }
}
