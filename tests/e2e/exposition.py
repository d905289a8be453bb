"""Reads pages of metrics, and compares those of two exporters that look at the same thing at the same moment."""

import math
import re

LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Page:
    """A parsed page: types by family, and values by family, series name and labels."""

    def __init__(self, text):
        self.types, self.families = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                self.types[name] = kind
            elif line and not line.startswith("#"):
                name, labels, value = LINE.match(line).groups()
                pairs = tuple(sorted(LABEL.findall(labels or "")))
                self.families.setdefault(self.family(name), {})[(name, pairs)] = float(value)

    def family(self, name):
        for suffix in ("_bucket", "_sum", "_count"):
            base = name.removesuffix(suffix)
            if base != name and self.types.get(base) in ("histogram", "summary"):
                return base
        return name

    def value(self, series, /, **labels):
        wanted = set(labels.items())
        found = [v for (n, pairs), v in self.families.get(series, {}).items() if n == series and wanted <= set(pairs)]
        assert len(found) == 1, f"{series}{labels}: {len(found)} series"
        return found[0]

    def label_names(self, name):
        return {tuple(n for n, _ in pairs if n not in ("le", "quantile")) for _, pairs in self.families[name]}


class Differences:
    """What may differ, by name, with the reason. `without` are labels that the other version lacks."""

    def __init__(self, only_theirs=(), only_ours=(), kinds=(), labels=(), series=(), volatile=()):
        self.lists = {"only theirs": only_theirs, "only ours": only_ours, "type": kinds, "labels": labels,
                      "series": series, "value": volatile}
        self.seen = {}

    def explains(self, what, name):
        for pattern, reason in dict(self.lists[what]).items():
            if re.fullmatch(pattern, name):
                self.seen.setdefault((what, pattern), (reason, set()))[1].add(name)
                return True
        return False

    def report(self):
        return [f"  {what}: {', '.join(sorted(names))}: {reason}" for (what, _), (reason, names) in sorted(self.seen.items())]


def structure(ours, theirs, known):
    """Names, types and label names; what `known` does not explain."""
    faults = []
    for name in sorted(theirs.families.keys() - ours.families.keys()):
        if not known.explains("only theirs", name):
            faults.append(f"only theirs: {name}")
    for name in sorted(ours.families.keys() - theirs.families.keys()):
        if not known.explains("only ours", name):
            faults.append(f"only ours: {name}")
    for name in sorted(ours.families.keys() & theirs.families.keys()):
        if ours.types.get(name) != theirs.types.get(name) and not known.explains("type", name):
            faults.append(f"type: {name}: ours {ours.types.get(name)}, theirs {theirs.types.get(name)}")
        if ours.label_names(name) != theirs.label_names(name) and not known.explains("labels", name):
            faults.append(f"labels: {name}: ours {ours.label_names(name)}, theirs {theirs.label_names(name)}")
    return faults


def values(before, theirs, after, known):
    """Series and values: theirs was asked between our two. Counters must lie between, gauges that stood still be equal."""
    faults = []
    for name in sorted(before.families.keys() & theirs.families.keys() & after.families.keys()):
        if known.explains("labels", name):
            continue
        first, middle, last = before.families[name], theirs.families[name], after.families[name]
        if not (first.keys() & last.keys() <= middle.keys() <= first.keys() | last.keys()) and not known.explains("series", name):
            missing = [k for k in first.keys() & last.keys() if k not in middle][:2]
            extra = [k for k in middle if k not in first and k not in last][:2]
            faults.append(f"series: {name}: theirs lacks {missing}, has {extra}")
        if known.explains("value", name):
            continue
        kind = before.types.get(name)
        for key in first.keys() & middle.keys() & last.keys():
            a, b, c = first[key], middle[key], last[key]
            if math.isnan(a) and math.isnan(b):
                continue
            slack = 1e-6 * max(abs(a), 1)
            if kind in ("counter", "histogram", "untyped") or key[0].endswith("_total"):
                fits = min(a, c) - slack <= b <= max(a, c) + slack
            else:
                fits = a != c or abs(a - b) <= slack
            if not fits:
                faults.append(f"value: {name}{dict(key[1])}: {a}, theirs {b}, {c}")
    return faults
