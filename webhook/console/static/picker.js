// A picker of members and departments: what is ticked below becomes a chip above, and goes with it.
(() => {
  "use strict";
  const same = (one) => `input[name="${CSS.escape(one.name)}"][value="${CSS.escape(one.value)}"]`;
  const pickers = () => document.querySelectorAll("[data-picker]");

  // The boxes below show what the chips above say.
  const sync = (picker) => {
    for (const box of picker.querySelectorAll(".pane input[type=checkbox]")) {
      box.disabled = false;
      box.checked = picker.querySelector(`.picked ${same(box)}`) !== null;
    }
  };

  document.addEventListener("change", (event) => {
    const box = event.target;
    const picker = box.closest?.("[data-picker]");
    if (!picker || box.type !== "checkbox") return;
    const single = picker.closest("[data-pick-one]");
    if (single) { // who is ticked stands in the field, and nowhere else
      const field = document.getElementById(single.dataset.pickOne);
      field.value = box.value;
      box.checked = false;
      single.open = false;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
      return;
    }
    const chip = picker.querySelector(`.picked ${same(box)}`)?.closest("li");
    if (box.checked && !chip) {
      const item = document.createElement("li");
      item.append(box.closest("label").cloneNode(true));
      item.firstChild.className = "pick";
      picker.querySelector(".picked").append(item);
    } else if (!box.checked && chip) {
      const next = chip.contains(document.activeElement) && (chip.nextElementSibling || chip.previousElementSibling);
      const focused = chip.contains(document.activeElement);
      chip.remove();
      if (focused) (next ? next.querySelector("input") : picker.querySelector("[data-find]")).focus();
    }
    sync(picker);
  });
  document.addEventListener("htmx:after:swap", () => pickers().forEach(sync));

  // Enter in the search searches, and a form that is saved is not kept from it by what is still typed there.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches?.("[data-find]")) return;
    event.preventDefault();
    if (!event.isComposing) event.target.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("submit", (event) => {
    const all = event.target.querySelectorAll("[data-find]");
    all.forEach((one) => { one.disabled = true; });
    setTimeout(() => all.forEach((one) => { one.disabled = false; }));
  });
  document.querySelectorAll("[data-find-button]").forEach((one) => { one.hidden = true; });
  for (const box of document.querySelectorAll("[data-picker] .pane input[type=checkbox]")) { // before this file was there
    if (box.checked && !box.defaultChecked) box.dispatchEvent(new Event("change", { bubbles: true }));
  }
  pickers().forEach(sync);
  document.addEventListener("DOMContentLoaded", () => { // after htmx has begun: a department that is open already is asked for too
    document.querySelectorAll("[data-picker] details[open][hx-post]").forEach((one) => one.dispatchEvent(new Event("toggle")));
  });
})();
