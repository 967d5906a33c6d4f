// Placeholders of a welcome's text as chips. The textarea stays what is typed into and sent: a mirror in front of it lays
// a chip over each placeholder, so input methods, undo, paste and screen readers work as in any textarea.
(() => {
  "use strict";
  const field = document.querySelector(".words");
  if (!field) return;
  const text = field.querySelector("textarea");
  const mirror = field.querySelector(".words-mirror");
  const panel = document.getElementById("fallback");
  const words = document.getElementById("fallback-words");
  const buttons = new Map([...document.querySelectorAll("[data-insert]")].map((one) => [one.dataset.insert, one]));
  const pen = document.createElement("canvas").getContext("2d");
  const TOKEN = /\{\{|\}\}|\{([^{}|]*)(?:\|([^{}]*))?\}|%NICKNAME%/g;
  const COPIED = ["fontFamily", "fontSize", "lineHeight", "letterSpacing", "direction", "paddingTop", "paddingBottom", "borderTopWidth", "borderRightWidth", "borderBottomWidth", "borderLeftWidth"];
  const INSET = CSS.supports("-webkit-touch-callout: none") ? 3 : 0; // an iPhone sets a textarea's words in by as much more
  let asked = null; // the token whose panel is open
  let composing = false;
  let pressed = false;
  let last = 0; // where the caret was
  let entered = false; // before the text was ever entered, the end is where one means

  const written = (name, fallback) => (name.startsWith("%") ? name : fallback ? `{${name}|${fallback}}` : `{${name}}`);
  const tokens = () => [...text.value.matchAll(TOKEN)].map((match) => ({
    name: match[1] ?? match[0], fallback: match[2] ?? "", start: match.index, end: match.index + match[0].length,
  })).filter((one) => buttons.has(one.name));
  const composes = (event) => event.isComposing || event.keyCode === 229; // Safari tells of an input method's Enter afterwards
  const told = () => text.dispatchEvent(new Event("input", { bubbles: true }));

  // ---- drawn

  const label = (one, width) => {
    const { long, short } = buttons.get(one.name).dataset;
    const behind = one.fallback ? ` | ${one.fallback}` : "";
    return [long + behind, short + behind, long].find((each) => pen.measureText(each).width + 6 <= width) ?? short;
  };
  const draw = () => {
    const style = getComputedStyle(text);
    for (const name of COPIED) mirror.style[name] = style[name];
    const bar = text.offsetWidth - text.clientWidth - parseFloat(style.borderLeftWidth) - parseFloat(style.borderRightWidth);
    mirror.style.paddingLeft = `${parseFloat(style.paddingLeft) + INSET}px`;
    mirror.style.paddingRight = `${parseFloat(style.paddingRight) + INSET + bar}px`;
    const pieces = [];
    let at = 0;
    for (const one of tokens()) {
      const chip = Object.assign(document.createElement("span"), { className: "word-chip", textContent: text.value.slice(one.start, one.end), token: one });
      pieces.push(text.value.slice(at, one.start), chip);
      at = one.end;
    }
    mirror.replaceChildren(...pieces, text.value.slice(at) + "\u200b");
    pen.font = `12px ${style.fontFamily}`;
    const placed = [...mirror.children].map((chip) => [chip, chip.getClientRects()]); // all at once: one layout
    for (const [chip, lines] of placed) { // one that is broken in two lines shows what is written
      if (lines.length === 1) chip.dataset.label = label(chip.token, lines[0].width);
    }
    mirror.scrollTop = text.scrollTop;
    mark();
    tell();
  };
  // What chips say to the eye, for those who hear the text with its braces: read with the field, and when it changes.
  const chips = document.getElementById("text-chips");
  const tell = () => {
    const names = tokens().map((one) => buttons.get(one.name).dataset.long + (one.fallback ? ` | ${one.fallback}` : ""));
    const said = names.length ? chips.dataset.said.replace("{names}", () => [...new Set(names)].join(chips.dataset.joint)) : "";
    if (chips.textContent !== said) chips.textContent = said;
  };
  const mark = () => {
    const { selectionStart: start, selectionEnd: end } = text;
    const here = document.activeElement === text && start !== end;
    for (const chip of mirror.children) {
      const { token } = chip;
      chip.classList.toggle("selected", (here && token.start < end && token.end > start) || (asked?.start === token.start && !panel.hidden));
    }
  };

  // ---- chosen: a caret that gets into a chip chooses it

  const settle = () => {
    if (composing || pressed || document.activeElement !== text || field.classList.contains("as-written")) return;
    const { selectionStart: start, selectionEnd: end } = text;
    const within = tokens().find((one) => (start === end ? one.start < start && start < one.end : one.start === start && one.end === end));
    if (within && start === end) text.setSelectionRange(within.start, within.end, last >= within.end ? "backward" : "forward");
    last = start;
    if (within) open(within); else close();
    mark();
  };
  const open = (one) => {
    if (!panel) return;
    asked = one;
    panel.querySelector("[data-name]").textContent = buttons.get(one.name).dataset.long;
    panel.querySelector("[data-ask]").hidden = !("canMiss" in buttons.get(one.name).dataset);
    if (words !== document.activeElement) words.value = one.fallback;
    panel.hidden = false;
    const chip = [...mirror.children].find((each) => each.token.start === one.start);
    const [box, line] = [field.getBoundingClientRect(), chip?.getBoundingClientRect() ?? text.getBoundingClientRect()];
    panel.style.insetBlockStart = `${Math.min(line.bottom, box.bottom) - box.top + 4}px`;
    panel.style.insetInlineStart = `${Math.max(0, Math.min(line.left - box.left, box.width - panel.offsetWidth))}px`;
  };
  const close = () => { if (panel) panel.hidden = true; asked = null; };
  const back = () => { // to the text, behind the placeholder
    const end = asked?.end ?? text.selectionEnd;
    close();
    text.focus();
    text.setSelectionRange(end, end);
  };
  const put = (token, start, end) => { // so that it can be undone
    text.focus();
    text.setSelectionRange(start, end);
    if (document.execCommand(token ? "insertText" : "delete", false, token)) return;
    text.setRangeText(token, start, end, "end");
    told();
  };

  for (const [name, button] of buttons) {
    button.addEventListener("click", () => {
      const start = entered ? text.selectionStart : text.value.length;
      put(written(name, ""), start, entered ? text.selectionEnd : start);
      draw();
      const one = tokens().find((each) => each.start === start);
      if (!one || !("canMiss" in button.dataset)) { close(); return; }
      open(one);
      words.focus();
      mark();
    });
  }
  words?.addEventListener("input", (event) => {
    event.stopPropagation();
    if (!asked || event.isComposing) return;
    rewrite();
  });
  words?.addEventListener("compositionend", () => { if (asked) rewrite(); });
  const rewrite = () => {
    const { name, start, end } = asked;
    const token = written(name, words.value.replace(/[{}|\n]/g, ""));
    text.setRangeText(token, start, end, "end");
    told();
    asked = tokens().find((one) => one.start === start) ?? null;
    if (asked) open(asked);
    mark();
  };
  panel?.addEventListener("keydown", (event) => {
    if (composes(event) || (event.key !== "Escape" && (event.key !== "Enter" || event.target !== words))) return;
    event.preventDefault();
    back();
  });
  // Safari gives a button that is clicked no focus: without this the text would lose it, and the panel close before the click.
  panel?.addEventListener("mousedown", (event) => { if (event.target.closest("button")) event.preventDefault(); });
  panel?.addEventListener("click", (event) => {
    const { act } = event.target.closest("button")?.dataset ?? {};
    if (act === "remove" && asked) { const { start, end } = asked; close(); put("", start, end); }
    if (act === "done") back();
  });
  field.addEventListener("focusout", (event) => { if (!field.contains(event.relatedTarget) && !event.relatedTarget?.matches("[data-insert]")) { close(); mark(); } });

  // ---- typed

  text.addEventListener("focus", () => { entered = true; });
  text.addEventListener("beforeinput", (event) => { // a chip goes as a whole
    const side = { deleteContentBackward: "end", deleteContentForward: "start" }[event.inputType];
    const at = text.selectionStart;
    if (!side || event.isComposing || at !== text.selectionEnd || field.classList.contains("as-written")) return;
    const one = tokens().find((each) => each[side] === at);
    if (!one || !event.cancelable) return;
    event.preventDefault();
    put("", one.start, one.end);
  });
  text.addEventListener("keydown", (event) => {
    if (composes(event) || !asked) return;
    if (event.key === "Enter" && !panel.querySelector("[data-ask]").hidden) { event.preventDefault(); words.focus(); words.select(); }
    if (event.key === "Escape") { event.preventDefault(); back(); }
  });
  text.addEventListener("compositionstart", () => { composing = true; close(); });
  text.addEventListener("compositionend", () => { composing = false; draw(); });
  text.addEventListener("pointerdown", () => { pressed = true; });
  window.addEventListener("pointerup", () => { if (pressed) { pressed = false; setTimeout(settle); } });
  window.addEventListener("pointercancel", () => { pressed = false; });
  document.addEventListener("selectionchange", settle);
  window.addEventListener("input", (event) => { if (event.target === text) draw(); }, true); // while composing too
  text.addEventListener("scroll", () => { mirror.scrollTop = text.scrollTop; });
  new ResizeObserver(draw).observe(text);

  const toggle = document.querySelector("[data-as-written]");
  toggle?.addEventListener("click", () => {
    const on = field.classList.toggle("as-written");
    toggle.setAttribute("aria-pressed", on);
    close();
  });
  draw();
})();
