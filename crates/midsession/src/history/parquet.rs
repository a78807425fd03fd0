//! A Parquet file of flat columns, every one of them nullable; written row group by row group.

use super::table::{Cell, Kind};
use midsession_event::Str;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Bytes that are kept before they are written as a row group.
const GROUP_BYTES: usize = 16 << 20;

/// The values of a column that are not written yet.
enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
}

struct Column {
    values: Values,
    /// 1 where there is a value, 0 where there is none.
    levels: Vec<i16>,
}

/// The writer.
pub struct Parquet {
    writer: Option<SerializedFileWriter<File>>,
    columns: Vec<Column>,
    bytes: usize,
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}

impl Parquet {
    /// A file with these columns.
    ///
    /// # Errors
    /// Two columns have one name, or the file can't be written.
    pub fn new(file: File, columns: Vec<(Str, Kind)>) -> io::Result<Self> {
        let mut fields = Vec::with_capacity(columns.len());
        let mut values = Vec::with_capacity(columns.len());
        for (index, (name, kind)) in columns.iter().enumerate() {
            if columns[..index].iter().any(|(other, _)| other == name) {
                let what = format!("two columns would be called `{name}`: rename the feature, or write .jsonl");
                return Err(io::Error::other(what));
            }
            let millis = LogicalType::Timestamp { is_adjusted_to_u_t_c: true, unit: TimeUnit::MILLIS };
            let (physical, logical, empty) = match kind {
                Kind::Int => (Physical::INT64, None, Values::Int(Vec::new())),
                Kind::Time => (Physical::INT64, Some(millis), Values::Int(Vec::new())),
                Kind::Float => (Physical::DOUBLE, None, Values::Float(Vec::new())),
                Kind::Bool => (Physical::BOOLEAN, None, Values::Bool(Vec::new())),
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), Values::Text(Vec::new())),
            };
            let field = Type::primitive_type_builder(name, physical)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(logical)
                .build();
            fields.push(Arc::new(field.map_err(failed)?));
            values.push(Column { values: empty, levels: Vec::new() });
        }
        let schema = Type::group_type_builder("rows").with_fields(fields).build().map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Self { writer: Some(writer), columns: values, bytes: 0 })
    }

    /// Takes a row.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += 10;
            let is_there = match (&mut column.values, cell) {
                (_, Cell::Null) => false,
                (Values::Int(values), Cell::Int(value) | Cell::Time(value)) => {
                    values.push(value);
                    true
                }
                (Values::Float(values), Cell::Float(value)) => {
                    values.push(value);
                    true
                }
                (Values::Float(values), Cell::Int(value)) => {
                    values.push(value as f64);
                    true
                }
                (Values::Bool(values), Cell::Bool(value)) => {
                    values.push(value);
                    true
                }
                (Values::Text(values), cell) => {
                    let text = as_text(cell);
                    self.bytes += text.len() + size_of::<ByteArray>();
                    values.push(ByteArray::from(text.into_bytes()));
                    true
                }
                // A value of another type than its definition says: no column of this type can hold it.
                (Values::Int(_) | Values::Float(_) | Values::Bool(_), _) => false,
            };
            column.levels.push(i16::from(is_there));
        }
        if self.bytes >= GROUP_BYTES { self.group() } else { Ok(()) }
    }

    fn group(&mut self) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        self.bytes = 0;
        if self.columns.first().is_none_or(|column| column.levels.is_empty()) {
            return Ok(());
        }
        let mut group = writer.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            let levels = std::mem::take(&mut column.levels);
            match &mut column.values {
                Values::Int(values) => write::<Int64Type>(&mut group, values, &levels)?,
                Values::Float(values) => write::<DoubleType>(&mut group, values, &levels)?,
                Values::Bool(values) => write::<BoolType>(&mut group, values, &levels)?,
                Values::Text(values) => write::<ByteArrayType>(&mut group, values, &levels)?,
            }
        }
        group.close().map_err(failed)?;
        Ok(())
    }

    /// Writes what is left and the end of the file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.group()?;
        match self.writer.take() {
            Some(writer) => writer.close().map(|_| ()).map_err(failed),
            None => Ok(()),
        }
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> io::Result<()> {
    if let Some(mut column) = group.next_column().map_err(failed)? {
        column.typed::<T>().write_batch(values, Some(levels), None).map_err(failed)?;
        column.close().map_err(failed)?;
    }
    values.clear();
    Ok(())
}

fn as_text(cell: Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Int(value) | Cell::Time(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Bool(value) => value.to_string(),
        Cell::Text(text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn it_is_read_back_as_written() {
        let columns =
            [("n", Kind::Int), ("x", Kind::Float), ("text", Kind::Text), ("flag", Kind::Bool), ("at", Kind::Time)];
        let columns = columns.map(|(name, kind)| (Str::from(name), kind)).to_vec();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut parquet = Parquet::new(file.reopen().expect("opens"), columns).expect("a schema");
        let row = |n: i64| match n % 3 {
            0 => vec![Cell::Null; 5],
            1 => vec![Cell::Int(n), Cell::Float(0.5), Cell::Text("ü".into()), Cell::Bool(true), Cell::Time(n)],
            _ => vec![Cell::Int(-n), Cell::Int(2), Cell::Int(3), Cell::Null, Cell::Time(-1)],
        };
        let rows = 300_000;
        (0..rows).for_each(|n| parquet.row(row(n)).expect("writes"));
        parquet.finish().expect("ends");
        let reader = SerializedFileReader::new(file.reopen().expect("opens")).expect("a Parquet file");
        assert!(reader.num_row_groups() > 1, "{}", reader.num_row_groups());
        let mut found = 0;
        for (n, row) in (0..).zip(reader.get_row_iter(None).expect("rows")) {
            let row = row.expect("a row").to_string();
            let expected = match n % 3 {
                0 => "{n: null, x: null, text: null, flag: null, at: null}".to_owned(),
                1 => format!("{{n: {n}, x: 0.5, text: \"ü\", flag: true, at: "),
                _ => format!("{{n: -{n}, x: 2.0, text: \"3\", flag: null, at: "),
            };
            assert!(row.starts_with(&expected), "{row}");
            found += 1;
        }
        assert_eq!(found, rows);
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        let columns = vec![(Str::from("at"), Kind::Time), (Str::from("at"), Kind::Int)];
        let refused = Parquet::new(tempfile::tempfile().expect("a file"), columns).err().expect("refused");
        assert!(refused.to_string().contains("`at`"), "{refused}");
    }
}
