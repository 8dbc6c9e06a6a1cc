"""caffe completion: what completes commands and flags in a shell."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import COMMANDS, TOOLS, flags, module_of

_SHELLS = ["bash", "zsh", "fish"]


def run(arguments: Sequence[str]) -> int:
    parser = flags.parser(
        "completion",
        "Writes a script that lets a shell complete commands, flags and their values.",
        [],
        "caffe completion bash > ~/.local/share/bash-completion/completions/caffe",
    )
    parser.add_argument("shell", choices=_SHELLS, help="bash, zsh or fish")
    options = flags.parse(parser, arguments)
    print(_fish() if options.shell == "fish" else _bash(options.shell))
    return 0


@dataclass
class _Flag:
    """A flag to complete, and its values: some words, or files where `files`."""

    name: str
    help: str
    takes_value: bool
    choices: Sequence[str]
    files: bool


def _flags(command: str) -> Iterator[_Flag]:
    parser = flags.described(module_of(command))
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or not action.option_strings:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        # -phase is TRAIN|TEST.
        named = metavar.split("|") if metavar.isupper() and "|" in metavar else []
        yield _Flag(
            name=action.option_strings[0],
            help=action.help or "",
            takes_value=action.nargs != 0,
            choices=[str(choice) for choice in action.choices or named if choice],
            files=any(word in metavar for word in ("FILE", "DIR", "PICTURE")),
        )


def _bash(shell: str) -> str:
    """For zsh, too, which takes bash's completions."""
    words, values = [], []
    for command in [*COMMANDS, *TOOLS]:
        known = list(_flags(command))
        words.append(f"    {command}) words={shlex.quote(' '.join(flag.name for flag in known))} ;;")
        for flag in known:
            if flag.choices:
                values.append(f"    {command},{flag.name}) words={shlex.quote(' '.join(flag.choices))} ;;")
            elif flag.takes_value and not flag.files:
                values.append(f"    {command},{flag.name}) return ;;")
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    tools = " ".join(TOOLS)
    nl = "\n"
    return f"""{start}_caffe() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[0]##*/}}
  local words=""
  if [[ $command == caffe ]]; then
    command=${{COMP_WORDS[1]}}
    if [[ $COMP_CWORD -eq 1 ]]; then
      COMPREPLY=($(compgen -W "{" ".join([*COMMANDS, *TOOLS])}" -- "$word"))
      return
    fi
  fi
  case "$command,$before" in
{nl.join(values)}
  esac
  if [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    return
  fi
  if [[ $word == -* ]]; then
    case "$command" in
{nl.join(words)}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    return
  fi
  COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _caffe caffe {tools}"""


def _fish() -> str:
    lines = ["complete -c caffe -f -n __fish_use_subcommand"]
    for command, summary in {**COMMANDS, **TOOLS}.items():
        lines.append(f"complete -c caffe -n __fish_use_subcommand -a {command} -d {shlex.quote(summary)}")
        for flag in _flags(command):
            option = f"-o {flag.name.lstrip('-')} -d {shlex.quote(flag.help)}"
            if flag.choices:
                option += f" -x -a {shlex.quote(' '.join(flag.choices))}"
            elif flag.takes_value:
                option += " -r" if flag.files else " -x"
            lines.append(f"complete -c caffe -n '__fish_seen_subcommand_from {command}' {option}")
            if command in TOOLS:
                lines.append(f"complete -c {command} {option}")
    return "\n".join(lines)
