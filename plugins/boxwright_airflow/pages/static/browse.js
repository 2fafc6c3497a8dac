// Shows a photo as it is stored where its boxes were drawn on that: its annotations then declare width and height as
// the file has them, which a browser exchanges where the photo's EXIF flag turns it by a quarter.
"use strict";
(() => {
  const fit = (image) => {
    const [width, height] = [image.getAttribute("width"), image.getAttribute("height")].map(Number);
    const exchanged = image.naturalWidth === height && image.naturalHeight === width;
    if (exchanged && width !== height) image.classList.add("stored");
  };
  for (const image of document.querySelectorAll(".picture img")) {
    if (image.complete) fit(image);
    else image.addEventListener("load", () => fit(image), { once: true });
  }
})();
