// Confirming consent by a mailed link. By a button and not by the page itself: mail scanners open links, people press.
import { call, Problem } from "./api.js";

const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

document.getElementById("opt-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = event.target.querySelector(".said");
  try {
    await call("POST", "/v1/opt-ins/confirm", { token });
    said.textContent = "✓ Thank you · Terima kasih · 谢谢 · 謝謝";
    said.classList.remove("error");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    said.textContent = error.message;
    said.classList.add("error");
  }
  said.hidden = false;
});
