"""Whether two Parquet outputs have the same rows: what peers.py holds its tools' outputs against each other by."""

import re

import duckdb

# Differing values of a column that are shown.
SHOWN = 3


def kind(declared):
    if re.match(r"U?(TINY|SMALL|BIG|HUGE)?INT|INTEGER|UINTEGER", declared):
        return "integer"
    if declared.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return "number"
    if declared.startswith(("DATE", "TIMESTAMP")):
        return "time"
    return {"BOOLEAN": "boolean", "VARCHAR": "text"}.get(declared, declared)


def turned(column, declared, other, nulls):
    """What a side of a column is compared as: numbers by value, instants in microseconds, else texts.

    A text that may mean null is as good as null: some peers cannot be told.
    """
    kinds = {kind(declared), kind(other)}
    if len(kinds) == 2:
        kinds.discard("text")  # as the other side has it
    if kinds == {"integer"}:
        return f"try_cast({column} AS HUGEINT)"
    if kinds <= {"integer", "number"}:
        return f"try_cast({column} AS DOUBLE) + 0.0"  # +0 and -0 are one
    if kinds == {"integer", "time"}:  # Parquet has no timestamps in seconds: Arrow's become plain integers
        return column if kind(declared) == "integer" else f"epoch_us({column}) // 1000000"
    if kinds == {"time"}:
        return f"epoch_us(try_cast({column} AS TIMESTAMP))"
    if kinds == {"boolean"}:
        return f"try_cast({column} AS BOOLEAN)"
    return presence(column, nulls)


def presence(column, nulls):
    """A column as texts, null where they may mean that."""
    spelled = ", ".join(f"'{null}'" for null in nulls)
    return f"CASE WHEN {column}::VARCHAR NOT IN ({spelled}) THEN {column}::VARCHAR END"


def compare(ours, theirs, nulls):
    """In what two outputs differ: types (which may), rows and values (which may not)."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    described = []
    for view, files in (("ours", ours), ("theirs", theirs)):
        connection.execute(f"CREATE VIEW {view} AS FROM read_parquet({files})")
        described.append([(row[0], row[1]) for row in connection.execute(f"DESCRIBE {view}").fetchall()])
    if len(described[0]) != len(described[1]):
        return {"rows": [], "types": [], "values": [f"{len(described[0])} columns against {len(described[1])}"]}
    sides = [
        [turned(quoted_name(name), declared, other, nulls) for (name, declared), (_, other) in zip(*order)]
        for order in (described, described[::-1])
    ]
    # Counted as they are: a text that cannot be what the other side has is a value all the same.
    present = [[presence(quoted_name(name), nulls) for name, _ in side] for side in described]
    sums = []
    for view, values, counted in zip(("ours", "theirs"), sides, present):
        wanted = ["count(*)", f"sum(hash({', '.join(values)}))"]
        wanted += [call for value, one in zip(values, counted) for call in (f"count({one})", f"sum(hash({value}))")]
        sums.append(connection.execute(f"SELECT {', '.join(wanted)} FROM {view}").fetchone())
    types, differ = [], []
    for place, ((name, mine), (_, other)) in enumerate(zip(*described)):
        if kind(mine) != kind(other):
            types.append(f"{name}: {mine} against {other}")
        at = 2 + 2 * place
        if sums[0][at : at + 2] != sums[1][at : at + 2]:
            alone = samples(connection, sides[0][place], sides[1][place])
            differ.append(f"{name}: {sums[0][at]} values against {sums[1][at]}; {alone}")
    if not differ and sums[0][1] != sums[1][1]:
        differ.append("each column has the same values, the rows do not")
    return {"rows": [sums[0][0], sums[1][0]], "types": types, "values": differ}


def quoted_name(name):
    return '"' + name.replace('"', '""') + '"'


def samples(connection, mine, other):
    """A few values of a column that one side has and the other has not."""
    ours, theirs = f"SELECT {mine} AS v FROM ours", f"SELECT {other} AS v FROM theirs"
    found = []
    for who, first, second in (("lake", ours, theirs), ("peer", theirs, ours)):
        rows = connection.execute(f"{first} EXCEPT ALL {second} LIMIT {SHOWN}").fetchall()
        found.append(f"{who} alone: {[row[0] for row in rows]!r}")
    return ", ".join(found)
