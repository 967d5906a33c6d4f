// Buttons that name how many they act on; ticks that outlast an update, and rows that stand still while some are ticked.
(() => {
  "use strict";
  const boxes = () => [...document.querySelectorAll('[data-ticks] input[name="id"]')];
  const ticked = () => boxes().filter((box) => box.checked);

  const say = () => {
    const now = ticked();
    const counts = { rows: now.length, members: new Set(now.map((box) => box.dataset.member).filter(Boolean)).size };
    for (const button of document.querySelectorAll("[data-ticks] [data-counts]")) {
      const n = counts[button.dataset.counts];
      button.textContent = n === 0 ? button.dataset.none : n === 1 ? button.dataset.one : button.dataset.many.replace("{n}", n);
      button.disabled = n === 0;
    }
    const held = document.querySelector("[data-ticks] [data-held]");
    if (held) held.hidden = !now.length;
    document.querySelectorAll("[data-ticks] [data-check-group]").forEach((group) => {
      const own = [...group.closest(".cause").querySelectorAll('input[name="id"]')];
      const count = own.filter((box) => box.checked).length;
      group.checked = count === own.length;
      group.indeterminate = count > 0 && count < own.length;
    });
    const all = document.querySelector("[data-ticks] [data-check-all]");
    if (all) {
      all.checked = now.length > 0 && now.length === boxes().length;
      all.indeterminate = now.length > 0 && !all.checked;
    }
  };

  let kept = new Set();
  document.addEventListener("htmx:before:request", (event) => {
    if (event.target.closest("[data-live]") && ticked().length) event.preventDefault();
  });
  document.addEventListener("htmx:before:swap", () => { kept = new Set(ticked().map((box) => box.value)); });
  document.addEventListener("htmx:after:swap", () => {
    boxes().forEach((box) => { box.checked = kept.has(box.value); });
    say();
  });
  document.addEventListener("change", (event) => { // one box for all who were missed for one cause
    const cause = event.target.matches("[data-check-group]") && event.target.closest(".cause");
    if (cause) cause.querySelectorAll('input[name="id"]').forEach((box) => { box.checked = event.target.checked; });
  });
  document.addEventListener("change", () => setTimeout(say));
  say();
})();
