// An area onto which files are dropped, for the pages that take some: `acceptDrops(area, take)`.
"use strict";
// Calls `take` with what was dropped; beside the area nothing happens: it would replace the page.
const acceptDrops = (area, take) => {
  for (const name of ["dragover", "dragenter"])
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer);
  });
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
};
