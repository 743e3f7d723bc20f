// The pictures are in <script type="application/json"> blocks, which browsers do not decode. The part of the page for an
// image is built when it comes near the window and removed when it is far away, so that few pictures are decoded.
(() => {
  const cards = [...document.querySelectorAll(".card")];
  const boxes = [...document.querySelectorAll("#methods input")];
  const nearby = new Set();
  let printing = false; // a print needs all pictures at once
  const search = document.getElementById("search");
  const started = document.getElementById("start");
  const chosen = { ...(started ? JSON.parse(started.textContent) : {}), regions: false, frame: true };
  const picture = (uri, attributes = {}) => element("img", { src: uri, alt: "", decoding: printing ? "sync" : "async", draggable: "false", ...attributes });
  const off = () => new Set(boxes.filter((box) => !box.checked).map((box) => box.value));

  function slider(card, data) {
    const names = Object.keys(data.small);
    const select = (side, fallback) => {
      const value = names.includes(chosen[side]) ? chosen[side] : fallback;
      const made = element("select", { "aria-label": `${side} picture of ${data.image}` });
      for (const name of names) made.append(element("option", { value: name, selected: name === value }, name));
      return made;
    };
    const methods = names.filter((name) => name !== "truth");
    const left = select("left", names[0]);
    const right = select("right", methods.findLast((name) => name !== left.value) || names.at(-1));
    if (right.value === left.value) left.value = names[0]; // if bicubic is the best, compare it with the input
    const [below, above, layer] = [picture(""), picture(""), picture("", { hidden: true })];
    const { box, range, name, move } = makeSlider(below, above, layer, data.size, 640);
    const frame = element("div", { class: "frame", hidden: !chosen.frame });
    const [x, y, side] = data.detail_at;
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    frame.style.left = percent(x, data.full[0]);
    frame.style.top = percent(y, data.full[1]);
    frame.style.width = percent(Math.min(side, data.full[0]), data.full[0]);
    frame.style.height = percent(Math.min(side, data.full[1]), data.full[1]);
    box.append(frame);

    const regions = element("input", { type: "checkbox", checked: chosen.regions, disabled: !data.overlays.length });
    const legend = element("p", { class: "soft legend", hidden: true });
    const framed = element("input", { type: "checkbox", checked: chosen.frame });
    const update = () => {
      for (const [shown, method] of [[below, left.value], [above, right.value]]) {
        shown.src = data.small[method];
        shown.alt = `${data.image}, ${method}`;
      }
      name(data.image, left.value, right.value);
      const found = data.overlays.find((o) => o.methods.includes(right.value)) ||
        data.overlays.find((o) => o.methods.includes(left.value)) || data.overlays[0];
      layer.hidden = !(regions.checked && found);
      legend.hidden = layer.hidden;
      if (!found) return;
      layer.src = found.uri;
      layer.alt = `outlines of the regions of ${data.image} by ${found.methods.join(", ")}`;
      legend.replaceChildren(`regions of ${found.methods.join(", ")}: `, ...found.regions.map(([region, colour]) => {
        const key = element("i");
        key.style.borderColor = colour;
        return element("span", {}, key, ` ${region}`);
      }));
    };
    left.addEventListener("change", () => { chosen.left = left.value; update(); });
    right.addEventListener("change", () => { chosen.right = right.value; update(); });
    regions.addEventListener("change", () => { chosen.regions = regions.checked; update(); });
    framed.addEventListener("change", () => { chosen.frame = framed.checked; frame.hidden = !framed.checked; });
    range.addEventListener("input", () => { card.dataset.at = range.value; });
    update();
    move(card.dataset.at || 50);
    const controls = element("div", { class: "choose" }, left, "|", right,
      element("label", {}, regions, " outlines of regions"), element("label", {}, framed, " place of the detail"));
    if (!data.overlays.length) regions.parentElement.title = "no method split this image";
    return [controls, box, legend];
  }

  function details(data) {
    const row = element("div", { class: "row details" });
    for (const [name, uri] of Object.entries(data.detail)) {
      const button = element("button", { type: "button", "aria-label": `detail of ${data.image}, ${name}: larger or smaller` },
        picture(uri, { alt: `${data.image}, ${name}, detail` }));
      button.addEventListener("click", () => row.classList.toggle("large"));
      row.append(element("figure", { "data-method": name }, button, element("figcaption", {}, name)));
    }
    return [element("h4", {}, "Detail where baseline and ground truth differ most"), row];
  }

  function kernels(data) {
    if (!data.kernels.length) return [];
    const row = element("div", { class: "row kernels" });
    for (const kernel of data.kernels) {
      const caption = [kernel.method, kernel.region];
      if (kernel.psnr !== null) caption.push(`${kernel.psnr} dB`);
      if (kernel.note) caption.push(kernel.note);
      row.append(element("figure", { "data-method": kernel.method },
        picture(kernel.uri, { alt: `kernel: ${caption.join(", ")}` }), element("figcaption", {}, caption.join(" · "))));
    }
    return [element("h4", {}, "True and estimated kernels, on the same colour scale"), row];
  }

  function mount(card) {
    const place = card.querySelector(".pictures");
    if (!place || place.childElementCount) return;
    const data = JSON.parse(card.querySelector("script").textContent);
    place.append(...slider(card, data), ...details(data), ...kernels(data));
    place.style.minHeight = "";
    hideMethods(card);
  }

  function unmount(card) {
    const place = card.querySelector(".pictures");
    if (!place || !place.childElementCount || printing || place.contains(document.activeElement)) return;
    place.style.minHeight = `${place.offsetHeight}px`; // keeps the rest of the page in place
    place.replaceChildren();
  }

  function hideMethods(scope) {
    const hidden = off();
    for (const part of scope.querySelectorAll("[data-method]")) part.classList.toggle("off", hidden.has(part.dataset.method));
    for (const option of scope.querySelectorAll(".choose option")) option.hidden = hidden.has(option.value);
  }

  function filter() {
    const words = search.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const name = card.dataset.image.toLowerCase();
      card.hidden = words.length > 0 && !words.some((word) => name.includes(word));
      shown += !card.hidden;
    }
    document.getElementById("count").textContent = `${shown} of ${cards.length} images`;
    for (const scope of [document.getElementById("comparison"), ...cards]) hideMethods(scope);
  }

  function showPair() {
    const select = document.getElementById("pair");
    for (const panel of document.querySelectorAll(".pair")) panel.hidden = panel.id !== select.value;
  }

  function sortBy(button) {
    const heading = button.parentElement, row = heading.parentElement;
    const first = button.dataset.order;
    const order = heading.getAttribute("aria-sort") === first ? (first === "ascending" ? "descending" : "ascending") : first;
    for (const other of row.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const at = [...row.children].indexOf(heading), sign = order === "ascending" ? 1 : -1;
    const value = (line) => { const given = line.children[at].dataset.value; return given === undefined ? null : Number(given); };
    const lines = row.closest("table").tBodies[0];
    lines.append(...[...lines.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return x === null || y === null ? (x === null) - (y === null) : sign * (x - y); // unknown values last
    }));
  }

  function print(now) {
    printing = now;
    for (const card of cards) if (now) mount(card); else if (!nearby.has(card)) unmount(card);
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) nearby.add(entry.target); else nearby.delete(entry.target);
      (entry.isIntersecting ? mount : unmount)(entry.target);
    }
  }, { rootMargin: "1200px 0px" });
  for (const card of cards) near.observe(card);
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (media) => print(media.matches));
  for (const button of document.querySelectorAll(".sortable th button")) button.addEventListener("click", () => sortBy(button));
  if (search) {
    search.addEventListener("input", filter);
    for (const box of boxes) box.addEventListener("change", filter);
    filter();
  }
  const pair = document.getElementById("pair");
  if (pair) { pair.addEventListener("change", showPair); showPair(); }
})();
