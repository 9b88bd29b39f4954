/** The style sheet of the pages. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --sheet: #fff; --ink: #1a2029; --soft: #566070; --line: #d9dee6; --faint: #eef1f5;
  --link: #0b57b0; --accent: #0b57b0; --on-accent: #fff;
  --good: #146c3a; --busy: #0b57b0; --warn: #875400; --bad: #b3261e; --bad-ground: #fdecea; --warn-ground: #fff4dc;
  --c0: #2f6fd0; --c1: #d9822b; --c2: #2f9e78; --c3: #9b5fc0; --c4: #4b3f9e; --c5: #5c8f1f; --c6: #1f95a8; --c7: #a88a1a; --c8: #8b93a1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1318; --sheet: #171c23; --ink: #e3e8ef; --soft: #9aa6b6; --line: #2b333f; --faint: #1f262f;
    --link: #86b7ff; --accent: #2f6cc0; --on-accent: #fff;
    --good: #6fd39a; --busy: #86b7ff; --warn: #f0bd5c; --bad: #ff948a; --bad-ground: #3a1a1a; --warn-ground: #33290f;
    --c0: #5b93ea; --c1: #e39a4f; --c2: #4db893; --c3: #b484d6; --c4: #8f84f0; --c5: #86b947; --c6: #4bb6c9; --c7: #cdb045; --c8: #7d8796;
  }
}
* { box-sizing: border-box; }
html { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); min-height: 100vh; display: flex; flex-direction: column; }
.bar, main { width: 100%; max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
main { flex: 1; padding-top: 1.25rem; padding-bottom: 2.5rem; outline: none; }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: .5rem; top: .5rem; background: var(--sheet); padding: .5rem 1rem; z-index: 2; }
header { background: var(--sheet); border-bottom: 1px solid var(--line); }
header .bar { display: flex; align-items: center; gap: .25rem 1.5rem; flex-wrap: wrap; }
.brand { font-weight: 700; color: var(--ink); text-decoration: none; padding: .7rem 0; }
.brand span { color: var(--link); }
nav { flex: 1; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; }
nav a { display: block; padding: .7rem .75rem; color: var(--soft); text-decoration: none; border-bottom: 3px solid transparent; }
nav a:hover { color: var(--ink); }
nav a[aria-current] { color: var(--ink); border-color: var(--accent); font-weight: 600; }
footer { border-top: 1px solid var(--line); color: var(--soft); font-size: .867rem; }
footer .bar { display: flex; gap: 1rem; align-items: center; min-height: 2.75rem; flex-wrap: wrap; }
footer p { margin: 0; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.067rem; margin: 0 0 .75rem; }
h3 { font-size: .933rem; margin: 1.25rem 0 .4rem; }
p { margin: 0 0 .75rem; }
.lead, .note, .empty { color: var(--soft); }
.lead { margin-top: -.6rem; max-width: 48rem; }
.note { font-size: .867rem; }
.sheet { background: var(--sheet); border: 1px solid var(--line); border-radius: 8px; padding: 1.1rem 1.25rem; margin: 0 0 1.25rem; }
.sheet > :last-child, .sheet > [data-live]:last-child > :last-child { margin-bottom: 0; }
.head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; justify-content: space-between; }
.pair { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 0 1.25rem; align-items: start; }
.alarm { border-color: var(--bad); background: var(--bad-ground); }
.alarm h2 { color: var(--bad); }
.caution { border-color: var(--warn); background: var(--warn-ground); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1px; margin: 0 0 1.25rem; padding: 0; background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.figures div { background: var(--sheet); padding: .8rem 1.1rem; }
.figures dt { color: var(--soft); font-size: .867rem; }
.figures dd { margin: 0; font-size: 1.6rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures dd small { font-size: .867rem; font-weight: 400; color: var(--soft); }
.figures .bad dd { color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .867rem; padding-bottom: .4rem; }
th, td { text-align: left; padding: .42rem .9rem .42rem 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .867rem; white-space: nowrap; }
tbody th { font-weight: 500; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.scroll { overflow-x: auto; position: relative; }
th .id { white-space: nowrap; }
.sheet .scroll { margin: 0 -.25rem; padding: 0 .25rem; }
td time, .badge, .keep { white-space: nowrap; }
code, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
.id { overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; } .name .id { color: var(--soft); display: inline-block; } .note .name { display: inline-block; margin-right: .75em; }
pre { background: var(--faint); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; margin: 0 0 .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.badge.good span { color: var(--good); } .badge.busy span { color: var(--busy); } .badge.quiet span { color: var(--soft); }
.badge.warn { color: var(--warn); } .badge.bad { color: var(--bad); font-weight: 600; }
.terms { display: grid; grid-template-columns: minmax(6rem, 11rem) minmax(0, 1fr); gap: .35rem 1rem; margin: 0 0 .75rem; }
.terms dt { color: var(--soft); } .terms dd { margin: 0; overflow-wrap: anywhere; }
.meter { display: block; width: 100%; height: 14px; margin: .3rem 0 .6rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--soft); font-size: 12.5px; }
.chart polyline, .chart polygon, .chart line { vector-effect: non-scaling-stroke; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .plan { fill: none; stroke: var(--soft); stroke-width: 2; stroke-dasharray: 5 4; }
.chart .done { fill: none; stroke: var(--c0); stroke-width: 2.5; }
.chart .area { stroke: var(--sheet); stroke-width: 1; }
.track { fill: var(--faint); stroke: var(--line); } .mark { fill: var(--ink); } .under-way { fill: var(--c1); } .failed { fill: var(--bad); }
.f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); } .f3 { fill: var(--c3); } .f4 { fill: var(--c4); }
.f5 { fill: var(--c5); } .f6 { fill: var(--c6); } .f7 { fill: var(--c7); } .f8 { fill: var(--c8); }
.swatch { width: .8rem; height: .8rem; margin-right: .5rem; vertical-align: -.05rem; }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .4rem 0 0; color: var(--soft); font-size: .867rem; }
form.row .wide { flex-basis: 100%; margin: 0; overflow-wrap: anywhere; }
form.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: end; }
label { display: block; color: var(--soft); font-size: .867rem; }
input, select { display: block; font: inherit; color: inherit; background: var(--sheet); border: 1px solid var(--soft); border-radius: 6px; padding: .4rem .6rem; min-height: 2.5rem; max-width: 100%; }
input.wide { width: 100%; max-width: 32rem; }
button, .button { font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 1px solid transparent; border-radius: 6px; padding: .4rem 1rem; min-height: 2.5rem; cursor: pointer; text-decoration: none; display: inline-flex; align-items: center; }
.button.second, button.second { color: var(--link); background: transparent; border-color: var(--line); }
button.stop { background: #b3261e; color: #fff; }
button.plain { background: none; color: var(--link); border: 0; padding: .4rem 0; font-weight: 400; text-decoration: underline; text-underline-offset: .15em; }
button[hidden] { display: none; }
.acts { display: flex; flex-wrap: wrap; gap: .6rem; margin-top: 1rem; align-items: center; }
.out { margin: 0; }
.narrow { max-width: 34rem; margin: 2rem auto; }
ol.story { list-style: none; margin: 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line); }
ol.story li { margin: 0 0 .8rem; position: relative; }
ol.story li::before { content: ""; position: absolute; left: -1.45rem; top: .45rem; width: .6rem; height: .6rem; border-radius: 50%; background: var(--soft); border: 2px solid var(--sheet); }
ol.story li.bad::before { background: var(--bad); } ol.story li.good::before { background: var(--good); }
ol.story p { margin: 0; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 46rem) {
  .bar, main { padding-left: .9rem; padding-right: .9rem; }
  .sheet { padding: .9rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  header .bar { position: relative; }
  nav { flex-basis: 100%; order: 1; margin: 0 -.5rem; }
  nav a { padding: .6rem .36rem; font-size: .867rem; }
  th, td { padding-right: .6rem; }
  .chart text { font-size: 21px; } .chart .between { display: none; }
  .figures div:first-child { grid-column: 1 / -1; }
  .out { margin-left: auto; }
  .figures { grid-template-columns: 1fr 1fr; }
  .figures dd { font-size: 1.3rem; }
  .terms { grid-template-columns: minmax(0, 1fr); gap: 0; } .terms dd { margin-bottom: .5rem; }
  .roomy { display: none; }
  form.row label { flex: 1 1 8rem; min-width: 0; } form.row label input, form.row label select { width: 100%; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards, .cards caption, .cards tbody, .cards tr, .cards th, .cards td { display: block; }
  .cards tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  .cards tbody th, .cards td { border: 0; padding: .1rem 0; text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .cards td:not([data-label]):empty { display: none; }
  .cards td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); }
}
@media (prefers-reduced-motion: no-preference) { a, button, .button { transition: color .12s, background-color .12s; } }
@media (forced-colors: active) { .swatch, .chart, .meter { forced-color-adjust: none; } }
@media print { header, footer, .acts { display: none; } body { background: #fff; } }
`;

/** The favicon: two halves, one of them in use. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="1" y="1" width="14" height="14" rx="2" fill="#fff" stroke="#0b57b0" stroke-width="2"/><path d="M2 2h6v12H2z" fill="#0b57b0"/></svg>`;
