// Rules are dragged by their handle, or picked up with Enter and moved with the arrow keys. The buttons ↑ ↓ do the same without.
(() => {
  "use strict";
  const list = document.querySelector("[data-order]");
  const form = document.getElementById("move-rule");
  if (!list || !form) return;
  const rows = () => [...list.querySelectorAll(":scope > [data-rule]")];
  const said = Object.assign(document.createElement("p"), { className: "visually-hidden", role: "status" });
  list.after(said);
  let held = null; // { row, handle, next, moving }: what is dragged or picked up, and what stood below it

  const pick = (handle) => {
    const row = handle.closest("[data-rule]");
    held = { row, handle, next: row.nextElementSibling, moving: false };
    row.classList.add("held");
    handle.setAttribute("aria-pressed", "true");
  };
  const release = () => {
    held.row.classList.remove("held");
    held.handle.removeAttribute("aria-pressed");
    held = null;
  };
  const putBack = () => {
    held.moving = true;
    list.insertBefore(held.row, held.next);
    said.textContent = list.dataset.back;
    const { handle } = held;
    release();
    handle.focus();
  };
  const drop = () => {
    const { row, next } = held;
    release();
    if (row.nextElementSibling === next) return;
    const others = rows();
    const below = others[others.indexOf(row) + 1];
    const values = { move: `${below ? "above" : "below"}:${row.dataset.rule}`, beside: (below ?? others.at(-2)).dataset.rule };
    for (const [name, value] of Object.entries(values)) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    form.requestSubmit();
  };
  const shift = (by) => {
    const others = rows();
    const at = others.indexOf(held.row) + by;
    if (at < 0 || at >= others.length) return;
    held.moving = true; // an element that moves loses the focus
    list.insertBefore(held.row, by < 0 ? others[at] : others[at].nextElementSibling);
    held.handle.focus();
    held.moving = false;
    said.textContent = list.dataset.at.replace("{n}", rows().indexOf(held.row) + Number(list.dataset.first));
  };

  list.dataset.first = rows()[0]?.dataset.number ?? 1;
  list.querySelectorAll("[data-drag]").forEach((handle) => {
    handle.hidden = false;
    let dragged = false;
    handle.addEventListener("pointerdown", (down) => {
      if (down.button || held) return;
      const move = (event) => {
        if (!held && Math.abs(event.clientY - down.clientY) < 5) return;
        if (!held) pick(handle);
        held.moving = true;
        const over = rows().find((row) => row !== held.row && event.clientY >= row.getBoundingClientRect().top && event.clientY < row.getBoundingClientRect().bottom);
        if (over) {
          const box = over.getBoundingClientRect();
          list.insertBefore(held.row, event.clientY < box.top + box.height / 2 ? over : over.nextElementSibling);
        }
        window.scrollBy(0, event.clientY < 90 ? -14 : event.clientY > innerHeight - 90 ? 14 : 0);
      };
      const end = (event) => {
        document.removeEventListener("pointermove", move); // of the document: a row that moves loses the pointer
        document.removeEventListener("pointerup", end);
        document.removeEventListener("pointercancel", end);
        dragged = Boolean(held);
        if (held) { if (event.type === "pointerup") drop(); else putBack(); }
        setTimeout(() => { dragged = false; });
      };
      document.addEventListener("pointermove", move);
      document.addEventListener("pointerup", end);
      document.addEventListener("pointercancel", end);
    });
    handle.addEventListener("click", () => {
      if (dragged) return;
      if (held) return drop();
      pick(handle);
      said.textContent = list.dataset.picked.replace("{n}", held.row.dataset.number);
    });
    handle.addEventListener("keydown", (event) => {
      if (!held) return;
      if (event.key === "ArrowUp" || event.key === "ArrowDown") { event.preventDefault(); shift(event.key === "ArrowUp" ? -1 : 1); }
      if (event.key === "Escape") putBack();
    });
    handle.addEventListener("blur", () => { if (held && !held.moving) putBack(); });
  });
})();
