"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 320, HEIGHT = 200, LEFT = 30, RIGHT = 10, TOP = 8, BOTTOM = 22;
  const data = JSON.parse(document.getElementById("curve-data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const shown = () => new Set(all(".pick").filter((box) => box.checked).map((box) => box.value));
  const paint = (colour) => (colour === "#000000" ? "var(--ink)" : colour);
  const steps = (n) => (n >= 1e6 ? `${+(n / 1e6).toPrecision(3)}M` : n >= 1e3 ? `${+(n / 1e3).toPrecision(3)}k` : `${n}`);

  // Matplotlib's markers as paths about the origin, r pixels wide to each side.
  const turn = (sides, r, angle) => "M" + Array.from({ length: sides }, (_, i) => {
    const a = angle + (2 * Math.PI * i) / sides;
    return `${(r * Math.cos(a)).toFixed(2)},${(r * Math.sin(a)).toFixed(2)}`;
  }).join("L") + "Z";
  const MARKERS = {
    o: (r) => turn(16, r, 0), "^": (r) => turn(3, 1.2 * r, -Math.PI / 2), v: (r) => turn(3, 1.2 * r, Math.PI / 2),
    "<": (r) => turn(3, 1.2 * r, Math.PI), ">": (r) => turn(3, 1.2 * r, 0), s: (r) => turn(4, 1.25 * r, Math.PI / 4),
    D: (r) => turn(4, 1.2 * r, 0), p: (r) => turn(5, 1.15 * r, -Math.PI / 2),
    P: (r) => `M${-r},${-r / 3}H${-r / 3}V${-r}H${r / 3}V${-r / 3}H${r}V${r / 3}H${r / 3}V${r}H${-r / 3}V${r / 3}H${-r}Z`,
    X: (r) => `M${-r},${-r}L0,${-r / 3}L${r},${-r}L${r / 3},0L${r},${r}L0,${r / 3}L${-r},${r}L${-r / 3},0Z`,
  };
  const marker = (name, r) => MARKERS[name](r);

  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const html = (name, properties, parent) => {
    const node = Object.assign(document.createElement(name), properties);
    parent.append(node);
    return node;
  };

  function drawPanel(panel, index) {
    const box = html("div", { className: "panel", tabIndex: 0 }, document.getElementById("panels"));
    box.setAttribute("role", "group");
    box.setAttribute("aria-labelledby", `panel-${index}`);
    html("h3", { id: `panel-${index}`, textContent: panel.title }, box);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, box);
    const x = (step) => LEFT + ((WIDTH - LEFT - RIGHT) * step) / panel.total;
    const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / 100;
    if (panel.offline) {
      make("rect", { class: "phase", x: x(0), y: y(100), width: x(panel.offline) - x(0), height: y(0) - y(100) }, svg);
    }
    for (const value of [0, 25, 50, 75, 100]) {
      make("path", { class: "grid", d: `M${x(0)},${y(value)}H${x(panel.total)}` }, svg);
      if (value % 50 === 0) make("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, svg, value);
    }
    const share = panel.offline / panel.total;
    const middle = share > 0.25 && share < 0.75 ? panel.offline : panel.total / 2;
    for (const step of [0, middle, panel.total]) {
      make("text", { x: x(step), y: HEIGHT - 6, "text-anchor": step === panel.total ? "end" : "middle" }, svg, steps(step));
    }
    for (const curve of panel.curves) drawCurve(curve, panel, svg, x, y);
    const cursor = make("path", { class: "cursor", visibility: "hidden" }, svg);
    const tip = html("div", { className: "tip", hidden: true }, box);
    follow(panel, box, svg, cursor, tip, x, y);
  }

  function drawCurve(curve, panel, svg, x, y) {
    const look = data.styles[curve.label];
    const colour = paint(look.colour);
    const group = make("g", { "data-method": curve.label }, svg);
    const known = curve.steps.map((_, i) => i).filter((i) => curve.low[i] !== null);
    if (known.length > 1) {
      const edge = (list, values) => list.map((i) => `${x(curve.steps[i])},${y(values[i])}`).join("L");
      const d = `M${edge(known, curve.high)}L${edge([...known].reverse(), curve.low)}Z`;
      make("path", { class: "band", d, fill: colour }, group);
    }
    const points = curve.steps.map((step, i) => `${x(step)},${y(curve.mean[i])}`);
    const dashes = look.dashes.map((length) => 1.5 * length).join(" ");
    make("path", { class: "line", d: `M${points.join("L")}`, stroke: colour, "stroke-dasharray": dashes }, group);
    const every = Math.max(1, Math.floor(points.length / 5));
    points.forEach((point, i) => {
      if (i % every === 0) make("path", { d: marker(look.marker, 3.2), transform: `translate(${point})`, fill: colour }, group);
    });
    for (const [phase, value] of Object.entries(panel.published[curve.label] || {})) {
      const at = `translate(${x(phase === "offline" ? panel.offline : panel.total)},${y(value)})`;
      make("path", { class: "cross", d: "M-4,-4L4,4M-4,4L4,-4", transform: at, stroke: colour }, group);
    }
  }

  function follow(panel, box, svg, cursor, tip, x, y) {
    const grid = [...new Set(panel.curves.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
    let place = -1;
    const values = (step) => panel.curves.filter((curve) => shown().has(curve.label)).flatMap((curve) => {
      const i = curve.steps.indexOf(step);
      return i < 0 ? [] : [{ label: curve.label, mean: curve.mean[i], low: curve.low[i], high: curve.high[i], seeds: curve.seeds[i] }];
    }).sort((a, b) => b.mean - a.mean);
    const words = (v) => (v.low === null ? `${v.seeds} seed` : `${v.low.toFixed(0)} to ${v.high.toFixed(0)}`);
    function show(index, speak) {
      place = index;
      const step = grid[place], rows = values(step);
      cursor.setAttribute("d", `M${x(step)},${y(0)}V${y(100)}`);
      cursor.setAttribute("visibility", "visible");
      tip.replaceChildren();
      const table = html("table", {}, tip);
      html("caption", { textContent: `step ${step.toLocaleString("en")}, ${step <= panel.offline ? "offline" : "online"}` }, table);
      for (const v of rows) {
        const row = html("tr", {}, table);
        html("th", { scope: "row", textContent: v.label }, row).style.color = "inherit";
        html("td", { textContent: v.mean.toFixed(1) }, row);
        html("td", { textContent: words(v), className: "spread" }, row);
      }
      tip.hidden = rows.length === 0;
      const scale = svg.clientWidth / WIDTH, right = x(step) > WIDTH / 2;
      tip.style.left = right ? "auto" : `${x(step) * scale + 10}px`;
      tip.style.right = right ? `${(WIDTH - x(step)) * scale + 10}px` : "auto";
      if (speak) {
        document.getElementById("spoken").textContent = `${panel.title}, step ${step.toLocaleString("en")}: ` +
          rows.map((v) => `${v.label} ${v.mean.toFixed(1)}`).join(", ");
      }
    }
    function hide() {
      place = -1;
      tip.hidden = true;
      cursor.setAttribute("visibility", "hidden");
    }
    box.addEventListener("pointermove", (event) => {
      const area = svg.getBoundingClientRect();
      const step = (((event.clientX - area.left) * WIDTH) / area.width - LEFT) * panel.total / (WIDTH - LEFT - RIGHT);
      const near = grid.reduce((best, s, i) => (Math.abs(s - step) < Math.abs(grid[best] - step) ? i : best), 0);
      if (near !== place || tip.hidden) show(near, false);
    });
    box.addEventListener("pointerleave", hide);
    box.addEventListener("blur", hide);
    box.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: grid.length - 1 };
      if (event.key === "Escape") hide();
      if (!(event.key in moves)) return;
      event.preventDefault();
      show(Math.min(grid.length - 1, Math.max(0, moves[event.key])), true);
    });
  }

  function pick() {
    const labels = shown();
    for (const node of all("#curves g[data-method], #rollouts [data-method]")) {
      node.classList.toggle("off", !labels.has(node.dataset.method));
    }
  }

  function sort(button) {
    const head = button.closest("th"), table = button.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    const value = (row) => row.children[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [u, v] = [value(a), value(b)];
      const apart = column === 0 ? v.localeCompare(u) : Number(v) - Number(u);
      return order === "descending" ? apart : -apart;
    });
    body.append(...rows);
  }

  function gallery(root) {
    const button = root.querySelector(".play"), films = all("video", root);
    const playing = () => films.some((film) => !film.paused);
    const label = () => { button.textContent = playing() ? "Pause all" : "Play all"; };
    button.addEventListener("click", () => {
      if (playing()) return films.forEach((film) => film.pause());
      for (const film of films) {
        film.currentTime = 0;
        film.play().catch(() => {});
      }
    });
    // What comes into view plays, what leaves it stops, unless the reader wants no motion.
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      new IntersectionObserver(([entry]) => {
        for (const film of films) entry.isIntersecting ? film.play().catch(() => {}) : film.pause();
      }, { threshold: 0.35 }).observe(root.querySelector(".clips"));
    }
    for (const film of films) for (const event of ["play", "pause"]) film.addEventListener(event, label);
  }

  for (const path of all(".swatch .mark")) {
    path.setAttribute("d", marker(path.dataset.marker, 3.6));
    path.setAttribute("transform", "translate(14,5)");
  }
  data.panels.forEach(drawPanel);
  for (const box of all(".pick")) box.addEventListener("change", pick);
  for (const button of all("table.sortable thead button")) button.addEventListener("click", () => sort(button));
  all(".gallery").forEach(gallery);
  const published = document.getElementById("show-published");
  published.addEventListener("change", () => document.body.classList.toggle("hide-published", !published.checked));
  pick();
})();
