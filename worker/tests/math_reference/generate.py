"""Writes ../data/math_pairs.jsonl: the hand-written pairs of by_hand.txt and seeded random ones, each with the truth.

Random pairs are right by construction (exact rational arithmetic of Python), never by what a checker says. Run it again after a
change; the same seed writes the same file.
"""

import json
import random
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).parent
TRUTH = {"=": "equal", "!": "different", "?": "undecided"}


def by_hand():
    form = None
    for line in (HERE / "by_hand.txt").read_text().splitlines():
        if line.startswith("#"):
            form = line[1:].strip()
        elif line.strip():
            gold, answer, truth = line.rsplit(" ;; ", 2)
            yield {"form": form, "gold": gold, "answer": answer, "truth": TRUTH[truth]}


def latex(value, rng):
    """One of the ways to write a rational."""
    over, under = value.numerator, value.denominator
    sign, over = ("-", -over) if over < 0 else ("", over)
    ways = [f"{sign}\\frac{{{over}}}{{{under}}}", f"{sign}\\dfrac{{{over}}}{{{under}}}", f"{sign}{over}/{under}"]
    if under == 1:
        ways = [f"{sign}{over}", f"{sign}{over}.0", f"\\frac{{{sign}{3 * over}}}{{3}}"]
    elif over > under:
        ways.append(f"{sign}{over // under}\\frac{{{over % under}}}{{{under}}}")
    if under in (2, 4, 5, 8, 10, 20, 25):
        ways.append(f"{float(value)}")
    return rng.choice(ways)


def rational(rng, largest=40):
    return Fraction(rng.randint(-largest, largest), rng.randint(1, 12))


def numbers(rng):
    value = rational(rng)
    same = rng.random() < 0.5
    other = value if same else value + rng.choice([1, -1, Fraction(1, 3), Fraction(1, 7), -2 * value or 1])
    return "random rationals", latex(value, rng), latex(other, rng), value == other


def sums(rng):
    """A sum or product of rationals against its value."""
    values = [rational(rng, 12) for _ in range(rng.randint(2, 4))]
    total, text = values[0], f"({latex(values[0], rng)})"
    for value in values[1:]:
        sign = rng.choice(["+", "-", "\\cdot ", "\\times "])
        if sign == "+":
            total, text = total + value, f"{text}+({latex(value, rng)})"
        elif sign == "-":
            total, text = total - value, f"{text}-({latex(value, rng)})"
        else:
            total, text = total * value, f"({text}){sign}({latex(value, rng)})"
    off = 0 if rng.random() < 0.5 else Fraction(rng.choice([1, -1, 2]), rng.choice([1, 2, 5]))
    return "random arithmetic", latex(total + off, rng), text, off == 0


def polynomial(coefficients, name="x", shuffle=None):
    terms = []
    for power, value in enumerate(coefficients):
        if value:
            letter = "" if power == 0 else name if power == 1 else f"{name}^{{{power}}}"
            size = str(abs(value)) if abs(value) != 1 or power == 0 else ""
            terms.append(("-" if value < 0 else "+") + size + letter)
    if shuffle:
        shuffle.shuffle(terms)
    else:
        terms.reverse()
    return "".join(terms).removeprefix("+") or "0"


def times(left, right):
    product = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] += a * b
    return product


def polynomials(rng):
    """A product of linear factors against its expansion."""
    factors = [[rng.randint(-6, 6), rng.choice([1, 1, 2, 3, -1])] for _ in range(rng.randint(2, 3))]
    product = [1]
    for factor in factors:
        product = times(product, factor)
    same = rng.random() < 0.5
    if not same:
        product[rng.randrange(len(product))] += rng.choice([1, -1, 2])
    text = "".join(f"({polynomial(factor)})" for factor in factors)
    return "random polynomials", text, polynomial(product, shuffle=rng), same


def roots(rng):
    """a√(b·c²) against a·c√b."""
    square_free = rng.choice([2, 3, 5, 6, 7, 10, 11])
    a, c = rng.randint(1, 5), rng.randint(2, 6)
    same = rng.random() < 0.5
    shown = a * c if same else a * c + 1
    head = "" if a == 1 else a
    return "random roots", f"{head}\\sqrt{{{square_free * c * c}}}", f"{shown}\\sqrt{{{square_free}}}", same


def surds(rng):
    """1/(a+√b) against (a-√b)/(a²-b)."""
    a, b = rng.randint(2, 9), rng.choice([2, 3, 5, 7])
    same = rng.random() < 0.5
    sign = "-" if same else "+"
    if a * a == b:
        a += 1
    return "random surds", f"\\frac{{1}}{{{a}+\\sqrt{{{b}}}}}", f"\\frac{{{a}{sign}\\sqrt{{{b}}}}}{{{a * a - b}}}", same


def tuples(rng):
    values = [rational(rng, 9) for _ in range(rng.randint(2, 4))]
    others = list(values)
    same = rng.random() < 0.5
    if not same:
        others[rng.randrange(len(others))] += 1
    text = lambda items: "(" + ", ".join(latex(item, rng) for item in items) + ")"
    return "random tuples", text(values), text(others), same


def sets(rng):
    values = list({rational(rng, 9) for _ in range(rng.randint(2, 4))})
    values.sort()
    others = list(values)
    rng.shuffle(others)
    same = rng.random() < 0.5
    if not same:
        others[0] = max(values) + 1
    text = lambda items: "\\{" + ", ".join(latex(item, rng) for item in items) + "\\}"
    return "random sets", text(values), text(others), same


def intervals(rng):
    low = rational(rng, 9)
    high = low + rng.randint(1, 9)
    ends = [rng.choice("(["), rng.choice(")]")]
    other = list(ends)
    same = rng.random() < 0.5
    if not same:
        other[1] = ")" if ends[1] == "]" else "]"
    text = lambda ends: f"{ends[0]}{latex(low, rng)}, {latex(high, rng)}{ends[1]}"
    return "random intervals", text(ends), text(other), same


def equations(rng):
    """ax+by=c against its multiple."""
    a, b, c = rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 20)
    k = rng.choice([2, 3, -1, -2])
    same = rng.random() < 0.5
    right = k * c if same else k * c + 1
    return "random equations", f"{a}x+{b}y={c}", f"{polynomial([0, k * a])}{polynomial([0, k * b], 'y') if k < 0 else '+' + polynomial([0, k * b], 'y')}={right}", same


def complexes(rng):
    """(a+bi)(c+di) against its value."""
    a, b, c, d = (rng.randint(1, 9) for _ in range(4))
    same = rng.random() < 0.5
    real, imaginary = a * c - b * d, a * d + b * c + (0 if same else 1)
    return "random complex numbers", f"({a}+{b}i)({c}+{d}i)", f"{real}+{imaginary}i", same


def powers(rng):
    base, power = rng.randint(2, 12), rng.randint(2, 7)
    same = rng.random() < 0.5
    return "random powers", f"{base}^{{{power}}}", f"{base**power + (0 if same else base):,}", same


FORMS = [numbers, sums, polynomials, roots, surds, tuples, sets, intervals, equations, complexes, powers]


def main():
    rng = random.Random(20250301)
    pairs = list(by_hand())
    seen = {(pair["gold"], pair["answer"]) for pair in pairs}
    for form in FORMS:
        made = 0
        while made < 28:
            name, gold, answer, same = form(rng)
            if (gold, answer) in seen:
                continue
            seen.add((gold, answer))
            pairs.append({"form": name, "gold": gold, "answer": answer, "truth": "equal" if same else "different"})
            made += 1
    with (HERE.parent / "data" / "math_pairs.jsonl").open("w") as out:
        for pair in pairs:
            out.write(json.dumps(pair, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
