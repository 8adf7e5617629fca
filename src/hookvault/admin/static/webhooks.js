// Rows that are added to a form and taken away, and files that are read into a field. Nothing leaves the browser before one submits.
(() => {
  "use strict";
  let made = 500; // above the numbers that the server gives
  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add-row]");
    if (add) {
      const area = add.closest("[data-rows]");
      const template = area.querySelector("template[data-row]");
      const holder = document.createElement("template");
      holder.innerHTML = template.innerHTML.replaceAll("__n__", String(made++)); // our own markup, no text of anybody
      template.before(holder.content);
      template.previousElementSibling.querySelector("input")?.focus();
    }
    const remove = event.target.closest("[data-remove-row]");
    const once = event.target.closest("[data-once]");
    if (once) once.disabled = true;
    if (remove) remove.closest("[data-one-row]").remove();
  });
  document.addEventListener("change", async (event) => {
    const target = event.target.dataset?.readInto;
    const file = target && event.target.files[0];
    if (!file) return;
    if (file.size > 1_500_000) { window.hookvault.toast("This file is too long: 1.5 MB at most.", "bad"); return; }
    const field = document.querySelector(target);
    field.value = await file.text();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.form.requestSubmit(field.form.querySelector("[data-preview]"));
  });
})();
