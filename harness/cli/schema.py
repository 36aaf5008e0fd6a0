"""``kph schema``: the published schema of a JSON report."""

from __future__ import annotations

import argparse
import json

from harness import schema

NAME = "schema"
HELP = "print the JSON schema of a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=schema.names(), help="which report")


def run(args: argparse.Namespace) -> int:
    print(json.dumps(schema.load(args.name), indent=2))
    return 0
