"use strict";
// Shared by the pages: creates elements, and a slider that compares two pictures by mouse, finger and keyboard.
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

// below, above: img elements; layer: an img element over both, or null; [width, height]: size of the pictures in pixels;
// least: minimum width of the slider in pixels
function makeSlider(below, above, layer, [width, height], least) {
  above.classList.add("right");
  const tags = [element("span", { class: "tag l" }), element("span", { class: "tag r" })];
  const range = element("input", { type: "range", min: 0, max: 100, step: 1 });
  const box = element("div", { class: "slider" }, below, above, ...(layer ? [layer] : []),
    element("div", { class: "line" }), ...tags, range);
  if (layer) layer.classList.add("regions");
  box.style.width = `${Math.max(width, least)}px`;
  box.style.aspectRatio = `${width} / ${height}`;
  box.style.setProperty("--aspect", width / height);
  const show = () => {
    box.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % ${tags[0].textContent}`);
  };
  const move = (percent) => { range.value = percent; show(); };
  const name = (image, left, right) => {
    tags[0].textContent = left;
    tags[1].textContent = right;
    range.setAttribute("aria-label", `${image}: border between ${left} and ${right}`);
    show();
  };
  range.addEventListener("input", show);
  return { box, range, name, move };
}
