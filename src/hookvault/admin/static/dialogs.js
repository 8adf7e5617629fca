// Dialogs: filled by the server, opened here. Esc closes, focus goes back to where it was, secrets that were typed stay.
(() => {
  "use strict";
  const typed = new Map(); // secrets of a form that came back with errors; the server never sends them back

  const isDialog = (element) => element instanceof HTMLDialogElement;
  const open = (dialog) => {
    if (!dialog.open) dialog.showModal();
    const first = dialog.querySelector("[aria-invalid=true], [autofocus]") ??
      dialog.querySelector("input:not([type=hidden]), select, textarea, .dialog-head a, .dialog-head button");
    first?.focus();
  };

  document.addEventListener("htmx:before:swap", (event) => {
    const target = event.detail?.ctx?.target;
    const form = target?.matches?.("form") ? target : target?.querySelector?.("form");
    typed.clear();
    for (const field of form?.querySelectorAll("input[type=password], [data-keep]") ?? []) {
      if (field.value) typed.set(field.name, field.value);
    }
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const dialog = event.target.closest?.("dialog") ?? event.detail?.ctx?.target?.closest?.("dialog");
    const form = document.querySelector("dialog[open] form, main form[data-failed]");
    if (form?.matches("[data-failed]")) {
      for (const [name, value] of typed) {
        const field = form.elements.namedItem(name);
        if (field && !field.value) field.value = value;
      }
    }
    typed.clear();
    if (isDialog(dialog) && dialog.childElementCount) open(dialog);
    else document.querySelector("main form[data-failed] [aria-invalid=true]")?.focus();
  });

  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("dialog");
    if (dialog && event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    } else if (isDialog(event.target) && event.target.matches(".drawer")) {
      const box = event.target.getBoundingClientRect();
      if (event.clientX < box.left) event.target.close(); // beside the drawer
    }
  });
  document.addEventListener("close", (event) => {
    if (isDialog(event.target)) event.target.replaceChildren();
  }, true);
  document.addEventListener("close-dialog", () => document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close()));
})();
