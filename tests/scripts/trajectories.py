"""What pyarrow finds in an artifact store: `trajectories.py BLOBS` prints one JSON object with, for every Parquet file that has
rows, its column types and the counts of its outcomes.
"""

import collections
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def is_parquet(path):
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def describe(path):
    table = pq.read_table(path)
    lengths = zip(table["completion_tokens"].to_pylist(), table["log_probs"].to_pylist(), strict=True)
    return {
        "columns": {field.name: str(field.type) for field in table.schema},
        "rows": table.num_rows,
        "outcomes": collections.Counter(table["outcome"].to_pylist()),
        "uneven": sum(len(tokens) != len(log_probs) for tokens, log_probs in lengths if log_probs),
    }


def main():
    files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file() and is_parquet(path))
    print(json.dumps({"files": [describe(path) for path in files]}))


if __name__ == "__main__":
    main()
