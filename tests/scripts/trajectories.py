"""What pyarrow finds in an artifact store: `trajectories.py BLOBS` prints one JSON object with, for every Parquet file of trajectories,
its column types and the counts of its outcomes, and the columns of every other table.
"""

import collections
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def is_parquet(path):
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def describe(table):
    lengths = zip(table["completion_tokens"].to_pylist(), table["log_probs"].to_pylist(), strict=True)
    return {
        "columns": {field.name: str(field.type) for field in table.schema},
        "rows": table.num_rows,
        "outcomes": collections.Counter(table["outcome"].to_pylist()),
        "uneven": sum(len(tokens) != len(log_probs) for tokens, log_probs in lengths if log_probs),
    }


def main():
    files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file() and is_parquet(path))
    tables = [pq.read_table(path) for path in files]
    trajectories = [table for table in tables if "completion_tokens" in table.column_names]
    others = [table.column_names for table in tables if "completion_tokens" not in table.column_names]
    print(json.dumps({"files": [describe(table) for table in trajectories], "others": others}))


if __name__ == "__main__":
    main()
