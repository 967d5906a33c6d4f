// What makes the console pleasant. Everything works without it.
(() => {
  "use strict";
  const all = (selector, root = document) => root.querySelectorAll(selector);

  // Copy buttons: the Clipboard API where there is one (https, localhost), else a selection.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    const copied = document.execCommand("copy");
    box.remove();
    if (!copied) throw new Error("not copied");
  };
  // Safari lets a page copy within the click alone, and takes a text that is to come; what cannot take one waits for it.
  const copyWhenThere = async (text) => {
    const blob = text.then((one) => new Blob([one], { type: "text/plain" }));
    try { await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]); } catch { await copy(await text); }
  };
  const labels = new WeakMap(); // of a button that says so just now: { label, timer }
  const copied = (button) => {
    const before = labels.get(button);
    clearTimeout(before?.timer);
    const label = before?.label ?? button.textContent;
    button.textContent = button.dataset.copied || "✓";
    labels.set(button, { label, timer: setTimeout(() => { button.textContent = label; labels.delete(button); }, 1500) });
  };
  // What a link leads to: the text that the page there offers to copy.
  const offered = async (address) => {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const text = answer.ok && page.querySelector("main [data-copy]")?.dataset.copy;
    if (!text) throw new Error("nothing to copy");
    return text;
  };
  const show = (root) => all(".copy[hidden], [data-needs-script][hidden]", root).forEach((one) => { one.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    if ("copy" in button.dataset) { await copy(button.dataset.copy); copied(button); return; }
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab
    event.preventDefault();
    try {
      await copyWhenThere(offered(button.href));
      copied(button);
    } catch { location.assign(button.href); } // the page says why, or offers it to be copied
  });

  // A form that asks before it is sent; and while it is on its way, its button turns and nothing is sent twice.
  document.addEventListener("submit", (event) => {
    const words = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (event.target.dataset.sent || (words && !window.confirm(words))) return event.preventDefault();
    setTimeout(() => { if (!event.defaultPrevented) lock(event.target, event.submitter); });
  });
  const lock = (form, button) => {
    form.dataset.sent = "1";
    button?.setAttribute("aria-busy", "true");
    setTimeout(unlock, 20_000); // stopped, or a file that was downloaded
  };
  const unlock = () => {
    all("form[data-sent]").forEach((one) => { delete one.dataset.sent; });
    all("button[aria-busy]").forEach((one) => one.removeAttribute("aria-busy"));
    document.documentElement.classList.remove("going");
  };
  window.addEventListener("pageshow", unlock); // back to a page that the browser kept

  // A page that the browser kept shows nobody's names once its operator has signed out.
  const OUT = "signed-out";
  const opened = Date.now();
  document.addEventListener("submit", (event) => { if ("signsOut" in event.target.dataset) localStorage.setItem(OUT, Date.now()); });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted || Number(localStorage.getItem(OUT)) < opened) return;
    document.documentElement.hidden = true;
    location.reload();
  });

  // A page that takes long says that it is coming.
  let download = false;
  document.addEventListener("click", (event) => { download = Boolean(event.target.closest("a[download]")); });
  window.addEventListener("beforeunload", () => {
    if (download) return;
    document.documentElement.classList.add("going");
    setTimeout(unlock, 20_000);
  });

  // Text that was typed and not saved is not left behind silently.
  let unsaved = false;
  document.addEventListener("input", (event) => { if (event.target.closest("[data-unsaved]")) unsaved = true; });
  document.addEventListener("submit", (event) => { if (!event.defaultPrevented) unsaved = false; });
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  // What is typed while the scripts are still on their way is heard once they are there, and keeps the focus.
  const typed = () => {
    const one = document.activeElement;
    return one && "defaultValue" in one && one.value !== one.defaultValue ? one : null;
  };
  document.addEventListener("DOMContentLoaded", () => typed()?.dispatchEvent(new Event("input", { bubbles: true })));

  // After a form the keyboard goes on where it was: at what is wrong, at the button that was pressed, at what was said.
  const WAS = "was-sent";
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    const was = { at: Date.now(), from: location.pathname, y: scrollY, keep: event.submitter?.dataset.keepFocus ?? "" };
    sessionStorage.setItem(WAS, JSON.stringify(was));
  });
  const goOn = () => {
    const was = JSON.parse(sessionStorage.getItem(WAS) ?? "null");
    sessionStorage.removeItem(WAS);
    if (typed()) return;
    const errors = document.getElementById("errors");
    if (errors) return errors.focus();
    if (!was || document.querySelector("[autofocus]") || Date.now() - was.at > 30_000) return;
    const kept = was.keep && document.querySelector(`[data-keep-focus="${CSS.escape(was.keep)}"]:not([disabled])`);
    if (location.hash && kept) { // the button goes on, not what the address names
      history.replaceState(null, "", location.pathname + location.search);
      window.scrollTo(0, was.y);
      return kept.focus();
    }
    if (document.activeElement !== document.body || location.hash) return;
    const same = was.from === location.pathname;
    const next = kept || document.querySelector("#flashes .verdict") || document.querySelector("main [role=status], main h1") || document.getElementById("main");
    if (!next.matches("a, button, input, select, textarea, [tabindex]")) next.tabIndex = -1;
    if (same && kept) window.scrollTo(0, was.y);
    next.focus({ preventScroll: same && Boolean(kept) });
  };

  // Tick all of the rows that are shown.
  document.addEventListener("change", (event) => {
    const group = event.target.dataset?.checkAll;
    if (group) all(`input[name="${CSS.escape(group)}"]`).forEach((one) => { one.checked = event.target.checked; });
  });

  // What updates by itself stops while nobody looks, while it is paused, and after three failures.
  const KEY = "live-paused";
  let paused = sessionStorage.getItem(KEY) === "1";
  let failures = 0;
  let updated = Date.now();
  const age = () => {
    const state = failures >= 3 ? "failed" : paused ? "off" : "on";
    const seconds = Math.round((Date.now() - updated) / 1000);
    all("[data-live-state]").forEach((one) => {
      const words = state === "failed" ? one.dataset.liveFailed : state === "off" ? one.dataset.liveOff : one.dataset.liveOn;
      one.dataset.liveState = state;
      one.textContent = words.replace("{n}", seconds);
    });
  };
  setInterval(age, 1000);
  const say = () => {
    age();
    all("[data-live-pause]").forEach((one) => {
      one.hidden = false;
      one.dataset.livePauseWord ||= one.textContent;
      one.textContent = paused || failures >= 3 ? one.dataset.liveResume : one.dataset.livePauseWord;
    });
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-live-pause]")) return;
    paused = !(paused || failures >= 3);
    failures = 0;
    sessionStorage.setItem(KEY, paused ? "1" : "0");
    say();
  });
  document.addEventListener("htmx:before:request", (event) => {
    if (!event.target.closest("[data-live]")) return;
    if (document.hidden || paused || failures >= 3) event.preventDefault();
  });
  const failed = (event) => { if (event.target.closest?.("[data-live]")) { failures += 1; say(); } };
  document.addEventListener("htmx:error", failed);
  document.addEventListener("htmx:response:error", failed);
  document.addEventListener("htmx:after:swap", (event) => {
    show(document);
    if (event.target.closest?.("[data-live]")) {
      failures = 0;
      updated = Date.now();
      mark();
    }
    say();
  });

  // Rows that this tab has not shown yet are marked for a moment: rows are what has an id in [data-rows].
  const seen = `rows:${location.pathname}${location.search}`;
  const mark = () => {
    const rows = [...all("[data-rows] > [id]")];
    const known = new Set(JSON.parse(sessionStorage.getItem(seen) ?? "[]"));
    if (known.size) rows.filter((one) => !known.has(one.id)).forEach((one) => one.classList.add("fresh"));
    if (rows.length) sessionStorage.setItem(seen, JSON.stringify(rows.map((one) => one.id)));
  };

  // A menu closes as menus do.
  document.addEventListener("click", (event) => all("details:is(.menu, .more)[open]").forEach((one) => { if (!one.contains(event.target)) one.open = false; }));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details:is(.menu, .more)[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });

  show(document);
  all(".tabs [aria-current]").forEach((one) => { // in the middle of a row that is moved sideways
    const row = one.closest(".tabs"), [box, whole] = [one.getBoundingClientRect(), row.getBoundingClientRect()];
    row.scrollLeft += box.left + box.width / 2 - whole.left - whole.width / 2;
  });
  say();
  mark();
  goOn();
})();
