// Charts: uPlot over tables that say the same. A <div data-chart='{…}'> is drawn; see webhook/console/charts.py.
(() => {
  "use strict";
  const drawn = new Map(); // element → {text of its data, data, uPlot}
  const BAR = { gap: 0.76, widest: 56 }; // of a category's width; px
  const HEIGHTS = { whole: 210, low: 150 }; // px; the legend is below
  const HEAD = 4; // px that a click may move without being a drag

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const printed = { ink: "#1d2129", muted: "#444", line: "#ccc" };
  const colors = (printing) => ({
    of: (name) => token(`--series-${name}`),
    ink: printing ? printed.ink : token("--ink"),
    muted: printing ? printed.muted : token("--muted"),
    line: printing ? printed.line : token("--line"),
    bad: token("--bad"),
  });

  const digits = (value) => value === null || value === undefined ? "—"
    : String(Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100);

  // Bars that stand on each other: each series' top is the sum of those below. The highest is drawn first.
  const stack = (series) => {
    const below = [];
    return series.map((one) => one.values.map((value, at) => (below[at] = (below[at] || 0) + (value || 0))));
  };

  // The ends of bars that have room beside each other, the last one first.
  const thinned = (u, edges) => {
    const each = Math.ceil(30 * edges.length / (u.bbox.width / devicePixelRatio));
    const last = edges.findLastIndex(Boolean);
    return edges.map((text, at) => (last - at) % each ? "" : text);
  };

  const limitLines = (chart, shade) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = shade.bad;
    ctx.lineWidth = devicePixelRatio * 1.5;
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.font = `${12 * devicePixelRatio}px ${font}`;
    for (const [at, name] of chart.limits || []) {
      const along = Boolean(chart.edges);
      const place = Math.round(u.valToPos(at, along ? "x" : "y", true));
      ctx.beginPath();
      if (along) { ctx.moveTo(place, bbox.top); ctx.lineTo(place, bbox.top + bbox.height); }
      else { ctx.moveTo(bbox.left, place); ctx.lineTo(bbox.left + bbox.width, place); }
      ctx.stroke();
      ctx.textAlign = "end";
      ctx.textBaseline = along ? "top" : "bottom";
      ctx.fillText(name, along ? place - 4 * devicePixelRatio : bbox.left + bbox.width, along ? bbox.top : place - 2 * devicePixelRatio);
    }
    ctx.restore();
  };
  const font = getComputedStyle(document.body).fontFamily;

  const options = (box, chart, shade) => {
    const over = chart.times ? "time" : "category";
    const count = (chart.times || chart.labels).length;
    const order = chart.stacked ? [...chart.series.keys()].reverse() : [...chart.series.keys()];
    const bars = uPlot.paths.bars({ size: [BAR.gap, BAR.widest] });
    const axis = { stroke: shade.muted, grid: { stroke: shade.line, width: 1 }, ticks: { show: false }, font: `12px ${font}` };
    const foot = { ...axis, size: 30 };
    const label = (at) => Number.isInteger(at) ? chart.labels[at] ?? "" : "";
    const clock = (at) => uPlot.tzDate(new Date(at * 1000), chart.zone).toTimeString().slice(0, 5);
    const x = over === "time"
      ? { ...foot, space: 60, incrs: [60, 300, 600, 900, 1800, 3600], values: (_, splits) => splits.map(clock) }
      : chart.edges
        ? { ...foot, space: 36, splits: () => chart.edges.map((_, at) => at - 0.5), values: (u) => thinned(u, chart.edges) }
        : { ...foot, space: 56, incrs: [1, 2, 3, 5, 7, 14, 28, 56, 91], values: (_, splits) => splits.map(label) };
    const most = (low, high) => [0, Math.max(high || 0, 1) * 1.08];
    const near = (low, high) => [Math.max(0, low - Math.max((high - low) * 0.15, 1)), high + Math.max((high - low) * 0.08, 0.5)];
    const above = chart.limits && !chart.edges ? chart.limits[0][0] * 1.6 : 0;
    const decades = (low, high) => [low > 0 ? 10 ** Math.floor(Math.log10(Math.min(low, 1))) : 0.1, Math.max(high || 1, above)];
    const tens = (u) => [0.01, 0.1, 1, 10, 100].filter((at) => at >= u.scales.y.min && at <= u.scales.y.max);
    const upright = { ...axis, size: 48, ...(chart.log ? { splits: tens } : {}) };
    return {
      width: box.clientWidth,
      height: box.classList.contains("low") ? HEIGHTS.low : HEIGHTS.whole,
      padding: [12, 20, 0, 0],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), chart.zone || "UTC"),
      cursor: { drag: { x: true, y: false, setScale: false }, y: false, points: { show: chart.series.some((one) => one.kind !== "bar") } },
      select: { show: true },
      legend: { live: true, markers: { width: 0, fill: (_, at) => shade.of(chart.series[order[at - 1]].color) } },
      scales: {
        x: { time: over === "time", range: () => drawn.get(box)?.span || whole(chart) },
        y: chart.log ? { distr: 3, range: (_, low, high) => decades(low, high) } : { range: (_, low, high) => (chart.cut && low > 0 ? near : most)(low, high) },
      },
      axes: [x, { ...upright, values: (_, splits) => splits.map((at) => at === null || (!chart.unit && !Number.isInteger(at)) ? "" : digits(at) + (chart.unit ? ` ${chart.unit}` : "")) }],
      series: [
        { label: " ", value: (_, at) => at === null ? "" : over === "time" ? clock(at) : chart.labels[at] ?? "" },
        ...order.map((at) => {
          const one = chart.series[at];
          const color = shade.of(one.color);
          const bar = one.kind === "bar";
          return {
            label: one.name, stroke: color, width: bar ? 0 : over === "time" ? 1.5 : 2, fill: bar ? color : undefined,
            paths: bar ? bars : undefined, dash: one.kind === "dashed" ? [6, 5] : undefined,
            points: { show: !bar && count <= 14 && over !== "time", size: 6, fill: color },
            value: (_, __, ___, index) => index === null ? "" : digits(chart.series[at].values[index]) + (chart.unit ? ` ${chart.unit}` : ""),
          };
        }),
      ],
      hooks: { draw: [limitLines(chart, shade)], setSelect: [(u) => zoomTo(box, chart, u)] },
    };
  };

  const whole = (chart) => chart.times ? [chart.times[0], chart.times.at(-1)] : [-0.5, chart.labels.length - 0.5];

  const columns = (chart) => {
    const values = chart.stacked ? stack(chart.series).reverse() : chart.series.map((one) => one.values);
    return [chart.times || chart.labels.map((_, at) => at), ...values];
  };

  // Zooming: a drag selects whole categories, or a span of time. What is shown can be opened as a page of its own.
  const zoomTo = (box, chart, u) => {
    const { left, width } = u.select;
    if (width < 2 * HEAD) return;
    let [low, high] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    if (!chart.times) [low, high] = [Math.max(0, Math.round(low)) - 0.5, Math.min(chart.labels.length - 1, Math.round(high)) + 0.5];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (high > low) zoom(box, [low, high]);
  };
  const zoom = (box, span) => {
    const held = drawn.get(box);
    held.span = span;
    const { chart, u } = held;
    const [min, max] = span || whole(chart);
    u.setScale("x", { min, max });
    zoomed(box);
  };
  const zoomed = (box) => {
    const { chart, span } = drawn.get(box);
    const bar = box.parentElement.querySelector("[data-zoomed]");
    if (!bar) return;
    bar.hidden = !span;
    const link = bar.querySelector("[data-zoom-page]");
    if (!link) return;
    link.hidden = !span || !chart.page;
    if (!span || !chart.page) return;
    const page = new URL(chart.page, location.href);
    page.searchParams.set("since", chart.days[Math.ceil(span[0])]);
    page.searchParams.set("until", chart.days[Math.floor(span[1])]);
    link.href = page;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-zoom-out]");
    if (button) zoom(button.closest(".chart").querySelector("[data-chart]"), null);
  });

  // A finger that moves sideways selects, as a mouse does; up and down it scrolls the page (touch-action in charts.css).
  const touch = (box, chart, u) => {
    let from = null;
    const at = (event) => Math.min(Math.max(event.clientX - u.over.getBoundingClientRect().left, 0), u.over.clientWidth);
    const select = (left, width) => u.setSelect({ left, top: 0, width, height: u.over.clientHeight }, false);
    const to = (event) => select(Math.min(from, at(event)), Math.abs(at(event) - from));
    const end = () => { from = null; select(0, 0); };
    u.over.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") from = event.isPrimary ? at(event) : null; // with two fingers the browser zooms
    });
    u.over.addEventListener("pointermove", (event) => { if (event.pointerType === "touch" && from !== null) to(event); });
    u.over.addEventListener("pointerup", (event) => {
      if (event.pointerType !== "touch" || from === null) return;
      to(event);
      zoomTo(box, chart, u);
      end();
    });
    u.over.addEventListener("pointercancel", end); // it scrolls
  };

  // A click on a bar leads to what is behind it.
  const lead = (box, chart, u) => {
    let from = 0;
    u.over.addEventListener("mousedown", (event) => { from = event.clientX; });
    u.over.addEventListener("dblclick", () => zoom(box, null));
    u.over.addEventListener("click", (event) => {
      if (!chart.urls || Math.abs(event.clientX - from) > HEAD) return;
      const at = u.posToIdx(event.offsetX);
      const to = chart.urls[at];
      if (to === undefined || to === "" || !chart.series.some((one) => one.values[at])) return;
      const page = new URL((chart.start || "") + to, location.href);
      const height = u.posToVal(event.offsetY, "y");
      const tops = chart.stacked ? stack(chart.series).map((one) => one[at]) : [];
      const hit = chart.series[tops.findIndex((top, one) => height <= top && chart.series[one].values[at])];
      for (const [name, value] of Object.entries(hit?.query || {})) page.searchParams.set(name, value);
      location.assign(page);
    });
  };

  const draw = (box, printing = false) => {
    const text = box.dataset.chart;
    const held = drawn.get(box);
    const chart = JSON.parse(text);
    held?.u.destroy();
    const u = new uPlot(options(box, chart, colors(printing)), columns(chart), box);
    drawn.set(box, { text, chart, u, span: held?.span || null });
    box.classList.toggle("linked", Boolean(chart.urls));
    lead(box, chart, u);
    touch(box, chart, u);
    sizes.observe(box);
    if (held?.span) zoom(box, held.span);
    if (printing) u.batch(() => {}); // drawn at once: Firefox prints what there is when this returns
  };
  // What updates by itself: with the same series only the data is new, so a zoom and the cursor stay.
  const update = (box) => {
    const held = drawn.get(box);
    if (!held || !box.contains(held.u.root)) return draw(box);
    if (held.text === box.dataset.chart) return zoomed(box);
    const chart = JSON.parse(box.dataset.chart);
    const same = (one, other) => one.series.length === other.series.length && Boolean(one.times) === Boolean(other.times);
    if (!chart.times || !same(chart, held.chart)) return draw(box);
    Object.assign(held.chart, chart); // which the options hold
    held.text = box.dataset.chart;
    held.u.setData(columns(chart), !held.span);
    zoomed(box);
  };
  const all = (act) => document.querySelectorAll("[data-chart]").forEach((box) => act(box));
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const held = drawn.get(target);
      const width = target.clientWidth;
      if (held && width > 0 && width !== held.u.width) held.u.setSize({ width, height: held.u.height });
    }
  });

  all(draw);
  document.addEventListener("htmx:after:swap", () => {
    for (const [box, { u }] of drawn) if (!box.isConnected) { u.destroy(); sizes.unobserve(box); drawn.delete(box); }
    all(update);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all((box) => draw(box)));
  window.addEventListener("beforeprint", () => all((box) => draw(box, true)));
  window.addEventListener("afterprint", () => all((box) => draw(box)));
})();
