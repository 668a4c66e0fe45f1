"""One SVG picture of a group: bars per scenario and peer. Written by hand, readable on light and on dark."""
from html import escape

WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 760, 150, 130, 16, 5, 44
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 } .unit { fill: #57606a }
  .peer { fill: #8c959f } .ours { fill: #0969da } .floor { fill: #d0d7de } .tick { stroke: #24292f; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .unit { fill: #9198a1 }
    .peer { fill: #6e7681 } .ours { fill: #58a6ff } .floor { fill: #30363d } .tick { stroke: #e6edf3 }
  }
"""


def figure(x):
    return f"{x:,.0f}" if x >= 1000 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def svg(title, blocks):
    """blocks: [(scenario, unit, [(peer, kind, value, tick)])]: kind is "ours", "peer" or "floor"; tick is another value to mark, or None."""
    out, y = [], 30
    room = WIDTH - LEFT - RIGHT
    for scenario, unit, bars in blocks:
        out.append(f'<text class="title" x="10" y="{y + 16}">{escape(scenario)} <tspan class="unit" font-weight="400">{escape(unit)}; shorter is better</tspan></text>')
        y += HEAD - 18
        most = max((max(value, tick or 0) for _, _, value, tick in bars), default=0) or 1
        for peer, kind, value, tick in bars:
            long = max(1.0, room * max(value, 0) / most)
            out.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(peer)}</text>'
                       f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2"/>')
            end = long
            if tick:
                at = LEFT + room * tick / most
                out.append(f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="{y + 2}" y2="{y + BAR - 2}"/>')
                end = max(long, at - LEFT)
            out.append(f'<text x="{LEFT + end + 8:.1f}" y="{y + 12}">{figure(value)}</text>')
            y += BAR + GAP
        y += 16
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(title, quote=True)}">'
    return "\n".join([head, f"<style>{STYLE}</style>", f'<text class="title" x="10" y="20">{escape(title)}</text>', *out, "</svg>"]) + "\n"
