// The read-out of charts: hover, touch or arrow keys show a point's values, Esc hides them; dragging over a range of time,
// or Shift + arrows and Enter, sends `chart:range` with ISO start and end. Charts that arrive later are served as well.
(() => {
  "use strict";
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const [tip, cross, range, live] = ["tip", "cross", "range", "live"].map((name) => make("div", `chart-${name}`, ""));
  [tip.ariaHidden, live.role] = ["true", "status"];
  const known = new WeakMap();
  let plot = null, index = -1, from = null, pressed = null;
  const plotOf = (event) => event.target instanceof Element ? event.target.closest("[data-chart] .chart-plot") : null;
  function read(of) {
    const figure = of.closest("[data-chart]"), raw = figure.dataset.chart;
    if (known.get(figure)?.raw !== raw) { // also where a swap changed the figure in place
      const data = JSON.parse(raw);
      known.set(figure, { ...data, raw, figure, count: data.series[0]?.v.length ?? 0 });
    }
    return known.get(figure);
  }
  function time(data, at) { // of a point's start, or of the end of the last
    return new Date(at < data.count ? Date.parse(data.start) + 1000 * (data.at?.[at] ?? data.step * at) : data.end);
  }
  function named(data, at) {
    const hour = String(at % data.columns).padStart(2, "0");
    if (data.rows) return `${data.rows[Math.floor(at / data.columns)]} ${hour}:00\u2013${hour}:59`;
    const form = data.interval === "day" ? { year: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const day = { weekday: "short", day: "numeric", month: "short" };
    const said = (timeZone) => time(data, at).toLocaleString("en-GB", { ...day, ...form, timeZone });
    try { return said(data.zone); } catch { return `${said("UTC")} UTC`; } // a zone that this browser does not know
  }
  function written(value, unit) {
    if (value === null) return "\u2013";
    const upTo = (digits, number) => number.toLocaleString("en", { maximumFractionDigits: digits });
    if (unit !== "ms") return unit === "percent" ? `${upTo(1, value * 100)}%` : upTo(value < 100 ? 1 : 0, value);
    const [size, name] = [[36e5, "h"], [6e4, "min"], [1e3, "s"], [1, "ms"]].find(([least]) => value >= least) ?? [1, "ms"];
    return `${upTo(size === 1e3 ? 2 : value < 10 || size > 1e3 ? 1 : 0, value / size)} ${name}`;
  }
  const place = (el, x, y, width, height) => Object.assign(el.style,
    { transform: `translate(${x}px, ${y}px)`, width: `${width}px`, height: `${height}px` });
  function show(of, at, aloud) {
    const data = read(of), fresh = plot !== of || tip.hidden || !tip.isConnected;
    if (!data.count) return;
    if (fresh) hide(); // also what was begun on another chart
    [plot, index] = [of, Math.max(0, Math.min(data.count - 1, at))];
    const rows = data.series.map((one) => [one.n, one.c, one.v[index]]);
    if (data.total) rows.push(["Total", "", rows.reduce((sum, row) => sum + (row[2] ?? 0), 0)]);
    tip.replaceChildren(make("b", "", named(data, index)), ...rows.map(([name, kind, value]) => {
      const row = make("span", "", ""), said = written(value, data.unit);
      row.append(make("i", kind && `chart-key c-${kind}`, ""), make("em", "", name), make("strong", "", said));
      return row;
    }));
    if (tip.parentNode !== data.figure) data.figure.append(tip, live);
    if (cross.parentNode !== of) of.append(cross, range);
    tip.hidden = cross.hidden = false;
    const box = data.figure.getBoundingClientRect(), inner = of.getBoundingClientRect();
    const columns = data.columns ?? data.count, slot = inner.width / columns, x = (index % columns) * slot;
    const tall = inner.height / (data.rows?.length ?? 1), y = data.rows ? Math.floor(index / columns) * tall : 0;
    const line = !data.rows && !data.stacked;
    cross.className = `chart-cross ${line ? "line" : data.rows ? "cell" : ""}`;
    place(cross, line ? x + slot / 2 : x, y, line ? 1 : Math.max(slot, 2), tall);
    const left = inner.left - box.left + x, right = left + slot + 12, wide = tip.offsetWidth;
    tip.classList.toggle("still", fresh); // it appears where it belongs rather than flying in
    const sideways = right + wide <= box.width ? right : Math.max(0, left - 12 - wide);
    tip.style.transform = `translate(${sideways}px, ${inner.top - box.top + y + 8}px)`;
    if (aloud) live.textContent = [...tip.children].map((row) => row.innerText.replace("\n", " ")).join(", ");
  }
  function hide() {
    tip.hidden = cross.hidden = range.hidden = true;
    [plot, index, from, pressed] = [null, -1, null, null];
  }
  const ends = () => [Math.min(from, index), Math.max(from, index) + 1];
  function mark() {
    const [first, past] = ends(), slot = plot.clientWidth / read(plot).count;
    return place(range, first * slot, 0, (past - first) * slot, plot.clientHeight);
  }
  function send() {
    const data = read(plot), [start, end] = ends().map((at) => time(data, at).toISOString());
    hide();
    data.figure.dispatchEvent(new CustomEvent("chart:range", { bubbles: true, detail: { start, end } }));
  }
  function pointed(of, event) {
    const data = read(of), box = of.getBoundingClientRect(), columns = data.columns ?? data.count;
    const part = (at, size, count) => Math.max(0, Math.min(count - 1, Math.floor(at / size * count)));
    const row = part(event.clientY - box.top, box.height, data.rows?.length ?? 1);
    return row * columns + part(event.clientX - box.left, box.width, columns);
  }
  const on = (type, listener) => document.addEventListener(type, listener);
  on("pointermove", (event) => {
    const of = pressed === null ? plotOf(event) : plot;
    if (!of?.isConnected) return plot !== document.activeElement && hide();
    show(of, pointed(of, event), false);
    if (pressed !== null && Math.abs(event.clientX - pressed) > 5) range.hidden = !mark();
  });
  on("pointerdown", (event) => {
    const of = plotOf(event);
    if (!of) return hide();
    show(of, pointed(of, event), false);
    if (event.pointerType !== "mouse" || event.button !== 0 || read(of).rows) return;
    [from, pressed] = [index, event.clientX];
    of.setPointerCapture(event.pointerId); // so that it may end outside
  });
  on("pointerup", () => pressed !== null && (range.hidden ? [from, pressed] = [null, null] : send()));
  window.addEventListener("resize", hide);
  on("focusin", (event) => plotOf(event)?.matches(":focus-visible") && show(plotOf(event), Infinity, true));
  ["focusout", "pointercancel"].forEach((type) => on(type, hide));
  on("keydown", (event) => {
    const of = plotOf(event);
    if (event.key === "Escape") return hide();
    if (!of || event.altKey || event.ctrlKey || event.metaKey) return;
    const data = read(of), far = data.columns ?? 10, now = plot === of ? index : data.count;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -far, ArrowDown: far, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && plot === of && from !== null) send();
    if (!(event.key in steps)) return;
    event.preventDefault();
    const start = event.shiftKey && !data.rows ? from ?? Math.min(now, data.count - 1) : null;
    show(of, now + steps[event.key], true);
    from = start;
    range.hidden = from === null || !mark();
  });
})();
