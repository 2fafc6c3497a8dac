// Links to Airflow's own pages leave the frame. Airflow's frame lets no page within it navigate the window, so the link
// is followed from Airflow's document, which is of the same origin.
"use strict";
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-airflow]");
  if (!link || window.parent === window || event.defaultPrevented) {
    return;
  }
  let outer;
  try {
    outer = window.parent.document;
  } catch {
    return; // the frame of another site
  }
  event.preventDefault();
  const copy = outer.createElement("a");
  copy.href = link.href;
  if (event.ctrlKey || event.metaKey || event.button === 1) {
    copy.target = "_blank";
  }
  copy.click();
});
