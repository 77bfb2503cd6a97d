// Asking for a link, and choosing a password by one. The token stands behind the #, where it reaches no server's log.
import { call, Problem } from "./api.js";

const token = location.hash.slice(1);
const [ask, redeem] = ["reset-ask", "reset-redeem"].map((id) => document.getElementById(id));
ask.hidden = Boolean(token);
redeem.hidden = !token;
history.replaceState(null, "", location.pathname);

function sending(form, send, done) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector(".said");
    try {
      await send(Object.fromEntries(new FormData(form)));
      said.textContent = done;
      said.classList.remove("error");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      said.textContent = error.message;
      said.classList.add("error");
    }
    said.hidden = false;
  });
}

sending(ask, (fields) => call("POST", "/v1/password-resets", fields), "If there is such an account, a link is on its way. It works for an hour.");
sending(redeem, ({ password }) => call("POST", "/v1/password-resets/redeem", { token, password }), "Done. You can sign in with it now.");
