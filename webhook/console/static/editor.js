// Writing a welcome: placeholders by click, and files that go up as soon as they are chosen.
(() => {
  "use strict";
  const form = document.getElementById("editor");
  if (!form) return;
  const text = form.querySelector("#text");
  const fallback = document.getElementById("fallback");
  const words = document.getElementById("fallback-words");
  const told = () => text.dispatchEvent(new Event("input", { bubbles: true }));

  // While an input method composes, half a word is not worth a preview.
  document.addEventListener("input", (event) => { if (event.isComposing) event.stopPropagation(); }, true);
  document.addEventListener("compositionend", (event) => event.target.dispatchEvent(new Event("input", { bubbles: true })));

  // A placeholder goes where the caret is; what stands for it when it is not known is asked beside it.
  let asked = null; // { start, token, name } of the one that was put in last
  let caret = false; // before the text was ever entered, the end is where one means
  text.addEventListener("focus", () => { caret = true; });
  const put = (token, start, end) => { text.setRangeText(token, start, end, "end"); told(); };
  for (const chip of form.querySelectorAll("[data-insert]")) {
    chip.addEventListener("click", () => {
      const name = chip.dataset.insert;
      const token = name.startsWith("%") ? name : `{${name}}`;
      const start = caret ? text.selectionStart : text.value.length;
      put(token, start, caret ? text.selectionEnd : start);
      asked = fallback && "canMiss" in chip.dataset ? { start, token, name } : null;
      if (!asked) { if (fallback) fallback.hidden = true; text.focus(); return; }
      fallback.hidden = false;
      words.value = "";
      words.focus();
    });
  }
  words?.addEventListener("input", (event) => {
    event.stopPropagation();
    const end = asked ? asked.start + asked.token.length : -1;
    if (!asked || text.value.slice(asked.start, end) !== asked.token) { fallback.hidden = true; return; }
    const plain = words.value.replace(/[{}|]/g, "");
    const token = plain ? `{${asked.name}|${plain}}` : `{${asked.name}}`;
    put(token, asked.start, end);
    asked.token = token;
  });
  words?.addEventListener("keydown", (event) => {
    if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    fallback.hidden = true;
    text.focus();
    if (asked) text.selectionStart = text.selectionEnd = asked.start + asked.token.length;
  });

  // A file goes up when it is chosen, unless it is larger than WeCom takes: then it says so at once.
  form.addEventListener("change", (event) => {
    const field = event.target;
    if (field.type !== "file" || !field.files.length) return;
    const tooLarge = field.files[0].size > Number(field.dataset.limit);
    let note = field.parentElement.querySelector(".error[data-here]");
    if (!note) {
      note = Object.assign(document.createElement("p"), { className: "error" });
      note.dataset.here = "";
      note.setAttribute("role", "alert");
      field.before(note);
    }
    const words = { path: field.files[0].name, size: (field.files[0].size / 2 ** 20).toFixed(1) };
    note.textContent = tooLarge ? field.dataset.tooLarge.replace(/\{(path|size)\}/g, (_, word) => words[word]) : "";
    if (tooLarge) field.value = "";
    else send(field);
  });
  const send = (field) => {
    const button = document.getElementById("send-files");
    button.value = `preview:${field.name.split("-")[1]}`; // the next page opens there
    form.requestSubmit(button);
  };

  // A page that came back from a button of the form holds what is not saved yet.
  if ("unsavedAlready" in form.dataset) form.dispatchEvent(new Event("input", { bubbles: true }));
})();
