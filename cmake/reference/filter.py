#!/usr/bin/env python3
"""What Doxygen reads in place of a header: formulas with raised and lowered characters, members that every part has
with one sentence for all, and neither the overloads that are there for the text of an error nor what is protected.
In place of a guide: the same without links that lead out of the reference."""
import re
import sys

# Members without a comment of their own. A header of ten parts need not say ten times what each option list is for.
RECURRING = [
    (r"struct (\w+)Options \{", r"The options of \1."),
    (r"void for_each_option\(", "Calls visit(name, member, range) for each option: what is checked, compared, saved."),
    (r"static constexpr std::string_view name\b", "The name in messages and in saved files."),
    (r"using Options = |using typename \w+::Options;", "What it is constructed from."),
    (r"using State = |struct State ", "What the gains of earlier folds leave behind."),
    (r"using (typename \w+::)?shadow_type\b", "The scalar that the average is held in."),
    (r"using vector_type = ", "What average() refers to: one column, in the order of the parameters."),
    (r"using scalar_type = ", "The scalar of the weights."),
    (r"using hands_on_to = ", "The optimizer inside, whose own gradient step(params) takes."),
    (r"Options options;", "As constructed."),
    (r"const Options& options\(\)", "As constructed, or as set since."),
    (r"double operator\(\)\(std::uint64_t k, State& ?\w*\)", "The gain of fold k, from 1 on, in [0, 1]. O(1)."),
    (r"double operator\(\)\(std::uint64_t k\)", "β in fold k + 1, by the formula above. O(1)."),
    (r"double operator\(\)\(std::uint64_t ?t?\)", "The value in step t, from 0 on, by the formula above. O(1)."),
    (r"double complement\(", "1 − β in fold k + 1, without cancellation, for folds that are `every` steps apart."),
    (r"explicit \w+\(\w*Options \w+( = \{\})?\)", "Throws std::invalid_argument naming an option out of range."),
    (r"void set_rate\(double", "The learning rate of the next step, for a gain that depends on it."),
    (r"auto average_or\(|void copy_average_to\(|auto swap_in\(|auto& average\(\)", "As the averager offers it."),
    (r"auto& averager\(\)", "The averager, by its index where there are several."),
    (r"bool has_average\(\)", "Whether there is an average to read."),
    (r"double (weight_decay|momentum)\(\) const", "That of the next step; see learning_rate()."),
    (r"void set_(learning_rate|weight_decay|momentum)\(", "From the next step on; see learning_rate()."),
    (r"std::size_t (features|outputs)\(\)", "As constructed."),
    (r"(std::uint64_t|double) (steps|count|effective_sample_size|mean_age|start_mass)\(\)", r"As GainSequence::\2."),
    (r"^  using Averager::", "As of the averager inside."),
    (r"Optimizer& optimizer\(\)", "What it goes around."),
    (r"^[A-Z]\w+\(", "Deduces the template arguments."),
    (r"void serialize\(Archive", "For the archives of Boost.Serialization and cereal."),
    # What the step asks of a part; include/polyak/README.md follows a step through them.
    (r"(static )?bool wants_start\(", "Whether it must see the weights before the step moves them."),
    (r"FoldBy by\(", "Whether it takes a slice of weights, each by itself, or none."),
    (r"auto at\(std::size_t offset\)", "The fold of the coordinates from offset on."),
    (r"void after\(std::size_t offset", "Folds the moved weights, which are the coordinates from offset on."),
    (r"void commit\(Outcome", "Counts the fold, once all coordinates are in."),
    (r"detail::Verdict inspect\(", "Looks at the whole gradient, and changes nothing."),
    (r"void record\(const detail::Verdict", "Counts what inspect found, once the step is taken or skipped."),
    (r"auto state\(\)", "What is saved."),
    (r"static void serialize_state\(", "Names what is saved."),
]
# What users call of these is theirs, though the classes are not; all else in namespace detail is left out.
BASES = r"(class|struct) (Coordinatewise|StatefulWrapper|GradientWrapper|LagGains|SparseLinear|ReadsAverages)\b"
DETAIL = r"namespace (polyak::)?detail\b"
NOT_FOR_USERS = re.compile(r"\(detail::Not[A-Z]\w*\b|^\s*friend typename")
HEAD = re.compile(r"\s*(template\b|requires\b|\[\[[^\]]*\]\]\s*$)")
LOWERED = re.compile(r"(?<![\w`])([A-Za-zα-ωΑ-Ω∑])_(\{[^}]*\}|\w{1,2})(?!\w)")
FORMULA = re.compile(r"     +(?!.*//).*[α-ωθ←√]")
RAISED = re.compile(r"(?<![`^])([\w)α-ω])\^(\{[^}]*\}|[−-]?\w+|\([^()]*\))")


def rendered(comment):
    def tag(name):
        return lambda found: f"{found[1]}<{name}>{found[2].strip('{}')}</{name}>"

    if FORMULA.match(comment):
        comment = " <br>&emsp;&emsp;" + comment.strip().replace("    ", " &emsp;&emsp; ")
    parts = comment.split("`")  # code is left as it is
    parts[::2] = [RAISED.sub(tag("sup"), LOWERED.sub(tag("sub"), part)) for part in parts[::2]]
    return "`".join(parts)


def without_details(lines):
    shown = set()
    for at, line in enumerate(lines):
        if re.match(BASES, line):
            begin = at
            while re.match(r"///|template|  requires", lines[begin - 1]):
                begin -= 1
            shown.update(range(begin, lines.index("};", at) + 1))
    result = []
    inside, hidden = False, False
    for at, line in enumerate(lines):
        if re.match("}  // " + DETAIL, line):
            inside = False
        hide = inside and at not in shown
        if hide != hidden:
            result += ["/// @cond" if hide else "/// @endcond", ""]
        hidden = hide
        result.append(line)
        inside = inside or bool(re.match(DETAIL, line))
    return result


def filtered(lines):
    result = []
    first = None  # of the lines of a declaration that begins before this one
    documented = False
    dropping = False
    for line in lines:
        code, slashes, comment = line.partition("///")
        if dropping:
            result.append("")
            dropping = ";" not in code
            continue
        if slashes and not code.strip():
            result.append(code + slashes + rendered(comment))
            documented, first = True, None
            continue
        if HEAD.match(code) and ";" not in code and "{" not in code:
            first = len(result) if first is None else first
            result.append(line)
            continue
        if NOT_FOR_USERS.search(code):
            for at in range(len(result) if first is None else first, len(result)):
                result[at] = ""
            result.append("")
            dropping = ";" not in code
            documented, first = False, None
            continue
        line = code + slashes + rendered(comment) if slashes else line
        if not documented and not slashes:
            for pattern, sentence in RECURRING:
                found = re.search(pattern, code)
                if found:
                    at = len(result) if first is None else first
                    result.append(line)
                    result[at] = f"/** {found.expand(sentence)} */ {result[at]}"
                    break
            else:
                result.append(line)
        else:
            result.append(line)
        documented, first = False, None
    return [line.replace(" protected:", " private:") for line in result]


def reference_of(text):
    return "\n".join(filtered(without_details(text.split("\n"))))


def linked_inside(text):
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|[^)#]*\.md\))[^)]*\)", r"\1", text)


with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
print(linked_inside(text) if sys.argv[1].endswith(".md") else reference_of(text), end="")
