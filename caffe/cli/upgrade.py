"""What the three tools that upgrade a file have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caffe import _caffe
from caffe.cli import flags


def upgrade(
    tool: str, what: str, message: str, convert: Callable[[str, str], bool], arguments: Sequence[str]
) -> int:
    """Runs one: `convert(input, output)` writes the file and says whether there was anything to upgrade."""
    parser = flags.tool_parser(tool, f"Brings {what} to today's format, whatever it has.", f"{tool} old new")
    parser.add_argument("input", help="the file of an older format")
    parser.add_argument("output", help="the file to write; may be the same")
    options = flags.parse(parser, arguments)
    if not convert(options.input, options.output):
        _caffe.log_from(__file__, 0, f"File already in latest proto format: {options.input}", 1)
    _caffe.log(f"Wrote upgraded {message} to {options.output}")
    return 0
