"""Ratios with their spread, as text and as a table for the JSON file."""
import statistics


def _spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _ratios(rounds, mode, contender):
    """Against `direct` of the same round; above 1 is better than direct."""
    pairs = [(r[contender][mode.name]["value"], r["direct"][mode.name]["value"]) for r in rounds
             if mode.name in r.get(contender, {}) and mode.name in r.get("direct", {})]
    return [mine / direct if mode.is_rate else direct / mine for mine, direct in pairs]


def print_report(result, modes):
    rounds = result["rounds"]
    names = sorted({name for r in rounds for name in r}, key=lambda n: (n != "direct", n.startswith("weir"), n))
    summary = {}
    for mode in modes:
        print(f"\n{mode.name} ({mode.unit}), {len(rounds)} rounds: median [min .. max]")
        for name in names:
            values = [r[name][mode.name]["value"] for r in rounds if mode.name in r.get(name, {})]
            if not values:
                continue
            row = {"value": _spread(values)}
            line = f"  {name:16} {row['value']['median']:10.3f} [{row['value']['min']:.3f} .. {row['value']['max']:.3f}]"
            ratios = _ratios(rounds, mode, name)
            if ratios and name != "direct":
                row["of_direct"] = _spread(ratios)
                line += "   of direct {median:.3f} [{min:.3f} .. {max:.3f}]".format(**row["of_direct"])
            if mode.unit == "ms" and name != "direct" and ratios:
                over = [(r[name][mode.name]["value"] - r["direct"][mode.name]["value"]) * 1000 for r in rounds
                        if mode.name in r.get(name, {}) and mode.name in r.get("direct", {})]
                row["us_over_direct"] = _spread(over)
                line += f"   {row['us_over_direct']['median']:+.1f} us"
            cpu = [r[name][mode.name]["cpu_us_per_transaction"] for r in rounds if mode.name in r.get(name, {})]
            if mode.is_rate and name != "direct":
                row["cpu_us_per_transaction"] = _spread(cpu)
                line += f"   cpu {row['cpu_us_per_transaction']['median']:.1f} us each"
            summary.setdefault(mode.name, {})[name] = row
            print(line)
        if mode.is_rate:
            _print_machine(rounds, mode, names, summary[mode.name])
    return summary


_COLUMNS = {"busy": "busy", "idle": "idle", "server_user": "server user", "server_kernel": "server kernel", "switches": "switches"}


def _print_machine(rounds, mode, names, summary):
    """Where a transaction's time went, on all processors together."""
    print(f"  one transaction, medians: us of all processors, of PostgreSQL; context switches\n  {'':20}" + "".join(f"{title:>15}" for title in _COLUMNS.values()))
    for name in names:
        samples = [r[name][mode.name]["machine"] for r in rounds if mode.name in r.get(name, {})]
        if samples:
            summary[name]["machine"] = {key: statistics.median(sample[key] for sample in samples) for key in _COLUMNS}
            print(f"  {name:20}" + "".join(f"{summary[name]['machine'][key]:15.1f}" for key in _COLUMNS))
