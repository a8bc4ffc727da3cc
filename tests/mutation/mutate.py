#!/usr/bin/env python3
"""Changes one thing at a time in include/ and tells which changes no test notices.

    tests/mutation/mutate.py                       every mutant: hours
    tests/mutation/mutate.py --sample 30 --seed 1  thirty of them
    tests/mutation/mutate.py --file include/polyak/schedules.hpp

A mutant swaps an operator for another, moves a comparison by one or turns it round, drops a `!`, changes a number or a
bool, swaps std::min and std::max, or leaves out an assignment, a call or a `return;`. Nearly all of them are compiled
together, each behind a switch (see switches.hpp), so that the tests are built once; each mutant is then tried with the
test cases that reach it. What only the compiler evaluates is changed in the text and compiled alone with the tests that
mirror its header. A mutant that does not compile is none; one that hangs, crashes or fails a test is killed. The
survivors are printed as path:line: before -> after; those of equivalent.txt, with their reasons, cannot be told from
the original by any test. Ends with 1 if there are others.
"""

import argparse
import bisect
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

TOKEN = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?\*/|\#(?:\\\n|[^\n])*)
      |(?P<text>[uU]?8?L?R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')
      |(?P<number>(?:0[xX][0-9a-fA-F'.]+(?:[pP][+-]?\d+)?|\d[\d']*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)[uUlLfFzZ]*)
      |(?P<word>[A-Za-z_]\w*)
      |(?P<space>\s+)
      |(?P<mark>->\*|<=>|\.\.\.|::|->|\+\+|--|&&|\|\||<<=|>>=|<=|>=|==|!=|\+=|-=|\*=|/=|%=|&=|\|=|\^=|.)""",
    re.VERBOSE | re.DOTALL,
)

# operator: the switch, and what it may become
BINARY = {
    "+": ("Plus", ["-"]),
    "-": ("Minus", ["+"]),
    "*": ("Times", ["/"]),
    "/": ("Over", ["*"]),
    "%": ("Modulo", ["/"]),
    "<<": ("ShiftLeft", [">>"]),
    ">>": ("ShiftRight", ["<<"]),
    "&": ("BitAnd", ["|"]),
    "|": ("BitOr", ["&"]),
    "^": ("BitXor", ["&"]),
    "<": ("Less", ["<=", ">="]),
    "<=": ("LessOrEqual", ["<", ">"]),
    ">": ("Greater", [">=", "<="]),
    ">=": ("GreaterOrEqual", [">", "<"]),
    "==": ("Equal", ["!="]),
    "!=": ("NotEqual", ["=="]),
    "+=": ("AddTo", ["-="]),
    "-=": ("TakeFrom", ["+="]),
    "*=": ("MultiplyBy", ["/="]),
    "/=": ("DivideBy", ["*="]),
    "^=": ("XorWith", ["|="]),
}
LOGIC = {"&&": ("And", "||"), "||": ("Or", "&&")}
NAMESPACE = "::polyak_mutation::"
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    at: int

    @property
    def end(self):
        return self.at + len(self.text)


@dataclasses.dataclass
class Mutant:
    number: int
    path: str  # from the root of the repository
    line: int
    begin: int
    end: int
    after: str  # what the text from begin to end becomes
    before_line: str = ""
    after_line: str = ""
    switchable: bool = True
    verdict: str = ""

    def describe(self):
        return f"{self.path}:{self.line}: {self.before_line}  ->  {self.after_line}"


class Header:
    """The mutants of one header, and its text with all of them behind switches."""

    def __init__(self, path, first_number):
        self.path = path
        self.text = (ROOT / path).read_text()
        self.line_starts = [0] + [m.end() for m in re.finditer("\n", self.text)]
        self.mutants = []
        self.edits = []  # (begin, end, replacement, numbers)
        self.next_number = first_number
        self.tokens = []
        for match in TOKEN.finditer(self.text):
            if match.lastgroup not in ("skip", "space"):
                self.tokens.append(Token(match.lastgroup, match.group(), match.start()))
        self.partner = self.pair_brackets()
        self.masked = self.compile_time_only()
        for i in range(len(self.tokens)):
            if not self.masked[i]:
                self.mutate_token(i)
        self.mutate_statements()
        constants = self.constant_expressions()
        for mutant in self.mutants:
            if any(begin <= mutant.begin < end for begin, end in constants):
                mutant.switchable = False
        numbers = {m.number for m in self.mutants if not m.switchable}
        self.edits = [e for e in self.edits if not numbers.intersection(e[3])]

    def line_of(self, offset):
        return bisect.bisect_right(self.line_starts, offset)

    def pair_brackets(self):
        partner, stack = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in CLOSING:
                stack.append(i)
            elif token.text in CLOSING.values():
                partner[stack[-1]] = i
                partner[i] = stack.pop()
        return partner

    def compile_time_only(self):
        """Declarations of templates, concepts, requirements, static_asserts, attributes, alignments, operator names."""
        masked = [False] * len(self.tokens)

        def mask(begin, end):
            for j in range(begin, min(end, len(masked))):
                masked[j] = True

        for i, token in enumerate(self.tokens):
            if token.text in ("static_assert", "concept", "using", "typedef"):
                j = i
                while self.tokens[j].text != ";":
                    j = self.partner.get(j, j) + 1 if self.tokens[j].text in CLOSING else j + 1
                mask(i, j)
            elif token.text == "template" and self.tokens[i + 1].text == "<":
                mask(i, self.first_after(i, lambda t: t.text.endswith(">") and self.text[t.end] in "\n "))
            elif token.text == "requires":
                j = i + 1
                while self.tokens[j].text in CLOSING or self.tokens[j - 1].text in LOGIC or self.same_line(j - 1, j):
                    j = self.partner.get(j, j) + 1 if self.tokens[j].text in CLOSING else j + 1
                mask(i, j)
            elif token.text == "alignas" or (token.text == "[" and self.tokens[i + 1].text == "["):
                opening = i + 1 if token.text == "alignas" else i
                mask(i, self.partner[opening] + 1)
            elif token.text == "operator":
                mask(i, self.first_after(i, lambda t: t.text == "(") + 1)
            elif token.text == "=" and self.tokens[i + 1].text in ("0", "default", "delete"):
                if self.tokens[i - 1].text in (")", "const", "noexcept", "override"):
                    mask(i, i + 2)
        return masked

    def same_line(self, i, j):
        return self.line_of(self.tokens[i].at) == self.line_of(self.tokens[j].at)

    def constant_expressions(self):
        """The conditions of `if constexpr` and the values of constexpr variables: nothing there can be switched."""
        ranges = []
        for i, token in enumerate(self.tokens):
            if token.text != "constexpr":
                continue
            if self.tokens[i - 1].text == "if":
                ranges.append((token.at, self.tokens[self.partner[i + 1]].end))
                continue
            j = i + 1
            while self.tokens[j].text not in ("=", "(", "{", ";"):
                j += 1
            if self.tokens[j].text in "={":
                while self.tokens[j].text != ";":
                    j = self.partner[j] + 1 if self.tokens[j].text in CLOSING else j + 1
                ranges.append((token.at, self.tokens[j].at))
        return ranges

    def first_after(self, i, wanted):
        for j in range(i + 1, len(self.tokens)):
            if wanted(self.tokens[j]):
                return j
        return len(self.tokens)

    def add(self, begin, end, after):
        mutant = Mutant(self.next_number, self.path, self.line_of(begin), begin, end, after)
        first, last = self.line_starts[mutant.line - 1], self.text.find("\n", end - 1 if end > begin else end)
        mutant.before_line = " ".join(self.text[first:last].split())
        mutant.after_line = " ".join((self.text[first:begin] + after + self.text[end:last]).split())
        self.next_number += 1
        self.mutants.append(mutant)
        return mutant.number

    def spaced(self, token):
        return self.text[token.at - 1] in " \n" and self.text[token.end] in " \n"

    def mutate_token(self, i):
        token = self.tokens[i]
        if token.text in BINARY and self.spaced(token):
            if token.text in ("+", "+=") and self.joins_text(i):
                return
            switch, afters = BINARY[token.text]
            numbers = [self.add(token.at, token.end, after) for after in afters]
            self.edits.append(
                (token.end, token.end, f" {NAMESPACE}{switch}{{{numbers[0]}}} {token.text}", numbers)
            )
        elif token.text in LOGIC and self.spaced(token) and self.tokens[i + 1].text != "...":
            switch, after = LOGIC[token.text]
            number = self.add(token.at, token.end, after)
            end = self.end_of_operand(i)
            head = f" {NAMESPACE}{switch}{{{number}, [&]() -> decltype(auto) {{ return"
            self.edits.append((token.end, token.end, head, [number]))
            self.edits.append((end, end, "; }}", [number]))
        elif token.text == "!":
            number = self.add(token.at, token.end, "")
            self.edits.append((token.at, token.at, f"{NAMESPACE}Not{{{number}}} ->* ", [number]))
        elif token.kind == "number":
            afters = other_numbers(token.text)
            numbers = [self.add(token.at, token.end, after) for after in afters]
            replacement = token.text
            for number, after in zip(numbers, afters):
                replacement = f"{NAMESPACE}literal({number}, {replacement}, {after})"
            self.edits.append((token.at, token.end, replacement, numbers))
        elif token.text in ("true", "false"):
            after = "false" if token.text == "true" else "true"
            number = self.add(token.at, token.end, after)
            self.edits.append((token.at, token.end, f"{NAMESPACE}literal({number}, {token.text}, {after})", [number]))
        elif token.text in ("min", "max") and self.tokens[i - 1].text == "::" and self.tokens[i - 2].text == "std":
            begin = self.tokens[i - 2].at
            number = self.add(begin, token.end, "std::max" if token.text == "min" else "std::min")
            if self.tokens[i + 1].text == "(":
                self.edits.append((begin, token.end, f"{NAMESPACE}{token.text.capitalize()}{{{number}}}", [number]))
            else:
                self.mutants[-1].switchable = False

    def joins_text(self, i):
        line = self.line_of(self.tokens[i].at)
        text = self.text[self.line_starts[line - 1] : self.text.find("\n", self.tokens[i].at)]
        return '"' in text or "to_string" in text or "to_text" in text

    def end_of_operand(self, i):
        """Where the right operand of the && or || at i ends."""
        stops = {"&&", "||", "?", ":", ",", ";", ")", "]", "}"} if self.tokens[i].text == "&&" else {
            "||", "?", ":", ",", ";", ")", "]", "}"}
        j = i + 1
        while self.tokens[j].text not in stops:
            if self.tokens[j].text == "<" and not self.spaced(self.tokens[j]):
                j = self.end_of_template_arguments(j)
            else:
                j = self.partner[j] + 1 if self.tokens[j].text in CLOSING else j + 1
        return self.tokens[j - 1].end

    def end_of_template_arguments(self, j):
        depth = 0
        while True:
            depth += {"<": 1, ">": -1, ">>": -2}.get(self.tokens[j].text, 0)
            j += 1
            if depth <= 0:
                return j

    def mutate_statements(self):
        """Assignments, calls and `return;` that can be left out."""
        name = r"(?:this->|\*|::)?\w+(?:(?:\.|->|::)(?:template )?~?\w+|\[[^;]*?\]|\([^;{}]*?\)(?=\.|->))*"
        wanted = re.compile(
            rf"(?:return|(?:\+\+|--){name}|{name}(?:\+\+|--)|{name} [-+*/^]?= [^;]*"
            rf"|{name}(?:<[^;()]*>)?\((?:[^;])*\)|\w+& [\w.\[\]()]+);",
            re.DOTALL,
        )
        starts_after = {";", "{", "}", ")", "else"}
        for i in range(1, len(self.tokens)):
            previous, token = self.tokens[i - 1], self.tokens[i]
            if previous.text not in starts_after or self.masked[i]:
                continue
            if previous.text == ")" and not self.follows_control(i - 1):
                continue
            if token.text in ("if", "for", "while", "using", "throw", "do", "switch", "case", "static_assert", "break",
                              "continue", "template", "public", "private", "protected", "namespace", "try", "catch",
                              "friend", "explicit", "constexpr", "struct", "class", "auto", "const", "goto", "delete"):
                continue
            match = wanted.match(self.text, token.at)
            if not match or self.is_for_header(i) or self.is_declaration(i, match):
                continue
            end = self.end_of_statement(i)
            if end != match.end() - 1:
                continue
            number = self.add(token.at, match.end(), ";")
            self.edits.append((token.at, token.at, f"{{ if ({NAMESPACE}stays({number})) ", [number]))
            self.edits.append((match.end(), match.end(), " }", [number]))

    def end_of_statement(self, i):
        while self.tokens[i].text != ";":
            if self.tokens[i].text in ("}", ")"):
                return -1
            i = self.partner[i] + 1 if self.tokens[i].text in CLOSING else i + 1
        return self.tokens[i].at

    def follows_control(self, closing):
        before = self.partner[closing] - 1
        return self.tokens[before].text in ("if", "for", "while", "constexpr", "switch")

    def is_for_header(self, i):
        depth = 0
        for j in range(i - 1, max(0, i - 80), -1):
            text = self.tokens[j].text
            if text in (")", "]", "}"):
                depth += 1
            elif text in CLOSING:
                if depth == 0:
                    return text != "{"
                depth -= 1
        return False

    def is_declaration(self, i, match):
        """`f(x);` in a class is a declaration, and so is `T(x);` after a constructor's name."""
        if match.group() == "return;":
            return False
        depth = 0
        for j in range(i - 1, -1, -1):
            text = self.tokens[j].text
            if text in (")", "]", "}"):
                depth += 1
            elif text in CLOSING:
                if depth == 0:
                    k = j - 1
                    while k >= 0 and self.tokens[k].text not in (";", "{", "}", ")"):
                        if self.tokens[k].text in ("class", "struct", "namespace", "enum"):
                            return True
                        k -= 1
                    return False
                depth -= 1
        return True

    def switched(self, numbers):
        """The text with the given mutants behind switches. No line moves."""
        out, position = [], 0
        edits = [e for e in self.edits if all(n in numbers for n in e[3])]
        # Insertions at one place: what closes comes first, what opens comes last.
        edits.sort(key=lambda e: (e[0], e[1], 0 if e[2].startswith((";", " }")) else 1))
        for begin, end, replacement, _ in edits:
            assert begin >= position, (self.path, self.line_of(begin), replacement)
            out += [self.text[position:begin], replacement]
            position = end
        text = "".join(out) + self.text[position:]
        return text.replace("#pragma once", '#pragma once\n#include "switches.hpp"\n#line 2', 1)

    def mutated(self, mutant):
        return self.text[: mutant.begin] + mutant.after + self.text[mutant.end :]


def other_numbers(text):
    match = re.fullmatch(r"(0[xX][0-9a-fA-F']+|[\d'.]+(?:[eE][+-]?\d+)?)(\w*)", text)
    if not match:
        return []
    digits, suffix = match.group(1).replace("'", ""), match.group(2)
    if digits.lower().startswith("0x"):
        return [hex(int(digits, 16) ^ 1) + suffix]
    if re.fullmatch(r"\d+", digits):
        value = int(digits)
        others = {0: [1], 1: [0, 2]}.get(value, [value - 1, value + 1])
        return [str(v) + suffix for v in others]
    value = float(digits)
    others = {0.0: [1.0], 1.0: [0.0, 2.0]}.get(value, [value * 2])
    return [repr(v) + suffix for v in others]


def read_equivalents(path):
    """Blocks of `path`, `- line`, `+ line` or `+ *`, `Why: ...`."""
    known = set()
    for block in re.split(r"\n\s*\n", path.read_text() if path.exists() else ""):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        where, before = lines[0].strip(), None
        if not any(line.startswith("Why: ") for line in lines):
            sys.exit(f"{path}: no reason is given for {where}")
        for line in lines[1:]:
            if line.startswith("- "):
                before = " ".join(line[2:].split())
            elif line.startswith("+ "):
                known.add((where, before, " ".join(line[2:].split())))
            elif line.startswith("Why: "):
                break
    return known


class Build:
    """The tests, compiled against a copy of include/."""

    def __init__(self, work, tests, options):
        self.work, self.tests, self.options = work, tests, options
        self.include = work / "include"
        self.objects = work / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "include", self.include, dirs_exist_ok=True)
        self.flags = [options.compiler, "-std=c++20", "-O0", "-w", "-DNDEBUG", "-DPOLYAK_TEST_SLOW",
                      "-fmax-errors=0", f"-I{HERE}",
                      f"-I{ROOT / 'tests'}", "-isystem", options.eigen,
                      f'-DPOLYAK_FIXTURE_DIR="{ROOT / "tests" / "fixtures"}"']
        prelude = work / "prelude.hpp"
        standard = sorted({line for header in (ROOT / "include").rglob("*.hpp")
                           for line in header.read_text().splitlines() if re.match(r"#include <[a-z_]+>$", line)})
        prelude.write_text("\n".join([*standard, "#include <Eigen/Core>", '#include "catch.hpp"', ""]))
        self.run([*self.flags, "-x", "c++-header", str(prelude), "-o", str(prelude) + ".gch"])
        self.prelude = ["-include", str(prelude)]
        self.compile(ROOT / "tests" / "main.cpp", self.object_of(ROOT / "tests" / "main.cpp"))
        self.compile(HERE / "reach.cpp", self.object_of(HERE / "reach.cpp"))

    @staticmethod
    def run(command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr[:4000]}")

    def object_of(self, source):
        return self.objects / (str(source.relative_to(ROOT)).replace("/", "_") + ".o")

    def compile(self, source, target, include=None):
        fast_math = ["-ffast-math"] if "fast_math" in source.name else self.prelude
        if source.name in ("main.cpp", "reach.cpp"):
            fast_math = []
        command = [*self.flags, f"-I{include or self.include}", *fast_math, "-c", str(source), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 and source.name in ("main.cpp", "reach.cpp"):
            sys.exit(done.stderr[:4000])
        return done.stderr if done.returncode != 0 else ""

    def link(self, objects, target):
        own = [self.object_of(ROOT / "tests" / "main.cpp"), self.object_of(HERE / "reach.cpp")]
        libraries = ["-lboost_serialization"] if any("boost" in o.name for o in objects) else []
        self.run([self.options.compiler, *map(str, own), *map(str, objects), "-o", str(target), *libraries, "-lpthread"])


def lines_at_fault(errors, include):
    """Lines of headers that compile errors point to: those with an error, else the nearest that led there."""
    found = set()
    place = re.compile(rf"(?:In file included from )?{re.escape(str(include))}/?([^:\s]+):(\d+)(?::\d+)?: *(.*)")
    trail = []
    for line in errors.splitlines():
        match = place.match(line.strip())
        is_error = re.search(r": (?:fatal )?error: ", line)
        if is_error:
            if match:
                found.add((match.group(1), int(match.group(2))))
            else:
                found.update(trail[-2:])
            trail = []
        elif match and ("required from" in line or "in 'constexpr' expansion" in line or "note:" in line):
            trail.append((match.group(1), int(match.group(2))))
            if "note:" in line:
                found.add(trail.pop())
    return found


def limit_resources():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


class Tests:
    """The program with the switches, and which of its test cases reach which mutant."""

    def __init__(self, program, work):
        self.program, self.work = program, work
        self.cases = []  # (seconds, name, numbers)
        reach = work / "reach.txt"
        reach.unlink(missing_ok=True)
        self.scratch = work / "scratch"
        self.scratch.mkdir(exist_ok=True)
        subprocess.run([str(program)], env={**os.environ, "POLYAK_MUTATION_REACH": str(reach)}, cwd=self.scratch,
                       stdout=subprocess.DEVNULL)
        self.by_number = collections.defaultdict(list)
        for line in reach.read_text().splitlines():
            seconds, failed, name, numbers = line.split("\t")
            if int(failed):
                print(f"left out, since it fails without any mutant: {name}")
                continue
            for number in numbers.split():
                self.by_number[int(number)].append((float(seconds), name))

    def kill(self, number):
        """How the mutant is noticed, or "" if it is not."""
        cases = sorted(self.by_number[number])
        quick, spent = 0, 0.0
        while quick < len(cases) and (spent < 0.3 or quick < 3):
            spent += cases[quick][0]
            quick += 1
        for batch in (cases[:quick], cases[quick:]):
            if batch:
                verdict = self.run(number, batch)
                if verdict:
                    return verdict
        return ""

    def run(self, number, cases):
        names = self.work / f"names.{number}"
        names.write_text("".join(re.sub(r"([,\[\]])", r"\\\1", name) + "\n" for _, name in cases))
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            try:
                done = subprocess.run(
                    [str(self.program), "-f", str(names), "--abort"],
                    env={**os.environ, "POLYAK_MUTANT": str(number), "TMPDIR": scratch}, cwd=scratch,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=limit_resources,
                    timeout=20 + 20 * sum(seconds for seconds, _ in cases))
            except subprocess.TimeoutExpired:
                return "hangs"
            finally:
                names.unlink()
        if done.returncode == 0:
            if b"No test cases matched" in done.stdout or b"No tests ran" in done.stdout:
                sys.exit(f"no test case was run for mutant {number}: {cases}")
            return ""
        return "fails" if done.returncode > 0 else "crashes"


def test_sources(headers, everything):
    """The tests that mirror the headers, and those of several headers; all of them if asked for."""
    sources = sorted((ROOT / "tests").rglob("*.test.cpp"))
    if everything:
        return sources
    chosen = set()
    for header in headers:
        chosen.update(mirrors(header))
    return sorted(chosen)


GENERAL = ["averaged", "properties", "fixtures", "exact_cases", "parameter_sets", "detail/parallel", "serialize/damage",
           "serialize/options"]


def mirrors(path):
    relative = pathlib.Path(path).relative_to("include/polyak")
    name = relative.stem
    tests = ROOT / "tests"
    found = [s for s in tests.rglob("*.test.cpp") if s.name in (f"{name}.test.cpp",)]
    if relative.parent.name == "sparse" or name.startswith("sparse"):
        found += sorted((tests / "sparse").glob("*.test.cpp"))
    if "io" in relative.parts:
        found += sorted((tests / "io").glob("*.test.cpp"))
    if "serialize" in name or "description" in name:
        found += sorted((tests / "serialize").glob("*.test.cpp"))
    found += [s for s in [tests / "serialize" / f"{relative.parent.name}.test.cpp"] if s.exists()]
    if not any(s.name == f"{name}.test.cpp" for s in found):
        found += sorted((tests / relative.parent).glob("*.test.cpp"))
    found += [tests / f"{general}.test.cpp" for general in GENERAL if (tests / f"{general}.test.cpp").exists()]
    return dict.fromkeys(found)


def build_switched(build, headers, mutants, tests, jobs):
    """Compiles the tests with all mutants behind switches; those that do not bear one are marked."""
    on = {m.number for m in mutants if m.switchable}
    by_line = collections.defaultdict(list)
    for mutant in mutants:
        by_line[(mutant.path.removeprefix("include/"), mutant.line)].append(mutant)
    by_path = {h.path.removeprefix("include/"): h for h in headers}

    def write():
        for name, header in by_path.items():
            (build.include / name).write_text(header.switched(on))

    def drop(errors):
        dropped = 0
        for name, line in lines_at_fault(errors, build.include):
            for near in (line, *range(line - 3, line + 4)):
                hit = [m for m in by_line[(name, near)] if m.number in on]
                for mutant in hit:
                    on.discard(mutant.number)
                    mutant.switchable = False
                    dropped += 1
                if hit:
                    break
        return dropped

    write()
    pending = list(tests)
    while pending:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            errors = list(pool.map(lambda s: build.compile(s, build.object_of(s)), pending))
        failed = [(s, e) for s, e in zip(pending, errors) if e]
        dropped = sum(drop(e) for _, e in failed)
        if failed:
            print(f"{len(failed)} of {len(pending)} tests do not bear {dropped} switches", flush=True)
            if dropped == 0:
                sys.exit(f"{failed[0][0]} does not compile:\n{failed[0][1][:6000]}")
            write()
        pending = [s for s, _ in failed]
    program = build.work / "switched"
    build.link([build.object_of(s) for s in tests], program)
    return program


def kill_alone(build, header, mutant, work):
    """Compiles one mutant with the tests that mirror its header. "" if it survives, None if it is none."""
    include = work / "alone"
    shutil.rmtree(include, ignore_errors=True)
    shutil.copytree(ROOT / "include", include)
    (include / mutant.path.removeprefix("include/")).write_text(header.mutated(mutant))
    for source in mirrors(mutant.path):
        target = work / "alone.o"
        errors = build.compile(source, target, include)
        if errors:
            # An assertion of a test that fails is a test that fails; all else is no mutant.
            tests_fail = re.search(rf"{re.escape(str(ROOT / 'tests'))}[^\n]*static assertion failed", errors)
            return "fails to compile" if tests_fail else None
        build.link([target], work / "alone.out")
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            try:
                done = subprocess.run([str(work / "alone.out"), "--abort"], cwd=scratch, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, preexec_fn=limit_resources, timeout=300,
                                      env={**os.environ, "TMPDIR": scratch})
            except subprocess.TimeoutExpired:
                return "hangs"
        if done.returncode != 0:
            return "fails"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", action="append", default=[], help="only mutants of this header, or of this folder")
    parser.add_argument("--again", type=pathlib.Path, metavar="OUTPUT",
                        help="only the mutants that survive by the output of an earlier run of the same include/")
    parser.add_argument("--sample", type=int, help="only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all-tests", action="store_true",
                        help="build all tests rather than those that mirror the headers")
    parser.add_argument("--no-alone", action="store_true", help="leave out what has to be compiled alone")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop trying mutants after so long")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--eigen", default="/usr/include/eigen3")
    parser.add_argument("--work", type=pathlib.Path, help="where to build; a temporary folder unless given")
    options = parser.parse_args()
    started = time.monotonic()

    paths = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "include").rglob("*.hpp"))
    if options.file:
        paths = [p for p in paths if any(p == f or p.startswith(f.rstrip("/") + "/") for f in options.file)]
        if not paths:
            sys.exit(f"no header is {', '.join(options.file)}")
    headers, number = [], 0
    for path in paths:
        headers.append(Header(path, number))
        number = headers[-1].next_number
    mutants = [m for h in headers for m in h.mutants]
    header_of = {h.path: h for h in headers}
    equivalents = read_equivalents(HERE / "equivalent.txt")
    there = {(m.path, m.before_line, after) for m in mutants for after in (m.after_line, "*")}
    stale = sorted(e for e in equivalents if e not in there and (e[0] in header_of or not (ROOT / e[0]).exists()))
    if stale:
        sys.exit("equivalent.txt: no such mutants:\n" + "\n".join(map(": ".join, stale)))
    if options.again:
        survived = {line.removeprefix("SURVIVES ") for line in options.again.read_text().splitlines()}
        mutants = [m for m in mutants if m.describe() in survived]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
        mutants.sort(key=lambda m: m.number)
    if options.list:
        for mutant in mutants:
            print(mutant.describe())
        print(f"{len(mutants)} mutants")
        return 0

    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        tests = test_sources({m.path for m in mutants}, options.all_tests)
        build = Build(work, tests, options)
        program = build_switched(build, headers, mutants, tests, options.jobs)
        suite = Tests(program, work)
        print(f"built {len(tests)} tests and ran them in {time.monotonic() - started:.0f} s", flush=True)

        def late():
            return options.minutes and time.monotonic() - started > 60 * options.minutes

        def judge(mutant):
            key = (mutant.path, mutant.before_line)
            if (*key, mutant.after_line) in equivalents or (*key, "*") in equivalents:
                mutant.verdict = "equivalent"
            elif late():
                mutant.verdict = "not tried"
            elif mutant.switchable and suite.by_number[mutant.number]:
                mutant.verdict = suite.kill(mutant.number) or "survives"
            else:
                mutant.verdict = "alone"
            if mutant.verdict == "survives":
                print(f"SURVIVES {mutant.describe()}", flush=True)

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(judge, mutants))
        for mutant in [m for m in mutants if m.verdict == "alone"]:
            if options.no_alone or late():
                mutant.verdict = "not tried"
                continue
            verdict = kill_alone(build, header_of[mutant.path], mutant, work)
            mutant.verdict = "no mutant" if verdict is None else verdict or "survives"
            if mutant.verdict == "survives":
                print(f"SURVIVES {mutant.describe()}", flush=True)

    columns = ["killed", "survives", "equivalent", "no mutant", "not tried"]
    table = collections.defaultdict(collections.Counter)
    for mutant in mutants:
        verdict = mutant.verdict if mutant.verdict in columns else "killed"
        table[mutant.path][verdict] += 1
        table["total"][verdict] += 1
    print(f"\n{'':48}{'mutants':>10}" + "".join(f"{c:>12}" for c in columns))
    for name, counts in table.items():
        print(f"{name.removeprefix('include/'):48}{sum(counts.values()):>10}" + "".join(f"{counts[c]:>12}" for c in columns))
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if table["total"]["survives"] else 0


if __name__ == "__main__":
    sys.exit(main())
