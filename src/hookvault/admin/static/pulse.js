// Every 20 seconds what wants to be fresh is told so, as long as somebody can see it.
(() => {
  "use strict";
  const every = 20000;
  let missed = false;
  const beat = () => {
    missed = document.hidden;
    if (!missed) document.body.dispatchEvent(new CustomEvent("pulse"));
  };
  setInterval(beat, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && missed) beat(); });
})();
