// Keeps the page of a run up to date until the run has ended: fetches its parts, and puts in place those that changed.
"use strict";
(() => {
  const EVERY = 3000; // milliseconds
  const live = document.getElementById("live");
  const freshness = document.getElementById("freshness");
  const spoken = document.getElementById("spoken");
  const parts = (root) => [...root.querySelectorAll(".part")];
  const shown = new Map(parts(live).map((part) => [part.id, part.outerHTML]));
  const ended = (root) => root.querySelector("#state").dataset.ended === "yes";

  const replace = (next) => {
    for (const part of parts(next)) {
      if (shown.get(part.id) === part.outerHTML) continue; // what a person opened or began to read stays
      shown.set(part.id, part.outerHTML);
      const focused = document.activeElement && document.activeElement.id;
      document.getElementById(part.id).replaceWith(document.importNode(part, true));
      if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
    }
  };

  const say = () => {
    const text = ended(live) ? live.querySelector(".state") : live.querySelector("#progress-text");
    if (text && spoken.textContent !== text.textContent) spoken.textContent = text.textContent;
  };

  const look = async () => {
    const answer = await fetch(live.dataset.source, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) return "You are no longer logged in: load this page again.";
    if (!answer.ok) return "Airflow does not answer as it should; trying again.";
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    say();
    return "This page keeps itself up to date.";
  };

  // Clears a failed task, with those that it goes on with, and what comes after it, as Airflow's own button does.
  live.addEventListener("click", async ({ target }) => {
    const button = target.closest("#go-on");
    if (!button) return;
    const { address, run, tasks } = button.dataset;
    button.disabled = true;
    const asked = { dag_run_id: run, task_ids: tasks.split(" "), include_downstream: true, only_failed: true, dry_run: false };
    const answer = await fetch(address, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    }).catch(() => null);
    if (answer?.ok) return location.reload();
    button.disabled = false;
    document.getElementById("went-on").textContent = answer ? `Airflow refused it (${answer.status}).` : "Airflow does not answer; try again.";
  });

  const round = async () => {
    if (!document.hidden) {
      try {
        freshness.textContent = await look();
      } catch {
        freshness.textContent = "Airflow does not answer; trying again.";
      }
    }
    if (ended(live)) freshness.hidden = true;
    else setTimeout(round, EVERY);
  };
  if (!ended(live)) setTimeout(round, EVERY);
})();
