"""Reads a Parquet file with DuckDB and with pyarrow and prints what each sees, as one JSON document."""

import json
import sys

import duckdb
import pyarrow.parquet as pq

path = sys.argv[1]
connection = duckdb.connect()
described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
rows = connection.execute("SELECT * FROM read_parquet(?)", [path]).fetchall()
table = pq.read_table(path)
print(
    json.dumps(
        {
            "duckdb": {
                "types": {name: kind for name, kind, *_ in described},
                "rows": [[None if value is None else str(value) for value in row] for row in rows],
            },
            "pyarrow": {
                "types": {field.name: str(field.type) for field in table.schema},
                "rows": table.num_rows,
                "nulls": {name: table.column(name).null_count for name in table.column_names},
            },
        }
    )
)
