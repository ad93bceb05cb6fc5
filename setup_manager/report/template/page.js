"use strict";
// The numbers of every context stand on the page already; the slider only chooses among them.
const slider = document.getElementById("context");
if (slider) {
  const panels = Array.from(document.querySelectorAll(".panel"));
  const shown = document.getElementById("context-shown");
  const show = () => {
    panels.forEach((panel, index) => { panel.hidden = index !== Number(slider.value); });
    const says = panels[Number(slider.value)].dataset.says;
    shown.textContent = says;
    slider.setAttribute("aria-valuetext", says);
  };
  slider.addEventListener("input", show);
}
// A pointer over a mark shows what it says.
for (const mark of document.querySelectorAll(".chart svg [aria-roledescription][aria-label]")) {
  if (!/axis|legend|group/.test(mark.getAttribute("aria-roledescription"))) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = mark.getAttribute("aria-label");
    mark.append(title);
  }
}
// Paper cannot be opened: print what is folded away too.
const folded = () => Array.from(document.querySelectorAll("details:not([open])"));
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = folded();
  opened.forEach((one) => { one.open = true; });
});
window.addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
