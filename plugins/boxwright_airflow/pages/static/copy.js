// A button beside each command that puts it on the clipboard; without scripts the command is selected as a whole.
"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const command = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command); // a frame may not write to the clipboard: then Ctrl+C does
      button.textContent = "Press Ctrl+C";
    }
  });
}
