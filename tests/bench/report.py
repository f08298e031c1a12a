"""Medians as a table for people and as a chart."""

from html import escape
from statistics import median

COLUMNS = ["", "calls/s, 32 conn.", "p50 ms, 1 conn.", "p99 ms, 32 conn.", "CPU us, Envoy", "CPU us, processor"]
KEYS = ["per_second", "p50", "p99", "envoy", "processor"]
FORMATS = ["{:,.0f}", "{:.3f}", "{:.2f}", "{:.1f}", "{:.1f}"]


def medians(runs: list) -> dict:
    """Of each measured quantity over all rounds; `runs` themselves beside them, for ratios."""
    return {key: median(run[key] for run in runs) for key in KEYS if key in runs[0]} | {"runs": runs}


def ratio(row: dict, base: dict, key: str) -> float:
    """The median of the rounds' ratios: what slows the machine down for a while falls on both of a round."""
    return median(run[key] / other[key] for run, other in zip(row["runs"], base["runs"]))


def table(title: str, rows: dict, base: str) -> str:
    """Markdown; the second line of each row but the base's holds its ratios to the base."""
    lines = [f"**{title}**", "", "| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * len(KEYS) + "|"]
    for name, row in rows.items():
        cells = [form.format(row[key]) if key in row else "-" for key, form in zip(KEYS, FORMATS)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, row in rows.items():
        if name == base or base not in rows:
            continue
        ratios = [f"{ratio(row, rows[base], key):.2f}" if key in row and rows[base].get(key) else "-" for key in KEYS]
        lines.append(f"| {name} : {base} | " + " | ".join(ratios) + " |")
    return "\n".join(lines) + "\n"


def chart(groups: dict) -> str:
    """Calls per second as bars. `groups`: title -> {name -> calls per second}."""
    bar, gap, left, width = 22, 6, 130, 460
    parts, y = [], 10
    for title, rows in groups.items():
        parts.append(f'<text x="0" y="{y + 14}" font-weight="bold">{escape(title)}</text>')
        y += 24
        top = max(rows.values())
        for name, value in rows.items():
            length = max(1, round(width * value / top))
            color = "#2f6f4f" if name == "mcp-manifold" else "#9fb3c8"
            parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect x="{left}" y="{y}" width="{length}" height="{bar}" fill="{color}"/>')
            parts.append(f'<text x="{left + length + 6}" y="{y + 15}">{value:,.0f}/s</text>')
            y += bar + gap
        y += 14
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{y}" {style}>{"".join(parts)}</svg>\n'
