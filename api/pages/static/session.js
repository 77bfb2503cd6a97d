// Signing in and out, on every page.
import { call, Problem } from "./api.js";

for (const id of ["staff-sign-in", "till-sign-in"]) {
  const form = document.getElementById(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector(".error");
    try {
      const fields = Object.fromEntries(new FormData(form));
      // Whoever has a device's credential already types that where others type the one-time code.
      const sent = fields.till_code?.startsWith("till_") ? { till_credential: fields.till_code.trim() } : fields;
      const session = await call("POST", "/v1/session", sent);
      location.assign(session.second_factor_owed ? "/account" : ["till", "cashier"].includes(session.role) ? "/till" : "/");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const factor = document.getElementById("second-factor");
      if (error.problem.type?.endsWith("/second-factor-needed") && factor.hidden) {
        factor.hidden = false;
        factor.querySelector("input").focus();
        said.hidden = true;
        return;
      }
      said.textContent = error.message;
      said.hidden = false;
    }
  });
}

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await call("DELETE", "/v1/session");
  location.assign("/sign-in");
});
