"""Figures of one run, on disk: NAME.json (every round), NAME.md (tables), NAME.GROUP.svg (pictures). Losses stand where wins do."""
import json
import re
from datetime import datetime

from . import chart
from .report import idle_summary, summary

MONTHS = {name: i + 1 for i, name in enumerate("January February March April May June July August September October November December".split())}


def age(version, now):
    """"1.22.1 (of May 2022)" -> "4.5 years"; "" where it isn't known."""
    m = re.search(r"\(of (\w+) (\d{4})\)", version)
    if not m or m[1] not in MONTHS:
        return ""
    years = now.year - int(m[2]) + (now.month - MONTHS[m[1]]) / 12
    return f"{years:.1f} years"


def ours(peer):
    return peer.startswith("ringgate")


def ratio(a, b):
    return f"{a / b:.2f}" if a and b else "-"


def sound(figures):
    """Whether next to all was answered: what is refused is cheap."""
    return figures.get("error_share", 0) <= 0.01


def least(figures, key, names):
    """(peer, figure) with the least figure among these that answered, or None."""
    return min(((p, figures[p][key]) for p in names if p in figures and figures[p][key] and sound(figures[p])), key=lambda x: x[1], default=None)


class Results:
    def __init__(self, out, name, conditions, chosen):
        self.out, self.name, self.chosen = out, name, chosen
        self.floor = {p.name for p in chosen if p.floor}
        self.kept = {"conditions": conditions, "rows": [], "idle": [], "failures": [], "left_out": [], "settings": {}}
        self.scenarios = []  # those that ran, in order

    def begin(self, scenario):
        self.scenarios.append(scenario)

    def row(self, scenario, peer, row, kind="rows"):
        self.kept[kind].append({"scenario": scenario.name, "peer": peer.name, **row})

    def failed(self, scenario, peer, why):
        self.kept["failures"].append({"scenario": scenario.name, "peer": peer.name, "why": why})

    def leave_out(self, scenario, peer, why):
        self.kept["left_out"].append({"scenario": scenario.name, "peer": peer.name, "why": why})

    def settings(self, scenario, peer, told):
        """How it was started; the first time in a scenario counts, the others differ by port."""
        self.kept["settings"].setdefault(peer.name, {}).setdefault(scenario.name, told)

    def rows_of(self, scenario):
        """{peer: [row, ...]}"""
        by_peer = {}
        for r in self.kept["idle" if scenario.memory else "rows"]:
            if r["scenario"] == scenario.name:
                by_peer.setdefault(r["peer"], []).append(r)
        return by_peer

    def figures(self, scenario):
        return {p: (idle_summary if scenario.memory else summary)(rows) for p, rows in self.rows_of(scenario).items()}

    def save(self):
        self.out.mkdir(parents=True, exist_ok=True)
        self.file("json").write_text(json.dumps(self.kept, indent=1))
        for group in self.groups():
            if self.drawn(group):
                self.file(f"{group}.svg").write_text(self.picture(group))
        self.file("md").write_text(self.markdown())

    def file(self, end):
        return self.out / f"{self.name}.{end}"

    def groups(self):
        return list(dict.fromkeys(s.group for s in self.scenarios))

    def drawn(self, group):
        return any(self.rows_of(s) for s in self.scenarios if s.group == group)

    def peers_apart(self, figures):
        """(ours, other proxies, forwarders) that have figures."""
        return ([p for p in figures if ours(p)], [p for p in figures if not ours(p) and p not in self.floor], [p for p in figures if p.startswith("fwd-")])

    def ordered(self, scenario):
        figures = self.figures(scenario)
        return sorted(figures.items(), key=lambda kv: (kv[0] not in self.floor, kv[1][scenario.bar[0]]))

    def picture(self, group):
        kind = lambda p: "ours" if ours(p) else "floor" if p in self.floor else "peer"
        blocks = []
        for s in self.scenarios:
            if s.group == group and (figures := self.ordered(s)):
                key, label, other = s.bar
                blocks.append((s.name, label.format(unit=s.unit), [(p + ("*" if p in self.floor else ""), kind(p), f[key], f[other] if other else None) for p, f in figures]))
        return chart.svg(f"{group}, {self.kept['conditions']['when'][:10]}. Bars: least of the rounds; marks: median; *: a limit, no proxy", blocks)

    def markdown(self):
        c = self.kept["conditions"]
        out = [f"# Bench of {c['when']}", "",
               f"{c['cores']} cores ({c.get('cpu', '')}), Linux {c['kernel']}; proxy on CPU {c['proxy_cpus']}, load and backend on {c['load_cpus']}; "
               f"{c['rounds']} rounds of {c['seconds']:g} s, interleaved.", "", f"    {c.get('command', '')}", ""]
        out += self.standing() + self.peers_table()
        for group in self.groups():
            out += [f"## {group}", "", *([f"![{group}]({self.name}.{group}.svg)", ""] if self.drawn(group) else [])]
            for s in self.scenarios:
                if s.group == group:
                    out += self.section(s)
        return "\n".join(out + self.settings_section()) + "\n"

    def standing(self):
        """Where Ringgate stands: by the least and by the median, against the best other proxy and the best raw forwarder."""
        out = ["## Where Ringgate stands", "",
               "Below 1 it costs less than the best of the others, above 1 more. Least of the rounds / median of the rounds.", "",
               "| scenario | of | Ringgate | best peer | x best peer | best forwarder | x best forwarder | |", "|---|---|---|---|---|---|---|---|"]
        lines = [line for s in self.scenarios if (line := self.standing_in(s))]
        return [*out, *lines, ""] if lines else []

    def standing_in(self, s):
        """A line of that table; '' where there is nothing to compare."""
        figures, (key, label, other) = self.figures(s), s.bar
        _, others, forwarders = self.peers_apart(figures)
        failed = any(r["scenario"] == s.name and r["peer"] == "ringgate" for r in self.kept["failures"])
        if not least(figures, key, others) or not (failed or "ringgate" in figures):
            return ""
        f, keys = figures.get("ringgate"), [key, *([other] if other else [])]
        cells = [s.name, label.format(unit=s.unit), chart.figure(f[key]) if f else "failed"]
        for names in (others, forwarders):
            best = least(figures, key, names)
            cells.append(f"{best[0]} {chart.figure(best[1])}" if best else "-")
            cells.append(" / ".join(ratio(f[k], least(figures, k, names)[1]) for k in keys) if f and best else "-")
        x = f[key] / least(figures, key, others)[1] if f and sound(f) and not failed else 2
        return f"| {' | '.join(cells)} | {'ahead' if x < 0.98 else 'level' if x <= 1.02 else '**behind**'} |"

    def peers_table(self):
        c = self.kept["conditions"]
        now = datetime.strptime(c["when"], "%Y-%m-%dT%H:%M:%SZ")
        out = ["## Peers", "", "| peer | version | its age |", "|---|---|---|"]
        for p in self.chosen:
            version = c["versions"].get(p.name, "-")
            out.append(f"| {p.name}{'*' if p.floor else ''} | {'no proxy: a limit' if p.floor else version} | {age(version, now) or '' if p.floor or ours(p.name) else age(version, now) or 'not known here'} |")
        return [*out, ""]

    def section(self, s):
        out = [f"### {s.name}", "", s.what[0].upper() + s.what[1:] + ".", ""]
        figures = self.ordered(s)
        if figures:
            out += self.memory_table(s, figures) if s.memory else self.load_table(s, figures)
        for kind, word in (("failures", "failed"), ("left_out", "left out")):
            out += [f"- {r['peer']} {word}: {' '.join(r['why'].split())[:300]}" for r in self.kept[kind] if r["scenario"] == s.name]
        return [*out, ""]

    def load_table(self, s, figures):
        by = dict(figures)
        proxies = [p for p in by if p not in self.floor]
        best, raw = least(by, "cpu_min", proxies), least(by, "cpu_min", [p for p in by if p.startswith("fwd-")])
        extra = [(title, shown) for title, key, shown in EXTRA if any(f.get(key) is not None for f in by.values())]
        head = ["peer", f"CPU µs/{s.unit}, least", "median", "x best peer", "x best forwarder", f"{s.unit}/s", "p50 µs", "p99 µs", "RSS MiB", "errors", "busy", "other load", *(t for t, _ in extra)]
        out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for p, f in figures:
            cells = [p + ("*" if p in self.floor else ""), f"{f['cpu_min']:.2f}", f"{f['cpu_us']:.2f}", ratio(f["cpu_min"], best and best[1]), ratio(f["cpu_min"], raw and raw[1]),
                     f"{f['rps']:.0f}", f"{f['p50']:.0f}", f"{f['p99']:.0f}", f"{f['rss'] / 1024:.1f}", str(f["errors"]), f"{f['busy']:.0%}", f"{f['foreign']:.0%}", *(shown(f) for _, shown in extra)]
            out.append("| " + " | ".join(cells) + " |")
        return [*out, ""]

    def memory_table(self, s, figures):
        best = least(dict(figures), s.bar[0], [p for p, _ in figures if p not in self.floor])
        head = ["peer", s.bar[1].format(unit=s.unit), "x best peer", "before, MiB", "after, MiB", "of the data plane", "ready after s", "errors"]
        out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for p, f in figures:
            out.append(f"| {p}{'*' if p in self.floor else ''} | {f[s.bar[0]]:.2f} | {ratio(f[s.bar[0]], best and best[1])} | {f['rss0_kib'] / 1024:.1f} | {f['rss_kib'] / 1024:.1f} | {f['rss_dataplane_kib'] / 1024:.1f} | {f['ready_s']:.2f} | {f['errors']:.0f} |")
        return [*out, ""]

    def settings_section(self):
        out = ["## Settings", "", f"What each peer ran with in each scenario, command and files, is in `{self.name}.json` below `settings`. The commands, where they differ:", ""]
        for peer, by_scenario in self.kept["settings"].items():
            seen = dict.fromkeys(re.sub(r"\b\d{5}\b", "PORT", t["command"]) for t in by_scenario.values())
            out += [f"- {peer}: " + "; ".join(f"`{command[:300]}`" for command in seen)]
        return out


# Columns that some scenarios have, or some options: title, key in a summary, how it is shown.
dash = lambda x, form: form.format(x) if x is not None else "-"
EXTRA = [
    ("syscalls/req", "syscalls", lambda f: dash(f.get("syscalls"), "{:.2f}")),
    ("switches/req", "switches", lambda f: dash(f.get("switches"), "{:.3f}")),
    ("p99.9 µs", "p999_us", lambda f: dash(f.get("p999_us"), "{:.0f}")),
    ("asked for/s", "rate", lambda f: dash(f.get("rate"), "{:.0f}")),
    ("client late by, p99 µs", "late_p99_us", lambda f: dash(f.get("late_p99_us"), "{:.0f}")),
    ("connections reopened", "reopened", lambda f: dash(f.get("reopened"), "{:.0f}")),
    ("busiest worker / mean", "balance", lambda f: dash(f.get("balance"), "{:.2f}")),
    ("mirrored", "mirrored", lambda f: dash(f.get("mirrored"), "{:.1%}")),
    ("logged", "logged", lambda f: dash(f.get("logged"), "{:.1%}")),
    ("changes/s", "changes_per_s", lambda f: dash(f.get("changes_per_s"), "{:.1f}")),
    ("versions in force/s", "versions_per_s", lambda f: dash(f.get("versions_per_s"), "{:.1f}")),
    ("last one in force after ms", "settled_ms", lambda f: dash(f.get("settled_ms"), "{:.0f}")),
]
