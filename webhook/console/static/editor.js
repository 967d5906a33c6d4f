// Writing a welcome: files go up as soon as they are chosen. Placeholders are in placeholders.js.
(() => {
  "use strict";
  const form = document.getElementById("editor");
  if (!form) return;

  // While an input method composes, half a word is not worth a preview.
  document.addEventListener("input", (event) => { if (event.isComposing) event.stopPropagation(); }, true);
  document.addEventListener("compositionend", (event) => event.target.dispatchEvent(new Event("input", { bubbles: true })));

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
