"""Writes C++ that uses each name of the C++ interface as the list cpp_api.tsv has it.

A line of the list is a header, the scope that it declares a name in, what the name is (class, type, function,
member, enumerator, constant or macro), its type (of a function: what it returns; of a class: its bases), the
name, and a function's parameters. `Dtype` stands for the parameter of a template.
"""

from __future__ import annotations

import csv
import pathlib
import re
from collections import defaultdict
from typing import NamedTuple

LIST = pathlib.Path(__file__).with_name("cpp_api.tsv")

PRELUDE = """
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
template <typename Function> struct Is;
template <typename Result, typename... Arguments> struct Is<Result(Arguments...)> {
  template <typename Class> static void Const(Result (Class::*)(Arguments...) const);
  template <typename Class> static void Plain(Result (Class::*)(Arguments...));
  static void Plain(Result (*)(Arguments...));
};
namespace caffe { namespace db {} }
using namespace caffe;
using namespace caffe::db;
using std::map; using std::string; using std::vector;
typedef float Dtype;
"""

# Words that end a parameter's type, where a parameter has no name.
_TYPE_WORDS = {"int", "float", "double", "Dtype", "bool", "char", "long", "unsigned", "size_t", "const"}


class Name(NamedTuple):
    header: str
    scope: str
    kind: str
    type: str
    name: str
    signature: str

    def __str__(self) -> str:
        return f"{self.header}: {self.kind} {self.type} {self.scope}::{self.name}{self.signature}"


def read_list() -> list[Name]:
    with open(LIST, newline="") as file:
        return [Name(*row) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def _parameters(signature: str) -> list[tuple[str, bool]]:
    """Type and whether there is a default, for each parameter."""
    text = signature[1 : signature.rindex(")")]
    parts, depth = [""], 0
    for character in text:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    result = []
    for part in filter(str.strip, parts):
        declared, equals, _ = part.partition("=")
        declared = declared.strip()
        named = re.match(r"^(.*[\s*&>])([A-Za-z_]\w*)$", declared)
        if "(*" in declared.replace(" ", ""):
            declared = re.sub(r"\(\s*\*\s*\w*\s*\)", "(*)", declared)
        elif named and named[2] not in _TYPE_WORDS and named[1].strip() not in ("const", "unsigned"):
            declared = named[1].strip()
        result.append((declared, bool(equals)))
    return result


class Program:
    """A translation unit that uses the names."""

    def __init__(self, names: list[Name]):
        self._classes = {f"{name.scope}::{name.name}" for name in names if name.kind == "class"}
        self._templates = {
            f"{name.scope}::{name.name}"
            for name in names
            if name.kind == "class" and name.signature == "<Dtype>"
        }
        self._lines = [f'#include "{header}"' for header in dict.fromkeys(name.header for name in names)]
        self._lines.append(PRELUDE)
        by_scope = defaultdict(list)
        for index, name in enumerate(names):
            by_scope[name.scope].append((index, name))
        for scope, members in by_scope.items():
            if scope in self._classes:
                self._use_members(scope, members)
            else:
                for index, name in members:
                    self._use_in_namespace(index, name)

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def _spelled(self, qualified: str) -> str:
        """The class with an argument for its template, or for that of the class around it."""
        parts = qualified.split("::")
        for i in range(len(parts)):
            if "::".join(parts[: i + 1]) in self._templates:
                parts[i] += "<float>"
        return "::".join(parts)

    def _add(self, index: int, text: str) -> None:
        # Errors then name the position in the list of names.
        self._lines += [f'#line {index + 1} "api"', text]

    def _use_in_namespace(self, index: int, name: Name) -> None:
        full = f"{name.scope}::{name.name}" if name.scope else f"::{name.name}"
        if name.kind == "macro":
            self._lines += [f"#ifndef {name.name}", f'#line {index + 1} "api"', "#error missing", "#endif"]
        elif name.kind == "class":
            spelled = self._spelled(full)
            self._add(index, f"typedef {spelled} Use{index};")
            for base in re.split(r",(?![^<]*>)", name.type):
                if base:
                    self._add(index, f'static_assert(std::is_base_of<{base}, {spelled}>::value, "base");')
        elif name.kind == "type":
            self._add(index, f"typedef {full} Use{index};")
            if name.type:
                self._add(index, f'static_assert(std::is_same<{full}, {name.type}>::value, "type");')
        elif name.kind in ("constant", "enumerator"):
            self._add(index, f"const auto Use{index} = {full};")
        else:
            parameters = _parameters(name.signature)
            types = ", ".join(type_ for type_, _ in parameters)
            of_dtype = "Dtype" in name.signature + name.type
            self._add(
                index,
                f"void Use{index}() {{ Is<{name.type}({types})>::Plain(&{full}{'<float>' * of_dtype}); }}",
            )
            self._use_defaults(index, full, parameters)

    def _use_defaults(self, index: int, called: str, parameters: list[tuple[str, bool]]) -> None:
        if any(default for _, default in parameters):
            values = ", ".join(f"std::declval<{type_}>()" for type_, default in parameters if not default)
            self._add(index, f"void Shorter{index}() {{ typedef decltype({called}({values})) Result; }}")

    def _use_members(self, scope: str, members: list[tuple[int, Name]]) -> None:
        """From a derived class, which sees what is protected."""
        spelled = self._spelled(scope)
        probe = f"Probe{members[0][0]}"
        self._lines.append(f"struct {probe} : {spelled} {{ typedef float Dtype; typedef float T;")
        constructors = []
        for index, name in members:
            if name.kind == "member":
                same = f"std::is_same<{name.type}, decltype({probe}::{name.name})>::value"
                self._add(index, f'void Use{index}() {{ static_assert({same}, "type"); }}')
            elif name.kind == "enumerator":
                self._add(index, f"void Use{index}() {{ (void){probe}::{name.name}; }}")
            elif name.kind in ("type", "class"):
                self._add(index, f"typedef {probe}::{name.name} Use{index};")
            elif name.name == scope.split("::")[-1]:
                constructors.append((index, _parameters(name.signature)))
            else:
                parameters = _parameters(name.signature)
                types = ", ".join(type_ for type_, _ in parameters)
                const = "Const" if name.signature.endswith("const") else "Plain"
                address = f"&{probe}::{name.name}"
                self._add(index, f"void Use{index}() {{ Is<{name.type}({types})>::{const}({address}); }}")
                self._use_defaults(index, f"std::declval<{probe}&>().{name.name}", parameters)
        self._lines.append("};")
        for index, parameters in constructors:
            for kept in {len(parameters), sum(not default for _, default in parameters)}:
                self._use_constructor(f"Made{index}With{kept}", index, spelled, parameters[:kept])

    def _use_constructor(self, made: str, index: int, spelled: str, parameters) -> None:
        declared = ", ".join(
            type_.replace("(*)", f"(*a{i})") if "(*)" in type_ else f"{type_} a{i}"
            for i, (type_, _) in enumerate(parameters)
        )
        values = ", ".join(f"a{i}" for i in range(len(parameters)))
        self._add(
            index,
            f"struct {made} : {spelled} {{ typedef {spelled} Base; typedef float Dtype; typedef float T;"
            f" explicit {made}({declared}) : Base({values}) {{}} }};",
        )
