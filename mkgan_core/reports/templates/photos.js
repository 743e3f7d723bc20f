// Replaces the two pictures, which a browser without JavaScript shows side by side, by a slider.
for (const pair of document.querySelectorAll(".before-after")) {
  const [before, after, layer] = ["before", "after", "layer"].map((name) => pair.querySelector(`img.${name}`));
  const [left, right] = [...pair.querySelectorAll("figcaption")].map((caption) => caption.textContent);
  const least = pair.classList.contains("detail") ? 0 : 640;
  const { box, name, move } = makeSlider(before, after, layer, JSON.parse(pair.dataset.size), least);
  name(pair.dataset.image, left, right);
  move(50);
  pair.classList.add("laid-over");
  pair.replaceChildren(box);
  if (layer) {
    layer.hidden = true;
    const check = element("input", { type: "checkbox" });
    check.addEventListener("change", () => { layer.hidden = !check.checked; });
    pair.prepend(element("div", { class: "choose" }, element("label", {}, check, " regions")));
  }
}
