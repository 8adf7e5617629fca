// What was dragged over in a chart becomes the period of the dashboard, in its address: Back goes back.
(() => {
  "use strict";
  document.addEventListener("chart:range", (event) => {
    const area = event.target.closest("[data-zoom]");
    if (!area) return;
    const url = new URL(area.dataset.zoom, location.href);
    url.searchParams.set("startDate", event.detail.start);
    url.searchParams.set("endDate", event.detail.end);
    location.assign(url);
  });
})();
