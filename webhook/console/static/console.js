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
  const labels = new WeakMap(); // of a button that says so just now: { label, timer }
  const copied = (button) => {
    const before = labels.get(button);
    clearTimeout(before?.timer);
    const label = before?.label ?? button.textContent;
    button.textContent = button.dataset.copied || "✓";
    labels.set(button, { label, timer: setTimeout(() => { button.textContent = label; labels.delete(button); }, 1500) });
  };
  // What a link leads to: the text that the page there offers to copy; undefined when there is none.
  const offered = async (address) => {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.ok ? page.querySelector("main [data-copy]")?.dataset.copy : undefined;
  };
  const show = (root) => all(".copy[hidden], [data-needs-script][hidden]", root).forEach((one) => { one.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    if ("copy" in button.dataset) { await copy(button.dataset.copy); copied(button); return; }
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab
    event.preventDefault();
    try {
      const text = await offered(button.href);
      if (!text) throw new Error("nothing to copy");
      await copy(text);
      copied(button);
    } catch { location.assign(button.href); } // the page says why, or offers it to be copied
  });

  // A form that asks before it is sent.
  document.addEventListener("submit", (event) => {
    const words = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (words && !window.confirm(words)) event.preventDefault();
  });

  // Text that was typed and not saved is not left behind silently.
  let unsaved = false;
  document.addEventListener("input", (event) => { if (event.target.closest("[data-unsaved]")) unsaved = true; });
  document.addEventListener("submit", (event) => { if (!event.defaultPrevented) unsaved = false; });
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  // Tick all of the rows that are shown.
  document.addEventListener("change", (event) => {
    const group = event.target.dataset?.checkAll;
    if (group) all(`input[name="${CSS.escape(group)}"]`).forEach((one) => { one.checked = event.target.checked; });
  });

  // What updates by itself stops while nobody looks, while it is paused, and after three failures.
  const KEY = "live-paused";
  let paused = sessionStorage.getItem(KEY) === "1";
  let failures = 0;
  const say = () => {
    all("[data-live-state]").forEach((one) => {
      one.textContent = failures >= 3 ? one.dataset.liveFailed : paused ? one.dataset.liveOff : one.dataset.liveOn;
    });
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
    if (event.target.closest?.("[data-live]")) failures = 0;
    say();
  });

  show(document);
  say();
  document.getElementById("errors")?.focus();
})();
