"""Where the tree cites each numbered equation of the papers, as a table: python -m experiments.theory.citations.

It writes the index of docs/algorithms.md anew. A citation is [D 24, 25] or [M 8-11] in a source file, a test or a page.
"""

import ast
import pathlib
import re
from collections.abc import Iterator

from experiments.theory.page import anchor

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "algorithms.md"
BEGIN, END = "<!-- index -->\n", "<!-- end of index -->\n"

EQUATIONS: dict[str, dict[int, str]] = {
    "D": {
        1: "the law of states one step on",
        2: "discounted visits of states",
        3: "the discounted return",
        4: "the law of future states, as a recursion",
        5: "the variational bound of an f-divergence",
        6: "imitation learning as that bound",
        7: "the gradient of an energy-based model",
        8: "the classifier of noise-contrastive estimation",
        9: "its loss, and the limit of its gradient",
        10: "the law of (s, a, s+) in the data",
        11: "the law that behaviour cloning fits to it",
        12: "its loss: HBC, GCSL",
        13: "the law of (s, a, g) under the policy",
        14: "the objective: divergence, likelihood of goals (beta), entropy",
        15: "its divergence, by the bound",
        16: "the same in terms of a reward",
        17: "the same in terms of Q",
        18: "the same on data of any behaviour",
        19: "the quadratic f*",
        20: "Bayes' rule for future states",
        21: "the density ratio of an energy-based Q",
        22: "the logit of its classifier",
        23: "InfoNCE, the limit of many negatives",
        24: "its off-policy form: one step, and many",
        25: "the weight of many steps",
        26: "divergence and one-step term together",
        27: "the same as one squared Bellman error",
        28: "the reward of HER, r + beta where s' = s+",
        29: "the value of a Boltzmann policy",
        30: "when the weight is negative",
        31: "the indicator of HDM",
        32: "its imitation loss",
        33: "[D 22] again",
        **dict.fromkeys(range(34, 43), "steps of the proof of Lemma B.2"),
        43: "the optimal function of the bound",
        44: "the derivative of the quadratic f",
        45: "[D 43] for it",
        46: "the density ratio of the two laws",
        47: "the same, by the residual of Q",
        48: "the ratio of an energy-based Q",
        49: "[D 48] put into [D 47]",
        50: "the ratio of p+ and rho+ that follows",
        51: "the future of the policy by importance weights",
        52: "the one-step term of the energy-based loss",
        53: "its many-step term",
        54: "the same as a weighted sum of Q",
        55: "the importance weight",
        56: "the Boltzmann policy",
        57: "the weight under it",
        58: "the same, shortened",
        59: "the gradient of [D 53]",
    },
    "M": {
        1: "the evidence",
        2: "the same, by a variational law",
        3: "its lower bound (ELBO)",
        4: "the bound of variational RL",
        5: "the evidence is the return (Proposition 1)",
        6: "the evidence with goals",
        7: "its lower bound",
        8: "the ELBO of (trajectory, goal)",
        9: "E-step and M-step",
        10: "the M-step: supervised learning",
        11: "the ELBO with the return written out",
    },
}
"""Paper -> number -> what the equation is."""

_CITATION = re.compile(r"\[([DM])\s+([^\[\]]+)\]")


def cited(text: str) -> set[tuple[str, int]]:
    """The equations that a text cites.

    >>> sorted(cited("[D 26-28], [D Algorithm 1, line 2; 12] and [M section 3]"))
    [('D', 12), ('D', 26), ('D', 27), ('D', 28)]
    """
    found = set()
    for paper, inner in _CITATION.findall(text):
        for part in re.split(r"[,;]\s*", inner):
            if match := re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()):
                first, last = int(match[1]), int(match[2] or match[1])
                found |= {(paper, number) for number in range(first, last + 1)}
    return found


def places(folder: str) -> Iterator[tuple[tuple[str, int], str, str]]:
    """(equation, path, name of the function or '') of each citation in the Python files of a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path == pathlib.Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        named = [node for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        for match in _CITATION.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            inside = [node.name for node in named if node.lineno <= line <= (node.end_lineno or 0)]
            for equation in cited(match.group()):
                yield equation, path.relative_to(ROOT).as_posix(), "".join(inside)


def checked() -> Iterator[tuple[tuple[str, int], str]]:
    """(equation, path) of each citation in a docstring of a test file: other texts there may be samples."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.FunctionDef))]
        for equation in cited("\n".join(ast.get_docstring(node) or "" for node in nodes)):
            yield equation, f"`{path.relative_to(ROOT).as_posix()}`"


def sections() -> Iterator[tuple[tuple[str, int], str]]:
    """(equation, link) of each citation in a claim of the theory page, and in a section of this page."""
    claims = re.findall(r"^\| (\d+) \| \[(.*)\]\(#.*?\) \| (.*?) \|", _read("theory.md"), re.MULTILINE)
    for number, title, source in claims:
        link = f"[claim {number}](theory.md#{number}-{anchor(title)})"
        yield from ((equation, link) for equation in cited(source))
    for part in re.split(r"^##+ ", _read("algorithms.md").split(BEGIN)[0], flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        yield from ((equation, f"[{title}](#{anchor(title)})") for equation in cited(body))


def _read(name: str) -> str:
    return (PAGE.parent / name).read_text(encoding="utf-8")


def index() -> str:
    """The table: a row for each equation, 'not used' where no source file cites it."""
    code, pages, tested = [*places("hindsight_jax"), *places("experiments")], list(sections()), list(checked())
    rows = ["| equation | what it is | code | page | tests |", "|---|---|---|---|---|"]
    for paper, meanings in EQUATIONS.items():
        for number, meaning in meanings.items():
            equation = (paper, number)
            names: dict[str, dict[str, None]] = {}  # of a file's functions, in order
            for _, path, name in (place for place in code if place[0] == equation):
                names.setdefault(path, {})[name] = None
            used = [f"`{path}` {', '.join(filter(None, each))}".strip() for path, each in names.items()]
            linked = dict.fromkeys(link for found, link in pages if found == equation)
            files = dict.fromkeys(path for found, path in tested if found == equation)
            cells = (used, linked, files) if used else (["not used"], linked, [])
            rows.append(f"| [{paper} {number}] | {meaning} | {' | '.join('; '.join(cell) for cell in cells)} |")
    return "\n".join(rows) + "\n"


def written(page: str) -> str:
    """The page with the index between its marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + index() + END + rest.split(END)[1]


def main() -> None:
    """Writes the index of docs/algorithms.md."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
