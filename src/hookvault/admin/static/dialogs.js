// Dialogs: filled by the server, opened here. Esc closes, focus goes back to where it was, secrets that were typed stay.
(() => {
  "use strict";
  // Of each swap: the dialog that it is in, whether it is of a whole form, and the secrets that were typed there. The server
  // never sends these back where a form comes back with errors.
  const swaps = new WeakMap();

  const isDialog = (element) => element instanceof HTMLDialogElement;
  const open = (dialog) => {
    if (!dialog.open) dialog.showModal();
    const first = dialog.querySelector("[aria-invalid=true]") ?? dialog.querySelector("[autofocus]") ??
      dialog.querySelector("input:not([type=hidden]), select, textarea, .dialog-head a, .dialog-head button");
    first?.focus();
  };

  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx, tasks } = event.detail;
    const target = tasks.find((task) => task.type === "main")?.target;
    if (!(target instanceof Element)) return;
    if (target.id === "signin" && target.open) { // asked already, by another part of the page; what is typed there stays
      event.preventDefault();
      return;
    }
    const dialog = target.closest("dialog");
    if (target.querySelector("#toasts")) window.hookvault.showToasts(dialog);
    const typed = new Map();
    const form = target.matches("form") ? target : target.querySelector("form");
    for (const field of form?.querySelectorAll("input[type=password], [data-keep]") ?? []) {
      if (field.value) typed.set(field.name, field.value);
    }
    swaps.set(ctx, { dialog, typed, whole: target === dialog || target.matches("form, .dialog-form") });
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const swap = swaps.get(event.detail?.ctx);
    if (!swap?.whole) return; // a part of a form, or of the page: whoever types there goes on typing
    const { dialog, typed } = swap;
    const form = (dialog ?? document.querySelector("main"))?.querySelector("form[data-failed]");
    for (const [name, value] of form ? typed : []) {
      const field = form.elements.namedItem(name);
      if (field && !field.value) field.value = value;
    }
    if (dialog?.childElementCount) open(dialog);
    else if (!dialog) form?.querySelector("[aria-invalid=true]")?.focus();
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
    if (!isDialog(event.target)) return;
    if (event.target.querySelector("#toasts")) window.hookvault.showToasts(event.target);
    event.target.replaceChildren();
  }, true);
  // The form over which one had to sign in again stays open, with what was typed.
  document.addEventListener("signed-in", () => document.getElementById("signin").close());
})();
