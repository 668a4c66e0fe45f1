"""The table."""
from statistics import median


# What only some scenarios or options have.
OPTIONAL = ("syscalls", "switches", "p999_us", "rate", "late_p99_us", "reopened", "balance", "mirrored", "logged", "changes_per_s", "versions_per_s", "settled_ms")


def summary(rows):
    """Rounds of one peer in one scenario -> one line's figures."""
    col = lambda k: [r[k] for r in rows]
    cpu, rps = col("cpu_us"), col("rps")
    return {"rounds": len(rows), "rps": median(rps), "rps_max": max(rps), "cpu_us": median(cpu), "cpu_min": min(cpu),
            "user_us": median(col("user_us")), "sys_us": median(col("sys_us")),
            "spread": (max(cpu) - min(cpu)) / min(cpu) if min(cpu) else 0.0, "rps_spread": (max(rps) - min(rps)) / max(rps) if max(rps) else 0.0,
            "p50": median(col("p50_us")), "p99": median(col("p99_us")), "p99_min": min(col("p99_us")), "errors": sum(col("errors")),
            "error_share": sum(col("errors")) / max(1, sum(col("errors")) + sum(col("requests"))),
            "busy": median(col("busy")), "foreign": max(col("foreign")), "stolen": max(col("stolen")),
            "rss": max(col("rss_kib")), "rss0": median(col("rss0_kib")), "rss_dataplane": max(col("rss_dataplane_kib")), "backend_us": median(col("backend_us")), "load_us": median(col("load_us")), "ready": median(col("ready_s")),
            **{k: median(v) if (v := [r[k] for r in rows if r.get(k) is not None]) else None for k in OPTIONAL}}


def table(scenario, by_peer, floor, failures):
    """by_peer: {name: [row, ...]}; floor: names that are limits, not proxies."""
    s = {p: summary(rows) for p, rows in by_peer.items() if rows}
    real = {p: v for p, v in s.items() if p not in floor and v["rps"] and v["error_share"] <= 0.01}
    best_cpu = min((v["cpu_min"] for v in real.values()), default=0)
    best_rps = max((v["rps_max"] for v in real.values()), default=0)
    best_p99 = min((v["p99_min"] for v in real.values() if v["p99_min"]), default=0)
    counted = any(v["syscalls"] is not None for v in s.values())
    extra = lambda v: f"{v['syscalls']:9.2f}{v['switches']:8.3f}" if v["syscalls"] is not None and v["switches"] is not None else ""
    ratio = lambda a, b: f"{a / b:5.2f}" if b else "    -"
    notes = lambda v: "".join(f"  {k} {v[k]:.4g}" for k in OPTIONAL[2:] if v[k] is not None)
    out = [f"\n## {scenario.name}: {scenario.what}",
           f"{'peer':16}{'cpu-us/' + scenario.unit:>11}{'(med)':>9}{'x best':>7}{'usr/sys':>12}{scenario.unit + '/s':>10}{'(max)':>9}{'of best':>8}{'p50 us':>9}{'p99 us':>9}{'x best':>7}{'err':>7}{'busy':>6}{'spread':>8}{'other':>7}{'RSS MiB':>9}{'of dp':>7}" + (f"{'syscalls':>9}{'switch':>8}" if counted else "")]
    for p, v in sorted(s.items(), key=lambda kv: (kv[0] not in floor, kv[1]["cpu_min"])):
        out.append(f"{p + ('*' if p in floor else ''):16}{v['cpu_min']:11.2f}{v['cpu_us']:9.2f}{ratio(v['cpu_min'], best_cpu):>7}{v['user_us']:6.1f}/{v['sys_us']:<5.1f}"
                   f"{v['rps']:10.0f}{v['rps_max']:9.0f}{ratio(v['rps_max'], best_rps):>8}{v['p50']:9.0f}{v['p99']:9.0f}{ratio(v['p99_min'], best_p99):>7}{v['errors']:7d}{v['busy']:6.0%}{v['spread']:8.0%}{v['foreign']:7.0%}{v['rss'] / 1024:9.1f}{v['rss_dataplane'] / 1024:7.1f}" + extra(v) + notes(v))
    out += [f"{p:16} {why}" for p, why in failures.items()]
    return "\n".join(out)


def idle_summary(rows):
    """The same of a memory scenario: medians."""
    return {k: median(r[k] for r in rows) for k in ("rss0_kib", "rss_kib", "rss_dataplane_kib", "per_unit_kib", "open", "errors", "fds", "idle_cpu", "ready_s")}


def memory_table(scenario, by_peer, floor, failures):
    s = {p: idle_summary(rows) for p, rows in by_peer.items()}
    best = min((v["per_unit_kib"] for p, v in s.items() if p not in floor), default=0)
    out = [f"\n## {scenario.name}: {scenario.what} (1 worker)",
           f"{'peer':16}{'with 0':>10}{'with N':>10}{'of dp':>10}{'KiB/' + scenario.unit:>10}{'x best':>7}{'N':>8}{'fds':>8}{'idle cpu':>9}{'start s':>9}"]
    for p, v in sorted(s.items(), key=lambda kv: (kv[0] not in floor, kv[1]["per_unit_kib"])):
        ratio = f"{v['per_unit_kib'] / best:5.2f}" if best > 0 else "    -"
        out.append(f"{p + ('*' if p in floor else ''):16}{v['rss0_kib'] / 1024:9.1f}M{v['rss_kib'] / 1024:9.1f}M{v['rss_dataplane_kib'] / 1024:9.1f}M{v['per_unit_kib']:10.2f}{ratio:>7}{v['open']:8.0f}{v['fds']:8.0f}{v['idle_cpu']:9.2%}{v['ready_s']:9.2f}")
    return "\n".join(out + [f"{p:16} {why}" for p, why in failures.items()])
