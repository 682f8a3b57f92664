"""The report's frame: one file, styles and plotly.js inlined, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable

from tuner.results.html import Charts, Markup, esc, tag

# Nothing may be fetched, whatever a log line tries; plotly draws images as data: and blob:.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"

_STYLE = """
:root { color-scheme: light dark; --ink:#1c2330; --soft:#5c6675; --line:#d9dee6; --back:#f5f6f8;
  --card:#fff; --good:#0b7a55; --warn:#9a6200; --bad:#b3361b; --accent:#1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e8ee; --soft:#9aa5b4; --line:#2d3541; --back:#12161c;
  --card:#1a2029; --good:#3fc796; --warn:#e8ad4a; --bad:#f0795a; --accent:#7fb0ff; } }
* { box-sizing: border-box }
body { margin:0; background:var(--back); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
main { max-width:1120px; margin:0 auto; padding:24px 20px 64px }
header { display:flex; flex-wrap:wrap; gap:4px 16px; align-items:baseline; margin-bottom:12px }
h1 { font-size:20px; margin:0 } h2 { font-size:17px; margin:0 0 10px }
h3 { font-size:14px; margin:16px 0 6px }
header span, .note { color:var(--soft) } .note { font-size:13px; margin:6px 0 }
section { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:18px 20px;
  margin:0 0 16px }
.verdict { border-left:6px solid var(--tone); } .verdict .headline { font-size:20px; font-weight:600;
  line-height:1.35; margin:4px 0 8px }
.good { --tone:var(--good) } .warn { --tone:var(--warn) } .bad { --tone:var(--bad) }
.none { --tone:var(--soft) }
.badge { display:inline-block; padding:1px 9px; border-radius:99px; font-size:12px; font-weight:600;
  color:var(--tone,var(--soft)); border:1px solid var(--tone,var(--line)) }
.big { font-size:34px; font-weight:650; color:var(--tone); line-height:1.1 }
.big small { display:block; font-size:13px; font-weight:400; color:var(--soft); margin-top:3px }
.scroll { overflow-x:auto } table { border-collapse:collapse; font-size:13.5px; min-width:50% }
th { text-align:left; color:var(--soft); font-weight:600; white-space:nowrap }
td, th { padding:5px 14px 5px 0; border-bottom:1px solid var(--line); vertical-align:top }
td { font-variant-numeric:tabular-nums } tr.changed td { font-weight:600 }
.mark { font-weight:600; color:var(--accent) }
pre { background:var(--back); border:1px solid var(--line); border-radius:6px; padding:10px 12px;
  margin:6px 0; overflow-x:auto; font:12.5px/1.45 ui-monospace,Menlo,Consolas,monospace;
  white-space:pre-wrap; overflow-wrap:anywhere; max-height:420px }
dl { display:grid; grid-template-columns:max-content 1fr; gap:3px 18px; margin:0; font-size:13.5px }
dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
details { border-top:1px solid var(--line); padding:7px 0 } summary { cursor:pointer }
.grid { display:grid; grid-template-columns:repeat(auto-fill,minmax(310px,1fr)); gap:12px }
.pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(400px,1fr)); gap:16px }
ul { margin:6px 0; padding-left:20px }
"""

_DRAW = """
const tone = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axes = layout => Object.keys(layout).filter(key => /^[xy]axis/.test(key));
const colours = layout => { const set = {'font.color': tone('--ink')};
  for (const key of axes(layout)) { set[key + '.gridcolor'] = tone('--line');
    set[key + '.zerolinecolor'] = tone('--soft'); } return set; };
const places = [];
for (const script of document.querySelectorAll('script[data-chart]')) {
  const place = document.getElementById(script.dataset.chart), figure = JSON.parse(script.textContent);
  const layout = {paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', autosize: true,
    font: {family: 'system-ui, sans-serif', size: 12}, hoverlabel: {align: 'left'},
    ...figure.layout};
  Plotly.newPlot(place, figure.data, layout, {displayModeBar: false, responsive: true})
    .then(() => Plotly.relayout(place, colours(layout)));
  places.push([place, layout]);
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const [place, layout] of places) Plotly.relayout(place, colours(layout)); });
"""


def page(*, title: str, subtitle: str, sections: Iterable[Markup], charts: Charts) -> str:
    """A whole HTML document; about 5 MB where it has charts, most of it plotly.js."""
    body = tag("main", tag("header", tag("h1", title), tag("span", subtitle)), *sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{esc(title)}</title><style>{_STYLE}</style></head>\n<body>{body}\n{_drawing(charts)}</body></html>\n"
    )


def _drawing(charts: Charts) -> str:
    if not charts.figures:
        return ""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  large, and only a report needs it

    library = get_plotlyjs()
    return f"<script>{library}</script>\n{charts.scripts()}<script>{_DRAW}</script>\n"
