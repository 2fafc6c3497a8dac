// Sends the form to Airflow as the configuration of a new run, and goes to that run's page.
"use strict";
(() => {
  const form = document.getElementById("again");
  const message = document.getElementById("message");
  const button = form.querySelector("button");

  const say = (text) => {
    message.textContent = text;
    message.hidden = !text;
  };

  // What a person typed, as the type that Airflow checks for; text that is none is sent as it is, and refused by name.
  const typed = ({ value, dataset }) => {
    if (dataset.kind === "string") return value;
    try {
      return dataset.kind === "boolean" ? value : JSON.parse(value);
    } catch {
      return value;
    }
  };

  const settings = () => {
    const conf = {};
    for (const field of form.querySelectorAll("[name]")) {
      const value = field.value.trim();
      if (!value || (value === field.dataset.unset && field.dataset.given === "no")) continue;
      conf[field.name] = typed({ value, dataset: field.dataset });
    }
    return conf;
  };

  const reason = async (answer) => {
    if (answer.status === 401 || answer.status === 403) return "Airflow does not let you start runs, or you are no longer logged in.";
    const { detail } = await answer.json().catch(() => ({ detail: null }));
    // After what is wrong Airflow quotes the whole schema of the setting.
    return typeof detail === "string" ? detail.split("\n\nFailed validating")[0] : `Airflow answered ${answer.status}.`;
  };

  // The new run's page: where this one is in Airflow's frame, Airflow's own page of that run around it.
  const show = (run) => {
    let outer = document;
    try {
      if (window.parent !== window) outer = window.parent.document;
    } catch {
      // the frame of another site
    }
    const link = outer.createElement("a");
    link.href = outer === document ? form.dataset.page + run : `${form.dataset.outer}${run}/plugin/boxwright-run`;
    link.click();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    button.disabled = true;
    try {
      const answer = await fetch(form.dataset.runs, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ logical_date: null, conf: settings() }),
      });
      if (answer.ok) show(encodeURIComponent((await answer.json()).dag_run_id));
      else say(await reason(answer));
    } catch {
      say("Airflow does not answer; try again.");
    }
    button.disabled = false;
  });
})();
