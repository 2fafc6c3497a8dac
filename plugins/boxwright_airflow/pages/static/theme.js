// Light or dark as Airflow is set: it keeps the choice in localStorage, which pages of one origin share.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a browser may keep storage from a frame
    }
  };
  const apply = () => {
    const theme = chosen();
    const resolved = theme === "light" || theme === "dark" ? theme : dark.matches ? "dark" : "light";
    document.documentElement.dataset.theme = resolved;
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
})();
